//! `argosy app list`, `get` and `resources`.

use std::time::Duration;

use argosy_proto::v1;

use crate::args::{AppArguments, Format, ListFormat};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;
use crate::view::app::Application;
use crate::view::command::ResourceList;

/// How long an agent may take to list an app's resources.
const READ: Duration = Duration::from_secs(30);

pub(super) async fn list(
    hub: &Hub,
    cluster: String,
    project: String,
    format: ListFormat,
) -> Result<u8, Failure> {
    let request = v1::ListAppsRequest { cluster, project };
    let apps = hub.call(|mut client| async move { client.list_apps(request).await }).await?.apps;
    let documents =
        |format| output::document(format, &apps.iter().map(Application::from).collect::<Vec<_>>());
    let text = match format {
        ListFormat::Table => view::list::table(&apps),
        ListFormat::Wide => view::list::wide(&apps),
        ListFormat::Name => view::list::names(&apps),
        ListFormat::Json => documents(Format::Json)?,
        ListFormat::Yaml => documents(Format::Yaml)?,
    };
    output::print(&text)?;
    Ok(OK)
}

pub(super) async fn get(hub: &Hub, app: &AppArguments, format: Format) -> Result<u8, Failure> {
    let view = super::get_app(hub, app).await?;
    let text = match format {
        Format::Table => view::app::detail(&view),
        Format::Json | Format::Yaml => output::document(format, &Application::from(&view))?,
    };
    output::print(&text)?;
    Ok(OK)
}

pub(super) async fn resources(hub: &Hub, app: &AppArguments, format: Format) -> Result<u8, Failure> {
    let kind = v1::run_command_request::Kind::Resources(v1::ResourcesCommand {});
    let (rows, observed, complete) = match super::run_command(hub, app, READ, kind, |_| Ok(false)).await {
        Ok(progress) if progress.state() == v1::CommandState::Succeeded => {
            (progress.rows, progress.observed, true)
        }
        Ok(progress) => return Err(Failure::Failed(view::command::end(&progress))),
        // The agent is away: what it said last is better than nothing, and said to be that.
        Err(Failure::NotNow(_)) => {
            let view = super::get_app(hub, app).await?;
            (view.status.map(|status| status.resources).unwrap_or_default(), view.observed, false)
        }
        Err(failure) => return Err(failure),
    };
    let text = match format {
        Format::Table => view::command::resources(&rows, observed.as_ref(), complete),
        Format::Json | Format::Yaml => {
            let (namespace, name) = (&app.app.namespace, &app.app.name);
            output::document(format, &ResourceList::of(namespace, name, &rows, observed.as_ref(), complete))?
        }
    };
    output::print(&text)?;
    Ok(OK)
}
