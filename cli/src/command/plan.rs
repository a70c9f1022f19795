//! `argosy plan`: what a sync would do, told from files.

use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_core::plan::{Inputs, Plan, apps_of};
use serde_json::Value;

use super::health::bytes;
use super::health::objects::Objects;
use super::{render, source};
use crate::args::{Format, PlanArguments};
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view::plan::{PlanView, table};

pub(super) fn run(arguments: &PlanArguments) -> Result<u8, Failure> {
    let loaded = source::load(&arguments.desired, &arguments.directory)?;
    let keys = loaded.rendered.manifests.iter().map(|manifest| manifest.key.clone());
    let desired: Vec<(ResourceKey, Value)> = keys.zip(render::values(&loaded.rendered)?).collect();
    let live = live(arguments)?;
    let policy = loaded.application.as_ref().map(|application| application.policy.clone());
    let policy = policy.unwrap_or_default();
    let automated = policy.automated.unwrap_or_default();
    let (app, namespace) = match &loaded.application {
        Some(application) => {
            if arguments.app.is_some() || arguments.namespace.is_some() {
                return Err(Failure::Usage(
                    "--app and --namespace are for a directory: the Application says both".to_owned(),
                ));
            }
            (application.id.clone(), application.destination.namespace.as_str())
        }
        None => (app_of(arguments, &live)?, arguments.namespace.as_deref().unwrap_or("default")),
    };
    let plan = Plan::make(Inputs {
        app: &app,
        namespace,
        prune: arguments.prune || automated.prune,
        prune_last: policy.prune_last,
        consent: policy.prune,
        allow_empty: automated.allow_empty,
        cascade: false,
        take_over: &policy.take_over,
        others: 0,
        desired: &desired,
        live: &live,
    });
    let text = match arguments.output.format {
        Format::Table => table(&app, &plan),
        format @ (Format::Json | Format::Yaml) => output::document(format, &PlanView::of(&app, &plan))?,
    };
    output::print(&text)?;
    Ok(if plan.changes_something() { FAILED } else { OK })
}

/// Reads what is there; a cluster without objects is an empty file.
fn live(arguments: &PlanArguments) -> Result<Vec<(ResourceKey, Value)>, Failure> {
    let file = &arguments.live;
    let name = if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
    let bytes = bytes(file, &name)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let mut objects = Objects::default();
    for warning in objects.read(&name, &bytes)? {
        output::note(&warning)?;
    }
    Ok(objects.into_all())
}

/// Finds the app that a directory is planned for: the one that is named, else the one that the objects name.
fn app_of(arguments: &PlanArguments, live: &[(ResourceKey, Value)]) -> Result<AppId, Failure> {
    if let Some(app) = &arguments.app {
        return Ok(app.clone());
    }
    let mut apps = apps_of(live).into_iter();
    match (apps.next(), apps.next()) {
        (Some(app), None) => Ok(app),
        (Some(first), Some(second)) => Err(Failure::Usage(format!(
            "{} holds objects of several applications, {first} and {second} among them: name the one to plan with --app",
            arguments.live.display()
        ))),
        // Nothing there is tracked, so nothing depends on the name.
        (None, _) => Ok(AppId::new("", "app")),
    }
}
