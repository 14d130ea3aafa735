//! Indices of how compact clusters are, and how far apart.

use crate::look::Group;
use kscan_kmeans::Data;

/// The clusters of a partition around the means of their rows.
pub(crate) struct Dispersion<'a> {
    data: Data<'a>,
    /// Those that have rows, each with its mean, `[stride]`.
    clusters: Vec<(&'a Group, &'a [f64])>,
}

impl<'a> Dispersion<'a> {
    /// Of the `groups` of `data`, measured around `means`, `[k, stride]`.
    pub(crate) fn new(data: Data<'a>, groups: &'a [Group], means: &'a [f64]) -> Self {
        let clusters = groups.iter().zip(means.chunks_exact(data.rows.stride()));
        Self { data, clusters: clusters.filter(|(group, _)| group.size > 0).collect() }
    }

    /// Whether the indices are defined: scikit-learn's `check_number_of_labels`.
    fn is_defined(&self) -> bool {
        (2..self.data.rows.n()).contains(&self.clusters.len())
    }

    /// The variance between clusters over that within them: Caliński and Harabasz, "A dendrite
    /// method for cluster analysis" (1974), scikit-learn's `calinski_harabasz_score`, with its 1
    /// where all rows lie on their means.
    pub(crate) fn calinski_harabasz(&self) -> Option<f64> {
        if !self.is_defined() {
            return None;
        }
        let within: f64 = self.clusters.iter().map(|(group, _)| group.inertia).sum();
        if within == 0.0 {
            return Some(1.0);
        }
        let between: f64 = self
            .clusters
            .iter()
            .map(|(group, mean)| group.size as f64 * squared_distance(mean, self.data.center))
            .sum();
        let (n, k) = (self.data.rows.n() as f64, self.clusters.len() as f64);
        Some(between * (n - k) / (within * (k - 1.0)))
    }

    /// The mean over clusters of the largest (r + r') / distance to another cluster, r being mean
    /// distances to the mean: Davies and Bouldin, "A Cluster Separation Measure" (1979),
    /// scikit-learn's `davies_bouldin_score`. As there, clusters whose means coincide do not count
    /// for each other. 0 where all r, or all distances, are 0: exactly, where scikit-learn takes
    /// all below 1e-8 for 0, in whatever units the data are.
    pub(crate) fn davies_bouldin(&self) -> Option<f64> {
        if !self.is_defined() {
            return None;
        }
        let similarity = |(group, mean): &(&Group, &[f64]),
                          (other, other_mean): &(&Group, &[f64])| {
            let distance = squared_distance(mean, other_mean).sqrt();
            if distance == 0.0 {
                return 0.0;
            }
            (group.mean_distance() + other.mean_distance()) / distance
        };
        let most_similar = self.clusters.iter().enumerate().map(|(i, cluster)| {
            let others = self.clusters.iter().enumerate().filter(|&(j, _)| j != i);
            others.map(|(_, other)| similarity(cluster, other)).fold(0.0, f64::max)
        });
        Some(most_similar.sum::<f64>() / self.clusters.len() as f64)
    }
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
