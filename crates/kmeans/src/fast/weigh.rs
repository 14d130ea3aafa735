//! The smallest score of a row, and by how much all others are above it for certain.

use super::judge::BLOWN;
use super::kernel::{LANES, ROWS};
use crate::simd::{Simd, multiversion};

/// Upper bounds of distances between pairs of lanes: without a branch, of each pair as they are, or
/// as the sum of each lane's distance to something common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    /// `[lanes that are used, lanes]` for pairs, `[lanes]` otherwise.
    values: &'a [f32],
    /// From one lane's row to the next: 0 where there is but one.
    step: usize,
    /// What to add for each lane, `[lanes]`.
    offsets: &'a [f32],
}

impl<'a> Table<'a> {
    /// Of each pair, `[lanes that are used, lanes]`; `zeros` are `[lanes]`.
    pub(super) fn pairs(values: &'a [f32], zeros: &'a [f32]) -> Self {
        Self { values, step: zeros.len(), offsets: zeros }
    }

    /// Of each lane to something common, `[lanes]`: a pair is no farther apart than their sum.
    pub(super) fn common(values: &'a [f32]) -> Self {
        Self { values, step: 0, offsets: values }
    }

    /// For all lanes, what to add the second to for a bound of their distances to lane `a`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn from(&self, a: usize) -> (&'a [f32], f32) {
        (&self.values[a * self.step..][..self.offsets.len()], self.offsets[a])
    }

    /// Bounds the distance between lanes `a` and `b`.
    pub(super) fn between(&self, a: usize, b: usize) -> f32 {
        let (values, offset) = self.from(a);
        values[b] + offset
    }
}

/// Where the part of a row's scores that is behind a level comes from, and what bounds its error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind<'a> {
    /// What to add to scores, `[lanes]`.
    pub(super) products: &'a [f32],
    /// What is left out, and each lane's distance from nothing there, `[lanes]`.
    pub(super) gaps: Table<'a>,
    pub(super) tails: &'a [f32],
}

/// What all rows' scores have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lot<'a> {
    /// Gaps of whole centroids, their own errors, and their norms.
    pub(super) all: Table<'a>,
    pub(super) errors: &'a [f32],
    pub(super) norms: &'a [f32],
}

/// A row's scores and what they may be off by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    /// `[lanes]`.
    pub(super) scores: &'a [f32],
    pub(super) behind: Behind<'a>,
    /// What bounds behind the level are multiplied by, and those of whole centroids.
    pub(super) by_tail: f32,
    pub(super) by_error: f32,
    /// The row's norm.
    pub(super) norm: f32,
}

/// What [`weigh`] finds for a row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Weighed {
    /// The lane of the smallest score; the lowest of equals.
    pub(super) best: u32,
    /// Its score.
    pub(super) least: f32,
    /// Of all other lanes, the smallest difference of scores, after what they may be off by; its
    /// lane; and the smallest of those that are left then.
    pub(super) margin: f32,
    pub(super) runner_up: u32,
    pub(super) rest: f32,
    /// What the best one's own score may be off by, behind the level and by the row's error.
    pub(super) behind_best: f32,
    /// The same, by its own error and by rounding, which the margins have yet to lose.
    pub(super) own: f32,
}

/// Times the square of a row's and a centroid's norms: what rounding of their score may amount to.
pub(super) const ROUNDING: f32 = 16.0 / 16_777_216.0;

/// Weighs the scores of several rows.
#[inline]
pub(super) fn weigh(simd: Simd, lot: &Lot<'_>, rows: &[Sides<'_>; ROWS]) -> [Weighed; ROWS] {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == crate::simd::SimdLevel::Avx512 && lot.norms.len() == LANES {
        return x86::weigh_group(lot, rows);
    }
    weigh_lanes(simd, lot, rows)
}

multiversion! {
    fn weigh_lanes = weigh_body(lot: &Lot<'_>, rows: &[Sides<'_>; ROWS]) -> [Weighed; ROWS]
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn weigh_body<const B: usize>(lot: &Lot<'_>, rows: &[Sides<'_>; ROWS]) -> [Weighed; ROWS] {
    let mut weighed = [Weighed::default(); ROWS];
    for (weighed, sides) in weighed.iter_mut().zip(rows) {
        *weighed = weigh_one(lot, sides);
    }
    weighed
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn weigh_one(lot: &Lot<'_>, sides: &Sides<'_>) -> Weighed {
    let lanes = sides.scores.len();
    let groups = lanes / LANES;
    let scores = |group: usize| {
        let mut sums = sides.scores.as_chunks::<LANES>().0[group];
        let products = &sides.behind.products.as_chunks::<LANES>().0[group];
        for lane in 0..LANES {
            sums[lane] += products[lane];
        }
        sums
    };
    let mut low = scores(0);
    for group in 1..groups {
        let scores = scores(group);
        for lane in 0..LANES {
            low[lane] = if scores[lane] < low[lane] { scores[lane] } else { low[lane] };
        }
    }
    let least = least_of(low);
    let best = (0..groups)
        .find_map(|group| {
            let scores = scores(group);
            let equal = (0..LANES)
                .fold(0_u32, |equal, lane| equal | u32::from(scores[lane] <= least) << lane);
            (equal != 0).then(|| group * LANES + equal.trailing_zeros() as usize)
        })
        .unwrap_or(0);
    let (near, near_offset) = sides.behind.gaps.from(best);
    let (all, all_offset) = lot.all.from(best);
    let (near, all) = (near.as_chunks::<LANES>().0, all.as_chunks::<LANES>().0);
    let margins = |group: usize| {
        let (mut margins, near, all) = (scores(group), &near[group], &all[group]);
        for lane in 0..LANES {
            let margin = (margins[lane] - least)
                - sides.by_tail * (near[lane] + near_offset)
                - sides.by_error * (all[lane] + all_offset)
                - of_lane(lot, sides, group * LANES + lane);
            let own = group * LANES + lane == best;
            margins[lane] = if own { f32::INFINITY } else { margin };
        }
        margins
    };
    // Of each lane over all groups, the smallest and its group, and the second smallest.
    let (mut first, mut from) = (margins(0), [0; LANES]);
    let mut second = [f32::INFINITY; LANES];
    for group in 1..groups {
        let margins = margins(group);
        for lane in 0..LANES {
            let margin = margins[lane];
            let other = if margin < first[lane] { first[lane] } else { margin };
            second[lane] = if other < second[lane] { other } else { second[lane] };
            from[lane] = if margin < first[lane] { group as u32 } else { from[lane] };
            first[lane] = if margin < first[lane] { margin } else { first[lane] };
        }
    }
    let margin = least_of(first);
    let lane = first.iter().position(|&x| x <= margin).unwrap_or(0);
    first[lane] = second[lane];
    Weighed {
        best: best as u32,
        least,
        margin,
        runner_up: from[lane] * LANES as u32 + lane as u32,
        rest: least_of(first).min(least_of(second)),
        behind_best: behind_best(lot, sides, best),
        own: of_lane(lot, sides, best),
    }
}

/// What a lane's score may be off by on its own account.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn of_lane(lot: &Lot<'_>, sides: &Sides<'_>, lane: usize) -> f32 {
    let sum = sides.norm + lot.norms[lane];
    2.0 * BLOWN * sides.norm * lot.errors[lane] + ROUNDING * (sum * sum)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn behind_best(lot: &Lot<'_>, sides: &Sides<'_>, best: usize) -> f32 {
    sides.by_tail * sides.behind.tails[best] + sides.by_error * lot.norms[best]
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn least_of(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] = if other < lanes[lane] { other } else { lanes[lane] };
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "explicit vector instructions")]
mod x86 {
    use super::super::judge::BLOWN;
    use super::super::kernel::ROWS;
    use super::{LANES, Lot, ROUNDING, Sides, Weighed};
    use std::arch::x86_64::{
        __m512, _CMP_LE_OQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_loadu_ps,
        _mm512_mask_blend_ps, _mm512_mul_ps, _mm512_reduce_min_ps, _mm512_set1_ps, _mm512_sub_ps,
    };

    /// For one group of lanes. The caller holds a token of AVX-512.
    #[inline]
    pub(super) fn weigh_group(lot: &Lot<'_>, rows: &[Sides<'_>; ROWS]) -> [Weighed; ROWS] {
        // SAFETY: the token stands for AVX-512 F.
        unsafe { group(lot, rows) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(values: &[f32]) -> __m512 {
        let values: &[f32; LANES] = values[..LANES].try_into().expect("as long as it was cut");
        // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    /// The first lane that is not above `least`, which one is, as none is NaN.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn first(values: __m512, least: f32) -> usize {
        let equal = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(values, _mm512_set1_ps(least));
        // Keeps the index in bounds.
        equal.trailing_zeros() as usize % LANES
    }

    /// Step by step for all rows, so that no step waits for the one before it.
    #[target_feature(enable = "avx512f")]
    fn group(lot: &Lot<'_>, rows: &[Sides<'_>; ROWS]) -> [Weighed; ROWS] {
        let mut weighed = [Weighed::default(); ROWS];
        let mut values = [_mm512_set1_ps(0.0); ROWS];
        for row in 0..ROWS {
            let sides = &rows[row];
            values[row] = _mm512_add_ps(load(sides.scores), load(sides.behind.products));
            weighed[row].least = _mm512_reduce_min_ps(values[row]);
        }
        let (norms, errors) = (load(lot.norms), load(lot.errors));
        for row in 0..ROWS {
            let (sides, weighed) = (&rows[row], &mut weighed[row]);
            let best = first(values[row], weighed.least);
            let bound = |(values, offset): (&[f32], f32), by: f32| {
                let sum = _mm512_add_ps(load(values), _mm512_set1_ps(offset));
                _mm512_mul_ps(_mm512_set1_ps(by), sum)
            };
            let near = bound(sides.behind.gaps.from(best), sides.by_tail);
            let all = bound(lot.all.from(best), sides.by_error);
            let difference = _mm512_sub_ps(values[row], _mm512_set1_ps(weighed.least));
            let sum = _mm512_add_ps(_mm512_set1_ps(sides.norm), norms);
            let own = _mm512_add_ps(
                _mm512_mul_ps(_mm512_set1_ps(2.0 * BLOWN * sides.norm), errors),
                _mm512_mul_ps(_mm512_set1_ps(ROUNDING), _mm512_mul_ps(sum, sum)),
            );
            let margins = _mm512_sub_ps(_mm512_sub_ps(_mm512_sub_ps(difference, near), all), own);
            values[row] = _mm512_mask_blend_ps(1 << best, margins, _mm512_set1_ps(f32::INFINITY));
            weighed.margin = _mm512_reduce_min_ps(values[row]);
            weighed.best = best as u32;
            weighed.behind_best = super::behind_best(lot, sides, best);
            weighed.own = super::of_lane(lot, sides, best);
        }
        for row in 0..ROWS {
            let runner_up = first(values[row], weighed[row].margin);
            let infinite = _mm512_set1_ps(f32::INFINITY);
            let rest = _mm512_mask_blend_ps(1 << runner_up, values[row], infinite);
            weighed[row].runner_up = runner_up as u32;
            weighed[row].rest = _mm512_reduce_min_ps(rest);
        }
        weighed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_level_weighs_alike(
            groups in 1_usize..4,
            seed in prop::collection::vec(-8_i8..8, 7..40),
            by_tail in 0.0_f32..2.0,
            by_error in 0.0_f32..0.1,
            anchored in any::<bool>(),
            pairwise in any::<bool>(),
        ) {
            // Few different scores: ties are common.
            let lanes = groups * LANES;
            let at = |i: usize| f32::from(seed[i % seed.len()]);
            let scores: Vec<f32> = (0..lanes).map(|i| at(i * 3)).collect();
            let anchor: Vec<f32> = (0..lanes).map(|i| at(i * 5 + 1)).collect();
            let pairs: Vec<f32> = (0..lanes * lanes).map(|i| at(i).abs()).collect();
            let same: Vec<f32> = (0..lanes).map(|i| at(i * 7).abs()).collect();
            let zeros = vec![0.0; lanes];
            let all = Table::pairs(&pairs, &zeros);
            let gaps = if pairwise { all } else { Table::common(&same) };
            let lot = Lot { all, errors: &scores, norms: &same };
            let products = if anchored { &anchor } else { &zeros };
            let behind = Behind { products, gaps, tails: &same };
            let sides = Sides { scores: &scores, behind, by_tail, by_error, norm: by_error };
            let sums: Vec<f32> = scores
                .iter()
                .zip(&anchor)
                .map(|(&score, &anchor)| if anchored { score + anchor } else { score })
                .collect();
            let best = (0..lanes).fold(0, |best, lane| if sums[lane] < sums[best] { lane } else { best });
            let mut margins: Vec<f32> = (0..lanes)
                .map(|lane| {
                    let margin = (sums[lane] - sums[best])
                        - by_tail * gaps.between(best, lane)
                        - by_error * pairs[best * lanes + lane]
                        - of_lane(&lot, &sides, lane);
                    if lane == best { f32::INFINITY } else { margin }
                })
                .collect();
            let unsorted = margins.clone();
            margins.sort_unstable_by(f32::total_cmp);
            let (margin, rest) = (margins[0], margins[1]);
            let behind_best = by_tail * same[best] + by_error * same[best];
            for simd in available() {
                for found in weigh(simd, &lot, &[sides; ROWS]) {
                    prop_assert_eq!((found.best as usize, found.least), (best, sums[best]), "{:?}", simd);
                    prop_assert_eq!((found.margin, found.rest), (margin, rest));
                    prop_assert_eq!(unsorted[found.runner_up as usize].to_bits(), margin.to_bits());
                    prop_assert_eq!(found.behind_best.to_bits(), behind_best.to_bits());
                }
            }
        }
    }
}
