//! `argosy app diff`.

use std::time::Duration;

use argosy_proto::v1;

use crate::args::{AppArguments, Format};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;
use crate::view::diff::Differences;

pub(super) async fn run(
    hub: &Hub,
    app: &AppArguments,
    differs: u8,
    timeout: Duration,
    format: Format,
) -> Result<u8, Failure> {
    show(hub, app, differs, timeout, format).await.map_err(Failure::untold)
}

async fn show(
    hub: &Hub,
    app: &AppArguments,
    differs: u8,
    timeout: Duration,
    format: Format,
) -> Result<u8, Failure> {
    let kind = v1::run_command_request::Kind::Diff(v1::DiffCommand {});
    let progress = super::run_command(hub, app, timeout, kind, |_| Ok(false)).await?;
    let Some(diff) = progress.diff.as_ref().filter(|_| progress.state() == v1::CommandState::Succeeded)
    else {
        return Err(Failure::Failed(view::command::end(&progress)));
    };
    let observed = progress.observed.as_ref();
    match format {
        Format::Table => {
            output::print(&view::diff::text(diff))?;
            output::note(&view::diff::summary(diff, observed))?;
        }
        Format::Json | Format::Yaml => {
            let document = Differences::of(&app.app, diff, observed);
            output::print(&output::document(format, &document)?)?;
        }
    }
    let unknown = view::diff::unknown(diff);
    if !unknown.is_empty() {
        return Err(Failure::Failed(format!("not all could be compared: {}", unknown.join("; "))));
    }
    Ok(if diff.objects.is_empty() && diff.more == 0 { OK } else { differs })
}
