//! Scores of rows that are coded ([`crate::coded`]), from their codes as they are.
//!
//! A code `u` of a column stands for `(u - mean) / scale`, but for two roundings, so with the mean `m` of all
//! rows, a row is `w_i = unit ((u_i - mean_i) / scale_i - m_i)`. With `a_i = unit / scale_i` and
//! `c_i = mean_i + m_i scale_i`, its product with a centroid `v` is
//!
//! ```text
//! w·v  =  sum (u_i - c_i) g_i,    g_i  =  a_i v_i
//! ```
//!
//! Codes are bytes. So are the `g_i` once they are rounded to multiples `q_i` of a scale `s`, in two bytes, or
//! three for a closer look; with `g_i = s q_i + r_i`,
//!
//! ```text
//! w·v  =  s (sum u_i q_i - z)  +  sum (u_i - c_i) r_i,    z  =  sum c_i q_i
//! ```
//!
//! The first sum is one of integers, which [`super::kernel`] multiplies as it does coordinates. It starts
//! with `z`, rounded to an integer; what that leaves is the centroid's own. As `u_i - c_i = w_i / a_i`, the
//! last sum is at most `|w| |r / a|`. No basis is needed, and a score is a hundred times closer than one of
//! as many bytes of coordinates.
//!
//! # Rounding
//!
//! A value is off by less than a relative `2^-22` of itself, and values are `w / unit + m`. Each `v_i`, `a_i`
//! and `g_i` is rounded to binary32, and so is what is left for the last byte, which makes less than `2^-20`
//! of `|w| |v|`, and `2^-22` of `unit |m| |v|`. `z` is added up in binary64, of `d` terms below
//! `2^8 * 2^15`, of which `d² 2^23 2^-52` is more than the error, in units of `s`. A sum of lower bytes is below
//! `d 2^15` units, which is added to numbers that are no larger than [`super::judge`] says: four roundings
//! of that, and of the highest as far as it is larger by as much, are less than `d 2^15 2^-20`.

use super::centroids::{Centroids, Sizes, UNDERFLOW};
use super::judge::{BLOWN, ROUNDING, Ranges, slack_of, turn};
use super::kernel::{self, LANES, Lanes, Plane, Products, ROWS, SparseBatch, Taken};
use super::level::slack;
use super::looks::OffBy;
use super::planes::Depth;
use super::weigh::Batch;
use crate::data::Data;
use crate::index::{BIAS, IndexView, LARGEST, up};
use crate::integers::{FOUR, Lanes64, ROUNDER32};
use crate::lines::Lines;
use crate::simd::{Simd, multiversion};
use crate::sparse::{SparseRow, SparseRows};

/// Bytes of a multiple: in a rough look the first two.
pub(super) const BYTES: usize = 3;

/// The instruction set, once more: for what is called from inside.
type Token = Simd;

/// Centroids as what codes are multiplied with.
pub(super) struct Codes {
    k: usize,
    /// Columns in the order of their fours. Of each: `a`, its inverse, and `c`.
    order: Vec<usize>,
    factors: Vec<f32>,
    inverses: Vec<f32>,
    centers: Vec<f64>,
    /// `g` of a group of centroids.
    values: Lines<Lanes>,
    /// Their bytes, `[group][BYTES]`.
    bytes: Lines<Plane>,
    /// How they are multiplied, by [`Depth`].
    sights: [Sight; Depth::ALL.len()],
}

/// What scores are made of in some depth.
struct Sight {
    /// How many bytes count.
    bytes: usize,
    /// Of each group, for each of them.
    taken: Vec<Taken>,
    /// What scores begin with, for each group.
    squares: Lines<Lanes>,
    bounds: Vec<Bounds>,
}

/// At most what scores of a group are off by:
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Bounds {
    /// for each unit of a row's norm,
    of_norm: Lanes,
    /// and besides, as far as that is the centroid's own.
    rounding: Lanes,
}

impl Codes {
    /// For `k` centroids, of rows that are kept without zeros.
    pub(super) fn new(data: Data<'_>, index: &IndexView<'_>, k: usize) -> Option<Self> {
        let d = index.layout.d;
        let (coded, sparse) = (data.coded?, index.sparse?);
        let [means, scales, _] = coded.columns();
        let (natural, mut order): (Vec<usize>, Vec<usize>) = ((0..d).collect(), Vec::new());
        sparse.fours().arrange(&natural, &mut order);
        let scales = || order.iter().map(|&column| f64::from(scales[column]));
        let inverses = scales().map(|scale| (scale / index.unit) as f32);
        let factors = scales().map(|scale| (index.unit / scale) as f32);
        let center = |(&column, scale): (&usize, f64)| {
            f64::from(means[column]) + data.center[column] * scale
        };
        let centers: Vec<f64> = order.iter().zip(scales()).map(center).collect();
        let (factors, inverses): (Vec<f32>, Vec<f32>) = (factors.collect(), inverses.collect());
        let are_normal = factors.iter().chain(&inverses).all(|x| x.is_normal());
        let groups = k.div_ceil(LANES);
        are_normal.then(|| Self {
            k,
            factors,
            inverses,
            centers,
            order,
            values: Lines::zeros(d),
            bytes: Lines::zeros(groups * BYTES),
            sights: Depth::ALL.map(|depth| Sight::new(groups, depth)),
        })
    }

    /// At most what scores with each centroid are off by in this `depth`, for rows of norms up to 1.
    pub(super) fn off_by(&self, depth: Depth) -> impl Iterator<Item = OffBy> {
        let bounds = self.sights[depth as usize].bounds.iter();
        let lanes = bounds.flat_map(|Bounds { of_norm, rounding }| of_norm.iter().zip(rounding));
        lanes.take(self.k).map(|(of_norm, rounding)| OffBy {
            // As the square of a norm is no larger.
            of_size: (of_norm + slack_of(1.0)) * BLOWN,
            besides: (rounding + slack_of(0.0)) * BLOWN,
        })
    }

    /// Takes `centroids`.
    pub(super) fn set(&mut self, simd: Simd, centroids: &Centroids, unit: f64) {
        let d = self.factors.len();
        for (group, bytes) in self.bytes.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
            let lanes = group * LANES..self.k.min((group + 1) * LANES);
            for (lane, j) in lanes.enumerate() {
                let (centroid, _) = centroids.scaled(j);
                let columns = self.order.iter().zip(&self.factors);
                for (values, (&column, factor)) in self.values.iter_mut().zip(columns) {
                    values[lane] = centroid[column] * factor;
                }
            }
            let mut rounded = Rounded::default();
            to_bytes(simd, &self.values[..d], &self.inverses, &self.centers, bytes, &mut rounded);
            let center = centroids.center_norm * unit;
            for depth in Depth::ALL {
                let sight = &mut self.sights[depth as usize];
                sight.set(group, depth, &rounded, &centroids.sizes[group], center, d);
            }
        }
    }
}

/// Bytes of a multiple that count.
fn bytes_in(depth: Depth) -> usize {
    match depth {
        Depth::Rough => 2,
        Depth::Fine => BYTES,
    }
}

impl Sight {
    fn new(groups: usize, depth: Depth) -> Self {
        let bytes = bytes_in(depth);
        Self {
            bytes,
            taken: vec![Taken::default(); groups * bytes],
            squares: Lines::zeros(groups),
            bounds: vec![Bounds::default(); groups],
        }
    }

    /// Takes a group of centroids of these `sizes`, in `d` columns; `center` is the norm of the mean, in
    /// units.
    fn set(
        &mut self,
        group: usize,
        depth: Depth,
        rounded: &Rounded,
        sizes: &Sizes,
        center: f64,
        d: usize,
    ) {
        let taken = &mut self.taken[group * self.bytes..][..self.bytes];
        let by = |off: f64| up(2.0 * f64::from(BLOWN) * (off + UNDERFLOW));
        let terms = d as f64;
        for lane in 0..LANES {
            let scale = f64::from(rounded.scales[lane]);
            let (z, unit) = match depth {
                Depth::Rough => (rounded.centers[lane], scale),
                Depth::Fine => {
                    (rounded.centers[lane] * 256.0 + rounded.last_centers[lane], scale / 256.0)
                }
            };
            let whole = z.round();
            let mut left = whole as i64;
            let mut factor = -2.0 * unit;
            for taken in taken.iter_mut().skip(1).rev() {
                taken.start[lane] = -((left & 0xff) as i32);
                taken.factors[lane] = factor as f32;
                left >>= 8;
                factor *= 256.0;
            }
            taken[0].start[lane] = -(left as i32);
            taken[0].factors[lane] = factor as f32;
            let norm = sizes.norms[lane];
            self.squares[group][lane] = (sizes.squares[lane] - 2.0 * unit * (whole - z)) as f32;
            let square = f64::from(rounded.square_errors[depth as usize][lane]);
            let error = square.sqrt() * slack(d) + norm / f64::from(1 << 20);
            let of_sums = scale * (terms * terms / f64::from(1 << 29) + terms / 32.0);
            let of_center = center * norm / f64::from(1 << 22);
            let bounds = &mut self.bounds[group];
            bounds.of_norm[lane] = by(error);
            bounds.rounding[lane] = by(of_center + of_sums + f64::from(ROUNDING) * norm * norm);
        }
    }
}

/// Centroids of a group, rounded.
#[derive(Debug, Default)]
struct Rounded {
    /// What two bytes are multiples of; the third, of a 256th of it.
    scales: Lanes,
    /// The squared norms of `r / a`, by depth.
    square_errors: [Lanes; Depth::ALL.len()],
    /// Sums of `c` times two bytes, and times the last.
    centers: Lanes64,
    last_centers: Lanes64,
}

multiversion! {
    /// `values` as multiples of one scale for each lane, in [`BYTES`] planes of `bytes`.
    fn to_bytes = to_bytes_body(
        values: &[Lanes], inverses: &[f32], centers: &[f64], bytes: &mut [Plane; BYTES],
        found: &mut Rounded,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_bytes_body<const B: usize>(
    values: &[Lanes],
    inverses: &[f32],
    centers: &[f64],
    [high, low, last]: &mut [Plane; BYTES],
    found: &mut Rounded,
) {
    let mut largest = [0.0_f32; LANES];
    for value in values {
        for lane in 0..LANES {
            let size = value[lane].abs();
            largest[lane] = if size > largest[lane] { size } else { largest[lane] };
        }
    }
    let (mut scales, mut inverse_scales) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for lane in 0..LANES {
        // A little larger, so that none is rounded to more than the largest.
        let scale = largest[lane] / LARGEST * (1.0 + 4.0 * f32::EPSILON);
        // What is too small to be divided by is left out as a whole.
        let counts = scale >= f32::MIN_POSITIVE * 65536.0;
        scales[lane] = if counts { scale } else { 0.0 };
        inverse_scales[lane] = if counts { 1.0 / scale } else { 0.0 };
    }
    let (mut errors, mut fine_errors) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (mut sums, mut last_sums) = ([0.0_f64; LANES], [0.0_f64; LANES]);
    let columns = inverses.chunks(FOUR).zip(centers.chunks(FOUR));
    let fours = high.iter_mut().zip(low.iter_mut().zip(last));
    for ((values, (inverses, centers)), (high, (low, last))) in
        values.chunks(FOUR).zip(columns).zip(fours)
    {
        let (mut highs, mut lows, mut lasts) = ([0_u32; LANES], [0_u32; LANES], [0_u32; LANES]);
        for (value, (&inverse, &center)) in values.iter().zip(inverses.iter().zip(centers)).rev() {
            for lane in 0..LANES {
                let rounded = value[lane] * inverse_scales[lane] + ROUNDER32;
                let q = rounded.to_bits().cast_signed() - ROUNDER32.to_bits().cast_signed();
                let coarse = (q + BIAS) >> 8;
                let off = value[lane] - scales[lane] * (rounded - ROUNDER32);
                let share = off * (256.0 * inverse_scales[lane]);
                let share = if share < 127.0 { share } else { 127.0 };
                let last = share + ROUNDER32;
                let fine_off = off - scales[lane] * (1.0 / 256.0) * (last - ROUNDER32);
                let last_q = last.to_bits().cast_signed() - ROUNDER32.to_bits().cast_signed();
                errors[lane] += (off * inverse) * (off * inverse);
                fine_errors[lane] += (fine_off * inverse) * (fine_off * inverse);
                sums[lane] += center * f64::from(q);
                last_sums[lane] += center * f64::from(last_q);
                highs[lane] = highs[lane] << 8 | coarse.cast_unsigned() & 0xff;
                lows[lane] = lows[lane] << 8 | q.cast_unsigned() & 0xff;
                lasts[lane] = lasts[lane] << 8 | last_q.cast_unsigned() & 0xff;
            }
        }
        *high = bytemuck::cast(highs);
        *low = bytemuck::cast(lows);
        *last = bytemuck::cast(lasts);
    }
    *found = Rounded {
        scales,
        square_errors: [errors, fine_errors],
        centers: sums,
        last_centers: last_sums,
    };
}

/// Scores of up to [`ROWS`] rows from their codes, `[group][row]`. Asks for the next ones meanwhile.
pub(super) fn by_codes(
    simd: Simd,
    sparse: &SparseRows<'_>,
    codes: &Codes,
    depth: Depth,
    &Batch { rows, next, .. }: &Batch<'_>,
    sums: &mut [Products; BYTES],
    scores: &mut [[Lanes; ROWS]],
) {
    let Sight { bytes, taken, squares, .. } = &codes.sights[depth as usize];
    let mut batch = SparseBatch { rows: [SparseRow::EMPTY; ROWS], ahead: [&[]; ROWS] };
    for (of_batch, &row) in batch.rows.iter_mut().zip(rows) {
        *of_batch = sparse.row(row as usize);
    }
    for (of_batch, &next) in batch.ahead.iter_mut().zip(next) {
        *of_batch = sparse.lines(next as usize);
    }
    let sums = &mut sums[..*bytes];
    let planes = codes.bytes.as_chunks::<BYTES>().0;
    for (group, (planes, scores)) in planes.iter().zip(scores).enumerate() {
        kernel::multiply_sparse(simd, &batch, &planes[..*bytes], sums);
        *scores = [squares[group]; ROWS];
        kernel::take(simd, sums, &taken[group * bytes..][..*bytes], &[[1.0; ROWS]], scores);
        // Once for all groups.
        batch.ahead = [&[]; ROWS];
    }
}

multiversion! {
    /// Makes the lowest and highest of the scores of `rows`, which are in place of the lowest.
    pub(super) fn spread = spread_body(
        token: Token, index: &IndexView<'_>, codes: &Codes, depth: Depth, rows: &[u32],
        ranges: &mut Ranges,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn spread_body<const B: usize>(
    simd: Token,
    index: &IndexView<'_>,
    codes: &Codes,
    depth: Depth,
    rows: &[u32],
    ranges: &mut Ranges,
) {
    let bounds = &codes.sights[depth as usize].bounds;
    for (i, &row) in rows.iter().enumerate() {
        let norm = index.facts(row as usize).norm;
        let scores = ranges.low_of_rows.iter_mut().zip(ranges.high_of_rows.iter_mut());
        for ((low, high), bounds) in scores.zip(bounds) {
            let scores = low[i];
            let (mut lows, mut highs) = ([0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                let off = bounds.rounding[lane] + norm * bounds.of_norm[lane];
                lows[lane] = scores[lane] - off;
                highs[lane] = scores[lane] + off;
            }
            (low[i], high[i]) = (lows, highs);
        }
        let square = norm * norm;
        ranges.slack[i] = slack_of(square);
        ranges.base[i] = square;
    }
    turn(simd, &ranges.low_of_rows, &mut ranges.low);
}
