//! Exact sums of coded rows, as integers.
//!
//! Rows are read from memory, so it pays to look at as little of them as can be. Of coded rows (see
//! [`CodedRows`]) one code is often the most common of its column, as that of the background in
//! pictures. These sums are of the differences from the common codes' values: a row's columns with the
//! common code change nothing, and are not even decoded.
//!
//! A column has at most 256 values, so their finest place is known, and values are whole multiples of
//! that, `2^last`. As such they are added up in 64 bits, without rounding, in any order: a sum takes one
//! addition a value and half the memory of [`ExactSums`](crate::exact_sum::ExactSums), which have to get
//! by with what the sums of any values take.
//!
//! # Why nothing overflows
//!
//! No value lies farther from its column's mean `m` than the row that it is of from the mean of all rows,
//! and so codes that would are of no row. Where no other code's value is below that of the common one,
//! `c`, or none is above, all differences have one sign, and no sum of some of them is larger than the sum
//! of all, `n |m - c|`. Else no difference is larger than the largest of all codes, `n` times. Columns for
//! which neither bound leaves room have no such sums.

use crate::coded::{CodedRows, decode, value_of};
use crate::data::Data;
use crate::exact_sum::{last_place, power_of_two};
use crate::exchange::{AHEAD, Change};
use crate::integers::ROUNDER;
use crate::lines::Lines;
use crate::simd::{Simd, multiversion, prefetch};
use std::array;

/// Columns whose codes are compared with the common ones together, and how many such groups a number
/// has bits for.
const GROUP: usize = 8;
const GROUPS: usize = u64::BITS as usize;

/// Whole numbers below this are converted, and sums below that leave room.
const LARGEST_VALUE: f64 = (1_u64 << 51) as f64;
const LARGEST_SUM: f64 = (1_u64 << 62) as f64;

/// Up to this, a sum is what its mean, rounded, times the number of rows rounds to: both are off by a
/// relative 2^-53, less than a quarter together, and the sum itself was not rounded.
const LARGEST_TOTAL: f64 = (1_u64 << 50) as f64;

/// Values of a column's codes that rows may have.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// The smallest size of those that are not 0.
    finest: f32,
    least: f32,
    most: f32,
}

impl Default for Span {
    fn default() -> Self {
        Self { finest: f32::INFINITY, least: f32::INFINITY, most: f32::NEG_INFINITY }
    }
}

impl Span {
    /// Takes the `value` of a code, unless it lies farther away than rows `reach`.
    fn add(&mut self, value: f32, reach: f64) {
        let size = value.abs();
        if f64::from(size) <= reach {
            self.finest = if size > 0.0 { self.finest.min(size) } else { self.finest };
            self.least = self.least.min(value);
            self.most = self.most.max(value);
        }
    }
}

/// `k` sums of coded rows.
#[derive(Debug, Clone)]
pub(crate) struct CodedSums {
    /// The common code of each column, `[stride]`,
    common: Vec<u8>,
    /// what its value is a multiple of, and how many times,
    units: Vec<f64>,
    multiples: Vec<i64>,
    /// what values are multiplied by to be whole numbers,
    scales: Vec<f32>,
    /// and what is taken off of the bits of a converted one to leave the difference from the common one.
    offsets: Lines<i64>,
    /// The sum of all rows, where the mean tells it, `[stride]`.
    total: Option<Vec<i64>>,
    n: usize,
    /// `[k, stride]`
    sums: Lines<i64>,
}

impl CodedSums {
    /// `k` sums of no rows. `None` where sums of these rows might not fit.
    pub(crate) fn new(simd: Simd, data: Data<'_>, coded: &CodedRows<'_>, k: usize) -> Option<Self> {
        let (common, stride) = (coded.common(), coded.stride());
        let farthest = data.farthest() * (1.0 + 1e-9);
        let n = data.rows.n() as f64;
        let mut spans = vec![Span::default(); stride];
        let mut values = vec![0.0; stride];
        for code in 0..=u8::MAX {
            decode(simd, coded, &vec![code; stride], &mut values);
            for ((span, &value), mean) in spans.iter_mut().zip(&values).zip(data.center) {
                span.add(value, mean.abs() + farthest);
            }
        }
        decode(simd, coded, &common, &mut values);
        let mut sums = Self {
            units: Vec::with_capacity(stride),
            multiples: Vec::with_capacity(stride),
            scales: Vec::with_capacity(stride),
            offsets: Lines::zeros(stride),
            total: Some(Vec::with_capacity(stride)),
            n: data.rows.n(),
            sums: Lines::zeros(k * stride),
            common,
        };
        let columns = spans.iter().zip(data.center.iter().zip(&values));
        for (column, (&Span { finest, least, most }, (&mean, &common))) in columns.enumerate() {
            let last = if finest < f32::INFINITY { last_place(finest) } else { 0 };
            // Neither this nor its inverse leaves what binary32 has.
            if !(-100..=100).contains(&last) {
                return None;
            }
            let unit = power_of_two(last);
            let [common, least, most] = [common, least, most].map(|value| f64::from(value) / unit);
            if least.abs().max(most.abs()) > LARGEST_VALUE {
                return None;
            }
            let (least, most) = ((least - common).min(0.0), (most - common).max(0.0));
            let differences = if least == 0.0 || most == 0.0 {
                // The mean is rounded.
                n * ((mean / unit - common).abs() + mean.abs() / unit * 1e-15 + 1.0)
            } else {
                n * most.max(-least)
            };
            if differences + n * common.abs() > LARGEST_SUM {
                return None;
            }
            sums.units.push(unit);
            sums.multiples.push(common as i64);
            sums.scales.push(power_of_two(-last) as f32);
            sums.offsets[column] = (common + ROUNDER).to_bits().cast_signed();
            let total = mean * n / unit;
            if total.abs() > LARGEST_TOTAL {
                sums.total = None;
            }
            if let Some(totals) = &mut sums.total {
                totals.push(total.round() as i64 - data.rows.n() as i64 * common as i64);
            }
        }
        Some(sums)
    }

    /// Takes rows out of sums and adds them to others, for `changes` of different rows. Sorts them.
    pub(crate) fn exchange_all(
        &mut self,
        simd: Simd,
        coded: &CodedRows<'_>,
        changes: &mut [Change],
    ) {
        Change::sort(changes);
        // Those that come from nowhere are last, so then all rows do.
        let are_all = changes.len() == self.n
            && changes.first().is_some_and(|change| change.from == Change::NOWHERE);
        let Some(total) = self.total.as_ref().filter(|_| are_all) else {
            return exchange(simd, self, coded, changes);
        };
        // What the others leave of all rows is the sum of the largest cluster.
        let mut left = total.clone();
        let clusters = || changes.chunk_by(|a, b| a.to == b.to);
        let largest = clusters().map(<[Change]>::len).enumerate().max_by_key(|&(_, len)| len);
        let (largest, _) = largest.expect("there are rows");
        for rows in clusters().enumerate().filter(|&(at, _)| at != largest).map(|(_, rows)| rows) {
            exchange(simd, self, coded, rows);
            let sum = &self.sums[rows[0].to as usize * left.len()..];
            left.iter_mut().zip(sum).for_each(|(left, sum)| *left -= sum);
        }
        let to = clusters().nth(largest).expect("it is one of them")[0].to as usize;
        self.sums[to * left.len()..][..left.len()].copy_from_slice(&left);
    }

    /// Adds rows to sums, for `changes` from nowhere, of which several may be of a row. Sorts them.
    pub(crate) fn add_all(&mut self, simd: Simd, coded: &CodedRows<'_>, changes: &mut [Change]) {
        Change::sort(changes);
        exchange(simd, self, coded, changes);
    }

    /// Adds the sums of `others`, made for the same rows and `k`.
    pub(crate) fn merge(&mut self, others: &Self) {
        self.sums.iter_mut().zip(&*others.sums).for_each(|(sum, other)| *sum += other);
    }

    /// Sum `j`, which is of `count` rows, rounded once to binary64 and divided by that, into `mean`,
    /// `[stride]`.
    pub(crate) fn mean(&self, simd: Simd, j: usize, count: u64, mean: &mut [f64]) {
        let sum = &self.sums[j * mean.len()..][..mean.len()];
        mean_of(simd, sum, count.cast_signed(), &self.multiples, &self.units, mean);
    }
}

multiversion! {
    fn mean_of = mean_body(
        sum: &[i64], count: i64, multiples: &[i64], units: &[f64], mean: &mut [f64],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn mean_body<const B: usize>(
    sum: &[i64],
    count: i64,
    multiples: &[i64],
    units: &[f64],
    mean: &mut [f64],
) {
    for ((mean, sum), (common, unit)) in mean.iter_mut().zip(sum).zip(multiples.iter().zip(units)) {
        *mean = (sum + count * common) as f64 * unit / count as f64;
    }
}

multiversion! {
    /// As [`CodedSums::exchange_all`], of changes that are sorted.
    fn exchange = exchange_body(
        sums: &mut CodedSums, coded: &CodedRows<'_>, changes: &[Change],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn exchange_body<const B: usize>(sums: &mut CodedSums, coded: &CodedRows<'_>, changes: &[Change]) {
    let CodedSums { common, scales, offsets, sums, .. } = sums;
    let stride = common.len();
    let columns = coded.columns();
    let sum = |j: u32| j as usize * stride..(j as usize + 1) * stride;
    for (at, &Change { row, from, to }) in changes.iter().enumerate() {
        if let Some(next) = changes.get(at + AHEAD) {
            prefetch(coded.codes(next.row as usize));
        }
        let (to, mut from) = if from == Change::NOWHERE {
            (&mut sums[sum(to)], None)
        } else {
            let [to, from] =
                sums.get_disjoint_mut([sum(to), sum(from)]).expect("a row goes elsewhere");
            (to, Some(from))
        };
        let codes = coded.codes(row as usize);
        for first in (0..stride).step_by(GROUPS * GROUP) {
            let place = first..stride.min(first + GROUPS * GROUP);
            // All of them as long, so that whatever is in one is in all.
            let count = place.len() / GROUP;
            let codes = &codes[place.clone()].as_chunks::<GROUP>().0[..count];
            let common = &common[place.clone()].as_chunks::<GROUP>().0[..count];
            let [means, divisors, reciprocals] =
                columns.map(|numbers| &numbers[place.clone()].as_chunks::<GROUP>().0[..count]);
            let scales = &scales[place.clone()].as_chunks::<GROUP>().0[..count];
            let offsets = &offsets[place.clone()].as_chunks::<GROUP>().0[..count];
            let to = &mut to[place.clone()].as_chunks_mut::<GROUP>().0[..count];
            let mut from = from
                .as_mut()
                .map(|from| &mut from[place.clone()].as_chunks_mut::<GROUP>().0[..count]);
            let mut different = different(codes, common);
            while different != 0 {
                let group = different.trailing_zeros() as usize;
                different &= different - 1;
                if group >= count {
                    break;
                }
                let (codes, means) = (&codes[group], &means[group]);
                let (divisors, reciprocals) = (&divisors[group], &reciprocals[group]);
                let (scales, offsets) = (&scales[group], &offsets[group]);
                let differences: [i64; GROUP] = array::from_fn(|i| {
                    let value = value_of(codes[i], means[i], divisors[i], reciprocals[i]);
                    let converted = f64::from(value * scales[i]) + ROUNDER;
                    converted.to_bits().cast_signed() - offsets[i]
                });
                to[group] = array::from_fn(|i| to[group][i] + differences[i]);
                if let Some(from) = &mut from {
                    from[group] = array::from_fn(|i| from[group][i] - differences[i]);
                }
            }
        }
    }
}

/// A bit for each of up to [`GROUPS`] groups of columns, where not all of their codes are the common
/// ones.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn different(codes: &[[u8; GROUP]], common: &[[u8; GROUP]]) -> u64 {
    let mut bits = 0;
    for (place, (codes, common)) in codes.iter().zip(common).enumerate() {
        bits |= u64::from(u64::from_ne_bytes(*codes) != u64::from_ne_bytes(*common)) << place;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Statistics;
    use crate::exact_sum::ExactSums;
    use crate::rows::{Magnitudes, Rows};
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
            let statistics = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), 1);
            for simd in available().filter(|&simd| CodedRows::pay(simd)) {
                prop_assert!(coded.stand_for(simd, rows));
                let data = statistics.with_rows(rows);
                let Some(mut sums) = CodedSums::new(simd, data, &coded, 4) else { continue };
                let mut others = ExactSums::new(data.grid, 4, rows.stride());
                for turn in 0..2 {
                    let mut changes: Vec<Change> = (0..).zip(&labels[..n]).filter_map(|(row, &(a, b))| {
                        let (from, to) = if turn == 0 { (Change::NOWHERE, a) } else { (a, b) };
                        (from != to).then_some(Change { row, from, to })
                    }).collect();
                    sums.exchange_all(simd, &coded, &mut changes);
                    others.exchange_all(simd, rows, &mut changes);
                    let now = |&(a, b): &(u32, u32)| if turn == 0 { a } else { b };
                    let size = |j: u32| labels[..n].iter().filter(|labels| now(labels) == j).count();
                    let (mut mean, mut other) = (vec![0.0; rows.stride()], vec![0.0; rows.stride()]);
                    for j in (0..4).filter(|&j| size(j) > 0) {
                        sums.mean(simd, j as usize, size(j) as u64, &mut mean);
                        others.mean(j as usize, size(j) as u64, &mut other);
                        let bits = |mean: &[f64]| -> Vec<u64> { mean.iter().map(|x| x.to_bits()).collect() };
                        prop_assert_eq!(bits(&mean), bits(&other));
                    }
                }
            }
        }
    }

    #[test]
    fn there_are_sums_only_where_they_fit() {
        // Neither where values share a column with one of which 2^51 last places do not reach them, nor where
        // there are so many rows that their differences might not add up, if these are not all on one side.
        let fits = |scales: &[(f64, f64)], codes: &[u8], n: usize| {
            let mut all = vec![codes.to_vec(); n];
            all[0] = vec![255];
            let (bytes, columns, values) = rows_of(&all, scales);
            let coded = CodedRows::new(&bytes, &columns);
            let rows = Rows::new(&values, n, D);
            let statistics = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), 1);
            CodedSums::new(Simd::detect(), statistics.with_rows(rows), &coded, 1).is_some()
        };
        let close_to = |code: f32| f64::from(code.next_up());
        assert!(fits(&[(127.5, 1.0)], &[0, 0, 255], 7));
        assert!(!fits(&[(close_to(7.0), 1.0)], &[0, 0, 255], 7), "too fine");
        assert!(!fits(&[(127.5, 1e36)], &[0, 0, 255], 7), "finer than a scale can be");
        assert!(fits(&[(close_to(15.0), 1.0)], &[20], 1000));
        assert!(!fits(&[(close_to(15.0), 1.0)], &[20], 3000), "too many");
        assert!(fits(&[(close_to(15.0), 1.0)], &[0], 3000), "all on one side");
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
