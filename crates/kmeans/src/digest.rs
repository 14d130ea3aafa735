//! One hash over everything that a run found: two runs agree exactly when their digests do.

use crate::DEFINITION_VERSION;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use std::fmt;

/// BLAKE3 over k, labels, centroids, inertia and `n_iter`; shown as 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of a run with these `centroids`, `[k, d]`, and `labels`, `[n]`.
    ///
    /// Hashed, little-endian: the domain `kscan-fit/<version>`, k, n and d as u64, the labels as
    /// u32, the centroids row by row and the inertia as binary64, and `n_iter` as u32.
    #[must_use]
    pub fn of(centroids: &ArrayView2<'_, f64>, labels: &[u32], inertia: f64, n_iter: u32) -> Self {
        let (k, d) = centroids.dim();
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("kscan-fit/{DEFINITION_VERSION}").as_bytes());
        for size in [k, labels.len(), d] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        let labels: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        hasher.update(&labels);
        let centroids: Vec<u8> = centroids.iter().flat_map(|x| x.to_le_bytes()).collect();
        hasher.update(&centroids);
        hasher.update(&inertia.to_le_bytes());
        hasher.update(&n_iter.to_le_bytes());
        Self(hasher.finalize().to_hex().to_string())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
