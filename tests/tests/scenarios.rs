//! Scenarios on real control planes. One binary, so that its tests share them.

#[cfg(test)]
mod scenarios {
    mod cluster_client;
    mod harness;
}
