//! Centroids as integers, and their product with the basis ([`crate::integers`]).

use super::kernel::Lanes;
use crate::index::IndexView;
use crate::integers::{
    BYTES, GroupLine, LANES, Lanes64, Products, combine, multiply_signed, put_in_lane, to_bytes,
    unit_of,
};
use crate::lines::Lines;
use crate::simd::{LINE, Simd};
use std::array;

/// Centroids as integers.
#[derive(Debug, Clone)]
pub(super) struct Integers {
    d: usize,
    /// Lines that a centroid's columns take.
    steps: usize,
    /// `[3][group][step]`, and their units, `[group][16]`.
    centroids: [Lines<GroupLine>; BYTES],
    units: Vec<Lanes64>,
    /// Room for the bytes of one.
    bytes: [Vec<i8>; BYTES],
}

impl Integers {
    /// Of so many groups of centroids.
    pub(super) fn new(index: &IndexView<'_>, groups: usize) -> Self {
        let d = index.layout.d;
        let steps = d.div_ceil(LINE);
        Self {
            d,
            steps,
            centroids: array::from_fn(|_| Lines::zeros(groups * steps)),
            units: vec![[0.0; LANES]; groups],
            bytes: array::from_fn(|_| vec![0; steps * LINE]),
        }
    }

    /// Number of groups of centroids.
    pub(super) fn groups(&self) -> usize {
        self.units.len()
    }

    /// Takes the `centroids` that are to be multiplied, `[k, d]`.
    pub(super) fn set(&mut self, simd: Simd, centroids: &[f32]) {
        for (j, centroid) in centroids.chunks_exact(self.d).enumerate() {
            let (group, lane) = (j / LANES, j % LANES);
            let unit = unit_of(simd, centroid);
            self.units[group][lane] = unit;
            to_bytes(simd, centroid, unit, &mut self.bytes);
            for (lines, bytes) in self.centroids.iter_mut().zip(&self.bytes) {
                put_in_lane(&mut lines[group * self.steps..][..self.steps], lane, bytes);
            }
        }
    }

    /// The coordinates of a group of the centroids along the first components, `[components][16]`.
    pub(super) fn multiply(
        &self,
        simd: Simd,
        index: &IndexView<'_>,
        group: usize,
        coordinates: &mut [Lanes],
    ) {
        let centroids =
            self.centroids.each_ref().map(|lines| &lines[group * self.steps..][..self.steps]);
        let basis = index.blocks.chunks_exact(self.steps).zip(index.units.as_chunks::<LANES>().0);
        let mut sums = [Products::ZERO; BYTES + 1];
        for ((blocks, scales), coordinates) in basis.zip(coordinates.as_chunks_mut::<LANES>().0) {
            multiply_signed(simd, blocks, &centroids, &mut sums);
            combine(simd, &sums, scales, &self.units[group], coordinates);
        }
    }
}
