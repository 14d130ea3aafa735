//! Which columns to show of centroids that are no pictures.

use crate::scan::OfK;

/// Columns that are shown at most.
const MOST: usize = 16;

/// The columns in which the centroids lie farthest apart, weighed by the sizes of their clusters,
/// in the order of the data: all where they are few.
pub(crate) fn telling(of_k: &OfK) -> Vec<usize> {
    let d = of_k.clusters.first().map_or(0, |cluster| cluster.normalised.len());
    let rows: f64 = of_k.clusters.iter().map(|cluster| cluster.size as f64).sum();
    let spread = |column: usize| {
        let weighed = |of: &dyn Fn(f64) -> f64| -> f64 {
            let parts = of_k.clusters.iter();
            parts.map(|cluster| cluster.size as f64 * of(cluster.normalised[column])).sum::<f64>()
                / rows.max(1.0)
        };
        let mean = weighed(&|value| value);
        weighed(&|value| (value - mean).powi(2))
    };
    let mut columns: Vec<(f64, usize)> = (0..d).map(|column| (spread(column), column)).collect();
    // Stable: of equal ones the first.
    columns.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut columns: Vec<usize> =
        columns.into_iter().take(MOST).map(|(_, column)| column).collect();
    columns.sort_unstable();
    columns
}

/// How dark the cell of a normalised value is, from 0 to 1: fully at two standard deviations.
pub(crate) fn shade(deviation: f64) -> f64 {
    (deviation.abs() / 2.0).min(1.0)
}
