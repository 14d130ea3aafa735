//! Data files, and the sets that are built in, as values in memory.
//!
//! **What it is for.** [`load`] turns a [`Source`] (a path, or the name of a built-in set) into a
//! [`Dataset`]: its name, a [`Table`] of n rows by d columns in the file's own dtype, and the rows'
//! [`Labels`] where they are known. Whatever is wrong with a file is found here, as a
//! [`DatasetError`] that says where it is and what to do next.
//!
//! **What it is not.** It scales nothing, chooses nothing, prints nothing and starts no threads.
//! The only thing it writes is `.npy` ([`write_npy`]).
//!
//! # What is read
//!
//! | format | dtypes | also |
//! | --- | --- | --- |
//! | IDX | `u8`, `i16`, `i32`, `f32`, `f64`; `i8` becomes `i16` | gzip-compressed |
//! | `.npy` 1.0, 2.0, 3.0 | `u8`, `i16`, `i32`, `i64`, `f32`, `f64`; `i8` becomes `i16`, `u16` `i32`, `u32` `i64` | both byte orders, C and Fortran order, gzip-compressed |
//!
//! The format is recognised by the file's first bytes, never by its name. The first dimension
//! counts the rows; the others are flattened in C order to the columns; an array of one dimension
//! has one column. Every value is finite, and still finite as an `f32`.
//!
//! # How data goes through
//!
//! ```text
//! path, built-in ─→ content: plain or gunzipped bytes ─→ idx | npy: header ─→ body: values, row-major ─→ Table, Labels
//! ```
//!
//! A header's sizes are claims. They are multiplied with overflow checks, compared with the file's
//! length where that is known, and never allocated ahead of the bytes that fill them: a few bytes
//! that claim 2⁶⁰ values are an error, not an abort. Reading stops at the first byte that the
//! header does not account for, however much a gzip stream would still unfold to.

mod body;
mod builtin;
mod centroids;
mod content;
mod error;
mod file;
mod fingerprint;
mod header;
mod idx;
mod labels;
mod npy;
mod npz;
mod source;
mod table;

use std::path::Path;

pub use centroids::GivenCentroids;
pub use error::DatasetError;
pub use file::{expect_file, read_file};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use labels::Labels;
pub use npy::write_npy;
pub use npz::{Npz, NpzArray};
pub use source::{Builtin, Source};
pub use table::{Dtype, Table, Values};

/// A data set in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// A short name that can be part of a file's name: only `[A-Za-z0-9._-]`, 1 to 64 characters,
    /// starting with a letter or digit. See [`Source::dataset_name`].
    pub name: String,
    /// The values, n rows by d columns.
    pub table: Table,
    /// One label for each of the n rows, where they are known.
    pub labels: Option<Labels>,
}

/// Reads a data set.
///
/// Built-in sets come with their labels; a file has none of its own. `labels` is the path of a
/// file with one label per row (see [`Labels`]) and replaces what a built-in set brings along.
///
/// # Errors
///
/// [`DatasetError`], for the data as for the labels: what cannot be opened or read, is in no
/// format that is read here, is damaged, holds a value that is not finite as an `f32`, or has
/// another number of labels than rows.
pub fn load(source: &Source, labels: Option<&Path>) -> Result<Dataset, DatasetError> {
    load_within(source, labels, u64::MAX)
}

/// The same, where the values may take `room` bytes of memory.
///
/// # Errors
///
/// As [`load`]; and [`DatasetError::NoRoom`], before anything is taken, where it takes more.
pub fn load_within(
    source: &Source,
    labels: Option<&Path>,
    room: u64,
) -> Result<Dataset, DatasetError> {
    // The labels first: they are the smaller file, so a mistyped path fails at once.
    let labels = match (labels, source) {
        (Some(path), _) => Some((Source::File(path.to_path_buf()), Labels::read_file(path, room)?)),
        (None, Source::Builtin(builtin)) => Some((source.clone(), builtin::read_labels(*builtin)?)),
        (None, Source::File(_)) => None,
    };
    let table = match source {
        Source::Builtin(builtin) => builtin::read_table(*builtin)?,
        Source::File(path) => Table::read_file(path, room)?,
    };
    let labels = match labels {
        Some((origin, labels)) if labels.values().len() != table.rows() => {
            return Err(DatasetError::LabelsCount {
                origin,
                labels: labels.values().len(),
                data: source.clone(),
                rows: table.rows(),
            });
        }
        Some((_, labels)) => Some(labels),
        None => None,
    };
    Ok(Dataset { name: source.dataset_name(), table, labels })
}
