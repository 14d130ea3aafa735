//! One look at a few rows: scores, and how far they may be off.

use super::anchors::Anchors;
use super::judge::{self, BLOWN, LEAST, ROUNDING, Ranges};
use super::kernel::{self, OfRows, ROWS, RowLines};
use super::lines::Lines;
use super::planes::{Planes, Reference};
use crate::index::{IndexView, MAX_LEVELS};
use crate::simd::{LINE, Simd, multiversion};

/// The instruction set, once more: for what is called from inside.
type Token = Simd;

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
        let bytes = index.front(row as usize);
        for group in 0..groups {
            let (moved, start) = table.group(group);
            let products = kernel::multiply(simd, bytes, moved, start);
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

/// What is looked at of up to [`ROWS`] rows, side by side: it lies far apart in the index.
pub(super) struct Tile {
    /// High bytes of all levels, and low ones, each level in whole lines.
    bytes: Lines<RowLines>,
    /// As in [`crate::index::Facts`], those of all rows side by side.
    scales: [OfRows; MAX_LEVELS],
    norm: OfRows,
    error: OfRows,
    fine_error: OfRows,
    outside: OfRows,
}

impl Tile {
    pub(super) fn new(index: &IndexView<'_>) -> Self {
        let lines = index.layout.all_lines();
        Self {
            bytes: Lines::zeros(2 * lines),
            scales: [[0.0; ROWS]; MAX_LEVELS],
            norm: [0.0; ROWS],
            error: [0.0; ROWS],
            fine_error: [0.0; ROWS],
            outside: [0.0; ROWS],
        }
    }

    /// Takes `rows`, of which the last stands in for those that are missing.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn take(&mut self, index: &IndexView<'_>, bytes: Bytes, rows: &[u32]) {
        let all = self.bytes.len() / 2;
        let (high, low) = self.bytes.split_at_mut(all);
        let (front, deep) = high.split_at_mut(index.layout.lines()[0]);
        for i in 0..ROWS {
            let row = rows[i.min(rows.len() - 1)] as usize;
            put(front, i, index.front(row));
            for (line, bytes) in deep.iter_mut().zip(index.deep(row)) {
                line[i] = bytes.0;
            }
            if bytes == Bytes::Both {
                put(low, i, index.low(row));
            }
            let facts = index.facts(row);
            for (scales, scale) in self.scales.iter_mut().zip(facts.scales) {
                scales[i] = scale;
            }
            self.norm[i] = facts.norm;
            self.error[i] = facts.error;
            self.fine_error[i] = facts.fine_error;
            self.outside[i] = facts.outside;
        }
    }
}

/// Puts the bytes of row `i` into its place in `lines`; where they do not fill the last, centroids have
/// zeros.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn put(lines: &mut [RowLines], i: usize, bytes: &[u8]) {
    for (line, bytes) in lines.iter_mut().zip(bytes.chunks(LINE)) {
        match bytes.as_array::<LINE>() {
            Some(bytes) => line[i] = *bytes,
            None => line[i][..bytes.len()].copy_from_slice(bytes),
        }
    }
}

/// Up to [`ROWS`] rows that are looked at together.
pub(super) struct Batch<'a> {
    pub(super) rows: &'a [u32],
    /// The centroids to measure their errors from, by preference those that are nearest.
    pub(super) nearest: &'a [u32],
    /// Rows to ask for meanwhile, as they are looked at next.
    pub(super) next: &'a [u32],
}

multiversion! {
    /// Takes the ranges of up to [`ROWS`] rows from all of their coordinates, but for
    /// [`Ranges::low_of_rows`].
    pub(super) fn by_planes = by_planes_body(
        token: Token, index: &IndexView<'_>, planes: &Planes, bytes: Bytes, batch: &Batch<'_>,
        tile: &mut Tile, ranges: &mut Ranges,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn by_planes_body<const B: usize>(
    simd: Token,
    index: &IndexView<'_>,
    planes: &Planes,
    bytes: Bytes,
    &Batch { rows, nearest, next }: &Batch<'_>,
    tile: &mut Tile,
    ranges: &mut Ranges,
) {
    tile.take(index, bytes, rows);
    let points: [Reference; ROWS] =
        std::array::from_fn(|i| planes.reference(nearest[i.min(rows.len() - 1)]));
    let both = bytes == Bytes::Both;
    let (error, errors) =
        if both { (&tile.fine_error, &planes.fine_errors) } else { (&tile.error, &planes.errors) };
    let share = next.len().div_ceil(planes.k);
    let products = planes.products(both);
    let is_whole = index.layout.is_whole();
    let (lows, highs) = (ranges.low.as_flattened_mut(), ranges.high.as_flattened_mut());
    for (j, (low, high)) in lows.iter_mut().zip(highs).enumerate().take(planes.k) {
        for &row in next.iter().skip(j * share).take(share) {
            index.prefetch(row as usize, both);
        }
        let mut score = [planes.squares[j]; ROWS];
        let (centroid, sums) = (planes.bytes(j), products.sums(j, planes.k));
        let stretches = &products.stretches;
        let scales = &tile.scales;
        kernel::add_stretches(simd, stretches, &tile.bytes, centroid, sums, scales, &mut score);
        let apart = planes.apart(&points, j);
        // Low bytes are what high ones are off by, but for what both are.
        let rest = if both { planes.coarse_errors[j] + planes.fine_errors[j] } else { 0.0 };
        let outside = if is_whole { 0.0 } else { planes.outside[j] };
        for i in 0..ROWS {
            let mut bound = planes.rounding[j];
            bound += by(tile.norm[i]) * errors[j];
            bound += by(error[i]) * apart[i];
            bound += by(tile.error[i] + tile.fine_error[i]) * rest;
            bound += by(tile.outside[i]) * outside;
            low[i] = score[i] - bound;
            high[i] = score[i] + bound;
        }
    }
    for (i, &point) in points.iter().enumerate() {
        let square = tile.norm[i] * tile.norm[i];
        let unknown = by(tile.outside[i]) * planes.length_outside(point);
        ranges.slack[i] = 2.0 * ROUNDING * BLOWN * square + LEAST + unknown;
        ranges.base[i] = square + (by(error[i]) * planes.length(point) + unknown);
    }
}

/// What a score can be off by where a factor of a product is off by `norm`, times the other's.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn by(norm: f32) -> f32 {
    2.0 * BLOWN * norm
}
