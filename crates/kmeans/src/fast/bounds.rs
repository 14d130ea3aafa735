//! Rows that need no look at all, because no centroid has moved far enough since the last one.
//!
//! Hamerly (2010): with `lead <= |x - c_j| - |x - c_a|` for a row's own centroid `a` and every other
//! `j`, its label stands as long as what `a` and the fastest other centroid have moved since adds up
//! to less. The centroid that comes next is most often not the fastest, and others lie much farther
//! away, so a row keeps two leads ([`Lead`]), as in Yinyang K-means (Ding and others 2015) with
//! groups of its own: one over the runner-up `b`, which what `a` and `b` have moved must reach, and
//! one over all the rest. Instead of moving bounds in every iteration, each centroid keeps the sum
//! of its movements and of those of the fastest other, and each row the values that these may reach
//! ([`Limits`]): its leads plus the sums at the time of the look.
//!
//! # Rounding
//!
//! Movements are taken in binary64 from the centroids themselves and blown up by `1e-9`, which
//! covers the rounding of up to 2³² terms' norms (relative error below `d * 2^-52`), of the sum, and
//! of the definition's own distances: that compares `D_j (1 ± g)` with `D_a (1 ± g)`, `g` below
//! `(d / 16 + 8) * 2^-53`, so that a true lead above `3 g D_a` suffices. At the look, `3 g D_a` was
//! taken off the lead; since then `D_a` has grown by no more than what was travelled. `travelled`
//! is rounded up and a row's limit down to binary32 for the comparison.

use super::kernel;
use crate::index::up;
use crate::rows::LANES;
use crate::simd::{Simd, multiversion};
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

/// What movements may add up to before rows have to be looked at, `[n]` each.
#[derive(Debug)]
pub(super) struct Limits {
    /// Those of a row's own centroid and of the runner-up.
    near: Vec<f32>,
    runner_up: Vec<u32>,
    /// Those of its own and of the fastest other.
    rest: Vec<f32>,
}

impl Limits {
    /// Of `n` rows that have to be looked at in any case.
    pub(super) fn none(n: usize) -> Self {
        let none = vec![f32::NEG_INFINITY; n];
        Self { near: none.clone(), runner_up: vec![0; n], rest: none }
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

    /// Sets the limit of a `row` of centroid `label` with this `lead`. Leads that are not above 0
    /// make the row be looked at in the next iteration.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as whoever settles rows by it")]
    pub(super) fn limit(&self, limits: &mut Limits, row: u32, label: u32, lead: &Lead) {
        let row = row as usize;
        let own = self.own_sums[label as usize];
        let runner_up = self.own_sums[lead.runner_up as usize];
        let leads = lead.near > 0.0 && lead.rest > 0.0;
        // Numbers rounded up by 2^-23, two sums of them, and the scan's one: below 5e-7 together,
        // as none is negative.
        let near = (lead.near + (own + runner_up)) * (1.0 - 5e-7);
        let rest = (lead.rest + self.travelled_sums[label as usize]) * (1.0 - 5e-7);
        limits.near[row] = if leads { near } else { f32::NEG_INFINITY };
        limits.runner_up[row] = lead.runner_up;
        limits.rest[row] = rest;
    }

    /// Appends to `found` those of `rows` that have reached their limits.
    pub(super) fn reached(
        &self,
        simd: Simd,
        limits: &Limits,
        rows: Range<usize>,
        labels: &[u32],
        found: &mut Vec<u32>,
    ) {
        let sums = kernel::Sums { own: &self.own_sums, travelled: &self.travelled_sums };
        let limits = kernel::Reach {
            near: &limits.near[rows.clone()],
            runner_up: &limits.runner_up[rows.clone()],
            rest: &limits.rest[rows.clone()],
            labels,
        };
        kernel::reached(simd, &sums, &limits, rows.start as u32, found);
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

    #[test]
    fn a_row_is_reached_exactly_when_its_lead_may_be_used_up() {
        let simd = Simd::detect();
        let mut travel = Travel::new(1.0, 3, LANES);
        let mut centroids = vec![0.0; 3 * LANES];
        travel.advance(simd, &centroids);
        let labels = [0, 1, 1, 2, 2, 0];
        let lead = |near, runner_up, rest| Lead { near, runner_up, rest };
        let mut limits = Limits::none(16);
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
            travel.limit(&mut limits, 10 + row as u32, labels[row], lead);
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
