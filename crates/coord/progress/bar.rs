//! A bar for the whole scan with its ETA, and a line for every running worker.

use super::trouble;
use crate::events::{Event, Sink};
use crate::summary;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kscan_protocol::RunId;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Bar {
    all: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<RunId, ProgressBar>,
}

impl Bar {
    pub(super) fn new() -> Self {
        let all = MultiProgress::new();
        let style = "{spinner} {msg}  [{elapsed}] {bar:40.cyan/dim} {pos}/{len} runs  {eta} left";
        let total = ProgressBar::new(0).with_style(style_of(style));
        let total = all.add(total);
        total.set_message("reading data");
        total.enable_steady_tick(Duration::from_millis(200));
        Self { all, total, running: BTreeMap::new() }
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
        match event {
            Event::ScanStarted { data, runs, done, .. } => {
                self.total.set_length(*runs as u64);
                self.total.set_position(*done as u64);
                self.total.set_message(format!("{data}: normalising"));
            }
            Event::Prepared { .. } => {
                self.total.set_message("scanning");
                self.total.reset_eta();
            }
            Event::RunStarted { run, .. } => {
                let line = ProgressBar::new_spinner().with_style(style_of("    {msg}"));
                let line = self.all.add(line);
                line.set_message(format!("{run}  seeding"));
                self.running.insert(*run, line);
            }
            Event::RunProgress { run, iterated, .. } => {
                if let Some(line) = self.running.get(run) {
                    line.set_message(format!(
                        "{run}  iteration {:>3}  inertia {}  {} rows changed, {} looked at",
                        iterated.iteration,
                        summary::inertia(iterated.inertia),
                        iterated.rows_changed,
                        iterated.rows_visited,
                    ));
                }
            }
            Event::AttemptFailed { run, .. } => self.end(*run),
            Event::RunFinished { run, .. } | Event::RunFailed { run, .. } => {
                self.end(*run);
                self.total.inc(1);
            }
            Event::ScanFinished { .. } => self.total.finish_and_clear(),
            Event::RunStderr { .. } | Event::Stopping { .. } | Event::FewerWorkers { .. } => {}
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}
