//! What a reader came for, and what to be careful about.

use super::criteria;
use crate::plot::{Fit, fits};
use crate::scan::Scan;
use crate::text::{Outside, count, percent, seconds};
use crate::warning::Warning;
use kscan_results::{ElbowDocument, ScanStatus};
use kscan_select::VerdictKind;
use maud::{Markup, html};

/// The answer in one sentence, and what it is of.
pub(crate) fn header(scan: &Scan) -> Markup {
    let document = &scan.document;
    let (data, timing) = (&document.data, &document.timing);
    let ended = scan.runs().count() - scan.failed().count();
    html! {
        header {
            p .kicker { "K-means scan of " (Outside(&data.name)) }
            h1 { (answer(scan)) }
            (because(scan))
            dl .facts {
                div { dt { "data" } dd { (count(data.rows)) " × " (count(data.cols)) " " span .unit { (Outside(&data.dtype)) } } }
                div { dt { "runs" } dd { (count(ended)) " of " (count(scan.planned())) } }
                div { dt { "took" } dd {
                    (seconds(timing.wall_s)) " " span .unit { "on " (document.config.n_proc) @if document.config.n_proc == 1 { " worker" } @else { " workers" } }
                } }
                div { dt { "seed" } dd { (document.config.seed) } }
                div { dt { "status" } dd { (match document.status {
                    ScanStatus::Complete => "complete",
                    ScanStatus::Partial => "some runs failed",
                    ScanStatus::Interrupted => "interrupted",
                }) } }
            }
        }
    }
}

/// Which k, by which rule, how sure.
fn answer(scan: &Scan) -> Markup {
    let none = |reason: &str| html! { "No elbow can be told: " (Outside(reason)) "." };
    let elbow = match &scan.document.elbow {
        ElbowDocument::Found(found) => &found.elbow,
        ElbowDocument::None { reason, .. } => return none(reason),
    };
    let fits = fits(scan);
    let Some(found) = fits.iter().find(|fit| fit.is_elbow) else {
        return none("the scores do not fit the curve");
    };
    let verdict = scan.document.verdict.as_ref();
    let k = html! { strong { "k\u{a0}=\u{a0}" (elbow.k) } };
    html! {
        @match verdict.map(|verdict| verdict.kind) {
            Some(VerdictKind::Agree) => {
                "Take " (k) ": the curve of inertias has its elbow there" (how_sure(scan, found))
                ", and the other rules agree."
            }
            Some(VerdictKind::Disagree) => {
                "The curve of inertias has its elbow at " (k) (how_sure(scan, found))
                ", but the rules disagree."
            }
            Some(VerdictKind::NoElbow) => {
                "No elbow stands out; the best that there is lies at " (k) (how_sure(scan, found)) "."
            }
            None => { "So far the elbow is at " (k) (how_sure(scan, found)) "." }
        }
    }
}

/// In how many resamples the elbow stays where it is; without those, what its score is worth.
fn how_sure(scan: &Scan, found: &Fit) -> Markup {
    let share = criteria::shares(scan)
        .and_then(|(_, shares)| shares.into_iter().find(|(k, _)| *k == found.k as usize));
    html! {
        @match share {
            Some((_, share)) => { " in " (percent(share)) " of resamples" },
            None => { ", with a mean R² of " (format!("{:.4}", found.score)) },
        }
    }
}

/// What speaks against the answer, and where its numbers come from.
fn because(scan: &Scan) -> Markup {
    let fits = fits(scan);
    let found = fits.iter().find(|fit| fit.is_elbow);
    let next = fits
        .iter()
        .filter(|fit| !fit.is_elbow)
        .max_by(|a, b| a.score.total_cmp(&b.score).then(b.k.cmp(&a.k)));
    let reasons = scan.document.verdict.as_ref().map(|verdict| verdict.reasons.join("; "));
    html! {
        @if let Some(found) = found {
            p .because {
                @if let Some(reasons) = reasons.filter(|reasons| !reasons.is_empty()) {
                    (Outside(&capitalised(&reasons))) ". "
                }
                "Two straight lines that meet at k\u{a0}=\u{a0}" (found.k) " fit the curve with a mean R² of "
                (format!("{:.4}", found.score))
                @if let Some(next) = next { "; k\u{a0}=\u{a0}" (next.k) " comes next with " (format!("{:.4}", next.score)) }
                ". "
                @if let Some((resamples, shares)) = criteria::shares(scan) {
                    (criteria::shares_in_words(resamples, &shares))
                }
            }
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Everything to be careful about.
pub(crate) fn warnings(warnings: &[Warning]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            section .warnings aria-labelledby="warnings-title" {
                h2 #warnings-title { "Be careful" }
                ul {
                    @for warning in warnings {
                        li {
                            strong { (Outside(&warning.title())) "." }
                            " " (Outside(&warning.advice()))
                        }
                    }
                }
            }
        }
    }
}
