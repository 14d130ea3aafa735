//! How far the initialisations of a k got, and how long it took them.

use super::scale::{Frame, Scale};
use super::{Length, Plot};
use crate::scan::OfK;
use crate::text;
use maud::html;

const FRAME: Frame = Frame { left: 58.0, right: 468.0, top: 30.0, bottom: 176.0 };

/// The plot of the runs of a k.
pub(crate) fn spread(of_k: &OfK) -> Plot {
    let best = of_k.best.as_ref().map_or(0.0, |best| best.inertia);
    let excess = |inertia: f64| if best > 0.0 { (inertia - best) / best * 100.0 } else { 0.0 };
    let largest = of_k.inertias().map(|(_, inertia)| excess(inertia)).fold(0.0, f64::max);
    let x = Scale::new((0.0, largest.max(1e-3)), (FRAME.left + 10.0, FRAME.right - 14.0));
    let most = of_k.runs.iter().filter_map(|run| run.n_iter).max().unwrap_or(1);
    let y = Scale::new((0.0, f64::from(most) * 1.08), (FRAME.bottom, FRAME.top));
    let marks = html! {
        (FRAME.title_above("iterations"))
        (FRAME.left_axis(y, 4))
        (FRAME.bottom_axis(x, 5, "inertia above the best, in %"))
        @for (run, inertia) in of_k.inertias() {
            @if let Some(n_iter) = run.n_iter {
                @let is_best = of_k.best.as_ref().is_some_and(|best| best.init_id == run.init_id);
                circle class=(if is_best { "init best" } else { "init" }) data-init=(run.init_id)
                    cx=(Length(x.at(excess(inertia)))) cy=(Length(y.at(f64::from(n_iter)))) r="5" {
                    title {
                        "init " (run.init_id) ": " (text::inertia(inertia)) ", "
                        (format!("+{:.3}", excess(inertia))) " %, " (n_iter) " iterations"
                    }
                }
            }
        }
    };
    Plot {
        name: format!("spread-k{:02}", of_k.k),
        title: format!("Initialisations of k = {}", of_k.k),
        description: format!(
            "{} ended within {:.3} % of the best inertia.",
            text::plural(of_k.inertias().count(), "initialisation"),
            largest
        ),
        width: 480.0,
        height: 220.0,
        marks,
    }
}
