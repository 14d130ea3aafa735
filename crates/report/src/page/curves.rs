//! What is the same for every k: inertia, elbow score.

use super::{as_table, figure};
use crate::plot::{self, Fit};
use crate::scan::Scan;
use crate::text::{inertia, percent};
use maud::{Markup, html};

/// Both curves, with their numbers.
pub(crate) fn curves(scan: &Scan) -> Markup {
    let fits = plot::fits(scan);
    html! {
        section #curves aria-labelledby="curves-title" {
            h2 #curves-title { "Choosing k" }
            div .pair {
                div {
                    h3 { "Inertia" }
                    (figure(&plot::inertia(scan), "", &html! {
                        "Every dot is a run; the line joins the best of each k."
                    }))
                    (inertia_table(scan))
                }
                @if !fits.is_empty() {
                    div {
                        h3 { "Elbow score" }
                        (figure(&plot::elbow(scan, &fits), "", &html! {
                            "The elbow is where two straight lines fit best: the largest mean (the thick line) of R² "
                            span .left { "left" } " and " span .right { "right" } "."
                        }))
                        (thresholds(&fits))
                        (elbow_table(&fits))
                    }
                }
            }
        }
    }
}

fn inertia_table(scan: &Scan) -> Markup {
    let best: Vec<f64> = scan.with_best().map(|(_, best)| best.inertia).collect();
    let drops = std::iter::once(None).chain(
        best.windows(2).map(|pair| (pair[0] > 0.0).then(|| percent((pair[0] - pair[1]) / pair[0]))),
    );
    let rows = html! {
        @for ((of_k, best), drop) in scan.with_best().zip(drops) {
            tr {
                th scope="row" { (of_k.k) }
                td { (inertia(best.inertia)) } td { (drop.unwrap_or_default()) }
                td { (best.init_id) } td { (best.n_iter) }
            }
        }
    };
    as_table("Best inertia by k", ["k", "best inertia", "drop", "init", "iterations"], &rows)
}

/// The radios that say which threshold's lines are shown, and what these are.
fn thresholds(fits: &[Fit]) -> Markup {
    html! {
        form .thresholds {
            fieldset {
                legend { "threshold" }
                div .choices {
                    @for (index, fit) in fits.iter().enumerate() {
                        label .is-elbow[fit.is_elbow] {
                            input type="radio" name="threshold" value=(index) autocomplete="off" checked[fit.is_elbow]
                                data-text=(sentence(fit));
                            span { (fit.k) }
                        }
                    }
                }
            }
            @let shown = fits.iter().find(|fit| fit.is_elbow);
            output aria-live="polite" { (shown.map(sentence).unwrap_or_default()) }
        }
    }
}

fn sentence(fit: &Fit) -> String {
    let [left, right] = fit.spans;
    format!(
        "k = {}: left line k {}–{}, R² {:.4}; right line k {}–{}, R² {:.4}; mean {:.4}",
        fit.k, left.0, left.1, fit.scores[0], right.0, right.1, fit.scores[1], fit.score
    )
}

fn elbow_table(fits: &[Fit]) -> Markup {
    let rows = html! {
        @for fit in fits {
            tr .chosen[fit.is_elbow] {
                th scope="row" { (fit.k) }
                td { (format!("{:.4}", fit.scores[0])) } td { (format!("{:.4}", fit.scores[1])) }
                td { (format!("{:.4}", fit.score)) }
            }
        }
    };
    as_table("Elbow score by threshold", ["k", "R² left", "R² right", "mean"], &rows)
}
