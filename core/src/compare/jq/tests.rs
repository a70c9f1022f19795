use proptest::prelude::*;
use serde_json::json;

use super::super::path::remove_all;
use super::*;

fn deployment() -> Value {
    json!({"metadata": {"annotations": {"a.b/c": "1", "d": "2"}},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [
            {"name": "web", "image": "w", "env": [{"name": "A", "value": "1"}, {"name": "TLS_X", "value": "2"}]},
            {"name": "proxy", "image": "p", "ports": [80, 443]}]}}}})
}

/// Deletes what an expression names, as jq's `del` does; gives what is left of a path.
fn left(expression: &str, pointer: &str) -> Value {
    let mut object = deployment();
    let places = PathExpression::read(expression).unwrap().places(&object).unwrap();
    remove_all(&mut object, places);
    object.pointer(pointer).cloned().unwrap_or_default()
}

#[test]
fn paths_are_named_as_jq_names_them() {
    let containers = "/spec/template/spec/containers";
    assert_eq!(left(".spec.replicas", "/spec").get("replicas"), None);
    assert_eq!(left(r#".metadata.annotations["a.b/c"]"#, "/metadata/annotations"), json!({"d": "2"}));
    assert_eq!(left(r#".metadata.annotations."a.b/c""#, "/metadata/annotations"), json!({"d": "2"}));
    assert_eq!(left(".spec.template.spec.containers[0]", containers)[0]["name"], "proxy");
    assert_eq!(left(".spec.template.spec.containers.[-1]", containers).as_array().unwrap().len(), 1);
    assert_eq!(left(".spec.template.spec.containers", "/spec/template/spec"), json!({}));
    let images = left(".spec.template.spec.containers[].image", containers);
    assert!(images[0].get("image").is_none() && images[1].get("image").is_none());
    let env = r#".spec.template.spec.containers[] | select(.name == "web").env[] | select(.name | startswith("TLS_"))"#;
    assert_eq!(left(env, containers)[0]["env"], json!([{"name": "A", "value": "1"}]));
    let both =
        r#".spec.template.spec.containers[] | select(.name == "web" or (.ports[]? | . > 400)) | .image"#;
    let both = left(both, containers);
    assert!(both[0].get("image").is_none() && both[1].get("image").is_none());
    let neither = r#"(.spec.template.spec.containers[] | select((.name | contains("o") | not) and has("env"))), .spec.replicas"#;
    assert_eq!(left(neither, containers).as_array().unwrap().len(), 1);
    assert_eq!(left(neither, "/spec/replicas"), Value::Null);
    assert_eq!(left(r#".. | select(.name? == "A")"#, containers)[0]["env"][0]["name"], "TLS_X");
    assert_eq!(left("first(.spec.template.spec.containers[])", containers).as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_there_or_does_not_fit_names_nothing() {
    for expression in
        [".nope", ".spec.nope[].x", ".spec.replicas.x", ".spec.replicas[]", ".metadata[3]", ".[]?.x"]
    {
        let mut object = deployment();
        let places = PathExpression::read(expression).unwrap().places(&object).unwrap();
        remove_all(&mut object, places);
        assert_eq!(object, deployment(), "{expression}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (expression, why) in [
        ("", "ends too early"),
        (".a |", "ends too early"),
        (".a b", "not expected"),
        (".a == 1", "names no path"),
        ("\"x\"", "names no path"),
        (".a | not", "names no path"),
        (".a | test(\"x\")", "\"test\" is not supported"),
        (".a | with_entries(.)", "\"with_entries\" is not supported"),
        (".a[1:2]", "expected \"]\""),
        (".a[.b]", "only [], [NUMBER]"),
        (".a // .b", "not expected"),
        (".a | select(.b", "expected \")\""),
        (".\"x", "no closing quote"),
        ("def f: .; f", "is not known"),
        ("$x", "is not known"),
        (".a + 1", "is not known"),
    ] {
        let error = PathExpression::read(expression).unwrap_err();
        assert!(error.to_string().contains(why), "{expression}: {error}");
    }
    assert!(PathExpression::read(&"(".repeat(100)).is_err());
    assert!(PathExpression::read(&".a,".repeat(2_000)).is_err());
}

#[test]
fn an_evaluation_that_takes_too_long_ends() {
    let wide = json!({"a": vec![0; 2_000]});
    let squared = PathExpression::read(".a[] | select(.. == .)").unwrap();
    assert!(squared.places(&wide).is_ok());
    let cubed = PathExpression::read("select(.a[] == .a[])").unwrap();
    assert_eq!(cubed.places(&wide), Err(TooManySteps));
}

proptest! {
    #[test]
    fn no_text_makes_it_fail_otherwise(expression in "[.a\\[\\]|,()\"=?0-9 selct]{0,40}") {
        if let Ok(read) = PathExpression::read(&expression) {
            let mut object = deployment();
            if let Ok(places) = read.places(&object) {
                remove_all(&mut object, places);
            }
        }
    }
}
