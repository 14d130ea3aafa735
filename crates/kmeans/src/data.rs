//! What is computed of the rows once, for all runs, and the view of both that a run works on.

use crate::coded::CodedRows;
use crate::distance;
use crate::exact_sum::{ExactSums, SumGrid};
use crate::rows::{Magnitudes, Rows};
use crate::simd::Simd;
use crate::threads::side_by_side;

/// What is computed of the rows once, by the coordinator, and used by every run.
///
/// Part of the definition, not an index: a run's results depend on it, so it is computed with
/// exact sums and fixed-order arithmetic alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// How rows are added exactly.
    pub grid: SumGrid,
    /// Mean of every column, `[stride]`, padding 0.
    pub center: Vec<f64>,
    /// Distance of every row to [`Self::center`], `[n]`.
    pub spread: Vec<f64>,
    /// `spread` added up in row order, `[n]`: entry `i` is the sum of the first `i + 1`.
    pub spread_cumulative: Vec<f64>,
}

impl Statistics {
    /// Of all `rows`, whose magnitudes are `magnitudes`, on `threads` threads: their number does
    /// not change a bit of the result.
    #[must_use]
    pub fn compute(simd: Simd, rows: Rows<'_>, magnitudes: Magnitudes, threads: usize) -> Self {
        let grid = SumGrid::for_rows(rows.n(), magnitudes);
        let part = rows.n().div_ceil(threads.max(1));
        let parts: Vec<Rows<'_>> = (0..rows.n())
            .step_by(part)
            .map(|start| rows.slice(start..(start + part).min(rows.n())))
            .collect();

        let mut sums = ExactSums::new(grid, 1, rows.stride());
        let sums_of_parts = side_by_side(parts.iter().map(|&part| {
            move || {
                let mut sums = ExactSums::new(grid, 1, part.stride());
                part.iter().for_each(|row| sums.add(simd, 0, row));
                sums
            }
        }));
        for part in &sums_of_parts {
            sums.merge(part);
        }
        let mut center = vec![0.0; rows.stride()];
        sums.mean(0, rows.n() as u64, &mut center);

        let mut spread = vec![0.0; rows.n()];
        let center_of = &center;
        side_by_side(
            parts
                .iter()
                .zip(spread.chunks_mut(part))
                .map(|(&rows, spread)| move || distance::to_one(simd, rows, center_of, spread)),
        );
        let spread_cumulative = spread
            .iter()
            .scan(0.0, |sum, spread| {
                *sum += spread;
                Some(*sum)
            })
            .collect();
        Self { grid, center, spread, spread_cumulative }
    }

    /// This, as a [`Data`] view together with its `rows`.
    #[must_use]
    pub fn with_rows<'a>(&'a self, rows: Rows<'a>) -> Data<'a> {
        Data {
            rows,
            coded: None,
            grid: self.grid,
            center: &self.center,
            spread: &self.spread,
            spread_cumulative: &self.spread_cumulative,
        }
    }
}

/// All that a run reads: the rows, and a borrowed [`Statistics`] of them.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The normalised rows.
    pub rows: Rows<'a>,
    /// The same once more, where they take less memory so. Saves work, and changes nothing.
    pub coded: Option<CodedRows<'a>>,
    /// How rows are added exactly.
    pub grid: SumGrid,
    /// Mean of every column, `[stride]`.
    pub center: &'a [f64],
    /// Distance of every row to `center`, `[n]`.
    pub spread: &'a [f64],
    /// `spread` added up in row order, `[n]`.
    pub spread_cumulative: &'a [f64],
}

impl Data<'_> {
    /// Bytes that are read for a value where it is not the definitions that ask.
    pub(crate) fn bytes_of_value(&self) -> usize {
        if self.coded.is_some() { size_of::<u8>() } else { size_of::<f32>() }
    }

    /// Sum of all rows' distances to the mean: the inertia of a single cluster.
    #[must_use]
    pub fn total_spread(&self) -> f64 {
        self.spread_cumulative[self.rows.n() - 1]
    }

    /// The distance to the mean of the row that is farthest from it.
    pub(crate) fn farthest(&self) -> f64 {
        self.spread.iter().fold(0.0, |a: f64, &b| a.max(b)).sqrt()
    }

    /// The mean over all columns of their variances, which `tol` is relative to
    /// (scikit-learn's `_tolerance`).
    #[must_use]
    pub fn mean_variance(&self) -> f64 {
        self.total_spread() / (self.rows.n() as f64 * self.rows.d() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_the_same_bits_on_any_number_of_threads() {
        let (n, d) = (37, 19);
        let mut values = vec![0.0_f32; n * Rows::stride_of(d)];
        for (index, value) in values.iter_mut().enumerate() {
            if index % Rows::stride_of(d) < d {
                *value = ((index * 7919) % 1009) as f32 / 331.0 - 1.5;
            }
        }
        let rows = Rows::new(&values, n, d);
        let expected = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), 1);
        for threads in [2, 3, 7, 64] {
            let found = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), threads);
            assert_eq!(found, expected, "{threads} threads");
        }
        let variance: f64 = (0..d)
            .map(|column| {
                let column: Vec<f64> = rows.iter().map(|row| f64::from(row[column])).collect();
                let mean = column.iter().sum::<f64>() / n as f64;
                column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64
            })
            .sum::<f64>()
            / d as f64;
        let found = expected.with_rows(rows).mean_variance();
        assert!((found - variance).abs() < 1e-12 * variance, "{found} {variance}");
    }
}
