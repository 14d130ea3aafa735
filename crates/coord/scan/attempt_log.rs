//! The end of a failed attempt's log: what became of it. A worker that was killed cannot say, and one
//! that never got that far has made no log at all.

use crate::events::{Event, Sink};
use crate::exit::shown;
use jiff::Timestamp;
use kscan_worker::LogFile;
use serde_json::json;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes it. The worker is gone by then.
pub(crate) struct AttemptLogSink;

impl Sink for AttemptLogSink {
    fn event(&mut self, event: &Event) {
        let Event::AttemptFailed { error, likely, log, retried, .. } = event.apart().0 else {
            return;
        };
        let line = json!({
            "timestamp": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
            "level": "ERROR",
            "message": "attempt failed",
            "error": error,
            "likely": likely,
            "retried": retried,
            "target": module_path!(),
        });
        if let Err(error) = append(log, &line.to_string()) {
            tracing::warn!(log = %shown(log), %error, "a log cannot be written");
        }
    }
}

/// Appends a line, whatever the last one ends with.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut log = LogFile::go_on(path)?;
    let ends_a_line = fs::read(path)?.last().is_none_or(|&last| last == b'\n');
    let start = if ends_a_line { "" } else { "\n" };
    log.write_all(format!("{start}{line}\n").as_bytes())
}
