//! Inertia by k: every run a dot, the best a line.

use super::scale::{Frame, Scale};
use super::{Length, Plot, points};
use crate::scan::Scan;
use crate::text;
use maud::html;

const FRAME: Frame = Frame { left: 58.0, right: 468.0, top: 30.0, bottom: 296.0 };

/// The plot of all runs.
pub(crate) fn inertia(scan: &Scan) -> Plot {
    let ks: Vec<u32> = scan.ks.iter().map(|of_k| of_k.k).collect();
    let x = k_scale(&ks, FRAME);
    let all = scan.ks.iter().flat_map(|of_k| of_k.inertias().map(|(_, inertia)| inertia));
    let y = Scale::around(all, 0.05, (FRAME.bottom, FRAME.top));
    let best: Vec<(u32, f64)> =
        scan.with_best().map(|(of_k, best)| (of_k.k, best.inertia)).collect();
    let elbow = scan.elbow().map(|elbow| elbow.k as u32);
    let band = band_width(&ks, x);
    let marks = html! {
        (FRAME.title_above("inertia, in normalised units"))
        (FRAME.left_axis(y, 5))
        (FRAME.k_axis(x, &ks, "number of clusters k"))
        @for &k in &ks {
            rect .band data-k=(k) x=(Length(x.at(f64::from(k)) - band / 2.0)) width=(Length(band))
                y=(Length(FRAME.top)) height=(Length(FRAME.bottom - FRAME.top)) {}
        }
        @if let Some(k) = elbow {
            @let at = Length(x.at(f64::from(k)));
            line .elbow x1=(at) x2=(at) y1=(Length(FRAME.top)) y2=(Length(FRAME.bottom)) {}
            text .elbow-name x=(at) dx="6" y=(Length(FRAME.top + 12.0)) { "elbow, k = " (k) }
        }
        polyline .best-line points=(points(best.iter().map(|&(k, inertia)| (x.at(f64::from(k)), y.at(inertia))))) {}
        @for of_k in &scan.ks {
            @for (run, inertia) in of_k.inertias() {
                @let is_best = of_k.best.as_ref().is_some_and(|best| best.init_id == run.init_id);
                circle class=(if is_best { "run best" } else { "run" }) data-k=(run.k) data-init=(run.init_id)
                    cx=(Length(x.at(f64::from(run.k)))) cy=(Length(y.at(inertia)))
                    r=(if is_best { "4.5" } else { "3" }) {
                    title { "k = " (run.k) ", init " (run.init_id) ": " (text::inertia(inertia)) }
                }
            }
        }
    };
    let description = match (best.first(), best.last()) {
        (Some(first), Some(last)) => format!(
            "The best inertia goes from {} at k = {} to {} at k = {}.",
            text::inertia(first.1),
            first.0,
            text::inertia(last.1),
            last.0
        ),
        _ => "No run has a result.".to_owned(),
    };
    Plot {
        name: "inertia".to_owned(),
        title: "Inertia of every run, by k".to_owned(),
        description,
        width: 480.0,
        height: 340.0,
        marks,
    }
}

/// The scale of k across a frame, with room at the ends.
pub(super) fn k_scale(ks: &[u32], frame: Frame) -> Scale {
    let ends = (ks.first().copied().unwrap_or(0), ks.last().copied().unwrap_or(1));
    Scale::new((f64::from(ends.0), f64::from(ends.1)), (frame.left + 14.0, frame.right - 14.0))
}

/// How wide the bands around values of k can be.
pub(super) fn band_width(ks: &[u32], x: Scale) -> f64 {
    match ks {
        [first, second, ..] => x.at(f64::from(*second)) - x.at(f64::from(*first)),
        _ => 40.0,
    }
}
