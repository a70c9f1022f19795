//! `argosy app pause` and `argosy app resume`.

use argosy_core::ids::AppId;
use argosy_proto::v1;

use crate::args::AppArguments;
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::{output, text};

pub(super) async fn run(hub: &Hub, app: &AppArguments, resume: bool) -> Result<u8, Failure> {
    let request = v1::PauseAppRequest {
        namespace: app.app.namespace.to_string(),
        name: app.app.name.to_string(),
        cluster: app.cluster.clone(),
        resume,
    };
    let response = hub.call(|mut client| async move { client.pause_app(request).await }).await?;
    output::print(&said(&app.app, &response))?;
    Ok(OK)
}

/// Says how an app stands now.
fn said(app: &AppId, response: &v1::PauseAppResponse) -> String {
    let v1::PauseAppResponse { cluster, changed, paused_by, paused_since_unix_ms } = response;
    let text = match (paused_by.is_empty(), changed) {
        (false, true) => format!(
            "{app} on {cluster} is paused: it is neither synced nor healed by itself until argosy app resume {app}"
        ),
        (false, false) => {
            format!(
                "{app} on {cluster} was paused already, by {paused_by} at {}",
                text::time(*paused_since_unix_ms)
            )
        }
        (true, true) => format!("{app} on {cluster} goes on as its document says"),
        (true, false) => format!("{app} on {cluster} was not paused"),
    };
    text::clean(&text) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ordered_is_said() {
        let say = |by: &str, changed| {
            let response = v1::PauseAppResponse {
                cluster: "edge".to_owned(),
                changed,
                paused_by: by.to_owned(),
                paused_since_unix_ms: 0,
            };
            said(&AppId::new("", "web"), &response)
        };
        assert!(say("ana", true).contains("argosy app resume argocd/web"), "{}", say("ana", true));
        assert!(say("ana", false).contains("paused already, by ana at 1970"), "{}", say("ana", false));
        assert!(say("", true).contains("goes on"));
        assert!(say("", false).contains("was not paused"));
    }
}
