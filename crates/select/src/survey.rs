//! One look at every row: how large, how wide and how far apart clusters are, and which rows lie
//! in their middle.

use crate::criteria::Cluster;
use crate::dispersion::Dispersion;
use crate::look::{Group, Model, look, means};
use kscan_kmeans::{Data, RowIndex, Simd};

/// Centroids of the models that are surveyed in one look: bounds the memory for their sums.
const CENTROIDS_AT_ONCE: usize = 512;

/// The result of one run: which rows are in which cluster.
#[derive(Debug, Clone, Copy)]
pub struct Partition<'a> {
    /// Label of every row, below k, `[n]`.
    pub labels: &'a [u32],
    /// Centroids, `[k, d]`.
    pub centroids: &'a [f64],
}

/// What is found of a [`Partition`].
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Every cluster, `[k]`.
    pub clusters: Vec<Cluster>,
    /// The rows nearest to the centroid among the rows of each cluster, nearest
    /// first, of equally near ones the lowest first, `[k]`: as many as were
    /// asked for, or all there are.
    pub nearest: Vec<Vec<RowIndex>>,
    /// Calinski and Harabasz's index.
    pub calinski_harabasz: Option<f64>,
    /// Davies and Bouldin's index.
    pub davies_bouldin: Option<f64>,
}

/// Surveys every one of `partitions` of `data`, with the `nearest` rows of
/// every cluster, on so many threads: their number does not change a bit of
/// the result.
///
/// Clusters are measured around the centroids of the run, in the distances of
/// `kscan_kmeans`. The two indices are scikit-learn's, which are defined around
/// the means of the rows: those are not the centroids where a run stopped
/// before its labels did, and then the rows are measured around both.
///
/// # Panics
/// Where a partition is not one of `data`.
#[must_use]
pub fn survey(
    simd: Simd,
    data: Data<'_>,
    partitions: &[Partition<'_>],
    nearest: usize,
    threads: usize,
) -> Vec<Survey> {
    let mut surveys = Vec::with_capacity(partitions.len());
    let mut rest = partitions;
    while !rest.is_empty() {
        let mut centroids = 0;
        let fit = rest.iter().take_while(|partition| {
            centroids += partition.centroids.len() / data.rows.d();
            centroids <= CENTROIDS_AT_ONCE
        });
        let (batch, later) = rest.split_at(fit.count().max(1));
        surveys.extend(survey_batch(simd, data, batch, nearest, threads));
        rest = later;
    }
    surveys
}

fn survey_batch(
    simd: Simd,
    data: Data<'_>,
    partitions: &[Partition<'_>],
    nearest: usize,
    threads: usize,
) -> Vec<Survey> {
    let models: Vec<Model<'_>> =
        partitions.iter().map(|partition| Model::new(data.rows, partition)).collect();
    let around_means: Vec<Model<'_>> = means(simd, data, &models, threads)
        .into_iter()
        .zip(&models)
        .map(|(means, model)| Model { labels: model.labels, centroids: means })
        .collect();
    let moved = around_means
        .iter()
        .zip(&models)
        .filter(|(means, model)| means.centroids != model.centroids)
        .map(|(means, _)| means.clone());
    let all: Vec<Model<'_>> = models.iter().cloned().chain(moved).collect();
    let mut around_centroids = look(simd, data.rows, &all, nearest, threads);
    let mut of_moved = around_centroids.split_off(models.len()).into_iter();
    around_centroids
        .into_iter()
        .zip(models.iter().zip(&around_means))
        .map(|(groups, (model, means))| {
            let moved = (means.centroids != model.centroids).then(|| of_moved.next()).flatten();
            let around = moved.as_ref().unwrap_or(&groups);
            let dispersion = Dispersion::new(data, around, &means.centroids);
            Survey {
                clusters: groups.iter().map(Group::cluster).collect(),
                calinski_harabasz: dispersion.calinski_harabasz(),
                davies_bouldin: dispersion.davies_bouldin(),
                nearest: groups.into_iter().map(Group::into_nearest).collect(),
            }
        })
        .collect()
}
