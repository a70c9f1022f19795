//! `argosy app list`, `get` and `resources`.

use std::time::Duration;

use argosy_proto::v1;

use crate::args::{AppArguments, Format, ListFormat};
use crate::connection::Hub;
use crate::failure::Failure;
use crate::output;
use crate::view;
use crate::view::app::Application;
use crate::view::command::ResourceList;

/// How long an agent may take to list an app's resources.
const READ: Duration = Duration::from_secs(30);

pub(super) async fn list(
    hub: &Hub,
    request: &v1::ListAppsRequest,
    format: ListFormat,
) -> Result<String, Failure> {
    let request = request.clone();
    let apps = hub.call(|mut client| async move { client.list_apps(request).await }).await?.apps;
    let documents =
        |format| output::document(format, &apps.iter().map(Application::listed).collect::<Vec<_>>());
    match format {
        ListFormat::Table => Ok(view::list::table(&apps)),
        ListFormat::Wide => Ok(view::list::wide(&apps)),
        ListFormat::Name => Ok(view::list::names(&apps)),
        ListFormat::Json => documents(Format::Json),
        ListFormat::Yaml => documents(Format::Yaml),
    }
}

pub(super) async fn get(hub: &Hub, app: &AppArguments, format: Format) -> Result<String, Failure> {
    let view = super::get_app(hub, app).await?;
    detail(&view, format)
}

pub(super) async fn resources(hub: &Hub, app: &AppArguments, format: Format) -> Result<String, Failure> {
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
    match format {
        Format::Table => Ok(view::command::resources(&rows, observed.as_ref(), complete)),
        Format::Json | Format::Yaml => {
            let (namespace, name) = (&app.app.namespace, &app.app.name);
            output::document(format, &ResourceList::of(namespace, name, &rows, observed.as_ref(), complete))
        }
    }
}

/// Gives one application with its resources.
pub(super) fn detail(view: &v1::AppView, format: Format) -> Result<String, Failure> {
    match format {
        Format::Table => Ok(view::app::detail(view)),
        Format::Json | Format::Yaml => output::document(format, &Application::from(view)),
    }
}
