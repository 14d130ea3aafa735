//! One run in one process.
//!
//! **What it is for.** The hidden subcommand `worker` of the executable: it reads one
//! [`Job`] from standard input, maps the shared file, computes the run on its
//! one thread, and reports over what was its standard output.
//!
//! **What it is not.** It knows no other run, retries nothing, and writes no file but its log.
//!
//! ```text
//! stdin ─→ Job ─→ prepare (map the shared file) ─→ seed ─→ iterate ─→ write (Report) ─→ stdout's pipe
//!                                  └──────── JSON lines ────────→ logs/k05-i00.a1.jsonl
//! ```
//!
//! # Ends
//!
//! A worker never outlives its coordinator: the kernel kills it when its parent dies (the
//! parent-death signal), and a second line of defence ends it when standard input does, which also
//! holds where some launcher stands between the two.

mod channel;
mod logging;
mod run;

pub use channel::Channel;
pub use logging::LogFile;

use kscan_protocol::{FailureKind, Hello, Job, PROTOCOL_VERSION, Report, RunFailure};
use std::io;
use std::process::ExitCode;
use std::time::Instant;

/// Why a worker could not even speak to its coordinator.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Standard input or output is not a working pipe.
    #[error("the pipe to the coordinator does not work: {0}")]
    Pipe(#[from] io::Error),
    /// What came on standard input is no job.
    #[error("standard input holds no job: {0}")]
    Job(String),
    /// The thread that waits for the coordinator's end cannot be started.
    #[error("cannot start the thread that watches standard input: {0}")]
    Watch(io::Error),
    /// The coordinator died before the worker had started.
    #[error("the coordinator, process {0}, is gone")]
    Orphan(u32),
}

/// Does the job that comes on standard input, for the coordinator that is process `coordinator`.
///
/// `started` is the moment that the run's wall time counts from.
///
/// # Errors
/// Where coordinator and worker cannot talk. Anything that goes wrong later is told in a
/// [`Report::Failed`], and the exit code is not 0.
pub fn work(coordinator: u32, started: Instant) -> Result<ExitCode, WorkerError> {
    // First of all, before anything can print.
    let mut channel = Channel::take_over_stdout()?;
    channel::die_with(coordinator)?;
    let job = channel::read_job()?;
    channel::watch_stdin().map_err(WorkerError::Watch)?;

    let outcome = if job.protocol == PROTOCOL_VERSION {
        guarded(&mut channel, &job, started)
    } else {
        let message =
            format!("the coordinator speaks version {}, this is {PROTOCOL_VERSION}", job.protocol);
        Err(RunFailure { kind: FailureKind::Version, message })
    };
    Ok(match outcome {
        Ok(sent) => {
            sent?;
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tracing::error!(kind = ?failure.kind, "{}", failure.message);
            channel.send(&Report::Failed(failure))?;
            ExitCode::FAILURE
        }
    })
}

/// Does the run; a panic becomes a failure like any other, with its message and place.
fn guarded(
    channel: &mut Channel,
    job: &Job,
    started: Instant,
) -> Result<io::Result<()>, RunFailure> {
    let panics = logging::remember_panics();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let log_failure = |source: io::Error| RunFailure {
            kind: FailureKind::Log,
            message: format!("cannot write the log {}: {source}", job.log.display()),
        };
        logging::start(job).map_err(log_failure)?;
        let simd = run::simd(job)?;
        channel.say(&Report::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            simd: simd.level().to_string(),
        }));
        run::run(channel, job, simd, started)
    }))
    .unwrap_or_else(|_| {
        let message = panics.lock().map_or_else(|_| String::new(), |panic| panic.clone());
        Err(RunFailure { kind: FailureKind::Panic, message })
    })
}
