//! A scan, or a reference scan, as the dispatcher knows it.

use crate::events::Event;
use crate::scan::begin::Sinks;
use crate::scan::dispatch::{self, Policy};
use crate::scan::first_centroids;
use crate::scan::reduce::BestLabels;
use kscan_dataset::GivenCentroids;
use kscan_kmeans::SimdLevel;
use kscan_protocol::{Attempt, FirstCentroids, Job, PROTOCOL_VERSION, Placement, RunId, RunRecord};
use kscan_results::{InitMethod, RunFolder, ScanConfig};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the dispatcher asks for, and who is told what it tells.
pub(crate) struct Running<'a> {
    pub(crate) config: &'a ScanConfig,
    /// Where the journal and the logs are.
    pub(crate) folder: &'a RunFolder,
    /// Which reference scan it is, where it is one.
    pub(crate) reference: Option<u32>,
    pub(crate) given: Option<&'a GivenCentroids>,
    /// Rows and columns.
    pub(crate) shape: (u64, u64),
    /// Where workers find the data.
    pub(crate) shared: &'a Path,
    pub(crate) log_filter: &'a str,
    pub(crate) simd: Option<SimdLevel>,
    /// Of the best runs; nobody asks for those of a reference.
    pub(crate) labels: BestLabels,
    pub(crate) clock: Clock,
    pub(crate) sinks: &'a mut Sinks,
}

impl Running<'_> {
    /// These runs, each with the first attempt that has no log yet: logs are never overwritten.
    pub(crate) fn first_attempts(&self, runs: &[RunId]) -> Vec<(RunId, Attempt)> {
        runs.iter().map(|&run| (run, next_attempt(self.folder, run))).collect()
    }

    /// How its runs are dispatched, to workers of this `program`.
    pub(crate) fn policy(&self, program: PathBuf) -> Policy {
        let config = self.config;
        let k = u64::from(config.k_high);
        let (n, d) = self.shape;
        // At most: labels of 5 bytes, centroids and first centroids of 12 a value, init rows of 9,
        // and room for the rest.
        let bytes = n
            .saturating_mul(5)
            .saturating_add(k.saturating_mul(d).saturating_mul(12))
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
}

fn next_attempt(folder: &RunFolder, run: RunId) -> Attempt {
    let mut attempt = Attempt::FIRST;
    // Whatever it is that has the name.
    while folder.run_log(run, attempt).symlink_metadata().is_ok() {
        attempt = attempt.next();
    }
    attempt
}

/// Seconds since the scan began, also where it was interrupted: then it goes on from where the last
/// finished run had ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    pub(crate) before: f64,
}

impl Clock {
    /// `started` is when this process began, and `before` when the last run ended that an earlier
    /// one has finished.
    pub(crate) fn after(before: f64, started: Instant) -> Self {
        Self { started, before }
    }

    pub(crate) fn now(self) -> f64 {
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
                // Centroids that are given are those of the data: they mean nothing to a reference.
                (InitMethod::KMeansPlusPlus | InitMethod::File(_), _) => {
                    FirstCentroids::KMeansPlusPlus
                }
            },
            max_iter: config.max_iter,
            tol: config.tol,
            engine: config.engine,
            simd: self.simd.map(|level| level.to_string()),
            shared: self.shared.to_owned(),
            shape: self.shape,
            log: self.log(run, attempt),
            log_filter: self.log_filter.to_owned(),
        }
    }

    fn log(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.folder.run_log(run, attempt)
    }

    fn labels(&mut self, record: &RunRecord, labels: Vec<u32>) {
        if self.reference.is_none() {
            self.labels.offer(record, labels);
        }
    }

    fn event(&mut self, event: Event) {
        self.sinks.event(&match (self.reference, event) {
            (None, event) | (Some(_), event @ Event::Stopping { .. }) => event,
            (Some(reference), event) => Event::OfReference { event: Box::new(event), reference },
        });
    }
}

/// When the last of some runs ended.
pub(crate) fn last_end(finished: &[RunRecord]) -> f64 {
    let ends = finished.iter().map(|record| record.placement.started_s + record.usage.wall_s);
    ends.fold(0.0, f64::max)
}
