//! The random streams that belong to no run.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// `ChaCha8` with the key that `kscan_kmeans::random` defines for k = 0.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    pub(crate) fn new(seed: u64, init_id: u64) -> Self {
        let parts = [seed.to_le_bytes(), [0; 8], init_id.to_le_bytes(), *b"kscan/1\0"];
        let mut key = [0; 32];
        key.copy_from_slice(&parts.concat());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// From 0 to below 1: the upper 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `n`: the upper half of a product of 128 bits.
    pub(crate) fn index(&mut self, n: usize) -> usize {
        let product = u128::from(self.0.next_u64()) * n as u128;
        (product >> 64) as usize
    }
}
