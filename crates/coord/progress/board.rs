//! What is known of a scan at a moment, for whoever shows it.

use super::estimate::{Begun, Finished, Model};
use super::of_reference;
use crate::events::Event;
use indicatif::HumanDuration;
use kscan_protocol::{Iterated, RunId, RunRecord};
use kscan_results::{Dispatch, ScanConfig};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A run that has a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Underway {
    /// The second in which it was started, on whatever clock the board is read by.
    since: f64,
    /// The last iteration; none while it seeds.
    iterated: Option<Iterated>,
}

/// Where a scan stands, and its reference scans. How long those take is foreseen from each other
/// alone: data without clusters is another matter.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    /// The reference scan under way.
    reference: Option<u32>,
    rows: u64,
    n_proc: usize,
    dispatch: Dispatch,
    max_iter: u32,
    /// Every k of a whole scan, as often as it has runs.
    planned: Vec<u32>,
    waiting: VecDeque<RunId>,
    /// Whole reference scans that are still to come.
    later: usize,
    running: BTreeMap<RunId, Underway>,
    finished: Vec<Finished>,
    /// Runs that have ended, and foresee nothing.
    before: usize,
    failed: usize,
    /// Of `finished`.
    model: Option<Model>,
}

impl Board {
    /// Of a scan of so many rows that has these runs to do, and has done these.
    pub(crate) fn of_scan(
        config: &ScanConfig,
        rows: usize,
        missing: &[RunId],
        done: &[RunRecord],
    ) -> Self {
        let finished: Vec<Finished> = done.iter().map(Finished::from).collect();
        Self {
            reference: None,
            rows: rows as u64,
            n_proc: config.n_proc as usize,
            dispatch: config.dispatch,
            max_iter: config.max_iter,
            planned: done
                .iter()
                .map(|record| record.run)
                .chain(missing.iter().copied())
                .map(|run| run.k)
                .collect(),
            waiting: missing.iter().copied().collect(),
            later: config.gap.unwrap_or(0) as usize,
            running: BTreeMap::new(),
            model: Model::fit(&finished, config.max_iter),
            finished,
            before: 0,
            failed: 0,
        }
    }

    /// From now on a reference scan is under way that has these runs to do, `done` runs behind it,
    /// and so many whole ones after it.
    pub(crate) fn begin_reference(
        &mut self,
        reference: u32,
        missing: &[RunId],
        done: usize,
        later: usize,
    ) {
        if self.reference.is_none() {
            self.before = self.ended();
            self.failed = 0;
            self.finished.clear();
            self.model = None;
        }
        self.reference = Some(reference);
        self.before += done;
        self.waiting = missing.iter().copied().collect();
        self.later = later;
    }

    /// Takes notice of `event`, which happened in the second `now`.
    pub(super) fn event(&mut self, event: &Event, now: f64) {
        match event.apart().0 {
            Event::ReferenceStarted { reference, references, done, missing, .. } => {
                let later = references.saturating_sub(reference + 1) as usize;
                self.begin_reference(*reference, missing, *done, later);
            }
            Event::RunStarted { run, .. } => self.start(*run, now),
            Event::RunProgress { run, iterated, .. } => self.iterate(*run, *iterated),
            Event::AttemptFailed { run, retried: true, .. } => self.retry(*run),
            &Event::RunFinished { run, n_iter, seed_s, iterate_s, wall_s, .. } => {
                // What its slot was taken for is more than the worker can know of.
                let since = self.running.get(&run).map(|underway| underway.since);
                let wall_s = since.map_or(wall_s, |since| now - since);
                self.finish(run, Finished { k: run.k, n_iter, seed_s, iterate_s, wall_s });
            }
            Event::RunFailed { run, .. } => self.fail(*run),
            _ => {}
        }
    }

    /// A run was started, or tried again.
    pub(crate) fn start(&mut self, run: RunId, since: f64) {
        self.waiting.retain(|&waiting| waiting != run);
        self.running.insert(run, Underway { since, iterated: None });
    }

    /// It has done an iteration.
    pub(crate) fn iterate(&mut self, run: RunId, iterated: Iterated) {
        if let Some(underway) = self.running.get_mut(&run) {
            underway.iterated = Some(iterated);
        }
    }

    /// It has to be tried again.
    pub(crate) fn retry(&mut self, run: RunId) {
        self.running.remove(&run);
        self.waiting.push_front(run);
    }

    /// It has finished.
    pub(crate) fn finish(&mut self, run: RunId, finished: Finished) {
        self.running.remove(&run);
        self.know([finished]);
    }

    /// These have finished, whenever that was.
    pub(crate) fn know(&mut self, finished: impl IntoIterator<Item = Finished>) {
        self.finished.extend(finished);
        self.model = Model::fit(&self.finished, self.max_iter);
    }

    /// It has failed for good.
    pub(crate) fn fail(&mut self, run: RunId) {
        self.running.remove(&run);
        self.waiting.retain(|&waiting| waiting != run);
        self.failed += 1;
    }

    /// Runs that have ended, well or not.
    pub(crate) fn ended(&self) -> usize {
        self.before + self.finished.len() + self.failed
    }

    /// All there are.
    pub(crate) fn total(&self) -> usize {
        let later = self.later * self.planned.len();
        self.ended() + self.running.len() + self.waiting.len() + later
    }

    /// The runs that have a slot.
    pub(crate) fn running(&self) -> impl Iterator<Item = RunId> {
        self.running.keys().copied()
    }

    /// The time that is left, in words; nothing as long as no run has finished.
    pub(crate) fn left(&self, now: f64) -> Option<String> {
        let begun = self.running.iter().map(|(run, underway)| Begun {
            k: run.k,
            elapsed_s: (now - underway.since).max(0.0),
            iterations: underway.iterated.map_or(0, |iterated| iterated.iteration),
        });
        let later = if self.reference.is_some() { self.later } else { 0 };
        let later = (0..later).flat_map(|_| self.planned.iter().copied());
        let waiting = self.waiting.iter().map(|run| run.k).chain(later);
        let model = self.model.as_ref()?;
        let seconds = model.remaining_s(begun, waiting, self.n_proc, self.dispatch);
        let left = Duration::try_from_secs_f64(seconds.round()).ok()?;
        let left = format!("about {:#} left", HumanDuration(left));
        Some(match (self.reference, self.later) {
            (None, 1) => format!("{left} before a reference scan"),
            (None, 2..) => format!("{left} before {} reference scans", self.later),
            _ => left,
        })
    }

    /// A running worker in one line, what matters most first: a narrow terminal cuts it off.
    pub(crate) fn line(&self, run: RunId) -> String {
        let of = of_reference(self.reference);
        let Some(iterated) = self.running.get(&run).and_then(|underway| underway.iterated) else {
            return format!("{of}{run}  seeding");
        };
        let share = |rows: u64| rows as f64 / self.rows.max(1) as f64 * 100.0;
        format!(
            "{of}{run}  iteration {:>3}  inertia {}  {:>5.1}% of rows touched, {:.2}% changed",
            iterated.iteration,
            kscan_report::text::inertia(iterated.inertia),
            share(iterated.rows_visited),
            share(iterated.rows_changed),
        )
    }
}
