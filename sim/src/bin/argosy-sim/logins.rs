//! Who may come.

use std::path::Path;

use anyhow::Context as _;
use argosy_core::time::Entropy as _;
use argosy_runtime::entropy::SystemEntropy;
use argosy_sim::http::{Login, User};

use crate::args::Serve;

/// Gives the administrator and all others that get a kubeconfig, each with a token.
pub(crate) fn with_kubeconfig(args: &Serve) -> Vec<Login> {
    let admin = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] };
    let mut logins = vec![Login { user: admin, token: args.token.clone().unwrap_or_else(token) }];
    logins.extend(args.users.iter().map(|user| Login { user: user.clone(), token: token() }));
    logins
}

/// Reads the users of a file of tokens.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<Vec<Login>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            login(line).with_context(|| {
                format!("{}: line {}: not TOKEN,NAME,UID,\"GROUP,...\"", path.display(), number + 1)
            })
        })
        .collect()
}

/// Reads a line. Groups are the last column and the only one that may be quoted.
fn login(line: &str) -> Option<Login> {
    let mut columns = line.splitn(4, ',').map(str::trim);
    let (token, name, _uid) = (columns.next()?, columns.next()?, columns.next()?);
    let groups = columns.next().unwrap_or_default().trim_matches('"');
    if token.is_empty() || name.is_empty() || [token, name, groups].iter().any(|text| text.contains('"')) {
        return None;
    }
    let groups = groups.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Some(Login { user: User { name: name.to_owned(), groups }, token: token.to_owned() })
}

fn token() -> String {
    data_encoding::HEXLOWER.encode(&SystemEntropy.bytes16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_user_with_groups_or_refused() {
        let read = login(r#"secret,ada,7,"a,b""#).unwrap();
        assert_eq!((read.token.as_str(), read.user.name.as_str()), ("secret", "ada"));
        assert_eq!(read.user.groups, ["a", "b"]);
        assert!(login("secret,ada,7").unwrap().user.groups.is_empty());
        for bad in ["secret,ada", ",ada,7", r#"secret,"ada,x",7,a"#] {
            assert!(login(bad).is_none(), "{bad}");
        }
    }
}
