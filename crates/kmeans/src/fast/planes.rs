//! Coordinates of centroids, rounded to bytes, and how they are multiplied with rows'.

use super::centroids::{Centroids, Product};
use super::judge::{BLOWN, ROUNDING};
use super::kernel::{CentroidLine, LANES, OfRows, ROWS, Stretch, Taken, Then};
use super::lines::Lines;
use crate::index::{BIAS, IndexView, Layout, MAX_LEVELS, quantise, up};
use crate::simd::Simd;

/// Up to this many lanes, distances are kept for every pair of centroids.
const PAIRWISE: usize = 256;

/// Levels of which centroids' low bytes count even where only rows' high bytes do: most of a
/// centroid lies in the first one, and so does most of its error.
const PRECISE: usize = 1;

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
    /// `|v|²` of every lane.
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
        let all = layout.all_lines();
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

impl Planes {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let layout = index.layout;
        let lanes = k.next_multiple_of(LANES);
        let points = if lanes <= PAIRWISE { k + 1 } else { 1 };
        Self {
            k,
            lanes,
            bytes: Lines::zeros(2 * k * layout.all_lines()),
            high: Products::new(&layout, k, false),
            both: Products::new(&layout, k, true),
            squares: Lines::zeros(lanes),
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
        let all = layout.all_lines();
        let mut line_sums = Vec::with_capacity(2 * all);
        for (j, product) in product.chunks_exact(stride).enumerate() {
            let bytes = &mut self.bytes[2 * all * j..][..2 * all];
            let (mut high, mut low) = bytes.split_at_mut(all);
            let mut factors = [0.0; MAX_LEVELS];
            let mut first = 0;
            let (mut mixed, mut fine, mut coarse, mut inside) = (0.0, 0.0, 0.0, 0.0_f64);
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
        self.measure(simd, centroids);
    }

    /// Measures how far centroids are apart.
    fn measure(&mut self, simd: Simd, centroids: &Centroids) {
        let (lanes, pairs) = (self.lanes, self.points - 1);
        for a in 0..pairs {
            for b in 0..a {
                let apart = centroids.apart(simd, a, b);
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
