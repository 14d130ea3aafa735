//! The events of the format, and which of them a scan makes.

use crate::attempt::{Attempts, PHASES, Sample, Span, Timed};
use kscan_results::{RunDocument, ScanDocument};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The one process that all tracks belong to.
const PROCESS: u32 = 1;

/// The track of the coordinator; slots follow.
const COORDINATOR: u32 = 0;

/// All of `trace.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trace {
    #[serde(rename = "traceEvents")]
    events: Vec<Event>,
    display_time_unit: &'static str,
    other_data: Value,
}

/// One event. `ts` and `dur` are in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    ph: char,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    pid: u32,
    tid: u32,
    /// Of an instant: how wide it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

impl Event {
    fn of(ph: char, name: impl Into<String>, tid: u32, args: Value) -> Self {
        let (cat, ts, dur, s) = (None, None, None, None);
        Self { name: name.into(), cat, ph, ts, dur, pid: PROCESS, tid, s, args }
    }

    /// What a track or the process is called, and where it stands.
    fn metadata(name: &'static str, tid: u32, args: Value) -> Self {
        Self::of('M', name, tid, args)
    }

    /// A slice. One that lies in another follows it.
    fn slice(
        name: impl Into<String>,
        cat: &'static str,
        tid: u32,
        span: Span,
        args: Value,
    ) -> Self {
        let (ts, dur) = (Some(span.begin), Some(span.end - span.begin));
        Self { cat: Some(cat), ts, dur, ..Self::of('X', name, tid, args) }
    }

    fn counter(name: String, tid: u32, unit: &'static str, sample: Sample) -> Self {
        Self { ts: Some(sample.at), ..Self::of('C', name, tid, json!({ unit: sample.value })) }
    }

    fn instant(name: String, tid: u32, at: u64) -> Self {
        let (cat, ts, s) = (Some("failure"), Some(at), Some("t"));
        Self { cat, ts, s, ..Self::of('i', name, tid, Value::Null) }
    }
}

impl Trace {
    /// The timeline of `scan`.
    pub(crate) fn of(scan: &ScanDocument, Attempts(attempts): &Attempts) -> Self {
        let mut events = names(scan, attempts);
        events.extend(phases_of_scan(scan));
        for timed in attempts {
            events.extend(slices(scan, timed));
            events.extend(counters(timed));
        }
        Self {
            events,
            display_time_unit: "ms",
            other_data: json!({
                "kscan_version": scan.environment.kscan_version,
                "data": scan.data.name,
                "cpu": scan.environment.cpu,
                "started_at": scan.timing.started_at,
            }),
        }
    }
}

fn track(slot: u32) -> u32 {
    slot + 1
}

fn names(scan: &ScanDocument, attempts: &[Timed]) -> Vec<Event> {
    let name = format!("kscan {}", scan.data.name);
    let mut events = vec![Event::metadata("process_name", COORDINATOR, json!({ "name": name }))];
    let slots: BTreeSet<u32> = attempts.iter().map(|timed| timed.slot).collect();
    let slots = slots.into_iter().map(|slot| (track(slot), format!("slot {slot}")));
    for (tid, name) in std::iter::once((COORDINATOR, "coordinator".to_owned())).chain(slots) {
        events.push(Event::metadata("thread_name", tid, json!({ "name": name })));
        events.push(Event::metadata("thread_sort_index", tid, json!({ "sort_index": tid })));
    }
    events
}

/// What the coordinator did, the last time that it did something.
fn phases_of_scan(scan: &ScanDocument) -> Vec<Event> {
    let timing = &scan.timing;
    let slice = |name, begin: f64, end: f64| {
        let (begin, end) = (timing.resumed_at_s + begin, timing.resumed_at_s + end);
        Event::slice(name, "scan", COORDINATOR, Span::from_seconds(begin, end), Value::Null)
    };
    let scanned = timing.prepare_s + timing.scan_s;
    let referred = scanned + timing.reference_s;
    let references = scan.config.gap.map(|_| slice("references", scanned, referred));
    let before =
        [slice("prepare", 0.0, timing.prepare_s), slice("scan", timing.prepare_s, scanned)];
    let after = slice("write", referred, timing.wall_s.max(referred));
    before.into_iter().chain(references).chain([after]).collect()
}

/// The attempt, its phases in it, and its failure.
fn slices(scan: &ScanDocument, timed: &Timed) -> Vec<Event> {
    let tid = track(timed.slot);
    let is_this = |run: &&RunDocument| run.run() == timed.run && run.attempts == timed.attempt.0;
    // Of references only the best are listed there, and elsewhere.
    let ended = scan.runs.iter().find(is_this).filter(|_| timed.reference.is_none());
    let args = arguments(timed, ended);
    let of = timed.reference.map_or_else(String::new, |reference| format!("r{reference:02} "));
    let mut events = vec![Event::slice(format!("{of}{}", timed.run), "run", tid, timed.span, args)];
    let mut begin = timed.span.begin;
    for (index, name) in PHASES.into_iter().enumerate() {
        // The last one that was begun goes on until the end.
        let last = index >= timed.phase_ends.len();
        let end = if last { timed.span.end } else { timed.phase_ends[index] };
        let span = Span { begin, end }.until(timed.span.end);
        if !last || span.end > span.begin {
            events.push(Event::slice(name, "phase", tid, span, Value::Null));
        }
        if last {
            break;
        }
        begin = end;
    }
    if let Some(error) = &timed.error {
        let attempt = timed.attempt.0;
        let name = format!("attempt {attempt} failed: {error}");
        events.push(Event::instant(name, tid, timed.span.end));
    }
    events
}

fn arguments(timed: &Timed, ended: Option<&RunDocument>) -> Value {
    let mut args = json!({
        "k": timed.run.k,
        "init_id": timed.run.init_id,
        "attempt": timed.attempt.0,
    });
    if let Some(reference) = timed.reference {
        args["reference"] = json!(reference);
    }
    if let Some(error) = &timed.error {
        args["error"] = json!(error);
    } else if let Some(run) = ended {
        args["inertia"] = json!(run.inertia);
        args["n_iter"] = json!(run.n_iter);
        args["stop"] = json!(run.stop);
        args["cpu_s"] = json!(run.cpu_s);
    } else if timed.reference.is_none() || timed.phase_ends.len() < PHASES.len() {
        args["stopped"] = json!(true);
    }
    args
}

/// What was counted during the attempt; nothing is left of it when it has ended.
fn counters(timed: &Timed) -> Vec<Event> {
    let mut events = Vec::new();
    for (what, unit, samples) in
        [("rows touched", "rows", &timed.rows_touched), ("private memory", "bytes", &timed.memory)]
    {
        let within = samples.iter().copied().filter(|sample| sample.at < timed.span.end);
        let mut within = within.peekable();
        if within.peek().is_none() {
            continue;
        }
        let end = Sample { at: timed.span.end, value: 0 };
        let name = format!("{what}, slot {}", timed.slot);
        let tid = track(timed.slot);
        events.extend(within.chain([end]).map(|at| Event::counter(name.clone(), tid, unit, at)));
    }
    events
}
