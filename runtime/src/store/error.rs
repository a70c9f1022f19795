//! What can be wrong with a store: its file, the way to it, and what is done with it.

use std::path::PathBuf;

use argosy_core::store::{StoreError, Table};

use crate::files::FileError;

/// What is wrong with a store's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file is there and has no content.
    #[error("the file is empty")]
    Empty,
    /// Its content is not what was written.
    #[error("corrupt: {what}")]
    Corrupt {
        /// How that is known.
        what: String,
    },
    /// It belongs to somebody else.
    #[error("it belongs to {found}, not to {expected}")]
    Foreign {
        /// Who opens it.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// A newer program wrote it.
    #[error("its format is {found}, this program knows {known}")]
    Newer {
        /// The file's format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
}

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("store {path} is open in another process")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what it should be.
    #[error("store {path}: {damage}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The system refuses; the file itself may be sound.
    #[error("cannot open store {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file beside the store cannot be read or written.
    #[error("cannot prepare store {path}")]
    Beside {
        /// The store's file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: FileError,
    },
    /// The storage fails in a way that says nothing about the file.
    #[error("store {path} fails")]
    Storage {
        /// The file.
        path: PathBuf,
        /// The storage's error.
        #[source]
        source: Box<redb::Error>,
    },
    /// The check in a child process cannot be made.
    #[error("store {path} cannot be checked in a child process: {why}")]
    Check {
        /// The file.
        path: PathBuf,
        /// What prevents it.
        why: String,
    },
}

/// An opened store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// The store has no such table.
    #[error("the store has no table {table}")]
    UnknownTable {
        /// The table.
        table: Table,
    },
    /// A value is longer than any may be.
    #[error("a value of {len} bytes for table {table} is too long")]
    ValueTooLarge {
        /// The table.
        table: Table,
        /// Length of the value.
        len: usize,
    },
    /// A value cannot be compressed.
    #[error("a value for table {table} cannot be compressed: {why}")]
    Compress {
        /// The table.
        table: Table,
        /// The compressor's words.
        why: String,
    },
    /// What is stored is not what was written.
    #[error("the store is corrupt: {what}")]
    Corrupt {
        /// How that is known.
        what: String,
    },
    /// The storage failed.
    #[error("the store fails")]
    Storage {
        /// The storage's error.
        #[source]
        source: Box<redb::Error>,
    },
    /// It failed before and takes nothing more.
    #[error("the store panicked before and takes nothing more")]
    Poisoned,
    /// It was closed.
    #[error("the store is closed")]
    Closed,
}

// === impl OpenError ===

impl OpenError {
    /// Gives what is wrong with the file, if that is what prevents opening it.
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Damaged { damage, .. } => Some(damage),
            Self::Busy { .. }
            | Self::Io { .. }
            | Self::Beside { .. }
            | Self::Storage { .. }
            | Self::Check { .. } => None,
        }
    }
}

// === impl StoreFailure ===

impl StoreFailure {
    pub(super) fn of(error: impl Into<redb::Error>) -> Self {
        let error = error.into();
        if let redb::Error::Corrupted(what) = error {
            return Self::Corrupt { what };
        }
        Self::Storage { source: Box::new(error) }
    }

    /// Gives the failure as the deciding code knows it.
    pub(super) fn of_reading(self, table: Table) -> StoreError {
        let why = match &self {
            Self::Storage { source } => format!("{self}: {source}"),
            Self::UnknownTable { .. }
            | Self::ValueTooLarge { .. }
            | Self::Compress { .. }
            | Self::Corrupt { .. }
            | Self::Poisoned
            | Self::Closed => self.to_string(),
        };
        StoreError::Read { table, why }
    }

    /// Gives the failure of writing the mark of an orderly end.
    pub(super) fn of_mark(error: FileError) -> Self {
        match error {
            FileError::Io { source, .. } => Self::of(redb::Error::Io(source)),
            FileError::Damaged { why, .. } => Self::Corrupt { what: why.to_owned() },
        }
    }
}
