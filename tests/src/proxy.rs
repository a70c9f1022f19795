//! A thin link, or none: a TCP proxy on the loopback address that lets through so many bytes a second.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;

use crate::port::Port;
use crate::wait;

/// The rate of a link that is not thin.
const UNLIMITED: u64 = u64::MAX;
/// How much moves at once, so that a slow link is a trickle and not a row of bursts.
const PIECE: usize = 1024;
/// How long a connection to the target may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// A proxy; it takes no more connections once it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    /// Bytes a second, each way and for each connection.
    rate: AtomicU64,
    /// Bytes that went towards whoever connects.
    moved: AtomicU64,
    closed: AtomicBool,
    /// Whether there is no link.
    cut: AtomicBool,
    /// Those who have connected.
    open: Mutex<Vec<TcpStream>>,
}

// === impl Proxy ===

impl Proxy {
    /// Listens on a port of its own and connects whoever comes with `target`, at full speed.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let port = Port::lease()?;
        let listener = TcpListener::bind(port.address()).context("the proxy cannot listen")?;
        let shared = Arc::new(Shared {
            target,
            rate: AtomicU64::new(UNLIMITED),
            moved: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &serving));
        Ok(Self { port, shared })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Lets through so many bytes a second, each way and for each connection; `None` lifts the limit.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        self.shared.rate.store(bytes_per_second.unwrap_or(UNLIMITED).max(1), Ordering::Relaxed);
    }

    /// Ends every connection and takes no more, or takes them again.
    pub fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::Relaxed);
        if cut {
            for stream in self.shared.open.lock().drain(..) {
                // One that is closed already is as good.
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }

    /// Returns how many bytes went from the target to those who connected to it.
    pub fn moved(&self) -> u64 {
        self.shared.moved.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; one that is awake already needs no more.
        drop(TcpStream::connect_timeout(&self.address(), CONNECT));
    }
}

// === impl Shared ===

impl Shared {
    /// Takes the time that so many bytes need on this link.
    fn take_time(&self, bytes: usize) {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate != UNLIMITED {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            wait::pause(Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate));
        }
    }
}

/// Accepts until the proxy is dropped. A target that does not answer closes the connection, as a real link would.
fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        if shared.cut.load(Ordering::Relaxed) {
            continue;
        }
        if let Err(error) = join(&client, shared) {
            crate::say(&format!("the proxy has no connection to {}: {error:#}", shared.target));
        }
    }
}

/// Joins a client with the target by one thread for each way.
fn join(client: &TcpStream, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let target = TcpStream::connect_timeout(&shared.target, CONNECT)?;
    for stream in [client, &target] {
        stream.set_nodelay(true)?;
    }
    shared.open.lock().push(client.try_clone()?);
    let up = (client.try_clone()?, target.try_clone()?, Arc::clone(shared));
    let down = (target, client.try_clone()?, Arc::clone(shared));
    thread::spawn(move || carry(up.0, up.1, &up.2, false));
    thread::spawn(move || carry(down.0, down.1, &down.2, true));
    Ok(())
}

/// Carries bytes one way until either end is gone.
fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared, counted: bool) {
    let mut piece = [0; PIECE];
    loop {
        let read = from.read(&mut piece).unwrap_or_default();
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        shared.take_time(read);
        if to.write_all(bytes).is_err() {
            break;
        }
        if counted {
            shared.moved.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
        }
    }
    // One that is closed already is as good.
    for stream in [from, to] {
        drop(stream.shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::Stopwatch;

    /// Answers one connection with so many bytes.
    fn server(bytes: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&vec![7; bytes]).unwrap();
        });
        address
    }

    fn fetch(proxy: &Proxy) -> usize {
        let mut all = Vec::new();
        TcpStream::connect(proxy.address()).unwrap().read_to_end(&mut all).unwrap();
        all.len()
    }

    #[test]
    fn a_thin_link_moves_everything_and_takes_its_time() {
        let proxy = Proxy::start(server(20_000)).unwrap();
        proxy.limit(Some(100_000));
        let watch = Stopwatch::start();

        let read = fetch(&proxy);

        assert_eq!((read, proxy.moved()), (20_000, 20_000));
        assert!(watch.elapsed() >= Duration::from_millis(200), "{:?}", watch.elapsed());
    }

    #[test]
    fn a_dropped_proxy_takes_no_connection() {
        let proxy = Proxy::start(server(1)).unwrap();
        let address = proxy.address();

        drop(proxy);

        wait::eventually(Duration::from_secs(20), "the port to be closed", || {
            TcpStream::connect(address).is_err()
        });
    }
}
