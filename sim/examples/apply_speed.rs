//! Measures one server-side apply of a 2 KB object on the processor, parse and encode included.
//!
//! `cargo run --release -p argosy-sim --example apply_speed`

#![expect(clippy::print_stdout, reason = "a measurement is for people")]

use argosy_sim::ownership::{ApplyError, FieldSet, Type, Writer, apply};
use serde_json::{Value, json};

const ROUNDS: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ty = Type::from_structural(&schema());
    let first = config("1.0", 12);
    let live = encode(&applied(None, &first, &ty, "argosy", 1)?)?;
    let live = encode(&applied(Some(&live), &config("1.0", 3), &ty, "other", 2)?)?;
    println!("configuration {} bytes, object {} bytes with ownership", first.len(), live.len());

    let changed = config("1.1", 12);
    let shrunk = config("1.0", 11);
    let took = measure(|| {
        let config: Value = serde_json::from_slice(&first)?;
        let object: Value = serde_json::from_slice(&live)?;
        Ok((config, encode(&object)?))
    })?;
    println!("parse and encode alone: {took:.1} us");
    for (name, body) in
        [("nothing changes", &first), ("one value changes", &changed), ("one item goes", &shrunk)]
    {
        let took = measure(|| {
            let object = applied(Some(&live), body, &ty, "argosy", 3)?;
            encode(&object)
        })?;
        println!("{name}: {took:.1} us per apply");
    }
    Ok(())
}

fn measure<T>(
    mut call: impl FnMut() -> Result<T, Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let start = processor_time()?;
    for _ in 0..ROUNDS {
        std::hint::black_box(call()?);
    }
    Ok((processor_time()? - start) * 1e6 / f64::from(ROUNDS))
}

/// The seconds that this process has run on a processor, which Linux counts in hundredths.
fn processor_time() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').ok_or("no end of the name in /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks: u32 = ticks.sum::<Result<_, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}

/// Applies as a server does it: bytes in, object out.
fn applied(
    live: Option<&[u8]>,
    body: &[u8],
    ty: &Type,
    manager: &str,
    second: u32,
) -> Result<Value, Box<dyn std::error::Error>> {
    let live: Option<Value> = live.map(serde_json::from_slice).transpose()?;
    let config: Value = serde_json::from_slice(body)?;
    let time = format!("2026-01-01T00:00:{second:02}Z");
    let writer = Writer { manager, api_version: "example.com/v1", subresource: "", time: &time };
    let reset = FieldSet::of_fields(&[&["status"]]);
    Ok(apply(live.as_ref(), &config, ty, &writer, true, &reset)
        .map_err(|error: ApplyError| error.to_string())?)
}

fn encode(object: &Value) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    Ok(serde_json::to_vec(object)?)
}

/// A configuration of about 2 KB with so many variables.
fn config(version: &str, variables: usize) -> Vec<u8> {
    let variables: Vec<_> = (0..variables)
        .map(|index| json!({"name": format!("SETTING_{index}"), "value": format!("value of the setting {index}")}))
        .collect();
    let container = json!({
        "name": "main",
        "image": format!("registry.example.com/team/service:{version}"),
        "env": variables,
        "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "name": "metrics"}],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
    });
    let object = json!({
        "apiVersion": "example.com/v1",
        "kind": "Service",
        "metadata": {
            "name": "service",
            "namespace": "default",
            "labels": {"app": "service", "team": "edge", "tier": "front", "version": version},
            "annotations": {"example.com/owner": "the team of the edge", "example.com/note": "kept by the platform"},
        },
        "spec": {"replicas": 3, "selector": {"app": "service"}, "containers": [container]},
    });
    object.to_string().into_bytes()
}

fn schema() -> Value {
    let strings = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let variable =
        json!({"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}});
    let port = json!({"type": "object", "properties": {
        "containerPort": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "name": {"type": "string"},
    }});
    let container = json!({"type": "object", "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "env": {"type": "array", "items": variable, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        "ports": {"type": "array", "items": port, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["containerPort", "protocol"]},
        "resources": {"type": "object", "properties": {"limits": strings, "requests": strings}},
    }});
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "replicas": {"type": "integer"},
        "selector": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "containers": {"type": "array", "items": container, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    }}}})
}
