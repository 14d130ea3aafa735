//! Attempts: when each was, where, and what it says of itself.

use crate::coordinator::{self, Failure};
use jiff::Timestamp;
use kscan_protocol::{Attempt, RunId};
use kscan_results::{RunDocument, RunFolder, ScanDocument};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// From when to when, in microseconds of the scan's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Span {
    pub(crate) fn from_seconds(begin: f64, end: f64) -> Self {
        let begin = microseconds(begin);
        Self { begin, end: microseconds(end).max(begin) }
    }

    /// The part of it that is before `end`.
    pub(crate) fn until(self, end: u64) -> Self {
        Self { begin: self.begin.min(end), end: self.end.min(end) }
    }
}

/// Whole ones, none of them before the scan began.
pub(crate) fn microseconds(seconds: f64) -> u64 {
    (seconds * 1e6).round().max(0.0) as u64
}

/// The phases of an attempt, in their order, by the names of the worker's spans.
pub(crate) const PHASES: [&str; 4] = ["prepare", "seed", "iterate", "write"];

/// Something that was counted, at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: u64,
    pub(crate) value: u64,
}

/// What tells an attempt from all others: the reference scan, where it is of one, its run, and which
/// attempt at that it is.
pub(crate) type Name = (Option<u32>, RunId, Attempt);

/// One attempt at a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timed {
    /// The reference scan, where it is of one.
    pub(crate) reference: Option<u32>,
    pub(crate) run: RunId,
    pub(crate) attempt: Attempt,
    pub(crate) slot: u32,
    pub(crate) span: Span,
    /// When each of [`PHASES`] ended, as far as it got.
    pub(crate) phase_ends: Vec<u64>,
    /// Rows that the engine touched, an iteration each.
    pub(crate) rows_touched: Vec<Sample>,
    /// Bytes of private memory.
    pub(crate) memory: Vec<Sample>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// All attempts of a scan.
#[derive(Debug)]
pub(crate) struct Attempts(pub(crate) Vec<Timed>);

impl Attempts {
    /// Those that left a trace in `folder`, by slot, then time. No two of a slot are at the same time.
    pub(crate) fn read(folder: &RunFolder, scan: &ScanDocument) -> Self {
        let mut failures = coordinator::failures(folder);
        let mut attempts: BTreeMap<Name, Timed> = BTreeMap::new();
        let references = 0..scan.config.gap.unwrap_or(0);
        for reference in std::iter::once(None).chain(references.map(Some)) {
            let folder =
                reference.map_or_else(|| folder.clone(), |number| folder.reference(number));
            for (run, attempt) in logged(&folder.logs()) {
                let name = (reference, run, attempt);
                if let Some(timed) = read_log(&folder, name) {
                    attempts.insert(name, timed);
                }
            }
        }
        // How an attempt ended is known to others than itself, and logs may say nothing at all.
        for run in &scan.runs {
            let key = (None, run.run(), Attempt(run.attempts));
            if let Some(ended) = of_document(run) {
                let timed = attempts.entry(key).or_insert_with(|| ended.clone());
                timed.span.end = timed.span.end.max(ended.span.end);
                timed.error = ended.error;
            }
        }
        for (&name, failure) in &mut failures {
            let Failure { slot, span, error } = failure.clone();
            let timed = attempts.entry(name).or_insert_with(|| Timed::unknown(name, slot, span));
            timed.span.end = timed.span.end.max(span.end);
            timed.error = Some(error);
        }
        let mut attempts: Vec<Timed> = attempts.into_values().collect();
        attempts.sort_by_key(|timed| (timed.slot, timed.span));
        // An attempt that was killed with its coordinator may seem to end after the next began.
        for index in 1..attempts.len() {
            let (before, next) = attempts.split_at_mut(index);
            let (before, next) = (&mut before[index - 1], &next[0]);
            if before.slot == next.slot {
                before.span = before.span.until(next.span.begin);
            }
        }
        Self(attempts)
    }
}

impl Timed {
    fn unknown((reference, run, attempt): Name, slot: u32, span: Span) -> Self {
        let (phase_ends, rows_touched, memory) = (Vec::new(), Vec::new(), Vec::new());
        Self { reference, run, attempt, slot, span, phase_ends, rows_touched, memory, error: None }
    }
}

/// The attempts that have a log.
fn logged(logs: &Path) -> impl Iterator<Item = (RunId, Attempt)> {
    let entries = std::fs::read_dir(logs).ok().into_iter().flatten();
    entries.filter_map(|entry| RunId::parse_log_name(entry.ok()?.file_name().to_str()?).ok())
}

/// The last attempt at a run, as `scan.json` knows it.
fn of_document(run: &RunDocument) -> Option<Timed> {
    let (slot, begin, wall) = (run.slot?, run.started_s?, run.wall_s?);
    let span = Span::from_seconds(begin, begin + wall);
    let mut timed = Timed::unknown((None, run.run(), Attempt(run.attempts)), slot, span);
    timed.error.clone_from(&run.error);
    let mut end = begin;
    for seconds in [run.load_s, run.seed_s, run.iterate_s].into_iter().flatten() {
        end += seconds;
        timed.phase_ends.push(microseconds(end).min(span.end));
    }
    Some(timed)
}

/// What is of use here in a line of a worker's log.
#[derive(Deserialize)]
struct Line<'a> {
    timestamp: Timestamp,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    span: Option<NamedSpan<'a>>,
    slot: Option<u32>,
    started_s: Option<f64>,
    elapsed_s: Option<f64>,
    rows_visited: Option<u64>,
    private_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct NamedSpan<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// `None` where the log does not even tell of the attempt's begin.
fn read_log(folder: &RunFolder, name: Name) -> Option<Timed> {
    let (_, run, attempt) = name;
    let bytes = std::fs::read(folder.run_log(run, attempt)).ok()?;
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Line<'_>>(line).ok());
    let first = lines.next().filter(|line| line.message == "started")?;
    let started_s = first.started_s?;
    // The second of the scan's clock in which the system's was at the log's first line.
    let at_first = started_s + first.elapsed_s?;
    let begin = microseconds(started_s);
    let span = Span { begin, end: microseconds(at_first).max(begin) };
    let mut timed = Timed::unknown(name, first.slot?, span);
    for line in lines {
        let since = line.timestamp.duration_since(first.timestamp).as_secs_f64();
        // A system's clock may be set back.
        let at = microseconds(at_first + since).max(timed.span.end);
        timed.span.end = at;
        let phase = line.span.as_ref().and_then(|span| {
            PHASES.get(timed.phase_ends.len()).filter(|&&phase| phase == span.name)
        });
        if line.message == "close" && phase.is_some() {
            timed.phase_ends.push(at);
        }
        if line.message == "iteration" {
            timed.rows_touched.extend(line.rows_visited.map(|value| Sample { at, value }));
        }
        timed.memory.extend(line.private_bytes.map(|value| Sample { at, value }));
    }
    Some(timed)
}
