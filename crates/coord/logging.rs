//! The coordinator's log: JSON lines in the run folder, and on stderr where asked for.

use kscan_results::{FileError, RunFolder};
use kscan_worker::LogFile;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// What is logged, here and by workers, in the syntax of `RUST_LOG`, which overrides it.
pub(crate) fn filter(verbose: u8) -> String {
    match std::env::var("RUST_LOG") {
        Ok(filter) if EnvFilter::try_new(&filter).is_ok() && !filter.is_empty() => filter,
        _ => match verbose {
            0 => "info".into(),
            1 => "debug".into(),
            _ => "trace".into(),
        },
    }
}

/// From now on everything traced in this process goes to the folder's coordinator log, and, where
/// `verbose`, to stderr.
pub(crate) fn start(folder: &RunFolder, filter: &str, verbose: bool) -> Result<(), FileError> {
    let path = folder.coordinator_log();
    let fail = |source: io::Error| FileError::new("write", &path, source);
    // A resumed scan goes on in the same file.
    let file = LogFile::go_on(&path).map_err(fail)?;
    let filter = || EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let to_file = fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(Mutex::new(file))
        .with_filter(filter());
    let to_stderr = verbose.then(|| {
        fmt::layer()
            .compact()
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .with_filter(filter())
    });
    tracing_subscriber::registry()
        .with(to_file)
        .with(to_stderr)
        .try_init()
        .map_err(|error| fail(io::Error::other(error)))
}
