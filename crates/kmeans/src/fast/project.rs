//! Centroids as the index sees rows: rotated, cut into levels, rounded to integers.
//!
//! A centroid `c` is `v = (c - m) * unit`, isometric to `(z + f, s)` as a row is to `(y + e, t)`
//! (see [`crate::index`]), with `|f|` bounded the same way. What a decision needs to know besides is
//! how far apart centroids are behind each level: the *gaps*.

use super::kernel::LANES;
use super::weigh::{Behind, Table};
use crate::data::Data;
use crate::index::gemm;
use crate::index::{CENTROID_NORM, IndexView, MAX_LEVELS, TINY, quantise, rotation_error, up};
use crate::simd::{Simd, multiversion};

/// Up to this many lanes, gaps are kept for every pair of centroids.
const PAIRWISE: usize = 256;

/// Scores of lanes without a centroid: above any other, as norms are below [`USABLE`].
const FAR: f32 = 1e30;

/// Centroids farther than this from the mean, in units (no row is above 1), are not projected.
const USABLE: f64 = 1e6;

/// What sums of binary32 squares may be too small by: fewer than 2¹⁴ terms, each passing as many
/// additions, and the differences of numbers rounded to binary32.
const SUMMING: f32 = 1.0 + 2e-3;

/// A number for each centroid of a group.
pub(super) type Lanes = [f32; LANES];

/// Upper bounds of distances between pairs of centroids.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps {
    /// `[lanes, lanes]`, or `[lanes]` distances to a common point.
    values: Vec<f32>,
    pairwise: bool,
}

impl Gaps {
    /// `zeros` are `[lanes]`.
    pub(super) fn table<'a>(&'a self, zeros: &'a [f32]) -> Table<'a> {
        if self.pairwise { Table::pairs(&self.values, zeros) } else { Table::common(&self.values) }
    }
}

/// All centroids, projected.
#[derive(Debug, Clone)]
pub(super) struct Projected {
    pub(super) k: usize,
    /// `k`, rounded up to whole groups.
    pub(super) lanes: usize,
    /// Integers of each level, `[group][pair][16][2]`.
    pub(super) levels: [Vec<i16>; MAX_LEVELS],
    /// Of each level, -2 times the scale of every lane.
    pub(super) factors: [Vec<f32>; MAX_LEVELS],
    /// `|v|²` of every lane.
    pub(super) squares: Vec<f32>,
    /// Coordinates `z`, `[group][coordinate][16]`.
    pub(super) values: Vec<f32>,
    /// At least the norms behind each level, for every lane.
    pub(super) tails: [Vec<f32>; MAX_LEVELS],
    /// Gaps of whole coordinate vectors.
    pub(super) gaps: Gaps,
    /// Gaps of what is behind each level.
    pub(super) gaps_behind: [Gaps; MAX_LEVELS],
    /// At least `|v|` of every lane, now and since `reach` fell, and `|f|`.
    pub(super) norms: Vec<f32>,
    pub(super) errors: Vec<f32>,
    /// At least the largest `|v|`, now and since `reach_fell`.
    pub(super) reach: f32,
    /// Whether some `|v|` has now fallen to a quarter: then nothing that was computed before is covered by it.
    pub(super) reach_fell: bool,
    /// `[lanes]`.
    pub(super) zeros: Vec<f32>,
    /// `v` in binary32, `[k, d]`, and its product with the basis.
    scaled: Vec<f32>,
    product: Vec<f32>,
}

impl Projected {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let layout = index.layout;
        let lanes = k.next_multiple_of(LANES);
        let each =
            |length: fn(usize, usize) -> usize| layout.widths.map(|width| length(width, lanes));
        Self {
            k,
            lanes,
            levels: each(|width, lanes| width * lanes).map(|length| vec![0; length]),
            factors: each(|_, lanes| lanes).map(|length| vec![0.0; length]),
            squares: vec![FAR; lanes],
            values: vec![0.0; layout.width() * lanes],
            tails: each(|_, lanes| lanes).map(|length| vec![0.0; length]),
            gaps: Gaps::default(),
            gaps_behind: Default::default(),
            norms: vec![0.0; lanes],
            errors: vec![0.0; lanes],
            reach: 0.0,
            reach_fell: false,
            zeros: vec![0.0; lanes],
            scaled: vec![0.0; k * layout.d],
            product: vec![0.0; k * (index.basis.len() / layout.d)],
        }
    }

    /// What is left out behind `level`.
    pub(super) fn behind(&self, level: usize) -> Behind<'_> {
        Behind {
            products: &self.zeros,
            gaps: self.gaps_behind[level].table(&self.zeros),
            tails: &self.tails[level],
        }
    }

    /// Projects `centroids`, `[k, stride]`. Returns whether they can be used: they cannot where
    /// one lies so far from all rows that binary32 might not hold its distances.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        data: Data<'_>,
        centroids: &[f64],
    ) -> bool {
        let layout = index.layout;
        let (d, lanes) = (layout.d, self.lanes);
        let mut norms = Vec::with_capacity(self.k);
        for (scaled, centroid) in
            self.scaled.chunks_exact_mut(d).zip(centroids.chunks_exact(data.rows.stride()))
        {
            let square = scale(simd, &centroid[..d], &data.center[..d], index.unit, scaled);
            norms.push(square.sqrt() * (1.0 + 1e-9));
        }
        let reach = norms.iter().fold(0.0, |a: f64, &b| a.max(b));
        // NaN cannot be used either, and would go unseen in the largest.
        let usable = norms.iter().all(|&norm| norm <= USABLE);
        if !usable {
            return false;
        }
        gemm::multiply(simd, &self.scaled, d, d, index.basis, &mut self.product);
        let width = index.basis.len() / d;
        let reach = up(reach);
        self.reach_fell = (0..self.k).any(|j| norms[j] < f64::from(self.norms[j]) / 4.0);
        self.reach = if self.reach_fell { reach } else { reach.max(self.reach) };
        let seen = if self.reach_fell { vec![0.0; lanes] } else { self.norms.clone() };
        let mut outside = vec![0.0_f32; lanes];
        let mut integers = vec![0; layout.width()];
        for (j, product) in self.product.chunks_exact(width).enumerate() {
            let mut first = 0;
            let mut off = 0.0;
            let mut squares = [0.0; MAX_LEVELS];
            for (level, &width) in layout.widths.iter().enumerate() {
                let end = (first + width).min(layout.components);
                let values = &product[first.min(end)..end];
                let integers = &mut integers[..width];
                let (scale, error) = quantise(values, CENTROID_NORM, integers);
                off += error;
                self.factors[level][j] = -2.0 * scale;
                squares[level] = place(
                    integers,
                    scale,
                    &mut self.levels[level][j / LANES * width * LANES..][..width * LANES],
                    &mut self.values[(j / LANES * layout.width() + first) * LANES..]
                        [..width * LANES],
                    j % LANES,
                );
                first += width;
            }
            let norm = norms[j];
            let error = off.sqrt()
                + index.defect * (1.0 + index.defect) * norm
                + rotation_error(&layout, index.defect) * norm
                + TINY;
            self.norms[j] = up(norm).max(seen[j]);
            self.errors[j] = up(error * (1.0 + 1e-9));
            let mut behind = 0.0;
            if !layout.is_whole() {
                let inside = (squares.iter().sum::<f64>().sqrt() * (1.0 - 1e-9) - error).max(0.0);
                behind = (norm * norm - inside * inside).max(0.0);
                outside[j] = up(behind.sqrt());
            }
            for level in (0..MAX_LEVELS).rev() {
                self.tails[level][j] = up(behind.sqrt() * (1.0 + 1e-6));
                behind += squares[level];
            }
            self.squares[j] = (norms[j] * norms[j]) as f32;
        }
        self.measure_gaps(simd, index, &outside);
        true
    }

    fn measure_gaps(&mut self, simd: Simd, index: &IndexView<'_>, outside: &[f32]) {
        let (k, lanes) = (self.k, self.lanes);
        let pairwise = lanes <= PAIRWISE;
        // What rounding coordinates to binary32 may hide.
        let hidden = 4e-7 * self.reach + 1e-18;
        let levels = index.layout.levels();
        let whole = index.layout.width();
        let groups: Vec<&[Lanes]> =
            self.values.as_chunks::<LANES>().0.chunks_exact(whole).collect();
        let mean: Vec<f32> = if pairwise {
            Vec::new()
        } else {
            let sum = |i: usize| groups.iter().flat_map(|group| group[i]).sum::<f32>();
            (0..whole).map(|i| sum(i) / k as f32).collect()
        };
        let points = if pairwise { k } else { 1 };
        let mut point_values = mean;
        let mut end = whole;
        let mut sums = vec![0.0; points * lanes];
        for level in (0..=levels).rev() {
            // First nothing, then one more level at a time from behind.
            let gaps = if level == 0 { &mut self.gaps } else { &mut self.gaps_behind[level - 1] };
            gaps.pairwise = pairwise;
            gaps.values.resize(points * lanes, 0.0);
            if level < levels {
                let first = end - index.layout.widths[level];
                for (point, sums) in sums.chunks_exact_mut(lanes).enumerate() {
                    if pairwise {
                        let lane = point % LANES;
                        point_values.clear();
                        point_values.extend(groups[point / LANES].iter().map(|lanes| lanes[lane]));
                    }
                    for (sums, group) in sums.as_chunks_mut().0.iter_mut().zip(&groups) {
                        add_distances(simd, &group[first..end], &point_values[first..end], sums);
                    }
                }
                end = first;
            }
            for (point, (gaps, sums)) in
                gaps.values.chunks_exact_mut(lanes).zip(sums.chunks_exact(lanes)).enumerate()
            {
                let own = if pairwise { outside[point] } else { 0.0 };
                for ((gap, &sum), &outside) in gaps.iter_mut().zip(sums).zip(outside) {
                    *gap = sum.sqrt() * SUMMING + hidden + (outside + own) * SUMMING;
                }
            }
        }
    }
}

/// Writes a `lane`'s `integers` into its group and its coordinates into `values`, `[coordinate][16]`;
/// returns their squared norm.
fn place(integers: &[i16], scale: f32, group: &mut [i16], values: &mut [f32], lane: usize) -> f64 {
    let mut sum = 0_i64;
    for (i, &q) in integers.iter().enumerate() {
        group[(i / 2 * LANES + lane) * 2 + i % 2] = q;
        values[i * LANES + lane] = scale * f32::from(q);
        sum += i64::from(q) * i64::from(q);
    }
    f64::from(scale) * f64::from(scale) * sum as f64
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

multiversion! {
    /// Adds to `squares` the squared distances of a group's lanes to a `point`.
    fn add_distances = add_distances_body(group: &[Lanes], point: &[f32], squares: &mut Lanes)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_distances_body<const B: usize>(group: &[Lanes], point: &[f32], squares: &mut Lanes) {
    add_squares(group, |i| [point[i]; LANES], squares);
}

multiversion! {
    /// Adds to `squares` the squared distances of each lane of `a` to the same lane of `b`.
    pub(super) fn moved = moved_body(a: &[Lanes], b: &[Lanes], squares: &mut Lanes)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn moved_body<const B: usize>(a: &[Lanes], b: &[Lanes], squares: &mut Lanes) {
    add_squares(a, |i| b[i], squares);
}

/// Adds to `squares` those of the differences between `a` and `b`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_squares(a: &[Lanes], b: impl Fn(usize) -> Lanes, squares: &mut Lanes) {
    // Two sums, to hide the latency of additions. Written out: a loop over both would be
    // vectorised across them, with gathers.
    let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
    for (i, [first, second]) in a.as_chunks::<2>().0.iter().enumerate() {
        let b = [b(2 * i), b(2 * i + 1)];
        for lane in 0..LANES {
            even[lane] += (first[lane] - b[0][lane]) * (first[lane] - b[0][lane]);
        }
        for lane in 0..LANES {
            odd[lane] += (second[lane] - b[1][lane]) * (second[lane] - b[1][lane]);
        }
    }
    for lane in 0..LANES {
        squares[lane] += even[lane] + odd[lane];
    }
}

/// A distance that is no smaller than the root of a sum of [`moved`], for coordinates of at most
/// `reach`.
pub(super) fn distance_from(square: f32, reach: f32) -> f32 {
    square.sqrt() * SUMMING + 4e-7 * reach + 1e-18
}
