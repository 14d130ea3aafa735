//! The end of a failed attempt's log: what became of it. A worker that was killed cannot say, and one
//! that never got that far has made no log at all.

use crate::events::{Event, Sink};
use jiff::Timestamp;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes it. The worker is gone by then.
pub(crate) struct AttemptLogSink;

impl Sink for AttemptLogSink {
    fn event(&mut self, event: &Event) {
        let Event::AttemptFailed { error, likely, log, retried, .. } = event else { return };
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
            tracing::warn!(log = %log.display(), %error, "a log cannot be written");
        }
    }
}

/// Appends a line, whatever the last one ends with.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.custom_flags(nix::libc::O_NOFOLLOW).open(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let start = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{start}{line}\n").as_bytes())
}
