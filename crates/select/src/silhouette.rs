//! How much nearer rows are to their own cluster than to the next.

use crate::criteria::Silhouette;
use crate::survey::Partition;
use crate::threads::on_threads;
use kscan_kmeans::random::RunRandom;
use kscan_kmeans::{RowIndex, Rows, Simd, distance};
use std::collections::BTreeSet;

/// Most rows that silhouettes are taken of. Data of no more rows is taken whole; of larger data, so
/// many rows are drawn.
pub const SILHOUETTE_ROWS: usize = 2000;

/// Rows whose distances are measured together: as binary64 they fit the processor's cache.
const TILE: usize = 16;

/// The silhouettes of the same rows in several partitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Silhouettes {
    /// The rows, ascending, `[m]`.
    pub rows: Vec<RowIndex>,
    /// Whether they are all rows that there are.
    pub exact: bool,
    /// The silhouette of each of them, in every partition, `[m]`; `None` where
    /// fewer than 2 or more than m - 1 clusters have any of them.
    pub values: Vec<Option<Vec<f64>>>,
}

impl Silhouettes {
    /// The mean of partition `index`, with its standard error: the standard
    /// deviation of the silhouettes (of m - 1 degrees of freedom) over √m,
    /// where the rows are a sample.
    ///
    /// The error is that of drawing rows, given that each is compared with the
    /// sample alone, as scikit-learn does too.
    ///
    /// # Panics
    /// Where there is no such partition.
    #[must_use]
    pub fn summary(&self, index: usize) -> Option<Silhouette> {
        let values = self.values[index].as_ref()?;
        let m = values.len() as f64;
        let mean = values.iter().sum::<f64>() / m;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let standard_error = (!self.exact).then(|| (squares / (m - 1.0) / m).sqrt());
        Some(Silhouette { mean, standard_error, rows: values.len() })
    }
}

/// Takes the silhouettes of `rows` in every one of `partitions`, on so many
/// threads: their number does not change a bit of the result.
///
/// The silhouette of a row is (b - a) / max(a, b): a the mean distance to the
/// other rows of its cluster, b the smallest mean distance to the rows of
/// another; 0 for a row that is alone in its cluster (Rousseeuw,
/// "Silhouettes", 1987; scikit-learn's `silhouette_samples`). Of more than
/// [`SILHOUETTE_ROWS`] rows it is taken within a sample, as scikit-learn's
/// `silhouette_score` with `sample_size`: the same rows for every partition, so
/// that their distances are measured once and their differences are not those
/// of samples.
///
/// The sample is drawn without replacement (Floyd's algorithm: Bentley,
/// "Programming Pearls: a sample of brilliance", 1987) from the stream of
/// `seed` that belongs to k = 0 and `init_id` 1, which no run has.
#[must_use]
pub fn silhouettes(
    simd: Simd,
    rows: Rows<'_>,
    partitions: &[Partition<'_>],
    seed: u64,
    threads: usize,
) -> Silhouettes {
    let sample = sample(rows.n(), seed);
    let distances = Distances::measure(simd, rows, &sample, threads);
    let values = on_threads(partitions, threads, |partitions| -> Vec<_> {
        let values = partitions.iter().map(|partition| {
            let labels = sample.iter().map(|row| partition.labels[row.get()] as usize);
            distances.silhouettes(&labels.collect::<Vec<_>>())
        });
        values.collect()
    });
    Silhouettes {
        exact: sample.len() == rows.n(),
        rows: sample,
        values: values.into_iter().flatten().collect(),
    }
}

/// The rows to take, ascending.
fn sample(n: usize, seed: u64) -> Vec<RowIndex> {
    if n <= SILHOUETTE_ROWS {
        return (0..n).map(RowIndex::new).collect();
    }
    let mut random = RunRandom::new(seed, 0, 1);
    let mut drawn = BTreeSet::new();
    for last in n - SILHOUETTE_ROWS..n {
        let row = random.index(last + 1);
        if !drawn.insert(row) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().map(RowIndex::new).collect()
}

/// The distance of every two rows of a sample.
struct Distances {
    /// Of row i to those after it, `[m - 1 - i]`.
    after: Vec<Vec<f64>>,
}

impl Distances {
    fn measure(simd: Simd, rows: Rows<'_>, sample: &[RowIndex], threads: usize) -> Self {
        let m = sample.len();
        let gathered: Vec<f32> = sample.iter().flat_map(|&row| rows.row(row)).copied().collect();
        let gathered = Rows::new(&gathered, m, rows.d());
        // One of the first rows, which have many after them, then one of the last: so threads have
        // the same to do.
        let tiles = m.div_ceil(TILE);
        let order: Vec<usize> =
            (0..tiles).map(|i| if i % 2 == 0 { i / 2 } else { tiles - 1 - i / 2 }).collect();
        let measured = on_threads(&order, threads, |tiles| -> Vec<_> {
            tiles.iter().map(|&tile| (tile, measure_tile(simd, gathered, tile))).collect()
        });
        let mut after = vec![Vec::new(); m];
        for (tile, distances) in measured.into_iter().flatten() {
            for (row, distances) in (tile * TILE..).zip(distances) {
                after[row] = distances;
            }
        }
        Self { after }
    }

    /// The silhouette of every row; `None` where the number of clusters does not allow it.
    fn silhouettes(&self, labels: &[usize]) -> Option<Vec<f64>> {
        let m = labels.len();
        let k = labels.iter().max().map_or(0, |label| label + 1);
        let mut sizes = vec![0_u32; k];
        for &label in labels {
            sizes[label] += 1;
        }
        let clusters = sizes.iter().filter(|&&size| size > 0).count();
        if !(2..m).contains(&clusters) {
            return None;
        }
        // Of every row to every cluster; each is added in the order of the other rows.
        let mut sums = vec![0.0; m * k];
        for (i, after) in self.after.iter().enumerate() {
            let label = labels[i];
            let (before, later) = sums.split_at_mut((i + 1) * k);
            let own = &mut before[i * k..];
            for ((&distance, &other), sums) in
                after.iter().zip(&labels[i + 1..]).zip(later.chunks_exact_mut(k))
            {
                own[other] += distance;
                sums[label] += distance;
            }
        }
        let silhouette = |(sums, &label): (&[f64], &usize)| {
            if sizes[label] == 1 {
                return 0.0;
            }
            let own = sums[label] / f64::from(sizes[label] - 1);
            let next = (0..k)
                .filter(|&other| other != label && sizes[other] > 0)
                .map(|other| sums[other] / f64::from(sizes[other]))
                .fold(f64::INFINITY, f64::min);
            let larger = own.max(next);
            if larger == 0.0 { 0.0 } else { (next - own) / larger }
        };
        Some(sums.chunks_exact(k).zip(labels).map(silhouette).collect())
    }
}

/// The distances of every row of `tile` to the rows after it.
fn measure_tile(simd: Simd, rows: Rows<'_>, tile: usize) -> Vec<Vec<f64>> {
    let first = tile * TILE;
    let last = (first + TILE).min(rows.n());
    let wide: Vec<f64> =
        rows.slice(first..last).iter().flatten().map(|&value| f64::from(value)).collect();
    let mut distances: Vec<Vec<f64>> =
        (first..last).map(|row| Vec::with_capacity(rows.n() - 1 - row)).collect();
    let count = last - first;
    let mut buffer = vec![0.0; TILE * count];
    // A tile of others at a time, so that they stay in the cache for all rows of this one.
    for other in (first..rows.n()).step_by(TILE) {
        let end = (other + TILE).min(rows.n());
        distance::to_all(simd, rows.slice(other..end), &wide, &mut buffer[..(end - other) * count]);
        for (other, to_tile) in (other..end).zip(buffer.chunks_exact(count)) {
            for ((row, distance), distances) in (first..).zip(to_tile).zip(&mut distances) {
                if other > row {
                    distances.push(distance.sqrt());
                }
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_distinct_rows_and_never_changes() {
        let drawn = sample(60_000, 0);
        assert_eq!(drawn.len(), SILHOUETTE_ROWS);
        assert!(drawn.is_sorted_by(|a, b| a < b));
        assert!(drawn.iter().all(|row| row.get() < 60_000));
        assert_ne!(drawn, sample(60_000, 1));
        let first: Vec<u64> = drawn[..5].iter().map(|row| row.0).collect();
        assert_eq!(first, [76, 123, 184, 235, 239]);
        // Every row is as likely as any other: in the mean, the middle one.
        let mean = drawn.iter().map(|row| row.0 as f64).sum::<f64>() / drawn.len() as f64;
        assert!((mean - 30_000.0).abs() < 2_000.0, "{mean}");
        assert_eq!(sample(SILHOUETTE_ROWS, 0).len(), SILHOUETTE_ROWS);
        assert_eq!(sample(SILHOUETTE_ROWS + 1, 0).len(), SILHOUETTE_ROWS);
    }

    #[test]
    fn threads_change_nothing() {
        let (n, d) = (150, 19);
        let mut values = vec![0.0_f32; n * Rows::stride_of(d)];
        for (index, value) in values.iter_mut().enumerate() {
            if index % Rows::stride_of(d) < d {
                *value = ((index * 7919) % 1009) as f32 / 331.0 - 1.5;
            }
        }
        let rows = Rows::new(&values, n, d);
        let labels: Vec<Vec<u32>> =
            [2, 3, 7].iter().map(|k| (0..n as u32).map(|row| row * row % k).collect()).collect();
        let partitions: Vec<Partition<'_>> =
            labels.iter().map(|labels| Partition { labels, centroids: &[] }).collect();
        let expected = silhouettes(Simd::detect(), rows, &partitions, 0, 1);
        for threads in [2, 3, 8] {
            assert_eq!(silhouettes(Simd::detect(), rows, &partitions, 0, threads), expected);
        }
    }
}
