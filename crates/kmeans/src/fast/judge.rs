//! What scores decide, and how sure they are.
//!
//! In the notation of [`crate::index`] and [`super::centroids`]: a row is `w ~ (y + e, t)` and a
//! centroid `v ~ (z + f, s)`. Their squared distance is `|w|² + |v|² - 2 w·v`, so what tells two
//! centroids apart is the *score* `|v|² - 2 w·v`. Where coordinates are looked at ([`super::weigh`]),
//! `g = |v|² - 2 y·z` is known of that. Let `r` be any point, the *reference*: the centroid that the
//! row belonged to, or 0. As `w·v = y·z + e·z + w·f + t·s` in these coordinates, by Cauchy and
//! Schwarz in each level `l` of them, up to a number that is the same for all centroids of a row
//! (`2 e·r`, `2 t·r_t`), the true score of centroid `j` is `g_j` give or take
//!
//! ```text
//! b_j = 2 [ sum_l ( |e_l| |z_jl - r_l|  +  |w_l| |f_jl|  +  |low_l| |low_jl| )
//!           +  |t| (|s_j| + |r_t|) ]  +  rounding
//! ```
//!
//! The last term of a level is there where low bytes of both count: they are multiplied with the other's
//! high ones, but not with each other. Low bytes are what high ones are off by, less what both are, so
//! their norm is at most the sum of both errors. Level by level, because centroids differ in the leading
//! ones, which are known closely, and errors are in those behind them. Where the score is an earlier
//! iteration's, `b_j` is what [`super::anchors`] says.
//!
//! Centroid `a` is nearest for certain where `g_a + b_a < g_j - b_j` for every other `j`, and then
//! `D_j² - D_a²` is at least the difference. With what is the same for all bounded in its turn,
//!
//! ```text
//! D_a² <= |w|² + g_a + b_a + 2 [ sum_l |e_l| |r_l| + |t| |r_t| ]
//! ```
//!
//! # Rounding
//!
//! Integer products are exact. A score passes through at most 17 roundings to binary32 (`|v|²`; four
//! of each level's product, but the products of all levels together are no larger than one; one for
//! each addition; what an anchor's score passed when it was kept; the last two for `g ± b` and for the
//! difference), each of a number below `(|w| + |v|)² <= 2 |w|² + 2 |v|²`: `b` has 18 * 2^-24 times
//! that. What underflow can lose is added too. The bounds themselves are rounded to nearest: they are
//! blown up by a relative `1e-5`.
//!
//! The definition's own rounding (a relative `(d / 16 + 8) 2^-53` of each squared distance, below
//! `1e-9` for any `d` under 2²⁷) is within that too, for `D_a² <= (|w| + |v_a|)²`: so a positive
//! margin decides the label, and the lead for [`super::bounds`] follows from
//! `D_j - D_a = (D_j² - D_a²) / (D_j + D_a)`, which falls with `D_a` and rises with the numerator.

use super::bounds::Lead;
use super::kernel::{self, LANES, Lanes, ROWS};
use crate::lines::Lines;
use crate::simd::{Simd, multiversion};

/// Room for rounding in the bounds.
pub(super) const BLOWN: f32 = 1.0 + 1e-5;

/// Times the squares of both norms, and 2: what rounding of a score may amount to.
pub(super) const ROUNDING: f32 = 18.0 / 16_777_216.0;

/// More than underflow can take from a score.
const LEAST: f32 = 1e-35;

/// What all lanes of a row of this `square` norm may be off by, as far as that is the row's own.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(super) fn slack_of(square: f32) -> f32 {
    2.0 * ROUNDING * BLOWN * square + LEAST
}

/// Margins above this, as of lanes without a centroid, are cut to it: their squares stay finite.
const MOST: f32 = 1e15;

/// The lowest and the highest that scores may be, for each group of lanes. The highest is infinite where
/// it is not known. Lanes without a centroid hold nothing.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Number of centroids.
    k: usize,
    /// As they are taken, `[row][lane]`.
    pub(super) low_of_rows: Lines<[Lanes; ROWS]>,
    pub(super) high_of_rows: Lines<[Lanes; ROWS]>,
    /// The lowest as they are read, `[lane][row]`.
    pub(super) low: Lines<[Lanes; ROWS]>,
    /// What all lanes of a row may be off by besides.
    pub(super) slack: [f32; ROWS],
    /// At least `|w|²` of each row and what is the same for all centroids.
    pub(super) base: [f32; ROWS],
}

/// What was found out about [`ROWS`] rows.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Verdicts {
    /// The lane that may be nearest.
    pub(super) best: [u32; ROWS],
    /// At most `D_j² - D_best²` for every other lane: above 0, no other can be as near, by the
    /// definition.
    pub(super) margin: [f32; ROWS],
    /// At least `D_best`.
    pub(super) distance: [f32; ROWS],
    /// At most `D_j - D_best` of the lane that comes next, and of all others, where the margin is
    /// above 0.
    pub(super) near: [f32; ROWS],
    pub(super) runner_up: [u32; ROWS],
    pub(super) rest: [f32; ROWS],
}

impl Verdicts {
    /// By how much a row leads.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn lead(&self, row: usize) -> Lead {
        Lead { near: self.near[row], runner_up: self.runner_up[row], rest: self.rest[row] }
    }
}

/// At most `D_j - D_a`, where `margin <= D_j² - D_a²` and `distance >= D_a`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(super) fn lead(margin: f32, distance: f32) -> f32 {
    let margin = if margin < MOST { margin } else { MOST };
    let other = (distance * distance + margin).sqrt();
    // `other` has passed three roundings, of less than 2^-23 of it together: so much of the lead is within
    // 1e-5 of that, and so much of `distance` within 2e-7. The definition's rounding, for `bounds`, is below
    // 1e-9 of it.
    (other - distance) * (1.0 - 1e-5) - 2.1e-7 * distance
}

impl Ranges {
    pub(super) fn new(k: usize) -> Self {
        let groups = k.div_ceil(LANES);
        Self {
            k,
            low_of_rows: Lines::zeros(groups),
            high_of_rows: Lines::zeros(groups),
            low: Lines::zeros(groups),
            slack: [0.0; ROWS],
            base: [0.0; ROWS],
        }
    }

    /// At least the highest score that lane `best` of a `row` may have.
    #[inline]
    pub(super) fn most(&self, row: usize, best: u32) -> f32 {
        self.highest(row, best) + 2.0 * self.slack[row]
    }

    /// The same, but for what all lanes are off by.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn highest(&self, row: usize, lane: u32) -> f32 {
        self.high_of_rows[lane as usize / LANES][row][lane as usize % LANES]
    }

    /// The lane of which the highest score is the lowest: the nearest is no farther than that.
    pub(super) fn lowest_high(&self, row: usize) -> u32 {
        let highest = (0..self.k as u32).map(|lane| (self.highest(row, lane), lane));
        let lowest = highest.min_by(|a, b| a.0.total_cmp(&b.0));
        lowest.expect("there are lanes").1
    }
}

/// Turns what is taken, `[row][lane]`, into what is read.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(super) fn turn(simd: Simd, of_rows: &[[Lanes; ROWS]], turned: &mut [[Lanes; ROWS]]) {
    for (of_rows, turned) in of_rows.iter().zip(turned) {
        kernel::transpose(simd, of_rows, turned);
    }
}

multiversion! {
    /// What ranges say about [`ROWS`] rows.
    pub(super) fn judge = judge_body(ranges: &Ranges, verdicts: &mut Verdicts)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn judge_body<const B: usize>(ranges: &Ranges, verdicts: &mut Verdicts) {
    let mut first = [f32::INFINITY; ROWS];
    let mut second = [f32::INFINITY; ROWS];
    let mut third = [f32::INFINITY; ROWS];
    let (mut best, mut runner_up) = ([0_u32; ROWS], [0_u32; ROWS]);
    // Where any lane is nearest for certain, it is the one with the lowest score too.
    for (lane, low) in (0..).zip(ranges.low.as_flattened()).take(ranges.k) {
        for row in 0..ROWS {
            let low = low[row];
            let (leads, follows) = (low < first[row], low < second[row]);
            let behind = if follows { second[row] } else { low };
            third[row] = if behind < third[row] { behind } else { third[row] };
            let behind = if leads { first[row] } else { low };
            second[row] = if behind < second[row] { behind } else { second[row] };
            runner_up[row] = if follows { lane } else { runner_up[row] };
            runner_up[row] = if leads { best[row] } else { runner_up[row] };
            // Not asked as above, or the compiler keeps this one in memory.
            first[row] = if first[row] < low { first[row] } else { low };
            best[row] = if leads { lane } else { best[row] };
        }
    }
    let mut highest = [0.0; ROWS];
    for (row, (highest, &best)) in highest.iter_mut().zip(&best).enumerate() {
        *highest = ranges.highest(row, best);
    }
    let (slack, base) = (&ranges.slack, &ranges.base);
    let (mut margins, mut distances) = ([0.0; ROWS], [0.0; ROWS]);
    let (mut near, mut rest) = ([0.0; ROWS], [0.0; ROWS]);
    for row in 0..ROWS {
        let most = highest[row] + 2.0 * slack[row];
        let square = base[row] + most;
        let square = if square > 0.0 { square } else { 0.0 };
        margins[row] = second[row] - most;
        distances[row] = square.sqrt() * BLOWN;
        near[row] = lead(margins[row], distances[row]);
        rest[row] = lead(third[row] - most, distances[row]);
    }
    *verdicts = Verdicts { best, margin: margins, distance: distances, near, runner_up, rest };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither small leads of far rows nor large ones of near rows are above what they are.
    #[test]
    fn leads_are_no_longer_than_distances_differ() {
        let mut close = 0;
        for step in 0..4000 {
            let distance = 10.0_f32.powf((step % 61) as f32 / 10.0 - 3.0);
            let margin = distance * distance * 10.0_f32.powf((step / 61) as f32 / 4.0 - 8.0);
            let (exact_distance, exact_margin) = (f64::from(distance), f64::from(margin));
            let other = (exact_distance * exact_distance + exact_margin).sqrt();
            let exact = exact_margin / (other + exact_distance);
            let found = f64::from(lead(margin, distance));
            assert!(found <= exact - 1e-9 * exact_distance, "{margin} {distance}: {found} {exact}");
            let lost = 1.1e-5 * exact + 6e-7 * exact_distance;
            assert!(found >= exact - lost, "{margin} {distance}: {found} {exact}");
            close += usize::from(found > 0.0);
        }
        assert!(close > 3000, "{close}");
    }
}
