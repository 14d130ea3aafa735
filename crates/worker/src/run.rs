//! The run itself: prepare, seed, iterate, write, with a span each.

use crate::Channel;
use kscan_kmeans::{
    Counters, Digest, Fit, Init, Iteration, Observer, Parameters, RowIndex, Simd, SimdLevel, fit,
};
use kscan_protocol::{
    FailureKind, FirstCentroids, Iterated, Job, Report, RunFailure, RunRecord, Usage,
};
use kscan_shared::{Shape, SharedError, SharedMap};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::time::Instant;
use tracing::{info, info_span, warn};

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn parameters_failure(message: impl ToString) -> RunFailure {
    RunFailure { kind: FailureKind::Parameters, message: message.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn shared_failure(error: SharedError) -> RunFailure {
    let kind = match &error {
        SharedError::Open { source, .. } if source.kind() == io::ErrorKind::OutOfMemory => {
            FailureKind::Memory
        }
        _ => FailureKind::Shared,
    };
    RunFailure { kind, message: error.to_string() }
}

/// The SIMD level that the job asks for, or the best there is.
pub(crate) fn simd(job: &Job) -> Result<Simd, RunFailure> {
    let Some(name) = &job.simd else {
        return Ok(Simd::detect());
    };
    let level: SimdLevel = name.parse().map_err(parameters_failure)?;
    Simd::new(level)
        .ok_or_else(|| parameters_failure(format!("this processor has no {level} instructions")))
}

/// Does `job`, and reports on the way. What is returned last is whether the coordinator could be
/// told of the result.
pub(crate) fn run(
    channel: &mut Channel,
    job: &Job,
    simd: Simd,
    started: Instant,
) -> Result<io::Result<()>, RunFailure> {
    let run = job.run;
    let _span =
        info_span!("run", k = run.k, init_id = run.init_id, attempt = job.attempt.0).entered();
    info!(
        pid = std::process::id(),
        slot = job.placement.slot,
        started_s = job.placement.started_s,
        elapsed_s = started.elapsed().as_secs_f64(),
        seed = job.seed,
        engine = %job.engine,
        simd = %simd.level(),
        max_iter = job.max_iter,
        tol = job.tol,
        "started"
    );

    let map = {
        let _span = info_span!("prepare").entered();
        let size = |size: u64| {
            usize::try_from(size).map_err(|_| parameters_failure("the data is beyond memory"))
        };
        let shape = Shape { n: size(job.shape.0)?, d: size(job.shape.1)? };
        SharedMap::open(&job.shared, shape).map_err(shared_failure)?
    };
    let loaded = Instant::now();
    let parameters = parameters(job, simd)?;
    let mut progress = Progress {
        channel,
        phase: Some(info_span!("seed").entered()),
        n: map.data().rows.n() as u64,
        seeded: loaded,
        private_bytes: 0,
    };
    let fit =
        fit(map.data(), map.index(), &parameters, &mut progress).map_err(parameters_failure)?;
    let (seeded, private_bytes) = (progress.seeded, progress.private_bytes);
    // Ends the span of the last phase.
    drop(progress);

    let iterate_s = seeded.elapsed().as_secs_f64();

    let writing = info_span!("write").entered();
    let digest = fit.digest();
    let usage = Usage {
        load_s: (loaded - started).as_secs_f64(),
        seed_s: (seeded - loaded).as_secs_f64(),
        iterate_s,
        private_bytes,
        ..usage(started)
    };
    if fit.distinct_clusters < parameters.k {
        warn!(
            distinct_clusters = fit.distinct_clusters,
            "fewer distinct rows than clusters: some clusters are empty"
        );
    }
    let report = finished(job, fit, digest, usage);
    let sent = channel.send(&report);
    drop(writing);
    if let (Ok(()), Report::Finished { record, .. }) = (&sent, &report) {
        info!(
            inertia = record.inertia,
            n_iter = record.n_iter,
            stop = %record.stop,
            digest = %record.digest,
            wall_s = record.usage.wall_s,
            cpu_s = record.usage.cpu_s,
            private_bytes,
            "finished"
        );
    }
    Ok(sent)
}

fn parameters(job: &Job, simd: Simd) -> Result<Parameters, RunFailure> {
    let k = job.run.k as usize;
    let init = match &job.init {
        FirstCentroids::KMeansPlusPlus => Init::KMeansPlusPlus,
        FirstCentroids::Random => Init::Random,
        FirstCentroids::Given(values) => {
            let d = values.len() / k.max(1);
            let centroids = ndarray::Array2::from_shape_vec((k, d), values.clone())
                .map_err(parameters_failure)?;
            Init::Centroids(centroids)
        }
    };
    Ok(Parameters {
        k,
        init_id: job.run.init_id.into(),
        seed: job.seed,
        init,
        max_iter: job.max_iter,
        tol: job.tol,
        engine: job.engine,
        simd,
    })
}

fn finished(job: &Job, fit: Fit, digest: Digest, usage: Usage) -> Report {
    let record = RunRecord {
        run: job.run,
        attempt: job.attempt,
        placement: job.placement,
        centroids: fit.centroids.into_raw_vec_and_offset().0,
        init_centers: fit.init_centers.into_raw_vec_and_offset().0,
        init_rows: fit.init_rows,
        inertia: fit.inertia,
        n_iter: fit.n_iter,
        stop: fit.stop,
        digest,
        distinct_clusters: fit.distinct_clusters as u32,
        relocated: fit.relocated,
        counters: fit.counters,
        usage,
    };
    Report::Finished { record: Box::new(record), labels: fit.labels }
}

/// Follows the fit: log lines, spans, and reports.
struct Progress<'a> {
    channel: &'a mut Channel,
    phase: Option<tracing::span::EnteredSpan>,
    n: u64,
    seeded: Instant,
    /// While iterating: afterwards the engine's memory is already given back.
    private_bytes: u64,
}

impl Observer for Progress<'_> {
    fn seeded(&mut self, init_rows: &[RowIndex], counters: &Counters) {
        info!(
            init_rows = ?init_rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            coordinates_read = counters.coordinates_read,
            bytes_read = counters.bytes_read,
            private_bytes = private_bytes(),
            "seeded"
        );
        // One span ends before the next begins.
        self.phase = None;
        self.phase = Some(info_span!("iterate").entered());
        self.seeded = Instant::now();
        self.channel.say(&Report::Seeded);
    }

    fn iterated(&mut self, iteration: &Iteration) {
        let &Iteration { number, inertia, rows_changed, shift, relocated, counters } = iteration;
        // Asking the system takes as long as an iteration over little data, and hardly anything is
        // allocated after the first.
        let is_due = number == 1 || number >= 16 && number.is_power_of_two();
        let private_bytes = is_due.then(private_bytes);
        if number == 1 {
            self.private_bytes = private_bytes.unwrap_or(0);
        }
        if relocated > 0 {
            warn!(iteration = number, relocated, "empty clusters took far rows");
        }
        info!(
            iteration = number,
            inertia,
            rows_changed,
            share_changed = rows_changed as f64 / self.n as f64,
            shift,
            rows_visited = counters.rows_visited,
            by_anchor = counters.by_anchor,
            by_level = ?counters.by_level,
            by_definition = counters.by_definition,
            coordinates_read = counters.coordinates_read,
            bytes_read = counters.bytes_read,
            private_bytes,
            "iteration"
        );
        self.channel.say_soon(&Report::Iterated(Iterated {
            iteration: number,
            inertia,
            rows_changed,
            rows_visited: counters.rows_visited,
        }));
    }
}

/// What this process has used since `started`.
fn usage(started: Instant) -> Usage {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Usage {
        wall_s: started.elapsed().as_secs_f64(),
        cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 * 1e-9,
        peak_rss_bytes: peak_rss_bytes(),
        ..Usage::default()
    }
}

/// The most memory that this process has had; 0 where /proc cannot be read.
fn peak_rss_bytes() -> u64 {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.ok().and_then(|status| status.vmhwm).unwrap_or(0) * 1024
}

/// The memory that is this process' own; 0 where /proc cannot be read. Unlike what has more to tell, this
/// takes the system no time to speak of.
fn private_bytes() -> u64 {
    let pages = procfs::process::Process::myself().and_then(|process| process.statm());
    pages.map_or(0, |pages| pages.resident.saturating_sub(pages.shared) * procfs::page_size())
}
