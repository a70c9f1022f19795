//! Words for people.

use crate::v1;

impl v1::SyncStatus {
    /// Gives Argo CD's word.
    pub fn word(self) -> &'static str {
        self.known().map_or("Unknown", argosy_core::status::SyncStatus::as_str)
    }
}

impl v1::Health {
    /// Gives Argo CD's word.
    pub fn word(self) -> &'static str {
        self.known().map_or("Unknown", argosy_core::health::Health::as_str)
    }
}

impl v1::OperationPhase {
    /// Gives Argo CD's word.
    pub fn word(self) -> &'static str {
        self.known().map_or("Unknown", argosy_core::status::OperationPhase::as_str)
    }
}

impl v1::ResultCode {
    /// Gives Argo CD's word.
    pub fn word(self) -> &'static str {
        self.known().map_or("Unknown", argosy_core::status::ResultCode::as_str)
    }
}

impl v1::AppPhase {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unknown",
            Self::Active => "Active",
            Self::Frozen => "Frozen",
            Self::Released => "Released",
            Self::Deleting => "Deleting",
        }
    }
}

impl v1::CommandState {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unknown",
            Self::Accepted => "Accepted",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Superseded => "Superseded",
            Self::Interrupted => "Interrupted",
            Self::TooLate => "TooLate",
        }
    }
}

impl v1::ChainState {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unspecified",
            Self::Known => "Known",
            Self::Unknown => "Unknown",
            Self::Held => "Held",
            Self::Cloned => "Cloned",
        }
    }
}

impl v1::Membership {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unknown",
            Self::Pending => "Pending",
            Self::Joined => "Joined",
        }
    }
}

impl v1::Difference {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unknown",
            Self::HubOnly => "HubOnly",
            Self::AgentOnly => "AgentOnly",
            Self::Changed => "Changed",
        }
    }
}

impl v1::Severity {
    /// Gives the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "Unknown",
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }
}
