//! What stands in `scan.json` of the reference scans of the gap statistic.

use crate::{FailedRun, RunFolder};
use kscan_kmeans::Digest;
use kscan_protocol::{RunId, RunRecord};
use serde::{Deserialize, Serialize};

/// A scan of reference data, ended: every k and initialisation of the scan, of data without clusters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceDocument {
    /// Where its journal and logs are, relative to the folder.
    pub folder: String,
    /// The best run of each k that has one, k ascending.
    pub best: Vec<ReferenceRun>,
    /// The runs that failed for good, by k, then `init_id`.
    pub failed: Vec<FailedReferenceRun>,
}

/// The best run of a k on reference data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceRun {
    /// Number of clusters.
    pub k: u32,
    /// Which initialisation.
    pub init_id: u32,
    /// Sum of squared distances.
    pub inertia: f64,
    /// Iterations done.
    pub n_iter: u32,
    /// Hash over the result.
    pub digest: Digest,
}

impl From<&RunRecord> for ReferenceRun {
    fn from(record: &RunRecord) -> Self {
        Self {
            k: record.run.k,
            init_id: record.run.init_id,
            inertia: record.inertia,
            n_iter: record.n_iter,
            digest: record.digest.clone(),
        }
    }
}

/// A run on reference data that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedReferenceRun {
    /// Number of clusters.
    pub k: u32,
    /// Which initialisation.
    pub init_id: u32,
    /// Attempts made.
    pub attempts: u32,
    /// The last attempt's log, relative to the reference's folder.
    pub log: String,
    /// Why it failed.
    pub error: String,
}

impl FailedReferenceRun {
    /// Which run it is.
    #[must_use]
    pub fn run(&self) -> RunId {
        RunId { k: self.k, init_id: self.init_id }
    }
}

impl From<&FailedRun> for FailedReferenceRun {
    fn from(failed: &FailedRun) -> Self {
        Self {
            k: failed.run.k,
            init_id: failed.run.init_id,
            attempts: failed.attempt.0,
            log: RunFolder::run_log_name(failed.run, failed.attempt),
            error: failed.error.clone(),
        }
    }
}
