//! The attempt's log: JSON lines, written through, so that a crash loses none.

use kscan_protocol::Job;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Sends all that is traced in this process to the job's log file, which must not be there yet.
pub(crate) fn start(job: &Job) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&job.log)?;
    let filter = EnvFilter::try_new(&job.log_filter).map_err(io::Error::other)?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_env_filter(filter)
        .with_writer(Mutex::new(file))
        .try_init()
        .map_err(io::Error::other)
}

/// From now on the last panic's message and place are kept in what is returned, beside what the
/// standard hook prints to standard error.
pub(crate) fn remember_panics() -> Arc<Mutex<String>> {
    let last = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&last);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(mut last) = keep.lock() {
            let message = panic.payload_as_str().unwrap_or("a panic without a message");
            *last = match panic.location() {
                Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
                None => message.to_owned(),
            };
        }
        print(panic);
    }));
    last
}
