//! One attempt at one run: a worker process, from its start until it is reaped.

mod error;
mod reports;

pub(crate) use error::AttemptError;

use crate::scan::memory;
use kscan_protocol::{Attempt, Iterated, Job, RunId, RunRecord, wire};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reports::{read_reports, read_stderr};
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc::UnboundedSender, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a worker may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

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

/// What an attempt needs to know.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) job: Job,
    /// What is started as the worker.
    pub(crate) program: PathBuf,
    pub(crate) timeout: Option<Duration>,
    /// Most bytes that a frame of this run can have.
    pub(crate) frame_limit: u32,
    pub(crate) stopping: watch::Receiver<Stopping>,
    /// How long the scan has stood still so far: that counts towards no timeout.
    pub(crate) suspended: watch::Receiver<Duration>,
}

/// Where an attempt's messages go, with its name.
pub(crate) type Speaker = UnboundedSender<(RunId, Attempt, Message)>;

/// Says what an attempt has to say.
#[derive(Debug, Clone)]
struct Voice {
    run: RunId,
    attempt: Attempt,
    speaker: Speaker,
}

impl Voice {
    fn say(&self, message: Message) {
        // The dispatcher listens until the last attempt has ended.
        let _ = self.speaker.send((self.run, self.attempt, message));
    }
}

/// Does an attempt. Its last message is [`Message::Ended`], after its process is gone.
pub(crate) async fn attempt(mut order: Order, speaker: Speaker) {
    let voice = Voice { run: order.job.run, attempt: order.job.attempt, speaker };
    let ended = match Worker::start(&order.program, &voice) {
        Ok(worker) => supervise(worker, &mut order, &voice).await,
        Err(error) => Ended::Failed(AttemptError::Start(error)),
    };
    voice.say(Message::Ended(ended));
}

async fn supervise(mut worker: Worker, order: &mut Order, voice: &Voice) -> Ended {
    voice.say(Message::Started { pid: worker.group.as_raw().cast_unsigned() });
    let oom_kills = memory::oom_kills();
    let mut stdin = worker.child.stdin.take().expect("standard input is a pipe");
    let stdout = worker.child.stdout.take().expect("standard output is a pipe");

    let job = match wire::encode(&order.job) {
        Ok(job) => job,
        Err(error) => {
            worker.end(None).await;
            return Ended::Failed(error.into());
        }
    };
    let tell = async {
        // A worker that dies at once shows itself by how it ended, not by this pipe.
        let _ = stdin.write_all(&job).await;
        std::future::pending::<Infallible>().await
    };
    // At the same time: one that does not read may still have something to say.
    let talk = async {
        tokio::select! {
            outcome = read_reports(stdout, order.frame_limit, &order.job, voice) => outcome,
            never = tell => match never {},
        }
    };
    let timeout = timeout(order.timeout, order.suspended.clone());
    let stopping = &mut order.stopping;
    let outcome = tokio::select! {
        outcome = talk => outcome,
        () = timeout => {
            worker.end(None).await;
            return Ended::Failed(AttemptError::Timeout(order.timeout.unwrap_or_default()));
        }
        () = until(stopping, Stopping::Gracefully) => {
            worker.end(Some(stopping)).await;
            return Ended::Stopped;
        }
    };
    let (status, said) = worker.finish().await;
    drop(stdin);
    let without_result = |status| {
        let oom_killed = memory::oom_kills() > oom_kills;
        AttemptError::without_result(status, said, oom_killed)
    };
    match (outcome, status) {
        (Ok(Some(ended)), _) => ended,
        (Ok(None), Some(status)) => Ended::Failed(without_result(status)),
        (Ok(None), None) => Ended::Failed(AttemptError::Lingering),
        // Half a frame of a worker that was killed: the signal is the cause.
        (Err(AttemptError::Torn(_)), Some(status)) if status.signal().is_some() => {
            Ended::Failed(without_result(status))
        }
        (Err(error), _) => Ended::Failed(error),
    }
}

/// A worker's process, which leads a process group of its own.
struct Worker {
    child: Child,
    group: Pid,
    /// Listens to standard error, and ends with the worker's last words.
    stderr: JoinHandle<Option<String>>,
}

impl Worker {
    fn start(program: &Path, voice: &Voice) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("worker")
            .arg("--coordinator")
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env(TUNABLES, huge_pages(std::env::var_os(TUNABLES)))
            // A group of its own: the terminal's Ctrl-C is for the coordinator to act on.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("it has no process id"))?;
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let stderr = tokio::spawn(read_stderr(stderr, voice.clone()));
        Ok(Self { child, group: Pid::from_raw(pid.cast_signed()), stderr })
    }

    /// Waits for the end of one that has had its say, and tells how it ended and its last words;
    /// no status where it had to be made to end.
    async fn finish(&mut self) -> (Option<ExitStatus>, Option<String>) {
        let ended = async { tokio::join!(self.child.wait(), &mut self.stderr) };
        if let Ok((status, said)) = tokio::time::timeout(GRACE, ended).await {
            // Whatever it has started and left.
            let _ = killpg(self.group, Signal::SIGKILL);
            return (status.ok(), said.ok().flatten());
        }
        // It may have ended, and left someone who has its standard error.
        let status = self.child.try_wait().ok().flatten();
        self.end(None).await;
        (status, None)
    }

    /// Ends the whole process group: asks first, kills after a while, or sooner where stopping
    /// becomes urgent; reaps the worker.
    async fn end(&mut self, urgent: Option<&mut watch::Receiver<Stopping>>) {
        // Errors mean that nobody is left in the group.
        let _ = killpg(self.group, Signal::SIGTERM);
        let now = async {
            match urgent {
                Some(stopping) => until(stopping, Stopping::Now).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.child.wait() => {}
            () = now => {}
            () = tokio::time::sleep(GRACE) => {}
        }
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait().await;
        // Nothing follows the attempt's last message.
        self.stderr.abort();
    }
}

/// What glibc reads its settings from.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// These settings, and that a worker's memory be in huge pages where the system has some: it goes through
/// its rows in leaps. Only the heap is, so large blocks are to come from it too, and to stay in it for the
/// next ones. Whoever has said something else of them is heard, as what comes last counts.
fn huge_pages(settings: Option<OsString>) -> OsString {
    let mut all = OsString::from(
        "glibc.malloc.hugetlb=1\
         :glibc.malloc.top_pad=16777216\
         :glibc.malloc.mmap_threshold=1073741824\
         :glibc.malloc.trim_threshold=1073741824",
    );
    if let Some(settings) = settings.filter(|settings| !settings.is_empty()) {
        all.push(":");
        all.push(settings);
    }
    all
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
