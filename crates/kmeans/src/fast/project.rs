//! Centroids as the index sees rows: rotated, and rounded to bytes.
//!
//! A centroid `c` is `v = (c - m) * unit`, isometric to `(z + f, s)` as a row is to `(y + e, t)`
//! (see [`crate::index`]), with `|f|` bounded the same way. Its leading coordinates are computed in
//! every iteration; all of them, as bytes, only where rows have to be looked at whole, because that
//! takes a product with the whole basis.

use super::judge::{BLOWN, ROUNDING};
use super::kernel::{CentroidLine, LANES, OfRows, ROWS, Stretch, Taken, Then};
use super::lines::Lines;
use crate::data::Data;
use crate::index::gemm::{self, PANEL};
use crate::index::{BIAS, IndexView, Layout, MAX_LEVELS, TINY, quantise, rotation_error, up};
use crate::simd::{Simd, multiversion};

/// Up to this many lanes, distances are kept for every pair of centroids.
const PAIRWISE: usize = 256;

/// Scores of lanes without a centroid: above any other, as norms are below [`USABLE`].
pub(super) const FAR: f32 = 1e30;

/// Centroids farther than this from the mean, in units (no row is above 1), are not projected.
const USABLE: f64 = 1e6;

/// Levels of which centroids' low bytes count even where only rows' high bytes do: most of a
/// centroid lies in the first one, and so does most of its error.
const PRECISE: usize = 1;

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
    /// High bytes of all levels of each centroid, and its low ones, each level in whole lines that are
    /// padded with zeros.
    bytes: Lines<CentroidLine>,
    /// How high bytes are multiplied, and how both.
    high: Products,
    both: Products,
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

/// Products that make up scores.
#[derive(Debug, Clone)]
pub(super) struct Products {
    pub(super) stretches: Vec<Stretch>,
    /// Of each centroid, those that are taken.
    sums: Vec<Taken>,
}

impl Products {
    /// Those of high bytes, with centroids' low ones in the [`PRECISE`] levels, or of `both` bytes, but
    /// for low with low ones.
    fn new(layout: &Layout, k: usize, both: bool) -> Self {
        let lines = layout.lines();
        let all: usize = lines.iter().sum();
        let mut stretches = Vec::new();
        let mut first = 0;
        for (level, &lines) in lines.iter().enumerate().take(layout.levels()) {
            let mut add = |row_low: bool, centroid_low: bool, then| {
                stretches.push(Stretch {
                    row_line: first + usize::from(row_low) * all,
                    centroid_line: first + usize::from(centroid_low) * all,
                    lines,
                    then,
                });
            };
            let with_low = both || level < PRECISE;
            let take = Then::Take { level };
            let is_narrow = layout.widths[level] <= NARROW;
            add(false, false, if with_low && is_narrow { Then::GoOnTimes256 } else { take });
            if with_low {
                add(false, true, if both { Then::GoOn } else { take });
            }
            if both {
                add(true, false, take);
            }
            first += lines;
        }
        let taken = stretches.iter().filter(|stretch| matches!(stretch.then, Then::Take { .. }));
        Self { sums: vec![Taken::default(); k * taken.count()], stretches }
    }

    /// What is known of the sums with centroid `j`, of `k`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn sums(&self, j: usize, k: usize) -> &[Taken] {
        let count = self.sums.len() / k;
        &self.sums[j * count..][..count]
    }

    /// Takes centroid `j`, of `k`, of which these are the sums of each line's bytes, and -2 times what its
    /// high bytes are multiples of in each level.
    fn set(&mut self, j: usize, k: usize, line_sums: &[i32], factors: &[f32; MAX_LEVELS]) {
        let count = self.sums.len() / k;
        let mut sums = self.sums[j * count..][..count].iter_mut();
        let (mut start, mut is_coarse) = (0_i32, true);
        for stretch in &self.stretches {
            let sums_of_lines = &line_sums[stretch.centroid_line..][..stretch.lines];
            start = start.wrapping_sub(BIAS * sums_of_lines.iter().sum::<i32>());
            match stretch.then {
                Then::GoOn => is_coarse = false,
                Then::GoOnTimes256 => {
                    is_coarse = false;
                    start = start.wrapping_mul(256);
                }
                Then::Take { level } => {
                    let is_high = stretch.row_line == stretch.centroid_line && is_coarse;
                    let factor = if is_high { factors[level] } else { factors[level] / 256.0 };
                    *sums.next().expect("there is room for all") = Taken { start, factor };
                    (start, is_coarse) = (0, true);
                }
            }
        }
    }
}

/// Levels up to this wide have products of high bytes that fit 32 bits 256 times over, with those of
/// low ones.
const NARROW: usize = 256;

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

    /// At least how far each of them is from the same one of `others`.
    pub(super) fn distances(&self, simd: Simd, others: &Self) -> Vec<f64> {
        let d = self.scaled.len() / self.k;
        let own = self.scaled.chunks_exact(d).zip(others.scaled.chunks_exact(d));
        own.zip(self.norms.iter().zip(&others.norms))
            .map(|((a, b), norms)| at_most_apart(simd, a, b, norms.0 + norms.1))
            .collect()
    }
}

impl Planes {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let layout = index.layout;
        let lanes = k.next_multiple_of(LANES);
        let points = if lanes <= PAIRWISE { k + 1 } else { 1 };
        let mut squares = Lines::zeros(lanes);
        squares.fill(FAR);
        Self {
            k,
            lanes,
            bytes: Lines::zeros(2 * k * layout.lines().iter().sum::<usize>()),
            high: Products::new(&layout, k, false),
            both: Products::new(&layout, k, true),
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
        let lines = layout.lines();
        let all: usize = lines.iter().sum();
        let mut line_sums = Vec::with_capacity(2 * all);
        for (j, product) in product.chunks_exact(stride).enumerate() {
            let bytes = &mut self.bytes[2 * all * j..][..2 * all];
            let (mut high, mut low) = bytes.split_at_mut(all);
            let mut factors = [0.0; MAX_LEVELS];
            let mut first = 0;
            let (mut mixed, mut fine, mut coarse, mut inside) = (0.0, 0.0, 0.0, 0.0);
            for (level, &width) in layout.widths.iter().enumerate() {
                let end = (first + width).min(layout.components);
                let values = &product[first.min(end)..end];
                first += width;
                let [high, low] = [&mut high, &mut low].map(|lines_left| {
                    let own = lines_left.split_off_mut(..lines[level]).expect("each has its lines");
                    own.as_flattened_mut()
                });
                let found = quantise(values, |i, value, rest| {
                    high[i] = value as i8;
                    low[i] = rest as i8;
                });
                factors[level] = -2.0 * found.scale;
                fine += found.fine_square_error;
                coarse += found.square_error;
                mixed += if level < PRECISE { found.fine_square_error } else { found.square_error };
                inside += values.iter().map(|&z| f64::from(z) * f64::from(z)).sum::<f64>();
            }
            let lines = self.bytes[2 * all * j..][..2 * all].iter();
            line_sums.clear();
            line_sums.extend(lines.map(|line| line.iter().map(|&c| i32::from(c)).sum::<i32>()));
            for products in [&mut self.high, &mut self.both] {
                products.set(j, self.k, &line_sums, &factors);
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
        self.measure(simd, layout.d, centroids);
    }

    /// Measures how far centroids are apart.
    fn measure(&mut self, simd: Simd, d: usize, centroids: &Centroids) {
        let (lanes, pairs) = (self.lanes, self.points - 1);
        let row = |j: usize| &centroids.scaled[j * d..][..d];
        for a in 0..pairs {
            for b in 0..a {
                let norms = centroids.norms[a] + centroids.norms[b];
                let apart = at_most_apart(simd, row(a), row(b), norms);
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

    /// How these bytes are multiplied.
    #[inline]
    pub(super) fn products(&self, both: bool) -> &Products {
        if both { &self.both } else { &self.high }
    }

    /// The bytes of centroid `j`.
    #[inline]
    pub(super) fn bytes(&self, j: usize) -> &[CentroidLine] {
        let lines = self.bytes.len() / self.k;
        &self.bytes[j * lines..][..lines]
    }

    /// The point to measure errors of a row from that belongs to `label`, if there is such a
    /// centroid.
    #[inline]
    pub(super) fn reference(&self, label: u32) -> Reference {
        Reference(label.min(self.points as u32 - 1))
    }

    /// At least how far the coordinates of centroid `j` are from those of `points`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn apart(&self, points: &[Reference; ROWS], j: usize) -> OfRows {
        // An array's own `map` would be a call, which knows nothing of the caller's instructions.
        let mut found = [0.0; ROWS];
        for (found, point) in found.iter_mut().zip(points) {
            *found = self.apart[point.0 as usize * self.lanes + j];
        }
        found
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

/// At least how far two vectors are apart that have been rounded to `a` and `b`, in binary32, and whose
/// norms add up to `norms`.
fn at_most_apart(simd: Simd, a: &[f32], b: &[f32], norms: f64) -> f64 {
    let rounding = norms / f64::from(1 << 24) + UNDERFLOW;
    square_apart(simd, a, b).sqrt() * (1.0 + 1e-6) + rounding
}

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
