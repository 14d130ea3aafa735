//! Kneedle: the knee of a curve by its distance from the chord.

use thiserror::Error;

/// Why Kneedle chooses no k. `Display` is the reason that a report gives.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoKnee {
    /// Two points are a line.
    #[error("a knee needs at least 3 values of k, and there are {points}")]
    TooFewPoints {
        /// How many there are.
        points: usize,
    },
    /// An inertia is NaN or infinite.
    #[error("the inertia at k = {k} is not a finite number")]
    NotFinite {
        /// The first k of which that is so.
        k: usize,
    },
    /// The inertia at the largest k is not below that at the smallest.
    #[error("the inertia does not fall from the smallest k to the largest")]
    NotFalling,
    /// Nothing stands out from the chord by the sensitivity of the method.
    #[error("the curve stays too close to the straight line between its ends")]
    Straight,
    /// What kneed would return is an end of the curve, which nothing can bend at.
    #[error("the curve bends away from its knee: it is not convex")]
    NotConvex,
}

/// Finds the knee of a falling, convex inertia curve.
///
/// The method is Satopää, Albrecht, Irwin and Raghavan's "Finding a 'Kneedle'
/// in a Haystack" (2011), as kneed 0.9.0 has it in
/// `KneeLocator(k, inertia, S=1.0, curve="convex", direction="decreasing")`:
/// both axes are scaled to 0 … 1, and the first point that is highest above
/// the falling chord (seen from below), and after which the curve comes back
/// towards it by more than the mean distance of two k, is the knee.
///
/// `k` has shape `[N]`, strictly ascending; `inertia` has shape `[N]`.
///
/// kneed invents a knee where there is none: an end of a curve that is concave
/// or rises, and points that are away from the chord by less than the
/// sensitivity. Those are no knee here. Every knee returned is kneed's.
///
/// # Errors
///
/// [`NoKnee`] says why there is none.
///
/// # Panics
///
/// If the lengths differ.
pub fn kneedle(k: &[usize], inertia: &[f64]) -> Result<usize, NoKnee> {
    assert_eq!(k.len(), inertia.len(), "k and inertia differ in length");
    let points = k.len();
    if let Some(i) = inertia.iter().position(|value| !value.is_finite()) {
        return Err(NoKnee::NotFinite { k: k[i] });
    }
    if points < 3 {
        return Err(NoKnee::TooFewPoints { points });
    }
    if inertia[points - 1] >= inertia[0] {
        return Err(NoKnee::NotFalling);
    }
    let x: Vec<f64> = k.iter().map(|&k| k as f64).collect();
    let (x, y) = (unit_range(&x), unit_range(inertia));
    let top = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let above: Vec<f64> = x.iter().zip(&y).map(|(x, y)| (top - y) - x).collect();
    let step = 1.0 / (points - 1) as f64;
    let Some(knee) = first_knee(&above, step) else {
        return Err(NoKnee::Straight);
    };
    if knee == 0 || knee == points - 1 || above[knee] <= 0.0 {
        return Err(NoKnee::NotConvex);
    }
    // It came back to the chord and crossed it: any bump does, however flat.
    if above[knee] <= step {
        return Err(NoKnee::Straight);
    }
    Ok(k[knee])
}

/// The index at which kneed finds its knee, `step` being its sensitivity.
fn first_knee(above: &[f64], step: f64) -> Option<usize> {
    let last = above.len() - 1;
    // Ends are extrema where their one neighbour lets them, as scipy's argrelextrema clips.
    let beside = |i: usize| (above[i.saturating_sub(1)], above[(i + 1).min(last)]);
    let is_maximum = |i: usize| above[i] >= beside(i).0 && above[i] >= beside(i).1;
    let is_minimum = |i: usize| above[i] <= beside(i).0 && above[i] <= beside(i).1;
    // The last maximum that was passed, and what the curve has to fall below after it; none after
    // a minimum, until the next maximum.
    let mut passed: Option<(usize, f64)> = None;
    for i in 0..last {
        if is_maximum(i) {
            passed = Some((i, above[i] - step));
        }
        if is_minimum(i) {
            passed = None;
        }
        if let Some((knee, threshold)) = passed
            && above[i + 1] < threshold
        {
            return Some(knee);
        }
    }
    None
}

/// Values scaled so that they range from 0 to 1. Not all of them equal.
fn unit_range(values: &[f64]) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|value| (value - low) / (high - low)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_knee() {
        let k: Vec<usize> = (2..=10).collect();
        let inertia = [100.0, 60.0, 20.0, 18.0, 16.0, 14.0, 12.0, 10.0, 8.0];
        assert_eq!(kneedle(&k, &inertia), Ok(4));
    }

    #[test]
    fn no_knee_is_invented() {
        let k: Vec<usize> = (1..=20).collect();
        let curve = |f: fn(f64) -> f64| -> Vec<f64> { k.iter().map(|&k| f(k as f64)).collect() };
        for (inertia, reason) in [
            (curve(|k| 100.0 - k), NoKnee::Straight),
            (curve(|k| 100.0 - k + 1e-9 * (7.0 * k).sin()), NoKnee::Straight),
            (curve(|k| 100.0 - k + 0.3 * (7.0 * k).sin()), NoKnee::Straight),
            (curve(|k| 500.0 - k * k), NoKnee::NotConvex),
            (curve(|k| k), NoKnee::NotFalling),
            (curve(|_| 0.1), NoKnee::NotFalling),
        ] {
            assert_eq!(kneedle(&k, &inertia), Err(reason), "{inertia:?}");
        }
        assert_eq!(kneedle(&[1, 2], &[2.0, 1.0]), Err(NoKnee::TooFewPoints { points: 2 }));
        assert_eq!(kneedle(&[1, 2, 3], &[2.0, f64::NAN, 0.0]), Err(NoKnee::NotFinite { k: 2 }));
    }
}
