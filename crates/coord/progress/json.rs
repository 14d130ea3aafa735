//! One JSON event a line, on standard output.

use crate::events::{Event, Sink};
use crate::exit::escape_json;
use std::io::Write;

pub(super) struct Json;

impl Sink for Json {
    fn event(&mut self, event: &Event) {
        let line = serde_json::to_string(event).expect("events are plain data");
        let mut line = escape_json(&line);
        line.push('\n');
        // A reader that went away is no reason to end a scan.
        let _ = std::io::stdout().write_all(line.as_bytes());
    }
}
