//! Scans that hold, of every kind; and scans of which something is missing.

use crate::scan::{Plan, Scan};
use kscan_dataset::{Dataset, Labels, Source, Table};
use kscan_kmeans::Stop;
use kscan_protocol::RunId;
use kscan_results::{InitMethod, RunFolder, ScaleMethod, ScanDocument};
use kscan_verify::{Options, Verified};
use ndarray::Array2;

const ALL: Options = Options { every_run: true, replay: true };

/// How many runs stopped so.
fn stopped(scan: &Scan, stop: Stop) -> usize {
    let document = ScanDocument::read(&scan.folder).unwrap();
    document.runs.iter().filter(|run| run.stop == Some(stop)).count()
}

/// A data set of these values, row by row.
fn dataset(cols: usize, values: Vec<f32>) -> Dataset {
    let rows = values.len() / cols;
    let array = Array2::from_shape_vec((rows, cols), values).unwrap();
    Dataset {
        name: "made".to_owned(),
        table: Table::from_values(&Source::from("made"), array.into()).unwrap(),
        labels: None,
    }
}

/// Numbers that look random, from 0 to 1.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn stopped_by_labels() {
    let scan = Scan::make(Plan::default());
    assert_eq!(stopped(&scan, Stop::Labels), 10);
    let expected = Verified { ks: 5, runs: 10, models: 5, ..Verified::default() };
    assert_eq!(scan.verify().unwrap(), expected);
    let expected = Verified { other_runs: 5, replayed: 10, ..expected };
    assert_eq!(scan.verify_with(ALL).unwrap(), expected);
    let steps = &mut Vec::new();
    let on = &mut |step| steps.push(format!("{step}"));
    kscan_verify::verify(&scan.folder, &scan.dataset, ALL, on).unwrap();
    assert_eq!(steps[0], "scan.json and the data");
    assert_eq!(steps.len(), 2 + 5 + 3 + 5);
}

#[test]
fn stopped_by_shift() {
    for tol in [1e-2, 0.1, 1.0] {
        let scan = Scan::make(Plan { tol, ..Plan::default() });
        assert!(stopped(&scan, Stop::Shift) > 0, "{tol}");
        assert_eq!(scan.verify().unwrap().replayed, 0, "{tol}");
        scan.verify_with(ALL).unwrap();
    }
}

#[test]
fn stopped_by_max_iter_and_done_again() {
    for max_iter in [1, 3] {
        let scan = Scan::make(Plan { max_iter, ..Plan::default() });
        assert_eq!(stopped(&scan, Stop::MaxIter), 10);
        assert_eq!(scan.verify().unwrap().replayed, 5);
    }
}

#[test]
fn random_rows_unscaled_without_labels_and_too_few_ks_for_an_elbow() {
    let scan = Scan::make(Plan {
        dataset: dataset(7, noise(7 * 500)),
        ks: (1, 3),
        init: InitMethod::Random,
        scale: ScaleMethod::None,
        ..Plan::default()
    });
    scan.verify_with(ALL).unwrap();
}

#[test]
fn a_far_and_a_constant_column() {
    let mut values = noise(19 * 700);
    for row in values.chunks_exact_mut(19) {
        row[3] = 0.1;
        row[11] = 1e6 + row[11].round();
        row[17] *= 1e-20;
    }
    let scan = Scan::make(Plan { dataset: dataset(19, values), ..Plan::default() });
    scan.verify_with(ALL).unwrap();
}

/// First centroids beyond all rows but one: clusters are empty, and take far rows.
fn far(k: u32, d: usize) -> Array2<f32> {
    Array2::from_shape_fn((k as usize, d), |(j, i)| if j == 0 { 0.0 } else { 1e3 + (i * j) as f32 })
}

#[test]
fn empty_clusters_that_take_far_rows() {
    for (max_iter, tol) in [(300, 0.0), (300, 1e-2), (1, 0.0), (2, 0.0), (300, 10.0)] {
        let scan = Scan::make(Plan {
            init: InitMethod::File("/nowhere/c.npz".to_owned()),
            given: Some(far),
            max_iter,
            tol,
            ..Plan::default()
        });
        let document = ScanDocument::read(&scan.folder).unwrap();
        assert!(document.runs.iter().any(|run| run.relocated > Some(0)));
        scan.verify().unwrap();
        scan.verify_with(ALL).unwrap();
    }
}

#[test]
fn fewer_distinct_rows_than_clusters() {
    let values: Vec<f32> = (0..40).flat_map(|row| [(row % 3) as f32, 1.0]).collect();
    for tol in [0.0, 1e-2] {
        let mut dataset = dataset(2, values.clone());
        dataset.labels = Some(Labels::new((0..40).map(|row| row % 3 - 7).collect()));
        let scan = Scan::make(Plan { dataset, tol, ..Plan::default() });
        let document = ScanDocument::read(&scan.folder).unwrap();
        assert!(document.runs.iter().all(|run| run.distinct_clusters <= Some(3)));
        scan.verify().unwrap();
        scan.verify_with(ALL).unwrap();
    }
}

#[test]
fn a_failed_run() {
    let scan = Scan::make(Plan { fails: Some(RunId { k: 3, init_id: 1 }), ..Plan::default() });
    let verified = scan.verify().unwrap();
    assert_eq!((verified.runs, verified.failed, verified.models), (10, 1, 5));
    let found = scan.verify_changed("scan.json", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace("\"partial\"", "\"complete\"")).unwrap();
    });
    assert_eq!(found.unwrap().to_string(), "scan.json: status is complete, but runs[3] failed");
}

#[test]
fn a_scan_that_was_killed() {
    let scan = Scan::make(Plan::default());
    let mut document = ScanDocument::read(&scan.folder).unwrap();
    document.status = kscan_results::ScanStatus::Interrupted;
    document.runs.clear();
    document.best.clear();
    document.criteria.clear();
    document.choices.clear();
    document.verdict = None;
    document.data.constant_cols = 0;
    document.elbow =
        kscan_results::ElbowDocument::None { k: None, reason: "the scan has not ended".to_owned() };
    document.write(&scan.folder).unwrap();
    std::fs::remove_file(scan.folder.runs_csv()).unwrap();
    // In the middle of a record.
    let journal = std::fs::read(scan.folder.journal()).unwrap();
    std::fs::write(scan.folder.journal(), &journal[..journal.len() - 1]).unwrap();
    assert_eq!(scan.verify().unwrap(), Verified::default());
}

#[test]
fn other_data() {
    let mut scan = Scan::make(Plan::default());
    let labels = scan.dataset.labels.take();
    let found = scan.verify().unwrap_err().to_string();
    assert_eq!(found, "scan.json: data.labels is there, but no labels are");
    scan.dataset.labels = labels.map(|labels| {
        let mut values = labels.values().to_vec();
        values.swap(0, 1);
        Labels::new(values)
    });
    let found = scan.verify().unwrap_err().to_string();
    assert!(found.contains("data.labels.fingerprint"), "{found}");

    let name = scan.dataset.name.clone();
    scan.dataset = dataset(64, noise(1797 * 64));
    scan.dataset.name = name;
    let found = scan.verify().unwrap_err().to_string();
    assert!(found.contains("data.dtype is uint8"), "{found}");
}

#[test]
fn missing_files() {
    let scan = Scan::make(Plan::default());
    for file in [
        "scan.json",
        "runs.csv",
        "curve.csv",
        "elbow.csv",
        "journal.bin",
        "best/k04.npz",
        "contingency/k06.csv",
    ] {
        let found = scan.verify_changed(file, |path| std::fs::remove_file(path).unwrap());
        let found = found.unwrap();
        assert_eq!(found.file(), file);
        assert_eq!(found.to_string(), format!("{file} cannot be read"));
    }
    scan.verify().unwrap();
    assert!(kscan_verify::read(&RunFolder::at("/nowhere")).is_err());
}
