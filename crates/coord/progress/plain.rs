//! A line every few seconds: for logs, CI, and terminals that can do no more.

use super::{Board, of_reference, trouble};
use crate::events::{Event, Sink};
use indicatif::HumanDuration;
use std::io::Write;
use std::time::{Duration, Instant};

/// The least time between two lines, but for troubles.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Plain {
    board: Board,
    started: Instant,
    /// When the last line was.
    shown: Instant,
}

impl Plain {
    pub(super) fn new(board: Board) -> Self {
        let now = Instant::now();
        Self { board, started: now, shown: now }
    }

    /// How far the scan is, and what `news` there are.
    fn show(&mut self, news: &str) {
        self.shown = Instant::now();
        let total = self.board.total();
        let left = self.board.left(self.started.elapsed().as_secs_f64());
        let left = left.map_or_else(String::new, |left| format!("{left}; "));
        let ended = self.board.ended();
        print(&format!("[{ended:>width$}/{total}] {left}{news}", width = total.to_string().len()));
    }
}

impl Sink for Plain {
    fn event(&mut self, event: &Event) {
        if let Some(line) = trouble(event) {
            print(&line);
        }
        self.board.event(event, self.started.elapsed().as_secs_f64());
        let is_time = self.shown.elapsed() >= PAUSE;
        let (event, reference) = event.apart();
        let of = of_reference(reference);
        match event {
            Event::ScanStarted { data, rows, cols, runs, done, n_proc, .. } => {
                print(&format!("{data}: {rows} x {cols}, {runs} runs, {n_proc} at a time"));
                if *done > 0 {
                    print(&format!("{done} of them were done before"));
                }
            }
            Event::Prepared { seconds } if reference.is_none() => {
                print(&format!("data normalised and shared in {seconds:.2} s"));
            }
            Event::ReferenceStarted { reference: 0, references, runs, .. } => {
                let one = if *references == 1 { "" } else { "s" };
                print(&format!("{references} reference scan{one} of {runs} runs follow"));
            }
            Event::RunFinished { run, inertia, n_iter, .. } if is_time => self.show(&format!(
                "{of}{run} done: inertia {} after {n_iter} iterations",
                kscan_report::text::inertia(*inertia)
            )),
            Event::RunProgress { run, .. } if is_time => {
                let line = self.board.line(*run);
                self.show(&line);
            }
            Event::ScanFinished { wall_s, .. } => {
                let (ended, total) = (self.board.ended(), self.board.total());
                let took = HumanDuration(Duration::from_secs_f64(*wall_s));
                print(&format!("[{ended}/{total}] ended after {took:#}"));
            }
            _ => {}
        }
    }
}

fn print(line: &str) {
    // Nobody to read it is no reason to end a scan.
    let _ = writeln!(std::io::stderr(), "{line}");
}
