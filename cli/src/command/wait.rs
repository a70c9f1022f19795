//! `argosy app wait`.

use std::time::Duration;

use argosy_core::ids::AppId;
use argosy_proto::v1;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::args::{AppArguments, Format, WaitArguments};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;
use crate::view::app::Document;

mod goal;

use self::goal::{Goal, Healths, State};

/// How often the hub is asked.
const POLL: Duration = Duration::from_millis(500);
/// How often the agent is asked for its objects: the link to it may be thin.
const POLL_AGENT: Duration = Duration::from_secs(2);
/// How often an app may be unknown before it is given up: its commit may be on its way to the hub.
const UNKNOWN: u32 = 20;

/// How far an app is.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// It is there.
    Reached,
    /// It is not; this is missing.
    Missing(String),
}

/// How a look at an app went.
enum Look {
    /// What is waited for is there; absent: the app is gone, as was waited for.
    Reached(Option<Box<v1::AppView>>),
    /// It is not; this is missing.
    Missing(String),
}

pub(super) async fn run(hub: &Hub, arguments: &WaitArguments) -> Result<u8, Failure> {
    let goal = Goal::new(arguments);
    for app in named(hub, arguments).await? {
        let view = reach(hub, &app, &goal, arguments.timeout).await?;
        output::print(&told(&app.app, view.as_ref(), arguments.output.format)?)?;
    }
    Ok(OK)
}

/// Gives the apps that are waited for. That no app has the labels is no success: it may be a label that nobody has.
async fn named(hub: &Hub, arguments: &WaitArguments) -> Result<Vec<AppArguments>, Failure> {
    let WaitArguments { apps, selector, cluster, .. } = arguments;
    let Some(selector) = selector else {
        let of = |app: &AppId| AppArguments { app: app.clone(), cluster: cluster.clone() };
        return Ok(apps.iter().map(of).collect());
    };
    let request = v1::ListAppsRequest { cluster: cluster.clone(), project: String::new() };
    let mut views = hub.call(|mut client| async move { client.list_apps(request).await }).await?.apps;
    views.retain(|view| selector.selects(&Document::of(view).labels()));
    if views.is_empty() {
        return Err(Failure::Failed(
            "no application has such labels: argosy app list -l ... shows them".to_owned(),
        ));
    }
    let of = |view: v1::AppView| AppArguments {
        app: AppId::new(view.namespace, view.name),
        cluster: view.cluster,
    };
    Ok(views.into_iter().map(of).collect())
}

/// Says what was reached.
fn told(app: &AppId, view: Option<&v1::AppView>, format: Format) -> Result<String, Failure> {
    match (view, format) {
        (Some(view), Format::Table) => Ok(view::list::table(std::slice::from_ref(view))),
        (Some(view), Format::Json | Format::Yaml) => super::app::detail(view, format),
        (None, Format::Table) => Ok(format!("Application '{app}' deleted\n")),
        (None, Format::Json | Format::Yaml) => {
            let (namespace, name) = (app.namespace.to_string(), app.name.to_string());
            output::document(format, &json!({"namespace": namespace, "name": name, "deleted": true}))
        }
    }
}

/// Waits for one app; gives it as it is then, unless it was waited for until it is gone.
async fn reach(
    hub: &Hub,
    app: &AppArguments,
    goal: &Goal,
    limit: Duration,
) -> Result<Option<v1::AppView>, Failure> {
    let mut missing = "nothing is known of it".to_owned();
    let work = poll(hub, app, goal, &mut missing);
    if limit.is_zero() {
        return work.await;
    }
    match timeout(limit, work).await {
        Ok(view) => view,
        Err(_elapsed) => Err(Failure::Failed(format!(
            "timed out ({}s) waiting for app {}: {missing}",
            limit.as_secs(),
            app.app
        ))),
    }
}

async fn poll(
    hub: &Hub,
    app: &AppArguments,
    goal: &Goal,
    missing: &mut String,
) -> Result<Option<v1::AppView>, Failure> {
    let mut unknown = 0;
    let mut before = Healths::default();
    let mut seen = false;
    loop {
        match look(hub, app, goal, &mut before).await {
            Ok(Look::Reached(view)) => return Ok(view.map(|view| *view)),
            Ok(Look::Missing(what)) => {
                seen = true;
                *missing = what;
            }
            Err(Failure::NotFound(message)) => {
                seen = true;
                unknown += 1;
                if unknown > UNKNOWN {
                    return Err(Failure::NotFound(message));
                }
                *missing = message;
            }
            // The hub was there: it may be starting again.
            Err(failure @ Failure::Unreachable { .. }) if seen => *missing = failure.to_string(),
            Err(failure) => return Err(failure),
        }
        sleep(if goal.asks_the_agent() { POLL_AGENT } else { POLL }).await;
    }
}

/// Looks at an app once.
async fn look(hub: &Hub, app: &AppArguments, goal: &Goal, before: &mut Healths) -> Result<Look, Failure> {
    match (goal, super::get_app(hub, app).await) {
        (Goal::Gone, Ok(view)) => Ok(Look::Missing(goal::still_there(&view))),
        (Goal::Gone, Err(Failure::NotFound(_))) => {
            let fleet = super::clusters(hub).await?.fleet;
            Ok(if goal::was_read(fleet.as_ref()) {
                Look::Reached(None)
            } else {
                Look::Missing("the hub has not read the fleet since it started".to_owned())
            })
        }
        (Goal::State(state), Ok(view)) => {
            let progress = progress(hub, app, state, &view, before).await?;
            Ok(match progress {
                Progress::Reached => Look::Reached(Some(Box::new(view))),
                Progress::Missing(what) => Look::Missing(what),
            })
        }
        (Goal::Gone | Goal::State(_), Err(failure)) => Err(failure),
    }
}

/// Tells how far an app is. The agent is asked for its objects once nothing else is missing.
async fn progress(
    hub: &Hub,
    app: &AppArguments,
    state: &State,
    view: &v1::AppView,
    before: &mut Healths,
) -> Result<Progress, Failure> {
    let progress = state.of(view);
    let (progress, now) = if state.is_limited() && progress == Progress::Reached {
        match super::app::ask_for_rows(hub, app).await {
            Ok(answer) => (state.of_rows(&answer.rows), state.healths(&answer.rows)),
            // What its agent does not say is not there.
            Err(Failure::NotNow(why) | Failure::Failed(why)) => return Ok(Progress::Missing(why)),
            Err(failure) => return Err(failure),
        }
    } else if state.is_limited() {
        return Ok(progress);
    } else {
        (progress, goal::health_of(view))
    };
    if progress != Progress::Reached
        && let Some((what, cause)) = before.turned_bad(now).filter(|_| state.minds_degraded())
    {
        let what =
            if what.is_empty() { format!("app {}", app.app) } else { format!("{what} of app {}", app.app) };
        return Err(Failure::Failed(format!("{what} became Degraded: {cause}")));
    }
    Ok(progress)
}

#[cfg(test)]
mod tests;
