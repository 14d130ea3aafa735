//! Holds the criteria against scikit-learn, kneed and numpy, whose answers lie in the
//! workspace's `tests/golden` (made by `scripts/golden/make_golden.py`).

use std::fs;
use std::path::PathBuf;

use kscan_kmeans::{Magnitudes, Rows, Simd, Statistics};
use kscan_select::{
    Criteria, CurvePoint, NoKnee, Partition, Rule, choose, contingency, gap, kneedle, silhouettes,
    survey,
};
use ndarray::Array2;
use ndarray_npy::NpzReader;
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn golden(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(part)
}

/// Every case of a folder, with its file's name.
fn cases<T: DeserializeOwned>(folder: &str) -> Vec<(String, T)> {
    let entries = fs::read_dir(golden(folder)).expect("a folder of cases");
    entries
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            let text = fs::read_to_string(&path).expect("a case");
            let case = serde_json::from_str(&text).expect("a case parses");
            (path.file_name().expect("a name").to_string_lossy().into_owned(), case)
        })
        .collect()
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let off = (found - expected).abs();
    assert!(off <= tolerance * expected.abs().max(1.0), "{what}: {found} is not {expected}");
}

#[derive(Deserialize)]
struct Table {
    k: usize,
    labels: Vec<i64>,
    clusters: Vec<u32>,
    adjusted_rand: f64,
    normalized_mutual_information: f64,
    homogeneity: f64,
    completeness: f64,
    v_measure: f64,
}

#[test]
fn agreement_with_labels_is_that_of_scikit_learn() {
    let tables: Vec<(String, Table)> = cases("contingency");
    assert!(tables.len() >= 14, "only {} tables", tables.len());
    for (name, table) in tables {
        let found = contingency(&table.labels, &table.clusters, table.k).agreement();
        for (what, found, expected) in [
            ("adjusted_rand", found.adjusted_rand, table.adjusted_rand),
            ("nmi", found.normalized_mutual_information, table.normalized_mutual_information),
            ("homogeneity", found.homogeneity, table.homogeneity),
            ("completeness", found.completeness, table.completeness),
            ("v_measure", found.v_measure, table.v_measure),
        ] {
            close(&format!("{name}: {what}"), found, expected, 1e-12);
        }
    }
}

#[derive(Deserialize)]
struct Curve {
    kind: String,
    k: Vec<usize>,
    inertia: Vec<f64>,
    knee: Option<usize>,
    /// How far kneed's knee is from the chord, in scaled units.
    height: Option<f64>,
    ambiguous: bool,
}

#[test]
fn knees_are_those_of_kneed_but_for_those_it_invents() {
    let text = fs::read_to_string(golden("kneedle/curves.json")).expect("golden curves");
    let curves: Vec<Curve> = serde_json::from_str(&text).expect("golden curves parse");
    let (mut same, mut none, mut invented) = (0, 0, 0);
    for (i, curve) in curves.iter().filter(|curve| !curve.ambiguous).enumerate() {
        let what = format!("curve {i} ({}) {:?} {:?}", curve.kind, curve.k, curve.inertia);
        let found = kneedle(&curve.k, &curve.inertia);
        match (found, curve.knee) {
            (Ok(found), knee) => {
                assert_eq!(Some(found), knee, "{what}");
                same += 1;
            }
            (Err(_), None) => none += 1,
            (Err(reason), Some(knee)) => {
                // An end, a rising curve, or no higher above the chord than the sensitivity.
                let ends = [curve.k[0], curve.k[curve.k.len() - 1]];
                let step = 1.0 / (curve.k.len() - 1) as f64;
                let rises = curve.inertia[curve.k.len() - 1] >= curve.inertia[0];
                let height = curve.height.expect("a knee has a height");
                let allowed = match reason {
                    NoKnee::TooFewPoints { points } => points == 2,
                    NoKnee::NotFalling => rises,
                    NoKnee::NotConvex => ends.contains(&knee) || height <= 0.0,
                    NoKnee::Straight => height <= step * (1.0 + 1e-12),
                    _ => false,
                };
                assert!(allowed, "{what}: kneed has {knee}, {height} high; here {reason:?}");
                invented += 1;
            }
        }
    }
    assert!(same >= 100 && none >= 20 && invented >= 20, "{same} {none} {invented}");
}

#[derive(Deserialize)]
struct Case {
    k: usize,
    d: usize,
    /// The npz that has the rows, where they are not here.
    raw: Option<String>,
    x: Option<Vec<f32>>,
    labels: Vec<u32>,
    calinski_harabasz: Option<f64>,
    davies_bouldin: Option<f64>,
    silhouettes: Option<Vec<f64>>,
}

impl Case {
    /// The rows, padded.
    fn values(&self) -> Vec<f32> {
        let raw = self.raw.as_ref().map(|name| -> Vec<f32> {
            let file = fs::File::open(golden(name)).expect("raw rows");
            let x: Array2<u8> =
                NpzReader::new(file).expect("an npz").by_name("x").expect("its rows");
            x.iter().copied().map(f32::from).collect()
        });
        let x = raw.or_else(|| self.x.clone()).expect("rows");
        let stride = Rows::stride_of(self.d);
        let mut values = vec![0.0; self.labels.len() * stride];
        for (padded, row) in values.chunks_exact_mut(stride).zip(x.chunks_exact(self.d)) {
            padded[..self.d].copy_from_slice(row);
        }
        values
    }
}

fn optional(what: &str, found: Option<f64>, expected: Option<f64>, tolerance: f64) {
    assert_eq!(found.is_some(), expected.is_some(), "{what}");
    if let Some((found, expected)) = found.zip(expected) {
        close(what, found, expected, tolerance);
    }
}

#[test]
fn partitions_are_measured_as_by_scikit_learn() {
    let cases: Vec<(String, Case)> = cases("partitions");
    assert!(cases.len() >= 35, "only {} cases", cases.len());
    for (name, case) in cases {
        let values = case.values();
        let rows = Rows::new(&values, case.labels.len(), case.d);
        let statistics = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), 1);
        let data = statistics.with_rows(rows);
        // Any centroids: the indices are around the means, wherever a run stopped.
        let centroids: Vec<f64> = (0..case.k * case.d).map(|i| (i % 7) as f64 - 3.0).collect();
        let partition = Partition { labels: &case.labels, centroids: &centroids };
        for threads in [1, 2, 5] {
            let found = survey(Simd::detect(), data, &[partition], 2, threads).remove(0);
            let what = |criterion| format!("{name}: {criterion} on {threads} threads");
            optional(&what("CH"), found.calinski_harabasz, case.calinski_harabasz, 1e-9);
            // scikit-learn measures distances by dot products, which cancel.
            optional(&what("DB"), found.davies_bouldin, case.davies_bouldin, 1e-7);
            let sizes: u64 = found.clusters.iter().map(|cluster| cluster.size).sum();
            assert_eq!(sizes as usize, case.labels.len());
        }
        let found = silhouettes(Simd::detect(), rows, &[partition], 0, 2);
        assert!(found.exact && found.rows.len() == case.labels.len());
        let values = found.values[0].as_deref();
        assert_eq!(values.is_some(), case.silhouettes.is_some(), "{name}");
        if let Some((values, expected)) = values.zip(case.silhouettes.as_ref()) {
            assert_eq!(values.len(), expected.len());
            for (row, (&value, &expected)) in values.iter().zip(expected).enumerate() {
                close(&format!("{name}: silhouette of row {row}"), value, expected, 1e-10);
            }
            let mean = expected.iter().sum::<f64>() / expected.len() as f64;
            let summary = found.summary(0).expect("values have a mean");
            close(&name, summary.mean, mean, 1e-12);
            assert_eq!((summary.rows, summary.standard_error), (expected.len(), None));
        }
    }
}

#[derive(Deserialize)]
struct GapCase {
    kind: String,
    k: Vec<usize>,
    inertia: Vec<f64>,
    /// Of every reference, for every k.
    references: Vec<Vec<f64>>,
    gap: Vec<f64>,
    s: Vec<f64>,
    chosen: Option<usize>,
}

#[test]
fn gaps_and_what_is_chosen_by_them_are_those_of_their_definition() {
    let text = fs::read_to_string(golden("gap/cases.json")).expect("golden gaps");
    let cases: Vec<GapCase> = serde_json::from_str(&text).expect("golden gaps parse");
    let mut chosen = 0;
    for (index, case) in cases.iter().enumerate() {
        let what = format!("case {index} ({})", case.kind);
        let of_k = |i: usize| -> Vec<Option<f64>> {
            case.references.iter().map(|reference| Some(reference[i])).collect()
        };
        let gaps: Vec<_> =
            case.inertia.iter().enumerate().map(|(i, &w)| gap(w, &of_k(i))).collect();
        for (i, found) in gaps.iter().enumerate() {
            let found = found.expect("none of these is 0");
            close(&format!("{what}: gap"), found.gap, case.gap[i], 1e-12);
            close(&format!("{what}: s"), found.s, case.s[i], 1e-12);
        }
        let point = |(&k, &inertia): (&usize, &f64)| CurvePoint { k, inertia, init_id: 0 };
        let runs: Vec<CurvePoint> = case.k.iter().zip(&case.inertia).map(point).collect();
        let criteria = |(&k, gap): (&usize, &Result<_, _>)| Criteria {
            k,
            calinski_harabasz: None,
            davies_bouldin: None,
            silhouette: None,
            gap: gap.ok(),
            labels: None,
            clusters: Vec::new(),
        };
        let criteria: Vec<Criteria> = case.k.iter().zip(&gaps).map(criteria).collect();
        let choices = choose(&runs, &criteria, Some(&gaps), 0).choices;
        let choice = choices.iter().find(|choice| choice.rule == Rule::Gap).expect("it was asked");
        assert_eq!(choice.k, case.chosen, "{what}");
        chosen += usize::from(choice.k.is_some());
    }
    assert!(
        cases.len() >= 45 && (20..cases.len()).contains(&chosen),
        "{chosen} of {}",
        cases.len()
    );
}
