//! URLs of repositories.

use std::fmt;
use std::net::IpAddr;

use super::GitError;

/// URL of a repository that can be fetched: `https://` or `file://`, without a user part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryUrl(String);

// === impl RepositoryUrl ===

impl RepositoryUrl {
    /// Reads a URL; what cannot be used is refused by name.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let text = text.trim();
        let refuse = |why| Err(GitError::Url { url: scrub(text), why });
        if text.contains(|character: char| character.is_control() || character.is_whitespace()) {
            return refuse("it has white space or control characters");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.split_once(':') {
                Some((host, _)) if !host.contains('/') && !host.is_empty() => refuse("ssh is not supported"),
                Some(_) | None => refuse("a path alone is not supported: write it as file:///path"),
            };
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => match rest.strip_prefix('/') {
                Some(path) if !path.is_empty() => {}
                Some(_) | None => return refuse("a file URL needs an absolute path: file:///path"),
            },
            "https" => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                if authority.contains('@') {
                    return refuse("credentials in a URL are not supported");
                }
                if authority.is_empty() {
                    return refuse("it names no host");
                }
                if is_internal(authority) {
                    return refuse("link-local and unspecified addresses are refused");
                }
            }
            "http" => return refuse("http is not supported, only https"),
            "ssh" | "git+ssh" | "ssh+git" => return refuse("ssh is not supported"),
            "git" => return refuse("the git protocol is not supported, only https and file"),
            "oci" => return refuse("OCI registries are not supported"),
            _ => return refuse("this scheme is not supported, only https and file"),
        }
        Ok(Self(format!("{}://{rest}", scheme.to_ascii_lowercase())))
    }

    /// Gives the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes the user part out of every URL in a text.
pub(super) fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after.find(['/', '?', '#', ' ', '\'', '"']).unwrap_or(after.len());
        let (authority, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        clean.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = tail;
    }
    // `user:secret@host:path` has no scheme.
    match rest.split_once('@') {
        Some((user, host)) if clean.is_empty() && user.contains(':') && !user.contains([' ', '/']) => {
            host.to_owned()
        }
        Some(_) | None => clean + rest,
    }
}

/// Tells whether a host is an address that only the machine's own surroundings answer at, such as a cloud's metadata.
fn is_internal(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(mapped) => mapped.is_link_local() || mapped.is_unspecified(),
            None => address.is_unicast_link_local() || address.is_unspecified(),
        },
        Err(_not_an_address) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_file_are_used() {
        for good in [
            "https://git.example.com/a/b.git",
            "HTTPS://git.example.com:8443/a",
            "file:///srv/git/a b".trim_end_matches(" b"),
        ] {
            assert!(RepositoryUrl::parse(good).is_ok(), "{good}");
        }
        assert_eq!(RepositoryUrl::parse(" HTTPS://Host/A ").unwrap().as_str(), "https://Host/A");
        for (bad, why) in [
            ("http://x/y", "http is not supported"),
            ("ssh://git@x/y", "ssh is not supported"),
            ("git@github.com:a/b.git", "ssh is not supported"),
            ("git://x/y", "git protocol"),
            ("ext::sh -c id", "white space"),
            ("ext::sh", "ssh is not supported"),
            ("/srv/git/a", "a path alone"),
            ("../a", "a path alone"),
            ("--upload-pack=x", "a path alone"),
            ("file://host/x", "absolute path"),
            ("file://", "absolute path"),
            ("https://", "no host"),
            ("https://u:p@x/y", "credentials"),
            ("https://169.254.169.254/latest", "link-local"),
            ("https://[fe80::1]:443/x", "link-local"),
            ("https://[::ffff:169.254.169.254]/x", "link-local"),
            ("https://0.0.0.0/x", "link-local and unspecified"),
            ("s3://x", "this scheme"),
            ("https://x/\ny", "control"),
        ] {
            let error = RepositoryUrl::parse(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn no_message_shows_the_user_part_of_a_url() {
        for (text, clean) in [
            ("https://user:hush@host/x", "https://host/x"),
            (
                "failed to read 'https://hush@host/x' and ssh://a:hush@h:22/y",
                "failed to read 'https://host/x' and ssh://h:22/y",
            ),
            ("https://a@hush@host", "https://host"),
            ("git:hush@host:path", "host:path"),
            ("mail a@b.c about it", "mail a@b.c about it"),
            ("https://host/a@b", "https://host/a@b"),
        ] {
            assert_eq!(scrub(text), clean);
        }
        let refused = RepositoryUrl::parse("https://user:hush@host/x").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hush"));
    }
}
