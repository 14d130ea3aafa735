//! Rows that go from one sum to another, when their labels change.
//!
//! Rows are read from memory, so it pays to look at as little of them as can be. Where they are coded
//! (see [`CodedRows`]) one code is often the most common of its column, as that of the background in
//! pictures. Sums of coded rows leave out ([`Omitted`]) what all of them would come to if every code
//! were that one: then a row's columns with the common code change nothing, and are not even decoded.

use crate::coded::{CodedRows, value_of};
use crate::exact_sum::{ExactSums, Omitted, cut, cut_into};
use crate::lines::Lines;
use crate::rows::{RowIndex, Rows};
use crate::simd::{Simd, multiversion, prefetch};
use std::array;

/// Rows of fewer columns are added up faster than they are sorted.
const WIDE: usize = 64;

/// Columns that are added up at a time.
const TILE: usize = 256;

/// Rows between asking for values and using them.
const AHEAD: usize = 6;

/// Columns whose codes are compared with the common ones together, and how many such groups a number
/// has bits for.
const GROUP: usize = 8;
const GROUPS: usize = u64::BITS as usize;

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
}

impl ExactSums {
    /// Takes rows out of sums and adds them to others. Sorts `changes` of wide rows by both, so that few
    /// sums are in use; where rows are not `coded`, those that go one way are added up first, some
    /// columns at a time.
    pub(crate) fn exchange_all(
        &mut self,
        simd: Simd,
        rows: Rows<'_>,
        coded: Option<&CodedRows<'_>>,
        changes: &mut [Change],
    ) {
        if changes.is_empty() {
            return;
        }
        // In the usual case there are two limbs.
        let cutter = match *self.grid.cutters() {
            [cutter] if self.stride >= WIDE || self.omitted.is_some() => cutter,
            _ => return exchange_each(simd, self, rows, changes),
        };
        changes.sort_unstable_by_key(|change| (change.from, change.to, change.row));
        if self.omitted.is_some() {
            let coded = coded.expect("sums that leave out codes are of coded rows");
            return exchange_coded(simd, self, coded, changes);
        }
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

multiversion! {
    /// As [`ExactSums::exchange_all`], of coded rows, in sums of two limbs that leave out common codes.
    fn exchange_coded = exchange_coded_body(
        sums: &mut ExactSums, coded: &CodedRows<'_>, changes: &[Change],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn exchange_coded_body<const B: usize>(
    sums: &mut ExactSums,
    coded: &CodedRows<'_>,
    changes: &[Change],
) {
    let ExactSums { values, omitted: Some(omitted), .. } = sums else { return };
    let Omitted { cutter, codes: common, limbs } = &*omitted;
    let stride = common.len();
    let columns = coded.columns();
    let sum = |j: u32| j as usize * 2 * stride..(j as usize + 1) * 2 * stride;
    let mut nowhere: Lines<f64> = Lines::zeros(2 * stride);
    for (at, &Change { row, from, to }) in changes.iter().enumerate() {
        if let Some(next) = changes.get(at + AHEAD) {
            prefetch(coded.codes(next.row as usize));
        }
        let (to, from) = if from == Change::NOWHERE {
            (&mut values[sum(to)], &mut nowhere[..])
        } else {
            let [to, from] =
                values.get_disjoint_mut([sum(to), sum(from)]).expect("a row goes elsewhere");
            (to, from)
        };
        let ((to_high, to_low), (from_high, from_low)) =
            (to.split_at_mut(stride), from.split_at_mut(stride));
        let (high, low) = limbs.split_at(stride);
        let codes = coded.codes(row as usize);
        for first in (0..stride).step_by(GROUPS * GROUP) {
            let place = first..stride.min(first + GROUPS * GROUP);
            // All of them as long, so that whatever is in one is in all.
            let count = place.len() / GROUP;
            let codes = &codes[place.clone()].as_chunks::<GROUP>().0[..count];
            let common = &common[place.clone()].as_chunks::<GROUP>().0[..count];
            let [means, scales, reciprocals] =
                columns.map(|numbers| &numbers[place.clone()].as_chunks::<GROUP>().0[..count]);
            let [high, low] =
                [high, low].map(|limbs| &limbs[place.clone()].as_chunks::<GROUP>().0[..count]);
            let [to_high, to_low, from_high, from_low] =
                [&mut *to_high, &mut *to_low, &mut *from_high, &mut *from_low]
                    .map(|limbs| &mut limbs[place.clone()].as_chunks_mut::<GROUP>().0[..count]);
            let mut different = different(codes, common);
            while different != 0 {
                let group = different.trailing_zeros() as usize;
                different &= different - 1;
                if group >= count {
                    break;
                }
                let column = (&means[group], &scales[group], &reciprocals[group]);
                let limbs = array::from_fn::<_, GROUP, _>(|i| {
                    cut(*cutter, value_of(codes[group][i], column.0[i], column.1[i], column.2[i]))
                });
                let high: [f64; GROUP] = array::from_fn(|i| limbs[i][0] - high[group][i]);
                let low: [f64; GROUP] = array::from_fn(|i| limbs[i][1] - low[group][i]);
                to_high[group] = array::from_fn(|i| to_high[group][i] + high[i]);
                to_low[group] = array::from_fn(|i| to_low[group][i] + low[i]);
                from_high[group] = array::from_fn(|i| from_high[group][i] - high[i]);
                from_low[group] = array::from_fn(|i| from_low[group][i] - low[i]);
            }
        }
    }
}

/// A bit for each of up to [`GROUPS`] groups of columns, where not all of their codes are the common
/// ones.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn different(codes: &[[u8; GROUP]], common: &[[u8; GROUP]]) -> u64 {
    let mut flags = [[0_u8; 8]; GROUPS / 8];
    for (flag, (codes, common)) in flags.as_flattened_mut().iter_mut().zip(codes.iter().zip(common))
    {
        *flag = u8::from(u64::from_ne_bytes(*codes) != u64::from_ne_bytes(*common));
    }
    // Puts the lowest bit of each byte beside that of the next, in the highest byte.
    let bits =
        flags.map(|eight| u64::from_le_bytes(eight).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    (0..).step_by(8).zip(bits).fold(0, |all, (place, bits)| all | bits << place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact_sum::SumGrid;
    use crate::rows::Magnitudes;
    use crate::simd::available;
    use proptest::prelude::*;

    const D: usize = 700;

    /// Rows of which most codes are `common`, and what they stand for, as the scaler computes it.
    fn rows_of(codes: &[Vec<u8>], scales: &[(f64, f64)]) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
        let stride = Rows::stride_of(D);
        let (mean, std): (Vec<f64>, Vec<f64>) =
            (0..D).map(|column| scales[column % scales.len()]).unzip();
        let (mut all, mut values) = (Vec::new(), Vec::new());
        for codes in codes {
            for column in 0..stride {
                let code = if column < D { codes[column % codes.len()] } else { 0 };
                all.push(code);
                values.push(if column < D {
                    (f32::from(code) - mean[column] as f32) / std[column] as f32
                } else {
                    0.0
                });
            }
        }
        (all, CodedRows::columns_of(&mean, &std), values)
    }

    proptest! {
        #[test]
        fn coded_rows_leave_the_same_means_as_the_rows_themselves(
            codes in prop::collection::vec(
                prop::collection::vec(prop_oneof![6 => Just(3_u8), 1 => any::<u8>()], 1..90),
                2..40,
            ),
            scales in prop::collection::vec((0.0_f64..255.0, 1e-2_f64..90.0), 1..9),
            labels in prop::collection::vec((0_u32..4, 0_u32..4), 40),
        ) {
            let (bytes, columns, values) = rows_of(&codes, &scales);
            let (n, coded) = (codes.len(), CodedRows::new(&bytes, &columns));
            let rows = Rows::new(&values, n, D);
            // As if there were very small values too, so that sums take two limbs.
            let magnitudes = Magnitudes { smallest: 1e-12, ..Magnitudes::of(&values) };
            let grid = SumGrid::for_rows(n, magnitudes);
            for simd in available().filter(|&simd| CodedRows::pay(simd)) {
                prop_assert!(coded.stand_for(simd, rows));
                let mut sums = ExactSums::of_coded(simd, grid, 4, &coded);
                let mut others = ExactSums::new(grid, 4, rows.stride());
                for turn in 0..2 {
                    let mut changes: Vec<Change> = (0..).zip(&labels[..n]).filter_map(|(row, &(a, b))| {
                        let (from, to) = if turn == 0 { (Change::NOWHERE, a) } else { (a, b) };
                        (from != to).then_some(Change { row, from, to })
                    }).collect();
                    sums.exchange_all(simd, rows, Some(&coded), &mut changes);
                    exchange_each(simd, &mut others, rows, &changes);
                    let now = |&(a, b): &(u32, u32)| if turn == 0 { a } else { b };
                    let size = |j: u32| labels[..n].iter().filter(|labels| now(labels) == j).count();
                    let means = |sums: &ExactSums| -> Vec<u64> {
                        let mut mean = vec![0.0; rows.stride()];
                        (0..4).filter(|&j| size(j) > 0).flat_map(|j| {
                            sums.mean(j as usize, size(j) as u64, &mut mean);
                            mean.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
                        }).collect()
                    };
                    prop_assert_eq!(means(&sums), means(&others));
                }
            }
        }
    }

    #[test]
    fn common_codes_are_left_out_only_where_differences_have_room() {
        // Values up to 127.5 have room seven times over, and differences of 255 four times.
        for (n, is_room) in [(4, true), (5, false), (7, false)] {
            let (bytes, columns, _) = rows_of(&vec![vec![0, 0, 255]; n], &[(127.5, 1.0)]);
            let coded = CodedRows::new(&bytes, &columns);
            let magnitudes = Magnitudes { smallest: 1e-8, largest: 127.5 };
            let grid = SumGrid::for_rows(n, magnitudes);
            assert_eq!(grid.limbs(), 2);
            let omitted = Omitted::new(Simd::detect(), grid, &coded);
            assert_eq!(omitted.is_some(), is_room, "{n}");
        }
    }

    #[test]
    fn groups_are_told_apart_by_any_of_their_codes() {
        let common = [[5; GROUP]; 40];
        for place in 0..40 * GROUP {
            let mut codes = common;
            codes.as_flattened_mut()[place] = 6;
            assert_eq!(different(&codes, &common), 1 << (place / GROUP));
        }
        assert_eq!(different(&[[1; GROUP]; GROUPS], &[[2; GROUP]; GROUPS]), u64::MAX);
        assert_eq!(different(&common, &common), 0);
    }
}
