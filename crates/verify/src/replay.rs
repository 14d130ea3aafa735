//! A run done again from its first centroids: Lloyd's algorithm as it is defined, and no more.

use crate::arithmetic::{Sums, first_smallest, squared_distance};
use crate::scaling::Rows;

/// When a run stops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// No run goes on after so many iterations.
    pub(crate) max_iter: u32,
    /// Relative to the columns' mean variance.
    pub(crate) tol: f64,
    /// Iterations that are replayed at most: those that the run says it did.
    pub(crate) n_iter: u32,
}

/// Where a run comes to.
pub(crate) struct Replayed {
    /// Padded.
    pub(crate) centers: Vec<f64>,
    pub(crate) n_iter: u32,
    /// Why it stopped; "nothing" where it goes on.
    pub(crate) stop: &'static str,
}

/// Iterates from `centers`, padded.
pub(crate) fn replay(rows: &Rows, mut centers: Vec<f64>, limits: Limits) -> Replayed {
    let stride = rows.stride();
    let k = centers.len() / stride;
    let max_shift = limits.tol * rows.mean_variance();
    let mut labels = vec![usize::MAX; rows.n()];
    let mut own = vec![0.0; rows.n()];
    for n_iter in 1..=limits.n_iter {
        let mut changed = false;
        rows.for_each(|row, x| {
            let distances: Vec<f64> =
                centers.chunks_exact(stride).map(|center| squared_distance(x, center)).collect();
            let nearest = first_smallest(&distances);
            changed |= nearest != labels[row];
            labels[row] = nearest;
            own[row] = distances[nearest];
        });
        let means = means(rows, k, &relocated(k, &labels, &own));
        let shift: f64 = centers.iter().zip(&means).map(|(c, m)| (c - m) * (c - m)).sum();
        centers = means;
        let stop = if !changed {
            "labels"
        } else if shift <= max_shift {
            "shift"
        } else if n_iter == limits.max_iter {
            "max_iter"
        } else {
            continue;
        };
        return Replayed { centers, n_iter, stop };
    }
    Replayed { centers, n_iter: limits.n_iter, stop: "nothing" }
}

/// `labels`, with the farthest rows given to the empty clusters.
fn relocated(k: usize, labels: &[usize], own: &[f64]) -> Vec<usize> {
    let mut labels = labels.to_vec();
    let mut has_rows = vec![false; k];
    for &label in &labels {
        has_rows[label] = true;
    }
    if has_rows.iter().all(|&has| has) {
        return labels;
    }
    let mut far: Vec<usize> = (0..own.len()).filter(|&row| own[row] > 0.0).collect();
    // Stable: of equally far ones, the lowest row first.
    far.sort_by(|&a, &b| own[b].total_cmp(&own[a]));
    let empty = (0..k).filter(|&j| !has_rows[j]);
    for (row, cluster) in far.into_iter().zip(empty) {
        labels[row] = cluster;
    }
    labels
}

/// The mean of every cluster, padded; that of the largest for those without rows.
fn means(rows: &Rows, k: usize, labels: &[usize]) -> Vec<f64> {
    let mut sums = vec![Sums::new(rows.stride()); k];
    rows.for_each(|row, x| sums[labels[row]].add(x));
    let mut largest = 0;
    for (j, sum) in sums.iter().enumerate() {
        if sum.count() > sums[largest].count() {
            largest = j;
        }
    }
    let of = |sum: &Sums| (0..rows.stride()).map(|i| sum.mean(i)).collect::<Vec<f64>>();
    sums.iter().flat_map(|sum| of(if sum.count() > 0 { sum } else { &sums[largest] })).collect()
}
