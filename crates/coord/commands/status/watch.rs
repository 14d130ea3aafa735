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
        } else {
            let line = standing.first().collect::<Vec<_>>().join("; ");
            let is_news = |(at, shown): &(Instant, String)| at.elapsed() >= PAUSE && *shown != line;
            if last.as_ref().is_none_or(is_news) {
                if !print_or_end(&format!("{line}\n"))? {
                    return Ok(());
                }
                last = Some((Instant::now(), line));
            }
        }
        std::thread::sleep(POLL);
    }
}

/// The lines that a screen can take, each with its end. Where there are too many, the last k that
/// have something to show are of interest, and before them nothing is left to be done.
fn fitting(standing: &Standing, terminal: &Term) -> Vec<String> {
    let (height, width) = terminal.size();
    // One for the cursor.
    let taken = 1 + standing.first().count() + standing.workers.len();
    let room = usize::from(height).saturating_sub(taken);
    let begun = standing.ks.iter().rposition(|line| line.contains("best")).map_or(0, |at| at + 1);
    let end = (begun + 1).max(room).min(standing.ks.len());
    let ks = &standing.ks[end.saturating_sub(room)..end];
    let lines = standing.first().chain(ks.iter().chain(&standing.workers).map(String::as_str));
    lines.map(|line| format!("{}\n", truncate_str(line, usize::from(width), "…"))).collect()
}
