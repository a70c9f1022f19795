//! One spelling for a repository's URL.

/// Brings a repository's URL, or a glob of such, to one spelling as Argo CD does: trimmed, in lower case, without
/// `.git` at its end, and `git@host:path` as `ssh://git@host/path` with the scheme dropped.
pub fn normalise(url: &str) -> String {
    let url = url.trim().to_lowercase();
    let url = url.strip_suffix(".git").unwrap_or(&url);
    let scp_like = !url.contains("://") && url.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    let url = if scp_like { url.replacen(':', "/", 1) } else { url.to_owned() };
    url.strip_prefix("ssh://").map_or(url.clone(), str::to_owned)
}
