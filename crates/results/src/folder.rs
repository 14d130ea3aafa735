//! The names of things in a run folder.

use kscan_protocol::{Attempt, RunId};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A run folder, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The one at `path`, whether it is there or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes it and the folders in it, mode 0700, where they are not there yet.
    ///
    /// # Errors
    /// Where that is not allowed, or something else has the name.
    pub fn create(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        [
            self.path.clone(),
            self.logs(),
            self.best(),
            self.contingency(),
        ]
        .iter()
        .try_for_each(|folder| builder.create(folder))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a scan was begun here.
    #[must_use]
    pub fn has_scan(&self) -> bool {
        self.journal().exists() || self.scan_json().exists()
    }

    /// `scan.json`
    #[must_use]
    pub fn scan_json(&self) -> PathBuf {
        self.path.join("scan.json")
    }

    /// `journal.bin`
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.bin")
    }

    /// `runs.csv`
    #[must_use]
    pub fn runs_csv(&self) -> PathBuf {
        self.path.join("runs.csv")
    }

    /// `curve.csv`
    #[must_use]
    pub fn curve_csv(&self) -> PathBuf {
        self.path.join("curve.csv")
    }

    /// `elbow.csv`
    #[must_use]
    pub fn elbow_csv(&self) -> PathBuf {
        self.path.join("elbow.csv")
    }

    /// `best/`
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.path.join("best")
    }

    /// `best/k05.npz`, relative to the folder.
    #[must_use]
    pub fn best_model_name(k: u32) -> String {
        format!("best/k{k:02}.npz")
    }

    /// `contingency/`
    #[must_use]
    pub fn contingency(&self) -> PathBuf {
        self.path.join("contingency")
    }

    /// `contingency/k05.csv`
    #[must_use]
    pub fn contingency_csv(&self, k: u32) -> PathBuf {
        self.contingency().join(format!("k{k:02}.csv"))
    }

    /// `logs/`
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// `logs/coordinator.jsonl`
    #[must_use]
    pub fn coordinator_log(&self) -> PathBuf {
        self.logs().join("coordinator.jsonl")
    }

    /// `logs/k05-i00.a1.jsonl`
    #[must_use]
    pub fn run_log(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.logs().join(run.log_name(attempt))
    }

    /// `shared.bin`: the shared file, where it is to be kept.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.path.join("shared.bin")
    }
}
