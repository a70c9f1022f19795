//! Whom applications act as: every request that could change something, or show something, is sent for the account.

use super::hooks::hook;
use super::waves::put;
use super::*;
use crate::policy::{Acting, ServiceAccount};
use crate::status::ResultCode;

fn deployer() -> ServiceAccount {
    ServiceAccount { namespace: "shop".to_owned(), name: "deployer".to_owned() }
}

impl Bench {
    fn act(&mut self, acts: Option<Acting>) {
        self.change("web", |assignment| assignment.limits.acts = acts);
    }
}

fn nobody() -> Acting {
    Acting::Nobody { server: "edge".to_owned(), namespace: "shop".to_owned() }
}

#[test]
fn every_write_of_an_app_is_sent_for_its_account_also_heals_and_hooks() {
    let mut bench = Bench::new();
    let objects = [("pre", 1, hook("PreSync", "HookSucceeded")), ("a", 1, json!({})), ("b", 1, json!({}))];
    let mut assignment = put(&mut bench, &objects);
    assignment.limits.acts = Some(Acting::As(deployer()));
    assignment.policy.create_namespace = true;
    bench.list.set(assignment);
    bench.desire();
    bench.pass(60_000);
    bench.meddle("a");
    let mut fewer = put(&mut bench, &objects[..2]);
    fewer.limits.acts = Some(Acting::As(deployer()));
    bench.list.set(fewer);
    bench.desire();
    bench.pass(60_000);
    assert_eq!(bench.deletes(), 3, "the hook of each sync, and what left");
    assert!(bench.writes.len() > 5, "{:?}", bench.writes);
    for write in &bench.writes {
        assert_eq!(write.account(), Some(&deployer()), "{write:?}");
    }
    // Another account is another way to sync.
    let operations = bench.events.iter().filter(|event| event.reason == "Synced").count();
    bench.act(None);
    bench.pass(60_000);
    assert_eq!(bench.events.iter().filter(|event| event.reason == "Synced").count(), operations + 1);
}

#[test]
fn an_app_that_may_act_as_nobody_writes_nothing_and_says_so_in_argo_cds_words() {
    const TEXT: &str = "failed to find a matching service account to impersonate: no matching service account found \
                        for destination server edge and namespace shop";
    let mut bench = Bench::new();
    let mut assignment = bench.put("web", &[("a", 1)]);
    assignment.limits.acts = Some(nobody());
    assignment.policy.create_namespace = true;
    assignment.policy.retry = Some(crate::policy::Retry { limit: 0, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(60_000);
    assert!(bench.writes.is_empty(), "{:?}", bench.writes);
    assert_eq!(
        (bench.operation("web").phase, bench.operation("web").message.as_str()),
        (OperationPhase::Failed, TEXT)
    );

    bench.act(Some(Acting::As(deployer())));
    bench.pass(60_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);

    // What is there is neither healed nor pruned by anybody.
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    let mut fewer = bench.put("web", &[("a", 1), ("b", 1)]);
    fewer.limits.acts = Some(nobody());
    bench.list.set(fewer);
    bench.desire();
    let writes = bench.writes.len();
    bench.meddle("a");
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes);
    let row = bench.status("web").resources.iter().find(|row| row.key == config("a")).unwrap();
    assert_eq!(row.message, TEXT);
    assert!(bench.operation("web").results.iter().all(|row| row.code != ResultCode::Pruned));
}

#[test]
fn a_refusal_names_the_account_that_has_no_right() {
    let told = ApiError::Refused("Forbidden (HTTP status 403)".to_owned()).of_account(Some(&deployer()));
    assert_eq!(told.to_string(), "as the service account shop:deployer: Forbidden (HTTP status 403)");
    let outage = ApiError::Unreachable("reset".to_owned());
    assert_eq!(outage.clone().of_account(Some(&deployer())), outage);
}
