//! Which worker did which run when.

use super::scale::{Frame, Scale};
use super::{Length, Plot};
use crate::scan::Scan;
use crate::text;
use kscan_results::{RunDocument, RunStatus};
use maud::{Markup, html};

const LEFT: f64 = 74.0;
const RIGHT: f64 = 948.0;
const TOP: f64 = 14.0;

/// A run with a place in time.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    run: &'a RunDocument,
    slot: u32,
    start: f64,
    end: f64,
}

/// The plot of all runs whose place in time is known; `None` where that is so of none.
pub(crate) fn timeline(scan: &Scan) -> Option<Plot> {
    let placed: Vec<Placed<'_>> = scan.runs().filter_map(place).collect();
    let slots = placed.iter().map(|placed| placed.slot + 1).max()?;
    let timing = &scan.document.timing;
    let end = placed.iter().map(|placed| placed.end).fold(timing.wall_s, f64::max);
    let lane = (480.0 / f64::from(slots + 1)).clamp(10.0, 30.0);
    let bottom = TOP + f64::from(slots + 1) * lane;
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom };
    let x = Scale::new((0.0, end), (LEFT, RIGHT));
    let y = |lane_index: u32| TOP + f64::from(lane_index) * lane;
    let bar = |from: f64, to: f64, lane_index: u32, class: &str, title: Markup| {
        let width = (x.at(to) - x.at(from) - 0.6).max(0.6);
        html! {
            rect class=(class) x=(Length(x.at(from))) width=(Length(width)) y=(Length(y(lane_index) + 2.0)) height=(Length(lane - 4.0)) rx="2" { title { (title) } }
        }
    };
    let marks = html! {
        @for (index, name) in std::iter::once("scan".to_owned()).chain((0..slots).map(|slot| format!("worker {slot}"))).enumerate() {
            @if lane >= 14.0 || index % 4 == 0 {
                text .tick x=(Length(LEFT - 8.0)) y=(Length(y(index as u32) + lane / 2.0)) dy="0.32em" text-anchor="end" { (name) }
            }
        }
        (frame.bottom_axis(x, 10, "seconds since the scan began"))
        (bar(0.0, timing.prepare_s, 0, "phase", html! { "preparing the data: " (text::seconds(timing.prepare_s)) }))
        (bar(timing.prepare_s, timing.prepare_s + timing.scan_s, 0, "phase runs", html! { "runs: " (text::seconds(timing.scan_s)) }))
        @let written = timing.prepare_s + timing.scan_s;
        @if timing.wall_s > written {
            (bar(written, timing.wall_s, 0, "phase", html! { "writing results: " (text::seconds(timing.wall_s - written)) }))
        }
        @for Placed { run, slot, start, end } in &placed {
            g class=(if run.status == RunStatus::Failed { "slice failed" } else { "slice" }) data-k=(run.k) data-init=(run.init_id) {
                (bar(*start, *end, slot + 1, "bar", html! { (run_title(run)) }))
                @if let (Some(load), Some(seed)) = (run.load_s, run.seed_s) && x.at(start + load + seed) - x.at(*start) >= 0.5 {
                    (bar(*start, (start + load + seed).min(*end), slot + 1, "seeding", html! { (run_title(run)) }))
                }
                @if x.at(*end) - x.at(*start) > 26.0 && lane >= 18.0 {
                    text .slice-name x=(Length(f64::midpoint(x.at(*start), x.at(*end)))) y=(Length(y(slot + 1) + lane / 2.0)) dy="0.32em" text-anchor="middle" { (run.k) }
                }
            }
        }
    };
    Some(Plot {
        name: "timeline".to_owned(),
        title: "Which worker did which run when".to_owned(),
        description: format!(
            "{} by {} in {}.",
            text::plural(placed.len(), "run"),
            text::plural(slots as usize, "worker"),
            text::seconds(end)
        ),
        width: 960.0,
        height: bottom + 46.0,
        marks,
    })
}

fn place(run: &RunDocument) -> Option<Placed<'_>> {
    let (slot, start) = (run.slot?, run.started_s?);
    let end = start + run.wall_s.unwrap_or(0.0);
    // What does not fit a plot was changed by hand.
    let sane = start >= 0.0 && end >= start && end.is_finite() && slot < 4096;
    sane.then_some(Placed { run, slot, start, end })
}

fn run_title(run: &RunDocument) -> String {
    let wall = text::seconds(run.wall_s.unwrap_or(0.0));
    match run.n_iter {
        Some(n_iter) => {
            let seed = text::seconds(run.seed_s.unwrap_or(0.0));
            format!(
                "k = {}, init {}: {wall}, of that {seed} choosing first centroids; {n_iter} iterations",
                run.k, run.init_id
            )
        }
        None => format!("k = {}, init {}: failed after {wall}", run.k, run.init_id),
    }
}
