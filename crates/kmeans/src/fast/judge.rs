//! What scores decide, and how sure they are.
//!
//! In the notation of [`crate::index`] and [`super::project`]: a row is `w ~ (y + e, t)` and a
//! centroid `v ~ (z + f, s)`. Their squared distance is `|w|² + |v|² - 2 w·v`, so what tells two
//! centroids apart is the *score* `|v|² - 2 w·v`, of which `g = |v|² - 2 y_p·z_p` is computed, `p`
//! being the coordinates up to some level, and `b` those behind. Then, exactly,
//!
//! ```text
//! D_j² - D_a² = g_j - g_a - 2 [ y_b·(z_j - z_a)_b + t·(s_j - s_a)      behind the level
//!                             + e·(z_j - z_a) + (y + e)·(f_j - f_a) ]  error of coordinates
//! ```
//!
//! and, by Cauchy and Schwarz, as `|y + e| <= |w|`,
//!
//! ```text
//! D_j² - D_a² >= g_j - g_a - 2 |(y_b, t)| gap_b(a, j) - 2 |e| gap(a, j) - 2 |w| (|f_a| + |f_j|) - slop
//! D_a²        <= |w|² + g_a + 2 |(y_b, t)| |(z_a,b , s_a)| + 2 |e| |v_a| + 2 |w| |f_a| + slop
//! ```
//!
//! Where products behind the first level are known from an earlier iteration, against centroids
//! `z'` (an *anchor*), they are added to the score, and `gap_b(a, j)` and `|z_a,b|` become
//! `|(z_j - z'_j)_b| + |(z_a - z'_a)_b|` and `|(z_a - z'_a)_b|`: how far those centroids have
//! drifted.
//!
//! # Rounding
//!
//! Integer products are exact. A score passes through at most 12 roundings to binary32 (`|v|²`;
//! two or three for each level's product; one for each addition; the anchor's two additions), each
//! of a number below `(|w| + |v|)²`, and the difference of two one more: `slop` = 16 * 2^-24 times
//! that for either of the two, plus what underflow can lose. The bounds themselves are rounded to nearest: they are blown
//! up by a relative `1e-5`.
//!
//! The definition's own rounding (a relative `(d / 16 + 8) 2^-53` of each squared distance, below
//! `1e-9` for any `d` under 2²⁷) is within `slop` too, for `D_a² <= (|w| + |v_a|)²`: so a positive
//! bound decides the label, and the lead for [`super::bounds`] follows from
//! `D_j - D_a = (D_j² - D_a²) / (D_j + D_a)`, which falls with `D_a` and rises with the numerator.

use super::bounds::Lead;
use super::kernel::{LANES, Products, ROWS};
use super::project::{Lanes, Projected};
use super::weigh::{self, Behind, Lot, ROUNDING, Sides, Weighed};
use crate::index::Facts;
use crate::simd::{Simd, multiversion};

/// Room for rounding in the bounds.
pub(super) const BLOWN: f32 = 1.0 + 1e-5;

/// Margins above this, as of lanes without a centroid, are cut to it: their squares stay finite.
const MOST: f32 = 1e15;

/// What was found out about a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verdict {
    /// The lane with the smallest score.
    pub(super) best: u32,
    /// At most `D_j² - D_best²` for every other lane.
    pub(super) margin: f32,
    /// At least `D_best`.
    pub(super) distance: f32,
    /// At most `D_j - D_best` for other lanes, where the margin is above 0.
    pub(super) lead: Lead,
}

impl Verdict {
    /// Whether no other centroid can be as near, by the definition.
    #[inline]
    pub(super) fn is_certain(&self) -> bool {
        self.margin > 0.0
    }
}

/// At most `D_j - D_a`, where `margin <= D_j² - D_a²` and `distance >= D_a`.
#[inline]
pub(super) fn lead(margin: f32, distance: f32) -> f32 {
    let other = (distance * distance + margin).sqrt();
    // The definition's rounding, for `bounds`, is the last term.
    margin / (other + distance) * (1.0 - 1e-5) - 1e-9 * distance
}

/// More than underflow can take from a score.
const LEAST: f32 = 1e-35;

/// At least what rounding can amount to in two scores of centroids of norms up to `reach`.
#[inline]
pub(super) fn slop(norm: f32, reach: f32) -> f32 {
    let sum = norm + reach;
    2.0 * ROUNDING * sum * sum + LEAST
}

/// A row with its `scores` up to some level, `[lanes]`, and what is `behind` that.
#[inline]
pub(super) fn sides<'a>(facts: Facts, scores: &'a [f32], behind: Behind<'a>) -> Sides<'a> {
    Sides {
        scores,
        behind,
        by_tail: 2.0 * BLOWN * facts.tail,
        by_error: 2.0 * BLOWN * facts.error,
        norm: facts.norm,
    }
}

/// Judges rows by their scores.
#[inline]
pub(super) fn judge(
    simd: Simd,
    projected: &Projected,
    rows: &[Sides<'_>; ROWS],
) -> [Verdict; ROWS] {
    let lot = Lot {
        all: projected.gaps.table(&projected.zeros),
        errors: &projected.errors,
        norms: &projected.norms,
    };
    let weighed = weigh::weigh(simd, &lot, rows);
    let mut verdicts = [Verdict::default(); ROWS];
    conclude(simd, rows, &weighed, &mut verdicts);
    verdicts
}

multiversion! {
    /// What follows from `weighed`.
    fn conclude = conclude_body(
        rows: &[Sides<'_>; ROWS], weighed: &[Weighed; ROWS], verdicts: &mut [Verdict; ROWS],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn conclude_body<const B: usize>(
    rows: &[Sides<'_>; ROWS],
    weighed: &[Weighed; ROWS],
    verdicts: &mut [Verdict; ROWS],
) {
    // Number by number, so that all rows' roots and quotients are taken at once.
    let mut norms = [0.0; ROWS];
    for (norm, sides) in norms.iter_mut().zip(rows) {
        *norm = sides.norm;
    }
    let mut margins = [0.0; ROWS];
    let mut distances = [0.0; ROWS];
    let mut leads = [0.0; ROWS];
    let mut rests = [0.0; ROWS];
    for row in 0..ROWS {
        let norm: f32 = norms[row];
        let weighed = &weighed[row];
        // What rounding may do to the sum is as large as what it may do to the score.
        let square = norm * norm + weighed.least + weighed.behind_best + 2.0 * weighed.own + LEAST;
        margins[row] = weighed.margin - (weighed.own + LEAST);
        distances[row] = square.max(0.0).sqrt() * BLOWN;
        leads[row] = lead(margins[row], distances[row]);
        rests[row] = lead((weighed.rest - (weighed.own + LEAST)).min(MOST), distances[row]);
    }
    for (row, verdict) in verdicts.iter_mut().enumerate() {
        *verdict = Verdict {
            best: weighed[row].best,
            margin: margins[row],
            distance: distances[row],
            lead: Lead { near: leads[row], runner_up: weighed[row].runner_up, rest: rests[row] },
        };
    }
}

/// Writes the lanes that may be as near as the verdict's, which is one of them, ascending; returns
/// at most `D_j² - D_best²` of all others.
pub(super) fn contenders(
    projected: &Projected,
    facts: &Facts,
    scores: &[f32],
    level: usize,
    best: usize,
    found: &mut Vec<u32>,
) -> f32 {
    let near = projected.gaps_behind[level].table(&projected.zeros);
    let all = projected.gaps.table(&projected.zeros);
    let (by_tail, by_error) = (2.0 * facts.tail * BLOWN, 2.0 * facts.error * BLOWN);
    let own = |lane: usize| {
        let sum = facts.norm + projected.norms[lane];
        2.0 * BLOWN * facts.norm * projected.errors[lane] + ROUNDING * sum * sum
    };
    let rest = own(best) + LEAST;
    found.clear();
    let mut others = f32::INFINITY;
    for lane in 0..projected.k {
        let margin = scores[lane]
            - scores[best]
            - by_tail * near.between(best, lane)
            - by_error * all.between(best, lane)
            - own(lane)
            - rest;
        if margin > 0.0 && lane != best {
            others = others.min(margin);
        } else {
            found.push(lane as u32);
        }
    }
    others
}

multiversion! {
    /// Adds a level's `products`, of one group after the other, to the `sums` of as many rows as
    /// there are, `[rows, lanes]`, and to those of what is `behind` the first level, if asked for.
    pub(super) fn add_products = add_products_body(
        products: &[Products], facts: &[Facts; ROWS], factors: &[f32], sums: &mut [f32],
        behind: &mut [f32],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_products_body<const B: usize>(
    products: &[Products],
    facts: &[Facts; ROWS],
    factors: &[f32],
    sums: &mut [f32],
    behind: &mut [f32],
) {
    let factors: &[Lanes] = factors.as_chunks().0;
    let sums = sums.as_chunks_mut::<LANES>().0.chunks_exact_mut(factors.len());
    let mut behind = behind.as_chunks_mut::<LANES>().0.chunks_exact_mut(factors.len());
    for (row, sums) in sums.enumerate() {
        let scale = facts[row].scale;
        let mut behind = behind.next();
        for (group, sums) in sums.iter_mut().enumerate() {
            let mut added = [0.0; LANES];
            for lane in 0..LANES {
                added[lane] = scale * factors[group][lane] * products[group][row][lane] as f32;
            }
            for lane in 0..LANES {
                sums[lane] += added[lane];
            }
            if let Some(behind) = &mut behind {
                for lane in 0..LANES {
                    behind[group][lane] += added[lane];
                }
            }
        }
    }
}
