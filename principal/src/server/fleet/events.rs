//! Events: what happened at the hub, and what the journals of clusters tell.

use std::time::Duration;

use argosy_core::hub::{Event, HubMachine};
use argosy_core::journal::{Told, Weight};
use argosy_core::store::{StoreError, StoreRead};
use argosy_core::time::{Now, WallTime};
use argosy_proto::v1;
use tokio::sync::mpsc;
use tonic::Status;

use super::failed;
use crate::engine::{Handle, Stopped};
use crate::server::view;

/// How often a journal is looked at for who follows it.
const LOOK: Duration = Duration::from_secs(2);

/// How far a reader is.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Number of the newest event of the hub.
    event: u64,
    /// Number of the next row of the journal, once some were read.
    row: Option<u64>,
}

/// Gives the time that is meant; `None` when none is said.
pub(super) fn moment(moment: Option<&v1::Moment>, now: Now) -> Option<WallTime> {
    Some(match moment?.at? {
        v1::moment::At::UnixMs(at) => WallTime(at),
        v1::moment::At::AgoMs(ago) => {
            WallTime(now.wall.0.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)))
        }
    })
}

/// Sends events until the reader goes, or there are no more and it does not follow.
pub(super) async fn tell(
    handle: &Handle,
    request: v1::EventsRequest,
    send: &mpsc::Sender<Result<v1::Event, Status>>,
) -> Result<(), Stopped> {
    let mut newest = handle.newest_event();
    let mut seen = Seen { event: 0, row: None };
    let follow = request.follow;
    let journal = request.since.is_some() && !request.cluster.is_empty();
    // Said once, so that "an hour ago" stays the same hour.
    let since = handle.query({
        let since = request.since;
        move |_, _, now| moment(since.as_ref(), now)
    });
    let since = since.await?;
    loop {
        newest.mark_unchanged();
        let cluster = request.cluster.clone();
        let found = handle
            .query(move |machine, store, now| gather(machine, store, &cluster, since, seen, now))
            .await?;
        let (now_seen, events) = match found {
            Ok(found) => found,
            Err(error) => {
                // Who does not listen any more needs no answer.
                let _unheard = send.send(Err(failed(&error))).await;
                return Ok(());
            }
        };
        seen = now_seen;
        for event in events {
            if send.send(Ok(event)).await.is_err() {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        let look =
            async { if journal { tokio::time::sleep(LOOK).await } else { std::future::pending().await } };
        tokio::select! {
            changed = newest.changed() => changed.map_err(|_gone| Stopped)?,
            () = look => {}
            () = send.closed() => return Ok(()),
        }
    }
}

/// Gives what a reader has not seen, in the order of time.
fn gather(
    machine: &HubMachine,
    store: &dyn StoreRead,
    cluster: &str,
    since: Option<WallTime>,
    seen: Seen,
    now: Now,
) -> Result<(Seen, Vec<v1::Event>), StoreError> {
    let all: Vec<&Event> = machine.events_after(seen.event).collect();
    let event = all.last().map_or(seen.event, |event| event.sequence);
    let wanted = |event: &&&Event| {
        (cluster.is_empty() || event.cluster.as_deref() == Some(cluster))
            && since.is_none_or(|since| event.at.wall >= since)
    };
    let mut events: Vec<v1::Event> = all.iter().filter(wanted).map(|event| view::event(event, now)).collect();
    let mut row = seen.row;
    if let Some(since) = since.filter(|_| !cluster.is_empty()) {
        let told = machine.journal_since(cluster, since, store)?.unwrap_or_default();
        let fresh = told.into_iter().filter(|told| row.is_none_or(|row| told.number >= row));
        let fresh: Vec<Told> = fresh.collect();
        row = fresh.last().map_or(row, |told| Some(told.number + 1));
        events.extend(fresh.into_iter().map(|told| recorded(told, cluster, now)));
        events.sort_by_key(|event| event.at_unix_ms);
    }
    Ok((Seen { event, row }, events))
}

/// One row of a journal.
pub(super) fn recorded(told: Told, cluster: &str, now: Now) -> v1::Event {
    let (namespace, name) = told.app.map(|app| (app.namespace, app.name)).unwrap_or_default();
    v1::Event {
        sequence: told.number,
        at_unix_ms: told.at.0,
        age_ms: u64::try_from(now.wall.0.saturating_sub(told.at.0)).unwrap_or(0),
        severity: match told.weight {
            Weight::Info => v1::Severity::Info,
            Weight::Warning => v1::Severity::Warning,
            Weight::Error => v1::Severity::Error,
        }
        .into(),
        reason: told.reason,
        message: told.message,
        cluster: cluster.to_owned(),
        app_namespace: namespace.to_string(),
        app_name: name.to_string(),
        resource: told.key.as_ref().map(Into::into),
        recorded: true,
        by_cluster_clock: !told.exact,
    }
}
