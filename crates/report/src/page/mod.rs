//! The page: one file that needs nothing else.

mod answer;
mod clusters;
mod criteria;
mod curves;
mod panel;
mod reproduce;
mod tables;
#[cfg(test)]
mod tests;

use crate::palette;
use crate::plot::{self, Plot};
use crate::scan::Scan;
use crate::text::visible;
use crate::warning::Warning;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing is loaded from anywhere; what is in the page is all there is.
const SECURITY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                        img-src data:; base-uri 'none'; form-action 'none'";

/// The report of a scan as HTML.
pub(crate) fn page(scan: &Scan) -> String {
    let warnings = Warning::of(scan);
    let shown = scan.first_shown();
    html! {
        (DOCTYPE)
        html lang="en" data-k=[shown] {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(SECURITY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="kscan-coord";
                title { "k-means scan of " (visible(&scan.document.data.name)) }
                style { (PreEscaped(palette::declarations())) (PreEscaped(plot::CSS)) (PreEscaped(CSS)) }
            }
            body {
                a .skip href="#clusters" { "Skip to the clusters" }
                (answer::header(scan))
                (chooser(scan, shown))
                main {
                    (answer::warnings(&warnings))
                    (curves::curves(scan))
                    (criteria::criteria(scan))
                    section #clusters aria-labelledby="clusters-title" {
                        h2 #clusters-title { "Clusters" }
                        @for of_k in &scan.ks {
                            (panel::panel(scan, of_k))
                        }
                    }
                    (timeline(scan))
                    (tables::runs(scan))
                    (tables::engine(scan))
                    (reproduce::reproduce(scan))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// The radios that say of which k the panels are. Shown by the script, which hides all other ones.
fn chooser(scan: &Scan, shown: Option<u32>) -> Markup {
    let elbow = scan.elbow().map(|elbow| elbow.k as u32);
    html! {
        form .chooser {
            fieldset {
                legend { "k" }
                div .choices {
                    @for of_k in &scan.ks {
                        label .is-elbow[elbow == Some(of_k.k)] {
                            input type="radio" name="k" value=(of_k.k) autocomplete="off" checked[shown == Some(of_k.k)];
                            span {
                                (of_k.k)
                                @if elbow == Some(of_k.k) { span .only-heard { ", the elbow" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn timeline(scan: &Scan) -> Markup {
    let plot = plot::timeline(scan);
    html! {
        section #timeline-section aria-labelledby="timeline-heading" {
            h2 #timeline-heading { "Timeline" }
            @match &plot {
                Some(plot) => (figure(plot, "wide", &html! {
                    "Each bar is a run, named by its k; its darker beginning is the choice of first centroids. "
                    "The runs of the chosen k are coloured."
                })),
                None => p { "When each run was started is not known of this scan." },
            }
        }
    }
}

/// A plot with what there is to say about it. A wide one can be scrolled through on a narrow
/// screen.
fn figure(plot: &Plot, class: &str, caption: &Markup) -> Markup {
    html! {
        figure class=(class) {
            @if class.contains("wide") {
                div .scroll tabindex="0" role="region" aria-label=(plot.title) { (plot.inline()) }
            } @else {
                (plot.inline())
            }
            figcaption { (caption) }
        }
    }
}

/// What a plot shows in numbers, folded away.
fn as_table<'a>(title: &str, columns: impl IntoIterator<Item = &'a str>, rows: &Markup) -> Markup {
    html! {
        details {
            summary { "As a table" }
            div .scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    caption { (title) }
                    thead { tr { @for column in columns { th scope="col" { (column) } } } }
                    tbody { (rows) }
                }
            }
        }
    }
}
