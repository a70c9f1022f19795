//! What somebody at the edge does by hand, with no hub: looks, confirms, pauses, resumes, carries files.

use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use argosy_core::pause::{PauseKind, PauseOrder, PauseRefused};
use argosy_runtime::clock::Clock;
use argosy_runtime::files;
use tokio::time::{Instant, sleep};

use crate::args::{
    ConfirmArgs, Format, HistoryArgs, ImportArgs, OrderArgs, ReceiptsArgs, RollbackArgs, StatusArgs,
};
use crate::control::{self, AskError, ConfirmReply, Deployed, ImportReply, OrderQuestion, Question, Reply};
use crate::identity::Folder;
use crate::report::Report;

/// How long writes that were sent before a pause are waited for.
const SETTLE: Duration = Duration::from_mins(1);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Shows deletes that are held, or confirms them; `tell` prints a line.
pub async fn confirm(args: &ConfirmArgs, tell: impl Fn(&str)) -> anyhow::Result<()> {
    let question = Question::Confirm { app: args.app.to_string(), plan: args.plan };
    let Reply::Confirm(reply) = ask(&args.data_dir, &question).await? else { anyhow::bail!(OTHER) };
    let ConfirmReply { error, confirmed, plan, reason, deletes, count } = reply;
    if let Some(plan) = plan {
        tell(&format!("{count} deletes of app {} are held: {reason}", args.app));
        for (key, uid) in &deletes {
            tell(&format!("  {key}  uid {uid}"));
        }
        let more = count.saturating_sub(deletes.len() as u64);
        if more > 0 {
            tell(&format!("  and {more} more"));
        }
        tell(&format!("plan {plan}"));
    }
    if let Some(error) = error {
        anyhow::bail!(error);
    }
    anyhow::ensure!(
        confirmed,
        "nothing was confirmed: look at the list, then pass --plan with the digest above"
    );
    tell("confirmed");
    Ok(())
}

/// Shows the releases that an app was synced to; `tell` prints a line.
pub async fn history(args: &HistoryArgs, tell: impl Fn(&str)) -> anyhow::Result<()> {
    let question = Question::History { app: args.app.to_string() };
    let Reply::History(rows) = ask(&args.data_dir, &question).await? else { anyhow::bail!(OTHER) };
    if rows.is_empty() {
        tell(&format!("app {} has no history on this cluster", args.app));
    }
    for row in &rows {
        tell(&deployed(row));
    }
    Ok(())
}

/// Goes back to an older release; `tell` prints a line.
pub async fn rollback(args: &RollbackArgs, tell: impl Fn(&str)) -> anyhow::Result<()> {
    let question = Question::Rollback { app: args.app.to_string(), id: args.id };
    let Reply::Rollback(row) = ask(&args.data_dir, &question).await? else { anyhow::bail!(OTHER) };
    tell(&format!("app {} goes back to: {}", args.app, deployed(&row)));
    tell("argosy-agent status shows how it goes");
    Ok(())
}

fn deployed(row: &Deployed) -> String {
    let age = row.age_ms.map_or_else(
        || format!("at {} ms since 1970 by this machine's clock", row.at_unix_ms),
        |age| format!("{} s ago", age / 1000),
    );
    let healthy = if row.healthy { ", was healthy" } else { "" };
    format!("{}  release {}  {age}{healthy}", row.id, row.root.short())
}

/// Pauses, or ends a pause; of an agent that is not running as well. `tell` prints a line.
pub async fn order(kind: PauseKind, args: &OrderArgs, tell: impl Fn(&str)) -> anyhow::Result<()> {
    let by = args.by.clone().unwrap_or_else(user);
    let words = OrderQuestion { by: by.clone(), reason: args.reason.clone() };
    let question = match kind {
        PauseKind::Pause => Question::Pause(words),
        PauseKind::Resume => Question::Resume(words),
    };
    let folder = Folder::at(&args.data_dir);
    match control::ask(&folder.socket(), &question).await {
        Ok(Reply::Order(reply)) => {
            if let Some(unchanged) = reply.unchanged {
                tell(&unchanged);
                return Ok(());
            }
            if kind == PauseKind::Resume {
                tell("resumed");
                return Ok(());
            }
            if reply.writes_under_way > 0 {
                tell(&format!(
                    "paused; {} writes that were sent before are under way",
                    reply.writes_under_way
                ));
            }
            settle(&args.data_dir).await?;
            tell("paused: nothing is written until argosy-agent resume");
            Ok(())
        }
        Ok(
            Reply::Confirm(_)
            | Reply::History(_)
            | Reply::Rollback(_)
            | Reply::Status(_)
            | Reply::Imported(_)
            | Reply::Receipts(_)
            | Reply::Failed(_),
        ) => {
            anyhow::bail!(OTHER)
        }
        Err(AskError::Nobody { .. }) => order_beside(kind, &by, args, &folder, tell),
        Err(error @ (AskError::Broken(_) | AskError::Undecodable(_) | AskError::Refused(_))) => {
            Err(error.into())
        }
    }
}

/// Shows a running agent.
pub async fn status(args: &StatusArgs) -> anyhow::Result<String> {
    let report = report(&args.data_dir).await?;
    Ok(match args.output {
        Format::Table => report.render(),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    })
}

/// Hands a bundle to a running agent; `tell` prints a line.
pub async fn import(args: &ImportArgs, tell: impl Fn(&str)) -> anyhow::Result<()> {
    let socket = Folder::at(&args.data_dir).socket();
    let file = if args.file.as_os_str() == "-" {
        let input = std::io::stdin().as_fd().try_clone_to_owned().context("the standard input is closed")?;
        std::fs::File::from(input)
    } else {
        std::fs::File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?
    };
    let file = tokio::fs::File::from_std(file);
    let ImportReply { generation, apps, already } = control::send_bundle(&socket, file).await?;
    let idle = match report(&args.data_dir).await {
        Ok(report) => report.read_only,
        Err(error) => Some(format!("nobody says whether it will be: {error:#}")),
    };
    tell(&taken(generation, apps, already, idle.as_deref()));
    Ok(())
}

/// Says what came of a bundle; `idle` says why the agent writes nothing, if it does not.
fn taken(generation: u64, apps: u64, already: bool, idle: Option<&str>) -> String {
    let what = if already { "already stored" } else { "imported" };
    let head = format!("{what}: head {generation} with {apps} apps");
    match (idle, already) {
        (Some(why), true) => format!("{head}; nothing is written to the cluster: {why}"),
        (Some(why), false) => format!("{head} is durable; nothing is written to the cluster: {why}"),
        (None, true) => head,
        (None, false) => format!("{head} is durable, and is being applied"),
    }
}

/// Writes receipts of a running agent to the standard output.
pub async fn receipts(args: &ReceiptsArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    anyhow::ensure!(!out.is_terminal(), "receipts are a file: argosy-agent receipts --data-dir D > FILE");
    let bytes = control::fetch_receipts(&Folder::at(&args.data_dir).socket()).await?;
    out.write_all(&bytes).and_then(|()| out.flush()).context("the receipts cannot be written")
}

/// Leaves the order for an agent that is not running.
fn order_beside(
    kind: PauseKind,
    by: &str,
    args: &OrderArgs,
    folder: &Folder,
    tell: impl Fn(&str),
) -> anyhow::Result<()> {
    let _lock = files::lock_folder(&args.data_dir)?.with_context(|| {
        format!(
            "an agent has {} open and does not listen: it is starting or stopping",
            args.data_dir.display()
        )
    })?;
    let now = Clock::new()?.now();
    let order = PauseOrder::new(kind, by, &args.reason, now);
    match order.follows(folder.order(now).as_ref()) {
        Ok(()) => folder.save_order(&order)?,
        Err(refused @ (PauseRefused::Already(_) | PauseRefused::NotPaused | PauseRefused::Unsaved(_))) => {
            tell(&refused.to_string());
            return Ok(());
        }
    }
    tell(match kind {
        PauseKind::Pause => "paused: no agent is running here, and the next one starts paused",
        PauseKind::Resume => "resumed: no agent is running here, and the next one writes",
    });
    Ok(())
}

/// Waits until the writes that were sent before a pause have their answers.
async fn settle(data: &Path) -> anyhow::Result<()> {
    let until = Instant::now() + SETTLE;
    loop {
        let under_way = report(data).await?.writes_under_way;
        if under_way == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < until,
            "paused, but {under_way} writes that were sent before still have no answer: they may yet take effect"
        );
        sleep(LOOK).await;
    }
}

async fn report(data: &Path) -> anyhow::Result<Report> {
    match ask(data, &Question::Status).await? {
        Reply::Status(report) => Ok(*report),
        Reply::Confirm(_)
        | Reply::History(_)
        | Reply::Rollback(_)
        | Reply::Order(_)
        | Reply::Imported(_)
        | Reply::Receipts(_)
        | Reply::Failed(_) => anyhow::bail!(OTHER),
    }
}

async fn ask(data: &Path, question: &Question) -> Result<Reply, AskError> {
    control::ask(&Folder::at(data).socket(), question).await
}

const OTHER: &str = "the agent answers something else than was asked";

/// Gives the name of whoever runs this command, behind sudo too.
fn user() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_into_an_agent_that_writes_nothing_says_so_and_why() {
        assert_eq!(taken(7, 2, false, None), "imported: head 7 with 2 apps is durable, and is being applied");
        assert_eq!(
            taken(7, 2, false, Some("paused by ana")),
            "imported: head 7 with 2 apps is durable; nothing is written to the cluster: paused by ana"
        );
        assert_eq!(
            taken(7, 2, true, Some("paused by ana")),
            "already stored: head 7 with 2 apps; nothing is written to the cluster: paused by ana"
        );
        assert_eq!(taken(7, 2, true, None), "already stored: head 7 with 2 apps");
    }
}
