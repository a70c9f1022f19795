//! The command line of Argosy: what an operator sees and asks.
//!
//! Commands fetch views from the hub, pure functions render them, and one place prints. Nothing that came over the wire
//! is printed before it is cleaned; every status is shown with its age; the hub's clock measures ages, never ours.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod command;
mod config;
mod connection;
mod failure;
mod output;
mod text;
mod view;

pub use args::Arguments;
pub use failure::Failure;

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to be told when even this cannot be written.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Failed(format!("no runtime: {error}"))),
    };
    match runtime.block_on(command::run(arguments)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    if !failure.is_closed_pipe() {
        drop(writeln!(std::io::stderr(), "argosy: {}", text::clean_lines(&failure.to_string())));
    }
    ExitCode::from(failure.code())
}
