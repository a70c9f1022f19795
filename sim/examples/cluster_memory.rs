//! Measures what a cluster keeps in memory for an object beyond its JSON: 10,000 `ConfigMaps` of 2 KB are applied once, with
//! the history of changes that a cluster remembers.
//!
//! `cargo run -p argosy-sim --example cluster_memory`

#![expect(clippy::print_stdout, reason = "a measurement is for people")]

use anyhow::Context as _;
use argosy_sim::cluster::{
    Body, Call, Cluster, Config, FieldValidation, Patch, PatchKind, Subresource, Time, Verb,
};
use serde_json::json;

const OBJECTS: u64 = 10_000;

fn main() -> anyhow::Result<()> {
    let mut cluster = Cluster::new(Config::default());
    let resource = cluster.resource("", "v1", "configmaps").context("ConfigMaps are not served")?;
    let (before, mut size) = (resident()?, 0);
    for number in 0..OBJECTS {
        let name = format!("object-{number}");
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"app": "service", "team": "edge"}},
            "data": {"first": "x".repeat(900), "second": "y".repeat(900)}});
        let reply = cluster.call(Call {
            resource: &resource,
            namespace: "default",
            name: &name,
            subresource: Subresource::None,
            verb: Verb::Patch(Patch { kind: PatchKind::Apply { force: true }, body }),
            manager: "argosy",
            user: "argosy",
            dry_run: false,
            validation: FieldValidation::Strict,
            now: Time(0),
        })?;
        let Body::Object(object) = reply.body else { anyhow::bail!("an apply gives an object") };
        size += u64::try_from(object.json().len())?;
    }
    let took = resident()?.saturating_sub(before);
    println!(
        "{OBJECTS} objects of {} bytes of JSON: {} bytes each, {} beyond the JSON",
        size / OBJECTS,
        took / OBJECTS,
        took.saturating_sub(size) / OBJECTS
    );
    Ok(())
}

/// The bytes that this process holds in memory.
fn resident() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
