//! Scores from the values themselves, in binary32: a hundred times closer than bytes tell them, for a
//! fraction of what the definition takes.
//!
//! A row `w = (x - m) * unit` has the score `|v|² - 2 w·v` with a centroid `v`, and
//!
//! ```text
//! w·v  =  unit (x·v - m·v)
//! ```
//!
//! so that values need not be centred: `m·v` is the centroid's own, and known in binary64. In `x·v`, `v` is
//! rounded to binary32, and so is each product; that is added to one of 64 sums, of which four at a time are
//! added up before the rest is done in binary64. Every term passes `d / 64 + 7` roundings at most, so by
//! Cauchy and Schwarz, with two more for what else there is, `x·v` is off by `(d / 64 + 9) 2^-24 |x| |v|`,
//! where `|x| <= |w| / unit + |m|`. Where `m` lies far away, that is no longer close, and the definition has
//! to decide. Added are what underflow takes from any term, and a relative `2^-28` of both squared norms for
//! rounding in binary64 and for the definition's own (see [`super::judge`]). What does not fit binary32 is
//! found out afterwards.

use super::bounds::Lead;
use super::centroids::Centroids;
use super::judge::{BLOWN, lead};
use super::kernel::{LANES, Lanes};
use crate::index::{Facts, TINY};
use crate::simd::{Simd, multiversion};

/// Sums of all lanes that a product is added up in, side by side.
const SIDES: usize = 4;

/// Scores of a row with some centroids.
#[derive(Debug, Default)]
pub(super) struct Close {
    /// Whose they are, ascending,
    pub(super) labels: Vec<u32>,
    /// they themselves, as far as they differ: the row's own `|w|²` is left out,
    pub(super) scores: Vec<f64>,
    /// and at least how far each is off.
    pub(super) off: f64,
}

impl Close {
    /// Takes those of a row of these `values`, `[stride]`, and of this `norm`, in units.
    pub(super) fn measure(
        &mut self,
        simd: Simd,
        centroids: &Centroids,
        unit: f64,
        values: &[f32],
        norm: f32,
    ) {
        self.scores.clear();
        for &label in &self.labels {
            let j = label as usize;
            let (centroid, square) = centroids.scaled(j);
            let product = product(simd, &values[..centroid.len()], centroid);
            let product = (product - centroids.center_products[j]) * unit;
            self.scores.push(square - 2.0 * product);
        }
        let d = centroids.scaled(0).0.len();
        let (norm, largest) = (f64::from(norm), centroids.largest);
        let roundings = (d / (SIDES * LANES) + 9) as f64 / f64::from(1 << 24);
        let length = norm + centroids.center_norm * unit;
        let lost = d as f64 * f64::from(f32::MIN_POSITIVE) * (unit + length) + TINY;
        self.off = 2.0 * (roundings * length * largest + lost)
            + (norm * norm + largest * largest) / f64::from(1 << 28);
    }

    /// Takes them from defined `distances`, of a row of this `norm`.
    pub(super) fn define(&mut self, distances: &[f64], unit: f64, norm: f32) {
        let square = f64::from(norm).powi(2);
        self.scores.clear();
        self.scores.extend(distances.iter().map(|distance| distance * unit * unit - square));
        self.off = 0.0;
    }

    /// The label that is nearest for certain, if there is one, and by how much it leads; any other centroid
    /// has a score that is higher by at least `others`.
    pub(super) fn decide(&self, others: f32, facts: &Facts) -> Option<(u32, Lead)> {
        if !self.scores.iter().all(|score| score.is_finite()) {
            return None;
        }
        let [first, second, third] = lowest_three(&self.labels, &self.scores);
        let margin = |other: f64| ((other - first.0 - 2.0 * self.off) * (1.0 - 1e-7)) as f32;
        let (near, rest) = (margin(second.0), margin(third.0).min(others));
        let square = f64::from(facts.norm).powi(2) + first.0 + self.off;
        let distance = square.max(0.0).sqrt() as f32 * BLOWN;
        (near > 0.0).then(|| {
            let (near, rest) = (lead(near, distance), lead(rest, distance));
            (first.1, Lead { near, runner_up: second.1, rest })
        })
    }

    /// Makes the lowest that scores of a row may be what these say, among them that of `best`, which was
    /// known to be at most `most`; all others are moved with it.
    pub(super) fn lower(&self, lows: &mut [f32], most: f32, best: u32) {
        let low = |score: f64| (score - self.off) as f32;
        let found = || self.labels.iter().zip(&self.scores);
        if let Some((_, &score)) = found().find(|&(&label, _)| label == best) {
            let moved = low(score) - most;
            for low in &mut *lows {
                *low += moved;
            }
        }
        for (&label, &score) in found() {
            lows[label as usize] = low(score);
        }
    }
}

/// The lowest of `numbers`, each with the one of `labels` that it is of; infinite where there are not so
/// many.
pub(super) fn lowest_three(labels: &[u32], numbers: &[f64]) -> [(f64, u32); 3] {
    let [mut first, mut second, mut third] = [(f64::INFINITY, 0); 3];
    for (&number, &label) in numbers.iter().zip(labels) {
        if number < first.0 {
            (first, second, third) = ((number, label), first, second);
        } else if number < second.0 {
            (second, third) = ((number, label), second);
        } else if number < third.0 {
            third = (number, label);
        }
    }
    [first, second, third]
}

multiversion! {
    /// The scalar product of two vectors of the same length.
    pub(super) fn product = product_body(a: &[f32], b: &[f32]) -> f64
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn product_body<const B: usize>(a: &[f32], b: &[f32]) -> f64 {
    // By name, as each addition takes longer than all else.
    let [mut first, mut second, mut third, mut fourth] = [[0.0_f32; LANES]; SIDES];
    let (a, a_left) = a.as_chunks::<LANES>();
    let (b, b_left) = b.as_chunks::<LANES>();
    let (a, a_few) = a.as_chunks::<SIDES>();
    let (b, b_few) = b.as_chunks::<SIDES>();
    for (a, b) in a.iter().zip(b) {
        add_products(&mut first, &a[0], &b[0]);
        add_products(&mut second, &a[1], &b[1]);
        add_products(&mut third, &a[2], &b[2]);
        add_products(&mut fourth, &a[3], &b[3]);
    }
    for (a, b) in a_few.iter().zip(b_few) {
        add_products(&mut first, a, b);
    }
    for (sum, (a, b)) in second.iter_mut().zip(a_left.iter().zip(b_left)) {
        *sum += a * b;
    }
    let mut sum = 0.0;
    for lane in 0..LANES {
        sum += f64::from((first[lane] + second[lane]) + (third[lane] + fourth[lane]));
    }
    sum
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_products(sums: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sums[lane] += a[lane] * b[lane];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_are_as_close_as_their_roundings(
            vectors in (0_usize..300).prop_flat_map(|d| {
                let number = prop_oneof![4 => -1e3_f32..1e3, 1 => Just(0.0), 1 => -1e-30_f32..1e-30];
                prop::collection::vec((number.clone(), number), d)
            }),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = vectors.into_iter().unzip();
            let terms = || a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            let (exact, sizes) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
            let roundings = (a.len() / (SIDES * LANES) + 8) as f64 / f64::from(1 << 24);
            let found: Vec<f64> = available().map(|simd| product(simd, &a, &b)).collect();
            for product in &found {
                prop_assert!((product - exact).abs() <= roundings * sizes + 1e-40, "{} {}", product, exact);
                prop_assert_eq!(product.to_bits(), found[0].to_bits());
            }
        }
    }

    #[test]
    fn what_does_not_fit_decides_nothing() {
        let facts = Facts { norm: 1.0, ..Facts::default() };
        let close = |scores: Vec<f64>, off| Close { labels: vec![2, 5, 7], scores, off };
        let (label, lead) = close(vec![0.5, 0.2, 0.9], 0.1).decide(4.0, &facts).expect("it is so");
        assert_eq!((label, lead.runner_up), (5, 2));
        assert!(lead.near < lead.rest);
        assert!(close(vec![0.5, 0.2, 0.9], 0.15).decide(4.0, &facts).is_none());
        assert!(close(vec![0.5, f64::NEG_INFINITY, 0.9], 0.1).decide(4.0, &facts).is_none());
        assert!(close(vec![0.5, f64::NAN, 0.9], 0.1).decide(4.0, &facts).is_none());
    }

    #[test]
    fn scores_lower_what_was_known_by_what_the_best_one_tells() {
        let close = Close { labels: vec![0, 2], scores: vec![0.5, 0.25], off: 0.25 };
        // All may be lower by a common number, here by 1: what was at most 1.25 is 0.25 at least.
        let mut lows = [1.5, 3.0, 0.5];
        close.lower(&mut lows, 1.25, 0);
        assert_eq!(lows.map(f32::to_bits), [0.25_f32, 2.0, 0.0].map(f32::to_bits));
    }
}
