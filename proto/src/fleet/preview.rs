//! What a change would do, as operators are told it.

use argosy_core::compare::{DIFF_LIMIT, DiffReport};
use argosy_core::hub::{AppPreview, Fate, ObjectsPreview, Preview};
use argosy_core::ids::Digest;
use argosy_core::plan::Planned;
use argosy_core::release::Root;

use crate::v1;

impl v1::AppPreview {
    /// Puts together what would become of an app and of its objects; what does not fit a message is told by number.
    pub fn of(app: &AppPreview, objects: ObjectsPreview) -> Self {
        let differences =
            DiffReport { root: Root(Digest::ZERO), objects: objects.differences, same: 0, more: 0 };
        Self {
            namespace: app.app.namespace.to_string(),
            name: app.app.name.to_string(),
            cluster: app.cluster.clone(),
            fate: v1::Fate::from(app.fate).into(),
            settings: app.settings.iter().map(|name| (*name).to_owned()).collect(),
            automated: app.automated,
            commit: app.commit.clone().unwrap_or_default(),
            conditions: app.conditions.iter().map(Into::into).collect(),
            actions: objects.plan.lines.iter().map(Into::into).collect(),
            held: objects.plan.held.unwrap_or_default(),
            diff: Some(v1::Diff { release: None, ..differences.bounded(DIFF_LIMIT).into() }),
        }
    }
}

impl From<&Preview> for v1::FleetPreview {
    fn from(preview: &Preview) -> Self {
        let loss = preview.loss.as_ref();
        Self {
            same: preview.same,
            conditions: preview.conditions.iter().map(Into::into).collect(),
            lost: loss.into_iter().flat_map(|loss| &loss.apps).map(ToString::to_string).collect(),
            loss_plan: loss.map(|loss| loss.plan.to_string()).unwrap_or_default(),
        }
    }
}

impl From<&Planned> for v1::PlannedAction {
    fn from(planned: &Planned) -> Self {
        Self {
            phase: planned.step.phase.as_str().to_owned(),
            wave: planned.step.wave,
            action: planned.action.as_str().to_owned(),
            key: Some((&planned.key).into()),
            why: planned.why.clone(),
        }
    }
}

impl From<Fate> for v1::Fate {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Assigned => Self::Assigned,
            Fate::Changed => Self::Changed,
            Fate::Frozen => Self::Frozen,
            Fate::Released => Self::Released,
            Fate::Deleted => Self::Deleted,
            Fate::Waits => Self::Waits,
            Fate::Told => Self::Told,
        }
    }
}

impl v1::Fate {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unknown",
            Self::Assigned => "Assigned",
            Self::Changed => "Changed",
            Self::Frozen => "Frozen",
            Self::Released => "Released",
            Self::Deleted => "Deleted",
            Self::Waits => "Waits",
            Self::Told => "Told",
        }
    }
}
