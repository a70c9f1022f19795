//! `argosy app confirm`.

use std::time::Duration;

use argosy_core::ids::Digest;
use argosy_proto::v1;

use crate::args::AppArguments;
use crate::connection::Hub;
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view;

/// How long the agent may take to make a confirmation durable.
const CONFIRM: Duration = Duration::from_mins(1);

pub(super) async fn run(hub: &Hub, app: &AppArguments, plan: Option<Digest>) -> Result<u8, Failure> {
    let view = super::get_app(hub, app).await?;
    let age = view::age_of(view.observed.as_ref());
    let Some(held) = view.status.as_ref().and_then(|status| status.held.as_ref()) else {
        output::print(&format!("No deletes of {} are held (observed: {age}).\n", app.app))?;
        return Ok(if plan.is_some() { FAILED } else { OK });
    };
    output::print(&format!("{}Observed: {age}\n", view::app::deletes(held)))?;
    let shown = view::app::plan_of(held);
    let command = format!("argosy app confirm {} --plan {shown}", app.app);
    let Some(plan) = plan else {
        output::note(&format!("Nothing is deleted yet. To delete exactly these: {command}"))?;
        return Ok(FAILED);
    };
    if plan.as_bytes().as_slice() != held.plan {
        return Err(Failure::Failed(format!(
            "the plan {} is not the one that is held now; look at the list above, then: {command}",
            plan.short()
        )));
    }
    let kind = v1::run_command_request::Kind::Confirm(held.plan.clone());
    let progress = super::run_command(hub, app, CONFIRM, kind, |_| Ok(false)).await?;
    if progress.state() == v1::CommandState::Succeeded {
        output::print(&format!("Confirmed. {}\n", crate::text::clean(&view::command::end(&progress))))?;
        Ok(OK)
    } else {
        Err(Failure::Failed(view::command::end(&progress)))
    }
}
