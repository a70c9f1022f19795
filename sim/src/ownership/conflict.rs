//! Conflicts of an apply with the fields of other managers.

use super::entries::Id;
use super::set::FieldSet;

/// One field that another manager owns and the apply would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as a message names it: `"kubectl" using v1`.
    pub manager: String,
    /// The field: `.data.a`.
    pub field: String,
}

/// All conflicts of an apply, in the order of their managers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conflicts {
    list: Vec<Conflict>,
}

// === impl Conflicts ===

impl Conflicts {
    pub(crate) fn of(mut sets: Vec<(Id<'_>, FieldSet<'_>)>) -> Self {
        sets.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut list = Vec::new();
        for (id, set) in &sets {
            let manager = id.described();
            let conflict = |field| Conflict { manager: manager.clone(), field };
            list.extend(set.paths().into_iter().map(conflict));
        }
        Self { list }
    }

    /// The conflicts one by one; each is a cause `FieldManagerConflict` in the status of the refusal.
    pub fn iter(&self) -> impl Iterator<Item = &Conflict> {
        self.list.iter()
    }

    /// The message of the refusal.
    pub fn message(&self) -> String {
        if let [one] = self.list.as_slice() {
            return format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.field);
        }
        let mut lines: Vec<String> = Vec::new();
        let mut manager = None;
        for conflict in &self.list {
            if manager != Some(&conflict.manager) {
                lines.push(format!("conflicts with {}:", conflict.manager));
                manager = Some(&conflict.manager);
            }
            lines.push(format!("- {}", conflict.field));
        }
        format!("Apply failed with {} conflicts: {}", self.list.len(), lines.join("\n"))
    }
}

impl Conflict {
    /// The message of the cause that states this conflict.
    pub fn cause(&self) -> String {
        format!("conflict with {}", self.manager)
    }
}
