//! One look at a few rows: scores, and how far they may be off.

use super::anchors::Anchors;
use super::judge::{self, BLOWN, LEAST, ROUNDING, Ranges};
use super::kernel::{self, LANES, Products, ROWS};
use super::lines::Lines;
use super::project::{Lanes, PRECISE, Planes};
use crate::index::IndexView;
use crate::simd::{Simd, multiversion};

/// The instruction set, once more: for what is called from inside.
type Token = Simd;

/// Room for scores of [`ROWS`] rows.
pub(super) struct Scores {
    /// `[group][row][lane]`.
    values: Lines<[Lanes; ROWS]>,
}

impl Scores {
    pub(super) fn new(lanes: usize) -> Self {
        Self { values: Lines::zeros(lanes / LANES) }
    }
}

multiversion! {
    /// Takes the ranges of up to [`ROWS`] rows from what is kept of them.
    pub(super) fn by_anchors = by_anchors_body(
        token: Token, index: &IndexView<'_>, anchors: &Anchors, rows: &[u32], ranges: &mut Ranges,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn by_anchors_body<const B: usize>(
    simd: Token,
    index: &IndexView<'_>,
    anchors: &Anchors,
    rows: &[u32],
    ranges: &mut Ranges,
) {
    let groups = ranges.low.len();
    for (i, &row) in rows.iter().enumerate() {
        let (note, table) = anchors.note(row);
        let bytes = index.high(row as usize, 0);
        for group in 0..groups {
            let (moved, start) = table.group(group);
            let products = kernel::multiply_one(simd, bytes, moved, start);
            let (low, high) = kernel::range(
                simd,
                &products,
                &table.lanes[group],
                anchors.scores(row, group),
                note,
                note.sharp[group],
            );
            ranges.low_of_rows[group][i] = low;
            ranges.high[group][i] = high;
        }
        ranges.slack[i] = 2.0 * ROUNDING * BLOWN * note.norm * note.norm + LEAST;
        ranges.base[i] = note.norm * note.norm + note.base;
    }
    judge::turn(simd, ranges);
}

/// Which bytes are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Rows' high ones; centroids' low ones too in the leading levels.
    High,
    /// All, but for low ones with low ones.
    Both,
}

/// The coordinates of [`ROWS`] rows in a level.
struct Coordinates<'a> {
    high: [&'a [u8]; ROWS],
    low: [&'a [u8]; ROWS],
    /// What high and low bytes are multiples of.
    scales: [[f32; ROWS]; 2],
}

impl<'a> Coordinates<'a> {
    /// Of `rows`, of which the last stands in for those that are missing.
    // Wide registers would gather what lies far apart, which takes longer.
    #[inline(never)]
    fn of(index: &IndexView<'a>, level: usize, rows: &[u32]) -> Self {
        let mut found = Self { high: [&[]; ROWS], low: [&[]; ROWS], scales: [[0.0; ROWS]; 2] };
        for i in 0..ROWS {
            let row = rows[i.min(rows.len() - 1)] as usize;
            found.high[i] = index.high(row, level);
            found.low[i] = index.low(row, level);
            found.scales[0][i] = index.facts(row).scales[level];
            found.scales[1][i] = found.scales[0][i] / 256.0;
        }
        found
    }
}

multiversion! {
    /// Takes the ranges of up to [`ROWS`] rows from all of their coordinates, with errors measured
    /// from the centroids that rows are `nearest` to.
    pub(super) fn by_planes = by_planes_body(
        token: Token, index: &IndexView<'_>, planes: &Planes, bytes: Bytes, rows: &[u32],
        nearest: &[u32], scores: &mut Scores, ranges: &mut Ranges,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
#[expect(clippy::too_many_arguments, reason = "what is multiplied, and where it goes")]
fn by_planes_body<const B: usize>(
    simd: Token,
    index: &IndexView<'_>,
    planes: &Planes,
    bytes: Bytes,
    rows: &[u32],
    nearest: &[u32],
    scores: &mut Scores,
    ranges: &mut Ranges,
) {
    let groups = planes.lanes / LANES;
    for (group, scores) in scores.values.iter_mut().enumerate() {
        *scores = [planes.squares.as_chunks::<LANES>().0[group]; ROWS];
    }
    for level in 0..index.layout.levels() {
        let coordinates = Coordinates::of(index, level, rows);
        let Coordinates { high, low, scales } = &coordinates;
        let length = index.layout.widths[level] * LANES;
        for (group, scores) in scores.values.iter_mut().enumerate() {
            let factors = &planes.factors[level].as_chunks::<LANES>().0[group];
            let [high_plane, low_plane] = [&planes.high[level], &planes.low[level]];
            let with_low = level < PRECISE || bytes == Bytes::Both;
            let products = [
                (high, high_plane, &scales[0], true),
                (high, low_plane, &scales[1], with_low),
                (low, high_plane, &scales[1], bytes == Bytes::Both),
            ];
            for (rows, plane, scales, _) in products.into_iter().filter(|&(.., counts)| counts) {
                let mut found: Products = [[0; LANES]; ROWS];
                let centroids = &plane.bytes[group * length..][..length];
                kernel::multiply(simd, rows, centroids, &plane.start[group], &mut found);
                kernel::add_products(simd, &found, scales, factors, scores);
            }
        }
    }
    let is_whole = index.layout.is_whole();
    let errors = if bytes == Bytes::High { &planes.errors } else { &planes.fine_errors };
    for (i, (&row, &nearest)) in rows.iter().zip(nearest).enumerate() {
        let point = planes.reference(nearest);
        let facts = index.facts(row as usize);
        let error = if bytes == Bytes::High { facts.error } else { facts.fine_error };
        let square = facts.norm * facts.norm;
        let mut common = by(error) * planes.length(point);
        let mut slack = 2.0 * ROUNDING * BLOWN * square + LEAST;
        if !is_whole {
            let unknown = by(facts.outside) * planes.length_outside(point);
            slack += unknown;
            common += unknown;
        }
        for group in 0..groups {
            let mut bound = planes.rounding.as_chunks::<LANES>().0[group];
            add(&mut bound, by(facts.norm), errors, group);
            add(&mut bound, by(error), planes.apart(point), group);
            if bytes == Bytes::Both {
                // Low bytes are what high ones are off by, but for what both are.
                let low = by(facts.error + facts.fine_error);
                add(&mut bound, low, &planes.coarse_errors, group);
                add(&mut bound, low, &planes.fine_errors, group);
            }
            if !is_whole {
                add(&mut bound, by(facts.outside), &planes.outside, group);
            }
            let score = &scores.values[group][i];
            let (mut low, mut high) = ([0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                low[lane] = score[lane] - bound[lane];
                high[lane] = score[lane] + bound[lane];
            }
            ranges.low_of_rows[group][i] = low;
            ranges.high[group][i] = high;
        }
        ranges.slack[i] = slack;
        ranges.base[i] = square + common;
    }
    judge::turn(simd, ranges);
}

/// What a score can be off by where a factor of a product is off by `norm`, times the other's.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn by(norm: f32) -> f32 {
    2.0 * BLOWN * norm
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add(sums: &mut Lanes, factor: f32, values: &[f32], group: usize) {
    let values = &values.as_chunks::<LANES>().0[group];
    for lane in 0..LANES {
        sums[lane] += factor * values[lane];
    }
}
