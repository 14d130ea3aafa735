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

use crate::index::up;
use crate::rows::LANES;
use crate::simd::{Simd, multiversion};

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

/// What movements may add up to before a row has to be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Those of its own centroid and of the runner-up.
    near: f32,
    runner_up: u32,
    /// Those of its own and of the fastest other.
    rest: f32,
}

impl Limit {
    /// Of a row that has to be looked at in any case.
    pub(super) const NONE: Self =
        Self { near: f32::NEG_INFINITY, runner_up: 0, rest: f32::NEG_INFINITY };
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
    /// The same, rounded up, and what the last iteration added.
    sums: Vec<Sums>,
    steps: Vec<Sums>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    own: f32,
    travelled: f32,
}

impl Travel {
    pub(super) fn new(unit: f64, k: usize, stride: usize) -> Self {
        Self {
            unit,
            stride,
            last: Vec::new(),
            own: vec![0.0; k],
            travelled: vec![0.0; k],
            sums: vec![Sums::default(); k],
            steps: vec![Sums::default(); k],
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
            let step = Sums { own: moved[j] as f32, travelled: (moved[j] + other) as f32 };
            let add = |sum: f64, moved: f64| (sum + moved * GROWTH) * (1.0 + 1e-15);
            self.own[j] = add(self.own[j], moved[j]);
            self.travelled[j] = add(self.travelled[j], moved[j] + other);
            self.sums[j] = Sums { own: up(self.own[j]), travelled: up(self.travelled[j]) };
            self.steps[j] = step;
        }
    }

    /// For how many iterations like the last one a row of centroid `label` with this `lead` needs
    /// no look.
    pub(super) fn outlook(&self, label: u32, lead: &Lead) -> f32 {
        let step = &self.steps[label as usize];
        let near = lead.near / (step.own + self.steps[lead.runner_up as usize].own);
        near.min(lead.rest / step.travelled)
    }

    /// The limit of a row of centroid `label` with this `lead`. Leads that are not above 0 make the
    /// row be looked at in the next iteration.
    pub(super) fn limit(&self, label: u32, lead: &Lead) -> Limit {
        let leads = lead.near > 0.0 && lead.rest > 0.0;
        if !leads {
            return Limit::NONE;
        }
        let sums = &self.sums[label as usize];
        let runner_up = self.sums[lead.runner_up as usize].own;
        // Numbers rounded up by 2^-23, two sums of them, and the scan's one: below 5e-7 together,
        // as none is negative.
        Limit {
            near: (lead.near + (sums.own + runner_up)) * (1.0 - 5e-7),
            runner_up: lead.runner_up,
            rest: (lead.rest + sums.travelled) * (1.0 - 5e-7),
        }
    }

    /// Appends to `found` the rows, counted from `first`, that have reached their limits.
    pub(super) fn reached(
        &self,
        simd: Simd,
        first: usize,
        limits: &[Limit],
        labels: &[u32],
        found: &mut Vec<u32>,
    ) {
        let start = found.len();
        found.resize(start + limits.len(), 0);
        let count = scan(simd, &self.sums, first as u32, limits, labels, &mut found[start..]);
        found.truncate(start + count);
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

multiversion! {
    /// Writes the rows whose limits are not above the sums of their centroids; returns how many.
    fn scan = scan_body(
        sums: &[Sums], first: u32, limits: &[Limit], labels: &[u32], found: &mut [u32],
    ) -> usize
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn scan_body<const B: usize>(
    sums: &[Sums],
    first: u32,
    limits: &[Limit],
    labels: &[u32],
    found: &mut [u32],
) -> usize {
    let mut count = 0;
    for (row, (limit, &label)) in (first..).zip(limits.iter().zip(labels)) {
        found[count] = row;
        // A row without a label yet has no limit either.
        let own = sums.get(label as usize).copied().unwrap_or_default();
        let near = own.own + sums[limit.runner_up as usize].own;
        let stays = limit.near > near && limit.rest > own.travelled;
        count += usize::from(!stays);
    }
    count
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
        let limits: Vec<Limit> = [
            Lead::over_all(0.5),
            Lead::over_all(0.3),
            Lead::over_all(0.31),
            Lead::over_all(f32::NAN),
            // Little over the one that does not move, much over the rest.
            lead(0.01, 0, 0.9),
            lead(0.29, 1, 0.9),
        ]
        .iter()
        .zip(labels)
        .map(|(lead, label)| travel.limit(label, lead))
        .collect();
        let reached = |travel: &Travel| {
            let mut found = Vec::new();
            travel.reached(simd, 10, &limits, &labels, &mut found);
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
