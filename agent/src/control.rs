//! The control socket: what somebody at the edge may ask of a running agent, with no hub.
//!
//! A Unix socket in the agent's private folder; one JSON line in, one JSON line out. A bundle follows its line, to the end
//! of what is sent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use argosy_core::bundle::Imported;
use argosy_core::ids::{AppId, Digest};
use argosy_core::pause::{PauseKind, PauseRefused};
use argosy_core::status::{Held, HistoryRow};
use argosy_runtime::supervisor::Supervisor;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::bundle::Files;
use crate::engine::{Asked, ConfirmAnswer, Event, OrderAnswer};
use crate::report::Report;

/// Longest line either way.
const LINE: u64 = 4 << 20;
/// How long one conversation may take.
const TALK: Duration = Duration::from_secs(10);
/// Pause after the system refused to accept: it is out of file descriptors, and that passes.
const REFUSED: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// Shows held deletes, or confirms them.
    Confirm {
        /// The app, as NAME or NAMESPACE/NAME.
        app: String,
        /// The plan to confirm; absent to look.
        plan: Option<Digest>,
    },
    /// Shows the releases that an app was synced to.
    History {
        /// The app, as NAME or NAMESPACE/NAME.
        app: String,
    },
    /// Goes back to one of them.
    Rollback {
        /// The app, as NAME or NAMESPACE/NAME.
        app: String,
        /// Which row; absent: the one before the newest.
        id: Option<u64>,
    },
    /// Stops all writes.
    Pause(OrderQuestion),
    /// Lets them go on.
    Resume(OrderQuestion),
    /// Shows the agent.
    Status,
    /// Takes the bundle that follows.
    Import,
    /// Gives receipts, which follow the answer.
    Receipts,
}

/// Who pauses or resumes, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderQuestion {
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// Of held deletes.
    Confirm(ConfirmReply),
    /// The releases that an app was synced to, oldest first.
    History(Vec<Deployed>),
    /// The one that it goes back to.
    Rollback(Deployed),
    /// To a pause or its end.
    Order(OrderReply),
    /// The agent.
    Status(Box<Report>),
    /// A bundle was taken.
    Imported(ImportReply),
    /// Receipts of so many bytes follow.
    Receipts(u64),
    /// What went wrong.
    Failed(String),
}

/// Held deletes, and what came of confirming them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmReply {
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
    pub count: u64,
}

/// A release that an app was synced to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    /// Its number.
    pub id: u64,
    /// The release.
    pub root: Digest,
    /// When the sync ended, in milliseconds since 1970 by this machine's clock.
    pub at_unix_ms: i64,
    /// How long ago that was; absent when the machine was restarted since.
    pub age_ms: Option<u64>,
    /// The app was Synced and Healthy with it.
    pub healthy: bool,
}

/// What came of a pause or its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReply {
    /// Why it changed nothing, if so.
    pub unchanged: Option<String>,
    /// Writes that were sent before and have no answer yet.
    pub writes_under_way: usize,
}

/// What came of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReply {
    /// The head that the agent holds by now.
    pub generation: u64,
    /// Apps in its list.
    pub apps: u64,
    /// Whether all of it was here before.
    pub already: bool,
}

/// What conversations need.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// The engine's queue.
    pub(crate) events: mpsc::Sender<Event>,
    /// Takes bundles and gives receipts.
    pub(crate) files: Arc<Files>,
    /// Runs what takes longer than a question.
    pub(crate) supervisor: Supervisor,
}

/// A conversation that goes on in a task of its own: a file may be long, and a pause cannot wait for it.
struct Long {
    kind: LongKind,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

#[derive(Debug, Clone, Copy)]
enum LongKind {
    Import,
    Receipts,
}

/// Serves the socket until the process stops.
pub(crate) async fn serve(path: PathBuf, desk: Desk, stopping: CancellationToken) -> std::io::Result<()> {
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
        match tokio::time::timeout(TALK, talk(stream, &desk.events)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(long))) => {
                let (files, stopping) = (Arc::clone(&desk.files), stopping.clone());
                desk.supervisor.spawn_isolated("file", async move {
                    let carried = Box::pin(carry(long, &files));
                    stopping.run_until_cancelled(carried).await.unwrap_or(Ok(()))
                });
            }
            Ok(Err(error)) => debug!(%error, "a conversation on the control socket ended early"),
            Err(_elapsed) => debug!("a conversation on the control socket took too long"),
        }
    }
}

async fn talk(stream: UnixStream, events: &mpsc::Sender<Event>) -> std::io::Result<Option<Long>> {
    let user = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    (&mut read).take(LINE).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Question>(&line) {
        Ok(Question::Import) => return Ok(Some(Long { kind: LongKind::Import, read, write })),
        Ok(Question::Receipts) => return Ok(Some(Long { kind: LongKind::Receipts, read, write })),
        Ok(question) => answer(question, user, events).await,
        Err(error) => Reply::Failed(format!("the question does not decode: {error}")),
    };
    say(&mut write, &reply).await?;
    Ok(None)
}

async fn carry(long: Long, files: &Files) -> std::io::Result<()> {
    let Long { kind, read, mut write } = long;
    match kind {
        LongKind::Import => {
            let reply = match files.take(read).await {
                Ok(Imported { generation, apps, already }) => {
                    Reply::Imported(ImportReply { generation: generation.0, apps, already })
                }
                Err(why) => Reply::Failed(why),
            };
            say(&mut write, &reply).await
        }
        LongKind::Receipts => match files.receipts().await {
            Ok(bytes) => {
                say(&mut write, &Reply::Receipts(bytes.len() as u64)).await?;
                write.write_all(&bytes).await
            }
            Err(why) => say(&mut write, &Reply::Failed(why)).await,
        },
    }
}

async fn say(write: &mut OwnedWriteHalf, reply: &Reply) -> std::io::Result<()> {
    let mut text = serde_json::to_string(reply)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

async fn answer(question: Question, user: u32, events: &mpsc::Sender<Event>) -> Reply {
    let order = |order: OrderQuestion| (signed(&order.by, user), order.reason);
    let reply = match question {
        Question::Confirm { app, plan } => confirm(&app, plan, events).await,
        Question::History { app } => history(&app, events).await,
        Question::Rollback { app, id } => rollback(&app, id, events).await,
        Question::Pause(question) => {
            let (by, reason) = order(question);
            give(PauseKind::Pause, by, reason, events).await
        }
        Question::Resume(question) => {
            let (by, reason) = order(question);
            give(PauseKind::Resume, by, reason, events).await
        }
        // Each is a conversation of its own.
        Question::Import | Question::Receipts => Err("this question comes with a file".to_owned()),
        Question::Status => put(events, |answer| Asked::Status { answer }).await.map(Reply::Status),
    };
    reply.unwrap_or_else(Reply::Failed)
}

/// Most bytes of a person's own word: what the system says of them must fit beside it.
const WORD: usize = 96;

/// Gives a person's own word, cut, with what the system says of them.
pub(crate) fn signed(by: &str, user: u32) -> String {
    let by: String = by
        .chars()
        .scan(0, |bytes, char| {
            *bytes += char.len_utf8();
            (*bytes <= WORD).then_some(char)
        })
        .collect();
    format!("{by} (uid {user})")
}

/// Puts a question to the engine and waits for the answer.
pub(crate) async fn put<T>(
    events: &mpsc::Sender<Event>,
    asked: impl FnOnce(oneshot::Sender<T>) -> Asked,
) -> Result<T, String> {
    let stopping = || "the agent is stopping".to_owned();
    let (sender, receiver) = oneshot::channel();
    events.send(Event::Asked(asked(sender))).await.map_err(|_closed| stopping())?;
    receiver.await.map_err(|_dropped| stopping())
}

async fn give(
    kind: PauseKind,
    by: String,
    reason: String,
    events: &mpsc::Sender<Event>,
) -> Result<Reply, String> {
    let OrderAnswer { refused, writes } =
        put(events, |answer| Asked::Order { kind, by, reason, answer }).await?;
    if let Some(unsaved @ PauseRefused::Unsaved(_)) = refused {
        return Err(unsaved.to_string());
    }
    let unchanged = refused.map(|refused| refused.to_string());
    Ok(Reply::Order(OrderReply { unchanged, writes_under_way: writes }))
}

async fn confirm(app: &str, plan: Option<Digest>, events: &mpsc::Sender<Event>) -> Result<Reply, String> {
    let app: AppId = app.parse().map_err(|error| format!("{error}"))?;
    let of = app.clone();
    let ConfirmAnswer { held, result } =
        put(events, |answer| Asked::Confirm { app: of, plan, answer }).await?;
    let error = match (&held, &result) {
        (_, Some(Err(error))) => Some(error.to_string()),
        (None, None) => Some(format!("no deletes of app {app} are held")),
        (_, Some(Ok(())) | None) => None,
    };
    Ok(Reply::Confirm(ConfirmReply {
        error,
        confirmed: matches!(result, Some(Ok(()))),
        plan: held.as_ref().map(|held| held.plan),
        reason: held.as_ref().map(|held| held.reason.clone()).unwrap_or_default(),
        count: held.as_ref().map_or(0, Held::count),
        deletes: held
            .map(|held| held.deletes.into_iter().map(|delete| (delete.key.to_string(), delete.uid)).collect())
            .unwrap_or_default(),
    }))
}

async fn history(app: &str, events: &mpsc::Sender<Event>) -> Result<Reply, String> {
    let app: AppId = app.parse().map_err(|error| format!("{error}"))?;
    let rows = put(events, |answer| Asked::History { app, answer }).await?;
    Ok(Reply::History(rows.iter().map(Deployed::from).collect()))
}

async fn rollback(app: &str, id: Option<u64>, events: &mpsc::Sender<Event>) -> Result<Reply, String> {
    let app: AppId = app.parse().map_err(|error| format!("{error}"))?;
    let row = put(events, |answer| Asked::Rollback { app, id, answer }).await?;
    row.map(|row| Reply::Rollback(Deployed::from(&row))).map_err(|refused| refused.to_string())
}

impl From<&HistoryRow> for Deployed {
    fn from(row: &HistoryRow) -> Self {
        Self {
            id: row.id,
            root: row.root.0,
            at_unix_ms: row.finished_at.0,
            age_ms: row.age_ms,
            healthy: row.healthy,
        }
    }
}

/// A running agent cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no agent answers at {path}; is it running with this --data-dir?")]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the agent does not answer")]
    Broken(#[from] std::io::Error),
    /// The answer is no answer.
    #[error("the agent's answer does not decode")]
    Undecodable(#[from] serde_json::Error),
    /// The agent refuses.
    #[error("{0}")]
    Refused(String),
}

/// Asks a running agent.
pub async fn ask(socket: &Path, question: &Question) -> Result<Reply, AskError> {
    let nobody = |source| AskError::Nobody { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(nobody)?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LINE));
    let elapsed = |_elapsed| std::io::Error::from(std::io::ErrorKind::TimedOut);
    tokio::time::timeout(TALK, reader.read_line(&mut line)).await.map_err(elapsed)??;
    match serde_json::from_str(&line)? {
        Reply::Failed(error) => Err(AskError::Refused(error)),
        reply @ (Reply::Confirm(_)
        | Reply::History(_)
        | Reply::Rollback(_)
        | Reply::Order(_)
        | Reply::Status(_)
        | Reply::Imported(_)
        | Reply::Receipts(_)) => Ok(reply),
    }
}

/// Hands a running agent a bundle, and waits until it is durable there.
pub async fn send_bundle(socket: &Path, mut from: impl AsyncRead + Unpin) -> Result<ImportReply, AskError> {
    let nobody = |source| AskError::Nobody { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(nobody)?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(&Question::Import)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    // An agent that refuses says so before it has read everything.
    let sent = tokio::io::copy(&mut from, &mut write).await;
    drop(write);
    let mut line = String::new();
    let answered = BufReader::new(read.take(LINE)).read_line(&mut line).await;
    if line.is_empty() {
        sent?;
        answered?;
    }
    match serde_json::from_str(&line)? {
        Reply::Imported(reply) => Ok(reply),
        Reply::Failed(error) => Err(AskError::Refused(error)),
        Reply::Confirm(_)
        | Reply::History(_)
        | Reply::Rollback(_)
        | Reply::Order(_)
        | Reply::Status(_)
        | Reply::Receipts(_) => Err(other()),
    }
}

/// Asks a running agent for receipts.
pub async fn fetch_receipts(socket: &Path) -> Result<Vec<u8>, AskError> {
    let nobody = |source| AskError::Nobody { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(nobody)?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(&Question::Receipts)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    let mut read = BufReader::new(read);
    let mut line = String::new();
    (&mut read).take(LINE).read_line(&mut line).await?;
    let size = match serde_json::from_str(&line)? {
        Reply::Receipts(size) => size,
        Reply::Failed(error) => return Err(AskError::Refused(error)),
        Reply::Confirm(_)
        | Reply::History(_)
        | Reply::Rollback(_)
        | Reply::Order(_)
        | Reply::Status(_)
        | Reply::Imported(_) => return Err(other()),
    };
    let mut bytes = Vec::new();
    read.read_to_end(&mut bytes).await?;
    if bytes.len() as u64 != size {
        return Err(AskError::Broken(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}

fn other() -> AskError {
    AskError::Refused("the agent answers something else than was asked".to_owned())
}
