//! `argosy app list`.

use argosy_proto::v1;

use crate::args::{Format, ListArguments, ListFormat};
use crate::connection::Hub;
use crate::failure::Failure;
use crate::output;
use crate::view;
use crate::view::app::{Application, Document};

pub(super) async fn run(hub: &Hub, arguments: &ListArguments) -> Result<String, Failure> {
    let request = request(arguments);
    let mut apps = hub.call(|mut client| async move { client.list_apps(request).await }).await?.apps;
    apps.retain(|view| is_asked_for(arguments, view));
    let documents =
        |format| output::document(format, &apps.iter().map(Application::listed).collect::<Vec<_>>());
    match arguments.output {
        ListFormat::Table => Ok(view::list::table(&apps)),
        ListFormat::Wide => Ok(view::list::wide(&apps)),
        ListFormat::Name => Ok(view::list::names(&apps)),
        ListFormat::Json => documents(Format::Json),
        ListFormat::Yaml => documents(Format::Yaml),
    }
}

/// Asks the hub for no more than it can tell apart: one project, and a cluster by its name.
fn request(arguments: &ListArguments) -> v1::ListAppsRequest {
    let project = match arguments.projects.as_slice() {
        [project] => project.clone(),
        [] | [_, _, ..] => String::new(),
    };
    let cluster = if arguments.cluster.contains("://") { String::new() } else { arguments.cluster.clone() };
    v1::ListAppsRequest { cluster, project }
}

/// Tells whether all filters name an app. Repositories and paths are compared as they are written (Argo CD).
fn is_asked_for(arguments: &ListArguments, view: &v1::AppView) -> bool {
    let document = Document::of(view);
    let is = |wanted: Option<&String>, text: &str| wanted.is_none_or(|wanted| wanted == text);
    let ListArguments { cluster, projects, repo, path, app_namespace, selector, .. } = arguments;
    let server = document.text("/destination/server");
    (cluster.is_empty() || *cluster == view.cluster || *cluster == server)
        && (projects.is_empty() || projects.contains(&view.project))
        && is(repo.as_ref(), &document.text("/source/repoURL"))
        && is(path.as_ref(), &document.text("/source/path"))
        && is(app_namespace.as_ref(), &view.namespace)
        && selector.as_ref().is_none_or(|selector| selector.selects(&document.labels()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &[&str]) -> ListArguments {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: ListArguments,
        }
        let line = ["list"].iter().chain(line);
        <Line as clap::Parser>::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).arguments
    }

    fn app(name: &str, project: &str, team: &str) -> v1::AppView {
        let document = serde_json::json!({
            "metadata": {"labels": {"team": team}},
            "spec": {
                "source": {"repoURL": "https://git.example/apps", "path": name},
                "destination": {"server": "https://kubernetes.default.svc"},
            },
        });
        v1::AppView {
            namespace: "argocd".to_owned(),
            name: name.to_owned(),
            cluster: "in-cluster".to_owned(),
            project: project.to_owned(),
            document_json: document.to_string(),
            ..Default::default()
        }
    }

    #[test]
    fn an_app_is_listed_where_every_filter_names_it() {
        let gone = v1::AppView { document_json: String::new(), ..app("gone", "default", "") };
        let apps = [app("web", "shop", "shop"), app("api", "default", "search"), gone];
        for (line, names) in [
            (&[][..], &["web", "api", "gone"][..]),
            (&["-p", "shop"], &["web"]),
            (&["-p", "shop", "-p", "default"], &["web", "api", "gone"]),
            (&["-r", "https://git.example/apps"], &["web", "api"]),
            (&["-r", "https://git.example"], &[]),
            (&["-P", "api"], &["api"]),
            (&["-c", "in-cluster", "-l", "team=shop"], &["web"]),
            (&["-c", "https://kubernetes.default.svc"], &["web", "api"]),
            (&["--cluster", "edge"], &[]),
            (&["-N", "argocd", "-l", "team notin (shop)"], &["api", "gone"]),
            (&["-N", "team"], &[]),
            (&["-l", "team=search", "-p", "shop"], &[]),
        ] {
            let arguments = asked(line);
            let listed = apps.iter().filter(|view| is_asked_for(&arguments, view));
            assert_eq!(listed.map(|view| view.name.as_str()).collect::<Vec<_>>(), names, "{line:?}");
        }
    }

    #[test]
    fn the_hub_is_asked_for_what_it_can_tell_apart() {
        let told = |line: &[&str]| {
            let v1::ListAppsRequest { cluster, project } = request(&asked(line));
            [cluster, project]
        };
        assert_eq!(told(&["-c", "edge", "-p", "shop"]), ["edge", "shop"]);
        assert_eq!(told(&["-c", "https://kubernetes.default.svc", "-p", "shop", "-p", "b"]), ["", ""]);
    }

    #[test]
    fn the_default_is_as_wide_as_in_argo_cd() {
        assert_eq!(asked(&[]).output, ListFormat::Wide);
    }
}
