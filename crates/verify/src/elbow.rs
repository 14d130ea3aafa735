//! The elbow, found again.

use crate::arithmetic::{first_smallest, r_squared};
use crate::document::FILE;
use crate::violation::{Violation, equal, equal_lists, impossible, near};
use kscan_results::ScanDocument;

/// Absolute tolerance of an R²: see the crate's front page.
const TOLERANCE: f64 = 1e-9;

/// Fewer points have no elbow.
const LEAST_POINTS: usize = 4;

/// That `scan.json`'s elbow is that of its best inertias.
pub(crate) fn check(document: &ScanDocument) -> Result<(), Violation> {
    let ks: Vec<usize> = document.best.iter().map(|best| best.k as usize).collect();
    let points = ks.len();
    let elbow = match document.elbow.found() {
        Some(elbow) => elbow,
        None if points < LEAST_POINTS => return Ok(()),
        None => {
            let what = format_args!("elbow is null, but there are {points} values of k");
            return Err(impossible(FILE, what));
        }
    };
    if points < LEAST_POINTS {
        let what = format_args!("elbow is there, but only {points} values of k");
        return Err(impossible(FILE, what));
    }
    let thresholds: Vec<usize> = (2..=points - 2).collect();
    let what = "elbow.thresholds";
    equal_lists(FILE, what, elbow.thresholds.iter(), thresholds.iter())?;
    let threshold_k = thresholds.iter().map(|&t| ks[t]);
    let found = elbow.threshold_k.iter().copied();
    equal_lists(FILE, "elbow.threshold_k", found, threshold_k)?;

    let x: Vec<f64> = ks.iter().map(|&k| k as f64).collect();
    let y: Vec<f64> = document.best.iter().map(|best| best.inertia).collect();
    let left = thresholds.iter().map(|&t| r_squared(&x[..t], &y[..t]));
    let right = thresholds.iter().map(|&t| r_squared(&x[t..], &y[t..]));
    let (left, right): (Vec<f64>, Vec<f64>) = (left.collect(), right.collect());
    let both = left.iter().zip(&right);
    let mean: Vec<f64> = both.map(|(l, r)| f64::midpoint(*l, *r)).collect();
    for (name, found, expected) in [
        ("score_left", &elbow.score_left, &left),
        ("score_right", &elbow.score_right, &right),
        ("scores", &elbow.scores, &mean),
    ] {
        let what = format_args!("the length of elbow.{name}");
        equal(FILE, what, found.len(), expected.len())?;
        for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let what = format_args!("elbow.{name}[{index}]");
            near(FILE, what, found, expected, TOLERANCE)?;
        }
    }

    // Of its own scores: those that are equal but for rounding may tie here and not there.
    let negated: Vec<f64> = elbow.scores.iter().map(|score| -score).collect();
    let expected = elbow.threshold_k[first_smallest(&negated)];
    equal(FILE, "elbow.k", elbow.k, expected)
}
