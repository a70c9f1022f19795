//! How many connections each peer may hold, and for how long those that show no certificate: a peer that holds them all
//! harms itself alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::ids::RejoinSerial;
use argosy_runtime::pki::PeerIdentity;
use parking_lot::Mutex;

use super::accept::Peer;

/// Connections of all peers that show no certificate that counts. They may enrol, which takes one request.
const STRANGERS: usize = 128;
/// Connections of one cluster: its agent needs one, and a while for the one before it to be noticed as dead.
const CLUSTER: usize = 8;
/// Connections of one operator: each command is one, and some go on for long.
const OPERATOR: usize = 256;
/// How long a connection without a certificate is served.
pub(super) const STRANGER_TIME: Duration = Duration::from_mins(1);

/// Whose connections are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Strangers,
    Known(PeerIdentity),
}

/// Counts connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Admission {
    held: Arc<Mutex<BTreeMap<Holder, usize>>>,
}

/// The place of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    holder: Holder,
    held: Arc<Mutex<BTreeMap<Holder, usize>>>,
}

// === impl Admission ===

impl Admission {
    /// Takes a connection in; `None` when its peer holds as many as it may.
    pub(super) fn admit(&self, peer: &Peer) -> Option<Place> {
        let (holder, most) = match peer {
            Peer::Nobody | Peer::Refused(_) => (Holder::Strangers, STRANGERS),
            // Certificates of different joins of a cluster count together.
            Peer::Known(PeerIdentity::Cluster { id, rejoin: _ }) => {
                (Holder::Known(PeerIdentity::Cluster { id: *id, rejoin: RejoinSerial::default() }), CLUSTER)
            }
            Peer::Known(operator @ PeerIdentity::Operator(_)) => (Holder::Known(operator.clone()), OPERATOR),
        };
        let mut held = self.held.lock();
        let count = held.entry(holder.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { holder, held: Arc::clone(&self.held) })
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use argosy_core::ids::ClusterId;

    use super::*;

    fn cluster(byte: u8, rejoin: u64) -> Peer {
        let id = ClusterId::from_random([byte; 16]);
        Peer::Known(PeerIdentity::Cluster { id, rejoin: RejoinSerial(rejoin) })
    }

    #[test]
    fn a_peer_that_holds_all_its_connections_harms_nobody_else() {
        let admission = Admission::default();
        let mut places: Vec<Place> =
            (0..CLUSTER as u64).map(|rejoin| admission.admit(&cluster(1, rejoin)).unwrap()).collect();
        assert!(admission.admit(&cluster(1, 0)).is_none());
        let other = admission.admit(&cluster(2, 0));
        let strangers: Vec<Option<Place>> = (0..=STRANGERS).map(|_| admission.admit(&Peer::Nobody)).collect();
        assert_eq!(strangers.iter().flatten().count(), STRANGERS);
        assert!(admission.admit(&Peer::Refused("why".to_owned())).is_none());
        assert!(
            other.is_some() && admission.admit(&Peer::Known(PeerIdentity::Operator("a".into()))).is_some()
        );

        places.pop();

        assert!(admission.admit(&cluster(1, 0)).is_some(), "the place of one that ended is free");
        drop((places, other, strangers));
        assert!(admission.held.lock().is_empty());
    }
}
