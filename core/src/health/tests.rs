//! Tables of objects and verdicts, one file a group of kinds. Objects are written as YAML, verdicts as `Health: message`.

mod argo;
mod built_in;
mod gateway;
mod generic;
mod lookup;
mod mesh;
mod openshift;
mod operators;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Alone, Assessor, Surroundings, Verdict};
use crate::key::{GroupKind, ResourceKey, split_api_version};
use crate::yaml::{self, Limits};

/// Other objects, as a test has them.
#[derive(Default)]
struct Around {
    objects: BTreeMap<ResourceKey, Value>,
}

impl Around {
    fn of(objects: &[&str]) -> Self {
        let objects = objects.iter().map(|text| {
            let object = object(text);
            let field = |path: &[&str]| crate::json::text_at(&object, path).unwrap_or_default().to_owned();
            let (group, _) = split_api_version(crate::json::text_at(&object, &["apiVersion"]).unwrap());
            let (namespace, name) = (field(&["metadata", "namespace"]), field(&["metadata", "name"]));
            (ResourceKey::new(group, field(&["kind"]), namespace, name), object)
        });
        Self { objects: objects.collect() }
    }
}

impl Surroundings for Around {
    fn object(&self, key: &ResourceKey) -> Option<&Value> {
        self.objects.get(key)
    }

    fn of_kind(&self, kind: &GroupKind) -> Option<Vec<&Value>> {
        Some(
            self.objects
                .iter()
                .filter(|(key, _)| key.group_kind() == *kind)
                .map(|(_, value)| value)
                .collect(),
        )
    }
}

fn object(text: &str) -> Value {
    let documents = yaml::parse_documents(text.as_bytes(), &Limits::default());
    documents.unwrap_or_else(|error| panic!("{text}: {error}")).remove(0).value
}

fn words(verdict: Option<Verdict>) -> String {
    match verdict {
        None => "no opinion".to_owned(),
        Some(verdict) if verdict.message.is_empty() => verdict.health.as_str().to_owned(),
        Some(verdict) => format!("{}: {}", verdict.health.as_str(), verdict.message),
    }
}

/// Judges objects of a kind, each by itself.
fn table(group: &str, kind: &str, cases: &[(&str, &str)]) {
    table_among(group, kind, &Alone, cases);
}

/// Judges objects of a kind among others.
fn table_among(group: &str, kind: &str, around: &dyn Surroundings, cases: &[(&str, &str)]) {
    let kind = GroupKind::new(group, kind);
    let assessor = Assessor::default().among(around);
    for (text, expected) in cases {
        assert_eq!(words(assessor.assess(&kind, &object(text))), *expected, "{kind} {text}");
    }
}
