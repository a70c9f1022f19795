//! What a revision stands for.

use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Repository};

use super::{GitError, RepositoryUrl, url};

/// Reference of a mirror that holds the repository's `HEAD`.
pub(super) const HEAD: &str = "refs/argosy/head";

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full SHA in hexadecimal.
    pub sha: String,
    /// When it was committed, in seconds since 1970, by the committer's clock.
    pub time: i64,
    /// First line of its message.
    pub summary: String,
    /// Id of its root tree: equal ids, equal content.
    pub(super) tree: Oid,
}

// === impl Commit ===

impl Commit {
    /// Gives the id of the root tree in hexadecimal.
    pub fn tree_id(&self) -> String {
        self.tree.to_string()
    }
}

/// Resolves a branch, a tag, a full or short SHA, a full reference, or `HEAD`, which the empty text means as well. Of a
/// branch and a tag with one name it takes the branch, as Argo CD does.
pub(super) fn resolve(repo: &Repository, url: &RepositoryUrl, revision: &str) -> Result<Commit, GitError> {
    let refuse = |why: &str| Err(GitError::Revision { revision: revision.to_owned(), why: why.to_owned() });
    let not_found = || GitError::RevisionNotFound { revision: revision.to_owned(), url: url.to_string() };
    if revision.is_empty() || revision == "HEAD" {
        return match reference(repo, HEAD)? {
            Some(id) => peel(repo, revision, id),
            None => Err(GitError::RevisionNotFound { revision: "HEAD".to_owned(), url: url.to_string() }),
        };
    }
    if revision.contains(['*', '>', '<', '=', '|']) {
        return refuse("ranges of versions are not supported");
    }
    let odd = |character: char| character.is_control() || "~^: ?[\\".contains(character);
    if revision.contains(odd) || revision.contains("..") || revision.contains("@{") {
        return refuse("is no name of a branch, tag or commit; expressions are not supported");
    }
    let hexadecimal = revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if revision.len() == 40 && hexadecimal {
        return match Oid::from_str(revision) {
            Ok(id) if exists(repo, id)? => peel(repo, revision, id),
            Ok(_) | Err(_) => Err(not_found()),
        };
    }
    let names = if revision.starts_with("refs/heads/") || revision.starts_with("refs/tags/") {
        vec![revision.to_owned()]
    } else {
        vec![format!("refs/heads/{revision}"), format!("refs/tags/{revision}")]
    };
    for name in names {
        if let Some(id) = reference(repo, &name)? {
            return peel(repo, revision, id);
        }
    }
    if hexadecimal && (4..40).contains(&revision.len()) {
        return match repo.find_commit_by_prefix(revision) {
            Ok(commit) => peel(repo, revision, commit.id()),
            Err(error) if error.code() == ErrorCode::NotFound => Err(not_found()),
            Err(error) if error.code() == ErrorCode::Ambiguous => refuse("more than one commit begins so"),
            Err(error) => Err(GitError::damaged(repo.path(), &error)),
        };
    }
    Err(not_found())
}

/// Gives what a reference points at; `None` when there is none, or when it could not have that name.
fn reference(repo: &Repository, name: &str) -> Result<Option<Oid>, GitError> {
    match repo.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
        Err(error) => Err(GitError::damaged(repo.path(), &error)),
    }
}

fn exists(repo: &Repository, id: Oid) -> Result<bool, GitError> {
    match repo.find_object(id, None) {
        Ok(_) => Ok(true),
        Err(error) if error.code() == ErrorCode::NotFound && error.class() == ErrorClass::Odb => Ok(false),
        Err(error) => Err(GitError::damaged(repo.path(), &error)),
    }
}

/// Follows annotated tags to their commit.
fn peel(repo: &Repository, revision: &str, id: Oid) -> Result<Commit, GitError> {
    let object = repo.find_object(id, None).map_err(|error| GitError::damaged(repo.path(), &error))?;
    let commit = object.peel_to_commit().map_err(|error| match object.kind() {
        Some(ObjectType::Tree | ObjectType::Blob | ObjectType::Tag)
            if error.code() != ErrorCode::NotFound =>
        {
            GitError::Revision { revision: revision.to_owned(), why: "does not name a commit".to_owned() }
        }
        Some(_) | None => GitError::damaged(repo.path(), &error),
    })?;
    let summary = String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned();
    Ok(Commit {
        sha: commit.id().to_string(),
        time: commit.time().seconds(),
        summary: url::scrub(&summary),
        tree: commit.tree_id(),
    })
}
