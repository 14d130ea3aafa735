//! What happens in a scan, as everything that shows it is told.
//!
//! The dispatcher says each thing once; the terminal, the JSON stream and the log are sinks of the
//! same events.

use crate::exit::shown;
use kscan_kmeans::Stop;
use kscan_protocol::{Attempt, Iterated, Placement, RunId};
use serde::Serialize;
use std::path::PathBuf;

/// Something that happened. As JSON: an object with the key `event` and the fields of the variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The data is read, the folder is there.
    ScanStarted {
        data: String,
        rows: u64,
        cols: u64,
        runs: usize,
        /// Of those, runs that an earlier, interrupted scan has done.
        done: usize,
        n_proc: u32,
        out: PathBuf,
    },
    /// Of something there is too little for as many workers as were asked for.
    FewerWorkers { n_proc: u32, asked: u32, short: &'static str },
    /// The shared file is there.
    Prepared { seconds: f64 },
    /// A worker process was started.
    RunStarted {
        #[serde(flatten)]
        run: RunId,
        attempt: Attempt,
        pid: u32,
        /// Which of the places for workers it has, from 0.
        slot: u32,
    },
    /// A worker has done an iteration.
    RunProgress {
        #[serde(flatten)]
        run: RunId,
        attempt: Attempt,
        #[serde(flatten)]
        iterated: Iterated,
    },
    /// A worker wrote to standard error.
    RunStderr {
        #[serde(flatten)]
        run: RunId,
        attempt: Attempt,
        line: String,
    },
    /// An attempt failed.
    AttemptFailed {
        #[serde(flatten)]
        run: RunId,
        attempt: Attempt,
        #[serde(flatten)]
        placement: Placement,
        wall_s: f64,
        error: String,
        likely: Option<&'static str>,
        log: PathBuf,
        retried: bool,
    },
    /// A run has a result, and the journal has it on disk.
    RunFinished {
        #[serde(flatten)]
        run: RunId,
        attempt: Attempt,
        inertia: f64,
        n_iter: u32,
        stop: Stop,
        wall_s: f64,
        seed_s: f64,
        iterate_s: f64,
        private_bytes: u64,
        /// Fewer clusters have rows than there are.
        empty_clusters: u32,
    },
    /// A run has failed for good.
    RunFailed {
        #[serde(flatten)]
        run: RunId,
        attempt: Attempt,
        error: String,
        log: PathBuf,
    },
    /// All runs of the scan have ended, or all of the reference before: the next is done.
    ReferenceStarted {
        /// Which, from 0.
        reference: u32,
        /// How many there are in all.
        references: u32,
        runs: usize,
        /// Of those, runs that an earlier, interrupted scan has done.
        done: usize,
        /// Those that are left.
        #[serde(skip)]
        missing: Vec<RunId>,
    },
    /// Every run of a reference has ended.
    ReferenceFinished { reference: u32, failed: usize },
    /// A signal came: no new runs are started.
    Stopping { signal: &'static str, running: usize },
    /// All files are written.
    ScanFinished {
        status: kscan_results::ScanStatus,
        elbow_k: Option<usize>,
        wall_s: f64,
        out: PathBuf,
    },
    /// Something happened in a reference scan. As JSON: what happened, and the key `reference`.
    #[serde(skip)]
    OfReference { event: Box<Event>, reference: u32 },
}

impl Event {
    /// What happened, and in which reference scan where it was in one.
    pub(crate) fn apart(&self) -> (&Self, Option<u32>) {
        match self {
            Self::OfReference { event, reference } => (event, Some(*reference)),
            _ => (self, None),
        }
    }
}

/// Who is told.
pub(crate) trait Sink {
    /// Takes notice of `event`.
    fn event(&mut self, event: &Event);
}

/// The coordinator's own log.
pub(crate) struct LogSink;

impl Sink for LogSink {
    fn event(&mut self, event: &Event) {
        use tracing::{debug, error, info, trace, warn};
        let (event, reference) = event.apart();
        match event {
            Event::ScanStarted { data, rows, cols, runs, done, n_proc, out } => {
                info!(data, rows, cols, runs, done, n_proc, out = %shown(out), "scan started");
            }
            Event::FewerWorkers { n_proc, asked, short } => {
                warn!(n_proc, asked, short, "too little for all workers");
            }
            Event::Prepared { seconds } => info!(reference, seconds, "data normalised and shared"),
            Event::ReferenceStarted { reference, references, runs, done, .. } => {
                info!(reference, references, runs, done, "reference scan started");
            }
            Event::ReferenceFinished { reference, failed } => {
                info!(reference, failed, "reference scan finished");
            }
            Event::RunStarted { run, attempt, pid, slot } => {
                let (k, init_id, attempt) = (run.k, run.init_id, attempt.0);
                debug!(reference, k, init_id, attempt, pid, slot, "run started");
            }
            Event::RunProgress { run, attempt, iterated } => trace!(
                reference,
                k = run.k,
                init_id = run.init_id,
                attempt = attempt.0,
                iteration = iterated.iteration,
                inertia = iterated.inertia,
                "iteration"
            ),
            Event::RunStderr { run, attempt, line } => {
                let (k, init_id, attempt) = (run.k, run.init_id, attempt.0);
                warn!(reference, k, init_id, attempt, line, "stderr");
            }
            Event::AttemptFailed {
                run,
                attempt,
                placement,
                wall_s,
                error,
                likely,
                log,
                retried,
            } => warn!(
                reference,
                k = run.k,
                init_id = run.init_id,
                attempt = attempt.0,
                slot = placement.slot,
                started_s = placement.started_s,
                wall_s,
                error,
                likely,
                log = %shown(log),
                retried,
                "attempt failed"
            ),
            Event::RunFinished {
                run,
                attempt,
                inertia,
                n_iter,
                stop,
                wall_s,
                private_bytes,
                ..
            } => {
                info!(
                    reference,
                    k = run.k,
                    init_id = run.init_id,
                    attempt = attempt.0,
                    inertia,
                    n_iter,
                    %stop,
                    wall_s,
                    private_bytes,
                    "run finished"
                );
            }
            Event::RunFailed { run, attempt, error, log } => error!(
                reference,
                k = run.k,
                init_id = run.init_id,
                attempt = attempt.0,
                error,
                log = %shown(log),
                "run failed for good"
            ),
            Event::Stopping { signal, running } => warn!(signal, running, "stopping"),
            Event::ScanFinished { status, elbow_k, wall_s, .. } => {
                info!(?status, elbow_k, wall_s, "scan finished");
            }
            // Nothing is in two scans.
            Event::OfReference { .. } => {}
        }
    }
}
