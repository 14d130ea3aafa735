//! What is known of the scores of all rows, and what follows from that.

use super::super::judge::BLOWN;
use super::super::kernel::{LANES, OfRows};
use super::super::looks::OffBy;
use crate::exchange::Change;
use crate::simd::multiversion;
use std::array;
use std::ops::Range;

/// The lowest and highest that the score of the nearest chosen row may be, of every row.
#[derive(Debug, Clone)]
pub(super) struct Intervals {
    pub(super) low: Vec<f32>,
    pub(super) high: Vec<f32>,
}

/// Scores of all rows with a candidate, the sizes of rows, and what follows from these of how far scores are
/// off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores<'a> {
    pub(super) values: &'a [f32],
    pub(super) sizes: &'a [f32],
    pub(super) off_by: OffBy,
}

impl Scores<'_> {
    /// The lowest and highest that the score of a row may be.
    pub(super) fn range(self, row: usize) -> (f32, f32) {
        range(self.values[row], self.off_by.off(self.sizes[row]))
    }
}

/// The lowest and the highest that a score may be.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn range(score: f32, off: f32) -> (f32, f32) {
    (score - off, score + off)
}

/// Bounds of what a candidate gains.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gain {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Intervals {
    /// Of `n` rows, all of which are to be [taken](Seen::take_into).
    pub(super) fn new(n: usize) -> Self {
        Self { low: vec![0.0; n], high: vec![0.0; n] }
    }

    /// The score of `row` is also between these. Returns what it is between now.
    pub(super) fn narrow(&mut self, row: usize, low: f32, high: f32) -> (f32, f32) {
        let (lowest, highest) = (&mut self.low[row], &mut self.high[row]);
        (*lowest, *highest) = (lowest.max(low), highest.min(high));
        (*lowest, *highest)
    }
}

/// Scores of up to 16 rows, `[lane][row]`, sizes of the rows, and what follows from these of how far scores
/// are off, for each lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) scores: &'a [OfRows],
    pub(super) sizes: &'a OfRows,
    pub(super) off_by: &'a [OffBy],
}

impl Seen<'_> {
    /// The range of the score of row `i` in a `lane`.
    pub(super) fn range(&self, lane: usize, i: usize) -> (f32, f32) {
        range(self.scores[lane][i], self.off_by[lane].off(self.sizes[i]))
    }

    /// Takes the ranges of a `lane` for the rows from `first` on.
    pub(super) fn take_into(&self, lane: usize, first: usize, intervals: &mut Intervals) {
        let ranges: [_; LANES] = array::from_fn(|i| self.range(lane, i));
        copy(&ranges.map(|range| range.0), &mut intervals.low[first..]);
        copy(&ranges.map(|range| range.1), &mut intervals.high[first..]);
    }

    /// Takes the scores of a `lane` for the rows from `first` on.
    pub(super) fn take_scores(&self, lane: usize, first: usize, scores: &mut [f32]) {
        copy(&self.scores[lane], &mut scores[first..]);
    }

    /// Makes sizes of the rows from `first` on no smaller than these.
    pub(super) fn take_sizes(&self, first: usize, sizes: &mut [f32]) {
        for (size, found) in sizes[first..].iter_mut().zip(self.sizes) {
            *size = size.max(*found);
        }
    }
}

/// What was `found` of up to 16 rows to the first of `all`.
fn copy(found: &OfRows, all: &mut [f32]) {
    match all.first_chunk_mut() {
        Some(place) => *place = *found,
        None => all.iter_mut().zip(found).for_each(|(place, found)| *place = *found),
    }
}

multiversion! {
    /// Adds what `candidate` gains from some `rows`.
    pub(super) fn add_gain = add_gain_body(
        nearest: &Intervals, candidate: Scores<'_>, rows: Range<usize>, gain: &mut Gain,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_gain_body<const B: usize>(
    nearest: &Intervals,
    candidate: Scores<'_>,
    rows: Range<usize>,
    gain: &mut Gain,
) {
    let Scores { values: scores, sizes, off_by } = candidate;
    let (mut lows, mut highs) = ([0.0; LANES], [0.0; LANES]);
    let [low, high, scores, sizes] = [&nearest.low, &nearest.high, scores, sizes]
        .map(|numbers: &[f32]| numbers[rows.clone()].chunks(LANES));
    for ((low, high), (scores, sizes)) in low.zip(high).zip(scores.zip(sizes)) {
        let sums = lows.iter_mut().zip(&mut highs);
        let rows = low.iter().zip(high).zip(scores.iter().zip(sizes));
        for ((low_sum, high_sum), ((low, high), (&score, &size))) in sums.zip(rows) {
            let of_candidate = range(score, off_by.off(size));
            let (least, most) = (low - of_candidate.1, high - of_candidate.0);
            *low_sum += f64::from(if least > 0.0 { least } else { 0.0 });
            *high_sum += f64::from(if most > 0.0 { most } else { 0.0 });
        }
    }
    gain.low += lows.iter().sum::<f64>();
    gain.high += highs.iter().sum::<f64>();
}

multiversion! {
    /// Makes the `nearest` scores no higher than those of `other`, with this `label` in `labels` where they
    /// are below for certain, and [`Change::NOWHERE`] where they may be.
    pub(super) fn take_nearest = take_nearest_body(
        other: Scores<'_>, label: u32, nearest: &mut Intervals, labels: &mut [u32],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn take_nearest_body<const B: usize>(
    other: Scores<'_>,
    label: u32,
    nearest: &mut Intervals,
    labels: &mut [u32],
) {
    let nearest = nearest.low.iter_mut().zip(&mut nearest.high);
    let Scores { values: scores, sizes, off_by } = other;
    let others = scores.iter().zip(sizes);
    for ((label_of_row, (low, high)), (&score, &size)) in labels.iter_mut().zip(nearest).zip(others)
    {
        let other = range(score, off_by.off(size));
        let kept = if other.0 > *high { *label_of_row } else { Change::NOWHERE };
        *label_of_row = if other.1 < *low { label } else { kept };
        *low = if other.0 < *low { other.0 } else { *low };
        *high = if other.1 < *high { other.1 } else { *high };
    }
}

multiversion! {
    /// Makes scores of up to 16 rows that are between `low` and `high` what is in the middle, in place of the
    /// lowest. The sizes of rows are what any of a row is off by, with what all may be off by besides, their
    /// `slack`.
    pub(super) fn take_middle = take_middle_body(
        low: &mut [OfRows], high: &[OfRows], slack: &OfRows, sizes: &mut OfRows,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn take_middle_body<const B: usize>(
    low: &mut [OfRows],
    high: &[OfRows],
    slack: &OfRows,
    sizes: &mut OfRows,
) {
    let mut widest: OfRows = [0.0; LANES];
    for (low, high) in low.iter_mut().zip(high) {
        for row in 0..LANES {
            let middle = 0.5 * low[row] + 0.5 * high[row];
            // Measured from what it was rounded to.
            let (below, above) = (middle - low[row], high[row] - middle);
            let wider = if above > below { above } else { below };
            widest[row] = if wider > widest[row] { wider } else { widest[row] };
            low[row] = middle;
        }
    }
    for row in 0..LANES {
        sizes[row] = (widest[row] + slack[row]) * BLOWN;
    }
}
