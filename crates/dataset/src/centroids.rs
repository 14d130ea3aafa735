//! First centroids that somebody gives.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;

use crate::{DatasetError, Fingerprint, Npz, Table};

/// First centroids from an `.npz` file: for each k an array called `k5`, of shape `[k, d]` for all
/// initialisations or `[inits, k, d]` with one for each, of any dtype that data can have.
#[derive(Debug)]
pub struct GivenCentroids {
    arrays: BTreeMap<u32, Table>,
    fingerprint: Fingerprint,
}

impl GivenCentroids {
    /// Reads the arrays for `ks` from the file at `path`. Other arrays are not looked at.
    ///
    /// # Errors
    ///
    /// [`DatasetError`]: what is no `.npz` file, lacks an array, or has a value that is not finite
    /// as an `f32`.
    pub fn read(path: &Path, ks: impl IntoIterator<Item = u32>) -> Result<Self, DatasetError> {
        let npz = Npz::read(path)?;
        let mut arrays = BTreeMap::new();
        for k in ks {
            arrays.insert(k, npz.table(&format!("k{k}"))?);
        }
        Ok(Self { arrays, fingerprint: npz.fingerprint() })
    }

    /// The hash of the file.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The rows for this k and initialisation, whatever their number is; `None` where there are
    /// none.
    #[must_use]
    pub fn get(&self, k: u32, init_id: u32) -> Option<Array2<f32>> {
        let array = self.arrays.get(&k)?;
        let init_id = init_id as usize;
        let (row, rows, cols) = match *array.shape() {
            [rows, cols] => (0..rows, rows, cols),
            // Of three dimensions, the first counts the rows of the table.
            [inits, rows, cols] if init_id < inits => (init_id..init_id + 1, rows, cols),
            _ => return None,
        };
        let mut centroids = Array2::zeros((rows, cols));
        let stride = array.cols();
        array.copy_rows_f32(row, centroids.as_slice_mut()?, stride);
        Some(centroids)
    }
}
