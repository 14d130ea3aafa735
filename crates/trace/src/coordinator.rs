//! What the coordinator's log says of attempts: when each one failed, and of what.

use crate::attempt::{Name, Span};
use jiff::Timestamp;
use kscan_protocol::{Attempt, RunId};
use kscan_results::RunFolder;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) slot: u32,
    pub(crate) span: Span,
    pub(crate) error: String,
}

/// The line of an attempt that failed; other lines have not all of these.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "timestamp")]
    _timestamp: Timestamp,
    message: String,
    /// Which reference scan it is of, where it is of one.
    reference: Option<u32>,
    k: u32,
    init_id: u32,
    attempt: Attempt,
    slot: u32,
    started_s: f64,
    wall_s: f64,
    error: String,
}

/// All attempts that failed.
pub(crate) fn failures(folder: &RunFolder) -> BTreeMap<Name, Failure> {
    let bytes = std::fs::read(folder.coordinator_log()).unwrap_or_default();
    bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .filter(|line| line.message == "attempt failed")
        .map(|line| {
            let Line { reference, k, init_id, attempt, slot, started_s, wall_s, error, .. } = line;
            let span = Span::from_seconds(started_s, started_s + wall_s);
            ((reference, RunId { k, init_id }, attempt), Failure { slot, span, error })
        })
        .collect()
}
