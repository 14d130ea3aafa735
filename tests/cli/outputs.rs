//! What a scan leaves in its folder, recomputed where that can be done plainly.

use crate::harness::{Model, Scan, Scratch, contents, digits, gzip, npy, npy_f64};
use ndarray::{Array1, Array2, ArrayView1, s};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

const DIGITS: &str = "run digits --k-low 2 --k-high 8 --n-init 3 --out scan";

fn float(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// A cell as the CSV files show this value of scan.json.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn scan_json_has_every_key_of_the_contract() {
    let scratch = Scratch::new();
    scratch.kscan(&format!("{DIGITS} --n-proc 2")).run().exits(0);
    let Scan { json, .. } = scratch.scan("scan");
    assert_eq!(json["format"], "kscan-scan/1");
    assert_eq!(json["status"], "complete");

    let config = &json["config"];
    for (name, value) in [
        ("k_low", Value::from(2)),
        ("k_high", 8.into()),
        ("k_step", 1.into()),
        ("n_init", 3.into()),
        ("n_proc", 2.into()),
        ("seed", 0.into()),
        ("init", "k-means++".into()),
        ("max_iter", 300.into()),
        ("tol", 1e-4.into()),
        ("scale", "standard".into()),
        ("dispatch", "rolling".into()),
        ("launcher", "local".into()),
        ("retries", 2.into()),
        ("labels", Value::Null),
        ("timeout_s", Value::Null),
        ("gap", Value::Null),
    ] {
        assert_eq!(config.get(name), Some(&value), "{name}");
    }

    let data = &json["data"];
    assert_eq!((&data["name"], &data["rows"]), (&"digits".into(), &1797.into()));
    assert_eq!((&data["cols"], &data["dtype"]), (&64.into(), &"uint8".into()));
    assert_eq!(data["constant_cols"], 3);
    assert_eq!(data["image_shape"], json!([8, 8]));
    assert!(text(data, "fingerprint").len() >= 32);

    let runs = json["runs"].as_array().expect("runs");
    let ids: Vec<_> = runs.iter().map(|run| (&run["k"], &run["init_id"])).collect();
    let planned: Vec<_> = (2..=8).flat_map(|k| (0..3).map(move |i| (k.into(), i.into()))).collect();
    let planned: Vec<_> = planned.iter().map(|(k, i): &(Value, Value)| (k, i)).collect();
    assert_eq!(ids, planned);
    for run in runs {
        assert_eq!(text(run, "status"), "ok");
        assert!(float(run, "inertia") > 0.0 && float(run, "inertia") < 1797.0 * 64.0);
        assert!((1..=300).contains(&run["n_iter"].as_u64().expect("n_iter")));
        assert!(["labels", "shift", "max_iter"].contains(&text(run, "stop")));
        let mut rows: Vec<_> = run["init_rows"].as_array().expect("init_rows").clone();
        assert_eq!(Value::from(rows.len()), run["k"]);
        assert!(rows.iter().all(|row| row.as_u64().is_some_and(|row| row < 1797)), "{rows:?}");
        rows.sort_by_key(Value::as_u64);
        rows.dedup();
        assert_eq!(Value::from(rows.len()), run["k"], "first centroids are different rows");
        assert!(text(run, "digest").len() >= 32);
        assert_eq!(run["attempts"], 1);
        assert!(float(run, "wall_s") > 0.0 && float(run, "cpu_s") > 0.0);
        // Some pages, and not the machine.
        let peak = run["peak_rss_bytes"].as_u64().expect("peak_rss_bytes");
        assert!((500_000..500_000_000).contains(&peak), "{peak}");
        assert_eq!(run.get("error"), Some(&Value::Null));
        assert!(scratch.join("scan").join(text(run, "log")).is_file());
    }

    let timing = &json["timing"];
    let (wall, prepare) = (float(timing, "wall_s"), float(timing, "prepare_s"));
    let (scan, cpu) = (float(timing, "scan_s"), float(timing, "cpu_s"));
    assert!(prepare > 0.0 && scan > 0.0 && prepare + scan <= wall, "{timing}");
    assert!(cpu >= runs.iter().map(|run| float(run, "cpu_s")).sum::<f64>(), "{timing}");
}

/// Asserts that no slot had two runs at a time, and returns how many slots there were.
#[track_caller]
fn assert_one_run_a_slot(scan: &Scan) -> usize {
    let mut slots: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for run in scan.runs() {
        let (start, wall) = (float(run, "started_s"), float(run, "wall_s"));
        let slot = run["slot"].as_u64().expect("a slot");
        slots.entry(slot).or_default().push((start, start + wall));
    }
    for (slot, runs) in &mut slots {
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let apart = runs.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        assert!(apart, "slot {slot}: {runs:?}");
    }
    assert!(slots.keys().copied().eq(0..slots.len() as u64), "{slots:?}");
    slots.len()
}

#[test]
fn runs_tell_which_slot_they_had_and_since_when() {
    let scratch = Scratch::new();
    for (n_proc, dispatch) in [(1, "rolling"), (3, "rolling"), (3, "batch")] {
        let out = format!("{n_proc}-{dispatch}");
        let line = DIGITS.replace("--out scan", &format!("--out {out}"));
        scratch.kscan(&format!("{line} --n-proc {n_proc} --dispatch {dispatch}")).run().exits(0);
        let scan = scratch.scan(&out);
        assert_eq!(assert_one_run_a_slot(&scan), n_proc, "{out}");
        let timing = &scan.json["timing"];
        for run in scan.runs() {
            let start = float(run, "started_s");
            assert!(start >= float(timing, "prepare_s"), "{out}: {start}");
            assert!(start + float(run, "wall_s") <= float(timing, "wall_s"), "{out}: {start}");
        }
    }
}

#[test]
fn the_folder_holds_what_the_contract_says_and_nothing_else() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 3 --n-init 2 --out scan").run().exits(0);
    assert_eq!(
        contents(&scratch.join("scan")),
        [
            "best",
            "best/k02.npz",
            "best/k03.npz",
            "contingency",
            "contingency/k02.csv",
            "contingency/k03.csv",
            "criteria.csv",
            "curve.csv",
            "elbow.csv",
            "journal.bin",
            "logs",
            "logs/coordinator.jsonl",
            "logs/k02-i00.a1.jsonl",
            "logs/k02-i01.a1.jsonl",
            "logs/k03-i00.a1.jsonl",
            "logs/k03-i01.a1.jsonl",
            "plots",
            "plots/centroids-k02.svg",
            "plots/centroids-k03.svg",
            "plots/contingency-k02.svg",
            "plots/contingency-k03.svg",
            "plots/inertia.svg",
            "plots/timeline.svg",
            "report.html",
            "runs.csv",
            "scan.json",
            "trace.json",
        ]
    );
    assert_eq!(scratch.contents()[0], "scan");
    assert!(scratch.contents().iter().all(|name| name.starts_with("scan")));
}

#[test]
fn only_the_owner_may_look_into_the_folder() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 5 --n-init 1 --keep-shared --out scan";
    scratch.kscan_after("umask 022", line).run().exits(0);
    let mode = |name: &str| {
        let metadata = scratch.join(name).metadata().expect("it is there");
        metadata.permissions().mode() & 0o7777
    };
    for name in scratch.contents() {
        let expected = if scratch.join(&name).is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&name), expected, "{name}: {:o}", mode(&name));
    }
    assert!(scratch.join("scan/shared.bin").is_file());
}

#[test]
fn the_best_of_each_k_is_the_run_with_the_smallest_inertia() {
    let scratch = Scratch::new();
    scratch.kscan(DIGITS).run().exits(0);
    let scan = scratch.scan("scan");
    let best = scan.json["best"].as_array().expect("best");
    assert_eq!(best.len(), 7);
    for (k, best) in (2..).zip(best) {
        let mut runs: Vec<_> = (0..3).map(|init_id| scan.run(k, init_id)).collect();
        // Stable: the lowest init_id stays in front.
        runs.sort_by(|a, b| float(a, "inertia").total_cmp(&float(b, "inertia")));
        for name in ["k", "init_id", "inertia", "n_iter", "digest"] {
            assert_eq!(best[name], runs[0][name], "{name} of k = {k}");
        }
        assert_eq!(text(best, "file"), format!("best/k{k:02}.npz"));
    }
}

#[test]
fn the_tables_say_what_scan_json_says() {
    let scratch = Scratch::new();
    scratch.kscan(DIGITS).run().exits(0);
    let scan = scratch.scan("scan");

    let (header, rows) = scan.table("runs.csv");
    for name in ["k", "init_id", "status", "inertia", "n_iter", "stop", "digest", "attempts"] {
        assert!(header.iter().any(|column| column == name), "{name}");
    }
    assert_eq!(rows.len(), scan.runs().len());
    for (row, run) in rows.iter().zip(scan.runs()) {
        for (name, field) in header.iter().zip(row) {
            let expected = run.get(name).unwrap_or_else(|| panic!("{name} is in no run"));
            match expected.as_f64() {
                // The same number, however it is written.
                Some(number) => assert_eq!(field.parse::<f64>(), Ok(number), "{name}"),
                None => assert_eq!(*field, cell(expected), "{name}"),
            }
        }
    }

    let (header, rows) = scan.table("curve.csv");
    assert_eq!(header, ["k", "inertia", "init_id"]);
    let best = scan.json["best"].as_array().expect("best");
    assert_eq!(rows.len(), best.len());
    for (row, best) in rows.iter().zip(best) {
        assert_eq!((&row[0], &row[2]), (&cell(&best["k"]), &cell(&best["init_id"])));
        assert_eq!(row[1].parse::<f64>(), Ok(float(best, "inertia")));
    }

    let (header, rows) = scan.table("elbow.csv");
    assert_eq!(header[..4], ["threshold", "score_left", "score_right", "score_mean"]);
    let elbow = &scan.json["elbow"];
    assert_eq!(rows.len(), 4);
    for (i, row) in rows.iter().enumerate() {
        let lists = ["thresholds", "score_left", "score_right", "scores"];
        for (field, list) in row.iter().zip(lists) {
            assert_eq!(field.parse::<f64>().ok(), elbow[list][i].as_f64(), "{list}");
        }
    }
    let first_maximum = (0..4).rev().max_by(|&a, &b| {
        let score = |i: usize| elbow["scores"][i].as_f64().expect("a score");
        score(a).total_cmp(&score(b))
    });
    let threshold = &elbow["thresholds"][first_maximum.expect("four")];
    let at = usize::try_from(threshold.as_u64().expect("a threshold")).expect("small");
    assert_eq!(elbow["k"], best[at]["k"]);
}

#[test]
fn the_elbow_command_finds_the_same_elbow_in_the_curve() {
    let scratch = Scratch::new();
    scratch.kscan(DIGITS).run().exits(0);
    // What is known of the runs alone is not in a curve.
    let mut elbow = scratch.scan("scan").json["elbow"].take();
    assert!(elbow.as_object_mut().expect("an object").remove("confidence").is_some());
    let found = scratch.kscan("elbow scan/curve.csv --json").run().exits(0);
    let found: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!(found, elbow);
    // All runs of each k come to the same curve.
    let found = scratch.kscan("elbow scan/runs.csv --json").run().exits(0);
    let found: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!(found, elbow);
}

#[test]
fn contingency_tables_count_labels_in_clusters() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 7 --k-high 8 --n-init 1 --out scan").run().exits(0);
    let scan = scratch.scan("scan");
    let (_, known) = digits();
    for k in [7, 8] {
        let labels = scan.model(k).labels;
        let mut counts: BTreeMap<(i64, u64), u64> = BTreeMap::new();
        for (&known, &cluster) in known.iter().zip(&labels) {
            let cluster = u64::try_from(cluster).expect("no negative labels");
            *counts.entry((known, cluster)).or_default() += 1;
        }
        let (header, rows) = scan.table(&format!("contingency/k{k:02}.csv"));
        let clusters: Vec<String> = (0..k).map(|cluster| cluster.to_string()).collect();
        assert_eq!(header[1..], clusters);
        assert_eq!(rows.len(), 10);
        for (label, row) in (0_i64..).zip(&rows) {
            assert_eq!(row[0], label.to_string());
            for (cluster, count) in (0..k).zip(&row[1..]) {
                let expected = counts.get(&(label, cluster)).copied().unwrap_or(0);
                assert_eq!(*count, expected.to_string(), "label {label}, cluster {cluster}");
            }
        }
    }
}

#[test]
fn labels_of_a_file_may_be_any_whole_numbers() {
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[0.0], [0.1], [9.0], [9.1], [9.2]]));
    let labels: Vec<u8> =
        [-7_i64, 900, -7, 900, 900].iter().flat_map(|x| x.to_le_bytes()).collect();
    scratch.write("labels.npy.gz", gzip(&npy("<i8", false, &[5, 1], &labels)));
    let line = "run data.npy --labels labels.npy.gz --k-low 2 --k-high 2 --n-init 1 --out scan";
    scratch.kscan(line).run().exits(0);
    let scan = scratch.scan("scan");
    let (_, rows) = scan.table("contingency/k02.csv");
    let low = usize::try_from(scan.model(2).labels[0]).expect("a label");
    let names: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(names, ["-7", "900"]);
    assert_eq!((&*rows[0][1 + low], &*rows[0][2 - low]), ("1", "1"));
    assert_eq!((&*rows[1][1 + low], &*rows[1][2 - low]), ("1", "2"));
}

#[test]
fn without_labels_there_are_no_contingency_tables() {
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[0.0], [0.1], [9.0], [9.1], [9.2]]));
    scratch.kscan("run data.npy --k-low 2 --k-high 2 --n-init 1 --out scan").run().exits(0);
    assert!(contents(&scratch.join("scan")).iter().all(|name| !name.starts_with("contingency/")));
}

/// The digits as they are clustered, by the definition: f32 minus f32 mean, divided by f32 scale.
fn normalised(mean: &Array1<f64>, std: &Array1<f64>) -> Array2<f32> {
    let (x, _) = digits();
    Array2::from_shape_fn(x.dim(), |(i, j)| (f32::from(x[[i, j]]) - mean[j] as f32) / std[j] as f32)
}

fn squared_distance(row: &ArrayView1<'_, f32>, center: &ArrayView1<'_, f64>) -> f64 {
    row.iter().zip(center).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum()
}

/// Those that the model names, by sorting all rows of each cluster, with the values of the data.
fn nearest_rows_are_the_nearest(model: &Model, z: &Array2<f32>, x: &Array2<u8>) {
    for (cluster, center) in model.centers.rows().into_iter().enumerate() {
        let of_cluster = |&row: &usize| usize::try_from(model.labels[row]) == Ok(cluster);
        let mut rows: Vec<usize> = (0..z.nrows()).filter(of_cluster).collect();
        rows.sort_by(|&a, &b| {
            let distance = |row: usize| squared_distance(&z.row(row), &center);
            distance(a).total_cmp(&distance(b))
        });
        for (place, &found) in model.nearest_rows.row(cluster).iter().enumerate() {
            let row = usize::try_from(found).expect("every cluster has five rows");
            assert_eq!(row, rows[place], "place {place} of cluster {cluster}");
            let raw = model.nearest_raw.slice(s![cluster, place, ..]);
            assert_eq!(raw, x.row(row).mapv(f32::from), "row {row}");
        }
    }
}

#[test]
fn a_best_model_holds_by_plain_recomputation() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 8 --n-init 2 --out scan").run().exits(0);
    let scan = scratch.scan("scan");
    let (x, _) = digits();
    let n = x.nrows() as f64;
    for k in 2..=8 {
        let model = scan.model(k);
        let size = usize::try_from(k).expect("small");
        assert_eq!(model.centers.dim(), (size, 64));
        assert_eq!(model.centers_raw.dim(), (size, 64));
        assert_eq!(model.init_centers.dim(), (size, 64));
        assert_eq!(model.labels.len(), 1797);

        for (j, column) in x.columns().into_iter().enumerate() {
            let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = column.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            let std = if variance == 0.0 { 1.0 } else { variance.sqrt() };
            assert!((model.scale_mean[j] - mean).abs() < 1e-12, "mean of column {j}");
            assert!((model.scale_std[j] - std).abs() < 1e-12, "scale of column {j}");
        }
        let z = normalised(&model.scale_mean, &model.scale_std);

        let raw = &model.centers * &model.scale_std + &model.scale_mean;
        let apart = (&raw - &model.centers_raw).mapv(f64::abs);
        assert!(apart.iter().all(|&apart| apart < 1e-12), "centers_raw of k = {k}");

        let best = scan.best(k);
        let run = scan.run(k, best["init_id"].as_u64().expect("init_id"));
        for (i, row) in run["init_rows"].as_array().expect("init_rows").iter().enumerate() {
            let row = usize::try_from(row.as_u64().expect("a row")).expect("a row");
            assert_eq!(model.init_centers.row(i), z.row(row), "first centroid {i} of k = {k}");
        }

        let mut inertia = 0.0;
        for (row, &label) in z.rows().into_iter().zip(&model.labels) {
            let label = usize::try_from(label).expect("a label");
            let own = squared_distance(&row, &model.centers.row(label));
            let nearest = model.centers.rows().into_iter();
            let nearest = nearest.map(|center| squared_distance(&row, &center));
            let nearest = nearest.fold(f64::INFINITY, f64::min);
            assert!(own <= nearest * (1.0 + 1e-12), "k = {k}: {own} is above {nearest}");
            inertia += own;
        }
        let told = float(best, "inertia");
        assert!((inertia - told).abs() / told < 1e-9, "k = {k}: {inertia}, not {told}");
        nearest_rows_are_the_nearest(&model, &z, &x);

        if run["stop"] == "labels" {
            for (cluster, center) in model.centers.rows().into_iter().enumerate() {
                let own = |&(_, &label): &(_, &i32)| usize::try_from(label) == Ok(cluster);
                let rows = z.rows().into_iter().zip(&model.labels).filter(own);
                let rows: Vec<_> = rows.map(|(row, _)| row).collect();
                for (j, &told) in center.iter().enumerate() {
                    let sum: f64 = rows.iter().map(|row| f64::from(row[j])).sum();
                    let mean = sum / rows.len() as f64;
                    assert!((mean - told).abs() < 1e-9, "k = {k}: {mean}, not {told}");
                }
            }
        }
    }
}

#[test]
fn without_scaling_the_data_is_clustered_as_it_is() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 3 --k-high 3 --n-init 1 --scale none --out scan";
    scratch.kscan(line).run().exits(0);
    let model = scratch.scan("scan").model(3);
    assert_eq!(model.centers, model.centers_raw);
    assert_eq!(model.scale_mean, Array1::<f64>::zeros(64));
    assert_eq!(model.scale_std, Array1::<f64>::ones(64));
    // Pixels from 0 to 16, whole numbers where they are rows.
    assert!(model.init_centers.iter().all(|&x| (0.0..=16.0).contains(&x) && x.fract() == 0.0));
    assert_eq!(scratch.scan("scan").json["data"]["constant_cols"], 3);
}

#[test]
fn a_constant_column_has_scale_1_and_hurts_nothing() {
    let scratch = Scratch::new();
    let rows = [[5.0, 0.0], [5.0, 0.5], [5.0, 9.0], [5.0, 9.5]];
    scratch.write("data.npy", npy_f64(&rows));
    scratch.kscan("run data.npy --k-low 2 --k-high 2 --n-init 1 --out scan").run().exits(0);
    let scan = scratch.scan("scan");
    assert_eq!(scan.json["data"]["constant_cols"], 1);
    let model = scan.model(2);
    assert_eq!((model.scale_mean[0], model.scale_std[0]), (5.0, 1.0));
    assert_eq!(model.centers_raw.column(0).to_vec(), [5.0, 5.0]);
    assert_eq!(model.labels[0], model.labels[1]);
    assert_eq!(model.labels[2], model.labels[3]);
    assert_ne!(model.labels[0], model.labels[2]);
}

#[test]
fn fewer_distinct_rows_than_clusters_finish_with_a_warning() {
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[1.0], [1.0], [1.0], [2.0], [2.0], [2.0]]));
    let line = "run data.npy --k-low 4 --k-high 4 --n-init 1 --progress plain --out scan";
    let run = scratch.kscan(line).run().exits(0);
    assert!(run.stderr.contains("fewer distinct rows than clusters"), "{}", run.stderr);
    assert!(run.stderr.contains("2 of 4"), "{}", run.stderr);
    assert_eq!(scratch.scan("scan").run(4, 0)["inertia"], 0.0);
}

#[test]
fn fewer_than_four_k_have_no_elbow_and_that_is_no_failure() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 4 --n-init 1 --out scan";
    let run = scratch.kscan(line).run().exits(0);
    assert!(run.stdout.contains("no elbow: "), "{}", run.stdout);
    let scan = scratch.scan("scan");
    let elbow = &scan.json["elbow"];
    assert_eq!(elbow.get("k"), Some(&Value::Null));
    assert!(text(elbow, "reason").contains("at least 4"));
    assert!(scan.table("elbow.csv").1.is_empty());
}

#[test]
fn a_worker_on_mnist_needs_less_than_30_mb_of_its_own() {
    let scratch = Scratch::new();
    let line = "run --k-low 5 --k-high 5 --n-init 1 --max-iter 2 --engine plain --out scan";
    scratch.kscan(line).run().exits(0);
    let scan = scratch.scan("scan");
    let data = &scan.json["data"];
    assert_eq!(text(data, "name"), "mnist");
    assert_eq!((&data["rows"], &data["cols"]), (&60_000.into(), &784.into()));
    assert_eq!(data["constant_cols"], 67);
    let private = scan.run(5, 0)["private_bytes"].as_u64().expect("private_bytes");
    assert!((100_000..30_000_000).contains(&private), "{private}");
    let (_, rows) = scan.table("contingency/k05.csv");
    let count = |row: &[String]| row[1..].iter().map(|n| n.parse::<u64>().expect("n")).sum::<u64>();
    assert_eq!(rows.iter().map(|row| count(row)).sum::<u64>(), 60_000);
    assert_eq!((count(&rows[0]), count(&rows[1])), (5923, 6742));
}
