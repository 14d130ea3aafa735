//! The reference scans of the gap statistic: the whole scan again, of data without clusters.
//!
//! Each has a folder of its own in the run folder, with a journal and logs, so that nothing of it is
//! lost either, and its data, drawn from the ranges of the normalised columns, is shared with workers
//! as that of the scan is. One is done after the other.

use crate::events::Event;
use crate::exit::{Exit, Failure};
use crate::scan::begin::{Means, Sinks};
use crate::scan::dispatch::{self, Dispatched};
use crate::scan::reduce::{self, BestLabels};
use crate::scan::running::{self, Clock, Running};
use crate::scan::signals::{Signals, StopSignal};
use crate::scan::{plan, prepare};
use kscan_dataset::{Source, Table, Values};
use kscan_kmeans::{Rows, Simd};
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{
    FailedReferenceRun, FailedRun, Journal, JournalError, JournalKey, ReferenceDocument, RunFolder,
    ScanConfig,
};
use kscan_select::ColumnRanges;
use kscan_shared::{Place, Scaler, Scaling, SharedFile};
use ndarray::Array2;
use std::io;
use std::time::Instant;

/// What all of them have in common.
pub(crate) struct Basis<'a> {
    pub(crate) config: &'a ScanConfig,
    /// The scan's own.
    pub(crate) folder: &'a RunFolder,
    /// What the scan's results depend on.
    pub(crate) key: &'a JournalKey,
    /// The normalised rows of the scan.
    pub(crate) rows: Rows<'a>,
    pub(crate) clock: Clock,
    pub(crate) log_filter: &'a str,
    pub(crate) simd: Simd,
    /// Threads to prepare data on.
    pub(crate) threads: usize,
    pub(crate) means: &'a Means,
}

/// What they have come to.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Those of which every run has ended, in order.
    pub(crate) ended: Vec<ReferenceDocument>,
    /// The signal that stopped them, where one did.
    pub(crate) stopped: Option<StopSignal>,
    /// Processor seconds of their successful attempts.
    pub(crate) cpu_s: f64,
}

/// Does all of them that are not done yet; nothing where none were asked for.
pub(crate) async fn scan(
    basis: &Basis<'_>,
    sinks: &mut Sinks,
    signals: &mut Signals,
) -> Result<References, Failure> {
    let mut references = References::default();
    let count = basis.config.gap.unwrap_or(0);
    if count == 0 {
        return Ok(references);
    }
    let ranges = ColumnRanges::of(basis.rows);
    let planned = plan::runs(basis.config);
    for reference in 0..count {
        let folder = basis.folder.create_reference(reference)?;
        let (journal, mut finished) = open(&folder, &key(basis.key, reference))?;
        let is_missing = |run: &RunId| !finished.iter().any(|record| record.run == *run);
        let missing: Vec<RunId> = planned.iter().copied().filter(is_missing).collect();
        sinks.event(&Event::ReferenceStarted {
            reference,
            references: count,
            runs: planned.len(),
            done: finished.len(),
            missing: missing.clone(),
        });
        let mut failed = Vec::new();
        if !missing.is_empty() {
            let shared = match draw(basis, &ranges, reference, sinks, signals).await? {
                Ok(shared) => shared,
                Err(signal) => {
                    sinks.event(&Event::Stopping { signal: signal.name(), running: 0 });
                    return Ok(References { stopped: Some(signal), ..references });
                }
            };
            let mut scan = Running {
                config: basis.config,
                folder: &folder,
                reference: Some(reference),
                given: None,
                shape: (basis.rows.n() as u64, basis.rows.d() as u64),
                shared: shared.path(),
                log_filter: basis.log_filter,
                simd: basis.means.simd,
                labels: BestLabels::default(),
                clock: basis.clock,
                sinks: &mut *sinks,
            };
            let policy = scan.policy(basis.means.worker_program.clone());
            let runs = scan.first_attempts(&missing);
            let ended = dispatch::dispatch(&mut scan, policy, runs, journal, signals).await?;
            let Dispatched { finished: more, failed: lost, stopped, .. } = ended;
            finished.extend(more);
            failed = lost;
            references.stopped = stopped;
        }
        references.cpu_s += finished.iter().map(|record| record.usage.cpu_s).sum::<f64>();
        if finished.len() + failed.len() < planned.len() {
            break;
        }
        sinks.event(&Event::ReferenceFinished { reference, failed: failed.len() });
        references.ended.push(document(reference, &finished, &failed));
        if references.stopped.is_some() {
            break;
        }
    }
    Ok(references)
}

/// What the results of a reference depend on: what those of the scan do, and its number. Given first
/// centroids are those of the data, so that its runs start from others.
fn key(of_scan: &JournalKey, reference: u32) -> JournalKey {
    let init = if of_scan.init == "random" { "random" } else { "k-means++" };
    JournalKey {
        fingerprint: format!("reference {reference} of {}", of_scan.fingerprint),
        init: init.to_owned(),
        ..of_scan.clone()
    }
}

/// The journal in `folder`, and the runs in it that have finished.
fn open(folder: &RunFolder, key: &JournalKey) -> Result<(Journal, Vec<RunRecord>), Failure> {
    let path = folder.journal();
    let (journal, recovered) = match Journal::reopen(&path) {
        Err(JournalError::File(error)) if error.source.kind() == io::ErrorKind::NotFound => {
            return Ok((Journal::create(&path, key)?, Vec::new()));
        }
        reopened => reopened?,
    };
    if let Some(difference) = plan::difference(&recovered.key, key) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is of another scan: {difference}", path.display()),
            "bring back what was changed, or start a new scan in another folder",
        ));
    }
    if recovered.dropped_bytes > 0 {
        tracing::warn!(bytes = recovered.dropped_bytes, "the end of a reference's journal is torn");
    }
    Ok((journal, recovered.last_words().0))
}

/// When the last run ended that an earlier process has finished in any reference of a scan.
pub(crate) fn last_end(folder: &RunFolder, config: &ScanConfig) -> f64 {
    let journals = (0..config.gap.unwrap_or(0))
        .map_while(|reference| Journal::read(&folder.reference(reference).journal()).ok());
    journals.map(|journal| running::last_end(&journal.last_words().0)).fold(0.0, f64::max)
}

/// Draws the data of a reference and shares it, unless a signal comes first.
async fn draw(
    basis: &Basis<'_>,
    ranges: &ColumnRanges,
    reference: u32,
    sinks: &mut Sinks,
    signals: &mut Signals,
) -> Result<Result<SharedFile, StopSignal>, Failure> {
    let before = Instant::now();
    let (n, d) = (basis.rows.n(), basis.rows.d());
    let (config, ranges) = (basis.config.clone(), ranges.clone());
    let (simd, threads) = (basis.simd, basis.threads);
    let draw = move || {
        let values = ranges.draw(n, config.seed, reference);
        let values = Array2::from_shape_vec((n, d), values).expect("n rows of d values");
        let name = Source::File(RunFolder::reference_name(reference).into());
        let table = Table::from_values(&name, Values::F32(values))?;
        // It is in the space of the normalised rows already.
        let scaler = Scaler::from_parts(Scaling::None, vec![0.0; d], vec![1.0; d]);
        let index = prepare::index(&config, &table);
        Ok(SharedFile::create(Place::Anonymous, &table, &scaler, index, simd, threads)?)
    };
    let drawn = signals.unless_one_comes("draw", draw).await?;
    if drawn.is_ok() {
        let seconds = before.elapsed().as_secs_f64();
        let event = Box::new(Event::Prepared { seconds });
        sinks.event(&Event::OfReference { event, reference });
    }
    Ok(drawn)
}

fn document(reference: u32, finished: &[RunRecord], failed: &[FailedRun]) -> ReferenceDocument {
    let mut failed: Vec<FailedReferenceRun> = failed.iter().map(FailedReferenceRun::from).collect();
    failed.sort_by_key(FailedReferenceRun::run);
    ReferenceDocument {
        folder: RunFolder::reference_name(reference),
        best: reduce::best_records(finished).into_iter().map(Into::into).collect(),
        failed,
    }
}
