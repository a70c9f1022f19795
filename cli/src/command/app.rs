//! `argosy app get`, `resources` and `manifests`.

use std::time::Duration;

use argosy_proto::v1;
use tokio::time::{Instant, sleep};

use crate::args::{AppArguments, Format, ManifestFormat};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;
use crate::view::app::Application;
use crate::view::command::ResourceList;

/// How long an agent may take to list an app's resources.
const READ: Duration = Duration::from_secs(30);
/// How long what an agent sees when it looks again is waited for, and how often it is asked for: it tells only what changed.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
const SEEN_EVERY: Duration = Duration::from_millis(200);
/// How far the times that a hub tells of one statement may be apart, in milliseconds.
const SLACK_MS: u64 = 100;

pub(super) async fn get(hub: &Hub, app: &AppArguments, format: Format) -> Result<String, Failure> {
    let view = super::get_app(hub, app).await?;
    detail(&view, format)
}

/// Has the agent look at all objects of an application again, and waits a little for what it tells of them.
pub(super) async fn refresh(hub: &Hub, app: &AppArguments) -> Result<(), Failure> {
    let before = super::get_app(hub, app).await?;
    let kind = v1::run_command_request::Kind::Refresh(v1::RefreshCommand {});
    let progress = super::run_command(hub, app, READ, kind, |_| Ok(false)).await?;
    if progress.state() != v1::CommandState::Succeeded {
        return Err(Failure::Failed(view::command::end(&progress)));
    }
    let asked = Instant::now();
    while asked.elapsed() < SEEN_WITHIN && !is_newer(&super::get_app(hub, app).await?, &before) {
        sleep(SEEN_EVERY).await;
    }
    Ok(())
}

/// Tells whether an agent has made another statement since.
fn is_newer(now: &v1::AppView, before: &v1::AppView) -> bool {
    let stated = |view: &v1::AppView| view.observed.as_ref().map(|observed| observed.stated_unix_ms);
    match (stated(now), stated(before)) {
        (Some(now), Some(before)) => now.abs_diff(before) > SLACK_MS,
        (now, before) => now != before,
    }
}

/// Gives one application with all of its objects as a tree.
pub(super) async fn tree(hub: &Hub, app: &AppArguments, format: Format) -> Result<String, Failure> {
    if format != Format::Table {
        return Err(Failure::Usage(
            "--tree is for people: -o json and -o yaml give the objects as status.resources, and `argosy app resources` \
             gives all of them"
                .to_owned(),
        ));
    }
    let view = super::get_app(hub, app).await?;
    let rows = rows(hub, app).await?;
    Ok(view::tree::tree(&view, &rows.rows, rows.observed.as_ref(), rows.complete))
}

/// Prints the manifests of the release that the hub desires.
pub(super) async fn manifests(hub: &Hub, app: &AppArguments, format: ManifestFormat) -> Result<u8, Failure> {
    let request = v1::GetAppRequest {
        namespace: app.app.namespace.to_string(),
        name: app.app.name.to_string(),
        cluster: app.cluster.clone(),
    };
    let mut pieces = hub.call(|mut client| async move { client.get_manifests(request).await }).await?;
    let mut objects = Vec::new();
    while let Some(piece) = pieces.message().await.map_err(|status| hub.failure(&status))? {
        for manifest in piece.manifests {
            let object = serde_json::from_str(&manifest.json).map_err(|error| {
                Failure::Failed(format!(
                    "a manifest of the hub is no JSON: {error}; is it of another version?"
                ))
            })?;
            objects.push(object);
        }
    }
    output::print(&output::manifests(format, objects)?)?;
    Ok(OK)
}

/// The objects of an application.
struct Listed {
    rows: Vec<v1::ResourceRow>,
    observed: Option<v1::Observation>,
    /// The agent gave all of them; else they are those that it told of last.
    complete: bool,
}

/// Asks the agent for every object of an application.
pub(super) async fn ask_for_rows(hub: &Hub, app: &AppArguments) -> Result<v1::CommandProgress, Failure> {
    let kind = v1::run_command_request::Kind::Resources(v1::ResourcesCommand {});
    let progress = super::run_command(hub, app, READ, kind, |_| Ok(false)).await?;
    if progress.state() == v1::CommandState::Succeeded {
        Ok(progress)
    } else {
        Err(Failure::Failed(view::command::end(&progress)))
    }
}

async fn rows(hub: &Hub, app: &AppArguments) -> Result<Listed, Failure> {
    match ask_for_rows(hub, app).await {
        Ok(progress) => Ok(Listed { rows: progress.rows, observed: progress.observed, complete: true }),
        // The agent is away: what it said last is better than nothing, and said to be that.
        Err(Failure::NotNow(_)) => {
            let view = super::get_app(hub, app).await?;
            let rows = view.status.map(|status| status.resources).unwrap_or_default();
            Ok(Listed { rows, observed: view.observed, complete: false })
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn resources(hub: &Hub, app: &AppArguments, format: Format) -> Result<String, Failure> {
    let Listed { rows, observed, complete } = rows(hub, app).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_another_one_where_its_time_is() {
        let view = |stated: Option<i64>| v1::AppView {
            observed: stated.map(|stated_unix_ms| v1::Observation { stated_unix_ms, ..Default::default() }),
            ..Default::default()
        };
        let is_newer = |now, before| is_newer(&view(now), &view(before));
        assert!(is_newer(Some(5_000), Some(4_000)) && is_newer(Some(5_000), None));
        assert!(!is_newer(Some(5_050), Some(5_000)), "the hub counts back from another moment");
        assert!(!is_newer(None, None));
    }
}
