//! `argosy app sync --revision`: which release that is, if the hub has it.
//!
//! A hub delivers one release of an application: that of the revision which its document names. So a sync to it can be asked
//! for by its commit, and one to another revision is refused with what would bring it.

use argosy_core::ids::Digest;
use argosy_proto::v1;
use serde_json::Value;

use crate::failure::Failure;
use crate::text;

/// Fewest characters by which a commit is named.
const SHORTEST: usize = 7;

/// Gives the release that the hub desires of an app if it is that of a revision: its commit, or the beginning of that.
pub(super) fn release_of(view: &v1::AppView, revision: &str) -> Result<Digest, Failure> {
    let document: Value = serde_json::from_str(&view.document_json).unwrap_or_default();
    let target = document.pointer("/spec/source/targetRevision").and_then(Value::as_str);
    let target = target.filter(|target| !target.is_empty()).unwrap_or("HEAD");
    let Some((desired, root)) = view.desired.as_ref().and_then(|desired| Some((desired, desired.root()?)))
    else {
        let why = if view.waiting.is_empty() { "its source was not read yet" } else { &view.waiting };
        return Err(Failure::NotNow(format!("app {} has no release: {}", view.name, text::clean(why))));
    };
    let commit = &desired.revision;
    let is_commit = revision.len() >= SHORTEST && commit.starts_with(&revision.to_ascii_lowercase());
    if is_commit {
        return Ok(root.0);
    }
    let commit = if commit.is_empty() { "unknown" } else { commit };
    if revision == target {
        // What the hub has may be of the revision that was named before, or of an older commit of it.
        return Err(Failure::Failed(text::clean(&format!(
            "--revision {revision}: a name may mean another commit by now; name the commit ({commit} is what the hub has of app \
             {name}), or leave --revision out to sync what is newest",
            name = view.name
        ))));
    }
    Err(Failure::Failed(text::clean(&format!(
        "--revision {revision} is not what the hub has of app {name}: that is commit {commit} of {target}. If it is on its way, \
         argosy app wait {name} --revision {revision} waits for it; a sync to another revision than the document's is not \
         supported: set spec.source.targetRevision there, or go back with argosy app rollback",
        name = view.name
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(target: &str) -> v1::AppView {
        let document = serde_json::json!({"spec": {"source": {"targetRevision": target}}});
        let root = Digest::of(b"a").as_bytes().to_vec();
        let desired = v1::ReleaseRef { root, revision: "c0ffee0123456789".to_owned() };
        v1::AppView {
            name: "web".to_owned(),
            document_json: document.to_string(),
            desired: Some(desired),
            ..Default::default()
        }
    }

    #[test]
    fn the_commit_that_the_hub_has_can_be_named_and_no_other() {
        for named in ["c0ffee0", "C0FFEE0123456789"] {
            assert_eq!(release_of(&view("main"), named).unwrap(), Digest::of(b"a"), "{named}");
        }
        for (target, named) in [("", "HEAD"), ("main", "main")] {
            let why = release_of(&view(target), named).unwrap_err().to_string();
            assert!(why.contains("name the commit (c0ffee0123456789"), "a name may mean another one: {why}");
        }
        for other in ["c0ffee", "c0ffee1", "HEAD", "v1.2", ""] {
            let why = release_of(&view("main"), other).unwrap_err().to_string();
            for part in ["commit c0ffee0123456789 of main", "app wait web", "spec.source.targetRevision"] {
                assert!(why.contains(part), "{part} in {why}");
            }
        }
    }

    #[test]
    fn an_app_without_a_release_says_what_it_waits_for() {
        let waits = |waiting: &str| {
            let view = v1::AppView { desired: None, waiting: waiting.to_owned(), ..view("main") };
            release_of(&view, "main").unwrap_err().to_string()
        };
        assert!(waits("cluster edge is not registered").contains("cluster edge is not registered"));
        assert!(waits("").contains("not read yet"));
    }
}
