//! A scan from a loaded data set to its last file, new or resumed: begin, prepare, dispatch, finish.

use crate::events::Event;
use crate::exit::Failure;
use crate::scan::begin::{self, Begun, Order};
use crate::scan::dispatch::{self, Dispatched};
use crate::scan::prepare::{self, Prepared};
use crate::scan::reduce::{self, BestLabels, Ended};
use crate::scan::references::{self, Basis, References};
use crate::scan::running::{Clock, Running, last_end};
use crate::scan::signals::{Signals, StopSignal};
use kscan_dataset::Dataset;
use kscan_protocol::RunRecord;
use kscan_report::Options;
use kscan_results::{RunFolder, ScanConfig, ScanDocument, ScanStatus};
use std::fs;
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
    let prepared = match prepare(&begun, dataset, &mut signals).await? {
        Ok(prepared) => prepared,
        // Nobody waits for the data any more.
        Err(signal) => {
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

/// Prepares the data, unless a signal comes first.
async fn prepare(
    begun: &Begun,
    dataset: Dataset,
    signals: &mut Signals,
) -> Result<Result<Prepared, StopSignal>, Failure> {
    let (config, folder) = (begun.config.clone(), begun.folder.clone());
    let (keep_shared, simd, threads) = (begun.means.keep_shared, begun.simd, begun.threads);
    let prepare = move || {
        let Dataset { table, labels, .. } = dataset;
        info_span!("prepare").in_scope(|| {
            prepare::prepare(&config, &table, labels, &folder, keep_shared, simd, threads)
        })
    };
    signals.unless_one_comes("prepare", prepare).await
}

/// Does all runs that are not done yet, and writes what the scan comes to.
async fn compute(
    begun: Begun,
    prepared: Prepared,
    mut signals: Signals,
) -> Result<Scanned, Failure> {
    let Begun { config, folder, given, missing, done, journal, mut document, simd, .. } = begun;
    let Begun { key, threads, means, log_filter, mut sinks, .. } = begun;
    let planned = missing.len() + done.len();
    let rows = prepared.shared.map().data().rows;
    let before = last_end(&done).max(references::last_end(&folder, &config));
    let clock = Clock::after(before, means.started);
    let mut scan = Running {
        config: &config,
        folder: &folder,
        reference: None,
        given: given.as_ref(),
        shape: (rows.n() as u64, rows.d() as u64),
        shared: prepared.shared.path(),
        log_filter: &log_filter,
        simd: means.simd,
        labels: BestLabels::default(),
        clock,
        sinks: &mut sinks,
    };
    let policy = scan.policy(means.worker_program.clone());
    let runs = scan.first_attempts(&missing);
    let Dispatched { mut finished, failed, stopped, journal } =
        dispatch::dispatch(&mut scan, policy, runs, journal, &mut signals).await?;
    let labels = scan.labels;
    let seconds = || means.started.elapsed().as_secs_f64();
    document.timing.scan_s = seconds() - document.timing.prepare_s;
    finished.extend(done);
    let references = if stopped.is_some() {
        References { stopped, ..References::default() }
    } else {
        let basis = Basis {
            config: &config,
            folder: &folder,
            key: &key,
            rows,
            clock,
            log_filter: &log_filter,
            simd,
            threads,
            means: &means,
        };
        references::scan(&basis, &mut sinks, &mut signals).await?
    };
    let References { ended: references, stopped, cpu_s: cpu_s_of_references } = references;
    if config.gap.is_some() {
        let timing = &mut document.timing;
        timing.reference_s = seconds() - timing.prepare_s - timing.scan_s;
    }

    let ended = Ended { finished: &finished, failed: &failed, references: &references };
    let reduced = info_span!("measure")
        .in_scope(|| reduce::reduce(&ended, labels, &prepared, &config, simd))?;
    document.runs.clone_from(&reduced.runs);
    document.best.clone_from(&reduced.best);
    document.elbow = reduced.elbow.clone();
    document.criteria.clone_from(&reduced.criteria);
    document.choices.clone_from(&reduced.choices);
    document.verdict = Some(reduced.verdict.clone());
    let table = document.config.table;
    info_span!("write").in_scope(|| reduce::write(&folder, reduced, &prepared, table))?;
    document.status = status(planned, &config, &ended);
    document.timing.resumed_at_s = clock.before;
    document.timing.wall_s = seconds();
    document.timing.cpu_s = cpu_s(&finished) + cpu_s_of_references;
    document.references = references;
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

/// Of a scan that had so many runs to do, and its reference scans.
fn status(planned: usize, config: &ScanConfig, ended: &Ended<'_>) -> ScanStatus {
    let Ended { finished, failed, references } = ended;
    let all_ended = finished.len() + failed.len() == planned
        && references.len() == config.gap.unwrap_or(0) as usize;
    let none_failed = failed.is_empty() && references.iter().all(|ended| ended.failed.is_empty());
    match (all_ended, none_failed) {
        (true, true) => ScanStatus::Complete,
        (true, false) => ScanStatus::Partial,
        (false, _) => ScanStatus::Interrupted,
    }
}

/// Of all successful attempts and of this process.
fn cpu_s(finished: &[RunRecord]) -> f64 {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let workers: f64 = finished.iter().map(|record| record.usage.cpu_s).sum();
    workers + own.tv_sec as f64 + own.tv_nsec as f64 * 1e-9
}
