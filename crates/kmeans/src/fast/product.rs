//! What the basis makes of centroids: their coordinates, in lanes.

use super::kernel::{self, LANES, Lanes};
use crate::index::gemm::{self, PANEL};
use crate::index::{IndexView, rotation_error};
use crate::lines::Lines;
use crate::simd::Simd;

/// The product of centroids with the basis.
#[derive(Debug, Clone)]
pub(super) struct Product {
    k: usize,
    /// As `gemm` leaves it, `[k, width]`, and zeros up to whole groups.
    rows: Vec<f32>,
    /// Coordinates along each component, `[group][width][16]`.
    lanes: Lines<Lanes>,
    width: usize,
}

impl Product {
    /// Of `k` centroids.
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let groups = k.div_ceil(LANES);
        let width = index.basis.len() / index.layout.d;
        Self {
            k,
            rows: vec![0.0; groups * LANES * width],
            lanes: Lines::zeros(groups * width),
            width,
        }
    }

    /// Takes `centroids`, `[k, d]`, and multiplies them with the `whole` basis, or only with as much of it
    /// as leading coordinates take.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        centroids: &[f32],
        whole: bool,
    ) {
        let d = index.layout.d;
        let leading = d * index.layout.widths[0].next_multiple_of(PANEL);
        let basis = if whole { index.basis } else { &index.basis[..leading] };
        self.width = basis.len() / d;
        let groups = self.k.div_ceil(LANES);
        let rows = &mut self.rows[..groups * LANES * self.width];
        let (of_centroids, padding) = rows.split_at_mut(self.k * self.width);
        gemm::multiply(simd, centroids, d, d, basis, of_centroids);
        padding.fill(0.0);
        let lanes = self.lanes.chunks_exact_mut(self.width);
        for (rows, lanes) in rows.chunks_exact(LANES * self.width).zip(lanes) {
            for (first, lanes) in (0..).step_by(LANES).zip(lanes.as_chunks_mut().0) {
                let square = std::array::from_fn(|row| {
                    let row = &rows[row * self.width + first..];
                    *row.first_chunk().expect("panels are whole groups")
                });
                kernel::transpose(simd, &square, lanes);
            }
        }
    }

    /// Coordinates of a group of centroids along the components that they were multiplied with.
    pub(super) fn group(&self, group: usize) -> &[Lanes] {
        &self.lanes[group * self.width..][..self.width]
    }

    /// At least how far coordinates are off, together, of a centroid of a norm of 1.
    pub(super) fn error(&self, index: &IndexView<'_>) -> f64 {
        rotation_error(&index.layout, index.defect)
    }
}
