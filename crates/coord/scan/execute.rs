//! A scan from a loaded data set to its last file, new or resumed.

use crate::cli::DisplayArgs;
use crate::events::{Event, LogSink, Sink};
use crate::exit::{Exit, Failure};
use crate::progress::Board;
use crate::scan::attempt_log::AttemptLogSink;
use crate::scan::dispatch::{self, Dispatched, Policy};
use crate::scan::first_centroids::GivenCentroids;
use crate::scan::memory::Need;
use crate::scan::plan;
use crate::scan::prepare::{self, Prepared};
use crate::scan::reduce::{self, BestLabels};
use crate::scan::signals::{Signals, StopSignal};
use crate::{logging, progress};
use jiff::Timestamp;
use kscan_dataset::Dataset;
use kscan_kmeans::{DEFINITION_VERSION, Rows, Simd, SimdLevel};
use kscan_protocol::{Attempt, FirstCentroids, Job, PROTOCOL_VERSION, Placement, RunId, RunRecord};
use kscan_results::{
    DataDocument, ElbowDocument, Environment, FailedRun, ImageShape, InitMethod, Journal,
    JournalKey, LabelsDocument, RunFolder, ScanConfig, ScanDocument, ScanStatus, Timing,
};
use procfs::Current;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tracing::info_span;

/// A scan that is about to be done.
pub(crate) struct Order<'a> {
    pub(crate) config: ScanConfig,
    pub(crate) dataset: Dataset,
    pub(crate) folder: RunFolder,
    pub(crate) given: Option<GivenCentroids>,
    /// What the results depend on.
    pub(crate) key: JournalKey,
    /// The journal of an earlier scan in the folder, to go on with.
    pub(crate) journal: Option<Journal>,
    /// Results that an earlier scan in the folder has left in the journal.
    pub(crate) done: Vec<RunRecord>,
    /// When the command was started.
    pub(crate) started: Instant,
    pub(crate) simd: Option<SimdLevel>,
    /// Bytes that the scan may take.
    pub(crate) memory: Option<u64>,
    pub(crate) keep_shared: bool,
    /// What is started as a worker.
    pub(crate) worker_program: PathBuf,
    pub(crate) display: &'a DisplayArgs,
}

/// How a scan ended.
pub(crate) struct Scanned {
    pub(crate) folder: RunFolder,
    /// What stands in `scan.json`; `None` where a signal came before anything could run.
    pub(crate) document: Option<ScanDocument>,
    /// The signal that ended it, where one did.
    pub(crate) stopped: Option<StopSignal>,
}

/// Does the scan, up to its last file.
pub(crate) fn execute(order: Order<'_>) -> Result<Scanned, Failure> {
    // One thread: a worker's parent-death signal belongs to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let scanned = runtime.block_on(execute_async(order));
    // A signal may have come while the data was prepared: nobody waits for that any more.
    runtime.shutdown_background();
    scanned
}

async fn execute_async(order: Order<'_>) -> Result<Scanned, Failure> {
    let Order { mut config, dataset, folder, given, key, done, started, display, .. } = order;
    let mut signals = Signals::listen()?;
    let simd = simd(order.simd)?;
    let asked = config.n_proc;
    let need = Need::of(&config, &dataset.table, prepare::index(&config, &dataset.table));
    config.n_proc = need.workers_that_fit(asked, order.memory)?;
    let new_folder = folder.create().map_err(|error| {
        Failure::new(
            Exit::Environment,
            format!("cannot make the folder {}: {error}", folder.path().display()),
            "choose another folder with --out",
        )
    })?;
    let mut document = begin(&config, &dataset, &key.fingerprint, simd);
    document.write(&folder)?;
    let journal = match order.journal {
        Some(journal) => journal,
        None => Journal::create(&folder.journal(), &key)?,
    };
    folder.remove_temporaries()?;
    let log_filter = logging::filter(display.verbose);
    logging::start(&folder, &log_filter, display.verbose > 0)?;
    let planned = plan::runs(&config);
    let missing = missing(&planned, &done);
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
    if config.n_proc < asked {
        sinks.event(&Event::FewerWorkers { n_proc: config.n_proc, asked });
    }
    let preparing = start_preparing(&config, dataset, &folder, order.keep_shared, simd);
    let prepared = tokio::select! {
        prepared = preparing => prepared?,
        signal = signals.next_stop() => {
            new_folder.keep();
            sinks.event(&Event::Stopping { signal: signal.name(), running: 0 });
            return Ok(Scanned { folder, document: None, stopped: Some(signal) });
        }
    };
    // Up to here, bad data leaves nothing behind.
    new_folder.keep();
    document.data.constant_cols = prepared.scaler.constant_columns().len() as u64;
    document.timing.prepare_s = started.elapsed().as_secs_f64();
    sinks.event(&Event::Prepared { seconds: document.timing.prepare_s });

    let runs = missing.into_iter().map(|run| (run, next_attempt(&folder, run))).collect();
    let rows = prepared.shared.map().data().rows;
    let mut scan = Running {
        config: &config,
        folder: &folder,
        given: given.as_ref(),
        shape: (rows.n() as u64, rows.d() as u64),
        shared: prepared.shared.path().to_owned(),
        log_filter,
        simd: order.simd,
        labels: BestLabels::default(),
        clock: Clock::after(&done, started),
        sinks,
    };
    let policy = policy(&config, rows, order.worker_program);
    let clock = scan.clock;
    let Dispatched { mut finished, failed, stopped, journal } =
        dispatch::dispatch(&mut scan, policy, runs, journal, &mut signals).await?;
    let Running { labels, mut sinks, .. } = scan;
    document.timing.scan_s = started.elapsed().as_secs_f64() - document.timing.prepare_s;
    finished.extend(done);

    let reduced = info_span!("measure")
        .in_scope(|| reduce::reduce(&finished, &failed, labels, &prepared, config.seed, simd))?;
    document.runs.clone_from(&reduced.runs);
    document.best.clone_from(&reduced.best);
    document.elbow = reduced.elbow.clone();
    document.criteria.clone_from(&reduced.criteria);
    document.choices.clone_from(&reduced.choices);
    document.verdict = Some(reduced.verdict.clone());
    info_span!("write").in_scope(|| reduce::write(&folder, reduced, &prepared))?;
    document.status = status(planned.len(), &finished, &failed);
    document.timing.resumed_at_s = clock.before;
    document.timing.wall_s = started.elapsed().as_secs_f64();
    document.timing.cpu_s = cpu_s(&finished);
    document.write(&folder)?;
    kscan_trace::write(&folder, &document)?;
    kscan_report::write(&folder, &document, &kscan_report::Options::default())?;

    sinks.event(&Event::ScanFinished {
        status: document.status,
        elbow_k: document.elbow.found().map(|elbow| elbow.k),
        wall_s: document.timing.wall_s,
        out: folder.path().to_owned(),
    });
    // From here on it counts as ended.
    drop((sinks, journal));
    Ok(Scanned { folder, document: Some(document), stopped })
}

/// Prepares the data on a thread of its own, so that a signal is heard meanwhile.
async fn start_preparing(
    config: &ScanConfig,
    dataset: Dataset,
    folder: &RunFolder,
    keep_shared: bool,
    simd: Simd,
) -> Result<Prepared, Failure> {
    let (config, folder) = (config.clone(), folder.clone());
    let prepare = move || {
        let Dataset { table, labels, .. } = dataset;
        info_span!("prepare")
            .in_scope(|| prepare::prepare(&config, &table, labels, &folder, keep_shared, simd))
    };
    tokio::task::spawn_blocking(prepare).await.map_err(|error| {
        Failure::new(Exit::Internal, format!("preparing the data: {error}"), "please report this")
    })?
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
fn begin(config: &ScanConfig, dataset: &Dataset, fingerprint: &str, simd: Simd) -> ScanDocument {
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
        timing: Timing {
            started_at: Timestamp::now(),
            resumed_at_s: 0.0,
            wall_s: 0.0,
            prepare_s: 0.0,
            scan_s: 0.0,
            cpu_s: 0.0,
        },
    }
}

fn missing(planned: &[RunId], done: &[RunRecord]) -> Vec<RunId> {
    let is_missing = |&run: &RunId| !done.iter().any(|record| record.run == run);
    planned.iter().copied().filter(is_missing).collect()
}

fn status(planned: usize, finished: &[RunRecord], failed: &[FailedRun]) -> ScanStatus {
    if finished.len() == planned {
        ScanStatus::Complete
    } else if finished.len() + failed.len() == planned {
        ScanStatus::Partial
    } else {
        ScanStatus::Interrupted
    }
}

/// Of all successful attempts and of this process.
fn cpu_s(finished: &[RunRecord]) -> f64 {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let workers: f64 = finished.iter().map(|record| record.usage.cpu_s).sum();
    workers + own.tv_sec as f64 + own.tv_nsec as f64 * 1e-9
}

fn policy(config: &ScanConfig, rows: Rows<'_>, program: PathBuf) -> Policy {
    let k = config.k_high as usize;
    // At most: labels of 5 bytes, centroids and first centroids of 12 a value, init rows of 9, and
    // room for the rest.
    let bytes = rows
        .n()
        .saturating_mul(5)
        .saturating_add(k.saturating_mul(rows.d()).saturating_mul(12))
        .saturating_add(k.saturating_mul(9))
        .saturating_add(1 << 16);
    Policy {
        program,
        n_proc: config.n_proc as usize,
        dispatch: config.dispatch,
        retries: config.retries,
        timeout: config.timeout_s.map(Duration::from_secs_f64),
        frame_limit: u32::try_from(bytes).unwrap_or(u32::MAX),
    }
}

/// The first attempt that has no log yet: logs are never overwritten.
fn next_attempt(folder: &RunFolder, run: RunId) -> Attempt {
    let mut attempt = Attempt::FIRST;
    while folder.run_log(run, attempt).exists() {
        attempt = attempt.next();
    }
    attempt
}

/// The scan as the dispatcher knows it.
struct Running<'a> {
    config: &'a ScanConfig,
    folder: &'a RunFolder,
    given: Option<&'a GivenCentroids>,
    shape: (u64, u64),
    shared: PathBuf,
    log_filter: String,
    simd: Option<SimdLevel>,
    labels: BestLabels,
    clock: Clock,
    sinks: Sinks,
}

/// Seconds since the scan began, also where it was interrupted: then it goes on from where the last
/// finished run had ended.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    before: f64,
}

impl Clock {
    /// `started` is when this process began, and `done` what earlier ones have finished.
    fn after(done: &[RunRecord], started: Instant) -> Self {
        let ends = done.iter().map(|record| record.placement.started_s + record.usage.wall_s);
        Self { started, before: ends.fold(0.0, f64::max) }
    }

    fn now(self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }
}

impl dispatch::Scan for Running<'_> {
    fn now(&self) -> f64 {
        self.clock.now()
    }

    fn job(&self, run: RunId, attempt: Attempt, placement: Placement) -> Job {
        let config = self.config;
        Job {
            protocol: PROTOCOL_VERSION,
            run,
            attempt,
            placement,
            seed: config.seed,
            init: match (&config.init, self.given) {
                (InitMethod::File(_), Some(given)) => given.of(run),
                (InitMethod::Random, _) => FirstCentroids::Random,
                (InitMethod::KMeansPlusPlus | InitMethod::File(_), _) => {
                    FirstCentroids::KMeansPlusPlus
                }
            },
            max_iter: config.max_iter,
            tol: config.tol,
            engine: config.engine,
            simd: self.simd.map(|level| level.to_string()),
            shared: self.shared.clone(),
            shape: self.shape,
            log: self.log(run, attempt),
            log_filter: self.log_filter.clone(),
        }
    }

    fn log(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.folder.run_log(run, attempt)
    }

    fn labels(&mut self, record: &RunRecord, labels: Vec<u32>) {
        self.labels.offer(record, labels);
    }

    fn event(&mut self, event: Event) {
        self.sinks.event(&event);
    }
}

struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    fn event(&mut self, event: &Event) {
        self.0.iter_mut().for_each(|sink| sink.event(event));
    }
}
