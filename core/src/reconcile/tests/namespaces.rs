//! The namespace of a destination, and what it is given.

use super::waves::{Piece, put};
use super::*;

fn asked(bench: &mut Bench) -> Vec<usize> {
    std::mem::take(&mut bench.marks)
}

fn assign(bench: &mut Bench, labels: &[&str]) {
    let pieces: [Piece; 1] = [("a", 1, json!({}))];
    let mut assignment = put(bench, &pieces);
    assignment.policy.create_namespace = true;
    let labels = labels.iter().map(|name| ((*name).to_owned(), "x".to_owned()));
    assignment.policy.namespace.labels = labels.collect();
    bench.list.set(assignment);
    bench.desire();
    bench.pass(5_000);
}

#[test]
fn a_namespace_is_given_its_labels_once_they_change_though_nothing_else_does() {
    let mut bench = Bench::new();
    assign(&mut bench, &[]);
    assert_eq!(asked(&mut bench), [0]);
    assign(&mut bench, &["team"]);
    assert_eq!(asked(&mut bench), [1]);
    bench.pass(3_600_000);
    assert_eq!(asked(&mut bench), [0usize; 0]);
    assign(&mut bench, &["team", "more"]);
    assert_eq!(asked(&mut bench), [2]);
}

#[test]
fn a_namespace_that_the_agents_policy_keeps_is_given_nothing() {
    let mut bench = Bench::guarded("kinds: {deny: [{group: '', kind: Namespace}]}");
    assign(&mut bench, &["team"]);
    assert_eq!(asked(&mut bench), [0usize; 0]);
    let message = bench.operation("web").message.clone();
    assert!(
        message.contains("managedNamespaceMetadata") && message.contains("this agent's policy"),
        "{message}"
    );
}
