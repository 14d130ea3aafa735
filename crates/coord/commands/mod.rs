//! A module a command. Each takes its parsed arguments and returns the exit code or a failure.

pub(crate) mod data;
pub(crate) mod elbow;
pub(crate) mod logs;
pub(crate) mod packaging;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod verify;

use crate::cli::{DisplayArgs, ProgressArg};
use crate::exit::{Exit, Failure, shown};
use crate::scan::execute::Scanned;
use crate::summary::summary;
use kscan_results::ScanStatus;
use std::io::Write;

/// Shows how a scan ended, and tells the exit code.
fn finish(scanned: &Scanned, display: &DisplayArgs) -> Result<Exit, Failure> {
    let Scanned { folder, document, stopped } = scanned;
    if let Some(document) = document {
        if display.progress != ProgressArg::Json {
            print(&summary(document, folder))?;
        }
        if document.status == ScanStatus::Complete {
            return Ok(Exit::Success);
        }
    }
    let Some(signal) = stopped else {
        return Ok(Exit::SomeRunsFailed);
    };
    eprintln!(
        "interrupted by {}\n  go on with: kscan-coord resume {}",
        signal.name(),
        shown(folder.path())
    );
    Ok(signal.exit())
}

/// Writes `text` to standard output. A reader that went away ends the command quietly: that is
/// what `| head` means.
fn print(text: &str) -> Result<(), Failure> {
    print_or_end(text).map(drop)
}

/// The same for a command that would go on: tells whether anyone still reads.
fn print_or_end(text: &str) -> Result<bool, Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}
