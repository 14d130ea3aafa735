//! The reference scans of the gap statistic, by what their journals say.

use super::add_workers;
use crate::progress::{Board, Finished};
use kscan_protocol::RunId;
use kscan_results::{Journal, RunFolder, ScanDocument};
use std::collections::BTreeMap;

/// The runs of every reference that has begun; `None` of those that failed.
pub(super) struct References(Vec<BTreeMap<RunId, Option<Finished>>>);

impl References {
    pub(super) fn read(folder: &RunFolder, scan: &ScanDocument) -> Self {
        let journals = (0..scan.config.gap.unwrap_or(0))
            .map_while(|reference| Journal::read(&folder.reference(reference).journal()).ok());
        let runs = journals.map(|journal| {
            let (finished, failed) = journal.last_words();
            let finished = finished.iter().map(|record| (record.run, Some(Finished::from(record))));
            finished.chain(failed.iter().map(|failed| (failed.run, None))).collect()
        });
        Self(runs.collect())
    }

    /// How far they are in a line, of so many runs each, with the time that is `left`; none where there are to be none.
    pub(super) fn line(&self, scan: &ScanDocument, planned: usize, left: &str) -> Option<String> {
        let count = scan.config.gap? as usize;
        let ended = self.0.iter().filter(|runs| runs.len() == planned).count();
        let runs = self.0.iter().map(BTreeMap::len).sum::<usize>();
        let finished = self.finished().count();
        Some(format!(
            "references: {ended} of {count} ended, {finished} of {} runs finished, {} failed{left}",
            count * planned,
            runs - finished
        ))
    }

    /// Lets `board`, which knows the scan and its `planned` runs, know them too.
    pub(super) fn add_to(
        &self,
        board: &mut Board,
        folder: &RunFolder,
        scan: &ScanDocument,
        planned: impl Iterator<Item = RunId>,
    ) {
        let Some(runs) = self.0.last() else { return };
        let reference = self.0.len() as u32 - 1;
        let is_done = |run: &RunId| matches!(runs.get(run), Some(Some(_)));
        let missing: Vec<RunId> = planned.filter(|run| !is_done(run)).collect();
        let later = scan.config.gap.unwrap_or(0).saturating_sub(reference + 1);
        board.begin_reference(reference, &missing, 0, later as usize);
        board.know(self.finished());
        add_workers(board, &folder.reference(reference), scan, runs);
    }

    /// Whether one has begun.
    pub(super) fn have_begun(&self) -> bool {
        !self.0.is_empty()
    }

    fn finished(&self) -> impl Iterator<Item = Finished> {
        self.0.iter().flat_map(BTreeMap::values).filter_map(|run| *run)
    }
}
