//! Run folders to test with.

use crate::Options;
use crate::scan::Scan;
use kscan_results::{BestModel, Nearest, RunFolder, ScanDocument, tables};
use kscan_select::Contingency;
use ndarray::{Array1, Array2, Array3};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A run folder that is gone with this.
pub(crate) struct Sample {
    folder: TempDir,
    pub(crate) document: ScanDocument,
}

/// k from 2 to 8, three runs each, of 12 rows with 4 columns that are pictures of 2x2, with two
/// labels; the elbow is at k = 5.
pub(crate) fn sample() -> Sample {
    sample_of(&document((2, 8)))
}

/// The same of `document`.
pub(crate) fn sample_of(document: &Value) -> Sample {
    let document: ScanDocument = serde_json::from_value(document.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run_folder = RunFolder::at(folder.path());
    run_folder.create().unwrap().keep();
    for best in &document.best {
        let k = best.k as usize;
        let centers = Array2::from_shape_fn((k, 4), |(j, column)| j as f64 - column as f64);
        let model = BestModel {
            centers_raw: &centers * 10.0 + 100.0,
            init_centers: centers.mapv(|value| value as f32),
            centers,
            labels: Array1::from_shape_fn(12, |row| (row % k) as i32),
            scale_mean: Array1::from_elem(4, 100.0),
            scale_std: Array1::from_elem(4, 10.0),
            nearest: Nearest {
                // The second cluster has one row alone.
                rows: Array2::from_shape_fn(
                    (k, 2),
                    |(j, m)| if j == 1 && m == 1 { -1 } else { j as i64 },
                ),
                raw: Array3::from_elem((k, 2, 4), 1.5),
            },
            silhouette_rows: Array1::from_shape_fn(12, |row| row as i64),
            silhouettes: Array1::from_elem(12, 0.25),
        };
        model.write(&folder.path().join(&best.file)).unwrap();
        let counts = (0..2 * k as u64).collect();
        let table = Contingency { labels: vec![3, 7], k, counts };
        tables::write_contingency(&run_folder.contingency_csv(best.k), &table).unwrap();
    }
    Sample { folder, document }
}

impl Sample {
    pub(crate) fn folder(&self) -> RunFolder {
        RunFolder::at(self.folder.path())
    }

    pub(crate) fn scan(&self) -> Scan {
        Scan::read(&self.folder(), self.document.clone(), &Options::default())
    }
}

/// `scan.json`, to be changed.
pub(crate) fn document((k_low, k_high): (u32, u32)) -> Value {
    let digest = |k: u32, init_id: u32| format!("{:064x}", k * 100 + init_id);
    // Steep up to k = 4, flat from 5 on.
    let inertia = |k: u32, init_id: u32| {
        let k = f64::from(k);
        let curve = if k < 5.0 { 1000.0 - 180.0 * k } else { 160.0 - 10.0 * k };
        // The best is init 1.
        curve + f64::from((init_id + 2) % 3)
    };
    let runs: Vec<Value> = (k_low..=k_high)
        .flat_map(|k| (0..3).map(move |init_id| (k, init_id)))
        .enumerate()
        .map(|(index, (k, init_id))| {
            json!({
                "k": k, "init_id": init_id, "status": "ok", "inertia": inertia(k, init_id),
                "n_iter": 10 + init_id, "stop": "labels", "init_rows": [], "digest": digest(k, init_id),
                "attempts": 1, "slot": index % 2, "started_s": 0.5 + (index / 2) as f64,
                "wall_s": 0.9, "cpu_s": 0.8, "load_s": 0.01, "seed_s": 0.1, "iterate_s": 0.7,
                "peak_rss_bytes": 5_000_000, "private_bytes": 1_000_000,
                "distinct_clusters": k, "relocated": 0,
                "counters": {"rows_visited": 60, "by_anchor": 30, "by_level": [15, 5],
                             "by_definition": 10, "coordinates_read": 500, "bytes_read": 2000},
                "log": format!("logs/k{k:02}-i{init_id:02}.a1.jsonl"), "error": null,
            })
        })
        .collect();
    let best: Vec<Value> = (k_low..=k_high)
        .map(|k| {
            json!({"k": k, "init_id": 1, "inertia": inertia(k, 1), "n_iter": 11,
                   "digest": digest(k, 1), "file": format!("best/k{k:02}.npz")})
        })
        .collect();
    let ks: Vec<usize> = (k_low as usize..=k_high as usize).collect();
    let curve: Vec<f64> = (k_low..=k_high).map(|k| inertia(k, 1)).collect();
    let elbow = match kscan_select::find_elbow(&ks, &curve) {
        Ok(elbow) => serde_json::to_value(elbow).unwrap(),
        Err(none) => json!({"k": null, "reason": none.to_string()}),
    };
    json!({
        "format": "kscan-scan/1", "status": "complete",
        "config": {
            "data": "/data/some rows.npy", "labels": null, "k_low": k_low, "k_high": k_high, "k_step": 1,
            "n_init": 3, "n_proc": 2, "seed": 7, "init": "k-means++", "max_iter": 300, "tol": 1e-4,
            "scale": "standard", "dispatch": "rolling", "launcher": "local", "retries": 2,
            "timeout_s": null, "engine": "fast", "image_shape": null,
        },
        "data": {
            "name": "rows", "rows": 12, "cols": 4, "dtype": "uint8", "constant_cols": 0,
            "image_shape": [2, 2], "fingerprint": "f1", "labels": {"classes": [3, 7], "fingerprint": "f2"},
        },
        "environment": {"kscan_version": "0.1.0", "definition_version": 1, "cpu": "a processor",
                        "cores": 2, "simd": "portable"},
        "runs": runs, "best": best, "elbow": elbow,
        "timing": {"started_at": "2026-01-02T03:04:05Z", "wall_s": 12.5, "prepare_s": 0.5,
                   "scan_s": 11.5, "cpu_s": 20.0},
    })
}
