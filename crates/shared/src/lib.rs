//! The normalised data in one file that every worker maps.
//!
//! **What it is for.** The coordinator scales the raw table ([`Scaler`], scikit-learn's
//! `StandardScaler` on float32) straight into a new file, adds what all runs need to know of the
//! rows (`kscan_kmeans::Statistics`), and seals it ([`SharedFile::create`]). A worker maps it
//! read-only and works on it in place ([`SharedMap::open`]): however many workers there are, the
//! rows are in memory once.
//!
//! **What it is not.** It decides nothing about K-means, and it is no format to keep data in: the
//! file has the byte order of the machine and belongs to one scan.
//!
//! # The file has no name
//!
//! It is an anonymous memory file (`memfd_create`), reached through the coordinator's
//! `/proc/<pid>/fd/<n>`, so it vanishes with the last process that has it open: nothing is left
//! behind whatever ends the scan. Once written it is sealed, so nobody can shrink it under a worker
//! or change what a worker reads. `--keep-shared` asks for
//! a copy with a name, which stays, and which nobody maps.
//!
//! # How data goes through
//!
//! ```text
//! Table ─→ Scaler::fit ─→ scaled rows, in parallel, into the mapping ─→ Statistics, Index ─→ header, seal
//!                                                                                       │
//! worker: open ─→ map ─→ check the header ─→ Data (borrowed from the mapping) ←─────────┘
//! ```

mod create;
mod layout;
mod map;
mod mapping;
mod scaler;

pub use create::{Place, SharedFile};
pub use layout::{HeaderError, Shape};
pub use map::SharedMap;
pub use scaler::{Scaler, Scaling};

use std::io;
use std::path::PathBuf;

/// Why the shared file could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// There is no room for it, or the system refuses it.
    #[error("cannot make the shared file of {bytes} bytes in {place}: {source}")]
    Create {
        /// Its path, or what stands for one.
        place: String,
        /// How large it was to be.
        bytes: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A value is finite in the table, but not once it is scaled.
    #[error("row {row}, column {column} (from 0) does not fit float32 after scaling")]
    NotFinite {
        /// The first such row, from 0.
        row: usize,
        /// The first such column of it, from 0.
        column: usize,
    },
    /// It cannot be opened or mapped.
    #[error("cannot open the shared file {path}: {source}")]
    Open {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody could change or shorten it while it is mapped.
    #[error("{path} is not sealed: it could change under its readers")]
    NotSealed {
        /// Where it is.
        path: PathBuf,
    },
    /// What is there is not the file that the coordinator wrote.
    #[error("{path} is not a shared file of this scan: {source}")]
    Header {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
}
