//! From all runs to the curve of best inertias.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One run's inertia; after [`best_per_k`], one point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The number of clusters.
    pub k: usize,
    /// The run's inertia: the sum of squared distances of the rows to their
    /// centroids, in squared units of the clustered (normalised) data.
    pub inertia: f64,
    /// Which initialisation of this k the run was, from 0.
    pub init_id: usize,
}

impl CurvePoint {
    /// The better of two runs of one k sorts first.
    ///
    /// A NaN sorts last whatever its sign bit, which `total_cmp` alone would
    /// let win with a negative one; and zeros of either sign tie.
    fn rank(&self, other: &Self) -> Ordering {
        (self.inertia.is_nan())
            .cmp(&other.inertia.is_nan())
            .then_with(|| self.inertia.partial_cmp(&other.inertia).unwrap_or(Ordering::Equal))
            .then_with(|| self.init_id.cmp(&other.init_id))
    }
}

/// The run with the smallest inertia for every k, k ascending.
///
/// Ties go to the lowest `init_id`. `runs` may come in any order, and the
/// result does not depend on it. A k without runs is absent; a NaN is returned
/// only where a k has nothing else.
///
/// This is the choice that scikit-learn's `KMeans` makes among its `n_init`
/// runs, without its exception for equal partitions with permuted labels,
/// which would make the result depend on the order.
#[must_use]
pub fn best_per_k(runs: impl IntoIterator<Item = CurvePoint>) -> Vec<CurvePoint> {
    let mut best = BTreeMap::new();
    for run in runs {
        best.entry(run.k)
            .and_modify(|kept: &mut CurvePoint| {
                if run.rank(kept).is_lt() {
                    *kept = run;
                }
            })
            .or_insert(run);
    }
    best.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(k: usize, inertia: f64, init_id: usize) -> CurvePoint {
        CurvePoint { k, inertia, init_id }
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(best_per_k([]).is_empty());
    }

    #[test]
    fn smallest_inertia_of_every_k_ascending() {
        let best = best_per_k([
            point(7, 3.0, 0),
            point(5, 9.0, 0),
            point(5, 8.0, 1),
            point(7, 4.0, 1),
            point(5, 8.5, 2),
        ]);
        assert_eq!(best, [point(5, 8.0, 1), point(7, 3.0, 0)]);
    }

    #[test]
    fn ties_go_to_the_lowest_init() {
        let best = best_per_k([point(2, 1.0, 4), point(2, 1.0, 1), point(2, 1.0, 3)]);
        assert_eq!(best, [point(2, 1.0, 1)]);
        let best = best_per_k([point(2, -0.0, 4), point(2, 0.0, 1)]);
        assert_eq!(best[0].init_id, 1);
    }

    #[test]
    fn nan_never_wins_with_either_sign() {
        for nan in [f64::NAN, -f64::NAN] {
            let best = best_per_k([point(2, nan, 0), point(2, f64::INFINITY, 1)]);
            assert_eq!(best, [point(2, f64::INFINITY, 1)]);
            let best = best_per_k([point(2, nan, 3), point(2, nan, 1)]);
            assert_eq!(best.len(), 1);
            assert_eq!(best[0].init_id, 1);
        }
    }

    fn any_run() -> impl Strategy<Value = CurvePoint> {
        // Few values, so that ties are common.
        let inertia = prop_oneof![
            4 => (0..6_u8).prop_map(f64::from),
            1 => Just(f64::NAN),
            1 => Just(-f64::NAN),
            1 => Just(f64::INFINITY),
        ];
        (1..6_usize, inertia).prop_map(|(k, inertia)| point(k, inertia, 0))
    }

    /// Bits, so that NaN compares.
    fn bits(points: &[CurvePoint]) -> Vec<(usize, usize)> {
        points.iter().map(|p| (p.k, p.init_id)).collect()
    }

    proptest! {
        #[test]
        fn order_of_runs_does_not_matter(
            (runs, shuffled) in prop::collection::vec(any_run(), 0..40)
                .prop_map(|mut runs| {
                    for (init_id, run) in runs.iter_mut().enumerate() {
                        run.init_id = init_id;
                    }
                    runs
                })
                .prop_flat_map(|runs| (Just(runs.clone()), Just(runs).prop_shuffle()))
        ) {
            let best = best_per_k(runs.iter().copied());
            prop_assert_eq!(bits(&best), bits(&best_per_k(shuffled)));
            prop_assert!(best.is_sorted_by(|a, b| a.k < b.k));
            for run in &runs {
                let winner = best.iter().find(|p| p.k == run.k).expect("every k is there");
                if !run.inertia.is_nan() {
                    prop_assert!(winner.inertia <= run.inertia);
                    let tied = winner.inertia >= run.inertia;
                    prop_assert!(!tied || winner.init_id <= run.init_id);
                }
            }
        }
    }
}
