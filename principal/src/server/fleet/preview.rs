//! Previews: the whole request first, then one app after the other, so that the hub's work goes on between them.

use std::sync::Arc;

use argosy_core::fleet::SourceFile;
use argosy_proto::v1;
use argosy_proto::v1::preview_request::Part as Asking;
use argosy_proto::v1::preview_response::Part as Telling;
use argosy_runtime::entropy::SystemEntropy;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{Fleet, failed, stopped};
use crate::preview::{AskError, Asked};

/// Messages that wait for a slow reader.
pub(super) const PARTS: usize = 4;
/// Most bytes of a fleet's files.
const LARGEST: usize = 64 << 20;
/// Most files.
const FILES: usize = 20_000;

type Answer = Result<v1::PreviewResponse, Status>;

impl Fleet {
    /// Makes a preview. What is refused at once is the call's own answer.
    pub(super) async fn begin_preview(
        &self,
        request: Streaming<v1::PreviewRequest>,
        send: mpsc::Sender<Answer>,
    ) -> Result<(), Status> {
        let asked = read(request).await?;
        let handle = self.services.handle.clone();
        let proposal =
            self.services.preview.propose(asked, &handle).await.map_err(|error| refusal(&error))?;
        let proposal = Arc::new(proposal);
        let looked = Arc::clone(&proposal);
        let decided = handle
            .query(move |machine, store, now| machine.preview(&looked, now.wall, store, &mut SystemEntropy));
        let preview = decided.await.map_err(stopped)?.map_err(|error| failed(&error))?;
        let mut preview = preview.map_err(|error| Status::failed_precondition(error.to_string()))?;
        let made = std::mem::take(&mut preview.content);
        let content: Arc<Vec<_>> = Arc::new(proposal.content.iter().cloned().chain(made).collect());
        let stopping = self.services.supervisor.stopping();
        self.services.supervisor.spawn_isolated("preview", async move {
            let work = async {
                // Who went away needs nothing more.
                if send.send(Ok(part(Telling::Fleet((&preview).into())))).await.is_err() {
                    return;
                }
                for app in preview.apps {
                    let content = Arc::clone(&content);
                    let looked = handle
                        .query(move |_, store, _| {
                            app.objects(&content, store).map(|objects| v1::AppPreview::of(&app, objects))
                        })
                        .await;
                    let answer = match looked {
                        Ok(Ok(app)) => Ok(part(Telling::App(app))),
                        Ok(Err(error)) => Err(failed(&error)),
                        Err(error) => Err(stopped(error)),
                    };
                    let last = answer.is_err();
                    if send.send(answer).await.is_err() || last {
                        return;
                    }
                }
            };
            stopping.run_until_cancelled(work).await;
            Ok::<_, std::convert::Infallible>(())
        });
        Ok(())
    }
}

fn part(part: Telling) -> v1::PreviewResponse {
    v1::PreviewResponse { part: Some(part) }
}

fn refusal(error: &AskError) -> Status {
    let message = error.to_string();
    match error {
        AskError::Busy => Status::resource_exhausted(message),
        AskError::NoRevisions(_) | AskError::NoApp(_) => Status::invalid_argument(message),
        AskError::Fleet { .. } => Status::failed_precondition(message),
        AskError::Store(_) => Status::internal(message),
        AskError::Stopped(_) => Status::unavailable(message),
    }
}

async fn read(mut request: Streaming<v1::PreviewRequest>) -> Result<Asked, Status> {
    let head = match request.message().await?.and_then(|first| first.part) {
        Some(Asking::Head(head)) => head,
        Some(Asking::File(_)) | None => {
            return Err(Status::invalid_argument("preview_request: the first part is no head"));
        }
    };
    let v1::PreviewHead { files, fleet_revision, revisions } = head;
    let fleet_revision = Some(fleet_revision).filter(|revision| !revision.is_empty());
    if files && fleet_revision.is_some() {
        return Err(Status::invalid_argument("preview_head: files and fleet_revision exclude one another"));
    }
    let mut read: Vec<(String, Vec<u8>)> = Vec::new();
    let mut bytes = 0_usize;
    while let Some(next) = request.message().await? {
        let Some(Asking::File(v1::FleetFile { path, data })) = next.part else {
            return Err(Status::invalid_argument("preview_request: a part after the first is no file"));
        };
        bytes = bytes.saturating_add(data.len());
        if !files || bytes > LARGEST || read.len() > FILES {
            let message =
                format!("preview_request: more than {FILES} files or {LARGEST} bytes, or none announced");
            return Err(Status::invalid_argument(message));
        }
        match read.last_mut().filter(|(last, _)| *last == path) {
            Some((_, before)) => before.extend(data),
            None => read.push((path, data)),
        }
    }
    let read = read.into_iter().map(|(path, bytes)| SourceFile { path, content: Ok(bytes) });
    Ok(Asked {
        files: files.then(|| read.collect()),
        fleet_revision,
        revisions: revisions.into_iter().collect(),
    })
}
