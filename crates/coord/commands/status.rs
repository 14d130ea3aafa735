//! `status DIR`: how far a scan is, also while it runs.

use super::print;
use crate::cli::FolderArgs;
use crate::exit::{Exit, Failure};
use kscan_results::{Entry, Journal, RunFolder, ScanDocument, ScanStatus};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(crate) fn status(args: &FolderArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let scan = ScanDocument::read(&folder)?;
    let journal = Journal::read(&folder.journal())?;
    let planned = journal.key.k.len() * journal.key.n_init as usize;
    // A resumed scan may have finished what had failed before: the last word counts.
    let mut runs = BTreeMap::new();
    for entry in journal.entries {
        match entry {
            Entry::Finished(record) => runs.insert(record.run, Some(record.inertia)),
            Entry::Failed(failed) => runs.insert(failed.run, None),
        };
    }
    let finished = runs.values().flatten().count();
    let state = match scan.status {
        _ if Journal::is_in_use(&folder.journal()) => "running",
        ScanStatus::Complete => "complete",
        ScanStatus::Partial => "ended, some runs failed",
        ScanStatus::Interrupted => "interrupted",
    };
    let mut text = format!(
        "{state}: {finished} of {planned} runs finished, {} failed\n",
        runs.len() - finished
    );
    for &k in &journal.key.k {
        let of_k = || runs.iter().filter(|(run, _)| run.k == k).filter_map(|(_, inertia)| *inertia);
        let best = of_k().min_by(f64::total_cmp);
        let best = best.map_or_else(String::new, |best| format!("  best inertia {best:.1}"));
        let _ = writeln!(text, "k = {k:>3}  {:>3}/{}{best}", of_k().count(), journal.key.n_init);
    }
    print(&text)?;
    Ok(Exit::Success)
}
