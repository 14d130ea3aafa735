//! The messages themselves.

use kscan_kmeans::{Counters, Digest, Engine, RowIndex, Stop};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Version of all messages here: coordinator and worker are the same executable, so anything but
/// equality means that the executable was replaced under a running scan.
pub const PROTOCOL_VERSION: u32 = 2;

/// Which run of a scan: one K-means fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// Number of clusters.
    pub k: u32,
    /// Which of the initialisations for this k, from 0.
    pub init_id: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{:02}-i{:02}", self.k, self.init_id)
    }
}

/// Which try at a run, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a{}", self.0)
    }
}

impl RunId {
    /// The name of an attempt's log file, as `k05-i00.a1.jsonl`.
    #[must_use]
    pub fn log_name(self, attempt: Attempt) -> String {
        format!("{self}.{attempt}.jsonl")
    }

    /// The run and attempt that [`Self::log_name`] gave this name.
    ///
    /// # Errors
    /// Where the name is not of that form.
    pub fn parse_log_name(name: &str) -> Result<(Self, Attempt), ParseRunIdError> {
        let parse = || {
            let (k, rest) = name.strip_prefix('k')?.split_once("-i")?;
            let (init_id, rest) = rest.split_once(".a")?;
            let attempt = rest.strip_suffix(".jsonl")?;
            let run = Self { k: k.parse().ok()?, init_id: init_id.parse().ok()? };
            Some((run, Attempt(attempt.parse().ok()?)))
        };
        parse().ok_or_else(|| ParseRunIdError(name.to_owned()))
    }
}

/// A file name that names no run and attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no run and attempt")]
pub struct ParseRunIdError(String);

/// All that a worker needs to do one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`PROTOCOL_VERSION`] of the coordinator.
    pub protocol: u32,
    /// Which run.
    pub run: RunId,
    /// Which try at it.
    pub attempt: Attempt,
    /// Where and when it is started.
    pub placement: Placement,
    /// The scan's seed.
    pub seed: u64,
    /// Where the first centroids come from.
    pub init: FirstCentroids,
    /// Most iterations.
    pub max_iter: u32,
    /// Relative tolerance, see `kscan_kmeans::Parameters`.
    pub tol: f64,
    /// How labels are found.
    pub engine: Engine,
    /// Name of the SIMD level to use; by detection where there is none.
    pub simd: Option<String>,
    /// Where the shared file can be opened.
    pub shared: PathBuf,
    /// Number of rows and columns there must be in it.
    pub shape: (u64, u64),
    /// The file for this attempt's log.
    pub log: PathBuf,
    /// What goes into the log, in the syntax of `RUST_LOG`.
    pub log_filter: String,
}

/// Where and when an attempt was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Which of the scan's places for workers, from 0.
    pub slot: u32,
    /// Seconds since the scan began. Where it was interrupted and resumed, the time between does
    /// not count.
    pub started_s: f64,
}

/// Where first centroids come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FirstCentroids {
    /// Greedy k-means++.
    KMeansPlusPlus,
    /// Uniformly drawn rows.
    Random,
    /// These: `[k, d]`, row by row.
    Given(Vec<f32>),
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// It has started and read its job.
    Hello(Hello),
    /// The first centroids are there.
    Seeded,
    /// An iteration is done.
    Iterated(Iterated),
    /// The run is done. Nothing follows.
    Finished {
        /// What it found.
        record: Box<RunRecord>,
        /// Label of every row, `[n]`.
        labels: Vec<u32>,
    },
    /// The run cannot be done. Nothing follows.
    Failed(RunFailure),
}

/// A worker's greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the worker.
    pub protocol: u32,
    /// Its process id.
    pub pid: u32,
    /// The SIMD level in use.
    pub simd: String,
}

/// An iteration, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Iterated {
    /// Its number, from 1.
    pub iteration: u32,
    /// Inertia of its labels against the means of their rows.
    pub inertia: f64,
    /// Rows whose label changed.
    pub rows_changed: u64,
    /// Rows that the engine looked at.
    pub rows_visited: u64,
}

/// A finished run, but for its labels, which follow from the centroids: what the journal keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Which run.
    pub run: RunId,
    /// The try that succeeded.
    pub attempt: Attempt,
    /// Where and when that was started.
    pub placement: Placement,
    /// Centroids, `[k, d]`, row by row.
    pub centroids: Vec<f64>,
    /// First centroids, `[k, d]`, row by row.
    pub init_centers: Vec<f32>,
    /// The rows they were, where they were rows.
    pub init_rows: Vec<RowIndex>,
    /// Sum of squared distances.
    pub inertia: f64,
    /// Iterations done.
    pub n_iter: u32,
    /// Why it stopped.
    pub stop: Stop,
    /// Hash over the result.
    pub digest: Digest,
    /// Clusters that have rows.
    pub distinct_clusters: u32,
    /// Empty clusters that were given a far row, in all iterations.
    pub relocated: u64,
    /// What the engine looked at, in all iterations.
    pub counters: Counters,
    /// What it cost.
    pub usage: Usage,
}

/// What a run cost its process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds from the process's first line to its result.
    pub wall_s: f64,
    /// Processor seconds, user and system.
    pub cpu_s: f64,
    /// Seconds to open the shared file.
    pub load_s: f64,
    /// Seconds to choose the first centroids.
    pub seed_s: f64,
    /// Seconds to iterate and to compute the inertia.
    pub iterate_s: f64,
    /// Largest resident set, shared pages included, as the kernel counted it (`VmHWM`).
    pub peak_rss_bytes: u64,
    /// Private memory while iterating (`RssAnon`).
    pub private_bytes: u64,
}

/// Why a worker could not do its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// What kind of reason.
    pub kind: FailureKind,
    /// The reason in words: a lowercase fragment.
    pub message: String,
}

/// What kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Coordinator and worker are of different versions.
    Version,
    /// The shared file cannot be opened or is not what it should be.
    Shared,
    /// Its log file cannot be made.
    Log,
    /// The parameters do not fit the data.
    Parameters,
    /// The worker panicked.
    Panic,
    /// There is no memory for the run.
    Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_names_round_trip() {
        for (k, init_id, attempt) in [(5, 0, 1), (15, 9, 3), (128, 100, 12)] {
            let run = RunId { k, init_id };
            let name = run.log_name(Attempt(attempt));
            assert_eq!(RunId::parse_log_name(&name), Ok((run, Attempt(attempt))), "{name}");
        }
        assert_eq!(RunId { k: 5, init_id: 0 }.log_name(Attempt::FIRST), "k05-i00.a1.jsonl");
        for name in ["coordinator.jsonl", "k5.a1.jsonl", "k-i.a.jsonl", "k05-i00.a1.json", ""] {
            assert!(RunId::parse_log_name(name).is_err(), "{name}");
        }
    }
}
