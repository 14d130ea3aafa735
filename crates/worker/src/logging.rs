//! Logs: JSON lines, written through, so that a crash loses none.

use kscan_protocol::Job;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A log's file. A disk that has no room for a log is no reason to end a computation: it is told of
/// once, on standard error, and what does not fit is lost.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    path: PathBuf,
    failed: bool,
}

impl LogFile {
    /// Begins the log at `path`, which must not be there yet.
    ///
    /// # Errors
    /// Where it is, or cannot be made.
    pub fn begin(path: &Path) -> io::Result<Self> {
        Self::open(path, OpenOptions::new().write(true).create_new(true))
    }

    /// Goes on with the log at `path`, or begins it.
    ///
    /// # Errors
    /// Where it can be neither, or is a symbolic link, which would lead elsewhere.
    pub fn go_on(path: &Path) -> io::Result<Self> {
        Self::open(path, OpenOptions::new().append(true).create(true))
    }

    fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Self> {
        options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        Ok(Self { file: options.open(path)?, path: path.to_owned(), failed: false })
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(line)
            && !std::mem::replace(&mut self.failed, true)
        {
            // Where nobody reads that either there is nobody to tell.
            let _ = writeln!(
                io::stderr(),
                "warning: cannot write {} bytes to the log {}: {error}; it has gaps from here on",
                line.len(),
                self.path.display().to_string().escape_debug(),
            );
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Sends all that is traced in this process to the job's log file, which must not be there yet.
pub(crate) fn start(job: &Job) -> io::Result<()> {
    let file = LogFile::begin(&job.log)?;
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
