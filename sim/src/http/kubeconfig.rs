//! Kubeconfig files.

use data_encoding::BASE64;
use serde_json::{Value, json};

/// Gives a kubeconfig with one context: a user by token at a server. The certificate of the authority, as PEM, is for
/// servers with TLS.
pub fn kubeconfig(cluster: &str, server: &str, authority: Option<&str>, user: &str, token: &str) -> String {
    let mut access = json!({"server": server});
    if let (Some(authority), Value::Object(map)) = (authority, &mut access) {
        map.insert("certificate-authority-data".to_owned(), BASE64.encode(authority.as_bytes()).into());
    }
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": access}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_named_where_there_is_one() {
        let plain: Value =
            serde_json::from_str(&kubeconfig("c", "http://127.0.0.1:1", None, "admin", "t")).unwrap();
        assert_eq!(plain["clusters"][0]["cluster"], json!({"server": "http://127.0.0.1:1"}));
        assert_eq!(plain["users"][0]["user"]["token"], "t");
        let secure: Value =
            serde_json::from_str(&kubeconfig("c", "https://127.0.0.1:1", Some("PEM"), "admin", "t")).unwrap();
        assert_eq!(secure["clusters"][0]["cluster"]["certificate-authority-data"], "UEVN");
        assert_eq!(secure["current-context"], "c");
    }
}
