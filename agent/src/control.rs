//! The control socket: what somebody at the edge may ask of a running agent, with no hub.
//!
//! A Unix socket in the agent's private folder; one JSON line in, one JSON line out.

use std::path::Path;
use std::time::Duration;

use argosy_core::ids::{AppId, Digest};
use argosy_core::status::Held;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::engine::{ConfirmAnswer, Event};

/// Longest line either way.
const LINE: u64 = 4 << 20;
/// How long one conversation may take.
const TALK: Duration = Duration::from_secs(10);
/// Pause after the system refused to accept: it is out of file descriptors, and that passes.
const REFUSED: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The app, as NAME or NAMESPACE/NAME.
    pub app: String,
    /// The plan to confirm; absent to look.
    pub plan: Option<Digest>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// What went wrong.
    pub error: Option<String>,
    /// Whether the plan was confirmed.
    pub confirmed: bool,
    /// Digest of the held plan.
    pub plan: Option<Digest>,
    /// Why it is held.
    pub reason: String,
    /// What would be deleted, as GROUP/KIND/NAMESPACE/NAME and UID; of many the first.
    pub deletes: Vec<(String, String)>,
    /// How many deletes are held.
    #[serde(default)]
    pub count: u64,
}

/// Serves the socket until the process stops.
pub(crate) async fn serve(
    path: std::path::PathBuf,
    events: mpsc::Sender<Event>,
    stopping: CancellationToken,
) -> std::io::Result<()> {
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return Ok(()),
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a conversation on the control socket cannot be accepted");
                tokio::time::sleep(REFUSED).await;
                continue;
            }
        };
        // One conversation at a time: they are short, and bounded in time.
        match tokio::time::timeout(TALK, talk(stream, &events)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a conversation on the control socket ended early"),
            Err(_elapsed) => debug!("a conversation on the control socket took too long"),
        }
    }
}

async fn talk(stream: UnixStream, events: &mpsc::Sender<Event>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE)).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Question>(&line) {
        Ok(question) => answer(question, events).await,
        Err(error) => failed(format!("the question does not decode: {error}")),
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

async fn answer(question: Question, events: &mpsc::Sender<Event>) -> Reply {
    let app: AppId = match question.app.parse() {
        Ok(app) => app,
        Err(error) => return failed(format!("{error}")),
    };
    let (sender, receiver) = oneshot::channel();
    let event = Event::Confirm { app: app.clone(), plan: question.plan, answer: sender };
    if events.send(event).await.is_err() {
        return failed("the agent is stopping".to_owned());
    }
    let Ok(ConfirmAnswer { held, result }) = receiver.await else {
        return failed("the agent is stopping".to_owned());
    };
    let error = match (&held, &result) {
        (_, Some(Err(error))) => Some(error.to_string()),
        (None, None) => Some(format!("no deletes of app {app} are held")),
        (_, Some(Ok(())) | None) => None,
    };
    Reply {
        error,
        confirmed: matches!(result, Some(Ok(()))),
        plan: held.as_ref().map(|held| held.plan),
        reason: held.as_ref().map(|held| held.reason.clone()).unwrap_or_default(),
        count: held.as_ref().map_or(0, Held::count),
        deletes: held
            .map(|held| held.deletes.into_iter().map(|delete| (delete.key.to_string(), delete.uid)).collect())
            .unwrap_or_default(),
    }
}

fn failed(error: String) -> Reply {
    Reply {
        error: Some(error),
        confirmed: false,
        plan: None,
        reason: String::new(),
        deletes: Vec::new(),
        count: 0,
    }
}

/// Asks a running agent.
pub async fn ask(socket: &Path, question: &Question) -> anyhow::Result<Reply> {
    use anyhow::Context as _;
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("no agent answers at {}; is it running with this --data-dir?", socket.display())
    })?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LINE));
    tokio::time::timeout(TALK, reader.read_line(&mut line))
        .await
        .context("the agent does not answer")?
        .map_err(anyhow::Error::from)?;
    serde_json::from_str(&line).context("the agent's answer does not decode")
}
