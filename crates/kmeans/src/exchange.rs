//! Rows that go from one sum to another, when their labels change.

use crate::exact_sum::{ExactSums, cut, cut_into};
use crate::rows::{RowIndex, Rows};
use crate::simd::{Simd, multiversion, prefetch};

/// Rows of fewer columns are added up faster than they are sorted.
const WIDE: usize = 64;

/// Columns that are added up at a time.
const TILE: usize = 256;

/// Rows between asking for values and using them.
pub(crate) const AHEAD: usize = 6;

/// A row that comes to a sum, from another or from nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) row: u32,
    /// [`Self::NOWHERE`] where it is in no sum yet.
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Change {
    /// No sum.
    pub(crate) const NOWHERE: u32 = u32::MAX;

    /// Sorts `changes` by where rows come from and go to, so that few sums are in use at a time; those that go
    /// one way stay in their order.
    pub(crate) fn sort(changes: &mut [Self]) {
        // Of a single number, as that is compared faster than two.
        changes.sort_by_key(|&Self { from, to, .. }| u64::from(from) << 32 | u64::from(to));
    }
}

impl ExactSums {
    /// Takes rows out of sums and adds them to others. Sorts `changes` of wide rows; those that go one way
    /// are added up first, some columns at a time.
    pub(crate) fn exchange_all(&mut self, simd: Simd, rows: Rows<'_>, changes: &mut [Change]) {
        // In the usual case there are two limbs.
        let cutter = match *self.grid.cutters() {
            [cutter] if self.stride >= WIDE => cutter,
            _ => return exchange_each(simd, self, rows, changes),
        };
        Change::sort(changes);
        let is_same_way = |a: &Change, b: &Change| (a.from, a.to) == (b.from, b.to);
        for way in changes.chunk_by(is_same_way) {
            exchange_way(simd, self, cutter, rows, way);
        }
    }
}

multiversion! {
    /// As [`ExactSums::exchange_all`], row by row.
    fn exchange_each = exchange_each_body(
        sums: &mut ExactSums, rows: Rows<'_>, changes: &[Change],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn exchange_each_body<const B: usize>(sums: &mut ExactSums, rows: Rows<'_>, changes: &[Change]) {
    let grid = sums.grid;
    for change in changes {
        let row = rows.row(RowIndex::new(change.row as usize));
        cut_into(&grid, row, sums.sum_mut(change.to as usize), |sum, limb| *sum += limb);
        if change.from != Change::NOWHERE {
            let sum = sums.sum_mut(change.from as usize);
            cut_into(&grid, row, sum, |sum, limb| *sum -= limb);
        }
    }
}

/// Numbers that begin with a cache line: no register is loaded from two.
#[repr(align(64))]
struct Tile<T>([T; TILE]);

multiversion! {
    /// As [`ExactSums::exchange_all`], of changes that are all the same way, in sums of two limbs.
    fn exchange_way = exchange_way_body(
        sums: &mut ExactSums, cutter: f64, rows: Rows<'_>, way: &[Change],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn exchange_way_body<const B: usize>(
    sums: &mut ExactSums,
    cutter: f64,
    rows: Rows<'_>,
    way: &[Change],
) {
    let stride = sums.stride;
    let Some(&Change { from, to, .. }) = way.first() else { return };
    let values = |change: &Change| rows.row(RowIndex::new(change.row as usize));
    for first in (0..stride).step_by(TILE) {
        let columns = first..stride.min(first + TILE);
        let (mut highs, mut lows) = (Tile([0.0; TILE]), Tile([0.0; TILE]));
        for (at, change) in way.iter().enumerate() {
            if let Some(next) = way.get(at + AHEAD) {
                prefetch(&values(next)[columns.clone()]);
            }
            let row = &values(change)[columns.clone()];
            for ((&x, high), low) in row.iter().zip(&mut highs.0).zip(&mut lows.0) {
                let limbs = cut(cutter, x);
                *high += limbs[0];
                *low += limbs[1];
            }
        }
        if from != Change::NOWHERE {
            let (high, low) = sums.sum_mut(from as usize).split_at_mut(stride);
            high[columns.clone()].iter_mut().zip(&highs.0).for_each(|(sum, way)| *sum -= way);
            low[columns.clone()].iter_mut().zip(&lows.0).for_each(|(sum, way)| *sum -= way);
        }
        let (high, low) = sums.sum_mut(to as usize).split_at_mut(stride);
        high[columns.clone()].iter_mut().zip(&highs.0).for_each(|(sum, way)| *sum += way);
        low[columns].iter_mut().zip(&lows.0).for_each(|(sum, way)| *sum += way);
    }
}
