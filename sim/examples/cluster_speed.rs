//! How long a request to a cluster takes, and how much memory an object.

use std::collections::BTreeMap;
use std::time::Duration;

use argosy_sim::cluster::{
    Call, Cluster, Config, FieldValidation, Patch, PatchKind, Subresource, Time, Verb,
};
use serde_json::{Value, json};

const OBJECTS: i64 = 2000;

fn manifest(name: &str, round: i64) -> Value {
    let mut data: BTreeMap<String, String> =
        (0..20).map(|at| (format!("key-{at}"), "x".repeat(80))).collect();
    data.insert("round".to_owned(), round.to_string());
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name,
        "labels": {"app.kubernetes.io/name": "web"}}, "data": data})
}

fn main() -> anyhow::Result<()> {
    let clock = argosy_runtime::clock::Clock::new()?;
    let mut cluster = Cluster::new(Config::default());
    let resource = cluster.resource("", "v1", "configmaps").ok_or_else(|| anyhow::anyhow!("not served"))?;
    let names: Vec<String> = (0..OBJECTS).map(|number| format!("map-{number}")).collect();
    for round in 0..4 {
        let bodies: Vec<Value> = names.iter().map(|name| manifest(name, round)).collect();
        let start = clock.mono();
        for (name, body) in names.iter().zip(bodies) {
            cluster.call(Call {
                resource: &resource,
                namespace: "default",
                name,
                subresource: Subresource::None,
                verb: Verb::Patch(Patch { kind: PatchKind::Apply { force: true }, body }),
                manager: "argosy",
                user: "argosy",
                dry_run: false,
                validation: FieldValidation::Strict,
                now: Time(round * 1_000_000),
            })?;
        }
        let took = clock.mono().since(&start).unwrap_or(Duration::ZERO);
        #[expect(clippy::print_stdout, reason = "it is what the example is for")]
        {
            println!("round {round}: {:?} an apply", took / u32::try_from(OBJECTS)?);
        }
    }
    Ok(())
}
