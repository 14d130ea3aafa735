//! A scan from a loaded data set to its last file, new or resumed: begin, prepare, dispatch, finish.

use crate::events::Event;
use crate::exit::{Exit, Failure};
use crate::scan::begin::{self, Begun, Order, Sinks};
use crate::scan::dispatch::{self, Dispatched, Policy};
use crate::scan::first_centroids;
use crate::scan::prepare::{self, Prepared};
use crate::scan::reduce::{self, BestLabels};
use crate::scan::signals::{Signals, StopSignal};
use kscan_dataset::{Dataset, GivenCentroids};
use kscan_kmeans::{Rows, SimdLevel};
use kscan_protocol::{Attempt, FirstCentroids, Job, PROTOCOL_VERSION, Placement, RunId, RunRecord};
use kscan_report::Options;
use kscan_results::{FailedRun, InitMethod, RunFolder, ScanConfig, ScanDocument, ScanStatus};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::info_span;

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
    runtime.block_on(stages(order))
}

async fn stages(order: Order<'_>) -> Result<Scanned, Failure> {
    let mut signals = Signals::listen()?;
    let (mut begun, dataset) = begin::begin(order)?;
    let preparing = start_preparing(&begun, dataset)?;
    let prepared = tokio::select! {
        prepared = preparing => prepared.map_err(|_| {
            let cause = "preparing the data ended in a panic, which is told above";
            Failure::new(Exit::Internal, cause, "please report this")
        })??,
        // Nobody waits for the data any more.
        signal = signals.next_stop() => {
            begun.new_folder.keep();
            if begun.means.keep_shared {
                // It is half of what was to be kept, or not there yet.
                let _ = fs::remove_file(begun.folder.shared());
            }
            begun.sinks.event(&Event::Stopping { signal: signal.name(), running: 0 });
            return Ok(Scanned { folder: begun.folder, document: None, stopped: Some(signal) });
        }
    };
    // Up to here, bad data leaves nothing behind.
    begun.new_folder.keep();
    begun.document.data.constant_cols = prepared.scaler.constant_columns().len() as u64;
    let seconds = begun.means.started.elapsed().as_secs_f64();
    begun.document.timing.prepare_s = seconds;
    begun.sinks.event(&Event::Prepared { seconds });
    compute(begun, prepared, signals).await
}

/// Prepares the data on a thread of its own, so that a signal is heard meanwhile.
fn start_preparing(
    begun: &Begun,
    dataset: Dataset,
) -> Result<oneshot::Receiver<Result<Prepared, Failure>>, Failure> {
    let (config, folder) = (begun.config.clone(), begun.folder.clone());
    let (keep_shared, simd, threads) = (begun.means.keep_shared, begun.simd, begun.threads);
    let (sender, receiver) = oneshot::channel();
    let prepare = move || {
        let Dataset { table, labels, .. } = dataset;
        let prepared = info_span!("prepare").in_scope(|| {
            prepare::prepare(&config, &table, labels, &folder, keep_shared, simd, threads)
        });
        // A signal may have come meanwhile.
        let _ = sender.send(prepared);
    };
    thread::Builder::new().name("prepare".into()).spawn(prepare)?;
    Ok(receiver)
}

/// Does all runs that are not done yet, and writes what the scan comes to.
async fn compute(
    begun: Begun,
    prepared: Prepared,
    mut signals: Signals,
) -> Result<Scanned, Failure> {
    let Begun { config, folder, given, missing, done, journal, mut document, simd, means, .. } =
        begun;
    let planned = missing.len() + done.len();
    let runs = missing.into_iter().map(|run| (run, next_attempt(&folder, run))).collect();
    let rows = prepared.shared.map().data().rows;
    let mut scan = Running {
        config: &config,
        folder: &folder,
        given: given.as_ref(),
        shape: (rows.n() as u64, rows.d() as u64),
        shared: prepared.shared.path().to_owned(),
        log_filter: begun.log_filter,
        simd: means.simd,
        labels: BestLabels::default(),
        clock: Clock::after(&done, means.started),
        sinks: begun.sinks,
    };
    let policy = policy(&config, rows, means.worker_program);
    let clock = scan.clock;
    let Dispatched { mut finished, failed, stopped, journal } =
        dispatch::dispatch(&mut scan, policy, runs, journal, &mut signals).await?;
    let Running { labels, mut sinks, .. } = scan;
    document.timing.scan_s = means.started.elapsed().as_secs_f64() - document.timing.prepare_s;
    finished.extend(done);

    let reduced = info_span!("measure")
        .in_scope(|| reduce::reduce(&finished, &failed, labels, &prepared, config.seed, simd))?;
    document.runs.clone_from(&reduced.runs);
    document.best.clone_from(&reduced.best);
    document.elbow = reduced.elbow.clone();
    document.criteria.clone_from(&reduced.criteria);
    document.choices.clone_from(&reduced.choices);
    document.verdict = Some(reduced.verdict.clone());
    let table = document.config.table;
    info_span!("write").in_scope(|| reduce::write(&folder, reduced, &prepared, table))?;
    document.status = status(planned, &finished, &failed);
    document.timing.resumed_at_s = clock.before;
    document.timing.wall_s = means.started.elapsed().as_secs_f64();
    document.timing.cpu_s = cpu_s(&finished);
    document.write(&folder)?;
    kscan_trace::write(&folder, &document)?;
    kscan_report::write(&folder, &document, &Options { png: means.png, ..Options::default() })?;

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
    // Whatever it is that has the name.
    while folder.run_log(run, attempt).symlink_metadata().is_ok() {
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
                (InitMethod::File(_), Some(given)) => first_centroids::of(given, run),
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
