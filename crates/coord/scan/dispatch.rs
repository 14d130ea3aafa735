//! The dispatcher: which run is started when, and what becomes of it.
//!
//! It alone knows the state of a scan. Attempts, the journal thread and signals send it messages;
//! it starts attempts, hands ended runs to the journal, and tells what happened as [`Event`]s.

use crate::events::Event;
use crate::exit::Failure;
use crate::scan::attempt::{self, Ended, Message, Order, Stopping};
use crate::scan::journal_thread::{JournalThread, Written};
use crate::scan::signals::{self, Request, Signals, StopSignal};
use kscan_protocol::{Attempt, Job, Placement, RunId, RunRecord};
use kscan_results::{Dispatch, Entry, FailedRun, Journal};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pause before the second attempt; it doubles with each further one.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How runs are to be dispatched.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// What is started as a worker.
    pub(crate) program: PathBuf,
    pub(crate) n_proc: usize,
    pub(crate) dispatch: Dispatch,
    pub(crate) retries: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) frame_limit: u32,
}

/// What a dispatch ended with.
#[derive(Debug, Default)]
pub(crate) struct Dispatched {
    /// Every run that has a result.
    pub(crate) finished: Vec<RunRecord>,
    /// Every run that failed for good.
    pub(crate) failed: Vec<FailedRun>,
    /// The signal that stopped it, where one did.
    pub(crate) stopped: Option<StopSignal>,
    /// As long as someone has it, the scan counts as running.
    pub(crate) journal: Option<Journal>,
}

/// What the dispatcher asks the scan for and tells it.
pub(crate) trait Scan {
    /// Seconds since the scan began.
    fn now(&self) -> f64;
    /// The job for an attempt at `run` that is started now.
    fn job(&self, run: RunId, attempt: Attempt, placement: Placement) -> Job;
    /// The log of an attempt at `run`.
    fn log(&self, run: RunId, attempt: Attempt) -> PathBuf;
    /// A run has succeeded; its labels are not kept by anyone else.
    fn labels(&mut self, record: &RunRecord, labels: Vec<u32>);
    /// Something happened.
    fn event(&mut self, event: Event);
}

/// A run that waits for its next attempt.
#[derive(Debug)]
struct Waiting {
    run: RunId,
    attempt: Attempt,
    not_before: Instant,
}

/// An attempt that has a slot.
#[derive(Debug)]
struct Running {
    placement: Placement,
    /// None until the process is there.
    pid: Option<Pid>,
}

/// The failed attempts at a run so far.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    last_error: String,
}

struct Dispatcher<'a, S> {
    scan: &'a mut S,
    policy: Policy,
    waiting: VecDeque<Waiting>,
    running: BTreeMap<RunId, Running>,
    failures: BTreeMap<RunId, Failures>,
    attempts: JoinSet<()>,
    speaker: attempt::Speaker,
    stopping: watch::Sender<Stopping>,
    suspended: watch::Sender<Duration>,
    /// None once it has failed.
    journal: Option<JournalThread>,
    /// Entries that the journal has not acknowledged.
    unwritten: usize,
    ended: Dispatched,
}

/// Does all `runs`, the first attempt at each being the one given, and returns when each has
/// ended, or a signal has stopped them all.
pub(crate) async fn dispatch<S: Scan>(
    scan: &mut S,
    policy: Policy,
    runs: Vec<(RunId, Attempt)>,
    journal: Journal,
    signals: &mut Signals,
) -> Result<Dispatched, Failure> {
    let (speaker, mut messages) = mpsc::unbounded_channel();
    let (written_sender, mut written) = mpsc::unbounded_channel();
    let now = Instant::now();
    let mut dispatcher = Dispatcher {
        scan,
        policy,
        waiting: runs
            .into_iter()
            .map(|(run, attempt)| Waiting { run, attempt, not_before: now })
            .collect(),
        running: BTreeMap::new(),
        failures: BTreeMap::new(),
        attempts: JoinSet::new(),
        speaker,
        stopping: watch::Sender::new(Stopping::No),
        suspended: watch::Sender::new(Duration::ZERO),
        journal: Some(JournalThread::start(journal, written_sender)?),
        unwritten: 0,
        ended: Dispatched::default(),
    };
    let mut failure = None;
    while !dispatcher.is_done() {
        let next_start = dispatcher.start_what_may();
        let wake = async {
            match next_start {
                Some(instant) => tokio::time::sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((run, attempt, message)) = messages.recv() => {
                dispatcher.hear(run, attempt, message);
            }
            Some(outcome) = written.recv() => {
                if let Err(error) = dispatcher.journaled(outcome) {
                    // What cannot be kept need not be computed.
                    failure.get_or_insert(error);
                    dispatcher.journal = None;
                    dispatcher.unwritten = 0;
                    dispatcher.stop(Stopping::Gracefully);
                }
            }
            request = signals.next() => match request {
                Request::Stop(signal) => dispatcher.signal(signal),
                Request::Suspend => {
                    // So that every process that is there is known.
                    while let Ok((run, attempt, message)) = messages.try_recv() {
                        dispatcher.hear(run, attempt, message);
                    }
                    dispatcher.suspend();
                }
            },
            () = wake => {}
        }
    }
    dispatcher.ended.journal = dispatcher.journal.and_then(JournalThread::finish);
    match failure {
        Some(failure) => Err(failure),
        None => Ok(dispatcher.ended),
    }
}

impl<S: Scan> Dispatcher<'_, S> {
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty() && self.unwritten == 0
    }

    /// Starts as many attempts as may run now. Where one has to wait for its back-off alone, tells
    /// until when.
    fn start_what_may(&mut self) -> Option<Instant> {
        let free = match self.policy.dispatch {
            Dispatch::Batch if !self.running.is_empty() => 0,
            Dispatch::Rolling | Dispatch::Batch => self.policy.n_proc - self.running.len(),
        };
        for _ in 0..free {
            let now = Instant::now();
            let Some(next) = self.waiting.iter().position(|run| run.not_before <= now) else {
                return self.waiting.iter().map(|run| run.not_before).min();
            };
            let Waiting { run, attempt, .. } =
                self.waiting.remove(next).expect("the position was just found");
            let placement = Placement { slot: self.free_slot(), started_s: self.scan.now() };
            let order = Order {
                job: self.scan.job(run, attempt, placement),
                program: self.policy.program.clone(),
                timeout: self.policy.timeout,
                frame_limit: self.policy.frame_limit,
                stopping: self.stopping.subscribe(),
                suspended: self.suspended.subscribe(),
            };
            self.running.insert(run, Running { placement, pid: None });
            self.attempts.spawn(attempt::attempt(order, self.speaker.clone()));
        }
        None
    }

    /// The lowest that no running attempt has.
    fn free_slot(&self) -> u32 {
        let taken = |slot| self.running.values().any(|running| running.placement.slot == slot);
        let mut slots = 0..=self.running.len() as u32;
        slots.find(|&slot| !taken(slot)).expect("there is one more than attempts")
    }

    fn hear(&mut self, run: RunId, attempt: Attempt, message: Message) {
        match message {
            Message::Started { pid } => {
                let running = self.running.get_mut(&run).expect("it was started");
                running.pid = Some(Pid::from_raw(pid.cast_signed()));
                let slot = running.placement.slot;
                self.scan.event(Event::RunStarted { run, attempt, pid, slot });
            }
            Message::Iterated(iterated) => {
                self.scan.event(Event::RunProgress { run, attempt, iterated });
            }
            Message::Stderr(line) => self.scan.event(Event::RunStderr { run, attempt, line }),
            Message::Ended(ended) => {
                let running = self.running.remove(&run).expect("it was started");
                self.ended(run, attempt, running.placement, ended);
                // Its task has nothing left to do.
                while self.attempts.try_join_next().is_some() {}
            }
        }
    }

    fn ended(&mut self, run: RunId, attempt: Attempt, placement: Placement, ended: Ended) {
        let error = match ended {
            Ended::Finished { record, labels } => {
                self.scan.labels(&record, labels);
                self.write(Entry::Finished(record));
                return;
            }
            Ended::Stopped => return,
            Ended::Failed(error) => error,
        };
        let explained = error.explained();
        let failures = self.failures.entry(run).or_default();
        failures.count += 1;
        let repeated = error.is_same_panic(&failures.last_error);
        failures.last_error.clone_from(&explained);
        let pause = BACK_OFF * 2_u32.pow((failures.count - 1).min(10));
        let retried = !error.is_final()
            && !repeated
            && failures.count <= self.policy.retries
            && *self.stopping.borrow() == Stopping::No;
        let wall_s = self.scan.now() - placement.started_s;
        self.scan.event(Event::AttemptFailed {
            run,
            attempt,
            placement,
            wall_s,
            error: error.to_string(),
            likely: error.likely(),
            log: self.scan.log(run, attempt),
            retried,
        });
        if retried {
            let waiting =
                Waiting { run, attempt: attempt.next(), not_before: Instant::now() + pause };
            // In front: a batch tries again what has failed before it goes on.
            self.waiting.push_front(waiting);
        } else if *self.stopping.borrow() == Stopping::No {
            let failed = FailedRun { run, attempt, placement, wall_s, error: explained };
            self.write(Entry::Failed(failed));
        }
    }

    fn write(&mut self, entry: Entry) {
        if let Some(journal) = &self.journal {
            self.unwritten += 1;
            journal.append(entry);
        }
    }

    /// An entry is on disk: now it may be told.
    fn journaled(&mut self, written: Written) -> Result<(), Failure> {
        let entry = written?;
        self.unwritten -= 1;
        match entry {
            Entry::Finished(record) => {
                self.scan.event(Event::RunFinished {
                    run: record.run,
                    attempt: record.attempt,
                    inertia: record.inertia,
                    n_iter: record.n_iter,
                    stop: record.stop,
                    wall_s: record.usage.wall_s,
                    seed_s: record.usage.seed_s,
                    iterate_s: record.usage.iterate_s,
                    private_bytes: record.usage.private_bytes,
                    empty_clusters: record.run.k - record.distinct_clusters,
                });
                self.ended.finished.push(*record);
            }
            Entry::Failed(failed) => {
                self.scan.event(Event::RunFailed {
                    run: failed.run,
                    attempt: failed.attempt,
                    error: failed.error.clone(),
                    log: self.scan.log(failed.run, failed.attempt),
                });
                self.ended.failed.push(failed);
            }
        }
        Ok(())
    }

    fn signal(&mut self, signal: StopSignal) {
        let level = match *self.stopping.borrow() {
            Stopping::No => Stopping::Gracefully,
            Stopping::Gracefully | Stopping::Now => Stopping::Now,
        };
        self.ended.stopped.get_or_insert(signal);
        self.scan.event(Event::Stopping { signal: signal.name(), running: self.running.len() });
        self.stop(level);
    }

    /// Stands still, workers and all, until SIGCONT.
    fn suspend(&mut self) {
        // A group that is gone meanwhile needs no signal.
        let tell = |running: &BTreeMap<RunId, Running>, signal| {
            for group in running.values().filter_map(|running| running.pid) {
                let _ = killpg(group, signal);
            }
        };
        tell(&self.running, Signal::SIGSTOP);
        let pause = signals::stand_still();
        self.suspended.send_modify(|suspended| *suspended += pause);
        tell(&self.running, Signal::SIGCONT);
    }

    fn stop(&mut self, level: Stopping) {
        self.waiting.clear();
        self.stopping.send_replace(level);
    }
}
