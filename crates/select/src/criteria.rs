//! What is known of the best run of one k, beside its inertia.

use serde::{Deserialize, Serialize};

/// Every criterion of one k. A value that is not defined, or was not asked for,
/// is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// The number of clusters.
    pub k: usize,
    /// Calinski and Harabasz's ratio of variances: larger is better. `None`
    /// unless at least 2 and at most n - 1 clusters have rows.
    pub calinski_harabasz: Option<f64>,
    /// Davies and Bouldin's mean similarity of each cluster to the one most
    /// like it: smaller is better. `None` as above.
    pub davies_bouldin: Option<f64>,
    /// How much nearer rows are to their own cluster than to the next: larger
    /// is better. `None` as above, of the rows that it is taken of.
    pub silhouette: Option<Silhouette>,
    /// How much more compact the clusters are than those of uniform data.
    /// `None` where that was not asked for, or is not known.
    pub gap: Option<Gap>,
    /// How the clusters agree with known labels. `None` without labels.
    pub labels: Option<LabelAgreement>,
    /// Every cluster, in the order of the centroids, `[k]`.
    pub clusters: Vec<Cluster>,
}

/// One cluster, in units of the clustered (normalised) data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Rows in it.
    pub size: u64,
    /// Sum of the squared distances of its rows to its centroid.
    pub inertia: f64,
    /// Mean distance of its rows to its centroid; `None` without rows.
    pub mean_distance: Option<f64>,
}

/// A mean silhouette.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Silhouette {
    /// Mean over `rows` rows, from -1 to 1.
    pub mean: f64,
    /// Its standard error, where the rows are a sample; `None` where they are
    /// all there are.
    pub standard_error: Option<f64>,
    /// Rows that it was taken of.
    pub rows: usize,
}

/// A gap statistic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Mean over the references of ln(inertia), less that of the data: larger is
    /// better.
    pub gap: f64,
    /// Standard deviation of the references' ln(inertia), times the root of
    /// 1 + 1 / B for B references.
    pub s: f64,
}

/// How clusters agree with known labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelAgreement {
    /// Adjusted Rand index: 1 for equal partitions, around 0 for random ones.
    pub adjusted_rand: f64,
    /// Mutual information, over the arithmetic mean of the two entropies.
    pub normalized_mutual_information: f64,
    /// 1 where every cluster has rows of one label alone.
    pub homogeneity: f64,
    /// 1 where the rows of every label are in one cluster.
    pub completeness: f64,
    /// The harmonic mean of homogeneity and completeness.
    pub v_measure: f64,
    /// Share of rows that have their cluster's most frequent label.
    pub purity: f64,
}
