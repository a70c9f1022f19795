//! Receipts: what an agent with no link says of itself, by file.

use super::Refused;
use crate::bundle::{Receipts, ReceiptsHeader, ReceiptsRefused};
use crate::hub::{Context, Effects, HubMachine, Reply, Severity, Staged, link_context};
use crate::ids::{BootId, ClusterId, RejoinSerial};
use crate::journal::Sent;
use crate::registry::Standing;
use crate::session::hub::{HubContext, HubLink};
use crate::store::StoreError;
use crate::time::{MonoTime, Now, WallTime};

/// How far the agent's clock may be off before it is not believed.
const OFF_MS: i64 = 300_000;

/// Receipts whose seal was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptsRequest {
    /// The cluster that their certificate names.
    pub cluster: ClusterId,
    /// Which of its joins that came from.
    pub rejoin: RejoinSerial,
    /// What they say they are of.
    pub header: ReceiptsHeader,
    /// What they say.
    pub receipts: Receipts,
}

/// What came of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptsTaken {
    /// The cluster's name.
    pub name: String,
    /// The head that its agent held.
    pub generation: Option<crate::ids::Generation>,
    /// Apps that it told of.
    pub apps: u64,
    /// Whether they were taken before.
    pub already: bool,
}

impl HubMachine {
    pub(super) fn take_receipts(
        &mut self,
        request: ReceiptsRequest,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let cluster = request.cluster;
        let name = match self.judge_receipts(&request) {
            Ok(name) => name,
            Err(refused) => return Ok(Err(self.refuse_receipts(cluster, refused, context, effects))),
        };
        let ReceiptsRequest { header, mut receipts, .. } = request;
        let then = backdated(header.made, self.heard_of(cluster), context.now);
        let sent = if then.is_some() { Sent::Then } else { Sent::Before };
        if then.is_none() {
            // A clock that is off tells no age: unknown is said as unknown.
            for batch in &mut receipts.statuses {
                batch.observed = None;
            }
        }
        let then = then.unwrap_or(context.now);
        let Some(link) = self.links.get_mut(&cluster) else {
            return Ok(Err(Refused::NoCluster(name)));
        };
        let taken = link.take_receipts(&receipts, then, &mut link_context(context, context.store))?;
        let (said, already) = match taken {
            Ok(taken) => taken,
            Err(refused) => return Ok(Err(self.refuse_receipts(cluster, refused, context, effects))),
        };
        self.absorb(cluster, said, context.now, effects);
        if !already {
            self.take_journals(cluster, &receipts, (then, sent), context, effects)?;
            self.look_at_acknowledged(cluster);
            self.look_behind(cluster, context.now);
            self.may_collect = true;
        }
        let generation = receipts.hello.head.map(|held| held.head.generation);
        if !already {
            let head = generation.map_or("no head".to_owned(), |generation| format!("head {generation}"));
            let message = format!("receipts came by file: its agent holds {head}");
            let name = Some(name.clone());
            self.tell(Severity::Info, "ReceiptsTaken", message, name, None, context.now, effects);
        }
        let told = receipts.statuses.iter().flat_map(|batch| &batch.entries);
        let apps = told.filter(|entry| entry.value.is_some()).count() as u64;
        Ok(Ok(Reply::Received(ReceiptsTaken { name, generation, apps, already })))
    }

    /// Says whose receipts they are, and whether that is a member.
    fn judge_receipts(&self, request: &ReceiptsRequest) -> Result<String, ReceiptsRefused> {
        let (ours, theirs) = (self.installation, request.header.installation);
        if ours != theirs {
            return Err(ReceiptsRefused::OtherHub { ours, theirs });
        }
        let (cluster, theirs) = (request.cluster, request.header.cluster);
        if cluster != theirs {
            return Err(ReceiptsRefused::OtherCluster { ours: cluster, theirs });
        }
        let why = match self.registry.standing(cluster, request.rejoin) {
            Standing::Member => None,
            Standing::Revoked => Some("which was revoked"),
            Standing::Superseded => Some("whose certificate was revoked when it was asked to join again"),
            Standing::Unknown => Some("which is in no registry of this hub"),
        };
        match (why, self.registry.name_of(cluster)) {
            (None, Some(name)) => Ok(name.to_owned()),
            (Some(why), _) => Err(ReceiptsRefused::NoMember { cluster, why }),
            (None, None) => Err(ReceiptsRefused::NoMember { cluster, why: "which has no name" }),
        }
    }

    /// Gives when the agent of a cluster was last heard, or enrolled: nothing that is new was made before.
    fn heard_of(&self, cluster: ClusterId) -> Option<WallTime> {
        let seen = self.links.get(&cluster).and_then(HubLink::last_seen);
        let member = self.registry.get(cluster);
        seen.max(member.and_then(|member| member.joined.as_ref()).map(|joined| joined.at))
    }

    fn refuse_receipts(
        &mut self,
        cluster: ClusterId,
        refused: ReceiptsRefused,
        context: &Context<'_>,
        effects: &mut Effects,
    ) -> Refused {
        let name = self.registry.name_of(cluster).map(str::to_owned);
        self.tell(
            Severity::Warning,
            "ReceiptsRefused",
            refused.to_string(),
            name,
            None,
            context.now,
            effects,
        );
        Refused::Receipts(refused)
    }

    fn take_journals(
        &mut self,
        cluster: ClusterId,
        receipts: &Receipts,
        (then, sent): (Now, Sent),
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        for batch in &receipts.journal {
            let revisions = self.revisions_of(cluster, batch);
            let Some(link) = self.links.get_mut(&cluster) else { return Ok(()) };
            link.set_revisions(revisions);
            let ops = std::mem::take(&mut effects.ops);
            let staged = Staged::new(context.store, &ops);
            let then = HubContext { now: then, ..link_context(context, &staged) };
            let said = link.take_receipts_journal(batch, sent, &then)?;
            effects.ops = ops;
            self.absorb(cluster, said, context.now, effects);
        }
        Ok(())
    }
}

/// Gives the hub's time at which the agent's clock showed `made`, taken that the two agree; `None` when they cannot: that
/// is ahead, or before what was heard of the agent last.
fn backdated(made: WallTime, heard: Option<WallTime>, now: Now) -> Option<Now> {
    let age = now.wall.0.saturating_sub(made.0);
    // The hub's own clock may have been ahead when it heard that.
    let heard = heard.filter(|heard| *heard <= now.wall);
    let is_behind = heard.is_some_and(|heard| heard.0.saturating_sub(made.0) > OFF_MS);
    if age < -OFF_MS || is_behind {
        return None;
    }
    let age = age.max(0);
    let wall = WallTime(now.wall.0.saturating_sub(age));
    let ms = u64::try_from(age).unwrap_or_default();
    // Before this boot only the wall clock tells: a boot that was never.
    let mono = now.mono.elapsed_ms.checked_sub(ms).map_or(
        MonoTime { boot: BootId::new([0; 16]), elapsed_ms: 0 },
        |elapsed_ms| MonoTime { elapsed_ms, ..now.mono },
    );
    Some(Now { mono, wall })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now {
        mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms: 600_000 },
        wall: WallTime(1_700_000_000_000),
    };

    fn ago(ms: i64) -> WallTime {
        WallTime(NOW.wall.0 - ms)
    }

    #[test]
    fn receipts_have_the_age_that_the_agents_clock_gives_them() {
        let then = backdated(ago(60_000), Some(ago(3_600_000)), NOW).unwrap();
        assert_eq!(then.wall, ago(60_000));
        assert_eq!(then.mono.elapsed_ms, 540_000);
        assert_eq!(backdated(ago(-60_000), None, NOW), Some(NOW), "a little ahead is now");
    }

    #[test]
    fn a_clock_that_cannot_be_right_tells_no_age() {
        assert_eq!(backdated(ago(-600_000), None, NOW), None, "ahead");
        assert_eq!(backdated(WallTime(0), Some(ago(3_600_000)), NOW), None, "before it was heard of");
        assert!(backdated(ago(3_700_000), Some(ago(3_600_000)), NOW).is_some(), "clocks differ a little");
        assert!(backdated(ago(60_000), Some(ago(-9_999)), NOW).is_some(), "the hub's own was put back");
    }
}
