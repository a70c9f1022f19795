//! `argosy`: the operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    argosy_cli::run()
}
