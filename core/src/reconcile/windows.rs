//! Sync windows: what they keep back, and when to look again.
//!
//! Kept back are the beginning of a sync, the next write of one that runs, and deletes that nobody confirmed; never a heal.
//! The newest list's windows count (M8).

use super::Reconciler;
use super::state::App;
use crate::clock::{Trusted, WALL_HOLDS_MS};
use crate::desired::{Assignment, Phase};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::local::{self, LocalPolicy};
use crate::store::StoreOp;
use crate::time::{Now, WallTime};
use crate::windows::{Asked, Outlook, Passage, Windows, moment};

/// What a sync says that waits for a window (Argo CD).
pub(super) const BLOCKED: &str = "Sync operation blocked by sync window";

/// How an app's windows stand.
#[derive(Debug, Default)]
pub(super) struct Gatekeeper {
    windows: Windows,
    outlook: Outlook,
    /// Until when the outlook holds, in elapsed milliseconds; absent: as long as nothing happens.
    holds_until: Option<u64>,
    /// It was never worked out, or what it rests on has changed.
    stale: bool,
    /// Whether the time is known.
    timed: bool,
    /// That a sync waits was told.
    told: bool,
}

// === impl Gatekeeper ===

impl Gatekeeper {
    /// Takes the windows of the newest list, and those of the agent's own policy: both have to let a sync through.
    pub(super) fn adopt(&mut self, listed: Option<&Assignment>, local: Option<&LocalPolicy>) {
        self.windows = Windows::default();
        if let Some(active) = listed.filter(|listed| listed.phase == Phase::Active) {
            let own = local.map(|local| local.windows_of(&active.app.name, &active.destination));
            let own = own.unwrap_or_default();
            self.windows = Windows::of(&active.limits.windows).and(&own, local::WHOSE);
        }
        self.stale = true;
    }

    /// Gives when to look again, in elapsed milliseconds.
    pub(super) fn due(&self) -> Option<u64> {
        self.holds_until
    }

    /// Tells whether syncs may begin.
    pub(super) fn passage(&self, asked: Asked) -> &Passage {
        match asked {
            Asked::ByPolicy => &self.outlook.automated,
            Asked::ByOperator => &self.outlook.manual,
        }
    }

    /// Says why a sync waits, and how long.
    fn reason(&self, windows: &[String]) -> String {
        let until = match self.outlook.until {
            Some(until) => format!(" until {}", moment(until)),
            None if self.timed => String::new(),
            None => ": this machine's clock is not trusted, so every window counts as closed until a hub has told \
                     the time"
                .to_owned(),
        };
        format!("sync window {}{until}", windows.join(", "))
    }

    /// Refuses a sync that somebody asks for; absent when it may begin.
    pub(super) fn refusal(&self) -> Option<String> {
        match &self.outlook.manual {
            Passage::Open => None,
            Passage::Blocked(windows) => Some(format!("cannot sync: blocked by {}", self.reason(windows))),
        }
    }

    /// Says what keeps back the syncs of an app.
    fn waits_for(&self, asked: Asked) -> Option<String> {
        let Passage::Blocked(windows) = self.passage(asked) else { return None };
        let manual =
            if self.outlook.manual.is_open() { "; one that is asked for is let through" } else { "" };
        Some(format!("syncs wait for {}{manual}", self.reason(windows)))
    }
}

impl App {
    /// Tells who asked for the sync that runs.
    fn asked(&self) -> Asked {
        let by_operator = self.operation.as_ref().is_some_and(|operation| operation.command.is_some());
        if by_operator { Asked::ByOperator } else { Asked::ByPolicy }
    }

    /// Says what windows keep back, if they keep anything back: a sync that runs, or what is not Synced.
    pub(super) fn window_condition(&self, is_synced: bool) -> Option<String> {
        let waits = match (&self.operation, &self.work) {
            (Some(_), Some(work)) => work.blocked,
            (Some(_), None) | (None, _) => !is_synced,
        };
        let automated = self.listed.as_ref().is_some_and(|listed| listed.policy.automated.is_some());
        let asked = if automated { Asked::ByPolicy } else { Asked::ByOperator };
        self.gatekeeper.waits_for(asked).filter(|_| waits)
    }
}

impl Reconciler {
    /// Takes the time that a hub states, proved by its certificate.
    pub fn time_proved(&mut self, wall: WallTime, now: Now) {
        let row = self.clock.proved(wall, now);
        self.clock_set(Some(row));
    }

    /// Takes a time that has passed since: that of a bundle that was imported.
    pub fn time_passed(&mut self, wall: WallTime, now: Now) {
        let row = self.clock.passed(wall, now);
        self.clock_set(row);
    }

    fn clock_set(&mut self, row: Option<StoreOp>) {
        if row.is_some() {
            self.out.ops.extend(row);
            for state in self.apps.values_mut() {
                state.gatekeeper.stale = true;
            }
        }
    }

    /// Works out how the windows of every app stand, where that may have changed.
    pub(super) fn look_at_windows(&mut self, now: Now) {
        let time = self.clock.time(now);
        for (app, state) in &mut self.apps {
            let keeper = &mut state.gatekeeper;
            if !keeper.stale && keeper.holds_until.is_none_or(|until| until > now.ms()) {
                continue;
            }
            keeper.stale = false;
            keeper.timed = time.time().is_some();
            let outlook = keeper.windows.outlook(time.time());
            keeper.holds_until = holds_until(&outlook, time, now);
            if keeper.outlook == outlook {
                continue;
            }
            let opened =
                keeper.outlook.automated != outlook.automated || keeper.outlook.manual != outlook.manual;
            keeper.outlook = outlook;
            keeper.told &= !keeper.outlook.automated.is_open();
            self.dirty.insert(app.clone());
            if opened {
                self.judge.insert(app.clone());
            }
        }
    }

    /// Tells whether an automated sync has to wait before it begins; the first time in a row that is an event.
    pub(super) fn must_wait_for_window(&mut self, app: &AppId) -> bool {
        let Some(keeper) = self.apps.get_mut(app).map(|state| &mut state.gatekeeper) else { return false };
        let Passage::Blocked(windows) = &keeper.outlook.automated else { return false };
        if !keeper.told {
            let message = format!("a sync waits for {}", keeper.reason(windows));
            keeper.told = true;
            self.event(app, None, "SyncBlocked", message);
        }
        true
    }

    /// Tells whether the sync of an app that runs has to wait before its next write, and says so.
    pub(super) fn is_blocked(&mut self, app: &AppId, now: Now) -> bool {
        let time = self.clock.time(now).time();
        let Some(state) = self.apps.get_mut(app) else { return false };
        let Some(operation) = &state.operation else { return false };
        // One that was ended goes on to its end; what leaves with its whole app waits for no window (Argo CD).
        let blocked = !operation.terminated
            && operation.farewell.is_none()
            && !state.gatekeeper.windows.passage(time, state.asked(), operation.began).is_open();
        let Some(work) = &mut state.work else { return blocked };
        if work.blocked != blocked {
            work.blocked = blocked;
            self.dirty.insert(app.clone());
        }
        blocked
    }

    /// Tells whether windows keep a delete back: one that nobody confirmed or asked for waits as an automated sync does.
    /// What leaves with its whole app waits for no window (Argo CD).
    pub(super) fn is_delete_blocked(&self, app: &AppId, key: &ResourceKey, counted: bool) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        if self.phase_of(app) != Phase::Active || state.operation.is_some() {
            // A sync that runs waits as a whole.
            return state.work.as_ref().is_some_and(|work| work.blocked);
        }
        let asked =
            if counted && !state.is_asked_to_prune(key) { Asked::ByPolicy } else { Asked::ByOperator };
        !state.gatekeeper.passage(asked).is_open()
    }

    /// Gives the time that an operation that begins now remembers.
    pub(super) fn trusted_time(&self, now: Now) -> Option<WallTime> {
        self.clock.time(now).time()
    }
}

/// Gives until when an outlook holds, in elapsed milliseconds.
fn holds_until(outlook: &Outlook, time: Trusted, now: Now) -> Option<u64> {
    let at = time.time()?;
    let change = outlook.next?;
    let wait = u64::try_from(change.0.saturating_sub(at.0)).unwrap_or_default().max(1);
    let wait = match time {
        Trusted::Proved(_) | Trusted::Unknown => wait,
        Trusted::Plausible(_) => wait.min(WALL_HOLDS_MS),
    };
    Some(now.ms().saturating_add(wait))
}
