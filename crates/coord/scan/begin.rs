//! The first stage of a scan: its folder, `scan.json` and journal are there, and who watches is told.

use crate::cli::DisplayArgs;
use crate::events::{Event, LogSink, Sink};
use crate::exit::{Exit, Failure};
use crate::progress::{self, Board};
use crate::scan::attempt_log::AttemptLogSink;
use crate::scan::memory::Need;
use crate::scan::{plan, prepare, reduce};
use crate::{limits, logging};
use jiff::Timestamp;
use kscan_dataset::{Dataset, GivenCentroids};
use kscan_kmeans::{DEFINITION_VERSION, Simd, SimdLevel};
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{
    DataDocument, ElbowDocument, Environment, FailedRun, ImageShape, Journal, JournalKey,
    LabelsDocument, NewFolder, ReferenceDocument, RunFolder, ScanConfig, ScanDocument, ScanStatus,
    Timing,
};
use procfs::Current;
use std::path::PathBuf;
use std::time::Instant;

/// A scan that is about to be done.
pub(crate) struct Order<'a> {
    pub(crate) config: ScanConfig,
    pub(crate) dataset: Dataset,
    pub(crate) folder: RunFolder,
    pub(crate) given: Option<GivenCentroids>,
    /// What the results depend on.
    pub(crate) key: JournalKey,
    /// What an earlier scan in the folder has left, to go on with.
    pub(crate) earlier: Option<Earlier>,
    pub(crate) means: Means,
    pub(crate) display: &'a DisplayArgs,
}

/// What an earlier scan has left.
pub(crate) struct Earlier {
    pub(crate) journal: Journal,
    /// Its results.
    pub(crate) finished: Vec<RunRecord>,
    /// What failed for good, and is tried again.
    pub(crate) failed: Vec<FailedRun>,
    /// What stood in `scan.json`.
    pub(crate) before: Box<ScanDocument>,
}

/// What a scan is done with, which shows in no result.
pub(crate) struct Means {
    /// When the command was started.
    pub(crate) started: Instant,
    pub(crate) simd: Option<SimdLevel>,
    /// Bytes that the scan may take.
    pub(crate) memory: Option<u64>,
    pub(crate) keep_shared: bool,
    /// Whether plots are written as PNG too.
    pub(crate) png: bool,
    /// What is started as a worker.
    pub(crate) worker_program: PathBuf,
}

/// A scan that has begun, but for its data, which is still to be prepared.
pub(crate) struct Begun {
    pub(crate) config: ScanConfig,
    pub(crate) folder: RunFolder,
    pub(crate) given: Option<GivenCentroids>,
    /// Runs that are not done yet.
    pub(crate) missing: Vec<RunId>,
    /// Results that an earlier scan has left.
    pub(crate) done: Vec<RunRecord>,
    pub(crate) journal: Journal,
    /// What the results depend on.
    pub(crate) key: JournalKey,
    /// What stands in `scan.json`.
    pub(crate) document: ScanDocument,
    /// Whether the folder is to stay.
    pub(crate) new_folder: NewFolder,
    pub(crate) simd: Simd,
    /// Threads to prepare data on.
    pub(crate) threads: usize,
    pub(crate) log_filter: String,
    pub(crate) means: Means,
    pub(crate) sinks: Sinks,
}

/// Begins a scan, new or again; what cannot be had is found out here.
pub(crate) fn begin(order: Order<'_>) -> Result<(Begun, Dataset), Failure> {
    let Order { mut config, dataset, folder, given, key, earlier, means, display } = order;
    let simd = simd(means.simd)?;
    let asked = config.n_proc;
    let need = Need::of(&config, &dataset.table, prepare::index(&config, &dataset.table));
    let with_memory = need.workers_that_fit(asked, means.memory)?;
    let with_files = limits::workers_with_files(asked)?;
    config.n_proc = with_memory.min(with_files);
    let new_folder = folder.create()?;
    let mut document = document(&config, &dataset, &key.fingerprint, simd);
    let (journal, done) = if let Some(Earlier { journal, finished, failed, before }) = earlier {
        // What is true should this process end before its data is there.
        document.runs = reduce::run_documents(&finished, &failed);
        take_over(&mut document, *before);
        document.write(&folder)?;
        (journal, finished)
    } else {
        document.write(&folder)?;
        (Journal::create(&folder.journal(), &key)?, Vec::new())
    };
    folder.remove_temporaries()?;
    let log_filter = logging::filter(display.verbose);
    logging::start(&folder, &log_filter, display.verbose > 0)?;
    let planned = plan::runs(&config);
    let is_missing = |run: &RunId| !done.iter().any(|record| record.run == *run);
    let missing: Vec<RunId> = planned.iter().copied().filter(is_missing).collect();
    let board = Board::of_scan(&config, dataset.table.rows(), &missing, &done);
    let progress = progress::sink(display, board);
    let mut sinks = Sinks(vec![Box::new(LogSink), Box::new(AttemptLogSink), progress]);

    sinks.event(&Event::ScanStarted {
        data: dataset.name.clone(),
        rows: dataset.table.rows() as u64,
        cols: dataset.table.cols() as u64,
        runs: planned.len(),
        done: done.len(),
        n_proc: config.n_proc,
        out: folder.path().to_owned(),
    });
    let n_proc = config.n_proc;
    if n_proc < asked {
        let short = if with_memory < with_files { "memory" } else { "open files (ulimit -n)" };
        sinks.event(&Event::FewerWorkers { n_proc, asked, short });
    }
    let threads = need.threads(prepare::cores());
    let begun = Begun {
        config,
        folder,
        given,
        missing,
        done,
        journal,
        key,
        document,
        new_folder,
        simd,
        threads,
        log_filter,
        means,
        sinks,
    };
    Ok((begun, dataset))
}

fn simd(level: Option<SimdLevel>) -> Result<Simd, Failure> {
    let Some(level) = level else {
        return Ok(Simd::detect());
    };
    Simd::new(level).ok_or_else(|| {
        Failure::new(
            Exit::Environment,
            format!("this processor has no {level} instructions"),
            "leave --simd out: the best level there is gives the same bits",
        )
    })
}

/// `scan.json` as it stands while a scan runs: should the scan be killed, this is what is true.
fn document(config: &ScanConfig, dataset: &Dataset, fingerprint: &str, simd: Simd) -> ScanDocument {
    let table = &dataset.table;
    let cpu = procfs::CpuInfo::current()
        .ok()
        .and_then(|cpu| cpu.model_name(0).map(ToOwned::to_owned))
        .unwrap_or_default();
    ScanDocument {
        format: ScanDocument::FORMAT.to_owned(),
        status: ScanStatus::Interrupted,
        config: config.clone(),
        data: DataDocument {
            name: dataset.name.clone(),
            rows: table.rows() as u64,
            cols: table.cols() as u64,
            dtype: table.dtype().to_string(),
            constant_cols: 0,
            image_shape: config.image_shape.or_else(|| ImageShape::of_array(table.shape())),
            fingerprint: fingerprint.to_owned(),
            labels: dataset.labels.as_ref().map(|labels| LabelsDocument {
                classes: labels.classes(),
                fingerprint: labels.fingerprint().to_string(),
            }),
        },
        environment: Environment {
            kscan_version: env!("CARGO_PKG_VERSION").to_owned(),
            definition_version: DEFINITION_VERSION,
            cpu,
            cores: prepare::cores() as u32,
            simd: simd.level().to_string(),
        },
        runs: Vec::new(),
        best: Vec::new(),
        elbow: ElbowDocument::None { k: None, reason: "the scan has not ended".to_owned() },
        criteria: Vec::new(),
        choices: Vec::new(),
        verdict: None,
        references: Vec::new(),
        timing: Timing {
            started_at: Timestamp::now(),
            resumed_at_s: 0.0,
            wall_s: 0.0,
            prepare_s: 0.0,
            scan_s: 0.0,
            reference_s: 0.0,
            cpu_s: 0.0,
        },
    }
}

/// Takes over what stood in `scan.json` of the best runs, where it was of the same runs: it was not
/// where the scan had been killed after more had ended.
fn take_over(document: &mut ScanDocument, before: ScanDocument) {
    if document.runs == before.runs {
        document.data.constant_cols = before.data.constant_cols;
        document.best = before.best;
        document.elbow = before.elbow;
        document.criteria = before.criteria;
        document.choices = before.choices;
        document.verdict = before.verdict;
        // What failed is tried again, and may be another one by the time that this is read.
        let without_failures = |reference: &ReferenceDocument| reference.failed.is_empty();
        document.references = before.references.into_iter().take_while(without_failures).collect();
    }
}

/// All who are told what happens.
pub(crate) struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    pub(crate) fn event(&mut self, event: &Event) {
        self.0.iter_mut().for_each(|sink| sink.event(event));
    }
}
