//! A contingency table as a heat map, by itself. On the page it is a table.

use super::{Length, Plot};
use crate::scan::{LabelTable, OfK};
use crate::text::{count, visible};
use maud::html;

const CELL: (f64, f64) = (50.0, 26.0);
const LEFT: f64 = 84.0;
const TOP: f64 = 52.0;

/// The plot of `table`, the labels of `of_k`'s best run by its clusters.
pub(crate) fn contingency(of_k: &OfK, table: &LabelTable) -> Plot {
    let counts = &table.counts;
    let (row_totals, column_totals) = (counts.row_totals(), counts.column_totals());
    let clusters = table.by_majority();
    let x = |column: usize| LEFT + column as f64 * CELL.0;
    let y = |row: usize| TOP + row as f64 * CELL.1;
    let (right, bottom) = (x(clusters.len()), y(table.labels.len()));
    let marks = html! {
        text .axis-title x=(Length(LEFT)) y="18" { "cluster" }
        text .axis-title x="8" y=(Length(TOP - 12.0)) { "label" }
        @for (column, &cluster) in clusters.iter().enumerate() {
            text .tick x=(Length(x(column) + CELL.0 / 2.0)) y=(Length(TOP - 12.0)) text-anchor="middle" { (cluster) }
            text .tick x=(Length(x(column) + CELL.0 / 2.0)) y=(Length(bottom + 18.0)) text-anchor="middle" { (count(column_totals[cluster])) }
        }
        @for (row, label) in table.labels.iter().enumerate() {
            @let middle = Length(y(row) + CELL.1 / 2.0);
            text .tick x=(Length(LEFT - 10.0)) y=(middle) dy="0.32em" text-anchor="end" { (visible(label)) }
            text .tick x=(Length(right + 62.0)) y=(middle) dy="0.32em" text-anchor="end" { (count(row_totals[row])) }
            @for (column, &cluster) in clusters.iter().enumerate() {
                @let share = counts.count(row, cluster) as f64 / row_totals[row].max(1) as f64;
                rect .cell x=(Length(x(column))) y=(Length(y(row))) width=(Length(CELL.0 - 1.0)) height=(Length(CELL.1 - 1.0))
                    fill-opacity=(format!("{:.3}", 0.04 + 0.74 * share)) {}
                text .cell-count x=(Length(x(column) + CELL.0 / 2.0)) y=(middle) dy="0.32em" text-anchor="middle" { (count(counts.count(row, cluster))) }
            }
        }
        text .tick x=(Length(LEFT - 10.0)) y=(Length(bottom + 18.0)) text-anchor="end" { "rows" }
        text .tick x=(Length(right + 62.0)) y=(Length(TOP - 12.0)) text-anchor="end" { "rows" }
    };
    Plot {
        name: format!("contingency-k{:02}", of_k.k),
        title: format!("Labels by cluster, k = {}", of_k.k),
        description: format!("The purity is {:.4}.", counts.purity()),
        width: right + 74.0,
        height: bottom + 32.0,
        marks,
    }
}
