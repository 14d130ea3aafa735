//! Why an attempt has no result: told apart, with what the reason probably is.

use kscan_protocol::wire::WireError;
use kscan_protocol::{FailureKind, PROTOCOL_VERSION, RunFailure, RunId};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error("the worker could not be started: {0}")]
    Start(io::Error),
    #[error("the worker was killed by {name}{}", last_words(.said.as_deref()))]
    Signal {
        name: String,
        /// What it last wrote to standard error.
        said: Option<String>,
        /// The kernel has killed a process of this cgroup meanwhile, for want of memory.
        oom_killed: bool,
    },
    #[error("the worker ended with exit code {code} and no result{}", last_words(.said.as_deref()))]
    Exit { code: i32, said: Option<String> },
    #[error("the worker closed its report without a result, and did not end")]
    Lingering,
    #[error("the worker's report cannot be read: {0}")]
    Wire(#[from] WireError),
    #[error("the worker's report ends in the middle, after {0} bytes of a frame")]
    Torn(usize),
    #[error("the worker's report cannot be read: {0}")]
    Pipe(io::Error),
    #[error("the worker is of another version of kscan: it speaks {found}, not {PROTOCOL_VERSION}")]
    Version { found: u32 },
    #[error("the worker reported a result for {0}")]
    WrongRun(RunId),
    #[error("the worker reported a result whose sizes are not those of the run")]
    Malformed,
    #[error("the run took longer than {}s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("{}", .0.message)]
    Reported(RunFailure),
}

fn last_words(said: Option<&str>) -> String {
    said.map_or_else(String::new, |said| format!(": {said}"))
}

const OUT_OF_MEMORY: &str = "out of memory, likely by a limit on it (ulimit -v) or by too many \
                             workers at a time: raise it, or lower --n-proc";
const BUG: &str = "likely a bug in kscan: please report it";

impl AttemptError {
    /// What a worker that ended like this, without a result, died of.
    pub(crate) fn without_result(
        status: ExitStatus,
        said: Option<String>,
        oom_killed: bool,
    ) -> Self {
        let name = |number| {
            Signal::try_from(number)
                .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
        };
        match (status.signal(), status.code()) {
            (Some(number), _) => Self::Signal { name: name(number), said, oom_killed },
            (None, code) => Self::Exit { code: code.unwrap_or(-1), said },
        }
    }

    /// What the reason probably is, where experience tells.
    pub(crate) fn likely(&self) -> Option<&'static str> {
        match self {
            Self::Signal { said: Some(said), .. } | Self::Exit { said: Some(said), .. }
                if is_about_memory(said) =>
            {
                Some(OUT_OF_MEMORY)
            }
            Self::Signal { name, oom_killed, .. } => match name.as_str() {
                "SIGKILL" if *oom_killed => {
                    Some("likely the kernel's OOM killer: memory ran out, lower --n-proc")
                }
                "SIGKILL" => Some("likely out of memory, or killed by someone"),
                "SIGBUS" => Some("likely the shared data was cut off, or the disk is full"),
                "SIGSEGV" | "SIGILL" | "SIGFPE" | "SIGABRT" => Some(BUG),
                "SIGXCPU" => Some("likely a limit on processor time (ulimit -t)"),
                "SIGXFSZ" => Some("likely a limit on the size of files (ulimit -f)"),
                "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT" => Some("likely ended by someone"),
                _ => None,
            },
            Self::Start(error) => Some(match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EAGAIN) => "likely a limit on processes (ulimit -u, or the cgroup's)",
                Some(Errno::EMFILE) => "likely a limit on open files (ulimit -n)",
                Some(Errno::ENFILE) => "likely the machine's limit on open files",
                Some(Errno::ENOMEM) => OUT_OF_MEMORY,
                _ => "likely the executable is not to be had any more",
            }),
            Self::Exit { code: 126 | 127, .. } => {
                Some("likely the executable, or a library it needs, cannot be loaded")
            }
            Self::Exit { .. } | Self::Lingering => {
                Some("likely it is no worker of kscan, or a bug in kscan")
            }
            Self::Wire(WireError::Payload(_)) | Self::Version { .. } => {
                Some("likely kscan was upgraded while the scan ran")
            }
            Self::Wire(_) => Some("likely something else writes to the worker's standard output"),
            Self::Torn(_) => Some("likely the worker was ended while it reported"),
            Self::Pipe(_) => None,
            Self::WrongRun(_) | Self::Malformed => Some(BUG),
            Self::Timeout(_) => Some("likely too little time for this k, or a machine too busy"),
            Self::Reported(failure) => match failure.kind {
                FailureKind::Panic => Some(BUG),
                FailureKind::Memory => Some(OUT_OF_MEMORY),
                FailureKind::Log => Some("likely the disk is full, or the folder was taken away"),
                FailureKind::Version => Some("likely kscan was upgraded while the scan ran"),
                FailureKind::Shared | FailureKind::Parameters => None,
            },
        }
    }

    /// In one line, with what the reason probably is.
    pub(crate) fn explained(&self) -> String {
        match self.likely() {
            Some(likely) => format!("{self} ({likely})"),
            None => self.to_string(),
        }
    }

    /// Whether another attempt would only fail in the same way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Version { .. } => true,
            Self::Reported(failure) => {
                matches!(failure.kind, FailureKind::Version | FailureKind::Parameters)
            }
            _ => false,
        }
    }

    /// Whether this and the last attempt's error are the same, so that a third one would be too.
    pub(crate) fn is_same_panic(&self, last: &str) -> bool {
        matches!(self, Self::Reported(failure) if failure.kind == FailureKind::Panic)
            && self.explained() == last
    }
}

/// Whether these are the last words of a process that could not have more memory: the allocator's,
/// the system's, or the dynamic linker's.
pub(crate) fn is_about_memory(said: &str) -> bool {
    ["memory allocation of ", "annot allocate memory", "failed to map segment"]
        .iter()
        .any(|words| said.contains(words))
}
