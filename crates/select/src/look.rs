//! The loops over all rows, in parallel, with the same bits on any number of threads.

use crate::criteria::Cluster;
use crate::survey::Partition;
use crate::threads::on_threads;
use kscan_kmeans::{Clusters, Data, RowIndex, Rows, Simd, distance};
use std::ops::Range;

/// Parts that the rows are cut into. Sums are added within a part in row order, and those of the
/// parts in their order: so threads, which take whole parts, change nothing.
const PARTS: usize = 64;

/// Rows that all models look at before the next ones: they stay in the processor's cache.
const TILE: usize = 32;

/// A partition, as the loops need it.
#[derive(Debug, Clone)]
pub(crate) struct Model<'a> {
    pub(crate) labels: &'a [u32],
    /// `[k, stride]`
    pub(crate) centroids: Vec<f64>,
}

impl<'a> Model<'a> {
    /// # Panics
    /// Where it is no partition of `rows`.
    pub(crate) fn new(rows: Rows<'_>, partition: &Partition<'a>) -> Self {
        assert_eq!(partition.labels.len(), rows.n(), "every row has a label");
        let mut centroids = Vec::new();
        for centroid in partition.centroids.chunks_exact(rows.d()) {
            centroids.extend_from_slice(centroid);
            centroids.resize(centroids.len().next_multiple_of(rows.stride()), 0.0);
        }
        Self { labels: partition.labels, centroids }
    }
}

/// The rows of a cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) size: u64,
    /// Sum of squared distances.
    pub(crate) inertia: f64,
    /// Sum of distances.
    pub(crate) distance: f64,
    /// The nearest rows with their squared distances, nearest first.
    nearest: Vec<(f64, RowIndex)>,
}

impl Group {
    /// Its mean distance; 0 without rows.
    pub(crate) fn mean_distance(&self) -> f64 {
        if self.size > 0 { self.distance / self.size as f64 } else { 0.0 }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster {
            size: self.size,
            inertia: self.inertia,
            mean_distance: (self.size > 0).then(|| self.mean_distance()),
        }
    }

    pub(crate) fn into_nearest(self) -> Vec<RowIndex> {
        self.nearest.into_iter().map(|(_, row)| row).collect()
    }

    fn add(&mut self, distance: f64, row: RowIndex, keep: usize) {
        self.size += 1;
        self.inertia += distance;
        self.distance += distance.sqrt();
        self.offer(distance, row, keep);
    }

    /// Rows come in their order, so of equally near ones the one that is there stays before.
    fn offer(&mut self, distance: f64, row: RowIndex, keep: usize) {
        if self.nearest.len() == keep && self.nearest.last().is_none_or(|last| last.0 <= distance) {
            return;
        }
        let at = self.nearest.partition_point(|&(other, _)| other <= distance);
        self.nearest.insert(at, (distance, row));
        self.nearest.truncate(keep);
    }

    /// Adds the rows of a later part.
    fn merge(&mut self, later: Self, keep: usize) {
        self.size += later.size;
        self.inertia += later.inertia;
        self.distance += later.distance;
        for (distance, row) in later.nearest {
            self.offer(distance, row, keep);
        }
    }
}

/// The clusters of every model, with the `keep` nearest rows of each.
pub(crate) fn look(
    simd: Simd,
    rows: Rows<'_>,
    models: &[Model<'_>],
    keep: usize,
    threads: usize,
) -> Vec<Vec<Group>> {
    let empty = || -> Vec<Vec<Group>> {
        let clusters = |model: &Model<'_>| model.centroids.len() / rows.stride();
        models.iter().map(|model| vec![Group::default(); clusters(model)]).collect()
    };
    if models.is_empty() {
        return Vec::new();
    }
    let look_at = |part: &Range<usize>| {
        let mut groups = empty();
        let mut distances = [0.0; TILE];
        for tile in tiles(part.clone()) {
            let distances = &mut distances[..tile.len()];
            for (model, groups) in models.iter().zip(&mut groups) {
                let labels = &model.labels[tile.clone()];
                let tile_rows = rows.slice(tile.clone());
                distance::to_own(simd, tile_rows, &model.centroids, labels, distances);
                for ((row, &label), &distance) in tile.clone().zip(labels).zip(&*distances) {
                    groups[label as usize].add(distance, RowIndex::new(row), keep);
                }
            }
        }
        groups
    };
    let mut all = empty();
    let looks = on_threads(&parts(rows.n()), threads, |parts| -> Vec<_> {
        parts.iter().map(look_at).collect()
    });
    for part in looks.into_iter().flatten() {
        for (groups, later) in all.iter_mut().flatten().zip(part.into_iter().flatten()) {
            groups.merge(later, keep);
        }
    }
    all
}

/// The mean of the rows of every cluster of every model, `[k, stride]`; a cluster without rows
/// keeps its centroid.
pub(crate) fn means(
    simd: Simd,
    data: Data<'_>,
    models: &[Model<'_>],
    threads: usize,
) -> Vec<Vec<f64>> {
    let stride = data.rows.stride();
    // The clusters of all models, one behind the other.
    let mut count = 0;
    let first_of = |model: &Model<'_>| {
        let first = count;
        count += model.centroids.len() / stride;
        first
    };
    let firsts: Vec<usize> = models.iter().map(first_of).collect();
    let none = Clusters::new(simd, data, count);
    let added = on_threads(&parts(data.rows.n()), threads, |parts| {
        let mut clusters = none.clone();
        for tile in parts.iter().cloned().flat_map(tiles) {
            let of_models = models.iter().zip(&firsts).flat_map(|(model, &first)| {
                let labels = model.labels[tile.clone()].iter();
                tile.clone().zip(labels.map(move |label| first as u32 + label))
            });
            clusters.add_all(data, of_models.map(|(row, label)| (RowIndex::new(row), label)));
        }
        clusters
    });
    // Exact, so in whatever order.
    let all = added.iter().fold(none, |mut all, added| {
        all.merge(added);
        all
    });
    let means_of = |(model, &first): (&Model<'_>, &usize)| {
        let mut means = model.centroids.clone();
        for (j, mean) in means.chunks_exact_mut(stride).enumerate() {
            all.mean(first + j, mean);
        }
        means
    };
    models.iter().zip(&firsts).map(means_of).collect()
}

/// The parts of `n` rows, in order.
fn parts(n: usize) -> Vec<Range<usize>> {
    let part = n.div_ceil(PARTS);
    (0..n).step_by(part).map(|start| start..(start + part).min(n)).collect()
}

fn tiles(part: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = part.end;
    part.step_by(TILE).map(move |start| start..(start + TILE).min(end))
}
