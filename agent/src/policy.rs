//! The local policy: a file of whoever owns the cluster.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use argosy_core::local::LocalPolicy;

/// Most bytes of the file.
const LIMIT: u64 = 1 << 20;

/// Reads it. There is no agent without the policy that it was told of: what is wrong with the file is an error.
pub fn load(path: &Path) -> anyhow::Result<LocalPolicy> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let read = file.take(LIMIT + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    anyhow::ensure!(bytes.len() as u64 <= LIMIT, "{} has more than {LIMIT} bytes", path.display());
    LocalPolicy::read(&bytes).with_context(|| format!("{} is no policy", path.display()))
}
