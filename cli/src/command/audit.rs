//! `argosy audit`.

use argosy_proto::v1;

use crate::args::Format;
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view::audit::{self, Audit};

pub(super) async fn run(hub: &Hub, request: v1::AuditRequest, format: Format) -> Result<u8, Failure> {
    let found = hub.call(|mut client| async move { client.audit(request).await }).await?;
    let text = match format {
        Format::Table => audit::render(&found),
        Format::Json | Format::Yaml => output::document(format, &Audit::from(&found))?,
    };
    output::print(&text)?;
    Ok(OK)
}
