//! The centroids of a k by themselves: as pictures where rows are pictures, as a heat map elsewhere.

use super::{Length, Plot};
use crate::columns;
use crate::picture::{Range, picture};
use crate::scan::OfK;
use crate::text::{count, percent, value};
use kscan_results::ImageShape;
use maud::{Markup, html};

/// The plot of the clusters of `of_k`.
pub(crate) fn centroids(of_k: &OfK, image_shape: Option<ImageShape>) -> Plot {
    let (width, height, marks) = match image_shape {
        Some(shape) => pictures(of_k, shape),
        None => heat_map(of_k),
    };
    Plot {
        name: format!("centroids-k{:02}", of_k.k),
        title: format!("Centroids, k = {}", of_k.k),
        description: "In the data's own units.".to_owned(),
        width,
        height,
        marks,
    }
}

fn pictures(of_k: &OfK, shape: ImageShape) -> (f64, f64, Markup) {
    const SIDE: f64 = 84.0;
    const CELL: (f64, f64) = (104.0, 132.0);
    let columns = of_k.clusters.len().clamp(1, 8);
    let range = Range::of(of_k.clusters.iter().flat_map(|cluster| &cluster.centroid));
    let rows: u64 = of_k.clusters.iter().map(|cluster| cluster.size).sum();
    let marks = html! {
        @for (index, cluster) in of_k.clusters.iter().enumerate() {
            @let x = 12.0 + (index % columns) as f64 * CELL.0;
            @let y = 30.0 + (index / columns) as f64 * CELL.1;
            image .picture x=(Length(x)) y=(Length(y)) width=(Length(SIDE)) height=(Length(SIDE))
                href=(picture(&cluster.centroid, shape, range)) {}
            text .axis-title x=(Length(x)) y=(Length(y - 8.0)) { (index) }
            text .tick x=(Length(x)) y=(Length(y + SIDE + 16.0)) {
                (count(cluster.size)) " (" (percent(cluster.size as f64 / rows.max(1) as f64)) ")"
            }
        }
    };
    let lines = of_k.clusters.len().div_ceil(columns);
    (16.0 + columns as f64 * CELL.0, 16.0 + lines as f64 * CELL.1, marks)
}

fn heat_map(of_k: &OfK) -> (f64, f64, Markup) {
    const CELL: (f64, f64) = (64.0, 26.0);
    let columns = columns::telling(of_k);
    let x = |index: usize| 84.0 + index as f64 * CELL.0;
    let y = |cluster: usize| 52.0 + cluster as f64 * CELL.1;
    let marks = html! {
        text .axis-title x="84" y="18" { "column" }
        text .axis-title x="8" y="40" { "cluster" }
        @for (index, column) in columns.iter().enumerate() {
            text .tick x=(Length(x(index) + CELL.0 / 2.0)) y="40" text-anchor="middle" { (column) }
        }
        @for (cluster, of) in of_k.clusters.iter().enumerate() {
            @let middle = Length(y(cluster) + CELL.1 / 2.0);
            text .tick x="74" y=(middle) dy="0.32em" text-anchor="end" { (cluster) }
            @for (index, &column) in columns.iter().enumerate() {
                @let deviation = of.normalised[column];
                rect class=(if deviation < 0.0 { "cell below" } else { "cell" })
                    x=(Length(x(index))) y=(Length(y(cluster))) width=(Length(CELL.0 - 1.0)) height=(Length(CELL.1 - 1.0))
                    fill-opacity=(format!("{:.3}", columns::shade(deviation) * 0.78)) {}
                text .cell-count x=(Length(x(index) + CELL.0 / 2.0)) y=(middle) dy="0.32em" text-anchor="middle" { (value(of.centroid[column])) }
            }
        }
    };
    (x(columns.len()) + 12.0, y(of_k.clusters.len()) + 12.0, marks)
}
