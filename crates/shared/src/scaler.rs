//! scikit-learn's `StandardScaler`, on float32 data.
//!
//! Mean and variance as `sklearn.utils.extmath._incremental_mean_and_var` takes them (binary64
//! accumulators, two passes, corrected by the sum of the deviations), constant columns as
//! `sklearn.preprocessing._data._is_constant_feature` finds them, and the transformation in
//! binary32: subtract the rounded mean, divide by the rounded scale.

use kscan_dataset::Table;
use kscan_kmeans::side_by_side;
use std::ops::Range;
use std::str::FromStr;

/// Whether to scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// To mean 0 and variance 1, each column by itself.
    Standard,
    /// Not at all.
    None,
}

impl FromStr for Scaling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "standard" => Ok(Self::Standard),
            "none" => Ok(Self::None),
            other => Err(format!("unknown scaling '{other}'")),
        }
    }
}

/// What every column is shifted and divided by.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    scaling: Scaling,
    mean: Vec<f64>,
    std: Vec<f64>,
    constant: Vec<usize>,
}

/// Rows that are added up on their own before their sum joins the others: a number of the data's
/// shape alone, so that threads do not show in the result, and few enough to keep all sums.
fn block_len(n: usize) -> usize {
    1024.max(n.div_ceil(256))
}

impl Scaler {
    /// For the columns of `table`, on `threads` threads: their number changes no bit.
    #[must_use]
    pub fn fit(table: &Table, scaling: Scaling, threads: usize) -> Self {
        let (n, d) = (table.rows(), table.cols());
        let count = n as f64;
        let sums = column_sums(table, threads, |x, _| [x, 0.0], &vec![0.0; d]);
        let mean: Vec<f64> = sums.iter().map(|[sum, _]| sum / count).collect();
        let deviations = column_sums(
            table,
            threads,
            |x, mean| {
                let deviation = x - mean;
                [deviation, deviation * deviation]
            },
            &mean,
        );
        let variance: Vec<f64> = deviations
            .iter()
            .map(|[deviation, square]| (square - deviation * deviation / count) / count)
            .collect();
        let constant: Vec<usize> =
            (0..d).filter(|&column| is_constant(variance[column], mean[column], count)).collect();
        if scaling == Scaling::None {
            return Self { scaling, mean: vec![0.0; d], std: vec![1.0; d], constant };
        }
        let mut std: Vec<f64> = variance.iter().map(|variance| variance.sqrt()).collect();
        for &column in &constant {
            std[column] = 1.0;
        }
        Self { scaling, mean, std, constant }
    }

    /// One with these values, as an earlier [`Self::fit`] found them.
    #[must_use]
    pub fn from_parts(scaling: Scaling, mean: Vec<f64>, std: Vec<f64>) -> Self {
        Self { scaling, mean, std, constant: Vec::new() }
    }

    /// What is subtracted from each column, `[d]`; zeros where data is not scaled.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What each column is divided by, `[d]`; 1 for constant columns and where data is not scaled.
    #[must_use]
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// The columns that are constant up to rounding, ascending.
    #[must_use]
    pub fn constant_columns(&self) -> &[usize] {
        &self.constant
    }

    /// Scales the rows `rows` of `table` into `out`, `[rows, stride]`; leaves padding as it is.
    pub fn transform(&self, table: &Table, rows: Range<usize>, out: &mut [f32], stride: usize) {
        table.copy_rows_f32(rows, out, stride);
        if self.scaling == Scaling::None {
            return;
        }
        let narrow = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (mean, std) = (narrow(&self.mean), narrow(&self.std));
        for row in out.chunks_exact_mut(stride) {
            for ((x, mean), std) in row.iter_mut().zip(&mean).zip(&std) {
                *x = (*x - mean) / std;
            }
        }
    }

    /// A centroid of the scaled space, `[d]`, in the data's own units.
    #[must_use]
    pub fn inverse(&self, scaled: &[f64]) -> Vec<f64> {
        let units = self.mean.iter().zip(&self.std);
        scaled.iter().zip(units).map(|(x, (mean, std))| x * std + mean).collect()
    }
}

fn is_constant(variance: f64, mean: f64, n: f64) -> bool {
    let bound = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
    variance <= bound
}

/// For every column the sum over all rows of the two terms that `terms` makes of a value and the
/// column's `parameter`, added in an order that depends on the shape alone.
fn column_sums(
    table: &Table,
    threads: usize,
    terms: impl Fn(f64, f64) -> [f64; 2] + Sync,
    parameter: &[f64],
) -> Vec<[f64; 2]> {
    let (n, d) = (table.rows(), table.cols());
    let block = block_len(n);
    let blocks = n.div_ceil(block);
    let mut sums = vec![[0.0; 2]; blocks * d];
    let per_thread = blocks.div_ceil(threads.max(1));
    let terms = &terms;
    side_by_side(sums.chunks_mut(per_thread * d).enumerate().map(|(thread, sums)| {
        move || {
            let mut row = vec![0.0_f32; d];
            for (index, sums) in sums.chunks_exact_mut(d).enumerate() {
                let start = (thread * per_thread + index) * block;
                for i in start..(start + block).min(n) {
                    table.copy_rows_f32(i..i + 1, &mut row, d);
                    for ((sum, &x), &parameter) in sums.iter_mut().zip(&row).zip(parameter) {
                        let [a, b] = terms(f64::from(x), parameter);
                        sum[0] += a;
                        sum[1] += b;
                    }
                }
            }
        }
    }));
    let mut total = vec![[0.0; 2]; d];
    for block in sums.chunks_exact(d) {
        for (total, sum) in total.iter_mut().zip(block) {
            total[0] += sum[0];
            total[1] += sum[1];
        }
    }
    total
}
