//! The one switch between the real control plane and the simulated one.

use anyhow::bail;

/// The variable that chooses.
const SWITCH: &str = "ARGOSY_CONTROL_PLANE";

/// What serves a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kubernetes {
    /// Kubernetes' own servers.
    Real,
    /// `argosy-sim`.
    Sim,
}

// === impl Kubernetes ===

impl Kubernetes {
    /// Reads `ARGOSY_CONTROL_PLANE`: `real`, which is meant if nothing is said, or `sim`.
    pub fn of_environment() -> anyhow::Result<Self> {
        let word = std::env::var_os(SWITCH).unwrap_or_default();
        match Self::of_word(&word.to_string_lossy())? {
            Some(chosen) => Ok(chosen),
            None => Ok(Self::Real),
        }
    }

    /// Reads a word that may be empty.
    pub fn of_word(word: &str) -> anyhow::Result<Option<Self>> {
        match word {
            "" => Ok(None),
            "real" => Ok(Some(Self::Real)),
            "sim" => Ok(Some(Self::Sim)),
            other => bail!("a control plane is real or sim, not {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_knows_two_words_and_refuses_the_rest() {
        assert_eq!(Kubernetes::of_word("sim").unwrap(), Some(Kubernetes::Sim));
        assert_eq!(Kubernetes::of_word("real").unwrap(), Some(Kubernetes::Real));
        assert_eq!(Kubernetes::of_word("").unwrap(), None);
        assert!(Kubernetes::of_word("kind").is_err());
    }
}
