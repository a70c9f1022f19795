//! `argosy app sync --preview-changes`: what would change, and whether that is meant.

use std::fs::File;
use std::os::fd::AsFd as _;

use argosy_core::application::{API_VERSION, ClusterRef};
use argosy_core::ids::Digest;
use argosy_core::key::split_api_version;
use argosy_proto::v1;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};

use crate::args::SyncArguments;
use crate::connection::Hub;
use crate::failure::Failure;
use crate::output;
use crate::text;
use crate::view;

/// Shows what a sync would change and asks whether it is meant. Gives the release that was shown: that one is synced, or none;
/// absent where nothing differs, or nobody wants it (Argo CD: exit code 0 in both cases).
pub(super) async fn show(
    hub: &Hub,
    arguments: &SyncArguments,
    expect: Option<Digest>,
) -> Result<Option<Digest>, Failure> {
    let SyncArguments { app, timeout, .. } = arguments;
    if brings_documents(&super::super::get_app(hub, app).await?) {
        return Err(Failure::Failed(format!(
            "--preview-changes is about objects of a cluster, and app {} brings documents of the fleet: argosy app preview \
             tells what a change of these would bring; sync it without --preview-changes",
            text::clean(&app.app.to_string())
        )));
    }
    let kind = v1::run_command_request::Kind::Diff(v1::DiffCommand {});
    let progress = super::super::run_command(hub, app, *timeout, kind, |_| Ok(false)).await?;
    let Some(diff) = progress.diff.as_ref().filter(|_| progress.state() == v1::CommandState::Succeeded)
    else {
        return Err(Failure::Failed(view::command::end(&progress)));
    };
    let Some(release) = diff.release.as_ref().and_then(v1::ReleaseRef::root).map(|root| root.0) else {
        return Err(Failure::Failed("the agent does not say which release it compared".to_owned()));
    };
    if expect.is_some_and(|expect| expect != release) {
        return Err(Failure::NotNow(
            "the agent has not received that release yet: it is on its way, try again".to_owned(),
        ));
    }
    let name = text::clean(&app.app.to_string());
    output::print(&format!(
        "====== Previewing differences between live and desired state of application {name} ======\n{}",
        view::diff::text(diff)
    ))?;
    output::note(&view::diff::summary(diff, progress.observed.as_ref()))?;
    let unknown = view::diff::unknown(diff);
    if !unknown.is_empty() {
        output::note(&format!("not all could be compared: {}", unknown.join("; ")))?;
    }
    if diff.objects.is_empty() && diff.more == 0 && unknown.is_empty() {
        output::print("====== No Differences found ======\n")?;
        return Ok(None);
    }
    let question = format!(
        "Please review changes to application {name} shown above. Do you want to continue the sync process? (y/n): "
    );
    Ok((arguments.assume_yes || ask(&question, people()?).await?).then_some(release))
}

/// Tells whether an application brings documents of the fleet, of which an agent knows nothing: it would compare the rest, and
/// a sync would take what was not shown.
fn brings_documents(view: &v1::AppView) -> bool {
    let (group, _version) = split_api_version(API_VERSION);
    let rows = view.status.iter().flat_map(|status| &status.resources);
    view.cluster == ClusterRef::IN_CLUSTER
        && rows
            .filter_map(|row| row.key.as_ref())
            .any(|key| key.group == group && ["Application", "AppProject"].contains(&key.kind.as_str()))
}

/// Gives the standard input; the link to the hub is kept up while it is waited for.
fn people() -> Result<impl AsyncBufRead + Unpin, Failure> {
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| unreadable(&error))?;
    Ok(BufReader::new(tokio::fs::File::from_std(File::from(input))))
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::Usage(format!("the answer cannot be read: {error}"))
}

/// Asks until somebody says yes or no.
async fn ask(question: &str, mut answers: impl AsyncBufRead + Unpin) -> Result<bool, Failure> {
    loop {
        output::print(question)?;
        let mut answer = String::new();
        let length = answers.read_line(&mut answer).await.map_err(|error| unreadable(&error))?;
        if length == 0 {
            return Err(Failure::Usage(
                "nobody answers whether the sync is to go on; --assumeYes answers for a program".to_owned(),
            ));
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_brings_documents_of_the_fleet_is_told_from_one_that_has_such_objects() {
        let view = |cluster: &str, kind: &str| {
            let key = v1::ResourceKey {
                group: "argoproj.io".to_owned(),
                kind: kind.to_owned(),
                ..v1::ResourceKey::default()
            };
            let row = v1::ResourceRow { key: Some(key), ..v1::ResourceRow::default() };
            let status = v1::AppStatus { resources: vec![row], ..v1::AppStatus::default() };
            v1::AppView { cluster: cluster.to_owned(), status: Some(status), ..v1::AppView::default() }
        };
        assert!(brings_documents(&view("in-cluster", "Application")));
        assert!(brings_documents(&view("in-cluster", "AppProject")));
        for (cluster, kind) in
            [("edge", "Application"), ("in-cluster", "Rollout"), ("in-cluster", "ApplicationSet")]
        {
            assert!(!brings_documents(&view(cluster, kind)), "{kind} on {cluster}");
        }
        assert!(!brings_documents(&v1::AppView::default()));
    }

    #[tokio::test]
    async fn a_question_is_asked_until_it_is_answered() {
        let answer = async |text: &str| ask("go on? ", text.as_bytes()).await;
        assert!(answer("y\n").await.unwrap());
        assert!(answer("perhaps\n\n YES \nn\n").await.unwrap());
        assert!(!answer("No\n").await.unwrap());
        let nobody = answer("perhaps\n").await.unwrap_err();
        assert!(nobody.code() == 2 && nobody.to_string().contains("--assumeYes"), "{nobody}");
    }
}
