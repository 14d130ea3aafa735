//! What is known of the scores of all rows with one centroid, and what follows from that.

use super::super::kernel::{LANES, OfRows};
use crate::exchange::Change;
use crate::simd::multiversion;
use std::array;
use std::ops::Range;

/// The lowest and highest that a score may be, of every row.
#[derive(Debug, Clone)]
pub(super) struct Intervals {
    pub(super) low: Vec<f32>,
    pub(super) high: Vec<f32>,
}

/// Bounds of what a candidate gains.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gain {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Intervals {
    /// Of `n` rows, all of which are to be [taken](take_ranges).
    pub(super) fn new(n: usize) -> Self {
        Self { low: vec![0.0; n], high: vec![0.0; n] }
    }

    /// The score of `row` is also between these.
    pub(super) fn narrow(&mut self, row: usize, low: f32, high: f32) {
        self.low[row] = self.low[row].max(low);
        self.high[row] = self.high[row].min(high);
    }
}

/// The lowest and the highest that scores of up to 16 rows may be, `[lane][row]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) low: &'a [OfRows],
    pub(super) high: &'a [OfRows],
    /// What all lanes of a row may be off by besides.
    pub(super) slack: &'a OfRows,
}

impl Seen<'_> {
    /// The range of the score of row `i` in a `lane`.
    pub(super) fn range(&self, lane: usize, i: usize) -> (f32, f32) {
        (self.low[lane][i] - self.slack[i], self.high[lane][i] + self.slack[i])
    }
}

multiversion! {
    /// The ranges of the first lanes for up to 16 rows from `first` on, each into its own intervals.
    pub(super) fn take_ranges = take_ranges_body(
        seen: &Seen<'_>, first: usize, intervals: &mut [&mut Intervals],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn take_ranges_body<const B: usize>(
    seen: &Seen<'_>,
    first: usize,
    intervals: &mut [&mut Intervals],
) {
    let slack = seen.slack;
    for (intervals, (low, high)) in intervals.iter_mut().zip(seen.low.iter().zip(seen.high)) {
        let lows: OfRows = array::from_fn(|row| low[row] - slack[row]);
        let highs: OfRows = array::from_fn(|row| high[row] + slack[row]);
        for (ends, found) in [(&mut intervals.low, lows), (&mut intervals.high, highs)] {
            match ends[first..].first_chunk_mut() {
                Some(ends) => *ends = found,
                None => ends[first..].iter_mut().zip(found).for_each(|(end, found)| *end = found),
            }
        }
    }
}

multiversion! {
    /// Adds what `candidate` gains from some `rows`.
    pub(super) fn add_gain = add_gain_body(
        nearest: &Intervals, candidate: &Intervals, rows: Range<usize>, gain: &mut Gain,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_gain_body<const B: usize>(
    nearest: &Intervals,
    candidate: &Intervals,
    rows: Range<usize>,
    gain: &mut Gain,
) {
    for (ends, others, sum) in [
        (&nearest.low, &candidate.high, &mut gain.low),
        (&nearest.high, &candidate.low, &mut gain.high),
    ] {
        let mut sums = [0.0; LANES];
        for (ends, others) in
            ends[rows.clone()].chunks(LANES).zip(others[rows.clone()].chunks(LANES))
        {
            for ((sum, end), other) in sums.iter_mut().zip(ends).zip(others) {
                let gained = end - other;
                *sum += f64::from(if gained > 0.0 { gained } else { 0.0 });
            }
        }
        *sum += sums.iter().sum::<f64>();
    }
}

multiversion! {
    /// Makes the `nearest` scores no higher than those of `other`, with this `label` in `labels` where they
    /// are below for certain, and [`Change::NOWHERE`] where they may be.
    pub(super) fn take_nearest = take_nearest_body(
        other: &Intervals, label: u32, nearest: &mut Intervals, labels: &mut [u32],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn take_nearest_body<const B: usize>(
    other: &Intervals,
    label: u32,
    nearest: &mut Intervals,
    labels: &mut [u32],
) {
    let nearest = nearest.low.iter_mut().zip(&mut nearest.high);
    let others = other.low.iter().zip(&other.high);
    for ((label_of_row, (low, high)), other) in labels.iter_mut().zip(nearest).zip(others) {
        let kept = if *other.0 > *high { *label_of_row } else { Change::NOWHERE };
        *label_of_row = if *other.1 < *low { label } else { kept };
        *low = if *other.0 < *low { *other.0 } else { *low };
        *high = if *other.1 < *high { *other.1 } else { *high };
    }
}
