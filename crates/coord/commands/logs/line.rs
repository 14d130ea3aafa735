//! A line of a log, and whose it is.

use crate::cli::LevelArg;
use kscan_protocol::{Attempt, RunId};
use serde_json::{Map, Value};
use std::path::Path;

/// Whose log a line is from; the coordinator's where there is no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin(Option<(RunId, Attempt)>);

impl Origin {
    /// `None` of a file that is no log.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name == "coordinator.jsonl" {
            return Some(Self(None));
        }
        RunId::parse_log_name(name).ok().map(|run| Self(Some(run)))
    }

    pub(super) fn is_coordinator(self) -> bool {
        self.0.is_none()
    }
}

/// A line, taken apart.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) origin: Origin,
    /// The attempt that it is about: also the coordinator has things to say of one.
    pub(super) about: Option<(RunId, Attempt)>,
    pub(super) timestamp: String,
    pub(super) level: LevelArg,
    /// What is in it beside those above, in the order it was written.
    pub(super) fields: Map<String, Value>,
    /// As it stands in the log.
    pub(super) text: String,
}

impl Line {
    /// `None` of what is no log line, as the end of a file may be after a crash.
    pub(super) fn parse(origin: Origin, text: String) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(&text).ok()?;
        let mut take = |name: &str| match fields.shift_remove(name) {
            Some(Value::String(value)) => Some(value),
            _ => None,
        };
        let timestamp = take("timestamp")?;
        let level = match take("level")?.as_str() {
            "ERROR" => LevelArg::Error,
            "WARN" => LevelArg::Warn,
            "INFO" => LevelArg::Info,
            "DEBUG" => LevelArg::Debug,
            _ => LevelArg::Trace,
        };
        take("target");
        let about = origin.0.or_else(|| take_attempt(&mut fields));
        Some(Self { origin, about, timestamp, level, fields, text })
    }

    /// The name of the span that it was written in.
    pub(super) fn span(&self) -> Option<&str> {
        self.fields.get("span")?.get("name")?.as_str()
    }
}

/// The attempt that a line of the coordinator names, which is then taken out of it. A reference's
/// has the same name as one of the scan's own, and is none.
fn take_attempt(fields: &mut Map<String, Value>) -> Option<(RunId, Attempt)> {
    if fields.contains_key("reference") {
        return None;
    }
    let number = |name: &str| u32::try_from(fields.get(name)?.as_u64()?).ok();
    let run = RunId { k: number("k")?, init_id: number("init_id")? };
    let attempt = Attempt(number("attempt")?);
    for name in ["k", "init_id", "attempt"] {
        fields.shift_remove(name);
    }
    Some((run, attempt))
}
