//! Looking at a scan until it ends: in place on a terminal, a line now and then elsewhere.

use super::Standing;
use crate::commands::print_or_end;
use crate::exit::Failure;
use crate::progress;
use console::{Term, truncate_str};
use kscan_results::RunFolder;
use std::time::{Duration, Instant};

/// How often the scan is looked at.
const POLL: Duration = Duration::from_secs(1);

/// The least time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// Returns when the scan has ended, or nobody reads any more.
pub(super) fn watch(folder: &RunFolder) -> Result<(), Failure> {
    let terminal = Term::stdout();
    let in_place = progress::is_lively(&terminal);
    let mut shown = 0;
    let mut last: Option<(Instant, String)> = None;
    loop {
        let standing = Standing::read(folder)?;
        if !standing.is_running {
            terminal.clear_last_lines(shown)?;
            print_or_end(&format!("{}\n", standing.lines().join("\n")))?;
            return Ok(());
        }
        if in_place {
            let lines = fitting(&standing, &terminal);
            terminal.clear_last_lines(shown)?;
            shown = lines.len();
            terminal.write_str(&lines.concat())?;
        } else if last
            .as_ref()
            .is_none_or(|(at, line)| at.elapsed() >= PAUSE && *line != standing.summary)
        {
            if !print_or_end(&format!("{}\n", standing.summary))? {
                return Ok(());
            }
            last = Some((Instant::now(), standing.summary));
        }
        std::thread::sleep(POLL);
    }
}

/// The lines that a screen can take, each with its end. Where there are too many, the last k that
/// have something to show are of interest, and before them nothing is left to be done.
fn fitting(standing: &Standing, terminal: &Term) -> Vec<String> {
    let (height, width) = terminal.size();
    // One for the cursor.
    let room = usize::from(height).saturating_sub(2 + standing.workers.len());
    let begun = standing.ks.iter().rposition(|line| line.contains("best")).map_or(0, |at| at + 1);
    let end = (begun + 1).max(room).min(standing.ks.len());
    let ks = &standing.ks[end.saturating_sub(room)..end];
    let lines = std::iter::once(&standing.summary).chain(ks).chain(&standing.workers);
    lines.map(|line| format!("{}\n", truncate_str(line, usize::from(width), "…"))).collect()
}
