//! `trace.json`: the timeline of a scan, for <https://ui.perfetto.dev> and `chrome://tracing`.
//!
//! **What it is for.** [`write()`] turns `scan.json` and the logs of a run folder into Chrome's trace
//! event format: a track for the coordinator and one for each slot, a slice for every attempt with
//! its phases in it (prepare, seed, iterate, write), and counters of the rows that the engine
//! touched and of private memory.
//!
//! **What it is not.** It measures nothing: it knows what others have written down.
//!
//! # How data goes through
//!
//! ```text
//! logs/k05-i00.a1.jsonl ─→ Attempt: when, in which slot, phases, samples ┐
//! gap/r00/logs/... ─→ the same of reference scans                        │
//! logs/coordinator.jsonl ─→ when attempts failed, and of what            ├─→ events ─→ trace.json
//! scan.json ─→ how runs ended, how long the scan took                    ┘
//! ```
//!
//! # Time
//!
//! All times are those of the scan's own clock, in microseconds since it began; between an
//! interruption and its resume that clock stands still. An attempt's own log is placed by the second
//! in which the coordinator started it, so that what a process says of itself is off by the
//! millisecond or two that it takes to start one. The format is that of the [Trace Event
//! Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU): complete
//! events (`X`), counters (`C`), instants (`i`) and metadata (`M`).

mod attempt;
mod coordinator;
mod event;

use attempt::Attempts;
use event::Trace;
use kscan_results::{FileError, RunFolder, ScanDocument, write_atomically};

/// Writes the timeline of `scan` into its `folder`. Logs that are not there, or say less, make it
/// poorer, and nothing else.
///
/// # Errors
/// Where it cannot be written.
pub fn write(folder: &RunFolder, scan: &ScanDocument) -> Result<(), FileError> {
    let trace = Trace::of(scan, &Attempts::read(folder, scan));
    write_atomically(&folder.trace_json(), |file| {
        serde_json::to_writer(&mut *file, &trace)?;
        file.write_all(b"\n")
    })
}
