//! How sure the elbow is of its initialisations.

use crate::elbow::find_elbow;
use kscan_kmeans::random::RunRandom;
use serde::{Deserialize, Serialize};

/// How many times the initialisations are drawn again.
pub const RESAMPLES: usize = 1000;

/// In what share of resamples each k is the elbow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// How many resamples there were: [`RESAMPLES`], or 0.
    pub resamples: usize,
    /// The share of them, from 0 to 1, in which each k that can be an elbow
    /// was; in the order of `Elbow::threshold_k`. Empty without resamples.
    pub shares: Vec<f64>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Finds the elbow again and again, of runs drawn from those there are.
///
/// `inertias` has for every k, ascending, the inertias of its runs by ascending
/// `init_id`. A resample draws as many runs of every k as it has, with
/// replacement (Efron, "Bootstrap methods", 1979), keeps the best of each, and
/// finds their elbow ([`find_elbow`]). What it measures is how much the elbow
/// depends on which initialisations were tried; it says nothing of how it
/// would move with other data.
///
/// Resamples draw one after another from the stream of `seed` that belongs to
/// k = 0 and `init_id` 0, which no run has: for every resample, for every k
/// ascending, for every run, one index.
#[must_use]
pub fn elbow_confidence(inertias: &[(usize, Vec<f64>)], seed: u64) -> Confidence {
    let none = |reason: &str| Confidence {
        resamples: 0,
        shares: Vec::new(),
        reason: Some(reason.to_owned()),
    };
    if inertias.iter().all(|(_, runs)| runs.len() < 2) {
        return none("with one run a k there is nothing to resample");
    }
    let ks: Vec<usize> = inertias.iter().map(|(k, _)| *k).collect();
    let mut random = RunRandom::new(seed, 0, 0);
    let mut times = vec![0_u32; ks.len()];
    for _ in 0..RESAMPLES {
        let best: Vec<f64> = inertias.iter().map(|(_, runs)| resample(runs, &mut random)).collect();
        let Ok(elbow) = find_elbow(&ks, &best) else {
            return none("there is no elbow");
        };
        for (times, &k) in times.iter_mut().zip(&ks) {
            *times += u32::from(k == elbow.k);
        }
    }
    // What find_elbow can choose: every k but the first two and the last.
    let shares = times[2..ks.len() - 1].iter().map(|&times| f64::from(times) / RESAMPLES as f64);
    Confidence { resamples: RESAMPLES, shares: shares.collect(), reason: None }
}

/// The best of as many runs as there are, drawn with replacement.
fn resample(runs: &[f64], random: &mut RunRandom) -> f64 {
    (0..runs.len()).map(|_| runs[random.index(runs.len())]).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_agree_leave_no_doubt() {
        let inertias: Vec<(usize, Vec<f64>)> = [9.0, 4.0, 3.5, 3.0, 2.5, 2.0]
            .iter()
            .enumerate()
            .map(|(i, &inertia)| (i + 2, vec![inertia; 3]))
            .collect();
        let confidence = elbow_confidence(&inertias, 0);
        assert_eq!(confidence.shares, [1.0, 0.0, 0.0]);
        assert_eq!(confidence.resamples, RESAMPLES);
    }

    #[test]
    fn a_lucky_run_shows_as_doubt() {
        // With the lucky run at k = 4 the curve bends there, without it at k = 5. It is drawn in
        // 1 - (2/3)³ of the resamples.
        let curve = [100.0, 80.0, 20.0, 19.0, 18.0, 17.0];
        let mut inertias: Vec<(usize, Vec<f64>)> =
            curve.iter().enumerate().map(|(i, &inertia)| (i + 2, vec![inertia; 3])).collect();
        inertias[2].1 = vec![60.0, 20.0, 60.0];
        let confidence = elbow_confidence(&inertias, 3);
        let lucky = 1.0 - (2.0_f64 / 3.0).powi(3);
        assert!((confidence.shares[0] - lucky).abs() < 0.05, "{confidence:?}");
        assert!((confidence.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(confidence, elbow_confidence(&inertias, 3), "the same every time");
        assert_ne!(confidence, elbow_confidence(&inertias, 4));
    }

    #[test]
    fn one_run_a_k_has_no_confidence() {
        let inertias: Vec<(usize, Vec<f64>)> = (1..7).map(|k| (k, vec![1.0 / k as f64])).collect();
        let confidence = elbow_confidence(&inertias, 0);
        assert_eq!((confidence.resamples, confidence.shares.len()), (0, 0));
        assert!(confidence.reason.is_some());
        let few: Vec<(usize, Vec<f64>)> = (1..4).map(|k| (k, vec![1.0; 3])).collect();
        assert_eq!(elbow_confidence(&few, 0).reason.as_deref(), Some("there is no elbow"));
    }
}
