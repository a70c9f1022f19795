//! What one app's document and its rendering ask for.

use super::projects::Projects;
use super::read::{AppDocument, Child, ChildState, FleetRead};
use super::{Inputs, Rendering, condition};
use crate::application::annotations::SKIP_RECONCILE;
use crate::application::{Application, ClusterRef};
use crate::desired::{Assignment, Destination, Phase};
use crate::ids::{ClusterId, Digest};
use crate::policy::ProjectLimits;
use crate::project::{Project, normalise_repository};
use crate::release::Root;
use crate::status::Condition;

/// What is to be done with one app.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// Normalised; empty where it is not known.
    pub(super) repository: String,
    pub(super) conditions: Vec<Condition>,
    failing: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Place { cluster: ClusterId, assignment: Box<Assignment>, commit: String, application: Box<Application> },
    KeepRelease { cluster: ClusterId, assignment: Box<Assignment>, application: Box<Application> },
    Freeze { limits: Option<ProjectLimits> },
    Wait,
}

impl Verdict {
    pub(super) fn frozen(limits: Option<ProjectLimits>, repository: String) -> Self {
        Self { outcome: Outcome::Freeze { limits }, repository, conditions: Vec::new(), failing: true }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Takes in how current a document is that another app brings (M9).
    fn brought(mut self, child: &Child) -> Self {
        let parent = &child.parent;
        match &child.state {
            ChildState::Current => self,
            ChildState::LeftOver(why) => {
                self.because("OrphanedResourceWarning", format!("{why}; it stays as it is"))
            }
            // As if nothing had been read yet.
            ChildState::Unread(why) => {
                self.outcome = Outcome::Wait;
                self.failing = true;
                self.because(
                    "ComparisonError",
                    format!("app {parent} brings it: {why}; its last good state stays"),
                )
            }
            ChildState::Failing(why) => {
                let limits = match self.outcome {
                    Outcome::Place { assignment, .. } | Outcome::KeepRelease { assignment, .. } => {
                        Some(assignment.limits)
                    }
                    Outcome::Freeze { limits } => limits,
                    Outcome::Wait => None,
                };
                self.outcome = Outcome::Freeze { limits };
                self.failing = true;
                self.because(
                    "InvalidSpecError",
                    format!("app {parent} brings it and fails: {why}; its last good state stays"),
                )
            }
        }
    }

    pub(super) fn because(mut self, kind: &str, message: String) -> Self {
        self.conditions.push(condition(kind, message));
        self
    }
}

/// Judges one app's document.
pub(super) fn judge(
    document: &AppDocument,
    read: &FleetRead,
    projects: &Projects,
    inputs: Inputs<'_>,
    rendering: Option<&Rendering>,
) -> Verdict {
    let application = match &document.application {
        Ok(application) => application,
        Err(reason) => {
            return Verdict::frozen(None, String::new())
                .because("InvalidSpecError", format!("{}: {reason}", document.file));
        }
    };
    match projects.find(&application.project, read) {
        Ok(found) => {
            let verdict = judge_within(found.project, application, &document.file, inputs, rendering);
            let verdict = match found.stale {
                Some(why) => verdict.because("InvalidSpecError", why),
                None => verdict,
            };
            let verdict = match read.children.get(&application.id) {
                Some(child) => verdict.brought(child),
                None => verdict,
            };
            if !application.paused {
                return verdict;
            }
            let message = format!(
                "metadata.annotations[{SKIP_RECONCILE}]: it is neither synced nor healed by itself until that is taken away"
            );
            verdict.because("Paused", message)
        }
        Err(why) => {
            let repository = normalise_repository(&application.source.repo_url);
            Verdict::frozen(None, repository).because("InvalidSpecError", why)
        }
    }
}

/// Judges an application by its project.
fn judge_within(
    project: &Project,
    application: &Application,
    file: &str,
    inputs: Inputs<'_>,
    rendering: Option<&Rendering>,
) -> Verdict {
    let repository = normalise_repository(&application.source.repo_url);
    let target = &application.destination;
    let destination = Destination {
        namespace: target.namespace.clone(),
        cluster: target.cluster.name().unwrap_or_default().to_owned(),
        server: target.cluster.server().to_owned(),
    };
    let limits = project.limits.of_app(&application.id, &destination);
    let Some(name) = target.cluster.name() else {
        let message = format!(
            "{file}: spec.destination.server: {:?} is no registered cluster; name one by spec.destination.name",
            target.cluster.server()
        );
        return Verdict::frozen(Some(limits), repository).because("InvalidSpecError", message);
    };
    let denied = project
        .permits_source(&application.source.repo_url)
        .and_then(|()| project.limits.permits_destination(target.cluster.server(), name, &target.namespace))
        .err();
    if let Some(denied) = denied {
        return Verdict::frozen(Some(limits), repository).because("InvalidSpecError", denied.to_string());
    }
    let Some(cluster) = inputs.clusters.get(name).copied() else {
        if name == ClusterRef::IN_CLUSTER
            && let Some(verdict) = without_cluster(application, &repository, inputs, rendering)
        {
            return verdict;
        }
        let message = format!("waits for cluster {name} to be registered: argosy cluster add {name}");
        return Verdict { outcome: Outcome::Wait, repository, conditions: Vec::new(), failing: false }
            .because("UnknownError", message);
    };
    let assignment = |root: Root| {
        Box::new(Assignment {
            app: application.id.clone(),
            root,
            destination: destination.clone(),
            policy: application.policy.clone(),
            limits: limits.clone(),
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
            ignore: application.ignore.clone(),
        })
    };
    let keep = |application: &Application| Outcome::KeepRelease {
        cluster,
        assignment: assignment(Root(Digest::ZERO)),
        application: Box::new(application.clone()),
    };
    match rendering {
        Some(Rendering::Rendered { root, commit, warnings }) => Verdict {
            outcome: Outcome::Place {
                cluster,
                assignment: assignment(*root),
                commit: commit.clone(),
                application: Box::new(application.clone()),
            },
            repository,
            conditions: warnings.clone(),
            failing: false,
        },
        Some(Rendering::Failed(message) | Rendering::Pending(message)) => {
            Verdict { outcome: keep(application), repository, conditions: Vec::new(), failing: true }
                .because("ComparisonError", message.clone())
        }
        None => Verdict { outcome: keep(application), repository, conditions: Vec::new(), failing: true }
            .because("ComparisonError", "its source was not read yet".to_owned()),
    }
}

/// Judges an app for `in-cluster` on a hub without that cluster: it may bring documents of the fleet, which need none. `None`
/// when it renders objects, too, which wait for the cluster.
fn without_cluster(
    application: &Application,
    repository: &str,
    inputs: Inputs<'_>,
    rendering: Option<&Rendering>,
) -> Option<Verdict> {
    let waits = |failing, conditions| Verdict {
        outcome: Outcome::Wait,
        repository: repository.to_owned(),
        conditions,
        failing,
    };
    let only = |read: &FleetRead| read.only_documents.contains(&application.id);
    match rendering {
        Some(Rendering::Rendered { warnings, .. }) => {
            inputs.read.is_some_and(only).then(|| waits(false, warnings.clone()))
        }
        Some(Rendering::Failed(message) | Rendering::Pending(message)) => {
            Some(waits(true, vec![condition("ComparisonError", message.clone())]))
        }
        None => {
            Some(waits(true, vec![condition("ComparisonError", "its source was not read yet".to_owned())]))
        }
    }
}
