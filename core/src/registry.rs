//! The hub's registry of clusters: who belongs to the fleet, and who may enrol (M1, M15).
//!
//! A cluster is a UUID; its name is an entry here. A token is kept as its hash, is bound to its cluster, is valid for a
//! quarter of an hour and gives one identity: asking again with the same key, because the answer was lost, gives the
//! same cluster; asking with another key is refused. A revoked cluster stays known as revoked, and one that is added
//! again under its name is another cluster. One that joins again stays the same cluster: what its earlier joins gave is
//! revoked (M23).

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::ids::{ClusterId, Digest, InstallationId, RejoinSerial};
use crate::store::{StoreError, StoreOp, StoreRead, Table, decode, get_as};
use crate::time::{WallTime, millis};

#[cfg(test)]
mod tests;

/// Table of members: UUID → [`Member`].
pub const REGISTRY: Table = "registry";
/// Table of what is not about one member: name → CBOR.
pub const REGISTRY_META: Table = "registry_meta";

/// How long a token holds.
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(15);
/// Where counters of refused attempts end: what is beyond is neither counted nor written.
const COUNTED: u32 = 1000;
/// Revoked clusters that are remembered as such; older ones are unknown, and refused as well.
const REVOKED: usize = 1000;
/// Key of the counter of attempts that name no member.
const STRANGERS: &[u8] = b"refused strangers";

/// A cluster of the fleet, or one that was.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Labels that the operator gave it.
    #[n(1)]
    pub labels: BTreeMap<String, String>,
    /// When it was added.
    #[n(2)]
    pub added: WallTime,
    /// Hash of its one-time token.
    #[n(3)]
    pub token: Digest,
    /// Until when the token holds.
    #[n(4)]
    pub expires: WallTime,
    /// Its agent's enrolment; absent before it.
    #[n(5)]
    pub joined: Option<Joined>,
    /// When it was revoked.
    #[n(6)]
    pub revoked: Option<WallTime>,
    /// Attempts to enrol under its name that were refused; counted to a thousand.
    #[n(7)]
    pub refused: u32,
    /// The newest join that it was asked for; identities of older ones are revoked.
    #[n(8)]
    #[cbor(default)]
    pub rejoin: RejoinSerial,
}

/// An enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// When.
    #[n(0)]
    pub at: WallTime,
    /// Digest of the agent's public key.
    #[n(1)]
    pub key: Digest,
    /// UID of the cluster's namespace `kube-system`.
    #[n(2)]
    pub kube_system_uid: String,
    /// Version of the agent.
    #[n(3)]
    pub agent_version: String,
}

/// An agent that asks for an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Hash of the token that it shows.
    pub token: Digest,
    /// The name that it gives.
    pub name: String,
    /// Digest of its public key, of which it has proved possession.
    pub key: Digest,
    /// The installation that its join string names.
    pub installation: InstallationId,
    /// UID of its cluster's namespace `kube-system`.
    pub kube_system_uid: String,
    /// Its version.
    pub agent_version: String,
}

/// Why an agent gets no identity. What is said of a token is said only to who has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// The token is nobody's.
    #[error("the token is not valid; make a new join string: argosy cluster add NAME")]
    Token,
    /// The token is another cluster's.
    #[error("the token is not that of cluster {name:?}; use the join string that was made for it")]
    Name {
        /// The name that was given.
        name: String,
    },
    /// The token's time is over.
    #[error("the token of cluster {name:?} has expired; make a new one: argosy cluster add {name} --rejoin")]
    Expired {
        /// The cluster.
        name: String,
    },
    /// Another key got its identity for the token.
    #[error(
        "the token of cluster {name:?} was used already; if that was not this agent, make a new one, which revokes what \
         the used one gave: argosy cluster add {name} --rejoin"
    )]
    Used {
        /// The cluster.
        name: String,
    },
    /// The cluster was revoked.
    #[error("cluster {name:?} was revoked; add it again: argosy cluster add {name}")]
    Revoked {
        /// The cluster.
        name: String,
    },
    /// The join string is of another hub.
    #[error("the join string is of installation {theirs}; this hub is {ours}")]
    Installation {
        /// What the join string names.
        theirs: InstallationId,
        /// This hub's.
        ours: InstallationId,
    },
}

/// Why a cluster cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The name is no name.
    #[error(
        "{name:?} is not a cluster name: 1 to 63 lower-case letters, digits and dashes, with a letter or digit at \
             both ends"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A member has it.
    #[error(
        "the name {name:?} is taken by cluster {cluster}; to let its agent join again: argosy cluster add {name} \
         --rejoin; to replace it by another cluster: argosy cluster revoke {name}"
    )]
    Taken {
        /// The name.
        name: String,
        /// Who has it.
        cluster: ClusterId,
    },
    /// Nobody has it, so nobody can join again.
    #[error("there is no cluster {name:?} that could join again; to add it: argosy cluster add {name}")]
    Absent {
        /// The name.
        name: String,
    },
}

/// What the registry says of a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is a member.
    Member,
    /// It is a member, and has been asked to join again since this identity was given.
    Superseded,
    /// It was one.
    Revoked,
    /// It never was one, or so long ago that it is forgotten.
    Unknown,
}

/// A member that may join again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejoin {
    /// Its UUID.
    pub cluster: ClusterId,
    /// Which of its joins this is.
    pub serial: RejoinSerial,
    /// Until when the token holds.
    pub expires: WallTime,
    /// What makes it durable.
    pub ops: Vec<StoreOp>,
}

/// The registry.
#[derive(Debug)]
pub struct Registry {
    installation: InstallationId,
    members: BTreeMap<ClusterId, Member>,
    by_name: BTreeMap<String, ClusterId>,
    strangers: u32,
}

// === impl Member ===

impl Member {
    fn op(&self, cluster: ClusterId) -> StoreOp {
        StoreOp::put(REGISTRY, cluster.as_bytes().as_slice(), self)
    }
}

// === impl Registry ===

impl Registry {
    /// Reads the registry.
    pub fn load(store: &dyn StoreRead, installation: InstallationId) -> Result<Self, StoreError> {
        let mut members = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for (key, value) in store.scan(REGISTRY, &[])? {
            let cluster = ClusterId::from_slice(&key).ok_or_else(|| StoreError::Undecodable {
                table: REGISTRY,
                why: format!("a key of {} bytes", key.len()),
            })?;
            let member: Member = decode(REGISTRY, &value)?;
            if member.revoked.is_none() {
                by_name.insert(member.name.clone(), cluster);
            }
            members.insert(cluster, member);
        }
        let strangers = get_as(store, REGISTRY_META, STRANGERS)?.unwrap_or_default();
        Ok(Self { installation, members, by_name, strangers })
    }

    /// Gives the members that are not revoked, by name.
    pub fn by_name(&self) -> &BTreeMap<String, ClusterId> {
        &self.by_name
    }

    /// Gives a cluster, also a revoked one.
    pub fn get(&self, cluster: ClusterId) -> Option<&Member> {
        self.members.get(&cluster)
    }

    /// Gives a cluster's name, also a revoked one's.
    pub fn name_of(&self, cluster: ClusterId) -> Option<&str> {
        self.members.get(&cluster).map(|member| member.name.as_str())
    }

    /// Finds a member by name.
    pub fn find(&self, name: &str) -> Option<(ClusterId, &Member)> {
        let cluster = *self.by_name.get(name)?;
        self.members.get(&cluster).map(|member| (cluster, member))
    }

    /// Says what an identity is. One of a join that this registry does not know yet is good: the registry was restored.
    pub fn standing(&self, cluster: ClusterId, rejoin: RejoinSerial) -> Standing {
        match self.members.get(&cluster) {
            Some(member) if member.revoked.is_some() => Standing::Revoked,
            Some(member) if rejoin < member.rejoin => Standing::Superseded,
            Some(_) => Standing::Member,
            None => Standing::Unknown,
        }
    }

    /// Gives how many attempts to enrol that named no member were refused; counted to a thousand.
    pub fn refused_strangers(&self) -> u32 {
        self.strangers
    }

    /// Adds a cluster under a new UUID; gives until when its token holds.
    pub fn add(
        &mut self,
        cluster: ClusterId,
        name: &str,
        labels: BTreeMap<String, String>,
        token: Digest,
        now: WallTime,
    ) -> Result<(WallTime, Vec<StoreOp>), AddError> {
        if !is_name(name) {
            return Err(AddError::Name { name: name.to_owned() });
        }
        if let Some(cluster) = self.by_name.get(name).copied() {
            return Err(AddError::Taken { name: name.to_owned(), cluster });
        }
        let expires = expiry(now);
        let member = Member {
            name: name.to_owned(),
            labels,
            added: now,
            token,
            expires,
            joined: None,
            revoked: None,
            refused: 0,
            rejoin: RejoinSerial::default(),
        };
        let ops = vec![member.op(cluster)];
        self.by_name.insert(name.to_owned(), cluster);
        self.members.insert(cluster, member);
        Ok((expires, ops))
    }

    /// Lets a member join again under its UUID: revokes what its earlier joins gave, and their tokens (M23).
    pub fn rejoin(&mut self, name: &str, token: Digest, now: WallTime) -> Result<Rejoin, AddError> {
        let member = self
            .by_name
            .get(name)
            .and_then(|cluster| self.members.get_mut(cluster).map(|member| (*cluster, member)));
        let Some((cluster, member)) = member else { return Err(AddError::Absent { name: name.to_owned() }) };
        let expires = expiry(now);
        *member = Member { token, expires, joined: None, rejoin: member.rejoin.next(), ..member.clone() };
        Ok(Rejoin { cluster, serial: member.rejoin, expires, ops: vec![member.op(cluster)] })
    }

    /// Says which cluster an agent may become, and by which join; changes nothing.
    pub fn admit(&self, attempt: &Attempt, now: WallTime) -> Result<(ClusterId, RejoinSerial), EnrolError> {
        let ours = self.installation;
        // All are looked at, each in the same time whatever it has.
        let mut found = None;
        for (cluster, member) in &self.members {
            if same(member.token, attempt.token) {
                found = Some((*cluster, member));
            }
        }
        let Some((cluster, member)) = found else { return Err(EnrolError::Token) };
        let name = || member.name.clone();
        if attempt.installation != ours {
            return Err(EnrolError::Installation { theirs: attempt.installation, ours });
        }
        if member.name != attempt.name {
            return Err(EnrolError::Name { name: attempt.name.clone() });
        }
        if member.revoked.is_some() {
            return Err(EnrolError::Revoked { name: name() });
        }
        if member.joined.as_ref().is_some_and(|joined| joined.key != attempt.key) {
            return Err(EnrolError::Used { name: name() });
        }
        // A clock that was set back gives no time: a token is younger than when it was made only by mistake.
        if now >= member.expires {
            return Err(EnrolError::Expired { name: name() });
        }
        Ok((cluster, member.rejoin))
    }

    /// Uses the token up: the agent that was admitted has its identity.
    pub fn enrolled(&mut self, cluster: ClusterId, attempt: &Attempt, now: WallTime) -> Vec<StoreOp> {
        let Some(member) = self.members.get_mut(&cluster) else { return Vec::new() };
        member.joined = Some(Joined {
            at: now,
            key: attempt.key,
            kube_system_uid: attempt.kube_system_uid.clone(),
            agent_version: attempt.agent_version.clone(),
        });
        vec![member.op(cluster)]
    }

    /// Counts an attempt that was refused.
    pub fn refused(&mut self, name: &str) -> Vec<StoreOp> {
        let member = self.by_name.get(name).copied();
        if let Some((cluster, member)) =
            member.and_then(|id| self.members.get_mut(&id).map(|member| (id, member)))
        {
            if member.refused >= COUNTED {
                return Vec::new();
            }
            member.refused += 1;
            return vec![member.op(cluster)];
        }
        if self.strangers >= COUNTED {
            return Vec::new();
        }
        self.strangers += 1;
        vec![StoreOp::put(REGISTRY_META, STRANGERS, &self.strangers)]
    }

    /// Revokes a member: its UUID is refused from now on, its name is free.
    pub fn revoke(&mut self, name: &str, now: WallTime) -> Option<(ClusterId, Vec<StoreOp>)> {
        let cluster = self.by_name.remove(name)?;
        let member = self.members.get_mut(&cluster)?;
        member.revoked = Some(now);
        let mut ops = vec![member.op(cluster)];
        let mut revoked: Vec<(WallTime, ClusterId)> =
            self.members.iter().filter_map(|(id, member)| member.revoked.map(|at| (at, *id))).collect();
        revoked.sort_unstable();
        let surplus = revoked.len().saturating_sub(REVOKED);
        for (_, old) in revoked.into_iter().take(surplus) {
            self.members.remove(&old);
            ops.push(StoreOp::delete(REGISTRY, old.as_bytes().as_slice()));
        }
        Some((cluster, ops))
    }
}

/// Gives until when a token that is made now holds.
fn expiry(now: WallTime) -> WallTime {
    let lifetime = i64::try_from(millis(TOKEN_LIFETIME)).unwrap_or(i64::MAX);
    WallTime(now.0.saturating_add(lifetime))
}

/// Compares in the same time whatever is found.
fn same(a: Digest, b: Digest) -> bool {
    blake3::Hash::from_bytes(*a.as_bytes()) == blake3::Hash::from_bytes(*b.as_bytes())
}

/// Tells whether a text can name a cluster: a DNS label.
fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
