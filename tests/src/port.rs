//! Free ports on the loopback address that stay free until they are used.
//!
//! They lie below the range from which the kernel takes the ports of outgoing connections, so that a server that is
//! down for a while finds its own port free when it comes back, and each is leased by a lock on a file, so that two
//! test processes never choose the same.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context as _;

/// The ports that are tried, all below the usual range of ephemeral ports (from 32768 up).
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that is this process's own for as long as the value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lease: File,
}

// === impl Port ===

impl Port {
    /// Leases a port that nobody listens on.
    pub fn lease() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join("argosy-ports");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let span = u64::from(RANGE.end - RANGE.start);
        let random = RandomState::new();
        for attempt in 0..1_000_u32 {
            let number = u16::try_from(random.hash_one(attempt) % span).unwrap_or_default() + RANGE.start;
            let lease = File::create(folder.join(number.to_string())).context("cannot make a lease file")?;
            let ours = lease.try_lock().is_ok();
            if ours && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lease: lease });
            }
        }
        anyhow::bail!("found no free port in {RANGE:?}")
    }

    /// Returns the number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns the address to listen on and to dial.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn leased_ports_differ_while_they_are_held() {
        let ports: Vec<_> = (0..20).map(|_| Port::lease().unwrap()).collect();

        let numbers: BTreeSet<_> = ports.iter().map(Port::number).collect();

        assert_eq!(numbers.len(), ports.len());
    }
}
