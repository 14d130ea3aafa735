//! The clusters of a k: how large they are, and what lies in their middle.

use crate::columns;
use crate::picture::{Range, picture};
use crate::scan::{Cluster, OfK, Scan};
use crate::text::{Outside, count, percent, value, value_within};
use kscan_results::ImageShape;
use maud::{Markup, html};

/// A bar for the size of each cluster.
pub(crate) fn sizes(of_k: &OfK) -> Markup {
    let total = total(of_k);
    let largest = of_k.clusters.iter().map(|cluster| cluster.size).max().unwrap_or(1).max(1);
    html! {
        @if !of_k.clusters.is_empty() {
            div {
                h4 { "Cluster sizes" }
                div .scroll tabindex="0" role="region" aria-label=(format!("Cluster sizes, k = {}", of_k.k)) {
                    table .sizes {
                        caption .only-heard { "Cluster sizes, k = " (of_k.k) }
                        thead .only-heard { tr { th scope="col" { "cluster" } th scope="col" { "of the largest" } th scope="col" { "rows" } th scope="col" { "share" } } }
                        tbody {
                            @for (index, cluster) in of_k.clusters.iter().enumerate() {
                                tr {
                                    th scope="row" { (index) }
                                    td .length { span style=(format!("--length:{:.4}", cluster.size as f64 / largest as f64)) {} }
                                    td { (count(cluster.size)) }
                                    td { (percent(cluster.size as f64 / total)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn total(of_k: &OfK) -> f64 {
    of_k.clusters.iter().map(|cluster| cluster.size).sum::<u64>().max(1) as f64
}

/// The centroids in the data's own units.
pub(crate) fn centroids(scan: &Scan, of_k: &OfK) -> Markup {
    html! {
        @if !of_k.clusters.is_empty() {
            h4 { "Centroids" }
            @match scan.image_shape {
                Some(shape) => (pictures(of_k, shape)),
                None => (values(of_k)),
            }
        }
    }
}

fn pictures(of_k: &OfK, shape: ImageShape) -> Markup {
    let range = Range::of(of_k.clusters.iter().flat_map(|cluster| &cluster.centroid));
    let total = total(of_k);
    let rows = of_k.clusters.iter().flat_map(|cluster| &cluster.nearest);
    let rows_range = Range::of(rows.flat_map(|near| &near.values));
    html! {
        ul .pictures style=(format!("--ratio:{}/{}", shape.width, shape.height)) {
            @for (index, cluster) in of_k.clusters.iter().enumerate() {
                li {
                    img .picture src=(picture(&cluster.centroid, shape, range)) alt=(format!("centroid of cluster {index}"));
                    @if !cluster.nearest.is_empty() {
                        div .nearest {
                            @for near in &cluster.nearest {
                                @let name = format!("row {}", near.row);
                                img .picture src=(picture(&near.values, shape, rows_range)) alt=(name) title=(name);
                            }
                        }
                    }
                    p {
                        strong { (index) } " "
                        span .unit { (percent(cluster.size as f64 / total)) }
                        (majority(of_k, index))
                    }
                }
            }
        }
        p .caption {
            "In the data's own units, from " (value_within(range.low, range.high - range.low))
            " (paper) to " (value_within(range.high, range.high - range.low)) " (ink)."
            @if of_k.clusters.iter().any(|cluster| !cluster.nearest.is_empty()) {
                " Small: the rows nearest to each centroid, the nearest first, from "
                (value_within(rows_range.low, rows_range.high - rows_range.low)) " to "
                (value_within(rows_range.high, rows_range.high - rows_range.low)) "."
            }
        }
    }
}

fn majority(of_k: &OfK, cluster: usize) -> Markup {
    let majority = of_k.contingency.as_ref().and_then(|table| table.majority(cluster));
    html! {
        @if let Some((label, share)) = majority {
            br; span .unit { "label " (Outside(label)) ", " (percent(share)) }
        }
    }
}

/// The columns that tell the clusters apart, as a table.
fn values(of_k: &OfK) -> Markup {
    let columns = columns::telling(of_k);
    let d = of_k.clusters[0].centroid.len();
    let title = format!("Centroids, k = {}", of_k.k);
    html! {
        div .scroll tabindex="0" role="region" aria-label=(title) {
            table .heat.values {
                caption .only-heard { (title) }
                thead { tr {
                    th scope="col" { "cluster" }
                    @for column in &columns { th scope="col" { "column " (column) } }
                } }
                tbody {
                    @for (index, cluster) in of_k.clusters.iter().enumerate() {
                        tr {
                            th scope="row" { (index) }
                            @for &column in &columns { (cell(cluster, column)) }
                        }
                        @for near in &cluster.nearest {
                            tr .near {
                                th scope="row" { "row " (near.row) }
                                @for &column in &columns { td { (value(near.values[column])) } }
                            }
                        }
                    }
                }
            }
        }
        p .caption {
            "In the data's own units; "
            span .left { "blue" } " is above the mean of the column and " span .right { "orange" } " below, fully so at two standard deviations."
            @if of_k.clusters.iter().any(|cluster| !cluster.nearest.is_empty()) {
                " Below each centroid are the rows nearest to it."
            }
            @if columns.len() < d {
                " These are the " (columns.len()) " of " (count(d)) " columns in which the centroids lie farthest apart."
            }
        }
    }
}

fn cell(cluster: &Cluster, column: usize) -> Markup {
    let deviation = cluster.normalised[column];
    html! {
        td .below[deviation < 0.0] style=(format!("--share:{:.3}", columns::shade(deviation))) {
            (value(cluster.centroid[column]))
        }
    }
}
