//! `argosy app sync`.

use std::time::Duration;

use argosy_core::ids::Digest;
use argosy_proto::v1;

use crate::args::{AppArguments, Format};
use crate::connection::Hub;
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view::command;

/// How to sync.
pub(super) struct Options {
    pub(super) prune: bool,
    pub(super) expect: Option<Digest>,
    pub(super) timeout: Duration,
    pub(super) detach: bool,
    pub(super) format: Format,
}

pub(super) async fn run(hub: &Hub, app: &AppArguments, options: &Options) -> Result<u8, Failure> {
    let expect = options.expect.map(|root| root.as_bytes().to_vec()).unwrap_or_default();
    let kind = v1::run_command_request::Kind::Sync(v1::SyncCommand { expect, prune: options.prune });
    follow(hub, app, kind, options.timeout, options.detach, options.format).await
}

/// Asks for a sync of any kind, and follows it to its end.
pub(super) async fn follow(
    hub: &Hub,
    app: &AppArguments,
    kind: v1::run_command_request::Kind,
    timeout: Duration,
    detach: bool,
    format: Format,
) -> Result<u8, Failure> {
    if timeout.is_zero() {
        return Err(Failure::Usage(
            "--timeout must be above 0: a sync is followed for at most that long".to_owned(),
        ));
    }
    let mut rows = Rows::default();
    let mut operation = None;
    let progress = super::run_command(hub, app, timeout, kind, |progress| {
        if let Some(newest) = &progress.operation {
            if format == Format::Table {
                output::print(&rows.news(newest))?;
            }
            operation = Some(newest.clone());
        }
        Ok(detach && is_durable(progress.state()))
    })
    .await?;
    let went_well = match progress.state() {
        v1::CommandState::Succeeded => true,
        v1::CommandState::Accepted | v1::CommandState::Running => detach,
        v1::CommandState::Unspecified
        | v1::CommandState::Failed
        | v1::CommandState::Superseded
        | v1::CommandState::Interrupted
        | v1::CommandState::TooLate => false,
    };
    let end = command::end(&progress);
    match format {
        Format::Table => {
            if let Some(operation) = &operation {
                output::print(&format!("\n{}", command::operation(operation)))?;
            }
            if went_well {
                output::print(&format!("{}\n", crate::text::clean(&end)))?;
            }
        }
        Format::Json | Format::Yaml => {
            let view = super::get_app(hub, app).await?;
            output::print(&super::app::detail(&view, format)?)?;
        }
    }
    if went_well {
        return Ok(OK);
    }
    output::note(&format!("argosy: {end}"))?;
    Ok(FAILED)
}

/// Tells whether the agent has the command.
fn is_durable(state: v1::CommandState) -> bool {
    state != v1::CommandState::Unspecified
}

/// The rows of an operation that were printed.
#[derive(Default)]
struct Rows {
    printed: Vec<v1::ResultRow>,
}

// === impl Rows ===

impl Rows {
    /// Gives the text of the rows that are new or changed.
    fn news(&mut self, operation: &v1::Operation) -> String {
        let mut text = String::new();
        if self.printed.is_empty() && !operation.results.is_empty() {
            text.push_str(&command::sync_head());
        }
        for row in &operation.results {
            if !self.printed.contains(row) {
                text.push_str(&command::sync_row(row));
            }
        }
        if !operation.results.is_empty() {
            self.printed.clone_from(&operation.results);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(names: &[&str]) -> v1::Operation {
        let row = |name: &&str| v1::ResultRow {
            key: Some(v1::ResourceKey {
                kind: "ConfigMap".to_owned(),
                name: (*name).to_owned(),
                ..Default::default()
            }),
            code: v1::ResultCode::Synced.into(),
            ..Default::default()
        };
        v1::Operation { results: names.iter().map(row).collect(), ..Default::default() }
    }

    #[test]
    fn each_row_is_printed_once() {
        let mut rows = Rows::default();
        assert_eq!(rows.news(&operation(&[])), "");
        assert_eq!(rows.news(&operation(&["a"])).lines().count(), 2);
        let news = rows.news(&operation(&["a", "b"]));
        assert!(news.contains("ConfigMap") && news.lines().count() == 1, "{news}");
        assert_eq!(rows.news(&operation(&["a", "b"])), "");
    }
}
