//! A run's random numbers: a function of (seed, k, `init_id`) and nothing else.
//!
//! `ChaCha8` (Bernstein 2008; `rand_chacha`, whose stream is stable across releases and platforms),
//! with the three numbers in its key. What is made of the stream is written out here, because the
//! conversions of general random libraries may change between their releases.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The random stream of one run.
#[derive(Debug, Clone)]
pub struct RunRandom(ChaCha8Rng);

impl RunRandom {
    /// The stream of run (`k`, `init_id`) of a scan with this `seed`.
    #[must_use]
    pub fn new(seed: u64, k: u64, init_id: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&k.to_le_bytes());
        key[16..24].copy_from_slice(&init_id.to_le_bytes());
        key[24..].copy_from_slice(b"kscan/1\0");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `0..n`, to within n * 2⁻⁶⁴.
    pub fn index(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_never_changes() {
        let mut random = RunRandom::new(0, 5, 0);
        let drawn: Vec<usize> = (0..6).map(|_| random.index(60_000)).collect();
        assert_eq!(drawn, [18_700, 32_692, 8_672, 40_656, 59_762, 23_457]);
    }

    #[test]
    fn each_part_of_the_key_counts() {
        let first = |seed, k, init_id| RunRandom::new(seed, k, init_id).unit().to_bits();
        let streams =
            [first(0, 5, 0), first(1, 5, 0), first(0, 6, 0), first(0, 5, 1), first(5, 0, 0)];
        for (i, a) in streams.iter().enumerate() {
            assert!(streams[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn units_stay_below_one_and_indices_below_n() {
        let mut random = RunRandom::new(7, 7, 7);
        let mut seen = [0_u32; 3];
        for _ in 0..3000 {
            assert!((0.0..1.0).contains(&random.unit()));
            seen[random.index(3)] += 1;
        }
        assert!(seen.iter().all(|&times| (850..1150).contains(&times)), "{seen:?}");
    }
}
