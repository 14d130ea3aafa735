//! How known labels fall into clusters.

use serde::{Deserialize, Serialize};

/// Counts of rows by (label, cluster).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contingency {
    /// The distinct labels, ascending: what the table's rows stand for.
    pub labels: Vec<i64>,
    /// The number of clusters: the table's columns are clusters 0 to k - 1,
    /// those without rows included.
    pub k: usize,
    /// Rows of data per cell, shape `[labels.len(), k]` in row-major order.
    pub counts: Vec<u64>,
}

/// Counts how the rows of each label are spread over the clusters.
///
/// `labels` and `clusters` have shape `[n]` and belong to the same rows of
/// data. Labels may be any integers, with gaps and signs; clusters are indices
/// below `k`, in any integer type. The table is pandas'
/// `crosstab(labels, clusters)`, with a column of zeros for a cluster that has
/// no rows. O(n log n) time.
///
/// # Panics
///
/// If the lengths differ, or a cluster is negative or not below `k`.
#[must_use]
pub fn contingency<C>(labels: &[i64], clusters: &[C], k: usize) -> Contingency
where
    C: Copy + TryInto<usize>,
{
    assert_eq!(labels.len(), clusters.len(), "labels and clusters differ in length");
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut counts = vec![0; distinct.len() * k];
    for (label, &cluster) in labels.iter().zip(clusters) {
        let row = distinct.binary_search(label).expect("every label is in its own list");
        let column = cluster.try_into().ok().filter(|&column| column < k);
        let column = column.expect("a cluster is an index below k");
        counts[row * k + column] += 1;
    }
    Contingency { labels: distinct, k, counts }
}

impl Contingency {
    /// Rows of data with the label `labels[label_index]` in `cluster`.
    ///
    /// # Panics
    ///
    /// If either index is out of range.
    #[must_use]
    pub fn count(&self, label_index: usize, cluster: usize) -> u64 {
        assert!(cluster < self.k, "cluster {cluster} of {}", self.k);
        self.counts[label_index * self.k + cluster]
    }

    /// The counts of the label `labels[label_index]`, shape `[k]`.
    ///
    /// # Panics
    ///
    /// If the index is out of range.
    #[must_use]
    pub fn row(&self, label_index: usize) -> &[u64] {
        &self.counts[label_index * self.k..][..self.k]
    }

    /// Rows of data with each label, shape `[labels.len()]`.
    #[must_use]
    pub fn row_totals(&self) -> Vec<u64> {
        (0..self.labels.len()).map(|label| self.row(label).iter().sum()).collect()
    }

    /// Rows of data in each cluster, shape `[k]`.
    #[must_use]
    pub fn column_totals(&self) -> Vec<u64> {
        self.fold_columns(|total, count| total + count)
    }

    /// The share of rows that carry their cluster's most frequent label, from
    /// 0 to 1; 1 for a table of no rows.
    ///
    /// The purity of Manning, Raghavan and Schütze, "Introduction to
    /// Information Retrieval" (2008), section 16.3. It rises with k by itself:
    /// one cluster a row is always pure.
    #[must_use]
    pub fn purity(&self) -> f64 {
        let rows: u64 = self.counts.iter().sum();
        if rows == 0 {
            return 1.0;
        }
        let majority: u64 = self.fold_columns(u64::max).iter().sum();
        majority as f64 / rows as f64
    }

    /// Folds every column from 0 downwards, shape `[k]`.
    fn fold_columns(&self, fold: impl Fn(u64, u64) -> u64) -> Vec<u64> {
        let mut out = vec![0; self.k];
        for label in 0..self.labels.len() {
            for (total, &count) in out.iter_mut().zip(self.row(label)) {
                *total = fold(*total, count);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_table() {
        let table = contingency(&[7, -2, 7, 7, 90], &[0_i32, 3, 1, 0, 3], 5);
        assert_eq!(table.labels, [-2, 7, 90]);
        assert_eq!(table.counts, [0, 0, 0, 1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(table.count(1, 0), 2);
        assert_eq!(table.row(1), [2, 1, 0, 0, 0]);
        assert_eq!(table.row_totals(), [1, 3, 1]);
        assert_eq!(table.column_totals(), [2, 1, 0, 2, 0]);
        assert!((table.purity() - 0.8).abs() < 1e-15);
    }

    #[test]
    fn no_rows() {
        let table = contingency::<u32>(&[], &[], 3);
        assert!(table.labels.is_empty() && table.counts.is_empty());
        assert_eq!(table.column_totals(), [0; 3]);
        assert!(table.row_totals().is_empty());
        assert_eq!(table.purity().to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn extreme_labels() {
        let table = contingency(&[i64::MAX, i64::MIN], &[0_u32, 0], 1);
        assert_eq!(table.labels, [i64::MIN, i64::MAX]);
        assert_eq!(table.counts, [1, 1]);
    }

    #[test]
    #[should_panic(expected = "index below k")]
    fn a_cluster_beyond_k() {
        let _ = contingency(&[1], &[3_u32], 3);
    }

    #[test]
    #[should_panic(expected = "index below k")]
    fn a_negative_cluster() {
        let _ = contingency(&[1], &[-1_i32], 3);
    }

    #[test]
    #[should_panic(expected = "differ in length")]
    fn lengths_must_agree() {
        let _ = contingency(&[1, 2], &[0_u32], 3);
    }

    #[test]
    #[should_panic(expected = "cluster 2 of 2")]
    fn count_checks_its_column() {
        let _ = contingency(&[1, 2], &[0_u32, 1], 2).count(0, 2);
    }

    proptest! {
        #[test]
        fn every_row_is_counted_once(
            rows in prop::collection::vec((-5..5_i64, 0..7_u32), 0..200),
            spare in 0..4_usize,
        ) {
            let k = 7 + spare;
            let (labels, clusters): (Vec<i64>, Vec<u32>) = rows.iter().copied().unzip();
            let table = contingency(&labels, &clusters, k);
            prop_assert!(table.labels.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(table.counts.len(), table.labels.len() * k);
            for (i, label) in table.labels.iter().enumerate() {
                for cluster in 0..k {
                    let plain =
                        rows.iter().filter(|(l, c)| l == label && *c as usize == cluster).count();
                    prop_assert_eq!(table.count(i, cluster), plain as u64);
                }
            }
            prop_assert_eq!(table.row_totals().iter().sum::<u64>(), rows.len() as u64);
            prop_assert_eq!(table.column_totals().iter().sum::<u64>(), rows.len() as u64);
            prop_assert!(table.row_totals().iter().all(|&total| total > 0));
            prop_assert!((0.0..=1.0).contains(&table.purity()));
        }

        #[test]
        fn a_cluster_a_row_is_pure(labels in prop::collection::vec(any::<i64>(), 1..50)) {
            let clusters: Vec<u32> = (0..labels.len() as u32).collect();
            let table = contingency(&labels, &clusters, labels.len());
            prop_assert_eq!(table.purity().to_bits(), 1.0_f64.to_bits());
        }
    }
}
