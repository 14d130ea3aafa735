//! From all runs and the criteria of the best of them to a choice of k.

use crate::confidence::{Confidence, elbow_confidence};
use crate::criteria::{Criteria, Gap};
use crate::curve::{CurvePoint, best_per_k};
use crate::elbow::{Elbow, NoElbow, find_elbow};
use crate::gap::NoGap;
use crate::kneedle::kneedle;
use crate::verdict::{Choice, Verdict, choices, verdict};
use std::collections::BTreeMap;

/// Which k to take, by every rule, and how far that can be relied on.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The elbow of the best runs, or why there is none.
    pub elbow: Result<Elbow, NoElbow>,
    /// How much it depends on the initialisations.
    pub confidence: Confidence,
    /// What every rule chooses.
    pub choices: Vec<Choice>,
    /// What that comes to.
    pub verdict: Verdict,
}

/// Applies every rule to a scan's `runs`, all that succeeded, in any order,
/// and the `criteria` of the best run of every k, ascending. `gaps` are those of
/// the same k, where they were asked for; `seed` is that of [`elbow_confidence`].
#[must_use]
pub fn choose(
    runs: &[CurvePoint],
    criteria: &[Criteria],
    gaps: Option<&[Result<Gap, NoGap>]>,
    seed: u64,
) -> Chosen {
    let curve = best_per_k(runs.iter().copied());
    let k: Vec<usize> = curve.iter().map(|point| point.k).collect();
    let inertia: Vec<f64> = curve.iter().map(|point| point.inertia).collect();
    let mut of_k: BTreeMap<usize, Vec<CurvePoint>> = BTreeMap::new();
    for run in runs {
        of_k.entry(run.k).or_default().push(*run);
    }
    let inertias: Vec<(usize, Vec<f64>)> = of_k
        .into_iter()
        .map(|(k, mut runs)| {
            runs.sort_by_key(|run| run.init_id);
            (k, runs.into_iter().map(|run| run.inertia).collect())
        })
        .collect();
    let elbow = find_elbow(&k, &inertia);
    let confidence = elbow_confidence(&inertias, seed);
    let choices = choices(criteria, elbow.as_ref(), &kneedle(&k, &inertia), gaps);
    let verdict = verdict(&k, &inertia, elbow.as_ref(), &confidence, &choices);
    Chosen { elbow, confidence, choices, verdict }
}
