//! The other commands.

use crate::harness::{SLOW, Scratch, digits, gzip, kind, npy, npy_f64};
use ndarray::{Array1, Array3};
use ndarray_npy::ReadNpyExt;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs::{self, File};

fn labels_in(text: &str) -> Vec<i32> {
    text.lines().map(|line| line.parse().expect("a label")).collect()
}

#[test]
fn predicting_the_training_data_gives_its_labels() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 4 --k-high 5 --n-init 2 --out scan").run().exits(0);
    for k in [4, 5] {
        let expected = scratch.scan("scan").model(k).labels;
        let said = scratch.kscan(&format!("predict scan digits --k {k}")).run().exits(0);
        assert_eq!(labels_in(&said.stdout), expected.to_vec());
        let line = format!("predict scan digits --k {k} --out labels.npy");
        let said = scratch.kscan(&line).run().exits(0);
        assert_eq!(said.stdout, "");
        let file = File::open(scratch.join("labels.npy")).expect("labels.npy");
        assert_eq!(Array1::<i32>::read_npy(file).expect("i32 [n]"), expected);
    }
    // Some rows of it, in another order and format: what is far from all is scaled as then.
    let (x, _) = digits();
    let rows = [1796, 3, 700];
    let values: Vec<u8> = rows
        .iter()
        .flat_map(|&row| x.row(row).to_vec())
        .flat_map(|x| f64::from(x).to_le_bytes())
        .collect();
    scratch.write("rows.npy.gz", gzip(&npy("<f8", false, &[3, 64], &values)));
    let said = scratch.kscan("predict scan rows.npy.gz --k 5").run().exits(0);
    let expected = scratch.scan("scan").model(5).labels;
    assert_eq!(labels_in(&said.stdout), rows.map(|row| expected[row]));
}

#[test]
fn predict_refuses_what_does_not_fit_the_model() {
    let scratch = Scratch::new();
    scratch
        .kscan("run digits --k-low 4 --k-high 6 --k-step 2 --n-init 1 --out scan")
        .run()
        .exits(0);
    scratch.write("narrow.npy", npy_f64(&[[1.0, 2.0], [3.0, 4.0]]));
    let refused = scratch.kscan("predict scan narrow.npy --k 4").run().exits(3);
    refused.names(&["narrow", "2 columns", "64"]);
    let refused = scratch.kscan("predict scan digits --k 5").run().exits(2);
    refused.names(&["k = 5"]);
    assert!(refused.stderr.contains("4, 6"), "{}", refused.stderr);
    scratch.kscan("predict scan missing.npy --k 4").run().exits(3).names(&["missing.npy"]);
    scratch.kscan("predict elsewhere digits --k 4").run().exits(3).names(&["elsewhere"]);
    fs::write(scratch.join("scan/best/k04.npz"), "no model").expect("a file");
    scratch.kscan("predict scan digits --k 4").run().exits(3).names(&["k04.npz"]);
}

#[test]
fn data_info_tells_what_is_in_a_file() {
    let scratch = Scratch::new();
    let info = scratch.kscan("data info digits").run().exits(0).stdout;
    let value = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().unwrap_or_else(|| panic!("no {name} in {info}")).trim().to_owned()
    };
    assert_eq!(value("rows x columns"), "1797 x 64");
    assert_eq!(value("shape"), "1797 x 8 x 8");
    assert_eq!(value("dtype"), "uint8");
    assert_eq!(value("constant columns"), "3");
    assert_eq!(value("labels"), "10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
    scratch.kscan("run digits --k-low 2 --k-high 2 --n-init 1 --out scan").run().exits(0);
    assert_eq!(scratch.scan("scan").json["data"]["fingerprint"], value("fingerprint"));
    scratch.kscan("data info missing.npy").run().exits(3).names(&["missing.npy"]);
}

#[test]
fn exported_data_is_the_same_data() {
    let scratch = Scratch::new();
    scratch.kscan("data export digits --out digits.npy").run().exits(0);
    let file = File::open(scratch.join("digits.npy")).expect("digits.npy");
    let images = Array3::<u8>::read_npy(file).expect("u8 [n, 8, 8]");
    let (x, _) = digits();
    assert_eq!(images.dim(), (1797, 8, 8));
    assert!(images.iter().eq(x.iter()));
    scratch.kscan("data export digits.npy --out again.npy").run().exits(0);
    let read = |name: &str| fs::read(scratch.join(name)).expect("a file");
    assert_eq!(read("digits.npy"), read("again.npy"));
    scratch
        .kscan("data export digits --out digits.npy/no")
        .run()
        .exits(6)
        .names(&["digits.npy/no"]);
}

#[test]
fn elbow_reads_any_table_with_the_two_columns() {
    let scratch = Scratch::new();
    // Two straight lines that meet between 4 and 5.
    let table = "name, inertia ,k\nf,60,7\na,1000,2\nb,800,3\nc,600,4\nd,100,5\ne,80,6\n";
    scratch.write("curve.csv", table);
    let found = scratch.kscan("elbow curve.csv --json").run().exits(0).stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["k"], 5);
    assert_eq!(found["thresholds"], Value::from(vec![2, 3, 4]));
    assert!((found["scores"][1].as_f64().expect("a score") - 1.0).abs() < 1e-12);
    let said = scratch.kscan("elbow curve.csv").run().exits(0).stdout;
    assert!(said.contains("elbow at k = 5"), "{said}");
}

#[test]
fn elbow_of_three_points_is_none_and_no_failure() {
    let scratch = Scratch::new();
    scratch.write("curve.csv", "k,inertia\n2,9\n3,5\n4,4\n");
    let said = scratch.kscan("elbow curve.csv").run().exits(0).stdout;
    assert!(said.starts_with("no elbow: "), "{said}");
    let said = scratch.kscan("elbow curve.csv --json").run().exits(0).stdout;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said.get("k"), Some(&Value::Null));
    assert!(said["reason"].is_string());
}

#[test]
fn elbow_refuses_what_is_no_such_table() {
    let scratch = Scratch::new();
    for (name, text) in [
        ("words.csv", "k,inertia\n2,much\n"),
        ("negative.csv", "k,inertia\n-2,5\n"),
        ("columns.csv", "clusters,inertia\n2,5\n"),
        ("ragged.csv", "k,inertia\n2,5\n3\n"),
    ] {
        scratch.write(name, text);
        scratch.kscan(&format!("elbow {name}")).run().exits(3).names(&[name]);
    }
    scratch.kscan("elbow missing.csv").run().exits(3).names(&["missing.csv"]);
}

#[test]
fn report_writes_deleted_files_again_byte_for_byte() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 6 --n-init 2 --out scan";
    let first = scratch.kscan(line).run().exits(0);
    let names = [
        "runs.csv",
        "curve.csv",
        "elbow.csv",
        "criteria.csv",
        "report.html",
        "plots/inertia.svg",
        "plots/elbow.svg",
        "plots/timeline.svg",
        "plots/centroids-k03.svg",
        "plots/contingency-k06.svg",
    ];
    let read = || names.map(|name| fs::read(scratch.join("scan").join(name)).expect(name));
    let before = read();
    for name in names {
        fs::remove_file(scratch.join("scan").join(name)).expect(name);
    }
    fs::remove_dir_all(scratch.join("scan/plots")).expect("plots");
    let again = scratch.kscan("report scan").run().exits(0);
    assert_eq!(read(), before);
    assert_eq!(again.stdout, first.stdout);
    scratch.kscan("report elsewhere").run().exits(3).names(&["elsewhere"]);
}

/// A scan that was killed has an empty scan.json: what the journal holds is reported.
#[test]
fn report_of_a_killed_scan_has_what_had_finished() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut live = scratch.kscan(SLOW).spawn();
    live.wait_for("run_finished", |event| kind(event) == "run_finished");
    live.signal(Signal::SIGKILL);
    live.finish().killed_by(Signal::SIGKILL);
    assert!(scratch.scan("scan").runs().is_empty());
    let summary = scratch.kscan("report scan").run().exits(0).stdout;
    assert!(summary.contains(" of 3 runs, interrupted"), "{summary}");
    let report = fs::read_to_string(scratch.join("scan/report.html")).expect("a report");
    assert!(report.contains("1 of 3 runs have ended") || report.contains("2 of 3 runs"));
    assert!(report.contains("class=\"run best\""));
    assert!(scratch.scan("scan").runs().is_empty(), "scan.json is as it was");
    scratch.kscan("resume scan").run().exits(0);
    let report = fs::read_to_string(scratch.join("scan/report.html")).expect("a report");
    assert!(!report.contains("runs have ended"));
}

#[test]
fn packagers_get_completions_and_a_manual() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = scratch.kscan(&format!("completions {shell}")).run().exits(0).stdout;
        for word in ["kscan-coord", "resume", "n-proc"] {
            assert!(script.contains(word), "no {word} for {shell}");
        }
    }
    let page = scratch.kscan("man").run().exits(0).stdout;
    assert!(page.contains(".TH kscan"), "{page}");
    assert!(page.contains("resume"), "{page}");
}

#[test]
fn help_speaks_the_notebooks_language_and_hides_the_worker() {
    let scratch = Scratch::new();
    let help = scratch.kscan("run --help").run().exits(0).stdout;
    for name in ["N_CLUSTER_LOW", "N_CLUSTER_HIGH", "N_INIT_TOTAL", "N_PROC"] {
        assert!(help.contains(name), "{help}");
    }
    let help = scratch.kscan("--help").run().exits(0).stdout;
    for command in ["run", "resume", "report", "logs", "status", "predict", "elbow", "data"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}");
    }
    assert!(!help.contains("worker"), "{help}");
    let version = scratch.kscan("--version").run().exits(0).stdout;
    assert!(version.starts_with("kscan-coord 0."), "{version}");
}

#[test]
fn a_worker_without_a_coordinator_says_so_and_ends() {
    let scratch = Scratch::new();
    let worker = scratch.kscan("worker --coordinator 1").run().exits(1);
    assert!(worker.stderr.starts_with("error: "), "{}", worker.stderr);
    assert_eq!(worker.stdout, "");
}

#[test]
fn a_scan_of_another_format_is_refused() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 2 --n-init 1 --out scan").run().exits(0);
    let path = scratch.join("scan/scan.json");
    let text = fs::read_to_string(&path).expect("scan.json");
    fs::write(&path, text.replace("kscan-scan/1", "kscan-scan/9")).expect("scan.json");
    for command in ["status scan", "report scan", "resume scan"] {
        scratch.kscan(command).run().exits(3).names(&["scan.json"]);
    }
}
