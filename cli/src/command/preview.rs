//! `argosy app preview`.

use argosy_proto::v1;
use argosy_proto::v1::preview_request::Part as Asking;
use argosy_proto::v1::preview_response::Part as Telling;

use super::source;
use crate::args::{Format, PreviewArguments, PreviewFormat};
use crate::connection::Hub;
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view::preview::{self, Document};

/// Bytes of a file in one message.
const PIECE: usize = 48 << 10;

pub(super) async fn run(hub: &Hub, arguments: &PreviewArguments) -> Result<u8, Failure> {
    show(hub, arguments).await.map_err(Failure::untold)
}

async fn show(hub: &Hub, arguments: &PreviewArguments) -> Result<u8, Failure> {
    let request = tokio_stream::iter(parts(arguments)?);
    let mut answers = hub.call(|mut client| async move { client.preview(request).await }).await?;
    let mut fleet = v1::FleetPreview::default();
    let mut apps = Vec::new();
    while let Some(answer) = answers.message().await.map_err(|status| hub.failure(&status))? {
        match answer.part {
            Some(Telling::Fleet(said)) => fleet = said,
            Some(Telling::App(app)) => apps.push(app),
            None => return Err(Failure::Failed("the hub's answer is of a newer version".to_owned())),
        }
    }
    let all = apps.len();
    if !arguments.apps.is_empty() {
        apps.retain(|app| {
            arguments.apps.iter().any(|wanted| wanted.namespace == app.namespace && wanted.name == app.name)
        });
    }
    let left_out = all - apps.len();
    let text = match arguments.output {
        PreviewFormat::Text => preview::text(&fleet, &apps, left_out),
        PreviewFormat::Markdown => preview::markdown(&fleet, &apps, left_out),
        PreviewFormat::Json => output::document(Format::Json, &Document::of(&fleet, &apps, left_out))?,
        PreviewFormat::Yaml => output::document(Format::Yaml, &Document::of(&fleet, &apps, left_out))?,
    };
    output::print(&text)?;
    let changes = !apps.is_empty() || !fleet.conditions.is_empty() || !fleet.lost.is_empty();
    Ok(if changes && arguments.exit_code { FAILED } else { OK })
}

/// Puts the request together: its head, and the files piece by piece.
fn parts(arguments: &PreviewArguments) -> Result<Vec<v1::PreviewRequest>, Failure> {
    if arguments.fleet.is_none() && arguments.fleet_revision.is_none() && arguments.revision.is_empty() {
        return Err(Failure::Usage(
            "say what would change: --fleet DIR, --fleet-revision REVISION or --revision REPO=REVISION"
                .to_owned(),
        ));
    }
    let files = arguments.fleet.as_deref().map(source::fleet_files).transpose()?;
    let head = v1::PreviewHead {
        files: files.is_some(),
        fleet_revision: arguments.fleet_revision.clone().unwrap_or_default(),
        revisions: arguments.revision.iter().cloned().collect(),
    };
    let mut parts = vec![Asking::Head(head)];
    for (path, bytes) in files.into_iter().flatten() {
        let piece = |data: &[u8]| Asking::File(v1::FleetFile { path: path.clone(), data: data.to_vec() });
        if bytes.is_empty() {
            parts.push(piece(&[]));
        }
        parts.extend(bytes.chunks(PIECE).map(piece));
    }
    Ok(parts.into_iter().map(|part| v1::PreviewRequest { part: Some(part) }).collect())
}
