//! Whatever happens to link, stores and rows.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Say(u8, u8),
    Event(u8),
    Pass(u64),
    Connect,
    Send(bool),
    RestartAgent,
    RestartHub,
    RestoreHub,
    Reboot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..3, 0_u8..3).prop_map(|(listed, synced)| Step::Say(listed, synced)),
        any::<u8>().prop_map(Step::Event),
        (0_u64..100_000).prop_map(Step::Pass),
        Just(Step::Connect),
        any::<bool>().prop_map(Step::Send),
        Just(Step::RestartAgent),
        Just(Step::RestartHub),
        Just(Step::RestoreHub),
        Just(Step::Reboot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_happens_to_the_link_the_hub_has_each_row_once_and_in_order(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut pair = Pair::new();
        let mut backup = (pair.hub.clone(), pair.now);
        for step in steps {
            match step {
                Step::Say(listed, synced) => pair.say("web", state(listed, synced)),
                Step::Event(number) => {
                    pair.recorder.event(&app("web"), &event("Healed", &format!("{number}")), pair.clock());
                    pair.commit();
                }
                Step::Pass(ms) => pair.pass(ms),
                Step::Connect => pair.connect(),
                Step::Send(heard) => { pair.send(heard); }
                Step::RestartAgent => pair.restart_agent(None),
                Step::RestartHub => {
                    pair.keeper = Keeper::load(&pair.hub, cluster()).unwrap();
                    if pair.now.is_multiple_of(3) { backup = (pair.hub.clone(), pair.now); }
                }
                Step::RestoreHub => {
                    pair.hub = backup.0.clone();
                    pair.keeper = Keeper::load(&pair.hub, cluster()).unwrap();
                    pair.connect();
                }
                Step::Reboot => {
                    pair.boot = pair.boot.wrapping_add(1) % 90;
                    pair.restart_agent(None);
                }
            }
        }
        pair.upload();
        prop_assert!(pair.refusals.is_empty(), "{:?}", pair.refusals);
        let here: Vec<Vec<u8>> = pair.agent.scan(tables::JOURNAL, &[]).unwrap().into_iter().map(|(_, row)| row).collect();
        let there: Vec<Vec<u8>> = pair
            .keeper
            .rows_since(&pair.hub, cluster(), WallTime(0))
            .unwrap()
            .into_iter()
            .filter_map(|row| match row.kept.entry {
                Entry::Row { row, .. } => Some(row.to_vec()),
                Entry::Gap { .. } | Entry::Another { .. } | Entry::Refused { .. } => None,
            })
            .collect();
        prop_assert_eq!(here, there);
    }

    #[test]
    fn no_changed_swapped_or_missing_row_is_taken(
        rows in 3_usize..12, which in any::<prop::sample::Index>(), how in 0_u8..3, bit in any::<prop::sample::Index>(),
    ) {
        let mut pair = Pair::new();
        for number in 0..rows {
            pair.recorder.event(&app("web"), &event("Healed", &format!("{number}")), pair.clock());
        }
        pair.commit();
        pair.connect();
        let mut batch = pair.recorder.next_batch(&pair.agent, pair.clock()).unwrap().unwrap();
        let sound = batch.rows.clone();
        // The last row is vouched for by the one to come.
        let which = which.index(batch.rows.len() - 1);
        match how {
            0 => {
                let at = bit.index(batch.rows[which].len());
                batch.rows[which][at] ^= 1;
            }
            1 => batch.rows.swap(which, which + 1),
            _ => { batch.rows.remove(which); }
        }
        let taken = pair.keeper.take(cluster(), &batch, &BTreeMap::new(), &pair.hub, pair.hub_clock(), Sent::Then).unwrap();
        // Without its first rows a batch looks like one after a gap, which is told.
        let gap = how == 2 && which == 0;
        prop_assert_eq!(taken.answer.is_err(), !gap, "{:?} of {}", taken.answer, sound.len());
        prop_assert_eq!(taken.gap.is_some(), gap);
    }
}
