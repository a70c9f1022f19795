//! From the files of a fleet's source to its documents: a bad one is told by file, document and field, and harms no
//! other.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::application::Application;
use crate::fleet::{AppDocument, BrokenFile, FleetRead, ProjectDocument, SourceFile, Words};
use crate::ids::AppId;
use crate::project::Project;
use crate::yaml::{self, Document, Limits};

/// A read of the fleet and what is in its source that is neither application nor project.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Documents {
    /// What was read.
    pub read: FleetRead,
    /// Documents of other kinds, by file: reported, and nothing else.
    pub others: Vec<String>,
}

/// Reads all files of a look at a fleet's source. Whether that saw all there is, is for the one to say who looked: see
/// [`FleetRead::complete`].
pub fn read_documents(files: impl IntoIterator<Item = SourceFile>) -> Documents {
    let mut reader =
        Reader { documents: Documents::default(), seen: BTreeMap::new(), projects: BTreeMap::new() };
    for SourceFile { path, content } in files {
        match content {
            Ok(bytes) => reader.file(&path, &bytes),
            Err(message) => reader.broken(&path, message, Words::unknown()),
        }
    }
    reader.documents
}

struct Reader {
    documents: Documents,
    /// Where each app was seen first.
    seen: BTreeMap<AppId, String>,
    projects: BTreeMap<String, String>,
}

// === impl Reader ===

impl Reader {
    fn file(&mut self, file: &str, bytes: &[u8]) {
        let limits = Limits::default();
        let parsed = if is_json(file) {
            Ok(vec![yaml::parse_json(bytes, &limits)])
        } else {
            yaml::parse_each(bytes, &limits)
        };
        let mut words = None;
        let mut words = || words.get_or_insert_with(|| Words::of(bytes)).clone();
        match parsed {
            Ok(documents) => {
                for document in documents {
                    match document {
                        Ok(document) => self.document(file, &document, &mut words),
                        Err(error) => self.broken(file, error.to_string(), words()),
                    }
                }
            }
            Err(error) => self.broken(file, error.to_string(), words()),
        }
    }

    fn document(&mut self, file: &str, document: &Document, words: &mut dyn FnMut() -> Words) {
        let value = &document.value;
        let at = format!("document {}, line {}", document.index, document.line);
        let text = |key| crate::json::text_at(value, &[key]).unwrap_or("nothing");
        let (kind, version) = (text("kind"), text("apiVersion"));
        if Application::is_kind_of(value) {
            match Application::identity(value) {
                Some(app) => self.application(file, &at, app, value),
                None => self.broken(file, format!("{at}: metadata.name: is missing or no name"), words()),
            }
        } else if Project::is_kind_of(value) {
            match Project::identity(value) {
                Some(name) => self.project(file, &at, name, value),
                // It may be any project.
                None => self.broken(file, format!("{at}: metadata.name: is missing"), Words::unknown()),
            }
        } else if version.starts_with("argoproj.io/") {
            let name = crate::json::text_at(value, &["metadata", "name"]).unwrap_or_default();
            self.documents.read.unknown_kinds.push(BrokenFile {
                file: file.to_owned(),
                message: format!("{at}: kind {kind} of {version} is not supported and is left alone"),
                words: Words::of(name.as_bytes()),
            });
        } else {
            let what = format!(
                "{file}: {at}: kind {kind} of {version} is no Application or AppProject and is left alone"
            );
            self.documents.others.push(what);
        }
    }

    fn application(&mut self, file: &str, at: &str, app: AppId, value: &Value) {
        let mut document = AppDocument::read(file, value);
        document.application = document.application.map_err(|error| format!("{at}: {error}"));
        if let Some(first) = self.seen.get(&app) {
            document.application =
                Err(format!("application {app} is given twice, in {first} and in {file} ({at})"));
        } else {
            self.seen.insert(app.clone(), format!("{file} ({at})"));
        }
        self.documents.read.apps.insert(app, document);
    }

    fn project(&mut self, file: &str, at: &str, name: String, value: &Value) {
        let mut document = ProjectDocument::read(file, value);
        document.project = document.project.map_err(|error| format!("{file}: {at}: {error}"));
        if let Some(first) = self.projects.get(&name) {
            document.project = Err(format!("project {name} is given twice, in {first} and in {file} ({at})"));
        } else {
            self.projects.insert(name.clone(), format!("{file} ({at})"));
        }
        self.documents.read.projects.insert(name, document);
    }

    fn broken(&mut self, file: &str, message: String, words: Words) {
        self.documents.read.broken.push(BrokenFile { file: file.to_owned(), message, words });
    }
}

/// Tells by its name whether a file is JSON; names are compared as they are, as everywhere in Git.
fn is_json(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(_, ending)| ending == "json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::DOCUMENT_BYTES;

    fn app(name: &str, extra: &str) -> String {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  source: {{repoURL: \
             file:///r, path: {name}}}\n  destination: {{name: edge}}\n{extra}"
        )
    }

    fn read(files: &[(&str, &str)]) -> Documents {
        let files = files.iter().map(|(path, text)| SourceFile {
            path: (*path).to_owned(),
            content: Ok(text.as_bytes().to_vec()),
        });
        read_documents(files)
    }

    fn error_of(documents: &Documents, name: &str) -> String {
        documents.read.apps[&AppId::new("", name)].application.clone().unwrap_err()
    }

    #[test]
    fn a_bad_document_is_told_by_place_and_harms_no_other() {
        let text = format!("{}---\n{}---\na: [\n", app("good", ""), app("bad", "  operation: {}\n"));
        let documents = read(&[("fleet.yaml", &text)]);
        assert!(documents.read.apps[&AppId::new("", "good")].application.is_ok());
        let error = error_of(&documents, "bad");
        assert!(error.contains("document 2, line 8") && error.contains("spec.operation"), "{error}");
        assert_eq!(documents.read.broken.len(), 1);
        assert!(documents.read.broken[0].message.starts_with("document 3, line "), "{documents:?}");
        assert!(documents.read.broken[0].words.may_name("good"), "any name in the file may be meant");
        assert!(!documents.read.broken[0].words.may_name("other"));
    }

    #[test]
    fn a_document_that_no_assignment_can_hold_is_refused() {
        let long = format!("  info: [{{name: note, value: {}}}]\n", "x".repeat(DOCUMENT_BYTES));
        let documents = read(&[("fleet.yaml", &format!("{}---\n{}", app("good", ""), app("long", &long)))]);
        assert!(documents.read.apps[&AppId::new("", "good")].application.is_ok());
        let error = error_of(&documents, "long");
        assert!(error.contains("document 2") && error.contains("bytes as JSON"), "{error}");
    }

    #[test]
    fn two_documents_with_one_identity_are_both_refused() {
        let documents = read(&[("a.yaml", &app("web", "")), ("b.yaml", &app("web", ""))]);
        let error = error_of(&documents, "web");
        assert!(error.contains("twice, in a.yaml (document 1, line 1) and in b.yaml"), "{error}");
    }

    #[test]
    fn other_kinds_are_reported_and_nothing_else() {
        let documents = read(&[("x.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n")]);
        assert_eq!(documents.read, FleetRead::default());
        assert_eq!(
            documents.others,
            [
                "x.yaml: document 1, line 1: kind ConfigMap of v1 is no Application or AppProject and is left alone"
            ]
        );
    }

    #[test]
    fn an_application_without_a_name_is_a_broken_file() {
        let text = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {}\n";
        let documents = read(&[("x.yaml", text)]);
        assert_eq!(
            documents.read.broken[0].message,
            "document 1, line 1: metadata.name: is missing or no name"
        );
    }

    #[test]
    fn a_project_without_a_name_and_a_file_that_cannot_be_read_may_be_about_anything() {
        let nameless = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nspec: {}\n";
        assert!(read(&[("x.yaml", nameless)]).read.broken[0].words.may_name("anything"));
        assert!(!read(&[("x.yaml", "a: [")]).read.broken[0].words.may_name("anything"));
        let file = SourceFile { path: "y.yaml".to_owned(), content: Err("too large".to_owned()) };
        let documents = read_documents([file]);
        assert_eq!(documents.read.broken[0].message, "too large");
        assert!(documents.read.broken[0].words.may_name("anything"));
        assert!(Words::of(&[0xff, 0xfe, 0x61, 0]).may_name("anything"), "no text that is read here");
    }

    #[test]
    fn kinds_of_argo_cd_that_are_not_known_are_told_apart_and_may_be_misspelt() {
        let text = "apiVersion: argoproj.io/v1alpha1\nkind: AppProjct\nmetadata: {name: shop}\n";
        let documents = read(&[("x.yaml", text)]);
        assert!(documents.others.is_empty() && documents.read.broken.is_empty());
        let [unknown] = documents.read.unknown_kinds.as_slice() else { panic!("{documents:?}") };
        assert_eq!(unknown.file, "x.yaml");
        assert!(unknown.message.contains("document 1, line 1: kind AppProjct of argoproj.io/v1alpha1"));
        assert!(unknown.words.may_name("shop") && !unknown.words.may_name("web"));
    }
}
