//! What other rules say of k, side by side.

use super::as_table;
use crate::plot::{self, Criterion};
use crate::scan::Scan;
use crate::text::{Outside, count, percent, value};
use kscan_results::{ElbowDocument, FoundElbow};
use kscan_select::{Choice, Criteria, LabelAgreement, Rule, Silhouette};
use maud::{Markup, html};

/// The rules, their criteria by k, and how well labels are met; nothing where none are known.
pub(crate) fn criteria(scan: &Scan) -> Markup {
    let (criteria, choices) = (&scan.document.criteria, &scan.document.choices);
    let drawn = by_rule(criteria, choices);
    let by_labels = by_labels(criteria);
    html! {
        @if !criteria.is_empty() || !choices.is_empty() {
            section #criteria aria-labelledby="criteria-title" {
                h2 #criteria-title { "What other rules say" }
                (chosen(choices))
                (plots(scan, &drawn))
                @if let Some(rows) = sampled(criteria) {
                    p .caption { "The silhouette is of a sample of " (count(rows)) " rows; its bars are one standard error." }
                }
                @if let Some(references) = scan.document.config.gap {
                    p .caption {
                        "The gap is how much less compact the clusters of uniform data are, by the logarithm of the inertia, on the mean of "
                        (count(references)) " sets; its bars are s."
                    }
                }
                @if !by_labels.is_empty() {
                    h3 { "Agreement with the labels" }
                    (plots(scan, &by_labels))
                }
                (table(&drawn, &by_labels, criteria))
            }
        }
    }
}

/// What each rule chooses, or why it does not.
fn chosen(choices: &[Choice]) -> Markup {
    html! {
        @if !choices.is_empty() {
            ul .rules {
                @for choice in choices {
                    li .none[choice.k.is_none()] {
                        span .unit { (choice.rule.to_string()) }
                        @match choice.k {
                            Some(k) => {
                                strong { "k = " (k) }
                                @if choice.at_edge { span .note { "an end of the range" } }
                            }
                            None => {
                                strong { "none" }
                                span .note { (Outside(choice.reason.as_deref().unwrap_or_default())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn plots(scan: &Scan, criteria: &[Criterion]) -> Markup {
    let ks: Vec<u32> = scan.ks.iter().map(|of_k| of_k.k).collect();
    html! {
        div .small {
            @for criterion in criteria {
                figure {
                    figcaption {
                        strong { (criterion.name) }
                        @if !criterion.better.is_empty() { " · " (criterion.better) }
                    }
                    (plot::criterion(&ks, criterion).inline())
                }
            }
        }
    }
}

/// How often each k is the elbow when initialisations are drawn again, the most frequent first.
pub(crate) fn shares(scan: &Scan) -> Option<(usize, Vec<(usize, f64)>)> {
    let ElbowDocument::Found(FoundElbow { elbow, confidence: Some(confidence) }) =
        &scan.document.elbow
    else {
        return None;
    };
    let shares = elbow.threshold_k.iter().copied().zip(confidence.shares.iter().copied());
    let mut shares: Vec<(usize, f64)> = shares.collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    (!shares.is_empty()).then_some((confidence.resamples, shares))
}

/// How many rows the silhouettes are of, where that is a sample.
fn sampled(criteria: &[Criteria]) -> Option<usize> {
    let mut silhouettes = criteria.iter().filter_map(|of_k| of_k.silhouette);
    silhouettes.find(|silhouette| silhouette.standard_error.is_some()).map(|found| found.rows)
}

/// A value, and how far it may be off.
type Measured = (f64, Option<f64>);

fn by_rule(criteria: &[Criteria], choices: &[Choice]) -> Vec<Criterion> {
    let of = |id, name, better, rule, get: fn(&Criteria) -> Option<Measured>| {
        let chosen = choices.iter().find(|choice| choice.rule == rule).and_then(|choice| choice.k);
        drawn(criteria, id, (name, better), chosen.map(|k| k as u32), get)
    };
    let all = [
        of(
            "calinski-harabasz",
            "Calinski-Harabasz",
            "larger is better",
            Rule::CalinskiHarabasz,
            |of_k| Some((of_k.calinski_harabasz?, None)),
        ),
        of("davies-bouldin", "Davies-Bouldin", "smaller is better", Rule::DaviesBouldin, |of_k| {
            Some((of_k.davies_bouldin?, None))
        }),
        of("silhouette", "Silhouette", "larger is better", Rule::Silhouette, |of_k| {
            let Silhouette { mean, standard_error, .. } = of_k.silhouette?;
            Some((mean, standard_error))
        }),
        of("gap", "Gap", "the first that the next exceeds by at most s", Rule::Gap, |of_k| {
            of_k.gap.map(|gap| (gap.gap, Some(gap.s)))
        }),
    ];
    all.into_iter().flatten().collect()
}

fn by_labels(criteria: &[Criteria]) -> Vec<Criterion> {
    let of = |id, name, get: fn(&LabelAgreement) -> f64| {
        drawn(criteria, id, (name, ""), None, |of_k| Some((get(of_k.labels.as_ref()?), None)))
    };
    let all = [
        of("adjusted-rand", "Adjusted Rand index", |labels| labels.adjusted_rand),
        of("mutual-information", "Normalized mutual information", |labels| {
            labels.normalized_mutual_information
        }),
        of("homogeneity", "Homogeneity", |labels| labels.homogeneity),
        of("completeness", "Completeness", |labels| labels.completeness),
        of("v-measure", "V-measure", |labels| labels.v_measure),
        of("purity", "Purity", |labels| labels.purity),
    ];
    all.into_iter().flatten().collect()
}

/// A criterion with its values; `None` where it has none.
fn drawn(
    criteria: &[Criteria],
    id: &'static str,
    (name, better): (&'static str, &'static str),
    chosen: Option<u32>,
    get: impl Fn(&Criteria) -> Option<Measured>,
) -> Option<Criterion> {
    let of_k = |of_k: &Criteria| get(of_k).map(|(value, error)| (of_k.k as u32, value, error));
    let values: Vec<(u32, f64, Option<f64>)> = criteria.iter().filter_map(of_k).collect();
    (!values.is_empty()).then_some(Criterion { id, name, better, values, chosen })
}

/// All of it as a table.
fn table(by_rule: &[Criterion], by_labels: &[Criterion], criteria: &[Criteria]) -> Markup {
    let all: Vec<&Criterion> = by_rule.iter().chain(by_labels).collect();
    let rows = html! {
        @for of_k in criteria {
            tr data-k=(of_k.k) {
                th scope="row" { (of_k.k) }
                @for criterion in &all { (cell(criterion, of_k.k as u32)) }
            }
        }
    };
    let columns = std::iter::once("k").chain(all.iter().map(|criterion| criterion.name));
    html! {
        @if !all.is_empty() { (as_table("Criteria by k", columns, &rows)) }
    }
}

fn cell(criterion: &Criterion, k: u32) -> Markup {
    let found = criterion.values.iter().find(|(of_k, ..)| *of_k == k);
    html! {
        td .best[criterion.chosen == Some(k)] {
            @if let Some((_, mean, error)) = found {
                (value(*mean))
                @if let Some(error) = error { " ± " (value(*error)) }
            }
        }
    }
}

/// The shares of the resamples as a sentence.
pub(crate) fn shares_in_words(resamples: usize, shares: &[(usize, f64)]) -> String {
    let won = shares.iter().filter(|(_, share)| *share >= 0.001);
    let won: Vec<String> =
        won.map(|(k, share)| format!("k\u{a0}=\u{a0}{k} in {}", percent(*share))).collect();
    format!(
        "With the initialisations drawn again {} times, the elbow is at {}.",
        count(resamples),
        crate::text::list(&won)
    )
}
