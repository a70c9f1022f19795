//! The table of the built-in kinds.

use std::sync::Arc;

use super::{BUILT_IN, Habits, Origin, Resource, SubresourceInfo, VERBS};

const TABLE: &str = include_str!("resources.txt");

/// Gives the built-in kinds, in the order in which discovery names them.
pub fn built_in() -> &'static [Arc<Resource>] {
    &BUILT_IN
}

pub(super) fn read() -> Vec<Arc<Resource>> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).map(Arc::new).collect()
}

fn row(line: &'static str) -> Option<Resource> {
    let mut words = line.split(' ');
    let mut next = || words.next().map(|word| if word == "-" { "" } else { word });
    let (group, version, plural, singular, kind) = (next()?, next()?, next()?, next()?, next()?);
    let (scope, short_names, categories, subresources, definition) =
        (next()?, next()?, next()?, next()?, next()?);
    let flags = next()?;
    let list = |text: &str| text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let is_namespaces = group.is_empty() && plural == "namespaces";
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: singular.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        short_names: list(short_names),
        categories: list(categories),
        namespaced: scope == "ns",
        verbs: VERBS.into_iter().filter(|verb| !(is_namespaces && *verb == "deletecollection")).collect(),
        subresources: subresources.split(',').filter_map(subresource).collect(),
        origin: Origin::BuiltIn(definition),
        habits: Habits {
            generation: flags.contains('g'),
            create_on_update: flags.contains('u'),
            versioned_update: flags.contains('r'),
            answers_deleted: flags.contains('d'),
            orphans: flags.contains('o'),
        },
    })
}

/// Gives what is known of a part of the built-in kinds.
pub(crate) fn subresource(name: &str) -> Option<SubresourceInfo> {
    let whole = || vec!["get", "patch", "update"];
    match name {
        "status" => Some(SubresourceInfo { name: "status", kind: None, verbs: whole() }),
        "scale" => Some(SubresourceInfo {
            name: "scale",
            kind: Some(("autoscaling", "v1", "Scale")),
            verbs: whole(),
        }),
        "finalize" => Some(SubresourceInfo { name: "finalize", kind: None, verbs: vec!["update"] }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_kind() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();

        assert_eq!(built_in().len(), lines);
        assert!(built_in().iter().any(|resource| resource.is("apps", "deployments") && resource.namespaced));
    }
}
