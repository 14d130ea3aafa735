//! The rows that a run works on, and what is computed of them once for all runs.

use crate::distance::{self, LANES};
use crate::exact_sum::{ExactSums, SumGrid};
use crate::simd::Simd;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The number of a data row, from 0. A type of its own, because a row number taken for a cluster
/// number or a column would go unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowIndex(pub u64);

impl RowIndex {
    /// The row at `index` of a slice.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(index as u64)
    }

    /// As an index into a slice of rows.
    ///
    /// # Panics
    /// Where the number was made on a machine with a wider address space than this one.
    #[must_use]
    pub fn get(self) -> usize {
        usize::try_from(self.0).expect("a row index fits the address space it was made in")
    }
}

/// A borrowed matrix of `n` rows by `d` columns of finite `f32`, row by row, each row padded with
/// zeros to a whole number of [`LANES`].
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    n: usize,
    d: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// The padded length of a row of `d` columns.
    #[must_use]
    pub const fn stride_of(d: usize) -> usize {
        d.next_multiple_of(LANES)
    }

    /// A view of `values`, of shape `[n, stride_of(d)]`.
    ///
    /// # Panics
    /// Where the length of `values` is not `n * stride_of(d)`, or `n` or `d` is 0.
    #[must_use]
    pub fn new(values: &'a [f32], n: usize, d: usize) -> Self {
        let stride = Self::stride_of(d);
        assert!(n > 0 && d > 0, "a matrix has rows and columns");
        assert_eq!(values.len(), n * stride, "the values are n padded rows");
        Self { values, n, d, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn n(self) -> usize {
        self.n
    }

    /// Number of columns, without padding.
    #[must_use]
    pub fn d(self) -> usize {
        self.d
    }

    /// Length of a padded row.
    #[must_use]
    pub fn stride(self) -> usize {
        self.stride
    }

    /// A row with its padding.
    #[must_use]
    pub fn row(self, row: RowIndex) -> &'a [f32] {
        &self.values[row.get() * self.stride..][..self.stride]
    }

    /// All rows in order, each with its padding.
    #[must_use]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.stride)
    }

    /// The rows of `range`, as a matrix of their own.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        let values = &self.values[range.start * self.stride..range.end * self.stride];
        Self { values, n: range.len(), ..self }
    }
}

/// Smallest (above zero) and largest magnitude among values; what [`SumGrid`] is chosen from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Magnitudes {
    /// The smallest `|x| > 0`, or infinity where all are zero.
    pub smallest: f32,
    /// The largest `|x|`, or 0.
    pub largest: f32,
}

impl Magnitudes {
    /// Of no values at all: the neutral element of [`Self::merge`].
    pub const NONE: Self = Self { smallest: f32::INFINITY, largest: 0.0 };

    /// Of all `values`.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        // Bit patterns of non-negative floats are ordered as the floats are, and integer minimum
        // and maximum vectorise. A zero wraps to the top, where it is no minimum.
        let (mut low, mut high) = (u32::MAX, 0_u32);
        for value in values {
            let bits = value.to_bits() & 0x7fff_ffff;
            low = low.min(bits.wrapping_sub(1));
            high = high.max(bits);
        }
        let smallest = if low == u32::MAX { f32::INFINITY } else { f32::from_bits(low + 1) };
        Self { smallest, largest: f32::from_bits(high) }
    }

    /// Of both together. A NaN in either stays the largest.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let larger = self.largest.to_bits().max(other.largest.to_bits());
        Self { smallest: self.smallest.min(other.smallest), largest: f32::from_bits(larger) }
    }
}

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
    ///
    /// # Panics
    /// Where a thread cannot be started.
    #[must_use]
    pub fn compute(simd: Simd, rows: Rows<'_>, magnitudes: Magnitudes, threads: usize) -> Self {
        let grid = SumGrid::for_rows(rows.n(), magnitudes);
        let part = rows.n().div_ceil(threads.max(1));
        let parts: Vec<Rows<'_>> = (0..rows.n())
            .step_by(part)
            .map(|start| rows.slice(start..(start + part).min(rows.n())))
            .collect();

        let mut sums = ExactSums::new(grid, 1, rows.stride());
        std::thread::scope(|scope| {
            let workers: Vec<_> = parts
                .iter()
                .map(|&part| {
                    scope.spawn(move || {
                        let mut sums = ExactSums::new(grid, 1, part.stride());
                        part.iter().for_each(|row| sums.add(simd, 0, row));
                        sums
                    })
                })
                .collect();
            for worker in workers {
                sums.merge(&worker.join().expect("summing does not panic"));
            }
        });
        let mut center = vec![0.0; rows.stride()];
        sums.mean(0, rows.n() as u64, &mut center);

        let mut spread = vec![0.0; rows.n()];
        std::thread::scope(|scope| {
            for (&rows, spread) in parts.iter().zip(spread.chunks_mut(part)) {
                let center = &center;
                scope.spawn(move || distance::to_one(simd, rows, center, spread));
            }
        });
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
    /// Sum of all rows' distances to the mean: the inertia of a single cluster.
    #[must_use]
    pub fn total_spread(&self) -> f64 {
        self.spread_cumulative[self.rows.n() - 1]
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
    fn magnitudes_ignore_signs_and_zeros() {
        let found = Magnitudes::of(&[0.0, -0.0, -3.5, 1e-42, 2.0]);
        assert_eq!(found, Magnitudes { smallest: 1e-42, largest: 3.5 });
        assert_eq!(Magnitudes::of(&[0.0, -0.0]), Magnitudes::NONE);
        assert_eq!(found.merge(Magnitudes::of(&[-7.0])).largest.to_bits(), 7.0_f32.to_bits());
        let nan = Magnitudes::of(&[f32::NAN]);
        assert!(found.merge(nan).largest.is_nan() && nan.merge(found).largest.is_nan());
    }

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
