//! Manifests of releases, as the hub rendered them. What a Secret holds is hidden here: it leaves no process unhidden.

use std::convert::Infallible;

use argosy_core::ids::Digest;
use argosy_core::mask;
use argosy_core::release::Entry;
use argosy_core::session::tables::get_manifest;
use argosy_core::store::StoreError;
use argosy_proto::v1;
use argosy_runtime::store::Store;
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::Status;

use super::{Fleet, app_name, failed, status_of, stopped, view};

/// Messages that wait for a slow reader. Full: the next manifests are read once it has taken some.
pub(super) const PIECES: usize = 4;
/// Bytes of manifests of one message, but for the last one in it.
const BYTES: usize = 256 << 10;

type Answer = Result<v1::Manifests, Status>;

// === impl Fleet ===

impl Fleet {
    /// Sends the manifests of an app's release, piece by piece. What is refused at once is the call's own answer.
    pub(super) async fn send_manifests(
        &self,
        request: v1::GetAppRequest,
        send: mpsc::Sender<Answer>,
    ) -> Result<(), Status> {
        let name = app_name(request.namespace, request.name, request.cluster);
        let found =
            self.services.handle.query(move |machine, store, _| machine.desired_release(&name, store));
        let found = found.await.map_err(stopped)?.map_err(|error| failed(&error))?;
        let found = found.map_err(|refused| status_of(&refused))?;
        let release = view::reference(found.release.root(), found.commit);
        let entries = found.release.entries().to_vec();
        let (handle, stopping) = (self.services.handle.clone(), self.services.supervisor.stopping());
        self.services.supervisor.spawn_isolated("manifests", async move {
            let work = async {
                let mut rest = entries;
                loop {
                    let digests: Vec<Digest> = rest.iter().map(|entry| entry.digest).collect();
                    let read = handle.query(move |_, store, _| read(store, &digests)).await;
                    let answer = match read {
                        // A newer release took its place, and what only this one named was dropped.
                        Ok(Ok(bytes)) if bytes.is_empty() && !rest.is_empty() => {
                            Err(Status::aborted("the release changed while it was read; ask again"))
                        }
                        Ok(Ok(bytes)) => {
                            let later = rest.split_off(bytes.len().min(rest.len()));
                            let taken = std::mem::replace(&mut rest, later);
                            piece(&release, &taken, bytes)
                        }
                        Ok(Err(error)) => Err(failed(&error)),
                        Err(error) => Err(stopped(error)),
                    };
                    let last = answer.is_err() || rest.is_empty();
                    // Who went away needs nothing more.
                    if send.send(answer).await.is_err() || last {
                        return;
                    }
                }
            };
            stopping.run_until_cancelled(work).await;
            Ok::<_, Infallible>(())
        });
        Ok(())
    }
}

/// Reads the first of these manifests: as many as fit a message, and one at least.
fn read(store: &Store, digests: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut manifests = Vec::new();
    let mut bytes = 0;
    for digest in digests {
        if bytes >= BYTES {
            break;
        }
        let Some(manifest) = get_manifest(store, *digest)? else { break };
        bytes += manifest.len();
        manifests.push(manifest);
    }
    Ok(manifests)
}

fn piece(release: &v1::ReleaseRef, entries: &[Entry], manifests: Vec<Vec<u8>>) -> Answer {
    let shown = |(entry, bytes): (&Entry, Vec<u8>)| {
        let json = hidden(bytes)?;
        Ok(v1::Manifest { key: Some((&entry.id.key).into()), json })
    };
    let manifests: Result<Vec<v1::Manifest>, Status> = entries.iter().zip(manifests).map(shown).collect();
    Ok(v1::Manifests { release: Some(release.clone()), manifests: manifests? })
}

/// Gives a manifest as text, values of a Secret hidden.
fn hidden(bytes: Vec<u8>) -> Result<String, Status> {
    let mut object: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Status::internal(format!("a manifest of the hub is no JSON: {error}")))?;
    if !mask::is_secret(&object) {
        return String::from_utf8(bytes)
            .map_err(|error| Status::internal(format!("a manifest of the hub is no text: {error}")));
    }
    mask::hide(&mut [&mut object]);
    Ok(object.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_values_are_hidden_and_all_else_is_as_it_was_rendered() {
        let map = br#"{"apiVersion":"v1","data":{"k":"dg=="},"kind":"ConfigMap"}"#.to_vec();
        assert_eq!(hidden(map.clone()).unwrap().into_bytes(), map);
        let secret = br#"{"apiVersion":"v1","data":{"k":"dg=="},"kind":"Secret"}"#.to_vec();
        let shown = hidden(secret).unwrap();
        assert!(shown.contains("++++++++") && !shown.contains("dg=="), "{shown}");
        assert!(hidden(b"no".to_vec()).is_err());
    }
}
