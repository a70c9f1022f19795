//! `argosy app delete`.

use argosy_proto::v1;

use crate::args::{AppArguments, Format};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view::deletion::Deletion;

pub(super) async fn run(hub: &Hub, app: &AppArguments, cascade: bool, format: Format) -> Result<u8, Failure> {
    let request = v1::DeleteAppRequest {
        namespace: app.app.namespace.to_string(),
        name: app.app.name.to_string(),
        cluster: app.cluster.clone(),
        cascade,
    };
    let response = hub.call(|mut client| async move { client.delete_app(request).await }).await?;
    let deletion = Deletion::of(&app.app, &response);
    let text = match format {
        Format::Table => deletion.render(),
        Format::Json | Format::Yaml => output::document(format, &deletion)?,
    };
    output::print(&text)?;
    Ok(OK)
}
