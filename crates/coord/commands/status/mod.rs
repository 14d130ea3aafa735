//! `status DIR`: how far a scan is, also while it runs, from another terminal.

mod references;
mod running;
mod watch;

use super::print;
use crate::cli::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::progress::Board;
use jiff::Timestamp;
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{Entry, Journal, JournalKey, RunFolder, ScanDocument, ScanStatus};
use references::References;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn status(args: &StatusArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    if args.watch {
        watch::watch(&folder)?;
    } else {
        print(&Standing::read(&folder)?.lines().join("\n"))?;
        print("\n")?;
    }
    Ok(Exit::Success)
}

/// Where a scan stands at a moment.
struct Standing {
    is_running: bool,
    /// The scan in a line.
    summary: String,
    /// Its reference scans in a line, where it has some.
    references: Option<String>,
    /// A line for each k.
    ks: Vec<String>,
    /// A line for each running worker.
    workers: Vec<String>,
}

impl Standing {
    fn read(folder: &RunFolder) -> Result<Self, Failure> {
        // Looked at first: a scan that ends meanwhile is still shown as running, with all it did.
        let is_running = Journal::is_in_use(&folder.journal());
        let scan = ScanDocument::read(folder)?;
        let journal = Journal::read(&folder.journal())?;
        let mut runs = BTreeMap::new();
        // A resumed scan may have finished what had failed before: the last word counts.
        for entry in journal.entries {
            match entry {
                Entry::Finished(record) => runs.insert(record.run, Some(*record)),
                Entry::Failed(failed) => runs.insert(failed.run, None),
            };
        }
        let finished = runs.values().flatten().count();
        let references = References::read(folder, &scan);
        let board = is_running.then(|| {
            let mut board = board(folder, &scan, &journal.key, &runs);
            references.add_to(&mut board, folder, &scan, planned(&journal.key));
            board
        });
        let board = board.as_ref();
        let state = match scan.status {
            _ if is_running => "running",
            ScanStatus::Complete => "complete",
            ScanStatus::Partial => "ended, some runs failed",
            ScanStatus::Interrupted => "interrupted",
        };
        let count = journal.key.k.len() * journal.key.n_init as usize;
        let now = Timestamp::now().as_duration().as_secs_f64();
        let left = board.and_then(|board| board.left(now));
        let left = left.map_or_else(String::new, |left| format!(", {left}"));
        let (left, left_of_references) =
            if references.have_begun() { (String::new(), left) } else { (left, String::new()) };
        let failed = runs.len() - finished;
        Ok(Self {
            is_running,
            summary: format!("{state}: {finished} of {count} runs finished, {failed} failed{left}"),
            references: references.line(&scan, count, &left_of_references),
            ks: journal.key.k.iter().map(|&k| line(k, journal.key.n_init, &runs)).collect(),
            workers: board.map_or_else(Vec::new, |board| {
                board.running().map(|run| board.line(run)).collect()
            }),
        })
    }

    fn lines(&self) -> Vec<&str> {
        self.first().chain(self.ks.iter().chain(&self.workers).map(String::as_str)).collect()
    }

    /// The lines of the scan as a whole.
    fn first(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.summary).chain(&self.references).map(String::as_str)
    }
}

fn line(k: u32, n_init: u32, runs: &BTreeMap<RunId, Option<RunRecord>>) -> String {
    let of_k =
        || runs.iter().filter(|(run, _)| run.k == k).filter_map(|(_, record)| record.as_ref());
    let best = of_k().map(|record| record.inertia).min_by(f64::total_cmp);
    let best = best.map_or_else(String::new, |best| {
        format!("  best inertia {}", kscan_report::text::inertia(best))
    });
    format!("k = {k:>3}  {:>3}/{n_init}{best}", of_k().count())
}

/// Every run, by k, then `init_id`.
fn planned(key: &JournalKey) -> impl Iterator<Item = RunId> {
    let inits = 0..key.n_init;
    key.k.iter().flat_map(move |&k| inits.clone().map(move |init_id| RunId { k, init_id }))
}

/// What the coordinator would know, from what is on disk.
fn board(
    folder: &RunFolder,
    scan: &ScanDocument,
    key: &JournalKey,
    runs: &BTreeMap<RunId, Option<RunRecord>>,
) -> Board {
    let is_done = |run: &RunId| matches!(runs.get(run), Some(Some(_)));
    let missing: Vec<RunId> = planned(key).filter(|run| !is_done(run)).collect();
    let done: Vec<RunRecord> = runs.values().flatten().cloned().collect();
    let mut board = Board::of_scan(&scan.config, scan.data.rows as usize, &missing, &done);
    add_workers(&mut board, folder, scan, runs);
    board
}

/// Adds to `board` which of its runs have failed and which are under way; `runs` are those that have
/// ended, with nothing where they failed, and `folder` has their logs.
fn add_workers<T>(
    board: &mut Board,
    folder: &RunFolder,
    scan: &ScanDocument,
    runs: &BTreeMap<RunId, Option<T>>,
) {
    let is_done = |run: &RunId| matches!(runs.get(run), Some(Some(_)));
    let workers = running::read(folder, scan, is_done);
    let running: BTreeSet<RunId> = workers.iter().map(|worker| worker.run).collect();
    for (&run, _) in runs.iter().filter(|(run, record)| record.is_none() && !running.contains(run))
    {
        board.fail(run);
    }
    for worker in workers {
        board.start(worker.run, worker.since);
        if let Some(iterated) = worker.iterated {
            board.iterate(worker.run, iterated);
        }
    }
}
