//! The elbow of an inertia curve: two straight lines that meet.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::line::fit_line;

/// The elbow of a curve, with the score of every possible one.
///
/// `thresholds`, `threshold_k`, `score_left`, `score_right` and `scores` all
/// have shape `[N - 3]` for a curve of N points, and belong together by index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Elbow {
    /// The chosen number of clusters: `threshold_k` of the first largest score.
    pub k: usize,
    /// Where the curve was cut: `t` means that points `0..t` are left, `t..N`
    /// right. Always 2, 3, … N - 2.
    pub thresholds: Vec<usize>,
    /// The k of the point at each threshold, the first of its right segment:
    /// the axis to plot scores against.
    pub threshold_k: Vec<usize>,
    /// R² of the line through the left points, from 0 to 1.
    pub score_left: Vec<f64>,
    /// R² of the line through the right points, from 0 to 1.
    pub score_right: Vec<f64>,
    /// Mean of the two, from 0 to 1.
    pub scores: Vec<f64>,
}

/// Why a curve has no elbow. Not a failure of a scan: `Display` is the reason
/// that a report gives.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoElbow {
    /// Two lines need two points each.
    #[error("an elbow needs at least 4 values of k, and there are {points}")]
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
    /// The values of k do not ascend strictly.
    #[error("the values of k do not ascend: {next} comes after {k}")]
    NotAscending {
        /// The one before.
        k: usize,
        /// The one that is not larger.
        next: usize,
    },
    /// There are more, or fewer, inertias than values of k.
    #[error("there are {k} values of k and {inertia} inertias")]
    LengthMismatch {
        /// How many values of k.
        k: usize,
        /// How many inertias.
        inertia: usize,
    },
}

/// Finds where an inertia curve bends most, by piecewise linear regression.
///
/// `k` has shape `[N]`, strictly ascending with any steps; `inertia` has shape
/// `[N]`, one value per k in any unit (only its shape counts). For every
/// threshold t from 2 to N - 2 one straight line is fitted to the points
/// `0..t` and one to `t..N`, by least squares ([`fit_line`]; scikit-learn's
/// `LinearRegression().fit` and `.score`). A threshold's score is the mean of
/// the two R², and the elbow is the k at the first threshold of the largest
/// score. A segment of two points, and a constant one, has R² = 1.
///
/// Equal scores are compared as they are in f64: where two thresholds are
/// equally good in exact arithmetic (a straight or constant curve has no bend
/// at all), rounding may decide between them, the same way every time.
///
/// # Errors
///
/// [`NoElbow`] if there are fewer than 4 points, an inertia is not finite, `k`
/// does not ascend strictly, or the lengths differ.
pub fn find_elbow(k: &[usize], inertia: &[f64]) -> Result<Elbow, NoElbow> {
    if k.len() != inertia.len() {
        return Err(NoElbow::LengthMismatch { k: k.len(), inertia: inertia.len() });
    }
    if let Some(pair) = k.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(NoElbow::NotAscending { k: pair[0], next: pair[1] });
    }
    if let Some(i) = inertia.iter().position(|value| !value.is_finite()) {
        return Err(NoElbow::NotFinite { k: k[i] });
    }
    let points = k.len();
    if points < 4 {
        return Err(NoElbow::TooFewPoints { points });
    }

    let x: Vec<f64> = k.iter().map(|&k| k as f64).collect();
    let thresholds: Vec<usize> = (2..=points - 2).collect();
    let score = |from: usize, to: usize| fit_line(&x[from..to], &inertia[from..to]).r_squared;
    let score_left: Vec<f64> = thresholds.iter().map(|&t| score(0, t)).collect();
    let score_right: Vec<f64> = thresholds.iter().map(|&t| score(t, points)).collect();
    let scores: Vec<f64> = score_left
        .iter()
        .zip(&score_right)
        .map(|(left, right)| f64::midpoint(*left, *right))
        .collect();

    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = i;
        }
    }
    let threshold_k: Vec<usize> = thresholds.iter().map(|&t| k[t]).collect();
    Ok(Elbow { k: threshold_k[best], thresholds, threshold_k, score_left, score_right, scores })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clear_knee() {
        let k: Vec<usize> = (2..=10).collect();
        let inertia = [100.0, 80.0, 60.0, 40.0, 20.0, 19.0, 18.0, 17.0, 16.0];
        let elbow = find_elbow(&k, &inertia).expect("nine points have an elbow");
        // k = 6 lies on both lines: cut before or after it, both fit perfectly.
        assert!(elbow.k == 6 || elbow.k == 7, "{elbow:?}");
        assert_eq!(elbow.thresholds, [2, 3, 4, 5, 6, 7]);
        assert_eq!(elbow.threshold_k, [4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn four_points_have_one_threshold() {
        let elbow = find_elbow(&[1, 5, 6, 20], &[9.0, 3.0, 2.0, 1.0]).expect("four points");
        let ones = vec![1.0];
        assert_eq!(
            elbow,
            Elbow {
                k: 6,
                thresholds: vec![2],
                threshold_k: vec![6],
                score_left: ones.clone(),
                score_right: ones.clone(),
                scores: ones,
            }
        );
    }

    #[test]
    fn a_constant_curve_takes_the_first_threshold() {
        let elbow = find_elbow(&[3, 4, 5, 6, 7, 8], &[0.1; 6]).expect("six points");
        assert_eq!(elbow.k, 5);
        assert_eq!(elbow.scores, [1.0; 3]);
    }

    #[test]
    fn fewer_than_four_points() {
        for points in 0..4 {
            let k: Vec<usize> = (0..points).collect();
            let reason = find_elbow(&k, &vec![1.0; points]).expect_err("too few");
            assert_eq!(reason, NoElbow::TooFewPoints { points });
        }
        assert_eq!(
            NoElbow::TooFewPoints { points: 3 }.to_string(),
            "an elbow needs at least 4 values of k, and there are 3"
        );
    }

    #[test]
    fn what_is_no_curve() {
        let y = [4.0, 3.0, 2.0, 1.0];
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let reason = find_elbow(&[1, 2, 3, 4], &[4.0, 3.0, bad, 1.0]).expect_err("not finite");
            assert_eq!(reason, NoElbow::NotFinite { k: 3 });
        }
        assert_eq!(
            find_elbow(&[1, 2, 2, 4], &y).expect_err("a step of 0"),
            NoElbow::NotAscending { k: 2, next: 2 }
        );
        assert_eq!(
            find_elbow(&[1, 2, 3], &y).expect_err("lengths"),
            NoElbow::LengthMismatch { k: 3, inertia: 4 }
        );
    }

    #[test]
    fn serialises() {
        let elbow = find_elbow(&[1, 2, 3, 4, 5], &[9.0, 4.0, 2.0, 1.5, 1.3]).expect("five points");
        let text = serde_json::to_string(&elbow).expect("plain data");
        assert_eq!(serde_json::from_str::<Elbow>(&text).expect("what was written"), elbow);
    }

    proptest! {
        #[test]
        fn any_curve_gives_sound_scores(
            steps in prop::collection::vec((1..1000_usize, any::<f64>()), 4..25)
        ) {
            let mut at = 0;
            let (k, inertia): (Vec<usize>, Vec<f64>) =
                steps.into_iter().map(|(step, y)| { at += step; (at, y) }).unzip();
            match find_elbow(&k, &inertia) {
                Err(reason) => {
                    prop_assert!(matches!(reason, NoElbow::NotFinite { .. }), "{}", reason);
                    prop_assert!(inertia.iter().any(|y| !y.is_finite()));
                }
                Ok(elbow) => {
                    let n = k.len();
                    prop_assert_eq!(&elbow.thresholds, &(2..=n - 2).collect::<Vec<_>>());
                    let best = elbow.scores.iter().copied().fold(0.0, f64::max);
                    let first = elbow.scores.iter().position(|s| *s >= best).expect("a maximum");
                    prop_assert_eq!(elbow.k, k[elbow.thresholds[first]]);
                    for i in 0..n - 3 {
                        prop_assert_eq!(elbow.threshold_k[i], k[elbow.thresholds[i]]);
                        prop_assert!((0.0..=1.0).contains(&elbow.score_left[i]));
                        prop_assert!((0.0..=1.0).contains(&elbow.score_right[i]));
                        let mean = f64::midpoint(elbow.score_left[i], elbow.score_right[i]);
                        prop_assert_eq!(elbow.scores[i].to_bits(), mean.to_bits());
                    }
                    // The ends are segments of two points.
                    prop_assert_eq!(elbow.score_left[0].to_bits(), 1.0_f64.to_bits());
                    prop_assert_eq!(elbow.score_right[n - 4].to_bits(), 1.0_f64.to_bits());
                }
            }
        }

        #[test]
        fn two_steep_lines_are_told_apart(
            left in 3..12_usize,
            right in 3..12_usize,
            steep in 5.0..100.0_f64,
            flat in 0.0..1.0_f64,
            gap in 50.0..500.0_f64,
        ) {
            let n = left + right;
            let k: Vec<usize> = (2..2 + n).collect();
            let inertia: Vec<f64> = (0..n)
                .map(|i| {
                    if i < left {
                        gap + steep * (left - i) as f64
                    } else {
                        -flat * (i - left) as f64
                    }
                })
                .collect();
            prop_assert_eq!(find_elbow(&k, &inertia).expect("enough points").k, k[left]);
        }
    }
}
