//! Limits of this process that the system would otherwise enforce in its own way: by a signal, or in
//! the middle of a scan.

use crate::exit::{Exit, Failure};
use nix::libc::SIGXFSZ;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::sync::Arc;

/// Files that a scan has open beside those of its workers: standard streams, the runtime's own,
/// journal, log, shared file, and what is read or written for a moment.
const OWN_FILES: u64 = 28;

/// Files that the coordinator has open for a worker: three pipes, and what it waits for its end with.
const FILES_A_WORKER: u64 = 4;

/// From now on a file that grows beyond `ulimit -f` is an error to be told of, where by itself it is
/// a signal that kills.
pub(crate) fn outlive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// How many of `n_proc` workers the limit on open files allows, once it is raised as far as it can
/// be.
pub(crate) fn workers_with_files(n_proc: u32) -> Result<u32, Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    // A soft limit that cannot be raised is one to live with.
    let files = if raised.is_ok() { maximum } else { current };
    let files = files.unwrap_or(u64::MAX);
    let fits = files.saturating_sub(OWN_FILES) / FILES_A_WORKER;
    if fits > 0 {
        return Ok(u32::try_from(fits).unwrap_or(u32::MAX).min(n_proc));
    }
    Err(Failure::new(
        Exit::Environment,
        format!(
            "the scan takes {} open files with one worker, and the limit (ulimit -n) is {files}",
            OWN_FILES + FILES_A_WORKER
        ),
        "raise it: ulimit -n 256",
    ))
}
