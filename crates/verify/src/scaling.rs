//! The scaling of columns, recomputed, and the rows that a run worked on.

use crate::arithmetic::{LANES, Sums};
use crate::random::Stream;
use crate::violation::{Violation, equal_lists, near};
use kscan_dataset::Table;
use kscan_results::{BestModel, ScaleMethod};

/// Relative tolerance of means and standard deviations: see the crate's front page.
const TOLERANCE: f64 = 1e-9;

/// Mean and standard deviation of every column of the raw data, `[d]`.
pub(crate) struct Moments {
    mean: Vec<f64>,
    std: Vec<f64>,
    constant: Vec<bool>,
}

impl Moments {
    pub(crate) fn of(table: &Table) -> Self {
        let (n, d) = (table.rows(), table.cols());
        let count = n as f64;
        let mut sums = Sums::new(d);
        for_rows(table, |_, row| sums.add(row));
        let mean: Vec<f64> = (0..d).map(|i| sums.mean(i)).collect();
        let mut squares = vec![0.0; d];
        for_rows(table, |_, row| {
            for ((square, x), mean) in squares.iter_mut().zip(row).zip(&mean) {
                *square += (x - mean) * (x - mean);
            }
        });
        let variance: Vec<f64> = squares.iter().map(|square| square / count).collect();
        let constant = (0..d)
            .map(|i| {
                let rounding = count * mean[i] * f64::EPSILON;
                variance[i] <= count * f64::EPSILON * variance[i] + rounding * rounding
            })
            .collect();
        Self { mean, std: variance.iter().map(|variance| variance.sqrt()).collect(), constant }
    }

    pub(crate) fn constant_columns(&self) -> u64 {
        self.constant.iter().filter(|&&constant| constant).count() as u64
    }

    /// That `file`'s scaling is the one that `scale` asks for.
    pub(crate) fn check(
        &self,
        file: &str,
        model: &BestModel,
        scale: ScaleMethod,
    ) -> Result<(), Violation> {
        for (i, (&mean, &std)) in model.scale_mean.iter().zip(&model.scale_std).enumerate() {
            let spread = self.mean[i].abs() + self.std[i];
            let (expected_mean, mean_tolerance, expected_std, std_tolerance) = match scale {
                ScaleMethod::None => (0.0, 0.0, 1.0, 0.0),
                ScaleMethod::Standard if self.constant[i] => {
                    (self.mean[i], TOLERANCE * spread, 1.0, 0.0)
                }
                ScaleMethod::Standard => {
                    // The deviations are no better than the column's own rounding.
                    let rounding = 4.0 * f64::EPSILON * self.mean[i].abs();
                    let std_tolerance = TOLERANCE * self.std[i] + rounding;
                    (self.mean[i], TOLERANCE * spread, self.std[i], std_tolerance)
                }
            };
            let what = format_args!("scale_mean[{i}]");
            near(file, what, mean, expected_mean, mean_tolerance)?;
            let what = format_args!("scale_std[{i}]");
            near(file, what, std, expected_std, std_tolerance)?;
        }
        Ok(())
    }
}

/// The normalised rows, `[n, stride]`, padded with zeros, and what is known of them as a whole.
pub(crate) struct Rows {
    values: Vec<f32>,
    n: usize,
    d: usize,
    stride: usize,
    /// The scaling that made them.
    mean: Vec<f64>,
    std: Vec<f64>,
    /// The mean over the columns of their variances.
    mean_variance: f64,
}

impl Rows {
    /// The rows of `table`, scaled as `model` says, in binary32.
    pub(crate) fn new(table: &Table, model: &BestModel) -> Self {
        let (n, d) = (table.rows(), table.cols());
        let stride = d.next_multiple_of(LANES);
        let mut values = vec![0.0; n * stride];
        table.copy_rows_f32(0..n, &mut values, stride);
        let narrow: Vec<(f32, f32)> = model
            .scale_mean
            .iter()
            .zip(&model.scale_std)
            .map(|(&mean, &std)| (mean as f32, std as f32))
            .collect();
        for row in values.chunks_exact_mut(stride) {
            for (x, (mean, std)) in row.iter_mut().zip(&narrow) {
                *x = (*x - mean) / std;
            }
        }
        let (mean, std) = (model.scale_mean.to_vec(), model.scale_std.to_vec());
        Self { values, n, d, stride, mean, std, mean_variance: 0.0 }.with_mean_variance()
    }

    /// As many rows of reference data: every value uniform between the least and the greatest of its
    /// column, drawn row by row.
    pub(crate) fn reference(&self, seed: u64, reference: u32) -> Self {
        let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); self.d];
        self.for_each(|_, row| {
            for ((low, high), &x) in ends.iter_mut().zip(row) {
                (*low, *high) = (low.min(x), high.max(x));
            }
        });
        let mut stream = Stream::new(seed, u64::from(reference) + 2);
        let mut values = vec![0.0; self.values.len()];
        for row in values.chunks_exact_mut(self.stride) {
            for (x, (low, high)) in row.iter_mut().zip(&ends) {
                *x = (low + stream.unit() * (high - low)) as f32;
            }
        }
        let (mean, std) = (vec![0.0; self.d], vec![1.0; self.d]);
        let &Self { n, d, stride, .. } = self;
        Self { values, n, d, stride, mean, std, mean_variance: 0.0 }.with_mean_variance()
    }

    fn with_mean_variance(mut self) -> Self {
        let mut sums = Sums::new(self.stride);
        self.for_each(|_, row| sums.add(row));
        let center: Vec<f64> = (0..self.stride).map(|i| sums.mean(i)).collect();
        let mut spread = 0.0;
        self.for_each(|_, row| spread += crate::arithmetic::squared_distance(row, &center));
        self.mean_variance = spread / (self.n as f64 * self.d as f64);
        self
    }

    pub(crate) fn n(&self) -> usize {
        self.n
    }

    pub(crate) fn d(&self) -> usize {
        self.d
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn mean_variance(&self) -> f64 {
        self.mean_variance
    }

    /// A row without its padding.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.stride..][..self.d]
    }

    /// Every row in order, with its padding, in f64.
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, &[f64])) {
        let mut wide = vec![0.0; self.stride];
        for (index, row) in self.values.chunks_exact(self.stride).enumerate() {
            for (wide, &x) in wide.iter_mut().zip(row) {
                *wide = f64::from(x);
            }
            each(index, &wide);
        }
    }

    /// Centroids `[k, d]` with padding, `[k, stride]`.
    pub(crate) fn padded<'a>(&self, centers: impl Iterator<Item = &'a f64>) -> Vec<f64> {
        let mut padded = Vec::new();
        for (index, x) in centers.enumerate() {
            padded.push(*x);
            if (index + 1) % self.d == 0 {
                padded.resize(padded.len().next_multiple_of(self.stride), 0.0);
            }
        }
        padded
    }

    /// That `model` has the same scaling, to the bit: all models of a scan share one.
    pub(crate) fn check_scaling(&self, file: &str, model: &BestModel) -> Result<(), Violation> {
        for (what, found, expected) in [
            ("scale_mean", &model.scale_mean, &self.mean),
            ("scale_std", &model.scale_std, &self.std),
        ] {
            let bits = |x: &f64| format!("{x:e} ({:#x})", x.to_bits());
            equal_lists(file, what, found.iter().map(bits), expected.iter().map(bits))?;
        }
        Ok(())
    }
}

/// Every row of `table` in order, as binary32 has it, in f64.
fn for_rows(table: &Table, mut each: impl FnMut(usize, &[f64])) {
    let mut narrow = vec![0.0_f32; table.cols()];
    let mut wide = vec![0.0; table.cols()];
    for row in 0..table.rows() {
        table.copy_rows_f32(row..row + 1, &mut narrow, table.cols());
        for (wide, &x) in wide.iter_mut().zip(&narrow) {
            *wide = f64::from(x);
        }
        each(row, &wide);
    }
}
