//! The look at a store's file that a child process takes after an unclean stop: a file that makes the storage panic,
//! overflow or never return takes the child with it, not the daemon.
//!
//! The daemon runs its own program with a hidden subcommand, which calls [`verify_and_tell`]; the child answers with one
//! line on its standard output. No answer means that the file killed its reader.

use std::ffi::OsString;
use std::io::{Read as _, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;

use super::open::{check, damaged};
use super::{Damage, OpenError, Owner, StoreSpec};

/// This program, whatever was put in its place on the disk since it started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// How to look at a store in a child process.
#[derive(Debug, Clone)]
pub struct ChildCheck {
    program: PathBuf,
    arguments: Vec<OsString>,
    deadline: Duration,
}

// === impl ChildCheck ===

impl ChildCheck {
    /// Runs this program with `arguments`, which must lead to [`verify_and_tell`] for the same store.
    pub fn new(arguments: impl IntoIterator<Item = impl Into<OsString>>, deadline: Duration) -> Self {
        Self::of_program(THIS_PROGRAM, arguments, deadline)
    }

    /// Runs `program` instead of this one.
    pub fn of_program(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        deadline: Duration,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, deadline }
    }
}

/// Opens and verifies the store at `path` in this process, and closes it again.
pub fn verify(path: &Path, spec: &StoreSpec) -> Result<(), OpenError> {
    check(path, spec)
}

/// Does what the child does: verifies the store and writes the verdict, one line, to `output`.
pub fn verify_and_tell(path: &Path, spec: &StoreSpec, output: &mut dyn Write) -> std::io::Result<()> {
    let verdict = match verify(path, spec) {
        Ok(()) => "sound".to_owned(),
        Err(OpenError::Busy { .. }) => "busy".to_owned(),
        Err(OpenError::Damaged { damage, .. }) => match damage {
            Damage::Empty => "empty".to_owned(),
            Damage::Corrupt { what } => format!("corrupt {}", one_line(&what)),
            Damage::Foreign { found, .. } => format!("foreign {}", one_line(&found)),
            Damage::Newer { found, known } => format!("newer {found} {known}"),
        },
        Err(
            error @ (OpenError::Io { .. }
            | OpenError::Beside { .. }
            | OpenError::Storage { .. }
            | OpenError::Check { .. }),
        ) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("failed {}", one_line(&format!("{error}{cause}")))
        }
    };
    writeln!(output, "{verdict}")?;
    output.flush()
}

/// Runs the child and gives its verdict.
pub(super) fn in_child(path: &Path, owner: &Owner, check: &ChildCheck) -> Result<(), OpenError> {
    let failed = |why: String| OpenError::Check { path: path.to_owned(), why };
    let mut child = Command::new(&check.program)
        .args(&check.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot start {}: {error}", check.program.display())))?;
    let answer = answer(&mut child, check.deadline);
    if answer.is_none() {
        child.kill().map_err(|error| failed(format!("cannot end the child: {error}")))?;
    }
    let status = child.wait().map_err(|error| failed(format!("cannot wait for the child: {error}")))?;
    let Some(answer) = answer else {
        // A slow disk is no damage: who sets a store aside for it loses a sound one.
        return Err(failed(format!("it did not end within {:?}", check.deadline)));
    };
    let answer = answer.map_err(|error| failed(format!("cannot read the child's answer: {error}")))?;
    let outside = [Signal::TERM, Signal::KILL, Signal::INT, Signal::HUP];
    if let Some(signal) = status.signal().filter(|signal| outside.iter().any(|one| one.as_raw() == *signal)) {
        return Err(failed(format!("it was ended from outside, by signal {signal}")));
    }
    if !status.success() {
        return Err(damaged(path, Damage::Corrupt { what: format!("the check died: {status}") }));
    }
    let (verdict, detail) = answer.trim_end().split_once(' ').unwrap_or((answer.trim_end(), ""));
    match verdict {
        "sound" => Ok(()),
        "busy" => Err(OpenError::Busy { path: path.to_owned() }),
        "empty" => Err(damaged(path, Damage::Empty)),
        "corrupt" => Err(damaged(path, Damage::Corrupt { what: detail.to_owned() })),
        "foreign" => {
            let damage = Damage::Foreign { expected: owner.to_string(), found: detail.to_owned() };
            Err(damaged(path, damage))
        }
        "newer" => match detail.split_once(' ').map(|(found, known)| (found.parse(), known.parse())) {
            Some((Ok(found), Ok(known))) => Err(damaged(path, Damage::Newer { found, known })),
            Some(_) | None => Err(failed(format!("the child answered {answer:?}"))),
        },
        "failed" => Err(failed(detail.to_owned())),
        _ => Err(failed(format!("the child answered {answer:?}"))),
    }
}

/// Reads what the child says, for at most `deadline`.
fn answer(child: &mut Child, deadline: Duration) -> Option<std::io::Result<String>> {
    let stdout = child.stdout.take()?;
    let (send, receive) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.take(MAX_ANSWER).read_to_string(&mut text).map(|_len| text);
        // Nobody listens any more once the deadline has passed.
        drop(send.send(read));
    });
    receive.recv_timeout(deadline).ok()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
