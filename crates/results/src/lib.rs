//! The run folder: what files there are, what stands in them, how they are written.
//!
//! **What it is for.** All that a scan leaves behind goes through here, and all that later commands
//! read of it: [`ScanDocument`] is `scan.json`, [`BestModel`] a `best/k05.npz`, [`Journal`] the
//! crash-safe record of finished runs, [`tables`] the CSV files.
//!
//! **What it is not.** It computes nothing and prints nothing.
//!
//! # How data goes through
//!
//! ```text
//! run ends ─→ Journal::append (fsync) ─→ … ─→ scan ends ─→ BestModel, tables, ScanDocument
//!                                                          each: temporary file, fsync, rename
//! ```
//!
//! A reader therefore finds each file either as it was or as it is to be, never half of it.

mod atomic;
mod document;
mod folder;
mod image_shape;
mod journal;
mod model;
mod parquet;
mod reference;
pub mod tables;

pub use atomic::{write_atomically, write_derived};
pub use document::{
    BestRun, DataDocument, Dispatch, ElbowDocument, Environment, FoundElbow, InitMethod,
    LabelsDocument, Launcher, RunDocument, RunStatus, ScaleMethod, ScanConfig, ScanDocument,
    ScanStatus, TableFormat, Timing,
};
pub use folder::{NewFolder, RunFolder};
pub use image_shape::{ImageShape, ParseImageShapeError};
pub use journal::{Entry, FailedRun, Journal, JournalError, JournalKey, Recovered};
/// What `kscan-select` finds, as it stands in `scan.json`.
pub use kscan_select::{Choice, Cluster, Confidence, Criteria, Gap, Rule, Verdict, VerdictKind};
pub use model::{BestModel, ModelError, Nearest};
pub use reference::{FailedReferenceRun, ReferenceDocument, ReferenceRun};

use std::io;
use std::path::{Path, PathBuf};

/// A file of the run folder that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}{path}", bytes_to(*.bytes))]
pub struct FileError {
    /// What was tried: "write", "read" or the like.
    pub action: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// How much there was to be written, where that is known.
    pub bytes: Option<u64>,
    /// What the system, or the format, says.
    pub source: io::Error,
}

fn bytes_to(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("{bytes} bytes to "))
}

impl FileError {
    /// What cannot be done to the file at `path`, and what the system says.
    pub fn new(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { action, path: path.to_owned(), bytes: None, source: source.into() }
    }

    /// This, of so many bytes.
    pub(crate) fn of(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    pub(crate) fn write(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::new("write", path, source)
    }

    pub(crate) fn read(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::new("read", path, source)
    }
}
