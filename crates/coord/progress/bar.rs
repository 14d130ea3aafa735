//! A bar for the whole scan with the time that is left, and a line for every running worker.

use super::echo::QuietInterrupt;
use super::{Board, trouble};
use crate::events::{Event, Sink};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kscan_protocol::RunId;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// How long the time that is left stands still: whoever reads it needs as long.
const STEADY: Duration = Duration::from_millis(500);

pub(super) struct Bar {
    board: Board,
    started: Instant,
    /// When the time that is left was shown last.
    shown: Option<Instant>,
    all: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<RunId, ProgressBar>,
    _quiet: Option<QuietInterrupt>,
}

impl Bar {
    pub(super) fn new(board: Board) -> Self {
        let all = MultiProgress::new();
        let style = "{spinner} {msg} [{elapsed}] {wide_bar:.cyan/dim} {pos}/{len} runs{prefix}";
        let total = ProgressBar::new(board.total() as u64).with_style(style_of(style));
        let total = all.add(total);
        total.set_position(board.ended() as u64);
        // The bar takes a thread for this, and for granted that there is one.
        if thread::Builder::new().spawn(|| ()).is_ok() {
            total.enable_steady_tick(Duration::from_millis(200));
        }
        let (started, shown, running) = (Instant::now(), None, BTreeMap::new());
        Self { board, started, shown, all, total, running, _quiet: QuietInterrupt::new() }
    }

    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn show_total(&mut self) {
        self.total.set_position(self.board.ended() as u64);
        if self.shown.is_none_or(|shown| shown.elapsed() >= STEADY)
            && let Some(left) = self.board.left(self.now())
        {
            self.total.set_prefix(format!(", {left}"));
            self.shown = Some(Instant::now());
        }
    }

    fn end(&mut self, run: RunId) {
        if let Some(line) = self.running.remove(&run) {
            line.finish_and_clear();
            self.all.remove(&line);
        }
    }
}

/// The templates are constants of this module.
fn style_of(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

impl Sink for Bar {
    fn event(&mut self, event: &Event) {
        if let Some(line) = trouble(event) {
            // Where it cannot be shown, the log has it.
            let _ = self.all.println(line);
        }
        self.board.event(event, self.now());
        let (event, reference) = event.apart();
        match event {
            Event::ScanStarted { data, .. } => self.total.set_message(format!("{data}: preparing")),
            Event::Prepared { .. } if reference.is_none() => self.total.set_message("scanning"),
            Event::ReferenceStarted { reference, references, .. } => {
                self.total.set_message(format!("reference {} of {references}", reference + 1));
                // What was left of the scan.
                self.total.set_prefix("");
            }
            Event::RunStarted { run, .. } => {
                let line = ProgressBar::new_spinner().with_style(style_of("    {wide_msg}"));
                let line = self.all.add(line);
                line.set_message(self.board.line(*run));
                self.running.insert(*run, line);
            }
            Event::RunProgress { run, .. } => {
                if let Some(line) = self.running.get(run) {
                    line.set_message(self.board.line(*run));
                }
            }
            Event::AttemptFailed { run, .. }
            | Event::RunFinished { run, .. }
            | Event::RunFailed { run, .. } => self.end(*run),
            Event::ScanFinished { .. } => self.total.finish_and_clear(),
            Event::RunStderr { .. }
            | Event::Stopping { .. }
            | Event::FewerWorkers { .. }
            | Event::Prepared { .. }
            | Event::ReferenceFinished { .. }
            | Event::OfReference { .. } => {}
        }
        self.show_total();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}
