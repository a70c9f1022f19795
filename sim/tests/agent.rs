//! The agent's own client of Kubernetes on a simulated cluster.

#[cfg(test)]
mod agent {
    mod client;
}
