//! `argosy health`: the health of objects in files.

pub(super) mod objects;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use argosy_core::health::Assessor;
use argosy_lua::{Clock, Rules};

use self::objects::Objects;
use crate::args::{Format, HealthArguments};
use crate::failure::{Failure, OK, causes};
use crate::output;
use crate::view::health::{Row, table};

/// Largest file that is read.
const LARGEST: u64 = 256 << 20;

pub(super) fn run(arguments: &HealthArguments) -> Result<u8, Failure> {
    let rules = arguments.rules.as_deref().map(load).transpose()?;
    let mut objects = Objects::default();
    for file in &arguments.files {
        let name = if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
        for warning in objects.read(&name, &bytes(file, &name)?)? {
            output::note(&warning)?;
        }
    }
    let assessor = Assessor::default();
    let rows = match &rules {
        Some(rules) => judge(&objects, &assessor.with_rules(rules)),
        None => judge(&objects, &assessor),
    };
    let text = match arguments.output.format {
        Format::Table => table(&rows),
        format @ (Format::Json | Format::Yaml) => output::document(format, &rows)?,
    };
    output::print(&text)?;
    Ok(OK)
}

/// Reads the user's own rules.
fn load(path: &Path) -> Result<Rules, Failure> {
    let clock = Clock { elapsed, unix: || jiff::Timestamp::now().as_second() };
    Rules::load(path, clock).map_err(|error| Failure::Usage(format!("--rules: {}", causes(&error))))
}

/// Gives the time since the first look.
fn elapsed() -> Duration {
    static BEGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    BEGIN.get_or_init(tokio::time::Instant::now).elapsed()
}

/// Judges all objects, in the order of the files, each among all others.
fn judge(objects: &Objects, assessor: &Assessor<'_>) -> Vec<Row> {
    let assessor = assessor.among(objects);
    objects.iter().map(|(key, object)| Row::new(key, assessor.assess(&key.group_kind(), object))).collect()
}

/// Reads a file, or the standard input.
pub(super) fn bytes(file: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| Failure::Usage(format!("cannot read {name}: {error}"));
    let from = if file.as_os_str() == "-" {
        File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?)
    } else {
        File::open(file).map_err(unreadable)?
    };
    let mut bytes = Vec::new();
    from.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
