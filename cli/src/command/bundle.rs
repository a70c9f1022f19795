//! `argosy bundle`: desired state and statuses by file.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use argosy_proto::v1;
use serde::Serialize;

use crate::args::{BundleCommand, Format};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::{output, text};

/// Bytes of a file that go at a time.
const PIECE: usize = 32 << 10;
/// Largest file that is read; the hub has its own limit.
const LARGEST: u64 = 256 << 20;

pub(super) async fn run(hub: &Hub, command: BundleCommand) -> Result<u8, Failure> {
    match command {
        BundleCommand::Export { cluster } => export(hub, cluster).await,
        BundleCommand::Receipts { file, output } => receipts(hub, &file, output.format).await,
    }
}

/// Writes a bundle as it comes. One that breaks off has no seal, and no agent takes it.
async fn export(hub: &Hub, name: String) -> Result<u8, Failure> {
    if output::is_shown() {
        return Err(Failure::Usage(format!(
            "a bundle is a file: argosy bundle export --cluster {name} > {name}.bundle"
        )));
    }
    let request = v1::ExportBundleRequest { name };
    let mut pieces = hub.call(|mut client| async move { client.export_bundle(request).await }).await?;
    while let Some(piece) = pieces.message().await.map_err(|status| hub.failure(&status))? {
        output::bytes(&piece.data)?;
    }
    Ok(OK)
}

async fn receipts(hub: &Hub, file: &Path, format: Format) -> Result<u8, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("cannot read {}: {error}", file.display()));
    let from = if file.as_os_str() == "-" {
        let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
        File::from(input)
    } else {
        File::open(file).map_err(unreadable)?
    };
    let mut bytes = Vec::new();
    from.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    let pieces: Vec<_> = bytes.chunks(PIECE).map(|data| v1::FilePiece { data: data.to_vec() }).collect();
    let request = tokio_stream::iter(pieces);
    let taken = hub.call(|mut client| async move { client.import_receipts(request).await }).await?;
    let text = match format {
        Format::Table => {
            let v1::ImportReceiptsResponse { cluster, generation, apps, already } = &taken;
            let head = generation.map_or("no head".to_owned(), |generation| format!("head {generation}"));
            let news = if *already { "already taken: cluster" } else { "taken: cluster" };
            text::clean(&format!("{news} {cluster} held {head}, and told of {apps} apps")) + "\n"
        }
        Format::Json | Format::Yaml => output::document(format, &Taken::from(taken))?,
    };
    output::print(&text)?;
    Ok(OK)
}

/// What came of receipts.
#[derive(Debug, Serialize)]
struct Taken {
    cluster: String,
    generation: Option<u64>,
    apps: u64,
    already: bool,
}

impl From<v1::ImportReceiptsResponse> for Taken {
    fn from(response: v1::ImportReceiptsResponse) -> Self {
        let v1::ImportReceiptsResponse { cluster, generation, apps, already } = response;
        Self { cluster, generation, apps, already }
    }
}
