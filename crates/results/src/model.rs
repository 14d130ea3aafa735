//! `best/k05.npz`: a fitted model that numpy loads.

use crate::{FileError, write_atomically};
use kscan_dataset::{DatasetError, Dtype, Npz, NpzArray, Values};
use ndarray::{Array, Array1, Array2, Array3, Dimension, IxDyn};
use ndarray_npy::{NpzWriter, WriteNpzError};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

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
        path: PathBuf,
        /// What is wrong.
        source: DatasetError,
    },
    /// One of its arrays is of another kind than it should be.
    #[error("{path} is no model: {name} is no array of {dtype} with its dimensions")]
    Array {
        /// Which file.
        path: PathBuf,
        /// The array's name.
        name: &'static str,
        /// The type of the values that it should have.
        dtype: Dtype,
    },
    /// Its arrays do not fit each other.
    #[error("{path} is no model: its arrays do not fit each other")]
    Shapes {
        /// Which file.
        path: PathBuf,
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
        let arrays = Arrays { npz: Npz::read(path).map_err(|error| at(path, error))?, path };
        let model = Self {
            centers: arrays.take("centers")?,
            centers_raw: arrays.take("centers_raw")?,
            labels: arrays.take("labels")?,
            init_centers: arrays.take("init_centers")?,
            scale_mean: arrays.take("scale_mean")?,
            scale_std: arrays.take("scale_std")?,
            nearest: Nearest {
                rows: arrays.take("nearest_rows")?,
                raw: arrays.take("nearest_raw")?,
            },
            silhouette_rows: arrays.take("silhouette_rows")?,
            silhouettes: arrays.take("silhouettes")?,
        };
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

/// The arrays of a file that should be a model.
struct Arrays<'a> {
    npz: Npz,
    path: &'a Path,
}

impl Arrays<'_> {
    /// The array called `name`, which has to have this dtype and number of dimensions.
    fn take<T: Stored, D: Dimension>(&self, name: &'static str) -> Result<Array<T, D>, ModelError> {
        let NpzArray { values, shape } =
            self.npz.array(name).map_err(|error| at(self.path, error))?;
        let array = T::of(values)
            .and_then(|values| values.into_shape_with_order(IxDyn(&shape)).ok())
            .and_then(|values| values.into_dimensionality().ok());
        array.ok_or_else(|| ModelError::Array { path: self.path.to_owned(), name, dtype: T::DTYPE })
    }
}

/// A number that models are made of.
trait Stored: Sized {
    const DTYPE: Dtype;

    fn of(values: Values) -> Option<Array2<Self>>;
}

macro_rules! stored {
    ($($type:ty: $dtype:ident),*) => {$(
        impl Stored for $type {
            const DTYPE: Dtype = Dtype::$dtype;

            fn of(values: Values) -> Option<Array2<Self>> {
                match values {
                    Values::$dtype(values) => Some(values),
                    _ => None,
                }
            }
        }
    )*};
}

stored!(i32: I32, i64: I64, f32: F32, f64: F64);

fn at(path: &Path, error: DatasetError) -> ModelError {
    match error {
        DatasetError::Io { source, .. } => FileError::read(path, source).into(),
        source => ModelError::Format { path: path.to_owned(), source },
    }
}
