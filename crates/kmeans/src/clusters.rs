//! The rows of clusters: their exact sums, and how many they are.

use crate::coded::CodedRows;
use crate::coded_sum::CodedSums;
use crate::data::Data;
use crate::exact_sum::ExactSums;
use crate::exchange::Change;
use crate::rows::RowIndex;
use crate::simd::Simd;

/// The exact sums and the sizes of clusters.
#[derive(Debug, Clone)]
pub struct Clusters {
    simd: Simd,
    sums: Sums,
    sizes: Vec<u64>,
}

/// Exact sums of rows as they are, or as they are coded.
#[derive(Debug, Clone)]
enum Sums {
    OfRows(ExactSums),
    OfCodes(CodedSums),
}

impl Clusters {
    /// `k` clusters of no rows.
    #[must_use]
    pub fn new(simd: Simd, data: Data<'_>, k: usize) -> Self {
        let coded = data.coded.as_ref().filter(|_| CodedRows::pay(simd));
        let of_codes = coded.and_then(|coded| CodedSums::new(simd, data, coded, k));
        let sums = of_codes.map_or_else(
            || Sums::OfRows(ExactSums::new(data.grid, k, data.rows.stride())),
            Sums::OfCodes,
        );
        Self { simd, sums, sizes: vec![0; k] }
    }

    /// How many rows each has, `[k]`.
    #[must_use]
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    /// No cluster has any rows.
    pub(crate) fn clear(&mut self) {
        self.of_rows().clear();
        self.sizes.fill(0);
    }

    pub(crate) fn add(&mut self, row: &[f32], label: u32) {
        let simd = self.simd;
        self.of_rows().add(simd, label as usize, row);
        self.sizes[label as usize] += 1;
    }

    fn of_rows(&mut self) -> &mut ExactSums {
        match &mut self.sums {
            Sums::OfRows(sums) => sums,
            Sums::OfCodes(_) => unreachable!("the plain engine gets no codes"),
        }
    }

    /// Adds rows of the `data` that this was made for to the clusters of these labels. A row may come to
    /// several, as where clusters are those of several partitions.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn add_all(&mut self, data: Data<'_>, rows: impl IntoIterator<Item = (RowIndex, u32)>) {
        let change = |(row, to): (RowIndex, u32)| Change {
            row: u32::try_from(row.0).expect("exact sums are of fewer rows"),
            from: Change::NOWHERE,
            to,
        };
        let mut changes: Vec<Change> = rows.into_iter().map(change).collect();
        match (&mut self.sums, &data.coded) {
            (Sums::OfCodes(sums), Some(coded)) => sums.add_all(self.simd, coded, &mut changes),
            (Sums::OfRows(sums), _) => sums.exchange_all(self.simd, data.rows, &mut changes),
            (Sums::OfCodes(_), None) => unreachable!("they were made of codes"),
        }
        for change in changes {
            self.sizes[change.to as usize] += 1;
        }
    }

    /// Adds the rows of `others`, made for the same data, to these, cluster by cluster.
    pub fn merge(&mut self, others: &Self) {
        match (&mut self.sums, &others.sums) {
            (Sums::OfRows(sums), Sums::OfRows(others)) => sums.merge(others),
            (Sums::OfCodes(sums), Sums::OfCodes(others)) => sums.merge(others),
            _ => unreachable!("both are of the same data"),
        }
        self.sizes.iter_mut().zip(&others.sizes).for_each(|(size, others)| *size += others);
    }

    /// Moves rows from one cluster to another.
    pub(crate) fn exchange_all(&mut self, data: Data<'_>, changes: &mut [Change]) {
        // As most lists of relocations.
        if changes.is_empty() {
            return;
        }
        match (&mut self.sums, &data.coded) {
            (Sums::OfCodes(sums), Some(coded)) => sums.exchange_all(self.simd, coded, changes),
            (Sums::OfRows(sums), _) => sums.exchange_all(self.simd, data.rows, changes),
            (Sums::OfCodes(_), None) => unreachable!("they were made of codes"),
        }
        for change in changes {
            if change.from != Change::NOWHERE {
                self.sizes[change.from as usize] -= 1;
            }
            self.sizes[change.to as usize] += 1;
        }
    }

    /// The mean of the rows of cluster `j`, into `mean`, `[stride]`, which stays as it is where there are none.
    pub fn mean(&self, j: usize, mean: &mut [f64]) {
        let size = self.sizes[j];
        match &self.sums {
            _ if size == 0 => {}
            Sums::OfRows(sums) => sums.mean(j, size, mean),
            Sums::OfCodes(sums) => sums.mean(self.simd, j, size, mean),
        }
    }

    /// The mean of every cluster, into `means`, `[k, stride]`. A cluster that has stayed empty goes
    /// where the largest is, of equal ones the first (scikit-learn's `_average_centers`).
    pub(crate) fn means(&self, means: &mut [f64]) {
        let stride = means.len() / self.sizes.len();
        let mut largest = 0;
        for (j, &size) in self.sizes.iter().enumerate() {
            self.mean(j, &mut means[j * stride..][..stride]);
            if size > self.sizes[largest] {
                largest = j;
            }
        }
        for (j, _) in self.sizes.iter().enumerate().filter(|&(_, &size)| size == 0) {
            means.copy_within(largest * stride..(largest + 1) * stride, j * stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Statistics;
    use crate::rows::{Magnitudes, Rows};
    use crate::simd::available;

    /// Rows of two partitions at once, in two parts, as codes and as values.
    #[test]
    fn clusters_of_several_partitions_have_the_means_of_their_rows() {
        let (n, d) = (40, 70);
        let stride = Rows::stride_of(d);
        let mean: Vec<f64> = (0..d).map(|i| 0.3 * i as f64).collect();
        let std: Vec<f64> = (0..d).map(|i| 0.7 + i as f64).collect();
        let code = |row: usize, column: usize| ((row * 31 + column * 17) % 7 * 36) as u8;
        let (mut codes, mut values) = (vec![0; n * stride], vec![0.0; n * stride]);
        for (row, column) in (0..n).flat_map(|row| (0..d).map(move |column| (row, column))) {
            codes[row * stride + column] = code(row, column);
            values[row * stride + column] =
                (f32::from(code(row, column)) - mean[column] as f32) / std[column] as f32;
        }
        let columns = CodedRows::columns_of(&mean, &std);
        let rows = Rows::new(&values, n, d);
        let statistics = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), 1);
        let plain = statistics.with_rows(rows);
        let coded = Data { coded: Some(CodedRows::new(&codes, &columns)), ..plain };
        // Of three clusters, and of three of which one is empty.
        let labels = |row: usize| [(row % 3) as u32, 3 + 2 * u32::from(row > 11)];
        let mut expected = vec![0.0; 6 * stride];
        for (j, expected) in expected.chunks_exact_mut(stride).enumerate() {
            let of_cluster: Vec<usize> =
                (0..n).filter(|&row| labels(row).contains(&(j as u32))).collect();
            for (column, expected) in expected[..d].iter_mut().enumerate() {
                let sum = of_cluster.iter().map(|row| f64::from(values[row * stride + column]));
                *expected = sum.sum::<f64>() / of_cluster.len().max(1) as f64;
            }
        }
        for (simd, data) in available().flat_map(|simd| [(simd, plain), (simd, coded)]) {
            let parts = [0..17, 17..n].map(|part| {
                let mut clusters = Clusters::new(simd, data, 6);
                let both =
                    part.flat_map(|row| labels(row).map(|label| (RowIndex::new(row), label)));
                clusters.add_all(data, both);
                clusters
            });
            let [mut all, others] = parts;
            all.merge(&others);
            assert_eq!(all.sizes(), [14, 13, 13, 12, 0, 28]);
            let mut found = vec![0.0; expected.len()];
            found.chunks_exact_mut(stride).enumerate().for_each(|(j, mean)| all.mean(j, mean));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{simd:?}");
            }
        }
    }
}
