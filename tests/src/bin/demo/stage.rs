//! What the audience sees: headings, explanations, commands with their output.

use std::cell::Cell;
use std::io::{IsTerminal as _, Stdout, Write as _};
use std::time::Duration;

use anyhow::Context as _;

/// Where the story is told.
#[derive(Debug)]
pub(crate) struct Stage {
    stdout: Stdout,
    styled: bool,
    steps: Cell<u32>,
}

// === impl Stage ===

impl Stage {
    /// Makes the stage of standard output; a terminal gets bold headings unless `NO_COLOR` is set.
    pub(crate) fn of_terminal() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let stdout = std::io::stdout();
        Self { styled: stdout.is_terminal() && !plain, stdout, steps: Cell::new(0) }
    }

    /// Opens the next step.
    pub(crate) fn step(&self, heading: &str) -> anyhow::Result<()> {
        let number = self.steps.get() + 1;
        self.steps.set(number);
        let heading = format!("{number}. {heading}");
        let line = "─".repeat(heading.chars().count());
        if self.styled {
            self.print(&format!("\n\x1b[1m{heading}\x1b[0m\n{line}\n"))
        } else {
            self.print(&format!("\n{heading}\n{line}\n"))
        }
    }

    /// Explains.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<()> {
        self.print(&format!("{text}\n"))
    }

    /// Says how long something took.
    pub(crate) fn took(&self, what: &str, time: Duration) -> anyhow::Result<()> {
        self.say(&format!("=> {what}: {} ms", time.as_millis()))
    }

    /// Shows a command as a person would type it, with what it printed.
    pub(crate) fn command(&self, command: &str, output: &str) -> anyhow::Result<()> {
        let mut text =
            if self.styled { format!("\n\x1b[36m$ {command}\x1b[0m\n") } else { format!("\n$ {command}\n") };
        for line in output.trim_end().lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        self.print(&text)
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = self.stdout.lock();
        stdout.write_all(text.as_bytes()).context("cannot write to standard output")?;
        stdout.flush().context("cannot write to standard output")
    }
}
