//! Exit codes, and the one place where errors become them and the words that a person reads.

use kscan_dataset::DatasetError;
use kscan_results::{FileError, JournalError, ModelError};
use kscan_shared::SharedError;
use kscan_verify::Violation;
use nix::errno::Errno;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that was asked for is done.
    Success = 0,
    /// A bug, or a state that should not be.
    Internal = 1,
    /// The command line asks for something that cannot be.
    Usage = 2,
    /// The data is missing, unreadable or malformed.
    Data = 3,
    /// The scan finished, and some runs failed for good.
    SomeRunsFailed = 4,
    /// `verify` found a result that does not hold.
    Violation = 5,
    /// The machine will not: no room, no permission, no launcher.
    Environment = 6,
    /// Interrupted by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM or SIGHUP.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error as a person sees it: what happened, what to do next, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    cause: String,
    hint: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, cause: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { exit, cause: cause.to_string(), hint: hint.to_string() }
    }

    /// Of an error that may lie in the data called `data`.
    pub(crate) fn of_data(data: &str, error: SharedError) -> Self {
        let mut failure = Self::from(error);
        if failure.exit == Exit::Data {
            failure.cause = format!("{data}: {}", failure.cause);
        }
        failure
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

/// A line of cause, and a line of what to do next.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", escape(&self.cause), escape(&self.hint))
    }
}

/// `text` with control characters made visible: a path or a message from elsewhere may hold some,
/// and a terminal would obey them.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        if character.is_control() {
            escaped.extend(character.escape_debug());
        } else {
            escaped.push(character);
        }
        escaped
    })
}

/// The same of text of several lines.
pub(crate) fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// JSON of the same meaning that a terminal would not obey either: there some control characters may
/// stand as they are.
pub(crate) fn escape_json(text: &str) -> String {
    let escape = |character: char| match character {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(character)),
        _ => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// A path as a terminal may be given it.
pub(crate) fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// An error and all its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some messages already end with their cause.
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// What to do about something that the system would not give or take.
fn advice(error: &io::Error) -> &'static str {
    if let Some((_, advice)) = shortage(error) {
        return advice;
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "check the permissions, or choose another folder with --out"
        }
        io::ErrorKind::NotFound => "check the path",
        _ => "check the path and the disk",
    }
}

/// What the machine has too little of, where that is the error, and what to do about it.
fn shortage(error: &io::Error) -> Option<(&'static str, &'static str)> {
    let system = error.raw_os_error().map(Errno::from_raw);
    Some(match (error.kind(), system) {
        (_, Some(Errno::EAGAIN)) => {
            ("threads", "raise the limit on processes: ulimit -u, or the cgroup's pids.max")
        }
        (_, Some(Errno::EMFILE | Errno::ENFILE)) => {
            ("open files", "raise the limit on open files: ulimit -n 256")
        }
        (io::ErrorKind::OutOfMemory, _) => {
            ("memory", "free some memory, raise its limit (ulimit -v), or take fewer rows")
        }
        (io::ErrorKind::FileTooLarge, _) => {
            ("file size", "raise the limit on the size of files: ulimit -f unlimited")
        }
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
            ("room on the disk", "make room on that disk, or choose another one with --out")
        }
        _ => return None,
    })
}

/// Whether the machine is the reason for an error, or anything that it comes from.
fn shortage_behind(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some((_, advice)) = error.downcast_ref().and_then(shortage) {
            return Some(advice);
        }
        next = error.source();
    }
    None
}

impl From<DatasetError> for Failure {
    fn from(error: DatasetError) -> Self {
        let short = shortage_behind(&error);
        let exit = match &error {
            DatasetError::OutOfMemory { .. } | DatasetError::NoRoom { .. } => Exit::Environment,
            _ if short.is_some() => Exit::Environment,
            _ => Exit::Data,
        };
        let hint = short.map_or_else(|| error.hint(), ToOwned::to_owned);
        Self::new(exit, chain(&error), hint)
    }
}

impl From<SharedError> for Failure {
    fn from(error: SharedError) -> Self {
        let (exit, hint) = match &error {
            SharedError::Create { source, .. } => (Exit::Environment, advice(source)),
            SharedError::NotFinite { .. } => (
                Exit::Data,
                "bring that column into a smaller range, or cluster it as it is with --scale none",
            ),
            SharedError::Open { .. }
            | SharedError::NotSealed { .. }
            | SharedError::Header { .. } => {
                (Exit::Internal, "please report this: the shared file is made by kscan itself")
            }
        };
        Self::new(exit, chain(&error), hint)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let short = shortage(&error.source).is_some();
        let exit = if error.action == "read" && !short { Exit::Data } else { Exit::Environment };
        Self::new(exit, chain(&error), advice(&error.source))
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::File(error) => error.into(),
            JournalError::NotAJournal(_) => Self::new(
                Exit::Data,
                error,
                "start a new scan in another folder; what this one holds cannot be gone on with",
            ),
            JournalError::Locked(_) => Self::new(
                Exit::Environment,
                error,
                "wait for it, or stop it; 'kscan-coord status' shows how far it is",
            ),
            JournalError::TooLarge(_) => Self::new(Exit::Internal, error, "use a smaller k"),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::File(error) => error.into(),
            ModelError::Format { .. } | ModelError::Array { .. } | ModelError::Shapes { .. } => {
                Self::new(
                    Exit::Data,
                    chain(&error),
                    "the file was changed after the scan; run the scan again",
                )
            }
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::new(
            Exit::Violation,
            chain(&violation),
            "the folder was changed or damaged after the scan, or kscan is wrong: run it again and compare",
        )
    }
}

/// Something that a scan needs of the system, and that has no name of its own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let cause = match shortage(&error) {
            Some((what, _)) => format!("the system has too little for this: no {what} ({error})"),
            None => chain(&error),
        };
        Self::new(Exit::Environment, cause, advice(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(escape("a\u{1b}[2Jb\nc\u{9b}é"), "a\\u{1b}[2Jb\\nc\\u{9b}é");
        assert_eq!(escape_lines("a\u{7}b\nc\n"), "a\\u{7}b\nc\n");
        assert_eq!(escape_json("\"a\u{9b}é\u{7f}\""), "\"a\\u009bé\\u007f\"");
    }
}
