use std::os::unix::fs::symlink;

use super::*;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// A repository with an Application beside it.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("repo/.git/HEAD", "ref: refs/heads/main\n");
        files.write("repo/web/a.yaml", MAP);
        files
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn app(&self, url: &str) -> PathBuf {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web}}\nspec:\n  source: {{repoURL: \
             \"{url}\", path: web}}\n  destination: {{name: edge, namespace: shop}}\n"
        );
        self.write("app.yaml", &text);
        self.path("app.yaml")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn error(&self, source: &Path) -> (u8, String) {
        let error = names(source).unwrap_err();
        (error.code(), error.to_string().replace(&self.0.path().display().to_string(), "DIR"))
    }
}

fn names(source: &Path) -> Result<Vec<String>, Failure> {
    let loaded = load(source, &DirectoryArguments::default())?;
    Ok(loaded.rendered.manifests.iter().map(|manifest| manifest.key.to_string()).collect())
}

#[test]
fn a_directory_is_rendered_with_links_inside_its_repository() {
    let files = Files::new();
    files.write("repo/shared/b.txt", &MAP.replace("name: a", "name: b"));
    symlink("../shared/b.txt", files.path("repo/web/b.yaml")).unwrap();
    files.write("repo/web/below/c.yaml", &MAP.replace("name: a", "name: c"));
    assert_eq!(names(&files.path("repo/web")).unwrap(), ["/ConfigMap//a", "/ConfigMap//b"]);
    let recurse = DirectoryArguments { recurse: true, exclude: "b.yaml".to_owned(), ..Default::default() };
    assert_eq!(load(&files.path("repo/web"), &recurse).unwrap().rendered.manifests.len(), 2);
    symlink("../../app.yaml", files.path("repo/web/out.yaml")).unwrap();
    let (code, error) = files.error(&files.path("repo/web"));
    assert_eq!(code, 1);
    assert!(error.contains("web/out.yaml") && error.contains("out of bounds"), "{error}");
}

#[test]
fn an_application_is_rendered_from_a_working_tree_on_this_machine() {
    let files = Files::new();
    for url in [format!("file://{}", files.path("repo").display()), "./repo".to_owned()] {
        assert_eq!(names(&files.app(&url)).unwrap(), ["/ConfigMap//a"], "{url}");
    }
    let loaded = load(&files.app("./repo"), &DirectoryArguments::default()).unwrap();
    assert_eq!(loaded.application.unwrap().destination.namespace, "shop");
}

#[test]
fn what_cannot_be_rendered_says_why_and_what_to_do() {
    let files = Files::new();
    files.write("bare/HEAD", "");
    fs::create_dir_all(files.path("bare/objects")).unwrap();
    files.write("two.yaml", "");
    let one = fs::read_to_string(files.app("./repo")).unwrap();
    files.write("two.yaml", &format!("{one}---\n{}", one.replace("name: web", "name: api")));
    files.write("helm.yaml", &one.replace("path: web", "path: web, helm: {releaseName: r}"));
    files.write("map.yaml", MAP);
    files.write("broken.yaml", "a: [\n");
    files.write("repo/bad/a.yaml", "kind: ConfigMap\n");
    let remote = files.app("https://git.example/repo.git");
    let mut said = vec![files.error(&remote)];
    said.push(files.error(&files.app("./bare")));
    said.push(files.error(&files.app("./nowhere")));
    for file in ["two.yaml", "helm.yaml", "map.yaml", "broken.yaml", "absent.yaml", "repo/bad"] {
        said.push(files.error(&files.path(file)));
    }
    let lines: Vec<String> = said.into_iter().map(|(code, error)| format!("{code} {error}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let recurse = DirectoryArguments { recurse: true, ..Default::default() };
    let error = load(&files.app("./repo"), &recurse).unwrap_err();
    assert!(error.to_string().contains("are for a directory"), "{error}");
}
