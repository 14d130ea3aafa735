//! One look at a few rows: scores, and how far they may be off.

use super::anchors::{Anchors, Table};
use super::judge::{self, BLOWN, LEAST, ROUNDING, Ranges};
use super::kernel::{self, Off, Part, Products, ROWS, RowLines, Source};
use super::planes::{Depth, GroupView, Planes};
use crate::index::{Facts, IndexView, Layout, MAX_LEVELS};
use crate::lines::Lines;
use crate::simd::{LINE, Simd, multiversion, prefetch};

/// The instruction set, once more: for what is called from inside.
type Token = Simd;

/// Products of up to [`ROWS`] rows with what centroids have moved. They are taken in steps with those of
/// other rows between them, as each has to wait for the one before.
pub(super) struct MovedProducts {
    /// The rows' leading bytes, in whole lines for each.
    front: Lines<u8>,
    /// For each group of lanes.
    products: Vec<Products>,
}

impl MovedProducts {
    pub(super) fn new(index: &IndexView<'_>, groups: usize) -> Self {
        Self {
            front: Lines::zeros(ROWS * index.layout.lines()[0] * LINE),
            products: vec![Products::ZERO; groups],
        }
    }

    /// First, takes what is to be multiplied.
    pub(super) fn take(&mut self, simd: Simd, index: &IndexView<'_>, rows: &[u32]) {
        take_front(simd, index, rows, &mut self.front);
    }

    /// Second, multiplies it.
    pub(super) fn multiply(&mut self, simd: Simd, table: &Table) {
        let rows = RowLines { bytes: &self.front, stride: self.front.len() / ROWS };
        for (group, products) in table.groups().zip(&mut self.products) {
            kernel::multiply(simd, &[Part { rows, group }], products);
        }
    }
}

/// What is kept of rows, all of the same iteration, how centroids have moved since, and the products of
/// that with these rows.
pub(super) struct Kept<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) table: &'a Table,
    pub(super) moved: &'a MovedProducts,
}

multiversion! {
    /// Takes the ranges of up to [`ROWS`] rows from what is kept of them. Asks for the leading bytes of the
    /// `next` ones.
    pub(super) fn by_anchors = by_anchors_body(
        token: Token, index: &IndexView<'_>, kept: &Kept<'_>, rows: &[u32], next: &[u32],
        ranges: &mut Ranges,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn by_anchors_body<const B: usize>(
    simd: Token,
    index: &IndexView<'_>,
    &Kept { anchors, table, moved }: &Kept<'_>,
    rows: &[u32],
    next: &[u32],
    ranges: &mut Ranges,
) {
    for (i, &row) in rows.iter().enumerate() {
        if let Some(&next) = next.get(i) {
            prefetch(index.front(next as usize));
        }
        let note = anchors.note(row);
        let found = ranges.low_of_rows.iter_mut().zip(ranges.high_of_rows.iter_mut());
        for (group, ((low, high), sums)) in found.zip(&moved.products).enumerate() {
            let kept = anchors.scores(row, group);
            let (sums, lanes, sharp) = (&sums.0[i], &table.lanes[group], note.sharp[group]);
            kernel::range(simd, sums, lanes, kept, note, sharp, (&mut low[i], &mut high[i]));
        }
        ranges.slack[i] = 2.0 * ROUNDING * BLOWN * note.norm * note.norm + LEAST;
        ranges.base[i] = note.norm * note.norm + note.base;
    }
    judge::turn(simd, ranges);
}

multiversion! {
    /// Puts high bytes of the first level of up to [`ROWS`] rows into `front`, one behind another; those
    /// that are missing stay what they were before.
    fn take_front = take_front_body(index: &IndexView<'_>, rows: &[u32], front: &mut [u8])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn take_front_body<const B: usize>(index: &IndexView<'_>, rows: &[u32], front: &mut [u8]) {
    let stride = front.len() / ROWS;
    for (place, &row) in front.chunks_exact_mut(stride).zip(rows) {
        put(place, index.front(row as usize));
    }
}

/// What is looked at of up to [`ROWS`] rows: their bytes lie far apart in the index, so they are put one
/// behind another.
pub(super) struct Tile {
    /// High bytes of the first level, in whole lines for each row; and so on.
    front: Lines<u8>,
    deep: Lines<u8>,
    low: Lines<u8>,
}

impl Tile {
    pub(super) fn new(index: &IndexView<'_>) -> Self {
        let layout = index.layout;
        let bytes = |lines| Lines::zeros(ROWS * lines * LINE);
        Self {
            front: bytes(layout.lines()[0]),
            deep: bytes(layout.deep_lines()),
            low: bytes(layout.low_lines()),
        }
    }

    /// Takes all that is looked at of up to [`ROWS`] rows in this `depth`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn take<const B: usize>(&mut self, index: &IndexView<'_>, depth: Depth, rows: &[u32]) {
        take_front_body::<B>(index, rows, &mut self.front);
        let (deep, low) = (index.layout.deep_lines() * LINE, index.layout.low_lines() * LINE);
        for (i, &row) in rows.iter().enumerate() {
            put(&mut self.deep[i * deep..], bytemuck::cast_slice(index.deep(row as usize)));
            if depth == Depth::Fine {
                put(&mut self.low[i * low..], bytemuck::cast_slice(index.low(row as usize)));
            }
        }
    }

    /// All of the rows' bytes.
    fn sources(&self) -> [RowLines<'_>; Source::COUNT] {
        [&self.front, &self.deep, &self.low]
            .map(|bytes| RowLines { bytes, stride: bytes.len() / ROWS })
    }
}

/// Bytes of rows that follow each other in the index, the first of which is `row`.
fn sources<'a>(index: &IndexView<'a>, row: usize) -> [RowLines<'a>; Source::COUNT] {
    let layout = index.layout;
    let (front, deep, low) = (layout.widths[0], layout.deep_lines(), layout.low_lines());
    [
        RowLines { bytes: &index.front[row * front..], stride: front },
        RowLines { bytes: bytemuck::cast_slice(&index.deep[row * deep..]), stride: deep * LINE },
        RowLines { bytes: bytemuck::cast_slice(&index.low[row * low..]), stride: low * LINE },
    ]
}

/// Puts `bytes` where `place` begins, in whole lines; where they do not fill the last, centroids have
/// zeros.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn put(place: &mut [u8], bytes: &[u8]) {
    let (lines, rest) = bytes.as_chunks::<LINE>();
    for (place, line) in place.as_chunks_mut::<LINE>().0.iter_mut().zip(lines) {
        *place = *line;
    }
    if !rest.is_empty() {
        place[lines.len() * LINE..][..rest.len()].copy_from_slice(rest);
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
    /// Takes the ranges of up to [`ROWS`] rows from all of their coordinates.
    pub(super) fn by_planes = by_planes_body(
        token: Token, index: &IndexView<'_>, planes: &Planes, depth: Depth, batch: &Batch<'_>,
        tile: &mut Tile, ranges: &mut Ranges,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn by_planes_body<const B: usize>(
    simd: Token,
    index: &IndexView<'_>,
    planes: &Planes,
    depth: Depth,
    &Batch { rows, nearest, next }: &Batch<'_>,
    tile: &mut Tile,
    ranges: &mut Ranges,
) {
    let (first, last) = (rows[0] as usize, rows[rows.len() - 1] as usize);
    // Ascending rows without a gap need no tile, where their lines are whole.
    let are_neighbours = rows.len() == ROWS && last == first + ROWS - 1 && rows.is_sorted();
    let sources = if are_neighbours && index.layout.widths[0].is_multiple_of(LINE) {
        sources(index, first)
    } else {
        tile.take::<B>(index, depth, rows);
        tile.sources()
    };
    let low_levels = match depth {
        Depth::High => 0,
        Depth::Rough => 1,
        Depth::Fine => MAX_LEVELS,
    };
    let mut scales = [[0.0; ROWS]; MAX_LEVELS];
    for (i, &row) in rows.iter().enumerate() {
        for (scales, scale) in scales.iter_mut().zip(index.facts(row as usize).scales) {
            scales[i] = scale;
        }
    }
    for (group, scores) in ranges.low_of_rows.iter_mut().enumerate() {
        let GroupView { bytes, stretches, taken, squares } = planes.group(group, depth);
        *scores = [*squares; ROWS];
        kernel::add_stretches(simd, stretches, &sources, bytes, taken, &scales, scores);
    }
    for (i, (&row, &nearest)) in rows.iter().zip(nearest).enumerate() {
        if let Some(&next) = next.get(i) {
            index.prefetch(next as usize, low_levels);
        }
        let facts = index.facts(row as usize);
        let point = planes.reference(nearest);
        let off = off(facts, &index.layout, depth);
        let scores = ranges.low_of_rows.iter_mut().zip(ranges.high_of_rows.iter_mut());
        let bounds = planes.parts(depth).iter().zip(planes.apart(point));
        for ((low, high), (parts, apart)) in scores.zip(bounds) {
            kernel::spread(simd, &mut low[i], parts, apart, &off, &mut high[i]);
        }
        let square = facts.norm * facts.norm;
        let unknown = off.outside * planes.length_outside(point);
        ranges.slack[i] = 2.0 * ROUNDING * BLOWN * square + LEAST + unknown;
        ranges.base[i] = square + unknown;
        for (error, length) in off.errors.iter().zip(planes.lengths(point)) {
            ranges.base[i] += error * length;
        }
    }
    judge::turn(simd, ranges);
}

/// What coordinates of a row with these `facts` are off by in this `depth`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn off(facts: &Facts, layout: &Layout, depth: Depth) -> Off {
    // What a score can be off by where a factor of a product is off by `norm`, times the other's.
    let by = |norm: f32| 2.0 * BLOWN * norm;
    let mut off = Off {
        norms: facts.norms.map(by),
        errors: facts.errors.map(by),
        lows: [0.0; MAX_LEVELS],
        outside: by(facts.outside),
    };
    if depth == Depth::High {
        off.errors[0] = by(facts.front_error);
        return off;
    }
    // Low bytes are what high ones are off by, but for what both are.
    off.lows[0] = by(facts.front_error + facts.errors[0]);
    if depth == Depth::Fine {
        for level in 1..MAX_LEVELS {
            let fine = facts.fine_error(level, layout.widths[level]);
            off.errors[level] = by(fine);
            off.lows[level] = by(facts.errors[level] + fine);
        }
    }
    off
}
