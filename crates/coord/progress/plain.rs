//! A line for every run that ends: for logs, CI, and terminals that can do no more.

use super::trouble;
use crate::events::{Event, Sink};
use crate::summary;
use std::io::Write;

#[derive(Default)]
pub(super) struct Plain {
    done: usize,
    total: usize,
}

impl Sink for Plain {
    fn event(&mut self, event: &Event) {
        if let Some(line) = trouble(event) {
            print(&line);
        }
        match event {
            Event::ScanStarted { data, rows, cols, runs, done, n_proc, .. } => {
                self.total = *runs;
                self.done = *done;
                print(&format!("{data}: {rows} x {cols}, {runs} runs, {n_proc} at a time"));
                if *done > 0 {
                    print(&format!("{done} of them were done before"));
                }
            }
            Event::Prepared { seconds } => {
                print(&format!("data normalised and shared in {seconds:.2} s"));
            }
            Event::RunFinished { run, inertia, n_iter, wall_s, .. } => {
                self.done += 1;
                let width = self.total.to_string().len();
                print(&format!(
                    "[{:>width$}/{}] {run}  inertia {}  {n_iter} iterations  {wall_s:.2} s",
                    self.done,
                    self.total,
                    summary::inertia(*inertia),
                ));
            }
            Event::RunFailed { .. } => self.done += 1,
            _ => {}
        }
    }
}

fn print(line: &str) {
    // Nobody to read it is no reason to end a scan.
    let _ = writeln!(std::io::stderr(), "{line}");
}
