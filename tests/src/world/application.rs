//! Documents of applications, as an operator writes them.

use serde_json::{Value, json};

/// An `Application` whose source is a folder of the world's repository of applications.
#[derive(Clone, Debug)]
pub struct Application {
    name: String,
    document: Value,
}

// === impl Application ===

impl Application {
    /// Describes an application that puts the manifests of the folder `path` into a namespace of a cluster.
    pub fn new(name: &str, cluster: &str, namespace: &str, path: &str) -> Self {
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": "", "path": path, "targetRevision": "main"},
                "destination": {"name": cluster, "namespace": namespace},
            },
        });
        Self { name: name.to_owned(), document }
    }

    /// Lets the agent sync by itself, with or without pruning and healing.
    #[must_use]
    pub fn automated(self, prune: bool, self_heal: bool) -> Self {
        self.set("/spec", "syncPolicy", json!({"automated": {"prune": prune, "selfHeal": self_heal}}))
    }

    /// Gives it Argo CD's finalizer: removing the document deletes the objects.
    #[must_use]
    pub fn with_finalizer(self) -> Self {
        self.set("/metadata", "finalizers", json!(["resources-finalizer.argocd.argoproj.io"]))
    }

    /// Sets the source's `directory`, such as `{"recurse": true}`.
    #[must_use]
    pub fn directory(self, directory: Value) -> Self {
        self.set("/spec/source", "directory", directory)
    }

    /// Sets any field of the object that a JSON pointer names.
    #[must_use]
    pub fn set(mut self, parent: &str, field: &str, value: Value) -> Self {
        if let Some(object) = self.document.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.insert(field.to_owned(), value);
        }
        self
    }

    /// Returns the path of its file in the fleet repository.
    pub fn file(&self) -> String {
        file(&self.name)
    }

    /// Returns the document with its source in the given repository, unless it names one itself.
    pub fn document(&self, repository: &str) -> String {
        let mut document = self.document.clone();
        if let Some(url) = document.pointer_mut("/spec/source/repoURL")
            && *url == ""
        {
            *url = json!(repository);
        }
        format!("{document:#}\n")
    }
}

/// Returns the path of an application's file in the fleet repository.
pub(super) fn file(name: &str) -> String {
    format!("applications/{name}.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_from_the_worlds_repository() {
        let app = Application::new("web", "edge-1", "shop", "web").automated(true, false).with_finalizer();

        let document: Value = serde_json::from_str(&app.document("file:///apps")).unwrap();

        assert_eq!(document["spec"]["source"]["repoURL"], "file:///apps");
        assert_eq!(document["spec"]["syncPolicy"]["automated"], json!({"prune": true, "selfHeal": false}));
        assert_eq!(document["metadata"]["finalizers"][0], "resources-finalizer.argocd.argoproj.io");
    }
}
