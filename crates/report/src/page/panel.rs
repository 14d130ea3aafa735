//! All that is known of one k.

use super::{clusters, figure};
use crate::plot;
use crate::scan::{LabelTable, OfK, Scan};
use crate::text::{Outside, count, inertia, percent, plural};
use kscan_kmeans::Stop;
use maud::{Markup, html};

/// The panel of a k.
pub(crate) fn panel(scan: &Scan, of_k: &OfK) -> Markup {
    let title = format!("k-{}-title", of_k.k);
    let is_elbow = scan.elbow().is_some_and(|elbow| elbow.k == of_k.k as usize);
    html! {
        article .panel id=(format!("k-{}", of_k.k)) data-k=(of_k.k) aria-labelledby=(title) {
            h3 id=(title) { "k = " (of_k.k) @if is_elbow { " " span .badge { "elbow" } } }
            @if of_k.best.is_none() {
                p { "No run of this k has a result." }
            } @else {
                (facts(scan, of_k))
                div .pair {
                    div {
                        h4 { "Initialisations" }
                        (figure(&plot::spread(of_k), "", &html! { "Each dot is a run: how far above the best it ended, and how long it took." }))
                    }
                    (clusters::sizes(of_k))
                }
                (clusters::centroids(scan, of_k))
                @if let Some(table) = &of_k.contingency {
                    (contingency(of_k, table))
                }
            }
        }
    }
}

fn facts(scan: &Scan, of_k: &OfK) -> Markup {
    let best = of_k.best.as_ref();
    let best_run = best.and_then(|best| of_k.runs.iter().find(|run| run.init_id == best.init_id));
    let before = scan.with_best().take_while(|(other, _)| other.k < of_k.k).last();
    let drop = best.zip(before).filter(|(_, (_, before))| before.inertia > 0.0).map(
        |(best, (other, before))| {
            (percent((before.inertia - best.inertia) / before.inertia), other.k)
        },
    );
    let near = best.map(|best| {
        of_k.inertias().filter(|(_, inertia)| *inertia <= best.inertia * 1.001).count()
    });
    html! {
        dl .facts {
            @if let Some(best) = best {
                div { dt { "best inertia" } dd { (inertia(best.inertia)) } }
                @if let Some((drop, k)) = drop {
                    div { dt { "below k = " (k) } dd { (drop) } }
                }
                div { dt { "found by" } dd { "init " (best.init_id) " " span .unit { (count(best.n_iter)) " iterations" @match best_run.and_then(|run| run.stop) {
                    Some(Stop::Labels) => { ", labels settled" },
                    Some(Stop::Shift) => { ", centroids settled" },
                    Some(Stop::MaxIter) => { ", not settled" },
                    None => {},
                } } } }
            }
            @if let Some(near) = near {
                div { dt { "within 0.1\u{202f}%" } dd { (near) " of " (plural(of_k.inertias().count(), "init")) } }
            }
            @if let Some(table) = &of_k.contingency {
                div { dt { "purity" } dd { (format!("{:.4}", table.counts.purity())) } }
            }
        }
    }
}

/// The heat map: a table, each cell as dark as the share of its label that it holds.
fn contingency(of_k: &OfK, table: &LabelTable) -> Markup {
    let counts = &table.counts;
    let (row_totals, column_totals) = (counts.row_totals(), counts.column_totals());
    let clusters = table.by_majority();
    let title = format!("Labels by cluster, k = {}", of_k.k);
    html! {
        h4 { "Labels by cluster" }
        div .scroll tabindex="0" role="region" aria-label=(title) {
            table .heat {
                caption .only-heard { (title) }
                thead { tr {
                    th scope="col" { "label" }
                    @for &cluster in &clusters { th scope="col" { (cluster) } }
                    th scope="col" .total { "rows" }
                } }
                tbody {
                    @for (row, label) in table.labels.iter().enumerate() {
                        tr {
                            th scope="row" { (Outside(label)) }
                            @for &cluster in &clusters {
                                @let found = counts.count(row, cluster);
                                @let share = found as f64 / row_totals[row].max(1) as f64;
                                td .none[found == 0] style=(format!("--share:{share:.3}")) { (count(found)) }
                            }
                            td .total { (count(row_totals[row])) }
                        }
                    }
                }
                tfoot { tr {
                    th scope="row" { "rows" }
                    @for &cluster in &clusters { td .total { (count(column_totals[cluster])) } }
                    td .total { (count(row_totals.iter().sum::<u64>())) }
                } }
            }
        }
        p .caption {
            "A cell is as dark as the share of its label's rows that it holds. Clusters are in the order of their most frequent label. Purity "
            (format!("{:.4}", counts.purity())) ": the share of rows with their cluster's most frequent label."
        }
    }
}
