//! `argosy app history`.

use std::time::Duration;

use argosy_proto::v1;

use crate::args::{AppArguments, Format, HistoryFormat};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;
use crate::view::history::{self, Deployment};

/// How long an agent may take to list its history.
const READ: Duration = Duration::from_secs(30);

pub(super) async fn run(hub: &Hub, app: &AppArguments, format: HistoryFormat) -> Result<u8, Failure> {
    let kind = v1::run_command_request::Kind::History(v1::HistoryCommand {});
    let progress = super::run_command(hub, app, READ, kind, |_| Ok(false)).await?;
    if progress.state() != v1::CommandState::Succeeded {
        return Err(Failure::Failed(view::command::end(&progress)));
    }
    let documents =
        |format| output::document(format, &progress.history.iter().map(Deployment::from).collect::<Vec<_>>());
    let text = match format {
        HistoryFormat::Table => {
            let view = super::get_app(hub, app).await?;
            history::table(&view, &progress.history)
        }
        HistoryFormat::Id => history::ids(&progress.history),
        HistoryFormat::Json => documents(Format::Json)?,
        HistoryFormat::Yaml => documents(Format::Yaml)?,
    };
    output::print(&text)?;
    Ok(OK)
}
