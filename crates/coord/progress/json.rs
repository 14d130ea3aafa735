//! One JSON event a line, on standard output.

use crate::events::{Event, Sink};
use crate::exit::escape_json;
use serde::Serialize;
use std::io::Write;

pub(super) struct Json;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<u32>,
}

impl Sink for Json {
    fn event(&mut self, event: &Event) {
        let (event, reference) = event.apart();
        let line = serde_json::to_string(&Line { event, reference });
        let line = line.expect("events are plain data");
        let mut line = escape_json(&line);
        line.push('\n');
        // A reader that went away is no reason to end a scan.
        let _ = std::io::stdout().write_all(line.as_bytes());
    }
}
