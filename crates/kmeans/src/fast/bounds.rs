//! Rows that need no look at all, because no centroid has moved far enough since the last one.
//!
//! Hamerly (2010): with `lead <= |x - c_j| - |x - c_a|` for a row's own centroid `a` and every other
//! `j`, its label stands as long as what `a` and the fastest other centroid have moved since adds up
//! to less. The centroid that comes next is most often not the fastest, and others lie much farther
//! away, so a row keeps two leads ([`Lead`]), as in Yinyang K-means (Ding and others 2015) with
//! groups of its own: one over the runner-up `b`, which what `a` and `b` have moved must reach, and
//! one over all the rest. Instead of moving bounds in every iteration, each centroid keeps the sum
//! of its movements and of those of the fastest other, and each row the values that these may reach
//! ([`Limit`]): its leads plus the sums at the time of the look.
//!
//! # Rounding
//!
//! Movements are taken in binary64 from the centroids themselves and blown up by `1e-9`, which
//! covers the rounding of up to 2³² terms' norms (relative error below `d * 2^-52`), of the sum, and
//! of the definition's own distances: that compares `D_j (1 ± g)` with `D_a (1 ± g)`, `g` below
//! `(d / 16 + 8) * 2^-53`, so that a true lead above `3 g D_a` suffices. At the look, `3 g D_a` was
//! taken off the lead; since then `D_a` has grown by no more than what was travelled. `travelled`
//! is rounded up and a row's limit down to binary32 for the comparison.

use super::judge::Verdicts;
use super::kernel::{self, ROWS};
use crate::index::up;
use crate::rows::LANES;
use crate::simd::{Simd, multiversion};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// How much nearer a row is to its centroid than to others, in units.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lead {
    /// At most by how much the runner-up is farther away; not above 0 where there may be none.
    pub(super) near: f32,
    pub(super) runner_up: u32,
    /// The same of all others.
    pub(super) rest: f32,
}

impl Lead {
    /// `lead` over all others alike.
    pub(super) fn over_all(lead: f32) -> Self {
        Self { near: if lead > 0.0 { f32::INFINITY } else { 0.0 }, runner_up: 0, rest: lead }
    }
}

/// What movements may add up to before a row has to be looked at: eight bytes, as all rows' limits are read
/// in every iteration.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Limit {
    /// The bits of what its own centroid and the runner-up may move, rounded down so that the last eight
    /// have room for the number of the runner-up.
    near: u32,
    /// Those of what its own and the fastest other may move, with room for the number of its own.
    rest: u32,
}

/// The last bits of both, which a number of a centroid may have room in.
pub(super) const NUMBER: u32 = 0xff;

impl Limit {
    /// Of a row that has to be looked at in any case: what is below 0 is reached.
    pub(super) const NONE: Self = Self { near: 1 << 31, rest: 0 };

    /// What follows from leads of a row, and sums of movements at the time of the look. Without leads above
    /// 0, it has to be looked at in the next iteration.
    pub(super) fn new(lead: Lead, label: u32, own: f32, runner_up: f32, travelled: f32) -> Self {
        let has_room = lead.runner_up <= NUMBER;
        let lower = if lead.near < lead.rest { lead.near } else { lead.rest };
        let rest = if has_room { lead.rest } else { lower };
        // Numbers rounded up by 2^-23, two sums of them, and the scan's one: below 5e-7 together,
        // as none is negative.
        let near = (lead.near + (own + runner_up)) * (1.0 - 5e-7);
        let near = if has_room { near } else { f32::INFINITY };
        let rest = (rest + travelled) * (1.0 - 5e-7);
        // Numbers above 0 are in the order of their bits, and these are below them with any last ones.
        let [near, rest] = [near, rest].map(|limit| limit.to_bits() & !NUMBER);
        let leads = lead.near > 0.0 && lead.rest > 0.0 && near > NUMBER && rest > NUMBER;
        let below = |limit: u32, number: u32| limit.wrapping_sub(NUMBER + 1) | (number & NUMBER);
        if leads {
            Self { near: below(near, lead.runner_up), rest: below(rest, label) }
        } else {
            Self::NONE
        }
    }

    /// The limit over the runner-up, and which that is.
    #[inline]
    pub(super) fn near(self) -> (f32, u32) {
        (f32::from_bits(self.near), self.near & NUMBER)
    }

    /// The limit over all others.
    #[inline]
    pub(super) fn rest(self) -> f32 {
        f32::from_bits(self.rest)
    }
}

/// Room for every relative rounding above.
const GROWTH: f64 = 1.0 + 1e-9;

pub(super) struct Travel {
    unit: f64,
    stride: usize,
    /// The centroids of the last iteration, `[k, stride]`; empty before the first.
    last: Vec<f64>,
    /// Each centroid's own movements, and those together with the fastest other's.
    own: Vec<f64>,
    travelled: Vec<f64>,
    /// The same, rounded up, with room for a whole group of lanes.
    own_sums: Vec<f32>,
    travelled_sums: Vec<f32>,
}

impl Travel {
    pub(super) fn new(unit: f64, k: usize, stride: usize) -> Self {
        Self {
            unit,
            stride,
            last: Vec::new(),
            own: vec![0.0; k],
            travelled: vec![0.0; k],
            own_sums: vec![0.0; k.next_multiple_of(LANES)],
            travelled_sums: vec![0.0; k.next_multiple_of(LANES)],
        }
    }

    /// What distances are multiplied by.
    pub(super) fn unit(&self) -> f64 {
        self.unit
    }

    /// Takes note of where `centroids`, `[k, stride]`, are now.
    pub(super) fn advance(&mut self, simd: Simd, centroids: &[f64]) {
        if self.last.is_empty() {
            self.last = centroids.to_vec();
            return;
        }
        let moved: Vec<f64> = self
            .last
            .chunks_exact_mut(self.stride)
            .zip(centroids.chunks_exact(self.stride))
            .map(|(last, centroid)| replace(simd, last, centroid).sqrt() * self.unit)
            .collect();
        let mut fastest = 0;
        let mut second = 0.0;
        for (j, &distance) in moved.iter().enumerate().skip(1) {
            if distance > moved[fastest] {
                second = moved[fastest];
                fastest = j;
            } else if distance > second {
                second = distance;
            }
        }
        for j in 0..moved.len() {
            let other = if j == fastest { second } else { moved[fastest] };
            let add = |sum: f64, moved: f64| (sum + moved * GROWTH) * (1.0 + 1e-15);
            self.own[j] = add(self.own[j], moved[j]);
            self.travelled[j] = add(self.travelled[j], moved[j] + other);
            self.own_sums[j] = up(self.own[j]);
            self.travelled_sums[j] = up(self.travelled[j]);
        }
    }

    /// What has been moved so far.
    fn sums(&self) -> kernel::Sums<'_> {
        kernel::Sums { own: &self.own_sums, travelled: &self.travelled_sums }
    }

    /// The limit of a row of centroid `label` with this `lead`.
    pub(super) fn limit(&self, label: u32, lead: Lead) -> Limit {
        let kernel::Sums { own, travelled } = self.sums();
        let runner_up = own[lead.runner_up as usize];
        Limit::new(lead, label, own[label as usize], runner_up, travelled[label as usize])
    }

    /// The limits of rows that `verdicts` decide.
    pub(super) fn limits(&self, simd: Simd, verdicts: &Verdicts) -> [Limit; ROWS] {
        let mut limits = [Limit::NONE; ROWS];
        kernel::limits(simd, &self.sums(), verdicts, &mut limits);
        limits
    }

    /// Appends to `found` those of `rows` that have reached their limits.
    pub(super) fn reached(
        &self,
        simd: Simd,
        limits: &[Limit],
        rows: Range<usize>,
        labels: &[u32],
        found: &mut Vec<u32>,
    ) {
        let first = rows.start as u32;
        kernel::reached(simd, &self.sums(), &limits[rows], labels, first, found);
    }
}

multiversion! {
    /// Puts `centroid` in the place of `last`, and returns the squared distance between them.
    fn replace = replace_body(last: &mut [f64], centroid: &[f64]) -> f64
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn replace_body<const B: usize>(last: &mut [f64], centroid: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let chunks = last.as_chunks_mut::<LANES>().0.iter_mut();
    for (last, centroid) in chunks.zip(centroid.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let difference = last[lane] - centroid[lane];
            sums[lane] += difference * difference;
        }
        *last = *centroid;
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;

    /// No limit is above what a row may move, also where the runner-up has no room in it.
    #[test]
    fn limits_are_no_further_than_leads() {
        let numbers = [0.0, 1e-45, 3e-43, 1e-38, 1e-9, 0.01, 0.7, 1e9, 3e38, f32::INFINITY];
        for (near, rest) in numbers.iter().flat_map(|&near| numbers.map(|rest| (near, rest))) {
            for (sums, runner_up) in [(0.0, 0), (0.0, 255), (0.3, 17), (1e3, 255), (0.1, 256)] {
                let limit = Limit::new(Lead { near, runner_up, rest }, 5, sums, sums, sums);
                let (of_near, found) = limit.near();
                let by_near = f64::from(of_near) <= f64::from(near) + 2.0 * f64::from(sums);
                let by_rest = f64::from(limit.rest()) <= f64::from(rest) + f64::from(sums);
                assert!(by_rest, "{near} {rest} {sums}: {limit:?}");
                if near > 0.0 && rest > 0.0 && of_near > 0.0 {
                    assert_eq!(limit.rest().to_bits() & NUMBER, 5, "{limit:?}");
                    let holds_for_all = limit.rest() <= near + sums;
                    assert!(if found == runner_up { by_near } else { holds_for_all }, "{limit:?}");
                    let lost = f64::from(near) * 1e-4 + f64::from(sums) * 1e-4;
                    let is_close = f64::from(of_near) + lost >= f64::from(near.min(3e38));
                    assert!(is_close, "{near} {rest} {sums}: {limit:?}");
                } else if near == 0.0 || rest == 0.0 {
                    assert!(of_near <= 0.0, "without a lead, rows are looked at");
                }
            }
        }
        let nan = Lead { near: f32::NAN, runner_up: 3, rest: 1.0 };
        assert_eq!(Limit::new(nan, 5, 0.0, 0.0, 0.0), Limit::NONE);
    }

    #[test]
    fn limits_of_many_rows_are_those_of_each() {
        for (simd, k) in available().flat_map(|simd| [(simd, 300), (simd, 13)]) {
            let mut travel = Travel::new(1.0, k, LANES);
            let mut centroids = vec![0.0; k * LANES];
            travel.advance(simd, &centroids);
            let moves = centroids.iter_mut().step_by(LANES).enumerate();
            moves.for_each(|(j, centroid)| *centroid = (j * 37 % 101) as f64 / 97.0);
            travel.advance(simd, &centroids);
            let verdicts = Verdicts {
                best: std::array::from_fn(|row| (row * 7 % k) as u32),
                runner_up: std::array::from_fn(|row| (row * 31 % k) as u32),
                near: std::array::from_fn(|row| row as f32 / 3.0 - 1.0),
                rest: std::array::from_fn(|row| 3.0 - row as f32 / 3.0),
                ..Verdicts::default()
            };
            let expected: [Limit; ROWS] =
                std::array::from_fn(|row| travel.limit(verdicts.best[row], verdicts.lead(row)));
            assert_eq!(travel.limits(simd, &verdicts), expected, "{simd:?}");
        }
    }

    #[test]
    fn a_row_is_reached_exactly_when_its_lead_may_be_used_up() {
        let simd = Simd::detect();
        let mut travel = Travel::new(1.0, 3, LANES);
        let mut centroids = vec![0.0; 3 * LANES];
        travel.advance(simd, &centroids);
        let labels = [0, 1, 1, 2, 2, 0];
        let lead = |near, runner_up, rest| Lead { near, runner_up, rest };
        let mut limits = [Limit::NONE; 16];
        for (row, lead) in [
            Lead::over_all(0.5),
            Lead::over_all(0.3),
            Lead::over_all(0.31),
            Lead::over_all(f32::NAN),
            // Little over the one that does not move, much over the rest.
            lead(0.01, 0, 0.9),
            lead(0.29, 1, 0.9),
        ]
        .iter()
        .enumerate()
        {
            limits[10 + row] = travel.limit(labels[row], *lead);
        }
        let reached = |travel: &Travel| {
            let mut found = Vec::new();
            travel.reached(simd, &limits, 10..16, &labels, &mut found);
            found
        };
        assert_eq!(reached(&travel), [13], "no lead is no promise");
        // Centroid 1 moves: for its own rows that counts, for those it is the runner-up of, and for
        // all others as the fastest.
        centroids[LANES] = 0.3;
        travel.advance(simd, &centroids);
        assert_eq!(reached(&travel), [11, 13, 15]);
        centroids[0] = 0.005;
        travel.advance(simd, &centroids);
        assert_eq!(reached(&travel), [11, 13, 15]);
        centroids[0] = 0.2;
        centroids[LANES] = 0.25;
        travel.advance(simd, &centroids);
        assert_eq!(reached(&travel), [10, 11, 12, 13, 14, 15]);
    }
}
