//! Rows and columns in the dtype of their file.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::fingerprint::{HashValues, hash_shape};
use crate::{DatasetError, Fingerprint, Source, body};

/// Starts every hash of a table, and changes with what is hashed.
const DOMAIN: &[u8] = b"kscan table 1\0";

/// Values of n rows by d columns, row-major, with n and d at least 1. Every value is finite, and
/// still finite after conversion to `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    values: Values,
    shape: Vec<usize>,
}

/// The values of a [`Table`], rows by columns, by dtype.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants are the dtypes")]
pub enum Values {
    U8(Array2<u8>),
    I16(Array2<i16>),
    I32(Array2<i32>),
    I64(Array2<i64>),
    F32(Array2<f32>),
    F64(Array2<f64>),
}

/// The type of a table's values. Displays, and is serialised, as numpy calls it.
///
/// It is the file's own, but for three that are widened without loss on reading: `int8` to
/// `int16`, `uint16` to `int32`, `uint32` to `int64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are named by what they are")]
pub enum Dtype {
    #[serde(rename = "uint8")]
    U8,
    #[serde(rename = "int16")]
    I16,
    #[serde(rename = "int32")]
    I32,
    #[serde(rename = "int64")]
    I64,
    #[serde(rename = "float32")]
    F32,
    #[serde(rename = "float64")]
    F64,
}

impl Dtype {
    /// numpy's name: `uint8`, `int16`, `int32`, `int64`, `float32`, `float64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Evaluates an expression with the array of whichever dtype the values have.
macro_rules! each {
    ($values:expr, $array:ident => $body:expr) => {
        match $values {
            $crate::Values::U8($array) => $body,
            $crate::Values::I16($array) => $body,
            $crate::Values::I32($array) => $body,
            $crate::Values::I64($array) => $body,
            $crate::Values::F32($array) => $body,
            $crate::Values::F64($array) => $body,
        }
    };
}
pub(crate) use each;

impl Values {
    /// The type of the values.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::U8(_) => Dtype::U8,
            Self::I16(_) => Dtype::I16,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
        }
    }
}

impl Table {
    /// A table of values that are in memory already; `origin` is what errors name. The original
    /// shape is rows by columns.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NoValues`] for 0 rows or columns, [`DatasetError::NonFinite`] and
    /// [`DatasetError::BeyondF32`] for the first such value in row-major order.
    pub fn from_values(origin: &Source, values: Values) -> Result<Self, DatasetError> {
        let (values, shape) = each!(values, array => {
            let shape = array.shape().to_vec();
            let standard = array.is_standard_layout();
            let array = if standard { array } else { array.as_standard_layout().into_owned() };
            (array.into(), shape)
        });
        if shape.contains(&0) {
            return Err(DatasetError::NoValues { origin: origin.clone(), shape });
        }
        Self::new(origin, values, shape)
    }

    pub(crate) fn read_file(path: &Path, room: u64) -> Result<Self, DatasetError> {
        Self::read(Content::open(path)?.within(room))
    }

    pub(crate) fn read(mut content: Content<'_>) -> Result<Self, DatasetError> {
        let (values, shape) = body::read(&mut content)?;
        Self::new(content.origin(), values, shape)
    }

    /// `values` are in standard layout, and as many as `shape` says.
    pub(crate) fn new(
        origin: &Source,
        values: Values,
        shape: Vec<usize>,
    ) -> Result<Self, DatasetError> {
        // Integers are finite, and the largest of 64 bits is far below the largest f32.
        match &values {
            Values::F32(array) => check_finite(origin, array, |v| v, f64::from)?,
            Values::F64(array) => check_finite(origin, array, |v| v as f32, |v| v)?,
            Values::U8(_) | Values::I16(_) | Values::I32(_) | Values::I64(_) => {}
        }
        Ok(Self { values, shape })
    }

    /// n, at least 1.
    #[must_use]
    pub fn rows(&self) -> usize {
        each!(&self.values, array => array.nrows())
    }

    /// d, at least 1.
    #[must_use]
    pub fn cols(&self) -> usize {
        each!(&self.values, array => array.ncols())
    }

    /// The shape as the file declares it: its first size is n, the product of the others d. Sets
    /// of images have 3 dimensions, a list of numbers has 1.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the values.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.values.dtype()
    }

    /// The values, n x d, in standard (row-major, contiguous) layout.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Converts rows to `f32`, rounding to nearest.
    ///
    /// Row `rows.start + i` goes to `out[i * out_stride..][..d]`; the `out_stride - d` elements
    /// after it are left as they are. Several threads may convert rows of one table at a time.
    ///
    /// # Panics
    ///
    /// Where `rows` is not within `0..n`, `out_stride` is less than d, or `out` is too short for
    /// the last row.
    pub fn copy_rows_f32(&self, rows: Range<usize>, out: &mut [f32], out_stride: usize) {
        match &self.values {
            Values::U8(array) => copy_rows(array, rows, out, out_stride, f32::from),
            Values::I16(array) => copy_rows(array, rows, out, out_stride, f32::from),
            Values::I32(array) => copy_rows(array, rows, out, out_stride, |v| v as f32),
            Values::I64(array) => copy_rows(array, rows, out, out_stride, |v| v as f32),
            Values::F32(array) => copy_rows(array, rows, out, out_stride, |v| v),
            Values::F64(array) => copy_rows(array, rows, out, out_stride, |v| v as f32),
        }
    }

    /// The hash of dtype, original shape and values. It depends on content only: a file in C or
    /// Fortran order, of either byte order, compressed or not, IDX or `.npy`, gives the same.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(self.dtype().name().as_bytes());
        hasher.update(&[0]);
        hash_shape(&self.shape, &mut hasher);
        each!(&self.values, array => HashValues::hash(contiguous(array), &mut hasher));
        hasher.finalize().into()
    }
}

macro_rules! values_from {
    ($($variant:ident($type:ty)),*) => {$(
        impl From<Array2<$type>> for Values {
            fn from(array: Array2<$type>) -> Self {
                Self::$variant(array)
            }
        }
    )*};
}

values_from!(U8(u8), I16(i16), I32(i32), I64(i64), F32(f32), F64(f64));

/// All values of an array in row-major order.
fn contiguous<T>(array: &Array2<T>) -> &[T] {
    array.as_slice().expect("a table's values are in standard layout")
}

fn copy_rows<T: Copy>(
    array: &Array2<T>,
    rows: Range<usize>,
    out: &mut [f32],
    out_stride: usize,
    convert: impl Fn(T) -> f32,
) {
    let cols = array.ncols();
    assert!(out_stride >= cols, "a stride of {out_stride} is less than {cols} columns");
    let n = array.nrows();
    assert!(rows.start <= rows.end && rows.end <= n, "rows {rows:?} are not among {n} rows");
    if rows.is_empty() {
        return;
    }
    let needed = (rows.len() - 1).saturating_mul(out_stride).saturating_add(cols);
    assert!(out.len() >= needed, "{} elements are too few for {needed}", out.len());
    let values = &contiguous(array)[rows.start * cols..rows.end * cols];
    for (row, out) in values.chunks_exact(cols).zip(out.chunks_mut(out_stride)) {
        for (value, out) in row.iter().zip(&mut out[..cols]) {
            *out = convert(*value);
        }
    }
}

/// Finds the first value that is not finite, or not as an `f32`.
fn check_finite<T: Copy>(
    origin: &Source,
    array: &Array2<T>,
    to_f32: impl Fn(T) -> f32,
    to_f64: impl Fn(T) -> f64,
) -> Result<(), DatasetError> {
    let cols = array.ncols();
    for (row, values) in contiguous(array).chunks_exact(cols).enumerate() {
        // Without an early exit, so that the compiler can test many values at a time.
        if values.iter().fold(true, |finite, &value| finite & to_f32(value).is_finite()) {
            continue;
        }
        let col = values.iter().position(|&value| !to_f32(value).is_finite()).unwrap_or(0);
        let (origin, value) = (origin.clone(), to_f64(values[col]));
        return Err(if value.is_finite() {
            DatasetError::BeyondF32 { origin, value, row, col }
        } else {
            DatasetError::NonFinite { origin, value, row, col }
        });
    }
    Ok(())
}
