//! `scan.json`: the one file that a script needs.

use crate::{FailedRun, FileError, ImageShape, ReferenceDocument, RunFolder, write_atomically};
use jiff::Timestamp;
use kscan_dataset::read_file;
use kscan_kmeans::{Counters, Digest, Engine, RowIndex, Stop};
use kscan_protocol::{RunId, RunRecord};
use kscan_select::{Choice, Confidence, Criteria, Elbow, NoElbow, Verdict};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// All of `scan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanDocument {
    /// [`Self::FORMAT`].
    pub format: String,
    /// How the scan ended.
    pub status: ScanStatus,
    /// What was asked for, as resolved.
    pub config: ScanConfig,
    /// What it was asked of.
    pub data: DataDocument,
    /// What computed it.
    pub environment: Environment,
    /// Every run that was to be done and has ended, by k, then `init_id`.
    pub runs: Vec<RunDocument>,
    /// The best run of each k that has one, k ascending.
    pub best: Vec<BestRun>,
    /// Where the curve bends.
    pub elbow: ElbowDocument,
    /// What is known of each of `best`, in its order.
    #[serde(default)]
    pub criteria: Vec<Criteria>,
    /// Which k every rule chooses.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// Whether the rules agree; null where the scan has not ended.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// The reference scans of the gap statistic that have ended, by their numbers from 0.
    #[serde(default)]
    pub references: Vec<ReferenceDocument>,
    /// How long it took.
    pub timing: Timing,
}

impl ScanDocument {
    /// The format that is written and read here.
    pub const FORMAT: &str = "kscan-scan/1";

    /// Writes it into `folder`, atomically.
    ///
    /// # Errors
    /// Where that fails.
    pub fn write(&self, folder: &RunFolder) -> Result<(), FileError> {
        write_atomically(&folder.scan_json(), |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }

    /// Reads it from `folder`.
    ///
    /// # Errors
    /// Where there is none, it is of another format, or its configuration cannot be.
    pub fn read(folder: &RunFolder) -> Result<Self, FileError> {
        let path = folder.scan_json();
        let text = read_file(&path).map_err(|error| FileError::read(&path, error))?;
        let document: Self =
            serde_json::from_slice(&text).map_err(|error| FileError::read(&path, error))?;
        let checked = if document.format == Self::FORMAT {
            document.config.check()
        } else {
            Err(format!("its format is {:?}, not {:?}", document.format, Self::FORMAT))
        };
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        checked.map_err(|what| FileError::read(&path, invalid(what)))?;
        Ok(document)
    }
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanStatus {
    /// Every run succeeded.
    Complete,
    /// Every run ended, and some failed for good.
    Partial,
    /// It was stopped before every run had ended.
    Interrupted,
}

/// What was asked for, as resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanConfig {
    /// `DATA` as it was given: a built-in name or a path.
    pub data: String,
    /// The file of labels, where one was given.
    pub labels: Option<String>,
    /// Smallest k.
    pub k_low: u32,
    /// Largest k, included.
    pub k_high: u32,
    /// Step from one k to the next.
    pub k_step: u32,
    /// Initialisations a k.
    pub n_init: u32,
    /// Most workers at a time.
    pub n_proc: u32,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Where first centroids come from.
    pub init: InitMethod,
    /// Most iterations a run.
    pub max_iter: u32,
    /// Relative tolerance.
    pub tol: f64,
    /// Whether columns are scaled.
    pub scale: ScaleMethod,
    /// When the next run is started.
    pub dispatch: Dispatch,
    /// What starts workers.
    pub launcher: Launcher,
    /// Attempts that may fail before a run has.
    pub retries: u32,
    /// Seconds that an attempt may take.
    pub timeout_s: Option<f64>,
    /// How labels are found.
    pub engine: Engine,
    /// How tables are written.
    #[serde(default)]
    pub table: TableFormat,
    /// How a row is a picture, where that was said.
    pub image_shape: Option<ImageShape>,
    /// Reference scans for the gap statistic; null where that is not asked for.
    #[serde(default)]
    pub gap: Option<u32>,
}

impl ScanConfig {
    /// More reference scans than anybody waits for.
    pub const MOST_REFERENCES: u32 = 1000;

    /// That it can be asked for: the command line lets nothing else through.
    ///
    /// # Errors
    /// What cannot be, as `config.k_step is 0`.
    pub fn check(&self) -> Result<(), String> {
        for (what, value) in [
            ("k_low", self.k_low),
            ("k_step", self.k_step),
            ("n_init", self.n_init),
            ("n_proc", self.n_proc),
            ("max_iter", self.max_iter),
        ] {
            if value == 0 {
                return Err(format!("config.{what} is 0"));
            }
        }
        if let Some(gap) = self.gap.filter(|gap| !(1..=Self::MOST_REFERENCES).contains(gap)) {
            return Err(format!("config.gap is {gap}"));
        }
        if self.k_low > self.k_high {
            return Err("config.k_low is above config.k_high".to_owned());
        }
        if !(self.tol.is_finite() && self.tol >= 0.0) {
            return Err(format!("config.tol is {}", self.tol));
        }
        if let Some(timeout) = self.timeout_s
            && !Duration::try_from_secs_f64(timeout).is_ok_and(|timeout| !timeout.is_zero())
        {
            return Err(format!("config.timeout_s is {timeout}, which is not above 0"));
        }
        Ok(())
    }
}

/// Where first centroids come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitMethod {
    /// Greedy k-means++.
    #[serde(rename = "k-means++")]
    KMeansPlusPlus,
    /// Uniformly drawn rows.
    #[serde(rename = "random")]
    Random,
    /// The arrays of this npz file.
    #[serde(untagged)]
    File(String),
}

/// Whether columns are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleMethod {
    /// To mean 0 and variance 1.
    Standard,
    /// Not at all.
    None,
}

/// When the next run is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispatch {
    /// As soon as a slot is free.
    Rolling,
    /// When all of the last `n_proc` have ended, as the notebook's barrier has it.
    Batch,
}

/// How tables are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableFormat {
    /// As CSV.
    #[default]
    Csv,
    /// As CSV, and as Parquet too.
    Parquet,
}

/// What starts workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launcher {
    /// This machine.
    Local,
}

/// The data of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDocument {
    /// Its short name.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
    /// Number of columns.
    pub cols: u64,
    /// Type of the values, by numpy's name.
    pub dtype: String,
    /// Columns that are constant.
    pub constant_cols: u64,
    /// How a row is a picture, where it is one: as the configuration says, or the file.
    pub image_shape: Option<ImageShape>,
    /// Hash over the values.
    pub fingerprint: String,
    /// The labels, where they are known.
    pub labels: Option<LabelsDocument>,
}

/// The known labels of a scan's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelsDocument {
    /// The distinct labels, ascending.
    pub classes: Vec<i64>,
    /// Hash over the labels.
    pub fingerprint: String,
}

/// What computed a scan. None of it changes a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of kscan.
    pub kscan_version: String,
    /// Version of the definitions that results follow.
    pub definition_version: u32,
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process could use.
    pub cores: u32,
    /// The SIMD level in use.
    pub simd: String,
}

/// One run, ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// Number of clusters.
    pub k: u32,
    /// Which initialisation.
    pub init_id: u32,
    /// How it ended.
    pub status: RunStatus,
    /// Sum of squared distances; null where it failed, as are the next ones.
    pub inertia: Option<f64>,
    /// Iterations done.
    pub n_iter: Option<u32>,
    /// Why it stopped.
    pub stop: Option<Stop>,
    /// The rows that the first centroids were; empty where they were given.
    pub init_rows: Vec<RowIndex>,
    /// Hash over the result.
    pub digest: Option<Digest>,
    /// Attempts made.
    pub attempts: u32,
    /// Which of the places for workers the last attempt had, from 0.
    pub slot: Option<u32>,
    /// Seconds from the scan's begin to that of the last attempt. Where the scan was interrupted
    /// and resumed, the time between does not count.
    pub started_s: Option<f64>,
    /// Seconds that the last attempt took.
    pub wall_s: Option<f64>,
    /// Processor seconds of it.
    pub cpu_s: Option<f64>,
    /// Seconds of it from the process's start until the shared file was mapped.
    pub load_s: Option<f64>,
    /// Seconds of it to choose the first centroids.
    pub seed_s: Option<f64>,
    /// Seconds of it to iterate, and to compute the inertia.
    pub iterate_s: Option<f64>,
    /// Largest resident set, shared pages included.
    pub peak_rss_bytes: Option<u64>,
    /// Private memory.
    pub private_bytes: Option<u64>,
    /// Clusters that have rows.
    pub distinct_clusters: Option<u32>,
    /// Empty clusters that were given a far row.
    pub relocated: Option<u64>,
    /// What the engine looked at, in all iterations.
    pub counters: Option<Counters>,
    /// The last attempt's log, relative to the folder.
    pub log: String,
    /// Why it failed.
    pub error: Option<String>,
}

impl RunDocument {
    /// Which run it is.
    #[must_use]
    pub fn run(&self) -> RunId {
        RunId { k: self.k, init_id: self.init_id }
    }
}

/// A run that succeeded.
impl From<&RunRecord> for RunDocument {
    fn from(record: &RunRecord) -> Self {
        Self {
            k: record.run.k,
            init_id: record.run.init_id,
            status: RunStatus::Ok,
            inertia: Some(record.inertia),
            n_iter: Some(record.n_iter),
            stop: Some(record.stop),
            init_rows: record.init_rows.clone(),
            digest: Some(record.digest.clone()),
            attempts: record.attempt.0,
            slot: Some(record.placement.slot),
            started_s: Some(record.placement.started_s),
            wall_s: Some(record.usage.wall_s),
            cpu_s: Some(record.usage.cpu_s),
            load_s: Some(record.usage.load_s),
            seed_s: Some(record.usage.seed_s),
            iterate_s: Some(record.usage.iterate_s),
            peak_rss_bytes: Some(record.usage.peak_rss_bytes),
            private_bytes: Some(record.usage.private_bytes),
            distinct_clusters: Some(record.distinct_clusters),
            relocated: Some(record.relocated),
            counters: Some(record.counters),
            log: RunFolder::run_log_name(record.run, record.attempt),
            error: None,
        }
    }
}

/// A run that failed for good.
impl From<&FailedRun> for RunDocument {
    fn from(failed: &FailedRun) -> Self {
        Self {
            k: failed.run.k,
            init_id: failed.run.init_id,
            status: RunStatus::Failed,
            inertia: None,
            n_iter: None,
            stop: None,
            init_rows: Vec::new(),
            digest: None,
            attempts: failed.attempt.0,
            slot: Some(failed.placement.slot),
            started_s: Some(failed.placement.started_s),
            wall_s: Some(failed.wall_s),
            cpu_s: None,
            load_s: None,
            seed_s: None,
            iterate_s: None,
            peak_rss_bytes: None,
            private_bytes: None,
            distinct_clusters: None,
            relocated: None,
            counters: None,
            log: RunFolder::run_log_name(failed.run, failed.attempt),
            error: Some(failed.error.clone()),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// With a result.
    Ok,
    /// Without one, after all its attempts.
    Failed,
}

/// The best run of a k.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestRun {
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
    /// The model's file, relative to the folder.
    pub file: String,
}

impl From<&RunRecord> for BestRun {
    fn from(record: &RunRecord) -> Self {
        Self {
            k: record.run.k,
            init_id: record.run.init_id,
            inertia: record.inertia,
            n_iter: record.n_iter,
            digest: record.digest.clone(),
            file: RunFolder::best_model_name(record.run.k),
        }
    }
}

/// Where the curve bends, or why that cannot be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ElbowDocument {
    /// At `k`.
    Found(FoundElbow),
    /// Nowhere.
    None {
        /// Always null.
        k: Option<u32>,
        /// Why not.
        reason: String,
    },
}

impl ElbowDocument {
    /// Of a curve, and how sure it is.
    #[must_use]
    pub fn new(elbow: Result<Elbow, NoElbow>, confidence: Confidence) -> Self {
        match elbow {
            Ok(elbow) => Self::Found(FoundElbow { elbow, confidence: Some(confidence) }),
            Err(none) => Self::None { k: None, reason: none.to_string() },
        }
    }

    /// The elbow, where there is one.
    #[must_use]
    pub fn found(&self) -> Option<&Elbow> {
        match self {
            Self::Found(found) => Some(&found.elbow),
            Self::None { .. } => None,
        }
    }
}

/// An elbow, and how sure it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundElbow {
    /// The elbow.
    #[serde(flatten)]
    pub elbow: Elbow,
    /// How much it depends on the initialisations; absent where the runs are not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confidence: Option<Confidence>,
}

/// How long a scan took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// When it began, or was last resumed, UTC: what follows counts from there.
    pub started_at: Timestamp,
    /// The second of the scan, as in `started_s` of runs, in which that was; 0 but for a resumed one.
    #[serde(default)]
    pub resumed_at_s: f64,
    /// From its start to the writing of this.
    pub wall_s: f64,
    /// Of that, to read, normalise and share the data.
    pub prepare_s: f64,
    /// Of that, to do the runs.
    pub scan_s: f64,
    /// Of that, to do the reference scans.
    #[serde(default)]
    pub reference_s: f64,
    /// Processor seconds of all successful attempts and the coordinator.
    pub cpu_s: f64,
}
