//! Temporary folders that vanish with the process that made them, even when it is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::process::new_group;

/// Set in the environment, this keeps every folder for a look afterwards.
const KEEP: &str = "ARGOSY_TEST_KEEP";

/// The janitor waits for its standard input to end. A line on it means that all is tidied up; an end without a line
/// means that the owner died, so the folder goes once the guards have killed the processes in it.
const JANITOR: &str = r#"read -r _ && exit 0
sleep 1
rm -rf -- "$1""#;

/// A temporary folder, removed on drop and also when the process dies in any other way.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
    path: PathBuf,
    janitor: Option<Child>,
}

// === impl Scratch ===

impl Scratch {
    /// Makes an empty folder whose name begins with `argosy-NAME-`.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("argosy-{name}-"))
            .tempdir()
            .context("cannot make a temporary folder")?;
        if std::env::var_os(KEEP).is_some() {
            return Ok(Self { path: folder.keep(), folder: None, janitor: None });
        }
        let janitor = new_group(Command::new("sh").args(["-c", JANITOR, "janitor"]).arg(folder.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        Ok(Self { path: folder.path().to_owned(), folder: Some(folder), janitor: Some(janitor) })
    }

    /// Returns where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file or folder in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        use std::io::Write as _;

        let tidy = self.folder.take().is_none_or(|folder| folder.close().is_ok());
        let Some(mut janitor) = self.janitor.take() else { return };
        // A folder that resists, say because a killed process is still leaving it, is left to the janitor.
        let told = janitor.stdin.take().is_some_and(|mut stdin| tidy && stdin.write_all(b"done\n").is_ok());
        if told && let Err(error) = janitor.wait() {
            crate::say(&format!("cannot wait for the janitor of {}: {error}", self.path.display()));
        }
    }
}

/// Copies a folder with all that is in it, as a backup does; `to` must not exist.
pub fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!to.exists(), "{} exists", to.display());
    let output = Command::new("cp").arg("-a").args([from, to]).output().context("cannot start cp")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "cannot copy {}: {}", from.display(), stderr.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_with_its_owner() {
        let scratch = Scratch::new("unit").unwrap();
        let path = scratch.path().to_owned();
        std::fs::write(scratch.join("file"), "x").unwrap();

        drop(scratch);

        assert!(!path.exists() || std::env::var_os(KEEP).is_some());
    }
}
