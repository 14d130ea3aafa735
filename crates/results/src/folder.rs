//! The names of things in a run folder.

use crate::FileError;
use crate::atomic::TEMPORARY;
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
    /// Where that is not allowed, or something else has the name: also a symbolic link in it, which
    /// would lead what is written elsewhere.
    pub fn create(&self) -> Result<NewFolder, FileError> {
        let is_new = !self.path.exists();
        make(&self.path)?;
        let new = NewFolder { path: is_new.then(|| self.path.clone()) };
        for folder in [self.logs(), self.best(), self.contingency(), self.plots()] {
            make_no_link(&folder)?;
        }
        Ok(new)
    }

    /// Makes the folder of a reference scan in it, where it is not there yet, for a journal and logs,
    /// and removes temporary files that a killed coordinator has left there.
    ///
    /// # Errors
    /// As of [`Self::create`] and [`Self::remove_temporaries`].
    pub fn create_reference(&self, reference: u32) -> Result<Self, FileError> {
        let folder = self.reference(reference);
        for path in [self.path.join("gap"), folder.path.clone(), folder.logs()] {
            make_no_link(&path)?;
        }
        remove_temporaries(&folder.path)?;
        Ok(folder)
    }

    /// Removes temporary files that a killed coordinator has left. Only for who has the journal's
    /// lock: another coordinator's would go as well.
    ///
    /// # Errors
    /// Where a folder cannot be read, or a file not be removed.
    pub fn remove_temporaries(&self) -> Result<(), FileError> {
        [self.path.clone(), self.best(), self.contingency(), self.plots()]
            .iter()
            .try_for_each(|folder| remove_temporaries(folder))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a scan was begun here: `scan.json` is the first file that one writes.
    #[must_use]
    pub fn has_scan(&self) -> bool {
        self.scan_json().exists()
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

    /// `criteria.csv`
    #[must_use]
    pub fn criteria_csv(&self) -> PathBuf {
        self.path.join("criteria.csv")
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

    /// `gap/r00`, relative to the folder: that of a reference scan, by its number from 0.
    #[must_use]
    pub fn reference_name(reference: u32) -> String {
        format!("gap/r{reference:02}")
    }

    /// `gap/r00/`: like a run folder it has a journal and logs, and nothing else.
    #[must_use]
    pub fn reference(&self, reference: u32) -> Self {
        Self { path: self.path.join(Self::reference_name(reference)) }
    }

    /// `report.html`
    #[must_use]
    pub fn report_html(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// `plots/`
    #[must_use]
    pub fn plots(&self) -> PathBuf {
        self.path.join("plots")
    }

    /// `plots/inertia.svg`
    #[must_use]
    pub fn plot(&self, name: &str, extension: &str) -> PathBuf {
        self.plots().join(format!("{name}.{extension}"))
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

    /// `logs/k05-i00.a1.jsonl`, relative to the folder.
    #[must_use]
    pub fn run_log_name(run: RunId, attempt: Attempt) -> String {
        format!("logs/{}", run.log_name(attempt))
    }

    /// `logs/k05-i00.a1.jsonl`
    #[must_use]
    pub fn run_log(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.path.join(Self::run_log_name(run, attempt))
    }

    /// `trace.json`
    #[must_use]
    pub fn trace_json(&self) -> PathBuf {
        self.path.join("trace.json")
    }

    /// `shared.bin`: the shared file, where it is to be kept.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.path.join("shared.bin")
    }
}

/// Makes a folder, mode 0700, where it is not there yet.
fn make(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(|error| FileError::new("make the folder", path, error))
}

/// The same, but for one that leads elsewhere.
fn make_no_link(path: &Path) -> Result<(), FileError> {
    make(path)?;
    if path.symlink_metadata().is_ok_and(|entry| entry.is_symlink()) {
        let link = io::Error::other("it is a symbolic link");
        return Err(FileError::new("make the folder", path, link));
    }
    Ok(())
}

fn remove_temporaries(folder: &Path) -> Result<(), FileError> {
    let fail = |error| FileError::new("tidy up", folder, error);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            std::fs::remove_file(entry.path()).map_err(fail)?;
        }
    }
    Ok(())
}

/// A run folder in which nothing has been done yet: removed again when this is dropped, unless the
/// folder was there before, or [`NewFolder::keep`] was called.
#[derive(Debug)]
#[must_use]
pub struct NewFolder {
    path: Option<PathBuf>,
}

impl NewFolder {
    /// From now on there is something in the folder to keep.
    pub fn keep(&mut self) {
        self.path = None;
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing to do where that fails: what led here is told.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
