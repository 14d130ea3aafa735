//! The sortable tables of all runs.

use crate::scan::Scan;
use crate::text::{Outside, count, inertia, percent};
use kscan_kmeans::Counters;
use kscan_protocol::Attempt;
use kscan_results::{RunDocument, RunFolder, RunStatus};
use maud::{Markup, html};

/// A cell: what is shown, and what is sorted by.
struct Cell {
    shown: Markup,
    value: Option<f64>,
}

/// A column: its name, and its cell of a run.
type Column<'a> = (String, Box<dyn Fn(&RunDocument) -> Cell + 'a>);

fn column<'a>(name: &str, cell: impl Fn(&RunDocument) -> Cell + 'a) -> Column<'a> {
    (name.to_owned(), Box::new(cell))
}

fn number<T: Copy + ToNumber>(value: Option<T>, show: impl Fn(T) -> String) -> Cell {
    Cell {
        shown: html! { (value.map(show).unwrap_or_default()) },
        value: value.map(ToNumber::to_number),
    }
}

/// What can be sorted by. A count beyond 2^53 is rounded, which changes no order that is seen.
trait ToNumber {
    fn to_number(self) -> f64;
}

impl ToNumber for f64 {
    fn to_number(self) -> f64 {
        self
    }
}

impl ToNumber for u32 {
    fn to_number(self) -> f64 {
        self.into()
    }
}

impl ToNumber for u64 {
    fn to_number(self) -> f64 {
        self as f64
    }
}

/// As many digits in every row, so that points stand below each other.
fn two_digits(seconds: f64) -> String {
    format!("{seconds:.2}")
}

fn mebibytes(bytes: u64) -> String {
    let tenths = (bytes as f64 / f64::from(1 << 20) * 10.0).round() as u64;
    format!("{}.{}", count(tenths / 10), tenths % 10)
}

/// Every run, with its log.
pub(crate) fn runs(scan: &Scan) -> Markup {
    let excess = |run: &RunDocument| {
        let best = scan.with_best().find(|(of_k, _)| of_k.k == run.k)?.1.inertia;
        (best > 0.0).then_some((run.inertia? - best) / best * 100.0)
    };
    let columns = [
        column("inertia", |run| number(run.inertia, inertia)),
        column("above best, %", |run| number(excess(run), |excess| format!("{excess:.3}"))),
        column("iterations", |run| number(run.n_iter, count)),
        column("stopped by", |run| match run.stop {
            Some(stop) => {
                Cell { shown: html! { (stop.to_string()) }, value: Some(f64::from(stop as u8)) }
            }
            None => Cell { shown: html! { "failed" }, value: None },
        }),
        column("relocated", |run| number(run.relocated, count)),
        column("worker", |run| number(run.slot, |slot| slot.to_string())),
        column("started, s", |run| number(run.started_s, two_digits)),
        column("took, s", |run| number(run.wall_s, two_digits)),
        column("processor, s", |run| number(run.cpu_s, two_digits)),
        column("own memory, MiB", |run| number(run.private_bytes, mebibytes)),
        column("attempts", |run| number(Some(run.attempts), count)),
        column("log", |run| Cell { shown: log(run), value: None }),
    ];
    html! {
        section #runs aria-labelledby="runs-title" {
            h2 #runs-title { "Runs" }
            (table(scan, "All runs", &columns))
            (errors(scan))
        }
    }
}

/// The link to a run's last log. By the run, and not by what scan.json calls it: it leads nowhere
/// else.
fn log(run: &RunDocument) -> Markup {
    let name = RunFolder::run_log_name(run.run(), Attempt(run.attempts));
    html! { a href=(name) aria-label=(format!("log of {}", run.run())) { "log" } }
}

fn errors(scan: &Scan) -> Markup {
    html! {
        @if scan.failed().next().is_some() {
            h3 { "Runs that failed" }
            ul .errors {
                @for run in scan.failed() {
                    li {
                        strong { "k = " (run.k) ", init " (run.init_id) } ": "
                        (Outside(run.error.as_deref().unwrap_or("no reason is known"))) ", after "
                        (run.attempts) @if run.attempts == 1 { " attempt" } @else { " attempts" } " (" (log(run)) ")"
                    }
                }
            }
        }
    }
}

/// What the engine looked at in every run.
pub(crate) fn engine(scan: &Scan) -> Markup {
    let rows = scan.document.data.rows as f64;
    let share = |part: u64, all: f64| number((all > 0.0).then(|| part as f64 / all), percent);
    let decided = move |part: u64, counters: &Counters| share(part, counters.rows_visited as f64);
    let columns = vec![
        counted("rows visited", |_, counters| number(Some(counters.rows_visited), count)),
        counted("of all", move |run, counters| {
            share(counters.rows_visited, rows * f64::from(run.n_iter.unwrap_or(0)))
        }),
        counted("kept scores", move |_, counters| decided(counters.by_anchor, counters)),
        counted("one look", move |_, counters| decided(counters.by_level[0], counters)),
        counted("closer look", move |_, counters| decided(counters.by_level[1], counters)),
        counted("definition", move |_, counters| decided(counters.by_definition, counters)),
        counted("numbers read", |_, counters| number(Some(counters.coordinates_read), count)),
        counted("read, MiB", |_, counters| number(Some(counters.bytes_read), mebibytes)),
    ];
    html! {
        @if scan.runs().any(|run| run.counters.is_some()) {
            section #engine aria-labelledby="engine-title" {
                h2 #engine-title { "What the engine looked at" }
                p {
                    "A row is visited in an iteration where bounds do not decide it. The shares are of "
                    "visited rows: those that scores kept from an earlier iteration decide, those that "
                    "a look at their bytes in the index does, or a closer one at more of them or at "
                    "values, and those that take the definition. All of it is about time: the results "
                    "are the same without."
                }
                (table(scan, "What the engine looked at", &columns))
            }
        }
    }
}

/// A column of what was counted.
fn counted<'a>(
    name: impl Into<String>,
    cell: impl Fn(&RunDocument, &Counters) -> Cell + 'a,
) -> Column<'a> {
    let of = move |run: &RunDocument| match &run.counters {
        Some(counters) => cell(run, counters),
        None => number(None::<u64>, count),
    };
    (name.into(), Box::new(of))
}

/// A table with a row a run, sortable by every column.
fn table(scan: &Scan, title: &str, columns: &[Column<'_>]) -> Markup {
    let heading = |name: &str| html! { th scope="col" { button type="button" { (name) } } };
    html! {
        div .scroll.tall tabindex="0" role="region" aria-label=(title) {
            table .sortable {
                caption .only-heard { (title) ". The buttons in the first row sort it." }
                thead { tr {
                    (heading("k")) (heading("init"))
                    @for (name, _) in columns {
                        @if name == "log" { th scope="col" { "log" } } @else { (heading(name)) }
                    }
                } }
                tbody {
                    @for run in scan.runs() {
                        tr data-k=(run.k) .failed[run.status == RunStatus::Failed] {
                            th scope="row" data-value=(run.k) { (run.k) }
                            td data-value=(run.init_id) { (run.init_id) }
                            @for (_, cell) in columns {
                                @let Cell { shown, value } = cell(run);
                                td data-value=[value] { (shown) }
                            }
                        }
                    }
                }
            }
        }
    }
}
