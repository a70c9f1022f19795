//! Child processes that never outlive the harness, and our own binaries among them.
//!
//! A drop guard alone is not enough: a test process may be killed. So every child starts in a process group of its
//! own together with a guard, a shell that waits for a pipe from the harness to close and then kills the group. The
//! kernel closes the pipe whatever the harness dies of, and a group cannot be reused while the guard is in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::wait;

/// Starts the guard on the pipe that is its standard input, then becomes the program.
const GUARD: &str = r#"exec 3<&0 </dev/null
(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 &
exec 3<&-
exec "$@""#;

/// How many bytes of a log a failing test shows.
const LOG_TAIL: usize = 16 * 1024;

/// A program to start: what, with which arguments and environment, logging to which file.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    log: PathBuf,
}

/// A running program; killed with all its children on drop and when the harness dies.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

// === impl Launch ===

impl Launch {
    /// Describes a program whose output goes to the end of the file `log`.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new(), log: log.into() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts the program.
    pub fn start(&self) -> anyhow::Result<Daemon> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open {}", self.log.display()))?;
        let child = new_group(Command::new("sh").args(["-c", GUARD, "guard"]).arg(&self.program))
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot duplicate a file")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Daemon { name, child, log: self.log.clone() })
    }
}

// === impl Daemon ===

impl Daemon {
    /// Returns the process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns how the program ended, or `None` while it runs.
    pub fn exited(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot look after {}", self.name))
    }

    /// Fails with the end of its log if the program has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}); its log ends with:\n{}", self.name, self.log_tail()),
        }
    }

    /// Kills the program with SIGKILL, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        // The guard takes the program's own children along.
        drop(self.child.stdin.take());
        Ok(())
    }

    /// Asks the program to stop with SIGTERM and waits for it at most `deadline`.
    pub fn stop(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        if self.exited()?.is_none() {
            self.signal("TERM")?;
        }
        let what = format!("{} to stop after SIGTERM", self.name);
        let status = wait::poll(deadline, &what, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("still running".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        drop(self.child.stdin.take());
        status
    }

    /// Sends a signal by its name without `SIG`, such as `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.pid().to_string();
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "kill", signal, &pid])
            .status()
            .context("cannot start sh")?;
        anyhow::ensure!(status.success(), "cannot send SIG{signal} to {} ({pid})", self.name);
        Ok(())
    }

    /// Returns the memory that the program holds at present (resident set), in bytes.
    pub fn resident_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .with_context(|| format!("cannot read the status of {}", self.name))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .with_context(|| format!("{} has no resident memory", self.name))?;
        Ok(kibibytes * 1024)
    }

    /// Returns all that the program has written so far, over all its starts with the same log.
    pub fn log(&self) -> anyhow::Result<String> {
        let bytes =
            std::fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn log_tail(&self) -> String {
        match self.log() {
            Ok(log) => {
                let start = log.len().saturating_sub(LOG_TAIL);
                let start = (start..log.len()).find(|&at| log.is_char_boundary(at)).unwrap_or(log.len());
                log.get(start..).unwrap_or_default().to_owned()
            }
            Err(error) => format!("({error:#})"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            crate::say(&format!("cannot wait for {}: {error}", self.name));
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "shown by the test runner for the test that failed")]
            {
                eprintln!("--- {} ({}) ends with:\n{}", self.name, self.log.display(), self.log_tail());
            }
        }
    }
}

/// Finds one of our own binaries beside the running test, in `target/<profile>/`.
pub fn our_binary(name: &str) -> anyhow::Result<PathBuf> {
    let us = std::env::current_exe().context("cannot find the running executable")?;
    let folder = us.parent().context("the running executable is in no folder")?;
    let folder = if folder.file_name() == Some(OsStr::new("deps")) { folder.parent() } else { Some(folder) };
    let path = folder.context("the running executable is in no profile's folder")?.join(name);
    if !is_executable(&path) {
        bail!(
            "{} does not exist: scenarios run the real binaries; build them first with \
             `cargo build --workspace --bins` (`make test` does) or, for a release, `make build`",
            path.display()
        );
    }
    Ok(path)
}

/// Tells whether a file is there and may be executed.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Puts a command into a process group of its own, out of reach of the terminal's Ctrl-C.
pub(crate) fn new_group(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const SOON: Duration = Duration::from_secs(20);

    fn alive(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn sleeper(scratch: &Scratch) -> Daemon {
        Launch::new("sleep", scratch.join("log")).args(["1000"]).start().unwrap()
    }

    #[test]
    fn a_dropped_daemon_is_dead() {
        let scratch = Scratch::new("unit").unwrap();
        let daemon = sleeper(&scratch);
        let pid = daemon.pid();
        assert!(alive(pid));

        drop(daemon);

        assert!(!alive(pid));
    }

    #[test]
    fn children_of_a_killed_daemon_die_with_it() {
        let scratch = Scratch::new("unit").unwrap();
        let script = "sleep 1000 & echo $! > child; wait";
        let mut daemon = Launch::new("sh", scratch.join("log"))
            .args(["-c", &format!("cd {}; {script}", scratch.path().display())])
            .start()
            .unwrap();
        let child: u32 = wait::eventually(SOON, "the pid of the child", || {
            std::fs::read_to_string(scratch.join("child")).ok()?.trim().parse().ok()
        });

        daemon.kill().unwrap();

        wait::eventually(SOON, "the end of the child", || !alive(child));
    }

    #[test]
    fn a_daemon_that_obeys_is_stopped_by_a_signal() {
        let scratch = Scratch::new("unit").unwrap();
        let mut daemon = sleeper(&scratch);

        let status = daemon.stop(SOON).unwrap();

        assert!(!status.success());
        assert!(daemon.exited().unwrap().is_some());
    }

    #[test]
    fn a_program_that_is_missing_is_reported_with_its_log() {
        let scratch = Scratch::new("unit").unwrap();
        let mut daemon = Launch::new("/nonexistent/program", scratch.join("log")).start().unwrap();

        let error = wait::eventually(SOON, "the failure", || daemon.check().err()).to_string();

        assert!(error.contains("/nonexistent/program"), "{error}");
    }

    #[test]
    fn a_binary_that_is_not_built_is_named_with_the_command_that_builds_it() {
        let error = our_binary("argosy-unheard-of").unwrap_err().to_string();

        assert!(error.contains("argosy-unheard-of") && error.contains("cargo build"), "{error}");
    }
}
