//! One look at a few rows: scores, and how far they may be off.

use super::anchors::Anchors;
use super::judge::{self, BLOWN, Ranges, slack_of};
use super::kernel::{self, Off, Part, Products, ROWS, RowLines, SUMS, Source};
use super::movements::Table;
use super::planes::{Depth, Planes};
use super::record::Numbers;
use crate::index::{Facts, IndexView, Layout, Line, MAX_LEVELS};
use crate::simd::{LINE, Simd, multiversion, prefetch};

/// The instruction set, once more: for what is called from inside.
type Token = Simd;

/// Products of up to [`ROWS`] rows with what centroids have moved. They are taken in steps with those of
/// other rows between them, as each has to wait for the one before.
pub(super) struct MovedProducts {
    /// The rows' leading bytes.
    leading: Vec<Line>,
    /// For each group of lanes.
    products: Vec<Products>,
}

impl MovedProducts {
    pub(super) fn new(index: &IndexView<'_>, groups: usize) -> Self {
        Self {
            leading: vec![Line::ZERO; ROWS * index.layout.lines()[0]],
            products: vec![Products::ZERO; groups],
        }
    }

    /// First, takes what is to be multiplied.
    pub(super) fn take(&mut self, simd: Simd, index: &IndexView<'_>, rows: &[u32]) {
        take_leading(simd, index, rows, &mut self.leading);
    }

    /// Second, multiplies it.
    pub(super) fn multiply(&mut self, simd: Simd, table: &Table) {
        let rows = row_lines(&self.leading, self.leading.len() / ROWS);
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
    let mut notes = [Numbers::default(); ROWS];
    for (i, (&row, numbers)) in rows.iter().zip(&mut notes).enumerate() {
        if let Some(&next) = next.get(i) {
            prefetch(index.leading(next as usize));
        }
        *numbers = anchors.record(row).note().numbers();
        ranges.slack[i] = slack_of(numbers.norm * numbers.norm);
        ranges.base[i] = numbers.square;
    }
    let found = ranges.low_of_rows.iter_mut().zip(ranges.high_of_rows.iter_mut());
    for (group, ((low, high), sums)) in found.zip(&moved.products).enumerate() {
        let lanes = &table.lanes[group];
        for (i, (&row, numbers)) in rows.iter().zip(&notes).enumerate() {
            let kept = anchors.record(row).scores(group);
            kernel::range(simd, &sums.0[i], lanes, kept, numbers, (&mut low[i], &mut high[i]));
        }
    }
    judge::turn(simd, &ranges.low_of_rows, &mut ranges.low);
}

multiversion! {
    /// Puts high bytes of the first level of up to [`ROWS`] rows one behind another; those that are missing
    /// stay what they were before.
    fn take_leading =
        take_leading_body(index: &IndexView<'_>, rows: &[u32], leading: &mut [Line])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn take_leading_body<const B: usize>(index: &IndexView<'_>, rows: &[u32], leading: &mut [Line]) {
    let lines = leading.len() / ROWS;
    for (place, &row) in leading.chunks_exact_mut(lines).zip(rows) {
        match (place, index.leading(row as usize)) {
            // As so often; a call would take longer.
            ([first, second], &[a, b]) => (*first, *second) = (a, b),
            (place, lines) => place.copy_from_slice(lines),
        }
    }
}

/// What is looked at of up to [`ROWS`] rows: their bytes lie far apart in the index, so they are put one
/// behind another.
pub(super) struct Tile {
    front: Vec<Line>,
    deep: Vec<Line>,
    low: Vec<Line>,
    /// Sums of their products.
    sums: Box<[Products; SUMS]>,
}

impl Tile {
    pub(super) fn new(index: &IndexView<'_>) -> Self {
        let layout = index.layout;
        let lines = |of_row| vec![Line::ZERO; ROWS * of_row];
        Self {
            front: lines(layout.front_lines()),
            deep: lines(layout.deep_lines()),
            low: lines(layout.low_lines()),
            sums: Box::new([Products::ZERO; SUMS]),
        }
    }

    /// Takes all that is looked at of up to [`ROWS`] rows in this `depth`; those that are missing stay
    /// what they were before.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn take(&mut self, index: &IndexView<'_>, depth: Depth, rows: &[u32]) {
        let layout = index.layout;
        let places = self.front.chunks_exact_mut(layout.front_lines());
        for (place, &row) in places.zip(rows) {
            place.copy_from_slice(index.front(row as usize));
        }
        let places = self.deep.chunks_exact_mut(layout.deep_lines());
        for (place, &row) in places.zip(rows) {
            place.copy_from_slice(index.deep(row as usize));
        }
        if depth == Depth::Fine && layout.low_lines() > 0 {
            let places = self.low.chunks_exact_mut(layout.low_lines());
            for (place, &row) in places.zip(rows) {
                place.copy_from_slice(index.low(row as usize));
            }
        }
    }

    /// All of the rows' bytes, and room for sums.
    fn split(&mut self) -> ([RowLines<'_>; Source::COUNT], &mut [Products; SUMS]) {
        let Self { front, deep, low, sums } = self;
        let lines = [&*front, &*deep, &*low].map(|lines| row_lines(lines, lines.len() / ROWS));
        (lines, sums)
    }
}

/// Lines of rows, so many of each.
fn row_lines(lines: &[Line], of_row: usize) -> RowLines<'_> {
    RowLines { bytes: bytemuck::cast_slice(lines), stride: of_row * LINE, in_order: false }
}

/// Bytes of rows that follow each other in the index, the first of which is `row`.
fn sources<'a>(index: &IndexView<'a>, row: usize) -> [RowLines<'a>; Source::COUNT] {
    let layout = index.layout;
    let (front, deep, low) = (layout.front_lines(), layout.deep_lines(), layout.low_lines());
    [(index.front, front), (index.deep, deep), (index.low, low)]
        .map(|(lines, of_row)| row_lines(&lines[row * of_row..], of_row))
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
    // Ascending rows without a gap need no tile.
    let are_neighbours = rows.len() == ROWS && last == first + ROWS - 1 && rows.is_sorted();
    let (mut sources, sums) = if are_neighbours {
        (sources(index, first), &mut *tile.sums)
    } else {
        tile.take(index, depth, rows);
        tile.split()
    };
    kernel::stay_awake(simd);
    let mut scales = [[0.0; ROWS]; MAX_LEVELS];
    for (i, &row) in rows.iter().enumerate() {
        for (scales, scale) in scales.iter_mut().zip(index.facts(row as usize).scales) {
            scales[i] = scale;
        }
    }
    // The next ones may lie elsewhere, or there are none.
    let go_on = next.last().is_some_and(|&end| end as usize == last + next.len());
    let asked_ahead = are_neighbours && go_on && kernel::asks_ahead(simd);
    for (group, scores) in ranges.low_of_rows.iter_mut().enumerate() {
        // Once for all groups.
        for source in &mut sources {
            source.in_order = asked_ahead && group == 0;
        }
        let group = planes.group(group, depth);
        *scores = [*group.squares; ROWS];
        kernel::add_stretches(simd, &group, &sources, &scales, sums, scores);
    }
    for (i, (&row, &nearest)) in rows.iter().zip(nearest).enumerate() {
        if let Some(&next) = next.get(i) {
            if !are_neighbours {
                index.prefetch(next as usize, depth == Depth::Fine);
            } else if !asked_ahead {
                index.prefetch_in_order(next as usize);
            }
        }
        if i % 4 == 0 {
            kernel::stay_awake(simd);
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
        ranges.slack[i] = slack_of(square) + unknown;
        ranges.base[i] = square + unknown;
        for (error, length) in off.errors.iter().zip(planes.lengths(point)) {
            ranges.base[i] += error * length;
        }
    }
    judge::turn(simd, &ranges.low_of_rows, &mut ranges.low);
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
