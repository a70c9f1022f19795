//! Whole bodies of the built-in kinds, as an API server of Kubernetes 1.36 answered them to a creation in dry run.

use super::*;

const BODIES: &str = include_str!("bodies.json");

/// Takes from an answer what differs from cluster to cluster.
fn plain(value: &mut Value, uid: &str, time: &str) {
    match value {
        Value::String(text) => *text = text.replace(uid, "UID").replace(time, "TIME"),
        Value::Array(items) => items.iter_mut().for_each(|item| plain(item, uid, time)),
        Value::Object(fields) => {
            for field in ["clusterIP", "clusterIPs", "nodePort"] {
                if let Some(given) = fields.get_mut(field) {
                    *given = Value::from("given");
                }
            }
            fields.values_mut().for_each(|field| plain(field, uid, time));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn built_in_kinds_answer_whole_bodies_as_the_api_server_does() {
    let cases: Vec<Value> = serde_json::from_str(BODIES).unwrap();
    let mut bench = Bench::new();
    for case in cases {
        let text = |field: &str| case[field].as_str().unwrap();
        let resource = kinds::built_in()
            .iter()
            .find(|resource| resource.is(text("group"), text("plural")))
            .expect("the kind is built in");
        let reply = bench
            .cluster
            .call(Call {
                resource,
                namespace: text("namespace"),
                name: "",
                subresource: Subresource::None,
                verb: Verb::Create(case["sent"].clone()),
                manager: "test",
                user: "test",
                dry_run: true,
                validation: FieldValidation::Strict,
                now: bench.now,
            })
            .unwrap();
        let Body::Object(object) = reply.body else { panic!("{:?}", reply.body) };
        let mut answered = object.value(resource);
        plain(&mut answered, object.uid(), &bench.now.seconds());
        let mut expected = case["answered"].clone();
        plain(&mut expected, "UID", "TIME");
        assert_eq!(answered, expected, "{}", case["sent"]);
    }
}
