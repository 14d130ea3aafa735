//! The pipes between worker and coordinator, and what ties their lives together.

use crate::WorkerError;
use kscan_protocol::wire::{self, Decoder};
use kscan_protocol::{Job, Report};
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Jobs are small, but may carry first centroids.
const JOB_LIMIT: u32 = 1 << 30;

/// How long news may wait for more: each time that any is sent wakes the coordinator, which takes a
/// processor away from a worker. No eye follows faster.
const PATIENCE: Duration = Duration::from_millis(50);

/// The way to the coordinator: what was standard output.
#[derive(Debug)]
pub struct Channel {
    pipe: File,
    /// Frames that wait to be sent with the next, and when one of those that may wait did not.
    waiting: Vec<u8>,
    last_soon: Option<Instant>,
}

impl Channel {
    /// Takes standard output's pipe away and puts standard error in its place, so that nothing a
    /// library prints can get between frames.
    ///
    /// # Errors
    /// Where there is no standard output or error.
    pub fn take_over_stdout() -> io::Result<Self> {
        let pipe = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
        rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
        Ok(Self { pipe: pipe.into(), waiting: Vec::new(), last_soon: None })
    }

    /// Sends a report, and all that waits before it.
    ///
    /// # Errors
    /// Where the coordinator does not read any more.
    pub fn send(&mut self, report: &Report) -> io::Result<()> {
        self.waiting.extend(wire::encode(report).map_err(io::Error::other)?);
        let sent = self.pipe.write_all(&self.waiting);
        self.waiting.clear();
        sent
    }

    /// Sends what may be lost: a coordinator that is gone shows itself otherwise.
    pub fn say(&mut self, report: &Report) {
        let sent = self.send(report);
        Self::warn_if_lost(sent);
    }

    /// The same, and what is said often may wait a little for what comes next.
    pub fn say_soon(&mut self, report: &Report) {
        if self.last_soon.is_none_or(|last| last.elapsed() >= PATIENCE) {
            self.last_soon = Some(Instant::now());
            return self.say(report);
        }
        let frame = wire::encode(report).map_err(io::Error::other);
        Self::warn_if_lost(frame.map(|frame| self.waiting.extend(frame)));
    }

    fn warn_if_lost(sent: io::Result<()>) {
        if let Err(error) = sent {
            tracing::warn!(%error, "a report was lost");
        }
    }
}

/// Asks the kernel to kill this process when its parent, process `coordinator`, dies.
pub(crate) fn die_with(coordinator: u32) -> Result<(), WorkerError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)?;
    // It may have died before the line above, and then sends no signal any more.
    let parent = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    if u32::try_from(parent) == Ok(coordinator) {
        Ok(())
    } else {
        Err(WorkerError::Orphan(coordinator))
    }
}

/// The job: the first frame on standard input.
pub(crate) fn read_job() -> Result<Job, WorkerError> {
    let mut decoder = Decoder::new(JOB_LIMIT);
    let mut buffer = vec![0; 1 << 16];
    let mut stdin = io::stdin().lock();
    loop {
        let job = decoder.decode().map_err(|error| WorkerError::Job(error.to_string()))?;
        if let Some((job, _)) = job {
            return Ok(job);
        }
        match stdin.read(&mut buffer)? {
            0 => {
                let pending = decoder.pending();
                return Err(WorkerError::Job(format!("it ends after {pending} bytes")));
            }
            length => decoder.push(&buffer[..length]),
        }
    }
}

/// Ends this process when standard input ends: the coordinator holds the other end as long as it
/// lives, and wants the run.
pub(crate) fn watch_stdin() -> io::Result<()> {
    let watch = || {
        let mut buffer = [0; 64];
        // Nothing more is ever sent: only the end can come.
        while matches!(io::stdin().read(&mut buffer), Ok(1..)) {}
        tracing::warn!("the coordinator is gone");
        std::process::exit(1);
    };
    std::thread::Builder::new().name("stdin".into()).spawn(watch).map(drop)
}
