//! Centroids as the index sees rows: rotated.
//!
//! A centroid `c` is `v = (c - m) * unit`, isometric to `(z + f, s)` as a row is to `(y + e, t)`
//! (see [`crate::index`]), with `|f|` bounded the same way. Its leading coordinates are computed in
//! every iteration; all of them, which takes a product with the whole basis, only where rows have to be
//! looked at whole: by [`super::planes`].

use super::kernel::{LANES, Lanes};
use super::product::Product;
use crate::data::Data;
use crate::index::{IndexView, TINY};
use crate::integers::Lanes64;
use crate::simd::{Simd, multiversion};

/// Centroids farther than this from the mean, in units (no row is above 1), are not projected.
const USABLE: f64 = 1e6;

/// All centroids of an iteration.
#[derive(Debug, Clone)]
pub(super) struct Centroids {
    pub(super) k: usize,
    /// `k`, rounded up to whole groups.
    pub(super) lanes: usize,
    /// Length of the first level.
    pub(super) front: usize,
    /// `v` in binary32, `[k, d]`; what that is off by is below `2^-24 |v|`.
    scaled: Vec<f32>,
    /// `m·v` of each, and at least `|m|`, both with `m` as it is.
    pub(super) center_products: Vec<f64>,
    pub(super) center_norm: f64,
    /// At least the largest `|v|`.
    pub(super) largest: f64,
    /// Of each group of lanes.
    pub(super) sizes: Vec<Sizes>,
    /// Leading coordinates, `[group][front][16]`.
    pub(super) heads: Vec<Lanes>,
}

/// Of a group of lanes, 0 where there is no centroid:
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    /// `|v|` and its square;
    pub(super) norms: Lanes64,
    pub(super) squares: Lanes64,
    /// at least how far leading coordinates are off.
    pub(super) head_errors: Lanes64,
}

impl Centroids {
    /// `k` of them, of rows that are `data`.
    pub(super) fn new(data: Data<'_>, index: &IndexView<'_>, k: usize) -> Self {
        let (d, front) = (index.layout.d, index.layout.widths[0]);
        let square: f64 = data.center.iter().map(|m| m * m).sum();
        Self {
            k,
            lanes: k.next_multiple_of(LANES),
            front,
            scaled: vec![0.0; k * d],
            center_products: vec![0.0; k],
            center_norm: square.sqrt() * (1.0 + 1e-9),
            largest: 0.0,
            sizes: vec![Sizes::default(); k.div_ceil(LANES)],
            heads: vec![[0.0; LANES]; k.div_ceil(LANES) * front],
        }
    }

    /// Takes `centroids`, `[k, stride]`, and leaves their `product` with the `whole` basis, or only with
    /// what leading coordinates take. Returns whether they can be used: they cannot where one lies so far
    /// from all rows that binary32 might not hold its distances.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        data: Data<'_>,
        centroids: &[f64],
        whole: bool,
        product: &mut Product,
    ) -> bool {
        let d = index.layout.d;
        let center = &data.center[..d];
        let own = self.scaled.chunks_exact_mut(d).zip(centroids.chunks_exact(data.rows.stride()));
        for (j, (scaled, centroid)) in own.enumerate() {
            let (square, product) = scale(simd, &centroid[..d], center, index.unit, scaled);
            self.center_products[j] = product;
            let (sizes, lane) = (&mut self.sizes[j / LANES], j % LANES);
            sizes.norms[lane] = square.sqrt() * (1.0 + 1e-9);
            sizes.squares[lane] = square;
        }
        // NaN cannot be used either, and would go unseen in the largest.
        if !self.sizes.iter().all(|sizes| sizes.norms.iter().all(|&norm| norm <= USABLE)) {
            return false;
        }
        self.largest = self.sizes.iter().flat_map(|sizes| sizes.norms).fold(0.0, f64::max);
        product.set(simd, index, &self.scaled, whole);
        for (group, heads) in self.heads.chunks_exact_mut(self.front).enumerate() {
            heads.copy_from_slice(&product.group(group)[..self.front]);
        }
        let relative = index.defect * (1.0 + index.defect) + product.error();
        for sizes in &mut self.sizes {
            sizes.head_errors = sizes.norms.map(|norm| relative * norm + TINY);
        }
        true
    }

    /// `v` of one of them, `[d]`, in binary32, and `|v|²`.
    pub(super) fn scaled(&self, j: usize) -> (&[f32], f64) {
        let d = self.scaled.len() / self.k;
        (&self.scaled[j * d..][..d], self.sizes[j / LANES].squares[j % LANES])
    }

    /// At least how far each of them is from the same one of `others`, for each group of lanes.
    pub(super) fn distances(&self, simd: Simd, others: &Self) -> Vec<Lanes64> {
        let d = self.scaled.len() / self.k;
        let mut distances = vec![[0.0; LANES]; self.sizes.len()];
        let own = self.scaled.chunks_exact(d).zip(others.scaled.chunks_exact(d));
        for (j, (a, b)) in own.enumerate() {
            let (group, lane) = (j / LANES, j % LANES);
            let norms = [self, others].map(|centroids| centroids.sizes[group].norms[lane]);
            distances[group][lane] = at_most_apart(simd, a, b, norms[0] + norms[1]);
        }
        distances
    }
}

multiversion! {
    /// `(centroid - center) * unit` into `scaled`; returns its squared norm, and its product with `center`,
    /// before it is rounded to binary32.
    fn scale =
        scale_body(centroid: &[f64], center: &[f64], unit: f64, scaled: &mut [f32]) -> (f64, f64)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn scale_body<const B: usize>(
    centroid: &[f64],
    center: &[f64],
    unit: f64,
    scaled: &mut [f32],
) -> (f64, f64) {
    let (mut squares, mut products) = ([0.0; LANES], [0.0; LANES]);
    let chunks = scaled.chunks_mut(LANES).zip(centroid.chunks(LANES)).zip(center.chunks(LANES));
    for ((scaled, centroid), center) in chunks {
        let sums = squares.iter_mut().zip(&mut products);
        for (((scaled, &c), &m), (square, product)) in
            scaled.iter_mut().zip(centroid).zip(center).zip(sums)
        {
            let v = (c - m) * unit;
            *scaled = v as f32;
            *square += v * v;
            *product += v * m;
        }
    }
    (squares.iter().sum(), products.iter().sum())
}

/// More than underflow can take from a norm in units that is computed in binary32: each square that is
/// lost is below 2^-126, and there are fewer than 2²⁰ of them.
pub(super) const UNDERFLOW: f64 = 1e-15;

/// At least how far two vectors are apart that have been rounded to `a` and `b`, in binary32, and whose
/// norms add up to `norms`.
fn at_most_apart(simd: Simd, a: &[f32], b: &[f32], norms: f64) -> f64 {
    let rounding = norms / f64::from(1 << 24) + UNDERFLOW;
    square_apart(simd, a, b).sqrt() * (1.0 + 1e-6) + rounding
}

/// Terms of each partial sum in binary32.
const TERMS: usize = 8;

multiversion! {
    /// The squared distance of `a` to `b`, whose differences are taken in binary32, added in binary32 for
    /// few terms and then in binary64: off by less than a relative 1e-6, but for [`UNDERFLOW`].
    fn square_apart = square_apart_body(a: &[f32], b: &[f32]) -> f64
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn square_apart_body<const B: usize>(a: &[f32], b: &[f32]) -> f64 {
    let mut totals = [0.0_f64; LANES];
    for (a, b) in a.chunks(TERMS * LANES).zip(b.chunks(TERMS * LANES)) {
        let mut sums = [0.0_f32; LANES];
        let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.0.iter().zip(b.0) {
            for lane in 0..LANES {
                let difference = a[lane] - b[lane];
                sums[lane] += difference * difference;
            }
        }
        for (sum, (a, b)) in sums.iter_mut().zip(a.1.iter().zip(b.1)) {
            *sum += (a - b) * (a - b);
        }
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total += f64::from(sum);
        }
    }
    totals.iter().sum()
}
