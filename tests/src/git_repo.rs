//! A real Git repository in a folder, changed by the real `git`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// A repository with a work tree on branch `main`, served as a `file://` URL.
#[derive(Debug)]
pub struct GitRepo {
    folder: PathBuf,
}

// === impl GitRepo ===

impl GitRepo {
    /// Makes an empty repository with one commit in a new folder.
    pub fn init(folder: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let repo = Self { folder };
        repo.git(["init", "--quiet", "--initial-branch=main"])?;
        // A fetch may name any commit, and nothing runs in the background while a test ends.
        repo.git(["config", "uploadpack.allowAnySHA1InWant", "true"])?;
        repo.git(["config", "gc.auto", "0"])?;
        repo.git(["commit", "--quiet", "--allow-empty", "--message=Begin"])?;
        Ok(repo)
    }

    /// Returns the URL that a hub reads it from.
    pub fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// Returns the folder of its work tree.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of the work tree; folders on its way are made.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let file = self.folder.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Removes a file or a whole folder of the work tree.
    pub fn remove(&self, path: &str) -> anyhow::Result<()> {
        self.git(["rm", "-r", "--quiet", "--force", "--", path]).map(drop)
    }

    /// Renames a file or folder of the work tree.
    pub fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        self.git(["mv", "--", from, to]).map(drop)
    }

    /// Commits all that changed in the work tree, also nothing, and returns the commit's SHA.
    pub fn commit(&self, message: &str) -> anyhow::Result<String> {
        self.git(["add", "--all"])?;
        self.git(["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    /// Writes one file and commits it: the usual change of a test.
    pub fn commit_file(&self, path: &str, text: impl AsRef<[u8]>) -> anyhow::Result<String> {
        self.write(path, text)?;
        self.commit(&format!("Change {path}"))
    }

    /// Returns the SHA of the newest commit.
    pub fn head(&self) -> anyhow::Result<String> {
        self.git(["rev-parse", "HEAD"])
    }

    /// Makes the repository unreachable, as if its server were gone.
    pub fn hide(&self) -> anyhow::Result<()> {
        self.shift(&self.folder, &self.hidden())
    }

    /// Makes a hidden repository reachable again.
    pub fn show(&self) -> anyhow::Result<()> {
        self.shift(&self.hidden(), &self.folder)
    }

    /// Runs any git command in it and returns what it printed, without the closing line end.
    pub fn git<I>(&self, arguments: I) -> anyhow::Result<String>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        // A test may run inside a hook of the repository that it belongs to.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"] {
            command.env_remove(name);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "Test")
                .env(format!("GIT_{role}_EMAIL"), "test@example.com");
        }
        let output = command.output().context("cannot start git")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{command:?}: {}: {}", output.status, stderr.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn hidden(&self) -> PathBuf {
        self.folder.with_extension("hidden")
    }

    fn shift(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        std::fs::rename(from, to).with_context(|| format!("cannot rename {}", self.folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn commits_are_seen_through_the_url() {
        let scratch = Scratch::new("unit").unwrap();
        let repo = GitRepo::init(scratch.join("repo")).unwrap();

        let first = repo.commit_file("a/b.yaml", "x: 1\n").unwrap();
        repo.remove("a").unwrap();
        let second = repo.commit("Remove").unwrap();

        let listed = repo.git(["ls-remote", &repo.url(), "refs/heads/main"]).unwrap();
        assert!(listed.starts_with(&second), "{listed}");
        assert_eq!(repo.git(["show", &format!("{first}:a/b.yaml")]).unwrap(), "x: 1");
        assert_eq!(repo.git(["ls-tree", "-r", "--name-only", "HEAD"]).unwrap(), "");
    }

    #[test]
    fn a_hidden_repository_cannot_be_reached_until_it_is_shown() {
        let scratch = Scratch::new("unit").unwrap();
        let repo = GitRepo::init(scratch.join("repo")).unwrap();
        let other = GitRepo::init(scratch.join("other")).unwrap();

        repo.hide().unwrap();
        let hidden = other.git(["ls-remote", &repo.url()]);
        repo.show().unwrap();

        assert!(hidden.is_err());
        other.git(["ls-remote", &repo.url()]).unwrap();
    }
}
