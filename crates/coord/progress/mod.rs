//! How a person follows a scan: a bar on a terminal, lines elsewhere, JSON for programs.

mod bar;
mod board;
mod echo;
mod estimate;
mod json;
mod plain;

use crate::cli::{DisplayArgs, ProgressArg};
use crate::events::{Event, Sink};
use console::Term;

pub(crate) use board::Board;
pub(crate) use estimate::Finished;

/// The sink that the options ask for, of a scan that stands as `board` has it.
pub(crate) fn sink(display: &DisplayArgs, board: Board) -> Box<dyn Sink> {
    match display.progress {
        _ if display.quiet => Box::new(Silent),
        ProgressArg::Json => Box::new(json::Json),
        ProgressArg::None => Box::new(Silent),
        ProgressArg::Bar => Box::new(bar::Bar::new(board)),
        // Log lines and a bar do not share a terminal.
        ProgressArg::Auto if is_lively(&Term::stderr()) && display.verbose == 0 => {
            Box::new(bar::Bar::new(board))
        }
        ProgressArg::Auto | ProgressArg::Plain => Box::new(plain::Plain::new(board)),
    }
}

/// Whether this is a terminal that can go back to what it has shown, with someone there.
pub(crate) fn is_lively(terminal: &Term) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    terminal.is_term() && !is_dumb && !is_set("CI")
}

struct Silent;

impl Sink for Silent {
    fn event(&mut self, _: &Event) {}
}

/// What stands before the name of a run of a reference scan; nothing before those of the scan.
fn of_reference(reference: Option<u32>) -> String {
    reference.map_or_else(String::new, |reference| format!("r{reference:02} "))
}

/// What has gone wrong, in one line; `None` of events that are no trouble.
fn trouble(event: &Event) -> Option<String> {
    let (event, reference) = event.apart();
    let of = of_reference(reference);
    let line = match event {
        Event::AttemptFailed { run, attempt, error, likely, log, retried, .. } => {
            let likely = likely.map_or_else(String::new, |likely| format!(" ({likely})"));
            let next = if *retried { "; trying again" } else { "" };
            format!("{of}{run} attempt {}: {error}{likely}{next}, see {}", attempt.0, log.display())
        }
        Event::RunFailed { run, attempt, error, log } => {
            format!(
                "{of}{run} failed for good after attempt {}: {error}, see {}",
                attempt.0,
                log.display()
            )
        }
        Event::RunFinished { run, empty_clusters: empty @ 1.., .. } => {
            format!("{of}{run}: fewer distinct rows than clusters, {empty} of {} are empty", run.k)
        }
        Event::FewerWorkers { n_proc, asked, short } => {
            format!("there is too little {short} for {asked} workers: {n_proc} at a time")
        }
        Event::Stopping { signal, running } => {
            format!("{signal}: ending {running} running workers; once more to kill them")
        }
        _ => return None,
    };
    Some(crate::exit::escape(&line))
}
