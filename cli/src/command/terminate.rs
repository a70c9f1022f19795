//! `argosy app terminate-op`.

use std::time::Duration;

use argosy_proto::v1;

use crate::args::AppArguments;
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view::command;

/// How long the agent may take to make it durable.
const TERMINATE: Duration = Duration::from_mins(1);

pub(super) async fn run(hub: &Hub, app: &AppArguments) -> Result<u8, Failure> {
    let kind = v1::run_command_request::Kind::Terminate(v1::TerminateCommand {});
    let progress = super::run_command(hub, app, TERMINATE, kind, |_| Ok(false)).await?;
    if progress.state() != v1::CommandState::Succeeded {
        return Err(Failure::Failed(command::end(&progress)));
    }
    output::print(&format!("The sync of {} ends: argosy app get {} shows it.\n", app.app, app.app))?;
    Ok(OK)
}
