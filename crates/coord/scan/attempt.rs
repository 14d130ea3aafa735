//! One attempt at one run: a worker process, from its start until it is reaped.

use kscan_protocol::wire::{self, Decoder, WireError};
use kscan_protocol::{
    Attempt, FailureKind, Hello, Iterated, Job, PROTOCOL_VERSION, Report, RunFailure, RunId,
    RunRecord,
};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc::UnboundedSender, watch};
use tokio::time::Instant;

/// How long a worker may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// Lines of standard error that are kept of a worker, and bytes of each.
const STDERR_LINES: usize = 1000;
const STDERR_LINE_LEN: usize = 4096;

/// How urgently everything is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stopping {
    /// Not at all.
    No,
    /// Workers are asked to end, and killed after a while.
    Gracefully,
    /// Workers are killed.
    Now,
}

/// What an attempt says to the dispatcher.
#[derive(Debug)]
pub(crate) enum Message {
    /// The process is there.
    Started { pid: u32 },
    /// It has done an iteration.
    Iterated(Iterated),
    /// It wrote to standard error.
    Stderr(String),
    /// The process is gone and reaped. Nothing follows.
    Ended(Ended),
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a result.
    Finished { record: Box<RunRecord>, labels: Vec<u32> },
    /// Without one.
    Failed(AttemptError),
    /// Because everything stops.
    Stopped,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error("the worker could not be started: {0}")]
    Start(io::Error),
    #[error("the worker was killed by {0}")]
    Signal(String),
    #[error("the worker ended with exit code {code} and no result")]
    Exit { code: i32 },
    #[error("the worker's report cannot be read: {0}")]
    Wire(#[from] WireError),
    #[error("the worker's report ends in the middle, after {0} bytes of a frame")]
    Torn(usize),
    #[error("the worker's report cannot be read: {0}")]
    Pipe(io::Error),
    #[error("the worker is of another version of kscan: it speaks {found}, not {PROTOCOL_VERSION}")]
    Version { found: u32 },
    #[error("the worker reported a result for {0}")]
    WrongRun(RunId),
    #[error("the run took longer than {}s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("{}", .0.message)]
    Reported(RunFailure),
}

impl AttemptError {
    /// What the reason probably is, where experience tells.
    pub(crate) fn likely(&self) -> Option<&'static str> {
        match self {
            Self::Signal(name) => match name.as_str() {
                "SIGKILL" => Some("likely out of memory, or killed by someone"),
                "SIGBUS" => Some("likely the shared data was cut off, or the disk is full"),
                "SIGSEGV" | "SIGILL" | "SIGABRT" => Some("likely a bug in kscan: please report it"),
                "SIGXCPU" => Some("likely a limit on processor time (ulimit -t)"),
                _ => None,
            },
            Self::Start(_) => Some("likely a limit on processes or open files"),
            Self::Version { .. } => Some("likely kscan was upgraded while the scan ran"),
            Self::Timeout(_) => Some("likely too little time for this k, or a machine too busy"),
            Self::Reported(failure) if failure.kind == FailureKind::Panic => {
                Some("a bug in kscan: please report it")
            }
            _ => None,
        }
    }

    /// Whether another attempt would only fail in the same way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Version { .. } => true,
            Self::Reported(failure) => {
                matches!(failure.kind, FailureKind::Version | FailureKind::Parameters)
            }
            _ => false,
        }
    }

    /// Whether this and the last attempt's error are the same, so that a third one would be too.
    pub(crate) fn is_same_panic(&self, last: &str) -> bool {
        matches!(self, Self::Reported(failure) if failure.kind == FailureKind::Panic)
            && self.to_string() == last
    }
}

/// What an attempt needs to know.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) job: Job,
    pub(crate) timeout: Option<Duration>,
    /// Most bytes that a frame of this run can have.
    pub(crate) frame_limit: u32,
    pub(crate) stopping: watch::Receiver<Stopping>,
    /// How long the scan has stood still so far: that counts towards no timeout.
    pub(crate) suspended: watch::Receiver<Duration>,
}

/// Says what an attempt has to say, with its name.
pub(crate) type Speaker = UnboundedSender<(RunId, Attempt, Message)>;

/// Does an attempt. Its last message is [`Message::Ended`], after its process is gone.
pub(crate) async fn attempt(mut order: Order, speaker: Speaker) {
    let (run, attempt) = (order.job.run, order.job.attempt);
    let say = move |message| {
        // The dispatcher listens until the last attempt has ended.
        let _ = speaker.send((run, attempt, message));
    };
    let ended = supervise(&mut order, &say).await;
    say(Message::Ended(ended));
}

async fn supervise(order: &mut Order, say: &impl Fn(Message)) -> Ended {
    let (mut child, group) = match start() {
        Ok(started) => started,
        Err(error) => return Ended::Failed(AttemptError::Start(error)),
    };
    say(Message::Started { pid: group.as_raw().cast_unsigned() });
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let stderr = child.stderr.take().expect("standard error is a pipe");

    let job = wire::encode(&order.job);
    let talk = async {
        let outcome = async {
            // A worker that dies at once shows itself by how it ended, not by this pipe.
            let _ = stdin.write_all(&job?).await;
            read_reports(stdout, order.frame_limit, order.job.run, say).await
        };
        // All three at once: a full pipe nobody reads would stop the worker.
        let (outcome, ()) = tokio::join!(outcome, read_stderr(stderr, say));
        outcome
    };
    let timeout = timeout(order.timeout, order.suspended.clone());
    let stopping = &mut order.stopping;
    let outcome = tokio::select! {
        outcome = talk => outcome,
        () = timeout => {
            end(&mut child, group, None).await;
            return Ended::Failed(AttemptError::Timeout(order.timeout.unwrap_or_default()));
        }
        () = until(stopping, Stopping::Gracefully) => {
            end(&mut child, group, Some(stopping)).await;
            return Ended::Stopped;
        }
    };
    // Its pipes are closed. Whoever has its say has no reason to stay.
    let status = if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
        status
    } else {
        end(&mut child, group, None).await;
        child.wait().await
    };
    drop(stdin);
    match outcome {
        Ok(Some(ended)) => ended,
        Ok(None) => Ended::Failed(status.map_or_else(AttemptError::Pipe, without_result)),
        // Half a frame of a worker that was killed: the signal is the cause.
        Err(error) => Ended::Failed(match status {
            Ok(status) if status.signal().is_some() => without_result(status),
            _ => error,
        }),
    }
}

/// Starts the executable that this process runs, even if another now has its name.
fn start() -> io::Result<(Child, Pid)> {
    let child = Command::new("/proc/self/exe")
        .arg("worker")
        .arg("--coordinator")
        .arg(std::process::id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: the terminal's Ctrl-C is for the coordinator to act on.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("it has no process id"))?;
    Ok((child, Pid::from_raw(pid.cast_signed())))
}

/// Reads reports until the last one; `None` where the pipe ends before it.
async fn read_reports(
    mut stdout: ChildStdout,
    limit: u32,
    run: RunId,
    say: &impl Fn(Message),
) -> Result<Option<Ended>, AttemptError> {
    let mut decoder = Decoder::new(limit);
    let mut buffer = vec![0; 1 << 16];
    loop {
        while let Some((report, _)) = decoder.decode()? {
            match report {
                Report::Hello(Hello { protocol, .. }) if protocol != PROTOCOL_VERSION => {
                    return Err(AttemptError::Version { found: protocol });
                }
                Report::Hello(_) | Report::Seeded => {}
                Report::Iterated(iterated) => say(Message::Iterated(iterated)),
                Report::Finished { record, .. } if record.run != run => {
                    return Err(AttemptError::WrongRun(record.run));
                }
                Report::Finished { record, labels } => {
                    return Ok(Some(Ended::Finished { record, labels }));
                }
                Report::Failed(failure) => {
                    return Ok(Some(Ended::Failed(AttemptError::Reported(failure))));
                }
            }
        }
        match stdout.read(&mut buffer).await.map_err(AttemptError::Pipe)? {
            0 if decoder.pending() > 0 => return Err(AttemptError::Torn(decoder.pending())),
            0 => return Ok(None),
            length => decoder.push(&buffer[..length]),
        }
    }
}

async fn read_stderr(stderr: tokio::process::ChildStderr, say: &impl Fn(Message)) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let mut lines = 0;
    // Lines of bounded length, and whatever is no text shown as such.
    while let Ok(1..) =
        (&mut reader).take(STDERR_LINE_LEN as u64).read_until(b'\n', &mut line).await
    {
        lines += 1;
        if lines <= STDERR_LINES {
            say(Message::Stderr(String::from_utf8_lossy(&line).trim_end().to_owned()));
        }
        line.clear();
    }
}

/// Waits for as long as an attempt may take, not counting what the scan stands still meanwhile.
async fn timeout(limit: Option<Duration>, suspended: watch::Receiver<Duration>) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let begin = Instant::now();
    let before = *suspended.borrow();
    loop {
        let deadline = begin + limit + suspended.borrow().saturating_sub(before);
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// Waits until stopping is at least this urgent.
async fn until(stopping: &mut watch::Receiver<Stopping>, level: Stopping) {
    if stopping.wait_for(|&now| now >= level).await.is_err() {
        // Nobody is left who could say stop.
        std::future::pending::<()>().await;
    }
}

/// Ends the worker's whole process group: asks first, kills after a while, or sooner where
/// stopping becomes urgent; reaps the worker.
async fn end(child: &mut Child, group: Pid, urgent: Option<&mut watch::Receiver<Stopping>>) {
    // Errors mean that nobody is left in the group.
    let _ = killpg(group, Signal::SIGTERM);
    let now = async {
        match urgent {
            Some(stopping) => until(stopping, Stopping::Now).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = child.wait() => {}
        () = now => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait().await;
}

/// What a worker that ended like this, without a result, died of.
fn without_result(status: ExitStatus) -> AttemptError {
    match (status.signal(), status.code()) {
        (Some(number), _) => AttemptError::Signal(
            Signal::try_from(number)
                .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned()),
        ),
        (None, code) => AttemptError::Exit { code: code.unwrap_or(-1) },
    }
}
