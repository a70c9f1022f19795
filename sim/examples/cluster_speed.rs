//! Measures one server-side apply of a 2 KB object by a whole cluster on the processor, for every kind that is common:
//! the body is read, applied, validated, kept and written as an answer. Twice: with bodies that make the whole object, its
//! defaults and `managedFields` among it, one of some 2 KB, and with bodies that have 2 KB themselves.
//!
//! `cargo run --release -p argosy-sim --example cluster_speed`

#![expect(clippy::print_stdout, reason = "a measurement is for people")]
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name is made when the name is absent"
)]

use anyhow::Context as _;
use argosy_sim::cluster::{
    Body, Call, Cluster, Config, FieldValidation, Patch, PatchKind, Subresource, Time, Verb,
};
use serde_json::{Value, json};

/// As in `argosy-sim` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The kinds, each with how many entries its long list has: in an object of 2 KB, and in a body of 2 KB.
const KINDS: [(&str, &str, &str, u32, u32); 9] = [
    ("", "v1", "configmaps", 10, 18),
    ("", "v1", "secrets", 12, 18),
    ("", "v1", "services", 5, 22),
    ("", "v1", "serviceaccounts", 24, 30),
    ("apps", "v1", "deployments", 0, 20),
    ("apps", "v1", "statefulsets", 0, 20),
    ("apps", "v1", "daemonsets", 0, 20),
    ("batch", "v1", "jobs", 0, 20),
    ("speed.test", "v1", "widgets", 8, 28),
];

/// How many objects there are of each kind, and how often each is applied.
const OBJECTS: u32 = 500;
const ROUNDS: u32 = 20;

fn main() -> anyhow::Result<()> {
    let mut cluster = Cluster::new(Config::default());
    define(&mut cluster)?;
    let objects = KINDS.map(|(group, version, plural, entries, _)| (group, version, plural, entries));
    measure(&mut cluster, "object", &objects)?;
    println!();
    let bodies = KINDS.map(|(group, version, plural, _, entries)| (group, version, plural, entries));
    measure(&mut cluster, "body", &bodies)?;
    Ok(())
}

/// Applies objects of every kind, with so many entries each, and prints how long that takes.
fn measure(cluster: &mut Cluster, what: &str, kinds: &[(&str, &str, &str, u32)]) -> anyhow::Result<()> {
    println!(
        "{:<16} {:>6} {:>7} {:>10} {:>10} {:>10}",
        format!("2 KB of {what}"),
        "body",
        "object",
        "create",
        "change",
        "no change"
    );
    for &(group, version, plural, entries) in kinds {
        let resource =
            cluster.resource(group, version, plural).with_context(|| format!("{plural} are not served"))?;
        let body = |number: u32, round: u32| {
            let mut body = manifest(plural, round, entries);
            body["apiVersion"] = resource.api_version().into();
            body["kind"] = resource.kind.as_str().into();
            body["metadata"]["name"] = format!("{what}-{number}").into();
            body.to_string().into_bytes()
        };
        let mut apply = |bodies: &[Vec<u8>], second: i64| -> anyhow::Result<usize> {
            let mut size = 0;
            for (number, body) in bodies.iter().enumerate() {
                let reply = cluster.call(Call {
                    resource: &resource,
                    namespace: "default",
                    name: &format!("{what}-{number}"),
                    subresource: Subresource::None,
                    verb: Verb::Patch(Patch {
                        kind: PatchKind::Apply { force: true },
                        body: serde_json::from_slice(body)?,
                    }),
                    manager: "argosy",
                    user: "argosy",
                    dry_run: false,
                    validation: FieldValidation::Strict,
                    now: Time(second * 1_000_000),
                })?;
                let Body::Object(object) = reply.body else { anyhow::bail!("an apply gives an object") };
                let mut answer = Vec::new();
                object.write(&resource, &mut answer);
                size = answer.len();
            }
            Ok(size)
        };
        let bodies =
            |round: u32| -> Vec<Vec<u8>> { (0..OBJECTS).map(|number| body(number, round)).collect() };
        let first = bodies(0);
        let start = processor_time()?;
        apply(&first, 0)?;
        let created = per_apply(start, 1)?;
        let rounds: Vec<Vec<Vec<u8>>> = (1..=ROUNDS).map(bodies).collect();
        let start = processor_time()?;
        let mut size = 0;
        for (bodies, second) in rounds.iter().zip(1..) {
            size = apply(bodies, second)?;
        }
        let changed = per_apply(start, ROUNDS)?;
        let start = processor_time()?;
        if let Some(last) = rounds.last() {
            for _ in 0..ROUNDS {
                apply(last, 1000)?;
            }
        }
        let same = per_apply(start, ROUNDS)?;
        let length = first.first().map_or(0, Vec::len);
        println!("{plural:<16} {length:>6} {size:>7} {created:>7.1} us {changed:>7.1} us {same:>7.1} us");
    }
    Ok(())
}

fn per_apply(start: f64, rounds: u32) -> anyhow::Result<f64> {
    Ok((processor_time()? - start) * 1e6 / f64::from(rounds * OBJECTS))
}

/// The seconds that this process has run on a processor, which Linux counts in hundredths.
fn processor_time() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').context("no end of the name in /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks: u32 = ticks.sum::<Result<_, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}

/// Makes a kind of a definition, and waits until it is served.
fn define(cluster: &mut Cluster) -> anyhow::Result<()> {
    let resource = cluster
        .resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        .context("definitions are not served")?;
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let setting = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "value": {"type": "string", "maxLength": 100}}});
    let body = json!({"metadata": {"name": "widgets.speed.test"}, "spec": {
        "group": "speed.test", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
                "round": {"type": "integer"}, "mode": {"type": "string", "enum": ["a", "b"], "default": "a"}, "texts": texts,
                "settings": {"type": "array", "items": setting, "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"]}}}}}}}]}});
    cluster.call(Call {
        resource: &resource,
        namespace: "",
        name: "",
        subresource: Subresource::None,
        verb: Verb::Create(body),
        manager: "argosy",
        user: "argosy",
        dry_run: false,
        validation: FieldValidation::Strict,
        now: Time(0),
    })?;
    while let Some(due) = cluster.next_tick() {
        cluster.tick(due);
    }
    Ok(())
}

/// Gives an object whose longest list has so many entries.
fn manifest(plural: &str, round: u32, entries: u32) -> Value {
    let metadata = json!({
        "labels": {"app": "service", "team": "edge", "tier": "front", "version": "1.0"},
        "annotations": {"example.com/owner": "the team of the edge", "example.com/note": "kept by the platform"},
    });
    let data = |value: &str| -> Value {
        (0..entries)
            .map(|at| (format!("key-{at}"), Value::from(value.repeat(20))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut object = match plural {
        "configmaps" => json!({"data": data("text ")}),
        "secrets" => json!({"data": data("dGV4")}),
        "serviceaccounts" => {
            let secret = |at: u32| json!({"name": format!("a-secret-with-a-name-that-is-long-enough-{at}")});
            json!({"imagePullSecrets": (0..entries).map(secret).collect::<Vec<_>>()})
        }
        "services" => {
            let port = |at: u32| json!({"name": format!("port-{at}"), "port": 8000 + at, "targetPort": format!("target-{at}"), "protocol": "TCP"});
            json!({"spec": {"selector": {"app": "service"}, "ports": (0..entries).map(port).collect::<Vec<_>>()}})
        }
        "widgets" => {
            let setting = |at: u32| json!({"name": format!("SETTING_{at}"), "value": format!("value of the setting {at}")});
            json!({"spec": {"round": round, "texts": {"a": "b", "c": "d"}, "settings": (0..entries).map(setting).collect::<Vec<_>>()}})
        }
        _ => workload(plural, entries),
    };
    object["metadata"] = metadata;
    // One value is another one each time.
    object["metadata"]["annotations"]["example.com/round"] = round.to_string().into();
    object
}

fn workload(plural: &str, entries: u32) -> Value {
    let variable =
        |at: u32| json!({"name": format!("SETTING_{at}"), "value": format!("value of the setting {at}")});
    let container = json!({
        "name": "main",
        "image": "registry.example.com/team/service:1.0",
        "env": (0..entries).map(variable).collect::<Vec<_>>(),
        "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "name": "metrics"}],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
    });
    let mut spec = json!({"template": {"metadata": {"labels": {"app": "service"}}, "spec": {"containers": [container]}}});
    if plural == "jobs" {
        spec["template"]["spec"]["restartPolicy"] = "Never".into();
    } else {
        spec["selector"] = json!({"matchLabels": {"app": "service"}});
    }
    if plural == "statefulsets" {
        spec["serviceName"] = "service".into();
    }
    json!({"spec": spec})
}
