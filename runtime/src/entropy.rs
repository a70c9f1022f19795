//! Randomness of the operating system, for everything that asks for [`Entropy`].

use argosy_core::time::Entropy;

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "a machine without randomness can neither sign nor name anything")]
    fn fill(&mut self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("invariant: the operating system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let mut entropy = SystemEntropy;
        assert_ne!(entropy.bytes16(), entropy.bytes16());
        assert!(entropy.below(10) < 10);
        assert_eq!(entropy.below(0), 0);
    }
}
