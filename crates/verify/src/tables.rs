//! The CSV files against `scan.json`, and against labels counted again.

use crate::document::Document;
use crate::violation::{Violation, equal, impossible, unreadable};
use kscan_results::RunFolder;
use serde_json::Value;
use std::path::Path;

/// A CSV file: the names of its columns, and its rows.
struct Csv {
    file: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    fn read(folder: &RunFolder, path: &Path) -> Result<Self, Violation> {
        let file = path.strip_prefix(folder.path()).unwrap_or(path).display().to_string();
        let read = || -> csv::Result<_> {
            let mut reader = csv::Reader::from_path(path)?;
            let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
            let columns = texts(reader.headers()?);
            let rows = reader
                .records()
                .map(|record| record.map(|record| texts(&record)))
                .collect::<csv::Result<_>>()?;
            Ok((columns, rows))
        };
        let (columns, rows) = read().map_err(|source| unreadable(&file, source))?;
        Ok(Self { file, columns, rows })
    }

    /// That there are `count` rows, and that they have the columns `required`.
    fn check_shape(&self, count: usize, required: &[&str]) -> Result<(), Violation> {
        equal(&self.file, "the number of rows", self.rows.len(), count)?;
        // A table that never had a row has no names either.
        let lacking = required.iter().find(|&&name| !self.columns.iter().any(|c| c == name));
        match lacking {
            Some(name) if count > 0 => {
                Err(impossible(&self.file, format_args!("there is no column {name}")))
            }
            _ => Ok(()),
        }
    }

    /// That every cell is what `expected` gives for its row, from 0, and its column.
    fn check_cells<'a>(
        &self,
        expected: impl Fn(usize, &str) -> Option<&'a Value>,
    ) -> Result<(), Violation> {
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, cell) in self.columns.iter().zip(cells) {
                let Some(expected) = expected(row, column) else {
                    let what = format_args!("nothing in scan.json is the column {column}");
                    return Err(impossible(&self.file, what));
                };
                if !is_same(cell, expected) {
                    let what = format_args!("{column} of row {row}");
                    return equal(&self.file, what, cell.as_str(), &expected.to_string());
                }
            }
        }
        Ok(())
    }
}

/// Whether `cell` says what `value` is: numbers are compared as numbers.
fn is_same(cell: &str, value: &Value) -> bool {
    match value {
        Value::Null => cell.is_empty(),
        Value::String(text) => cell == text,
        Value::Bool(truth) => cell == truth.to_string(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => cell.parse() == Ok(number) || same_bits(cell, number as f64),
            None => number.as_f64().is_some_and(|number| same_bits(cell, number)),
        },
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn same_bits(cell: &str, number: f64) -> bool {
    cell.parse().is_ok_and(|cell: f64| cell.to_bits() == number.to_bits())
}

/// That `runs.csv`, `curve.csv` and `elbow.csv` say what `scan.json` says. A column that this crate
/// does not know is held against the field of its name.
pub(crate) fn check(folder: &RunFolder, document: &Document) -> Result<(), Violation> {
    let json = &document.json;

    let runs = Csv::read(folder, &folder.runs_csv())?;
    let required =
        ["k", "init_id", "status", "inertia", "n_iter", "stop", "digest", "attempts", "error"];
    runs.check_shape(document.typed.runs.len(), &required)?;
    runs.check_cells(|row, column| json["runs"][row].get(column))?;

    let curve = Csv::read(folder, &folder.curve_csv())?;
    curve.check_shape(document.typed.best.len(), &["k", "inertia", "init_id"])?;
    curve.check_cells(|row, column| json["best"][row].get(column))?;

    let elbow = Csv::read(folder, &folder.elbow_csv())?;
    let scores = json["elbow"]["scores"].as_array().map_or(0, Vec::len);
    let columns = ["threshold", "score_left", "score_right", "score_mean"];
    elbow.check_shape(scores, &columns)?;
    elbow.check_cells(|row, column| {
        let field = match column {
            "threshold" => "thresholds",
            "score_mean" => "scores",
            "k" => "threshold_k",
            other => other,
        };
        json["elbow"][field].get(row)
    })
}

/// The same of `criteria.csv`.
pub(crate) fn check_criteria(folder: &RunFolder, document: &Document) -> Result<(), Violation> {
    let criteria = &document.json["criteria"];
    let csv = Csv::read(folder, &folder.criteria_csv())?;
    let of_labels = [
        "adjusted_rand",
        "normalized_mutual_information",
        "homogeneity",
        "completeness",
        "v_measure",
        "purity",
    ];
    let others = [
        "k",
        "calinski_harabasz",
        "davies_bouldin",
        "silhouette",
        "silhouette_standard_error",
        "gap",
        "gap_s",
    ];
    let required = [&others[..], &of_labels[..]].concat();
    csv.check_shape(document.typed.criteria.len(), &required)?;
    csv.check_cells(|row, column| {
        let of = &criteria[row];
        Some(match column {
            "k" | "calinski_harabasz" | "davies_bouldin" => of.get(column)?,
            "silhouette" => &of["silhouette"]["mean"],
            "silhouette_standard_error" => &of["silhouette"]["standard_error"],
            "gap" => &of["gap"]["gap"],
            "gap_s" => &of["gap"]["s"],
            label if of_labels.contains(&label) => &of["labels"][label],
            _ => return None,
        })
    })
}

/// That `contingency/k05.csv` counts how `known` labels fall into `clusters`.
pub(crate) fn check_contingency(
    folder: &RunFolder,
    k: u32,
    known: &[i64],
    clusters: &[usize],
) -> Result<(), Violation> {
    let csv = Csv::read(folder, &folder.contingency_csv(k))?;
    let mut classes = known.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let clusters_of = 0..k as usize;
    let mut counts = vec![vec![0_u64; k as usize]; classes.len()];
    for (label, &cluster) in known.iter().zip(clusters) {
        // Classes are the distinct labels, so each is found at its own place.
        counts[classes.partition_point(|class| class < label)][cluster] += 1;
    }

    let columns: Vec<String> = std::iter::once("label".to_owned())
        .chain(clusters_of.map(|cluster| cluster.to_string()))
        .collect();
    equal(&csv.file, "the header", csv.columns.join(","), columns.join(","))?;
    equal(&csv.file, "the number of rows", csv.rows.len(), classes.len())?;
    for ((row, class), counts) in csv.rows.iter().zip(&classes).zip(&counts) {
        let expected = std::iter::once(class.to_string()).chain(counts.iter().map(u64::to_string));
        for ((column, cell), expected) in columns.iter().zip(row).zip(expected) {
            let what = format_args!("the count of label {class} in column {column}");
            equal(&csv.file, what, cell, &expected)?;
        }
    }
    Ok(())
}
