//! The smallest score of a row, and by how much all others are above it for certain.

use super::kernel::LANES;
use crate::simd::{Simd, multiversion};

/// Upper bounds of distances between pairs of lanes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table<'a> {
    /// Of each pair, `[lanes that are used, lanes]`.
    Pairs(&'a [f32]),
    /// Of each lane to something common, `[lanes]`: a pair is no farther apart than their sum.
    Same(&'a [f32]),
}

impl<'a> Table<'a> {
    /// For all lanes, what to add `offset` to for a bound of their distances to lane `a`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn from(self, a: usize, lanes: usize) -> (&'a [f32], f32) {
        match self {
            Self::Pairs(values) => (&values[a * lanes..][..lanes], 0.0),
            Self::Same(values) => (&values[..lanes], values[a]),
        }
    }

    /// Bounds the distance between lanes `a` and `b` of so many `lanes`.
    pub(super) fn between(self, a: usize, b: usize, lanes: usize) -> f32 {
        let (values, offset) = self.from(a, lanes);
        values[b] + offset
    }
}

/// A row's scores and what they may be off by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    /// `[lanes]`.
    pub(super) scores: &'a [f32],
    /// What to add to them, `[lanes]`.
    pub(super) anchor: Option<&'a [f32]>,
    /// What bounds behind the level are multiplied by: they, and each lane's distance from nothing.
    pub(super) by_tail: f32,
    pub(super) behind: (Table<'a>, &'a [f32]),
    /// What bounds of whole centroids are multiplied by, and they.
    pub(super) by_error: f32,
    pub(super) all: Table<'a>,
    /// The row's norm; what lanes' own errors are multiplied by, and they; and lanes' norms.
    pub(super) norm: f32,
    pub(super) by_lane: f32,
    pub(super) errors: &'a [f32],
    pub(super) norms: &'a [f32],
}

/// What [`weigh`] finds.
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

/// What scores without an anchor have added to them.
const NO_ANCHOR: [f32; LANES] = [0.0; LANES];

/// Times the square of a row's and a centroid's norms: what rounding of their score may amount to.
pub(super) const ROUNDING: f32 = 16.0 / 16_777_216.0;

/// Weighs one row's scores.
#[inline]
pub(super) fn weigh(simd: Simd, sides: Sides<'_>) -> Weighed {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == crate::simd::SimdLevel::Avx512 && sides.scores.len() == LANES {
        return x86::weigh_group(&sides);
    }
    weigh_lanes(simd, sides)
}

multiversion! {
    fn weigh_lanes = weigh_body(sides: Sides<'_>) -> Weighed
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn weigh_body<const B: usize>(sides: Sides<'_>) -> Weighed {
    let lanes = sides.scores.len();
    let groups = lanes / LANES;
    let scores = |group: usize| {
        let mut sums = sides.scores.as_chunks::<LANES>().0[group];
        let anchor = sides.anchor.map_or(&NO_ANCHOR, |anchor| &anchor.as_chunks().0[group]);
        for lane in 0..LANES {
            sums[lane] += anchor[lane];
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
    let (near, near_offset) = sides.behind.0.from(best, lanes);
    let (all, all_offset) = sides.all.from(best, lanes);
    let (near, all) = (near.as_chunks::<LANES>().0, all.as_chunks::<LANES>().0);
    let margins = |group: usize| {
        let (mut margins, near, all) = (scores(group), &near[group], &all[group]);
        for lane in 0..LANES {
            let margin = (margins[lane] - least)
                - sides.by_tail * (near[lane] + near_offset)
                - sides.by_error * (all[lane] + all_offset)
                - of_lane(&sides, group * LANES + lane);
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
        behind_best: behind_best(&sides, best),
        own: of_lane(&sides, best),
    }
}

/// What a lane's score may be off by on its own account.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn of_lane(sides: &Sides<'_>, lane: usize) -> f32 {
    let sum = sides.norm + sides.norms[lane];
    sides.by_lane * sides.errors[lane] + ROUNDING * (sum * sum)
}

fn behind_best(sides: &Sides<'_>, best: usize) -> f32 {
    sides.by_tail * sides.behind.1[best] + sides.by_error * sides.norms[best]
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
    use super::{LANES, ROUNDING, Sides, Weighed};
    use std::arch::x86_64::{
        __m512, _CMP_LE_OQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_loadu_ps,
        _mm512_mask_blend_ps, _mm512_mul_ps, _mm512_reduce_min_ps, _mm512_set1_ps, _mm512_sub_ps,
    };

    /// For one group of lanes. The caller holds a token of AVX-512.
    #[inline]
    pub(super) fn weigh_group(sides: &Sides<'_>) -> Weighed {
        // SAFETY: the token stands for AVX-512 F.
        unsafe { group(sides) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(values: &[f32]) -> __m512 {
        let values: &[f32; LANES] = values[..LANES].try_into().expect("as long as it was cut");
        // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn group(sides: &Sides<'_>) -> Weighed {
        let mut scores = load(sides.scores);
        if let Some(anchor) = sides.anchor {
            scores = _mm512_add_ps(scores, load(anchor));
        }
        let least = _mm512_reduce_min_ps(scores);
        let equal = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(scores, _mm512_set1_ps(least));
        // Some lane has the smallest score, as none is NaN; the mask keeps the index in bounds.
        let best = equal.trailing_zeros() as usize % LANES;
        let bound = |(values, offset): (&[f32], f32), by: f32| {
            let sum = _mm512_add_ps(load(values), _mm512_set1_ps(offset));
            _mm512_mul_ps(_mm512_set1_ps(by), sum)
        };
        let near = bound(sides.behind.0.from(best, LANES), sides.by_tail);
        let all = bound(sides.all.from(best, LANES), sides.by_error);
        let difference = _mm512_sub_ps(scores, _mm512_set1_ps(least));
        let sum = _mm512_add_ps(_mm512_set1_ps(sides.norm), load(sides.norms));
        let own = _mm512_add_ps(
            _mm512_mul_ps(_mm512_set1_ps(sides.by_lane), load(sides.errors)),
            _mm512_mul_ps(_mm512_set1_ps(ROUNDING), _mm512_mul_ps(sum, sum)),
        );
        let margins = _mm512_sub_ps(_mm512_sub_ps(_mm512_sub_ps(difference, near), all), own);
        let margins = _mm512_mask_blend_ps(1 << best, margins, _mm512_set1_ps(f32::INFINITY));
        let margin = _mm512_reduce_min_ps(margins);
        let equal = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(margins, _mm512_set1_ps(margin));
        let runner_up = equal.trailing_zeros() as usize % LANES;
        let rest = _mm512_mask_blend_ps(1 << runner_up, margins, _mm512_set1_ps(f32::INFINITY));
        Weighed {
            best: best as u32,
            least,
            margin,
            runner_up: runner_up as u32,
            rest: _mm512_reduce_min_ps(rest),
            behind_best: super::behind_best(sides, best),
            own: super::of_lane(sides, best),
        }
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
            let table = if pairwise { Table::Pairs(&pairs) } else { Table::Same(&same) };
            let sides = Sides {
                scores: &scores,
                anchor: anchored.then_some(&anchor),
                by_tail,
                behind: (table, &same),
                by_error,
                all: Table::Pairs(&pairs),
                norm: by_error,
                by_lane: by_tail,
                errors: &scores,
                norms: &same,
            };
            let sums: Vec<f32> = scores
                .iter()
                .zip(&anchor)
                .map(|(&score, &anchor)| if anchored { score + anchor } else { score })
                .collect();
            let best = (0..lanes).fold(0, |best, lane| if sums[lane] < sums[best] { lane } else { best });
            let mut margins: Vec<f32> = (0..lanes)
                .map(|lane| {
                    let margin = (sums[lane] - sums[best])
                        - by_tail * table.between(best, lane, lanes)
                        - by_error * pairs[best * lanes + lane]
                        - of_lane(&sides, lane);
                    if lane == best { f32::INFINITY } else { margin }
                })
                .collect();
            let all = margins.clone();
            margins.sort_unstable_by(f32::total_cmp);
            let (margin, rest) = (margins[0], margins[1]);
            for simd in available() {
                let found = weigh(simd, sides);
                prop_assert_eq!((found.best as usize, found.least), (best, sums[best]), "{:?}", simd);
                prop_assert_eq!((found.margin, found.rest), (margin, rest));
                prop_assert_eq!(all[found.runner_up as usize].to_bits(), margin.to_bits());
                prop_assert_eq!(found.behind_best.to_bits(), (by_tail * same[best] + by_error * same[best]).to_bits());
            }
        }
    }
}
