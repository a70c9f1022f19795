//! Asking the admin endpoint of a daemon.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

/// The longest time that a call waits for the next bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where a daemon writes the addresses that it listens on, in its data folder.
const LISTENING: &str = "listening.json";

/// Gets a path from the admin endpoint of the daemon whose data folder is given.
pub fn get(data: &Path, path: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(data.join(LISTENING)).context("it does not listen yet")?;
    let listening: Value = serde_json::from_str(&text).with_context(|| format!("{LISTENING} is {text:?}"))?;
    let admin = listening.get("admin").and_then(Value::as_str).context("it has no admin endpoint")?;
    let address: SocketAddr = admin.parse().with_context(|| format!("{admin:?} is no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
    stream.set_read_timeout(Some(PATIENCE)).context("cannot set a timeout")?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").context("cannot ask")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("cannot read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no header")?;
    anyhow::ensure!(head.split(' ').nth(1) == Some("200"), "GET {path}: {head}");
    Ok(body.to_owned())
}

/// Gets the daemon's `/debug/state`.
pub fn debug_state(data: &Path) -> anyhow::Result<Value> {
    let text = get(data, "/debug/state")?;
    serde_json::from_str(&text).context("the state is not JSON")
}
