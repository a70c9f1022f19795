//! `argosy app sync`.

use std::time::Duration;

use argosy_core::ids::Digest;
use argosy_core::selection::{SELECTORS, SyncOptions};
use argosy_proto::v1;
use tokio::time::Instant;

use crate::args::{AppArguments, Format, SyncArguments};
use crate::connection::Hub;
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view::{command, rows};

mod revision;
mod shown;

pub(super) async fn run(hub: &Hub, arguments: &SyncArguments) -> Result<u8, Failure> {
    let options = options_of(arguments)?;
    let SyncArguments { app, timeout, detach, output, .. } = arguments;
    let mut expect = arguments.expect;
    if let Some(revision) = &arguments.revision {
        expect = Some(revision::release_of(&super::get_app(hub, app).await?, revision)?);
    }
    if arguments.preview_changes {
        match shown::show(hub, arguments, expect).await? {
            Some(release) => expect = Some(release),
            None => return Ok(OK),
        }
    }
    follow(hub, app, command_of(expect, arguments.prune, options), *timeout, *detach, output.format).await
}

fn options_of(arguments: &SyncArguments) -> Result<SyncOptions, Failure> {
    let options = arguments.options().map_err(Failure::Usage)?;
    if options.resources.len() > SELECTORS {
        return Err(Failure::Usage(format!("--resource may be given at most {SELECTORS} times")));
    }
    if arguments.preview_changes && arguments.output.format != Format::Table {
        return Err(Failure::Usage(
            "--preview-changes is for people: `argosy app diff -o json` tells programs what would change"
                .to_owned(),
        ));
    }
    Ok(options)
}

/// Gives what is asked of the agent. A sync that is as the document says is one that every agent knows, and one that says how
/// it is tried again is a command of its own: a hub or an agent that does not know it refuses it.
fn command_of(expect: Option<Digest>, prune: bool, options: SyncOptions) -> v1::run_command_request::Kind {
    use v1::run_command_request::Kind;
    let expect = expect.map(|root| root.as_bytes().to_vec()).unwrap_or_default();
    if options == SyncOptions::default() {
        return Kind::Sync(v1::SyncCommand { expect, prune });
    }
    let retried = options.retry.is_some();
    let command = v1::SyncWithCommand::new(expect, prune, options);
    if retried { Kind::SyncRetried(command) } else { Kind::SyncWith(command) }
}

/// How long what a sync did is waited for after its end, and how often it is asked for.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
const TOLD_EVERY: Duration = Duration::from_millis(100);
/// How far the ages that a hub tells may be off, in milliseconds.
const SLACK_MS: u64 = 500;

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
    let whole = is_of_the_whole(&kind);
    let mut rows = Rows::default();
    let mut told: Option<Told> = None;
    let began = Instant::now();
    let progress = super::run_command(hub, app, timeout, kind, |progress| {
        if let Some(newest) = Told::of_progress(progress) {
            rows.print(&newest, format)?;
            told = Some(newest);
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
    if !detach {
        let is_over = told.as_ref().is_some_and(|told| told.operation.finished);
        // What is over was told by the link; the hub's view says its commit, and how the objects are.
        let within = if is_over { Duration::ZERO } else { TOLD_WITHIN };
        if let Some(mut newest) = told_later(hub, app, &progress, began, within).await {
            add_rows(&mut newest.operation, told.as_ref().map(|told| &told.operation));
            rows.print(&newest, format)?;
            told = Some(newest);
        }
    }
    match format {
        Format::Table => {
            if let Some(told) = &told {
                output::print(&told.summary())?;
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
    let operation = told.as_ref().map(|told| &told.operation);
    if !went_well {
        output::note(&format!("argosy: {}", how_it_failed(operation, &progress.message, &end)))?;
        return Ok(FAILED);
    }
    let left = operation.filter(|operation| operation.finished).map(require_pruning);
    if whole && !detach && left != Some(0) && !is_synced(hub, app).await? {
        output::note(&format!("argosy: {}", what_is_left(left)))?;
        return Ok(FAILED);
    }
    Ok(OK)
}

/// Says what a sync left that went well otherwise; absent where that was not told in time.
fn what_is_left(left: Option<usize>) -> String {
    left.map_or_else(
        || "the sync ended, and what it left is not known yet: the application is not Synced; argosy app get tells".to_owned(),
        |left| format!("{left} resources require pruning"),
    )
}

/// Says how a command failed, and before that with which phase its sync ended, where it ran: scripts look for Argo CD's words.
fn how_it_failed(operation: Option<&v1::Operation>, message: &str, end: &str) -> String {
    let is_its_own = |of: &&v1::Operation| of.finished && ends_with(message, &of.message);
    let failed = |of: &&v1::Operation| of.phase() != v1::OperationPhase::Succeeded;
    match operation.filter(is_its_own).filter(failed) {
        Some(of) => format!("Operation has completed with phase: {}; {end}", of.phase().word()),
        None => end.to_owned(),
    }
}

/// Tells whether a command is a sync of all of an app: only such a one fails for what it leaves (Argo CD).
fn is_of_the_whole(kind: &v1::run_command_request::Kind) -> bool {
    use v1::run_command_request::Kind;
    match kind {
        Kind::Sync(_) => true,
        Kind::SyncWith(command) | Kind::SyncRetried(command) => {
            command.resources.is_empty() && !command.dry_run
        }
        Kind::Confirm(_)
        | Kind::Refresh(_)
        | Kind::Resources(_)
        | Kind::Terminate(_)
        | Kind::Diff(_)
        | Kind::Rollback(_)
        | Kind::History(_)
        | Kind::Why(_) => false,
    }
}

/// Counts what left the desired state and a sync did not delete.
fn require_pruning(operation: &v1::Operation) -> usize {
    operation.results.iter().filter(|row| row.code() == v1::ResultCode::PruneSkipped).count()
}

/// Tells whether an app is Synced all the same: what is left over need not count (`IgnoreExtraneous`).
async fn is_synced(hub: &Hub, app: &AppArguments) -> Result<bool, Failure> {
    let view = super::get_app(hub, app).await?;
    Ok(view.status.is_some_and(|status| status.sync() == v1::SyncStatus::Synced))
}

/// Gives what a sync did from the view of its application, which tells it with its next status: its end may be told before
/// that. Absent if that does not come within so long, or the sync never began.
async fn told_later(
    hub: &Hub,
    app: &AppArguments,
    progress: &v1::CommandProgress,
    began: Instant,
    within: Duration,
) -> Option<Told> {
    let asked = Instant::now();
    loop {
        // How the sync ended is known, whether or not the hub still answers.
        let view = super::get_app(hub, app).await.ok()?;
        let since = argosy_core::time::millis(began.elapsed());
        if let Some(operation) = of_command(&view, &progress.message, since) {
            let stated = view.observed.map(|observed| observed.stated_unix_ms);
            let resources = view.status.map(|status| status.resources).unwrap_or_default();
            return Some(Told { operation, stated, resources });
        }
        if asked.elapsed() >= within {
            return None;
        }
        tokio::time::sleep(TOLD_EVERY).await;
    }
}

/// Adds the rows that an agent's status does not have: what became of documents of the fleet is the hub's to tell.
fn add_rows(newest: &mut v1::Operation, told: Option<&v1::Operation>) {
    let lacks = |row: &&v1::ResultRow| !newest.results.iter().any(|of| of.key == row.key);
    let rows: Vec<v1::ResultRow> =
        told.into_iter().flat_map(|told| &told.results).filter(lacks).cloned().collect();
    newest.results.extend(rows);
}

/// Tells whether a command ended with an operation's words, behind which the hub says what it did itself.
fn ends_with(message: &str, operation: &str) -> bool {
    message.strip_prefix(operation).is_some_and(|rest| rest.is_empty() || rest.starts_with("; "))
}

/// Gives the operation of a view that began within so many milliseconds and ended with these words.
fn of_command(view: &v1::AppView, message: &str, since_ms: u64) -> Option<v1::Operation> {
    let operation = view.status.as_ref()?.operation.clone()?;
    let observed = view.observed.as_ref()?;
    let held = observed.at_unix_ms.saturating_sub(observed.stated_unix_ms);
    let stated_ago = observed.age_ms.saturating_add(u64::try_from(held).unwrap_or_default());
    let began_ago = operation.started_before_ms?.saturating_add(stated_ago);
    let is_it = operation.finished && ends_with(message, &operation.message);
    (is_it && began_ago <= since_ms.saturating_add(SLACK_MS)).then_some(operation)
}

/// Tells whether the agent has the command.
fn is_durable(state: v1::CommandState) -> bool {
    state != v1::CommandState::Unspecified
}

/// What is told of a sync.
struct Told {
    operation: v1::Operation,
    /// When its agent stated that, in milliseconds since 1970 by the hub's clock.
    stated: Option<i64>,
    /// How the objects of its app are, as far as that is told.
    resources: Vec<v1::ResourceRow>,
}

// === impl Told ===

impl Told {
    fn of_progress(progress: &v1::CommandProgress) -> Option<Self> {
        let operation = progress.operation.clone()?;
        let stated = progress.observed.as_ref().map(|observed| observed.stated_unix_ms);
        Some(Self { operation, stated, resources: Vec::new() })
    }

    /// Gives how the sync went, and every object that is told of.
    fn summary(&self) -> String {
        let operation = command::operation(&self.operation, self.stated);
        let table = rows::table(rows::rows(&self.resources, &self.operation.results, None));
        let gap = if table.is_empty() { "" } else { "\n" };
        format!("\n{operation}{gap}{table}{gap}")
    }
}

/// The rows of an operation that were printed.
#[derive(Default)]
struct Rows {
    printed: Vec<v1::ResultRow>,
}

// === impl Rows ===

impl Rows {
    /// Prints the rows that are new or changed, for people.
    fn print(&mut self, told: &Told, format: Format) -> Result<(), Failure> {
        match format {
            Format::Table => output::print(&self.news(&told.operation, told.stated)),
            Format::Json | Format::Yaml => Ok(()),
        }
    }

    /// Gives the text of the rows that are new or changed.
    fn news(&mut self, operation: &v1::Operation, stated: Option<i64>) -> String {
        let mut text = String::new();
        if self.printed.is_empty() && !operation.results.is_empty() {
            text.push_str(&command::sync_head());
        }
        for row in &operation.results {
            if !self.printed.contains(row) {
                text.push_str(&command::sync_row(row, stated));
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

    fn asked(line: &[&str]) -> Result<v1::run_command_request::Kind, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: SyncArguments,
        }
        let line = ["sync", "web"].iter().chain(line);
        let parsed = <Line as clap::Parser>::try_parse_from(line).map_err(|error| error.to_string())?;
        let options = options_of(&parsed.arguments).map_err(|failure| failure.to_string())?;
        Ok(command_of(parsed.arguments.expect, parsed.arguments.prune, options))
    }

    #[test]
    fn a_sync_that_is_not_quite_as_the_document_says_is_another_command() {
        use v1::run_command_request::Kind;
        assert!(matches!(asked(&["--prune"]), Ok(Kind::Sync(v1::SyncCommand { prune: true, .. }))));
        assert!(matches!(asked(&["--server-side", "--apply-out-of-sync-only"]), Ok(Kind::Sync(_))));
        for (line, selectors, dry_run, without_hooks) in [
            (&["--resource", ":ConfigMap:a", "--resource", "!*:*:shop/b"][..], 2, false, false),
            (&["--dry-run"], 0, true, false),
            (&["--strategy", "apply"], 0, false, true),
        ] {
            let Ok(Kind::SyncWith(command)) = asked(line) else { panic!("{line:?}") };
            let told = (command.resources.len(), command.dry_run, command.without_hooks);
            assert_eq!(told, (selectors, dry_run, without_hooks), "{line:?}");
        }
    }

    #[test]
    fn what_is_not_said_of_retries_is_as_in_argo_cd() {
        use v1::run_command_request::Kind;
        let retry = |line: &[&str]| {
            let Ok(Kind::SyncRetried(command)) = asked(line) else { panic!("{line:?}") };
            let retry = command.retry.unwrap();
            (retry.limit, retry.delay_ms, retry.factor, retry.max_delay_ms, retry.refresh)
        };
        assert_eq!(retry(&["--retry-limit", "3"]), (3, 5_000, 2, 180_000, false));
        assert_eq!(retry(&["--retry-limit", "-1", "--retry-refresh"]), (-1, 5_000, 2, 180_000, true));
        let all = ["--retry-limit=1", "--retry-backoff-duration=1m30s", "--retry-backoff-factor=3"];
        let all: Vec<&str> = all.into_iter().chain(["--retry-backoff-max-duration=1h"]).collect();
        assert_eq!(retry(&all), (1, 90_000, 3, 3_600_000, false));
        assert!(matches!(asked(&["--retry-limit", "0"]), Ok(Kind::Sync(_))), "as the document says");
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_its_flag() {
        let wrong = asked(&["--resource", "ConfigMap:a"]).unwrap_err();
        assert!(
            wrong.contains("Resource should have GROUP:KIND:NAME, but instead got: ConfigMap:a"),
            "{wrong}"
        );
        for (line, remedy) in [
            (&["--local", "."][..], "argosy plan"),
            (&["--retry-backoff-factor", "3"], "--retry-limit"),
            (&["--retry-refresh", "--retry-limit", "0"], "--retry-limit"),
            (&["--retry-backoff-duration", "2d"], "1m30s"),
            (&["--retry-backoff-factor", "0"], "between 1 and 100"),
            (&["--retry-refresh", "--retry-limit", "1", "--expect", &"00".repeat(32)], "cannot be used with"),
            (&["--preview-changes", "-o", "json"], "argosy app diff"),
            (&["--assumeYes"], "--preview-changes"),
        ] {
            let wrong = asked(line).unwrap_err();
            assert!(wrong.contains(line[0]) && wrong.contains(remedy), "{wrong}");
        }
        let many = vec!["--resource=:ConfigMap:a"; 257];
        assert!(asked(&many).unwrap_err().contains("at most 256"));
    }

    #[test]
    fn what_a_sync_did_is_told_from_what_an_earlier_one_did() {
        let view = |began, age_ms, message: &str| v1::AppView {
            status: Some(v1::AppStatus {
                operation: Some(v1::Operation {
                    message: message.to_owned(),
                    started_before_ms: Some(began),
                    finished: true,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            observed: Some(v1::Observation {
                age_ms,
                at_unix_ms: 9_000,
                stated_unix_ms: 8_000,
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(of_command(&view(100, 50, "done"), "done", 1_000).is_some());
        assert!(of_command(&view(100, 50, "done"), "else", 1_000).is_none());
        assert!(
            of_command(&view(100, 50, "done"), "done; 1 documents of the fleet are taken", 1_000).is_some()
        );
        assert!(of_command(&view(100, 50, "done"), "done with", 1_000).is_none());
        assert!(of_command(&view(100, 5_000, "done"), "done", 1_000).is_none());
        assert!(of_command(&v1::AppView::default(), "done", 1_000).is_none());
    }

    #[test]
    fn what_an_agent_does_not_tell_of_is_kept() {
        let left = |code: v1::ResultCode| {
            let mut operation = operation(&["a"]);
            operation.results[0].code = code.into();
            operation
        };
        let mut newest = operation(&["b"]);
        add_rows(&mut newest, Some(&left(v1::ResultCode::PruneSkipped)));
        assert_eq!((newest.results.len(), require_pruning(&newest)), (2, 1));
        let mut newest = operation(&["a"]);
        add_rows(&mut newest, Some(&left(v1::ResultCode::PruneSkipped)));
        assert_eq!((newest.results.len(), require_pruning(&newest)), (1, 0), "the newest word counts");
        add_rows(&mut newest, None);
        assert_eq!(newest.results.len(), 1);
    }

    #[test]
    fn each_row_is_printed_once() {
        let mut rows = Rows::default();
        let at = Some(1_700_000_000_000);
        assert_eq!(rows.news(&operation(&[]), at), "");
        assert_eq!(rows.news(&operation(&["a"]), at).lines().count(), 2);
        let news = rows.news(&operation(&["a", "b"]), at);
        assert!(news.contains("ConfigMap") && news.lines().count() == 1, "{news}");
        assert!(news.starts_with("2023-11-14T22:13:20+00:00 "), "{news}");
        assert_eq!(rows.news(&operation(&["a", "b"]), at), "");
    }

    #[test]
    fn a_failure_names_the_phase_of_the_sync_that_failed_and_of_no_other() {
        use v1::OperationPhase::{Error, Failed, Succeeded};
        let of = |phase: v1::OperationPhase, message: &str| v1::Operation {
            phase: phase.into(),
            message: message.to_owned(),
            finished: true,
            ..Default::default()
        };
        let said = |operation: Option<&v1::Operation>| {
            how_it_failed(operation, "broken", "command 01: Failed: broken")
        };
        assert_eq!(
            said(Some(&of(Failed, "broken"))),
            "Operation has completed with phase: Failed; command 01: Failed: broken"
        );
        assert!(said(Some(&of(Error, "broken"))).contains("phase: Error; command 01"));
        let running = v1::Operation { finished: false, ..of(Failed, "broken") };
        for other in [None, Some(of(Failed, "else")), Some(of(Succeeded, "broken")), Some(running)] {
            assert_eq!(said(other.as_ref()), "command 01: Failed: broken");
        }
    }
}
