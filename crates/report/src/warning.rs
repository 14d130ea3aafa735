//! What to be careful about with a scan.

use crate::scan::{Scan, Unreadable};
use crate::text::{count, list, plural};
use kscan_kmeans::Stop;
use kscan_protocol::RunId;
use kscan_results::{RunDocument, RunStatus};
use std::collections::BTreeSet;

/// Something to be careful about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Warning {
    /// Not every run that was to be done has ended.
    Unfinished { ended: usize, planned: usize },
    /// Runs failed for good.
    Failed { runs: Vec<RunId> },
    /// Reference scans of the gap statistic that were to be done have not all ended.
    ReferencesUnfinished { ended: usize, planned: usize },
    /// Runs on reference data failed for good, in so many references.
    ReferencesFailed { runs: usize, references: usize, ks: Vec<u32> },
    /// Runs needed more than one attempt.
    Retried { runs: Vec<RunId> },
    /// Best runs that stopped at the limit of iterations, before they had converged.
    BestHitMaxIter { ks: Vec<u32>, max_iter: u32 },
    /// Other runs that did.
    HitMaxIter { runs: Vec<RunId>, max_iter: u32 },
    /// Clusters ran empty and were given a far row.
    Relocated { runs: Vec<RunId>, clusters: u64 },
    /// Some clusters have no rows: there are fewer distinct rows than clusters.
    EmptyClusters { runs: Vec<RunId> },
    /// The elbow is the first or the last k that can be one.
    ElbowAtEdge { k: u32, is_first: bool },
    /// Too few k to find an elbow in, or to compare it with many others.
    RangeTooShort { points: usize },
    /// A larger k has a larger inertia, which a better initialisation would not have.
    Rises { ks: Vec<u32> },
    /// One initialisation of each k says nothing about how far another would have got.
    OneInit,
    /// A file of the folder cannot be read.
    Unreadable { file: String, cause: String },
}

/// Values of k from which on an elbow is one of several.
const ENOUGH_POINTS: usize = 6;

impl Warning {
    /// All that there are of `scan`.
    pub(crate) fn of(scan: &Scan) -> Vec<Self> {
        let config = &scan.document.config;
        let mut warnings = Vec::new();
        let ended = scan.runs().count();
        if ended < scan.planned() {
            warnings.push(Self::Unfinished { ended, planned: scan.planned() });
        }
        let failed: Vec<RunId> = scan.failed().map(RunDocument::run).collect();
        if !failed.is_empty() {
            warnings.push(Self::Failed { runs: failed });
        }
        warnings.extend(of_references(scan));
        for Unreadable { file, cause } in &scan.unreadable {
            let file = file.to_string_lossy().into_owned();
            warnings.push(Self::Unreadable { file, cause: cause.clone() });
        }
        warnings.extend(of_the_curve(scan));

        let (max_iter, hit): (_, Vec<RunId>) =
            (config.max_iter, runs_where(scan, |run| run.stop == Some(Stop::MaxIter)));
        let is_best = |run: &RunId| {
            scan.with_best().any(|(of_k, best)| (of_k.k, best.init_id) == (run.k, run.init_id))
        };
        let (best, others): (Vec<RunId>, Vec<RunId>) = hit.into_iter().partition(is_best);
        if !best.is_empty() {
            let ks = best.iter().map(|run| run.k).collect();
            warnings.push(Self::BestHitMaxIter { ks, max_iter });
        }
        if !others.is_empty() {
            warnings.push(Self::HitMaxIter { runs: others, max_iter });
        }
        let empty =
            runs_where(scan, |run| run.distinct_clusters.is_some_and(|found| found < run.k));
        if !empty.is_empty() {
            warnings.push(Self::EmptyClusters { runs: empty });
        }
        let clusters = scan.runs().filter_map(|run| run.relocated).sum();
        if clusters > 0 {
            let runs = runs_where(scan, |run| run.relocated.is_some_and(|relocated| relocated > 0));
            warnings.push(Self::Relocated { runs, clusters });
        }
        let retried = runs_where(scan, |run| run.attempts > 1 && run.status == RunStatus::Ok);
        if !retried.is_empty() {
            warnings.push(Self::Retried { runs: retried });
        }
        if config.n_init == 1 {
            warnings.push(Self::OneInit);
        }
        warnings
    }

    /// What is the case: a sentence without its end.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Unfinished { ended, planned } => {
                format!("{} of {} runs have ended", count(*ended), count(*planned))
            }
            Self::Failed { runs } => format!("{} failed for good", plural(runs.len(), "run")),
            Self::ReferencesUnfinished { ended, planned } => {
                format!("{} of {} reference scans have ended", count(*ended), count(*planned))
            }
            Self::ReferencesFailed { runs, references, .. } => {
                let (runs, references) =
                    (plural(*runs, "run"), plural(*references, "reference scan"));
                format!("{runs} in {references} failed for good")
            }
            Self::Retried { runs } => {
                format!("{} needed more than one attempt", plural(runs.len(), "run"))
            }
            Self::BestHitMaxIter { ks, max_iter } => {
                format!(
                    "The best run of k\u{a0}=\u{a0}{} stopped at {max_iter} iterations",
                    list(ks)
                )
            }
            Self::HitMaxIter { runs, max_iter } => {
                let which = if runs.len() == 1 { "not" } else { "none" };
                let number = plural(runs.len(), "run");
                format!("{number}, {which} the best of its k, stopped at {max_iter} iterations")
            }
            Self::Relocated { runs, clusters } => format!(
                "Clusters ran empty {} times, in {}",
                count(*clusters),
                plural(runs.len(), "run")
            ),
            Self::EmptyClusters { runs } => {
                format!("{} ended with empty clusters", plural(runs.len(), "run"))
            }
            Self::ElbowAtEdge { k, is_first } => {
                let which = if *is_first { "least" } else { "largest" };
                format!(
                    "The elbow, k\u{a0}=\u{a0}{k}, is the {which} k that can be one in this range"
                )
            }
            Self::RangeTooShort { points } => {
                format!("{} of k are few to find an elbow in", plural(*points, "value"))
            }
            Self::Rises { ks } => format!("The best inertia rises at k\u{a0}=\u{a0}{}", list(ks)),
            Self::OneInit => "Every k has a single initialisation".to_owned(),
            Self::Unreadable { file, .. } => format!("{file} cannot be read"),
        }
    }

    /// What it means, and what to do about it.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Unfinished { .. } => {
                "What is shown is true of the runs that have ended. kscan-coord resume goes on with \
                 the others."
                    .to_owned()
            }
            Self::Failed { runs } => format!(
                "{}. The table of runs has their errors and logs; kscan-coord resume tries them \
                 again.",
                names(runs)
            ),
            Self::ReferencesUnfinished { .. } => {
                "There is no gap statistic without all of them. kscan-coord resume goes on with the \
                 others."
                    .to_owned()
            }
            Self::ReferencesFailed { ks, .. } => format!(
                "There is no gap for k\u{a0}=\u{a0}{}. references in scan.json has their errors and \
                 logs; kscan-coord resume tries them again.",
                list(ks)
            ),
            Self::Retried { runs } => {
                format!("{}. The results are the same as without; the logs say why.", names(runs))
            }
            Self::BestHitMaxIter { .. } => {
                "These results may still improve: scan again with a larger --max-iter, or a larger \
                 --tol."
                    .to_owned()
            }
            Self::HitMaxIter { runs, .. } => format!(
                "{}. No other result depends on them.",
                names(runs)
            ),
            Self::Relocated { runs, .. } => format!(
                "{}. Each empty cluster was given the row farthest from its centroid, as \
                 scikit-learn does.",
                names(runs)
            ),
            Self::EmptyClusters { runs } => format!(
                "{}. There are fewer distinct rows than clusters: a smaller k says the same.",
                names(runs)
            ),
            Self::ElbowAtEdge { is_first, .. } => {
                let (option, way) =
                    if *is_first { ("--k-low", "smaller") } else { ("--k-high", "larger") };
                format!(
                    "The curve may bend more beyond it: scan a wider range, with a {way} {option}."
                )
            }
            Self::RangeTooShort { .. } => format!(
                "Two straight lines fit a short curve well wherever it is cut: scan at least \
                 {ENOUGH_POINTS} values of k."
            ),
            Self::Rises { .. } => {
                "More clusters can always do better, so none of its initialisations got far: scan \
                 again with a larger --n-init."
                    .to_owned()
            }
            Self::OneInit => {
                "Whether another one would have got further cannot be told: scan again with a \
                 larger --n-init."
                    .to_owned()
            }
            Self::Unreadable { cause, .. } => format!("{cause}. What it holds is not shown."),
        }
    }
}

fn of_references(scan: &Scan) -> Vec<Warning> {
    let (references, planned) =
        (&scan.document.references, scan.document.config.gap.unwrap_or(0) as usize);
    let mut warnings = Vec::new();
    if references.len() < planned {
        warnings.push(Warning::ReferencesUnfinished { ended: references.len(), planned });
    }
    let with_failures = references.iter().filter(|reference| !reference.failed.is_empty());
    let failed: Vec<_> = references.iter().flat_map(|reference| &reference.failed).collect();
    if !failed.is_empty() {
        let ks: BTreeSet<u32> = failed.iter().map(|run| run.k).collect();
        warnings.push(Warning::ReferencesFailed {
            runs: failed.len(),
            references: with_failures.count(),
            ks: ks.into_iter().collect(),
        });
    }
    warnings
}

fn of_the_curve(scan: &Scan) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(elbow) = scan.elbow() {
        let ends = [elbow.threshold_k.first(), elbow.threshold_k.last()];
        let is_first = ends[0] == Some(&elbow.k);
        if elbow.threshold_k.len() > 1 && ends.contains(&Some(&elbow.k)) {
            warnings.push(Warning::ElbowAtEdge { k: elbow.k as u32, is_first });
        }
    }
    let best: Vec<(u32, f64)> =
        scan.with_best().map(|(of_k, best)| (of_k.k, best.inertia)).collect();
    if best.len() < ENOUGH_POINTS {
        warnings.push(Warning::RangeTooShort { points: best.len() });
    }
    let rises = best.windows(2).filter(|pair| pair[1].1 > pair[0].1).map(|pair| pair[1].0);
    let rises: Vec<u32> = rises.collect();
    if !rises.is_empty() {
        warnings.push(Warning::Rises { ks: rises });
    }
    warnings
}

fn runs_where(scan: &Scan, is: impl Fn(&RunDocument) -> bool) -> Vec<RunId> {
    scan.runs().filter(|run| is(run)).map(RunDocument::run).collect()
}

/// Some runs by name, and how many more there are.
fn names(runs: &[RunId]) -> String {
    const SHOWN: usize = 6;
    let mut names: Vec<String> = runs.iter().take(SHOWN).map(ToString::to_string).collect();
    if let more @ 1.. = runs.len().saturating_sub(SHOWN) {
        names.push(format!("{} more", count(more)));
    }
    list(&names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{document, sample, sample_of};
    use serde_json::{Value, json};

    fn of(document: &Value) -> Vec<Warning> {
        Warning::of(&sample_of(document).scan())
    }

    fn run(k: u32, init_id: u32) -> RunId {
        RunId { k, init_id }
    }

    #[test]
    fn none_of_a_good_scan() {
        assert_eq!(Warning::of(&sample().scan()), []);
    }

    #[test]
    fn limits_of_iterations_by_whom_they_hit() {
        let mut scan = document((2, 8));
        // init 1 is the best of k = 2, init 0 is not of k = 3.
        scan["runs"][1]["stop"] = json!("max_iter");
        scan["runs"][3]["stop"] = json!("max_iter");
        let expected = [
            Warning::BestHitMaxIter { ks: vec![2], max_iter: 300 },
            Warning::HitMaxIter { runs: vec![run(3, 0)], max_iter: 300 },
        ];
        assert_eq!(of(&scan), expected);
    }

    #[test]
    fn runs_that_failed_and_runs_that_are_missing() {
        let mut scan = document((2, 8));
        for key in ["inertia", "n_iter", "stop", "digest", "counters", "relocated"] {
            scan["runs"][0][key] = Value::Null;
        }
        scan["runs"][0]["status"] = json!("failed");
        scan["runs"].as_array_mut().unwrap().remove(20);
        let expected = [
            Warning::Unfinished { ended: 20, planned: 21 },
            Warning::Failed { runs: vec![run(2, 0)] },
        ];
        assert_eq!(of(&scan), expected);
    }

    #[test]
    fn references_that_failed_and_references_that_are_missing() {
        let mut scan = document((2, 8));
        scan["config"]["gap"] = json!(3);
        let failed =
            |k: u32| json!({"k": k, "init_id": 0, "attempts": 3, "log": "x", "error": "y"});
        let reference = |failed: Value| json!({"folder": "gap/r00", "best": [], "failed": failed});
        let failed = json!([failed(4), failed(7)]);
        scan["references"] = json!([reference(json!([])), reference(failed)]);
        let expected = [
            Warning::ReferencesUnfinished { ended: 2, planned: 3 },
            Warning::ReferencesFailed { runs: 2, references: 1, ks: vec![4, 7] },
        ];
        assert_eq!(of(&scan), expected);
        assert!(expected[1].advice().contains("k\u{a0}=\u{a0}4 and 7."), "{expected:?}");
    }

    #[test]
    fn what_happened_in_runs() {
        let mut scan = document((2, 8));
        scan["runs"][4]["relocated"] = json!(2);
        scan["runs"][5]["relocated"] = json!(1);
        scan["runs"][6]["distinct_clusters"] = json!(3);
        scan["runs"][7]["attempts"] = json!(2);
        let expected = [
            Warning::EmptyClusters { runs: vec![run(4, 0)] },
            Warning::Relocated { runs: vec![run(3, 1), run(3, 2)], clusters: 3 },
            Warning::Retried { runs: vec![run(4, 1)] },
        ];
        assert_eq!(of(&scan), expected);
    }

    #[test]
    fn ranges_that_are_short_or_end_at_the_elbow() {
        assert_eq!(of(&document((2, 3))), [Warning::RangeTooShort { points: 2 }]);
        let mut scan = document((2, 8));
        let first = scan["elbow"]["threshold_k"][0].clone();
        scan["elbow"]["k"] = first;
        assert_eq!(of(&scan), [Warning::ElbowAtEdge { k: 4, is_first: true }]);
        let mut scan = document((2, 8));
        scan["elbow"]["k"] = json!(7);
        assert_eq!(of(&scan), [Warning::ElbowAtEdge { k: 7, is_first: false }]);
    }

    #[test]
    fn a_curve_that_rises_and_inits_that_are_single() {
        let mut scan = document((2, 8));
        scan["best"][3]["inertia"] = json!(1e6);
        scan["config"]["n_init"] = json!(1);
        assert_eq!(of(&scan), [Warning::Rises { ks: vec![5] }, Warning::OneInit]);
    }

    #[test]
    fn files_that_cannot_be_read() {
        let sample = sample();
        std::fs::remove_file(sample.folder().path().join("best/k03.npz")).unwrap();
        std::fs::write(sample.folder().contingency_csv(4), "label,0\n<b>,x\n").unwrap();
        let warnings = Warning::of(&sample.scan());
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].title().contains("k03.npz"), "{warnings:?}");
        assert!(warnings[1].title().contains("k04.csv"), "{warnings:?}");
    }

    #[test]
    fn many_runs_are_not_all_named() {
        let runs: Vec<RunId> = (0..9).map(|init_id| run(5, init_id)).collect();
        let advice = Warning::Failed { runs }.advice();
        assert!(advice.starts_with("k05-i00, k05-i01,") && advice.contains("k05-i05 and 3 more"));
    }
}
