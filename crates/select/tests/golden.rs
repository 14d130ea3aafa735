//! Holds the crate against scikit-learn and pandas, whose answers lie in the
//! workspace's `tests/golden` (made by `scripts/golden/make_golden.py`).

use std::fs;
use std::path::PathBuf;

use kscan_select::{contingency, find_elbow};
use serde::Deserialize;

fn golden(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(part)
}

#[derive(Deserialize)]
struct Curve {
    kind: String,
    k: Vec<usize>,
    inertia: Vec<f64>,
    thresholds: Vec<usize>,
    score_left: Vec<f64>,
    score_right: Vec<f64>,
    score: Vec<f64>,
    elbow_k: usize,
    ambiguous: bool,
}

#[test]
fn elbows_are_those_of_scikit_learn() {
    let text = fs::read_to_string(golden("elbow/curves.json")).expect("golden curves");
    let curves: Vec<Curve> = serde_json::from_str(&text).expect("golden curves parse");
    assert!(curves.len() >= 250, "only {} curves", curves.len());

    let mut decided = 0;
    for (i, curve) in curves.iter().enumerate() {
        let what = format!("curve {i} ({})", curve.kind);
        let elbow = find_elbow(&curve.k, &curve.inertia)
            .unwrap_or_else(|reason| panic!("{what}: {reason}"));
        assert_eq!(elbow.thresholds, curve.thresholds, "{what}");
        for (name, ours, theirs) in [
            ("left", &elbow.score_left, &curve.score_left),
            ("right", &elbow.score_right, &curve.score_right),
            ("mean", &elbow.scores, &curve.score),
        ] {
            assert_eq!(ours.len(), theirs.len(), "{what} {name}");
            for (t, (a, b)) in elbow.thresholds.iter().zip(ours.iter().zip(theirs)) {
                assert!((a - b).abs() <= 1e-9, "{what} {name} at {t}: {a} is not {b}");
            }
        }
        if !curve.ambiguous {
            decided += 1;
            assert_eq!(elbow.k, curve.elbow_k, "{what}");
        }
    }
    assert!(decided >= 150, "only {decided} curves have a decided elbow");
}

#[derive(Deserialize)]
struct Table {
    k: usize,
    labels: Vec<i64>,
    clusters: Vec<u32>,
    #[serde(rename = "table_labels")]
    rows: Vec<i64>,
    counts: Vec<Vec<u64>>,
    row_totals: Vec<u64>,
    column_totals: Vec<u64>,
    purity: f64,
}

#[test]
fn tables_are_those_of_pandas() {
    let mut seen = 0;
    for entry in fs::read_dir(golden("contingency")).expect("golden tables") {
        let path = entry.expect("a readable folder").path();
        let what = path.display();
        let text = fs::read_to_string(&path).expect("a golden table");
        let table: Table = serde_json::from_str(&text).expect("a golden table parses");
        let ours = contingency(&table.labels, &table.clusters, table.k);
        assert_eq!(ours.labels, table.rows, "{what}");
        assert_eq!(ours.k, table.k, "{what}");
        assert_eq!(ours.counts, table.counts.concat(), "{what}");
        assert_eq!(ours.row_totals(), table.row_totals, "{what}");
        assert_eq!(ours.column_totals(), table.column_totals, "{what}");
        assert!((ours.purity() - table.purity).abs() <= 1e-15, "{what}");
        for (i, row) in table.counts.iter().enumerate() {
            assert_eq!(ours.row(i), row.as_slice(), "{what}");
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} tables");
}
