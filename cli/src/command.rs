//! The commands: ask the hub, render, print, and say by the exit code how it went.

mod app;
mod audit;
mod bundle;
mod cluster;
mod confirm;
mod delete;
mod diff;
mod events;
mod health;
mod history;
mod list;
mod pause;
mod plan;
mod preview;
mod project;
mod render;
mod source;
mod sync;
mod terminate;
mod wait;
mod why;

use std::time::Duration;

use argosy_proto::v1;
use tokio::time::sleep;

use crate::args::{AppArguments, AppCommand, Arguments, Command, Format};
use crate::config::HubConfig;
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;

/// How often a watched picture is made anew.
const WATCH: Duration = Duration::from_secs(2);

/// Runs a command; gives its exit code.
pub(crate) async fn run(arguments: Arguments) -> Result<u8, Failure> {
    let hub = async || Hub::connect(&HubConfig::load(&arguments.hub)?).await;
    match arguments.command {
        Command::Health(health) => health::run(&health),
        Command::Render(render) => render::run(&render),
        Command::Plan(plan) => plan::run(&plan),
        Command::Why { app, key, output } => why::run(&hub().await?, &app, &key, output.format).await,
        Command::Status { watch, output } => {
            let hub = hub().await?;
            show(watch, async || status_text(&hub, output.format).await).await
        }
        Command::Cluster(command) => cluster::run(&hub().await?, command).await,
        Command::App(command) => app(&hub().await?, command).await,
        Command::Proj(command) => project::run(&hub().await?, command).await,
        Command::Bundle(command) => bundle::run(&hub().await?, command).await,
        Command::Events { follow, cluster, since, output } => {
            let since = since.map(Into::into);
            events::run(&hub().await?, v1::EventsRequest { follow, cluster, since }, output.format).await
        }
        Command::Audit { cluster, at, output } => {
            let at = at.map(Into::into);
            audit::run(&hub().await?, v1::AuditRequest { cluster, at }, output.format).await
        }
    }
}

async fn app(hub: &Hub, command: AppCommand) -> Result<u8, Failure> {
    match command {
        AppCommand::List(arguments) => show(arguments.watch, async || list::run(hub, &arguments).await).await,
        AppCommand::Get { app, watch, refresh, tree, output } => {
            if refresh {
                app::refresh(hub, &app).await?;
            }
            if tree {
                show(watch, async || app::tree(hub, &app, output.format).await).await
            } else {
                show(watch, async || app::get(hub, &app, output.format).await).await
            }
        }
        AppCommand::Manifests { app, format } => app::manifests(hub, &app, format).await,
        AppCommand::Delete { app, cascade, output } => delete::run(hub, &app, cascade, output.format).await,
        AppCommand::Pause { app } => pause::run(hub, &app, false).await,
        AppCommand::Resume { app } => pause::run(hub, &app, true).await,
        AppCommand::Resources { app, watch, output } => {
            show(watch, async || app::resources(hub, &app, output.format).await).await
        }
        AppCommand::Sync(arguments) => sync::run(hub, &arguments).await,
        AppCommand::Wait(arguments) => wait::run(hub, &arguments).await,
        AppCommand::TerminateOp { app } => terminate::run(hub, &app).await,
        AppCommand::Diff { app, exit_code, diff_exit_code, timeout, output } => {
            let differs = if exit_code { diff_exit_code } else { OK };
            diff::run(hub, &app, differs, timeout, output.format).await
        }
        AppCommand::Preview(arguments) => preview::run(hub, &arguments).await,
        AppCommand::History { app, output } => history::run(hub, &app, output).await,
        AppCommand::Rollback { app, id, prune, timeout, detach, output } => {
            let kind = v1::run_command_request::Kind::Rollback(v1::RollbackCommand { id, prune });
            sync::follow(hub, &app, kind, timeout, detach, output.format).await
        }
        AppCommand::Confirm { app, plan, output } => confirm::run(hub, &app, plan, output.format).await,
    }
}

/// Prints a picture, once or as long as somebody looks.
async fn show(watch: bool, make: impl AsyncFn() -> Result<String, Failure>) -> Result<u8, Failure> {
    let text = make().await?;
    if !watch {
        output::print(&text)?;
        return Ok(OK);
    }
    output::picture(&text)?;
    loop {
        sleep(WATCH).await;
        match make().await {
            Ok(text) => output::picture(&text)?,
            // The channel dials again by itself; until then the picture stands, and its end is said.
            Err(failure @ Failure::Unreachable { .. }) => output::note(&failure.to_string())?,
            Err(failure) => return Err(failure),
        }
    }
}

async fn status_text(hub: &Hub, format: Format) -> Result<String, Failure> {
    let answer = clusters(hub).await?;
    let request = v1::ListAppsRequest::default();
    let apps = hub.call(|mut client| async move { client.list_apps(request).await }).await?.apps;
    match format {
        Format::Table => Ok(view::cluster::status(&answer, &apps)),
        Format::Json | Format::Yaml => output::document(format, &view::cluster::Status::of(&answer, &apps)),
    }
}

async fn clusters(hub: &Hub) -> Result<v1::ListClustersResponse, Failure> {
    let request = v1::ListClustersRequest {};
    hub.call(|mut client| async move { client.list_clusters(request).await }).await
}

async fn get_app(hub: &Hub, app: &AppArguments) -> Result<v1::AppView, Failure> {
    let request = v1::GetAppRequest {
        namespace: app.app.namespace.to_string(),
        name: app.app.name.to_string(),
        cluster: app.cluster.clone(),
    };
    hub.call(|mut client| async move { client.get_app(request).await }).await
}

/// Runs a command at an app's agent, telling `news` of every message; gives the last one.
async fn run_command(
    hub: &Hub,
    app: &AppArguments,
    timeout: Duration,
    kind: v1::run_command_request::Kind,
    mut news: impl FnMut(&v1::CommandProgress) -> Result<bool, Failure>,
) -> Result<v1::CommandProgress, Failure> {
    let request = v1::RunCommandRequest {
        namespace: app.app.namespace.to_string(),
        name: app.app.name.to_string(),
        cluster: app.cluster.clone(),
        timeout_ms: argosy_core::time::millis(timeout),
        kind: Some(kind),
    };
    let mut stream = hub.call(|mut client| async move { client.run_command(request).await }).await?;
    let work = async {
        let mut last = None;
        while let Some(progress) = stream.message().await.map_err(|status| hub.failure(&status))? {
            let enough = news(&progress)?;
            last = Some(progress);
            if enough {
                break;
            }
        }
        last.ok_or_else(|| Failure::Failed("the hub ended the command without a word".to_owned()))
    };
    tokio::time::timeout(timeout, work)
        .await
        .map_err(|_elapsed| Failure::Failed(format!("no end within {} s; it may go on", timeout.as_secs())))?
}

#[cfg(test)]
mod tests;
