//! Centroids as the index sees rows: rotated, and rounded to bytes.
//!
//! A centroid `c` is `v = (c - m) * unit`, isometric to `(z + f, s)` as a row is to `(y + e, t)`
//! (see [`crate::index`]), with `|f|` bounded the same way. Its leading coordinates are computed in
//! every iteration; all of them, as bytes, only where rows have to be looked at whole, because that
//! takes a product with the whole basis.

use super::judge::{BLOWN, ROUNDING};
use super::kernel::{self, LANES, Sums32};
use super::lines::Lines;
use crate::data::Data;
use crate::index::gemm::{self, PANEL};
use crate::index::{IndexView, MAX_LEVELS, TINY, quantise, rotation_error, up};
use crate::simd::{Simd, multiversion};

/// Up to this many lanes, distances are kept for every pair of centroids.
const PAIRWISE: usize = 256;

/// Scores of lanes without a centroid: above any other, as norms are below [`USABLE`].
pub(super) const FAR: f32 = 1e30;

/// Centroids farther than this from the mean, in units (no row is above 1), are not projected.
const USABLE: f64 = 1e6;

/// Levels of which centroids' low bytes count even where only rows' high bytes do: most of a
/// centroid lies in the leading ones, and so does most of its error.
pub(super) const PRECISE: usize = 2;

/// A number for each centroid of a group.
pub(super) type Lanes = [f32; LANES];

/// All centroids of an iteration.
#[derive(Debug, Clone)]
pub(super) struct Centroids {
    pub(super) k: usize,
    /// `k`, rounded up to whole groups.
    pub(super) lanes: usize,
    /// Length of the first level.
    pub(super) front: usize,
    /// `v` in binary32, `[k, d]`; what that is off by is below `2^-24 |v|`.
    pub(super) scaled: Vec<f32>,
    /// `|v|` of every lane, and its square.
    pub(super) norms: Vec<f64>,
    pub(super) squares: Vec<f64>,
    /// Leading coordinates, `[group][front][16]`, and at least how far those of each centroid are off.
    pub(super) heads: Vec<Lanes>,
    pub(super) head_errors: Vec<f64>,
}

/// The product of centroids with the basis, `[k, stride]`: with its first panel, or all of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Product(Vec<f32>);

/// All coordinates of centroids, as bytes.
#[derive(Debug, Clone)]
pub(super) struct Planes {
    pub(super) k: usize,
    pub(super) lanes: usize,
    /// High and low bytes of each level, `[group][four][16][4]`, and what sums with them start with.
    pub(super) high: [Plane; MAX_LEVELS],
    pub(super) low: [Plane; MAX_LEVELS],
    /// Of each level, -2 times what high bytes are multiples of, of every lane.
    pub(super) factors: [Lines<f32>; MAX_LEVELS],
    /// `|v|²` of every lane; [`FAR`] of those without a centroid.
    pub(super) squares: Lines<f32>,
    /// At least `|f|` with low bytes in the [`PRECISE`] levels, with those of all, and with none.
    pub(super) errors: Lines<f32>,
    pub(super) fine_errors: Lines<f32>,
    pub(super) coarse_errors: Lines<f32>,
    /// At least `|v|`, and `|s|`.
    pub(super) norms: Lines<f32>,
    pub(super) outside: Lines<f32>,
    /// What rounding may amount to in the score of every lane, as far as that is its own.
    pub(super) rounding: Lines<f32>,
    /// Points that errors are measured from: all centroids, or only the mean of the data.
    points: usize,
    /// At least how far lanes are from them, `[points, lanes]`.
    apart: Lines<f32>,
}

/// One of the bytes of a level's coordinates.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    pub(super) bytes: Lines<i8>,
    pub(super) start: Vec<Sums32>,
}

/// A point that errors are measured from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference(u32);

impl Centroids {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let (d, front) = (index.layout.d, index.layout.widths[0]);
        Self {
            k,
            lanes: k.next_multiple_of(LANES),
            front,
            scaled: vec![0.0; k * d],
            norms: vec![0.0; k],
            squares: vec![0.0; k],
            heads: vec![[0.0; LANES]; k.div_ceil(LANES) * front],
            head_errors: vec![0.0; k],
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
        Product(product): &mut Product,
    ) -> bool {
        let layout = index.layout;
        let d = layout.d;
        let own = self.scaled.chunks_exact_mut(d).zip(centroids.chunks_exact(data.rows.stride()));
        for (j, (scaled, centroid)) in own.enumerate() {
            let square = scale(simd, &centroid[..d], &data.center[..d], index.unit, scaled);
            self.norms[j] = square.sqrt() * (1.0 + 1e-9);
            self.squares[j] = square;
        }
        // NaN cannot be used either, and would go unseen in the largest.
        if !self.norms.iter().all(|&norm| norm <= USABLE) {
            return false;
        }
        let leading = d * self.front.next_multiple_of(PANEL);
        let basis = if whole { index.basis } else { &index.basis[..leading] };
        let stride = basis.len() / d;
        product.resize(self.k * stride, 0.0);
        gemm::multiply(simd, &self.scaled, d, d, basis, product);
        for (j, product) in product.chunks_exact(stride).enumerate() {
            // Behind the components is padding.
            let heads = &mut self.heads[j / LANES * self.front..];
            for (head, &value) in heads.iter_mut().zip(&product[..self.front]) {
                head[j % LANES] = value;
            }
        }
        let relative = index.defect * (1.0 + index.defect) + rotation_error(&layout, index.defect);
        for (error, norm) in self.head_errors.iter_mut().zip(&self.norms) {
            *error = relative * norm + TINY;
        }
        true
    }
}

impl Centroids {
    /// At least how far each of them is from the same one of `others`.
    pub(super) fn distances(&self, simd: Simd, others: &Self) -> Vec<f64> {
        let d = self.scaled.len() / self.k;
        let own = self.scaled.chunks_exact(d).zip(others.scaled.chunks_exact(d));
        own.zip(self.norms.iter().zip(&others.norms))
            .map(|((a, b), norms)| {
                // They have been rounded to binary32.
                let rounding = (norms.0 + norms.1) / f64::from(1 << 24) + UNDERFLOW;
                square_apart(simd, a, b).sqrt() * (1.0 + 1e-6) + rounding
            })
            .collect()
    }
}

impl Planes {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let layout = index.layout;
        let lanes = k.next_multiple_of(LANES);
        let points = if lanes <= PAIRWISE { k + 1 } else { 1 };
        let planes = || {
            layout.widths.map(|width| Plane {
                bytes: Lines::zeros(width * lanes),
                start: vec![Sums32::default(); lanes / LANES],
            })
        };
        let mut squares = Lines::zeros(lanes);
        squares.fill(FAR);
        Self {
            k,
            lanes,
            high: planes(),
            low: planes(),
            factors: [(); MAX_LEVELS].map(|()| Lines::zeros(lanes)),
            squares,
            errors: Lines::zeros(lanes),
            fine_errors: Lines::zeros(lanes),
            coarse_errors: Lines::zeros(lanes),
            norms: Lines::zeros(lanes),
            outside: Lines::zeros(lanes),
            rounding: Lines::zeros(lanes),
            points,
            apart: Lines::zeros(points * lanes),
        }
    }

    /// Takes `centroids` and their `product` with the whole basis.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        centroids: &Centroids,
        Product(product): &Product,
    ) {
        let layout = index.layout;
        let stride = product.len() / self.k;
        for (j, product) in product.chunks_exact(stride).enumerate() {
            let (group, lane) = (j / LANES, j % LANES);
            let mut first = 0;
            let (mut mixed, mut fine, mut coarse, mut inside) = (0.0, 0.0, 0.0, 0.0);
            for (level, &width) in layout.widths.iter().enumerate() {
                let end = (first + width).min(layout.components);
                let values = &product[first.min(end)..end];
                first += width;
                let at = group * width * LANES..(group + 1) * width * LANES;
                let high = &mut self.high[level].bytes[at.clone()];
                let low = &mut self.low[level].bytes[at];
                let found = quantise(values, |i, value, rest| {
                    let place = kernel::place(i, lane);
                    high[place] = value as i8;
                    low[place] = rest as i8;
                });
                self.factors[level][j] = -2.0 * found.scale;
                fine += found.fine_square_error;
                coarse += found.square_error;
                mixed += if level < PRECISE { found.fine_square_error } else { found.square_error };
                inside += values.iter().map(|&z| f64::from(z) * f64::from(z)).sum::<f64>();
            }
            let norm = centroids.norms[j];
            let rotation = centroids.head_errors[j];
            let error = |square: f64| up((square.sqrt() + rotation) * (1.0 + 1e-9));
            self.errors[j] = error(mixed);
            self.fine_errors[j] = error(fine);
            self.coarse_errors[j] = error(coarse);
            self.norms[j] = up(norm);
            self.squares[j] = centroids.squares[j] as f32;
            self.rounding[j] = 2.0 * ROUNDING * BLOWN * self.norms[j] * self.norms[j];
            if !layout.is_whole() {
                let inside = (inside.sqrt() * (1.0 - 1e-9) - rotation).max(0.0);
                self.outside[j] = up((norm * norm - inside * inside).max(0.0).sqrt());
            }
        }
        for plane in self.high.iter_mut().chain(&mut self.low) {
            let length = plane.bytes.len() / plane.start.len();
            for (group, start) in plane.start.iter_mut().enumerate() {
                *start = kernel::start(&plane.bytes[group * length..][..length]);
            }
        }
        self.measure(simd, layout.d, centroids);
    }

    /// Measures how far centroids are apart.
    fn measure(&mut self, simd: Simd, d: usize, centroids: &Centroids) {
        let (lanes, pairs) = (self.lanes, self.points - 1);
        let row = |j: usize| &centroids.scaled[j * d..][..d];
        for a in 0..pairs {
            for b in 0..a {
                // Rounding of `v` to binary32, and of the sum, which is in binary64.
                let norms = centroids.norms[a] + centroids.norms[b];
                let rounding = norms / f64::from(1 << 24) + UNDERFLOW;
                let apart = square_apart(simd, row(a), row(b)).sqrt() * (1.0 + 1e-6) + rounding;
                let apart = up(apart + centroids.head_errors[a] + centroids.head_errors[b])
                    + (self.coarse_errors[a] + self.coarse_errors[b]);
                self.apart[a * lanes + b] = apart;
                self.apart[b * lanes + a] = apart;
            }
            self.apart[a * lanes + a] = 0.0;
        }
        for (apart, (norm, error)) in
            self.apart[pairs * lanes..].iter_mut().zip(self.norms.iter().zip(&*self.coarse_errors))
        {
            *apart = norm + error;
        }
    }

    /// The point to measure errors of a row from that belongs to `label`, if there is such a
    /// centroid.
    #[inline]
    pub(super) fn reference(&self, label: u32) -> Reference {
        Reference(label.min(self.points as u32 - 1))
    }

    /// At least how far the coordinates of all lanes are from those of `point`, `[lanes]`.
    #[inline]
    pub(super) fn apart(&self, point: Reference) -> &[f32] {
        &self.apart[point.0 as usize * self.lanes..][..self.lanes]
    }

    /// At least how far `point` is from the mean; the same of its coordinates.
    #[inline]
    pub(super) fn length(&self, point: Reference) -> f32 {
        let point = point.0 as usize;
        if point + 1 == self.points { 0.0 } else { self.norms[point] + self.coarse_errors[point] }
    }

    /// The same outside the basis.
    #[inline]
    pub(super) fn length_outside(&self, point: Reference) -> f32 {
        let point = point.0 as usize;
        if point + 1 == self.points { 0.0 } else { self.outside[point] }
    }
}

multiversion! {
    /// `(centroid - center) * unit` into `scaled`; returns its squared norm, before it is rounded
    /// to binary32.
    fn scale =
        scale_body(centroid: &[f64], center: &[f64], unit: f64, scaled: &mut [f32]) -> f64
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn scale_body<const B: usize>(
    centroid: &[f64],
    center: &[f64],
    unit: f64,
    scaled: &mut [f32],
) -> f64 {
    let mut sums = [0.0; LANES];
    let chunks = scaled.chunks_mut(LANES).zip(centroid.chunks(LANES)).zip(center.chunks(LANES));
    for ((scaled, centroid), center) in chunks {
        for (((scaled, &c), &m), sum) in scaled.iter_mut().zip(centroid).zip(center).zip(&mut sums)
        {
            let v = (c - m) * unit;
            *scaled = v as f32;
            *sum += v * v;
        }
    }
    sums.iter().sum()
}

/// More than underflow can take from a norm in units that is computed in binary32: each square that is
/// lost is below 2^-126, and there are fewer than 2²⁰ of them.
pub(super) const UNDERFLOW: f64 = 1e-15;

/// Terms of each partial sum in binary32.
const TERMS: usize = 8;

multiversion! {
    /// The squared distance of `a` to `b`, whose differences are taken in binary32, added in
    /// binary32 for few terms and then in binary64: off by less than a relative 1e-6, but for
    /// [`UNDERFLOW`].
    fn square_apart = square_apart_body(a: &[f32], b: &[f32]) -> f64
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn square_apart_body<const B: usize>(a: &[f32], b: &[f32]) -> f64 {
    let mut total = 0.0;
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
        // The sixteen are added in binary32 too, in four steps.
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        total += f64::from(sums[0]);
    }
    total
}
