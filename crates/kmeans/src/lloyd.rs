//! Lloyd's algorithm around an engine: means, empty clusters, when to stop.
//!
//! The order of steps is that of scikit-learn's `_kmeans_single_lloyd`; the front page of the crate
//! says how each number is defined. What differs between engines is only how labels are found and
//! sums are kept up to date (`Assign`).

use crate::clusters::Clusters;
use crate::data::Data;
use crate::distance;
use crate::exchange::Change;
use crate::simd::Simd;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// No row changed its label.
    Labels,
    /// The centroids moved less than the tolerance.
    Shift,
    /// The iterations ran out.
    MaxIter,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Labels => "labels",
            Self::Shift => "shift",
            Self::MaxIter => "max_iter",
        })
    }
}

/// How much an engine looked at. No part of the result: engines differ in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Rows that were looked at.
    pub rows_visited: u64,
    /// Rows decided with the help of scores kept from an earlier iteration.
    pub by_anchor: u64,
    /// Rows decided by all their coordinates in the index: by both bytes of the leading ones and one of
    /// the others, or by what seeding found before the first iteration; and by a closer look, at both bytes
    /// of all or at values in binary32.
    pub by_level: [u64; Self::LEVELS],
    /// Rows decided by the definition.
    pub by_definition: u64,
    /// Numbers read of rows: coordinates, and values.
    pub coordinates_read: u64,
    /// The bytes of those.
    pub bytes_read: u64,
}

impl Counters {
    /// Levels that are counted.
    pub const LEVELS: usize = 2;

    pub(crate) fn add_read(&mut self, coordinates: usize, bytes_each: usize) {
        self.coordinates_read += coordinates as u64;
        self.bytes_read += (coordinates * bytes_each) as u64;
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.rows_visited += other.rows_visited;
        self.by_anchor += other.by_anchor;
        for (level, other) in self.by_level.iter_mut().zip(other.by_level) {
            *level += other;
        }
        self.by_definition += other.by_definition;
        self.coordinates_read += other.coordinates_read;
        self.bytes_read += other.bytes_read;
    }
}

/// One finished iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Iteration {
    /// Its number, from 1.
    pub number: u32,
    /// The inertia of its labels against the means of their rows, to about ten digits: by
    /// `sum |x - m|² - sum n_j |c_j - m|²`, which costs nothing. The result's inertia is exact.
    pub inertia: f64,
    /// Rows whose label differs from the last iteration's; all rows in the first.
    pub rows_changed: u64,
    /// Sum over all centroids of the squared distance that they moved.
    pub shift: f64,
    /// Empty clusters that were given a far row.
    pub relocated: u32,
    /// What the engine looked at.
    pub counters: Counters,
}

/// How an engine finds labels.
pub(crate) trait Assign {
    /// Gives every row the label of its nearest centroid, as defined, and makes `clusters` hold the
    /// rows of each label. Returns how many labels changed. `centroids` is `[k, stride]`.
    fn assign(&mut self, centroids: &[f64], labels: &mut [u32], clusters: &mut Clusters) -> u64;

    /// What was done since the last call.
    fn take_counters(&mut self) -> Counters;
}

/// What the loop ends with; centroids are `[k, stride]`.
pub(crate) struct Converged {
    pub(crate) centroids: Vec<f64>,
    pub(crate) labels: Vec<u32>,
    pub(crate) n_iter: u32,
    pub(crate) stop: Stop,
    pub(crate) relocated: u64,
    pub(crate) distinct_clusters: usize,
    pub(crate) counters: Counters,
}

/// No row has this label: the state before the first iteration.
const NO_LABEL: u32 = Change::NOWHERE;

/// Iterates from `centroids`, `[k, stride]`, until a stopping rule holds.
pub(crate) fn iterate(
    simd: Simd,
    data: Data<'_>,
    mut centroids: Vec<f64>,
    limits: Limits,
    engine: &mut dyn Assign,
    mut observe: impl FnMut(&Iteration),
) -> Converged {
    let Data { rows, .. } = data;
    let k = centroids.len() / rows.stride();
    let mut clusters = Clusters::new(simd, data, k);
    let mut labels = vec![NO_LABEL; rows.n()];
    let mut means = centroids.clone();
    let mut stop = Stop::MaxIter;
    let mut n_iter = 0;
    let mut relocated = 0;
    let mut labels_belong = false;
    let mut counters = Counters::default();
    while n_iter < limits.max_iter {
        n_iter += 1;
        let rows_changed = engine.assign(&centroids, &mut labels, &mut clusters);
        let mut moves = relocations(simd, data, &centroids, &labels, clusters.sizes());
        relocated += moves.len() as u64;
        clusters.exchange_all(data, &mut moves);
        clusters.means(&mut means);
        let inertia = inertia_of_means(simd, data, &means, clusters.sizes());
        // The labels are still those of the assignment, so the sums have to be as well.
        for change in &mut moves {
            std::mem::swap(&mut change.from, &mut change.to);
        }
        clusters.exchange_all(data, &mut moves);
        let shift = distance::between(simd, &centroids, &means);
        std::mem::swap(&mut centroids, &mut means);
        let relocated_now = moves.len() as u32;
        let looked_at = engine.take_counters();
        counters += looked_at;
        observe(&Iteration {
            number: n_iter,
            inertia,
            rows_changed,
            shift,
            relocated: relocated_now,
            counters: looked_at,
        });
        if rows_changed == 0 {
            stop = Stop::Labels;
            // The centroids are the means that these labels were found with, unless one was moved.
            labels_belong = relocated_now == 0;
            break;
        }
        if shift <= limits.max_shift {
            stop = Stop::Shift;
            break;
        }
    }
    if !labels_belong {
        engine.assign(&centroids, &mut labels, &mut clusters);
        counters += engine.take_counters();
    }
    let distinct_clusters = clusters.sizes().iter().filter(|&&size| size > 0).count();
    Converged { centroids, labels, n_iter, stop, relocated, distinct_clusters, counters }
}

/// When to stop, beside unchanged labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_iter: u32,
    /// `tol` times the mean variance of the columns.
    pub(crate) max_shift: f64,
}

/// The distances of all rows to the centroids of their labels, added in row order.
pub(crate) fn inertia(simd: Simd, data: Data<'_>, centroids: &[f64], labels: &[u32]) -> f64 {
    let mut sum = 0.0;
    for_own_distances(simd, data, centroids, labels, |_, distance| sum += distance);
    sum
}

/// The rows that empty clusters take: the farthest from their own centroids, farthest first, the
/// lowest row of equals first (scikit-learn's `_relocate_empty_clusters_dense`).
fn relocations(
    simd: Simd,
    data: Data<'_>,
    centroids: &[f64],
    labels: &[u32],
    sizes: &[u64],
) -> Vec<Change> {
    let empty: Vec<u32> =
        (0..).zip(sizes).filter(|&(_, &size)| size == 0).map(|(j, _)| j).collect();
    if empty.is_empty() {
        return Vec::new();
    }
    let mut far: Vec<(f64, usize)> = Vec::with_capacity(data.rows.n());
    for_own_distances(simd, data, centroids, labels, |row, distance| {
        if distance > 0.0 {
            far.push((distance, row));
        }
    });
    let order = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if far.len() > empty.len() {
        far.select_nth_unstable_by(empty.len() - 1, order);
        far.truncate(empty.len());
    }
    far.sort_unstable_by(order);
    far.into_iter()
        .zip(empty)
        .map(|((_, row), to)| Change { row: row as u32, from: labels[row], to })
        .collect()
}

fn for_own_distances(
    simd: Simd,
    data: Data<'_>,
    centroids: &[f64],
    labels: &[u32],
    mut each: impl FnMut(usize, f64),
) {
    const BLOCK: usize = 256;
    let mut distances = [0.0; BLOCK];
    for start in (0..data.rows.n()).step_by(BLOCK) {
        let range = start..(start + BLOCK).min(data.rows.n());
        let distances = &mut distances[..range.len()];
        let labels = &labels[range.clone()];
        if let Some(coded) = &data.coded {
            distance::to_own_coded(simd, coded, start, centroids, labels, distances);
        } else {
            let rows = data.rows.slice(range.clone());
            distance::to_own(simd, rows, centroids, labels, distances);
        }
        for (row, &distance) in range.zip(&*distances) {
            each(row, distance);
        }
    }
}

fn inertia_of_means(simd: Simd, data: Data<'_>, means: &[f64], sizes: &[u64]) -> f64 {
    let between: f64 = means
        .chunks_exact(data.rows.stride())
        .zip(sizes)
        .map(|(mean, &size)| size as f64 * distance::between(simd, mean, data.center))
        .sum();
    // Rounding may leave it a hair below zero.
    (data.total_spread() - between).max(0.0)
}
