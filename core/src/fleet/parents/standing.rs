//! How an app stands that may bring documents of the fleet: whether they are taken from it now.

use std::sync::Arc;

use super::DEPTH;
use super::growth::Growth;
use super::split::{Document, Split};
use crate::application::annotations::SKIP_RECONCILE;
use crate::application::{Application, ClusterRef};
use crate::desired::Destination;
use crate::fleet::Rendering;
use crate::fleet::read::ChildState;
use crate::ids::AppId;
use crate::policy::ProjectLimits;
use crate::store::StoreError;
use crate::windows::{Asked, Passage, Windows};

/// How an app stands.
pub(super) enum Standing {
    /// What it renders is known, and it may bring documents.
    Good(Box<Good>),
    /// What it renders is not known yet.
    Unread(String),
    /// It is refused, or does not render.
    Failing(String),
}

/// What is known of an app that may bring documents.
pub(super) struct Good {
    pub(super) split: Arc<Split>,
    pub(super) limits: ProjectLimits,
    /// Why what it brings stays as it is for now.
    pub(super) still: Option<Still>,
}

/// Why an app's documents stay as they are.
pub(super) enum Still {
    /// Nobody said that it syncs by itself.
    Manual,
    /// Somebody paused it.
    Paused,
    /// Its document pauses it.
    Skipped,
    /// Windows are closed.
    Windows(Vec<String>),
}

// === impl Still ===

impl Still {
    pub(super) fn words(&self, app: &AppId) -> String {
        match self {
            Self::Manual => format!("app {app} does not sync by itself: argosy app sync {app} takes it"),
            Self::Paused => format!("app {app} is paused: argosy app resume {app}"),
            Self::Skipped => format!("app {app} is paused by its annotation {SKIP_RECONCILE}"),
            Self::Windows(closed) => format!("sync windows of its project are closed: {}", closed.join(", ")),
        }
    }
}

// === impl Growth ===

impl Growth<'_> {
    /// Says how an app for `in-cluster` stands.
    pub(super) fn standing(
        &mut self,
        app: &AppId,
        application: &Application,
    ) -> Result<Standing, StoreError> {
        let looked = match (self.renderings)(app, &application.source) {
            None => Err(Standing::Unread("its source was not read yet".to_owned())),
            Some(Rendering::Pending(why)) => Err(Standing::Unread(why)),
            Some(Rendering::Failed(why)) => Err(Standing::Failing(why)),
            Some(Rendering::Rendered { root, commit, .. }) => match self.split(app, root)? {
                Some(split) => Ok(self.note_rest(app, split, commit)?),
                None => Err(Standing::Unread("the hub lost its release and renders it anew".to_owned())),
            },
        };
        match self.read.children.get(app).map(|child| &child.state) {
            Some(ChildState::Failing(why)) => return Ok(Standing::Failing(format!("it is frozen: {why}"))),
            Some(ChildState::Unread(why)) => return Ok(Standing::Unread(why.clone())),
            Some(ChildState::Current | ChildState::LeftOver(_)) | None => {}
        }
        let project = match self.projects.find(&application.project, &self.read) {
            Ok(found) => found.project,
            Err(why) => return Ok(Standing::Failing(why)),
        };
        let target = &application.destination;
        let (server, name) = (target.cluster.server(), ClusterRef::IN_CLUSTER);
        let denied = project
            .permits_source(&application.source.repo_url)
            .and_then(|()| project.limits.permits_destination(server, name, &target.namespace));
        if let Err(denied) = denied {
            return Ok(Standing::Failing(denied.to_string()));
        }
        let destination = Destination {
            namespace: target.namespace.clone(),
            cluster: name.to_owned(),
            server: server.to_owned(),
        };
        let limits = project.limits.of_app(app, &destination);
        let split = match looked {
            Ok(split) => split,
            Err(standing) => return Ok(standing),
        };
        let still = self.still(app, application, &limits);
        Ok(Standing::Good(Box::new(Good { split, limits, still })))
    }

    fn still(&mut self, app: &AppId, application: &Application, limits: &ProjectLimits) -> Option<Still> {
        if self.placements.iter().any(|((_, of), placement)| of == app && placement.paused.is_some()) {
            return Some(Still::Paused);
        }
        if application.paused {
            return Some(Still::Skipped);
        }
        if application.policy.automated.is_none() {
            return Some(Still::Manual);
        }
        self.grown_windows |= !limits.windows.is_empty();
        match Windows::of(&limits.windows).passage(Some(self.at), Asked::ByPolicy, None) {
            Passage::Open => None,
            Passage::Blocked(closed) => Some(Still::Windows(closed)),
        }
    }

    /// Says why an app may not bring a document.
    pub(super) fn permitted(
        &self,
        app: &AppId,
        document: &Document,
        application: &Application,
        limits: &ProjectLimits,
    ) -> Result<(), String> {
        if self.depth_of(app) >= DEPTH {
            return Err(format!(
                "more than {DEPTH} apps bring one another; bring it by one nearer to the fleet"
            ));
        }
        let own = &application.destination.namespace;
        let (namespace, field) = match (document.key.namespace.as_str(), own.as_str()) {
            ("", "") => (AppId::DEFAULT_NAMESPACE, ""),
            ("", own) => (own, "the spec.destination.namespace of the app that renders it"),
            (stated, _) => (stated, "metadata.namespace"),
        };
        if namespace != AppId::DEFAULT_NAMESPACE {
            return Err(format!(
                "{field}: {namespace:?}: documents of other namespaces than {:?} are not supported",
                AppId::DEFAULT_NAMESPACE
            ));
        }
        if limits.acts.is_some() {
            return Err(format!(
                "project {} lets its apps act as service accounts (spec.destinationServiceAccounts), which the hub cannot \
                 do: bring documents by an app of another project",
                limits.project
            ));
        }
        let server = application.destination.cluster.server();
        limits
            .permits(&document.id(), true, server, ClusterRef::IN_CLUSTER)
            .map_err(|denied| denied.to_string())
    }
}
