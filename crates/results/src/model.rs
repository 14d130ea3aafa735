//! `best/k05.npz`: a fitted model that numpy loads.

use crate::{FileError, write_atomically};
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzReader, NpzWriter, ReadNpzError, WriteNpzError};
use std::fs::File;
use std::io::{self, BufReader, Cursor};
use std::path::Path;

/// The arrays of one best model.
#[derive(Debug, Clone, PartialEq)]
pub struct BestModel {
    /// Centroids in the space of the normalised rows, `[k, d]`.
    pub centers: Array2<f64>,
    /// Centroids in the data's own units, `[k, d]`.
    pub centers_raw: Array2<f64>,
    /// Label of every row, `[n]`.
    pub labels: Array1<i32>,
    /// First centroids, in the space of the normalised rows, `[k, d]`.
    pub init_centers: Array2<f32>,
    /// What is subtracted from each column, `[d]`.
    pub scale_mean: Array1<f64>,
    /// What each column is divided by, `[d]`: 1 where it is constant.
    pub scale_std: Array1<f64>,
    /// The middle of every cluster.
    pub nearest: Nearest,
    /// The rows that silhouettes were taken of, ascending, `[m]`: the same for every k of a scan.
    pub silhouette_rows: Array1<i64>,
    /// Their silhouettes, `[m]`; NaN where they are not defined.
    pub silhouettes: Array1<f64>,
}

/// The rows of every cluster that lie nearest to its centroid.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// Their numbers, nearest first, `[k, m]`; -1 where a cluster has fewer than m.
    pub rows: Array2<i64>,
    /// Their values in the data's own units, `[k, m, d]`; NaN where there is no row.
    pub raw: Array3<f32>,
}

/// Why a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is no such file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no npz, or lacks an array.
    #[error("{path} is no model: {source}")]
    Format {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong.
        source: ReadNpzError,
    },
    /// Its arrays do not fit each other.
    #[error("{path} is no model: its arrays do not fit each other")]
    Shapes {
        /// Which file.
        path: std::path::PathBuf,
    },
}

impl BestModel {
    /// Writes it to `path`, atomically.
    ///
    /// # Errors
    /// Where that fails.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        // In memory first: the archive's writer would hide a full disk's error, and complain about
        // it on standard error itself.
        let write = || -> Result<Vec<u8>, WriteNpzError> {
            let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
            npz.add_array("centers", &self.centers)?;
            npz.add_array("centers_raw", &self.centers_raw)?;
            npz.add_array("labels", &self.labels)?;
            npz.add_array("init_centers", &self.init_centers)?;
            npz.add_array("scale_mean", &self.scale_mean)?;
            npz.add_array("scale_std", &self.scale_std)?;
            npz.add_array("nearest_rows", &self.nearest.rows)?;
            npz.add_array("nearest_raw", &self.nearest.raw)?;
            npz.add_array("silhouette_rows", &self.silhouette_rows)?;
            npz.add_array("silhouettes", &self.silhouettes)?;
            Ok(npz.finish()?.into_inner())
        };
        let bytes = write().map_err(|error| FileError::write(path, io::Error::other(error)))?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// Reads it from `path`.
    ///
    /// # Errors
    /// Where there is no such file, or it is no model.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|error| FileError::read(path, error))?;
        let read = || -> Result<Self, ReadNpzError> {
            let mut npz = NpzReader::new(BufReader::new(file))?;
            Ok(Self {
                centers: npz.by_name("centers")?,
                centers_raw: npz.by_name("centers_raw")?,
                labels: npz.by_name("labels")?,
                init_centers: npz.by_name("init_centers")?,
                scale_mean: npz.by_name("scale_mean")?,
                scale_std: npz.by_name("scale_std")?,
                nearest: Nearest {
                    rows: npz.by_name("nearest_rows")?,
                    raw: npz.by_name("nearest_raw")?,
                },
                silhouette_rows: npz.by_name("silhouette_rows")?,
                silhouettes: npz.by_name("silhouettes")?,
            })
        };
        let model =
            read().map_err(|source| ModelError::Format { path: path.to_owned(), source })?;
        let (k, d) = model.centers.dim();
        let (_, m) = model.nearest.rows.dim();
        let fits = model.centers_raw.dim() == model.centers.dim()
            && model.init_centers.dim() == model.centers.dim()
            && model.scale_mean.len() == d
            && model.scale_std.len() == d
            && model.nearest.rows.nrows() == k
            && model.nearest.raw.dim() == (k, m, d)
            && model.silhouettes.len() == model.silhouette_rows.len();
        if fits { Ok(model) } else { Err(ModelError::Shapes { path: path.to_owned() }) }
    }
}
