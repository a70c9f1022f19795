//! `argosy why`.

use std::time::Duration;

use argosy_core::key::ResourceKey;
use argosy_proto::v1;

use crate::args::{AppArguments, Format};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view;
use crate::view::why::Why;

/// How long an agent may take to say why.
const READ: Duration = Duration::from_secs(30);

pub(super) async fn run(
    hub: &Hub,
    app: &AppArguments,
    key: &ResourceKey,
    format: Format,
) -> Result<u8, Failure> {
    let view = super::get_app(hub, app).await?;
    let v1::ResourceKey { group, kind, namespace, name, part } = key.into();
    let asked = v1::run_command_request::Kind::Why(v1::WhyCommand { group, kind, namespace, name, part });
    let why = match super::run_command(hub, app, READ, asked, |_| Ok(false)).await {
        Ok(progress) if progress.state() == v1::CommandState::Succeeded => Why::of(&view, key, &progress),
        Ok(progress) => return Err(Failure::Failed(view::command::end(&progress))),
        // The agent is away, or the app is on no cluster: what the hub knows is better than nothing.
        Err(Failure::NotNow(why)) => Why::last_known(&view, key, &why),
        Err(failure) => return Err(failure),
    };
    let text = match format {
        Format::Table => why.render(),
        Format::Json | Format::Yaml => output::document(format, &why)?,
    };
    output::print(&text)?;
    Ok(OK)
}
