//! `argosy app confirm`.

use std::time::Duration;

use argosy_core::ids::Digest;
use argosy_proto::v1;
use serde::Serialize;

use crate::args::{AppArguments, Format};
use crate::connection::Hub;
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view;
use crate::view::app::Held;

/// How long the agent may take to make a confirmation durable.
const CONFIRM: Duration = Duration::from_mins(1);

/// What was held and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Confirmation {
    app: String,
    /// Absent when nothing is held.
    held: Option<Held>,
    age_seconds: Option<u64>,
    confirmed: bool,
}

pub(super) async fn run(
    hub: &Hub,
    app: &AppArguments,
    plan: Option<Digest>,
    format: Format,
) -> Result<u8, Failure> {
    let view = super::get_app(hub, app).await?;
    let held = view.status.as_ref().and_then(|status| status.held.as_ref());
    let print = |people: &str, confirmed: bool| match format {
        Format::Table => output::print(people),
        Format::Json | Format::Yaml => {
            let age_seconds = view.observed.as_ref().map(|observed| observed.age_ms / 1_000);
            let held = held.map(Held::from);
            let document = Confirmation { app: app.app.to_string(), held, age_seconds, confirmed };
            output::print(&output::document(format, &document)?)
        }
    };
    let age = view::age_of(view.observed.as_ref());
    let Some(held) = held else {
        print(&format!("No deletes of {} are held (observed: {age}).\n", app.app), false)?;
        return Ok(if plan.is_some() { FAILED } else { OK });
    };
    let list = format!("{}Observed: {age}\n", view::app::deletes(held));
    let shown = view::app::plan_of(held);
    let command = format!("argosy app confirm {} --plan {shown}", app.app);
    let Some(plan) = plan else {
        print(&list, false)?;
        output::note(&format!("Nothing is deleted yet. To delete exactly these: {command}"))?;
        return Ok(FAILED);
    };
    if plan.as_bytes().as_slice() != held.plan {
        print(&list, false)?;
        return Err(Failure::Failed(format!(
            "the plan {} is not the one that is held now; look at the list above, then: {command}",
            plan.short()
        )));
    }
    let kind = v1::run_command_request::Kind::Confirm(held.plan.clone());
    let progress = super::run_command(hub, app, CONFIRM, kind, |_| Ok(false)).await?;
    let end = view::command::end(&progress);
    if progress.state() != v1::CommandState::Succeeded {
        print(&list, false)?;
        return Err(Failure::Failed(end));
    }
    print(&format!("{list}Confirmed. {}\n", crate::text::clean(&end)), true)?;
    Ok(OK)
}
