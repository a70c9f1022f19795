//! Git repositories as bare mirrors: fetched, resolved and read by object id.
//!
//! There is no work tree, ever: nothing of a repository's content becomes a file. Submodules are never fetched, and a
//! redirect to another host is not followed. Everything here blocks and belongs on the blocking pool; the caller lets
//! one call at a time into a mirror.
//!
//! A fetch that stops half-way leaves what was there before: objects arrive in packs that get their name when they are
//! complete, references move afterwards. A mirror that cannot be read is set aside and begun anew; it holds nothing
//! that the repository does not have.
//!
//! libgit2 asks whether to go on only while something arrives: a peer that accepts a connection and then says nothing
//! holds its thread until the connection breaks.

mod mirror;
mod revision;
#[cfg(test)]
mod tests;
mod tree;
mod url;

use std::path::PathBuf;

pub use self::mirror::{FetchLimits, Fetched, Mirror};
pub use self::revision::Commit;
pub use self::tree::GitTree;
pub use self::url::RepositoryUrl;

/// Why a repository cannot be used. No message holds the user part of a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The URL is none that can be used.
    #[error("repository {url}: {why}")]
    Url {
        /// The URL, without its user part.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The repository cannot be reached, or does not answer as one.
    #[error("repository {url} cannot be fetched: {why}")]
    Unreachable {
        /// The URL.
        url: String,
        /// The words of libgit2, without user parts of URLs.
        why: String,
    },
    /// The repository is larger than what is fetched.
    #[error("repository {url} is too large: more than {limit} {what}")]
    TooLarge {
        /// The URL.
        url: String,
        /// What there is too much of.
        what: &'static str,
        /// The most that is fetched.
        limit: usize,
    },
    /// The fetch was told to stop.
    #[error("fetching repository {url} took too long or was cancelled")]
    Cancelled {
        /// The URL.
        url: String,
    },
    /// Nothing in the repository has this name.
    #[error(
        "revision {revision:?} is not in repository {url}: no branch, tag or commit of them has this name"
    )]
    RevisionNotFound {
        /// The revision.
        revision: String,
        /// The URL.
        url: String,
    },
    /// The revision is not of a form that is supported, or names no commit.
    #[error("revision {revision:?}: {why}")]
    Revision {
        /// The revision.
        revision: String,
        /// What is wrong with it.
        why: String,
    },
    /// The mirror is damaged.
    #[error("mirror {dir} is damaged: {why}", dir = .dir.display())]
    Damaged {
        /// Where it is.
        dir: PathBuf,
        /// The words of libgit2.
        why: String,
    },
    /// The directory of mirrors cannot be written.
    #[error("{path}: {why}", path = .path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

// === impl GitError ===

impl GitError {
    /// Tells whether the same call may succeed later with nothing changed at this side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cancelled { .. } | Self::Damaged { .. } | Self::Disk { .. } => {
                true
            }
            // Such an answer holds until the repository or the document changes.
            Self::RevisionNotFound { .. }
            | Self::TooLarge { .. }
            | Self::Url { .. }
            | Self::Revision { .. } => false,
        }
    }

    fn disk(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::Disk { path: path.into(), why: error.to_string() }
    }

    fn damaged(dir: impl Into<PathBuf>, error: &git2::Error) -> Self {
        Self::Damaged { dir: dir.into(), why: url::scrub(error.message()) }
    }
}
