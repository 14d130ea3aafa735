//! The gap statistic: a scan, and the same scan of reference data.

use crate::harness::{
    Live, SLOW, Scan, Scratch, attempt_of, contents, eventually, kind, npy_f64, pid_of, pids, send,
    slow_in_turn, stop,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::sync::OnceLock;

const DIGITS: &str = "run digits --k-low 1 --k-high 4 --n-init 2 --gap 3";

/// What must be the same in two scans that find the same.
fn found(scan: &Scan) -> [Value; 4] {
    ["best", "criteria", "choices", "references"].map(|name| {
        let mut value = scan.json[name].clone();
        assert!(value.is_array(), "{name}: {value}");
        // Reasons are texts, and may be of what happened.
        for choice in value.as_array_mut().expect("a list") {
            choice.as_object_mut().expect("an object").remove("reason");
        }
        value
    })
}

fn gaps(scan: &Scan) -> Vec<Option<(f64, f64)>> {
    let criteria = scan.json["criteria"].as_array().expect("criteria");
    let gap = |of: &Value| Some((of["gap"]["gap"].as_f64()?, of["gap"]["s"].as_f64()?));
    criteria.iter().map(gap).collect()
}

/// What the rule chooses.
fn choice(scan: &Scan) -> &Value {
    let mut choices = scan.json["choices"].as_array().expect("choices").iter();
    choices.find(|choice| choice["rule"] == "gap").expect("it was asked for")
}

#[test]
fn gaps_are_those_of_the_reference_inertias_and_the_same_on_any_number_of_processes() {
    let scratch = Scratch::new();
    let one = scratch.kscan(&format!("{DIGITS} --n-proc 1 --out one")).run().exits(0);
    let options = "--n-proc 2 --dispatch batch --engine plain --simd portable";
    scratch.kscan(&format!("{DIGITS} {options} --out two")).run().exits(0);
    let scan = scratch.scan("one");
    assert_eq!(found(&scan), found(&scratch.scan("two")));
    assert_eq!(scan.json["config"]["gap"], 3);

    let references = scan.json["references"].as_array().expect("references");
    assert_eq!(references.len(), 3);
    let inertia = |of: &Value, k: usize| of["best"][k - 1]["inertia"].as_f64().expect("an inertia");
    assert!(references.windows(2).all(|pair| pair[0]["best"] != pair[1]["best"]));
    let found = gaps(&scan);
    for k in 1..=4 {
        let w = scan.best(k as u64)["inertia"].as_f64().expect("an inertia");
        let logs: Vec<f64> = references.iter().map(|of| inertia(of, k).ln()).collect();
        let mean = logs.iter().sum::<f64>() / 3.0;
        let sd = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
        let (gap, s) = found[k - 1].expect("a gap");
        assert!((gap - (mean - w.ln())).abs() < 1e-12, "k = {k}: {gap}");
        assert!((s - sd * (4.0_f64 / 3.0).sqrt()).abs() < 1e-12, "k = {k}: {s}");
    }
    let found: Vec<(f64, f64)> = found.into_iter().flatten().collect();
    let good_enough = |k: &usize| found[k - 1].0 >= found[*k].0 - found[*k].1;
    assert_eq!(choice(&scan)["k"], json!((1..4).find(good_enough)));
    // Digits fill a part of their box alone.
    assert!(found.iter().all(|(gap, s)| *gap > 1.0 && *s < 0.1), "{found:?}");

    let (header, rows) = scan.table("criteria.csv");
    let column = |name: &str| header.iter().position(|column| column == name).expect(name);
    for (row, (gap, s)) in rows.iter().zip(&found) {
        let cells = [&row[column("gap")], &row[column("gap_s")]].map(|cell| cell.parse().ok());
        assert_eq!(cells, [Some(*gap), Some(*s)]);
    }
    assert!(one.stdout.contains(", gap "), "{}", one.stdout);
    assert!(one.stdout.contains("8 of 8 runs and 3 of 3 reference scans, all done"));
    let report = fs::read_to_string(scratch.join("one/report.html")).expect("a report");
    let plot = report.split("id=\"criterion-gap\"").nth(1).expect("a plot");
    let plot = plot.split("</svg>").next().expect("its end");
    assert_eq!(plot.matches("<circle class=\"value").count(), 4, "{plot}");
    assert_eq!(plot.matches("class=\"error\"").count(), 4, "{plot}");
    assert!(report.contains("--gap 3"));
    let said = scratch.kscan("verify one -q").run().exits(0).stdout;
    assert!(said.contains("12 runs of 3 reference scans proved"), "{said}");
}

#[test]
fn without_it_there_is_nothing_of_it() {
    let scratch = Scratch::new();
    scratch.kscan(&format!("{} --out scan", DIGITS.replace("--gap 3", ""))).run().exits(0);
    let scan = scratch.scan("scan");
    assert_eq!((&scan.json["config"]["gap"], &scan.json["references"]), (&json!(null), &json!([])));
    assert_eq!(gaps(&scan), [None; 4]);
    let choices = scan.json["choices"].as_array().expect("choices");
    assert!(choices.iter().all(|choice| choice["rule"] != "gap"), "{choices:?}");
    assert!(!scratch.join("scan/gap").exists());
    let report = fs::read_to_string(scratch.join("scan/report.html")).expect("a report");
    assert!(!report.contains("criterion-gap") && !report.contains("--gap"));

    // A folder of before there was such a thing.
    let mut older = scan.json.clone();
    older["config"].as_object_mut().expect("an object").remove("gap");
    older["timing"].as_object_mut().expect("an object").remove("reference_s");
    older.as_object_mut().expect("an object").remove("references");
    fs::write(scratch.join("scan/scan.json"), older.to_string()).expect("scan.json");
    for line in ["verify scan -q", "status scan", "report scan", "resume scan"] {
        scratch.kscan(line).run().exits(0);
    }
    assert_eq!(found(&scratch.scan("scan")), found(&scan));
}

#[test]
fn what_is_asked_for_has_to_be_a_number_of_references() {
    let scratch = Scratch::new();
    for gap in ["0", "-1", "1001", "x"] {
        scratch.kscan(&format!("run digits --gap={gap} --out scan")).run().exits(2);
    }
    let line = "run digits --k-low 1 --k-high 100 --n-init 200 --gap 1000 --out scan";
    scratch.kscan(line).run().exits(2).names(&["20020000 runs"]);
    assert!(!scratch.join("scan").exists());
}

#[test]
fn progress_tells_of_reference_scans_and_whose_a_run_is() {
    let scratch = Scratch::new();
    let run = scratch.kscan(&format!("{DIGITS} --progress json --out scan")).run().exits(0);
    let events = run.events();
    let scan = scratch.scan("scan");
    // What an event is of: nothing tells of the scan any more once its references have begun.
    let of: Vec<Option<u64>> = events
        .iter()
        .filter(|event| kind(event).starts_with("run_"))
        .map(|event| event.get("reference").map(|number| number.as_u64().expect("a number")))
        .collect();
    assert!(of.is_sorted(), "{of:?}");
    for reference in 0..3 {
        let number = json!(reference);
        let mine = events.iter().filter(|event| event.get("reference") == Some(&number));
        let mine: Vec<&Value> = mine.collect();
        let expected = json!({
            "event": "reference_started", "reference": reference, "references": 3,
            "runs": 8, "done": 0,
        });
        assert_eq!(mine[0], &expected);
        assert_eq!(kind(mine[1]), "prepared");
        let last = mine.last().expect("events");
        assert_eq!((kind(last), &last["failed"]), ("reference_finished", &json!(0)));
        let finished = mine.iter().filter(|event| kind(event) == "run_finished");
        let inertias: Vec<(u64, f64)> = finished
            .map(|event| (attempt_of(event).0, event["inertia"].as_f64().expect("an inertia")))
            .collect();
        assert_eq!(inertias.len(), 8);
        let best = scan.json["references"][reference]["best"].as_array().expect("best");
        for best in best {
            let of_k = inertias.iter().filter(|(k, _)| best["k"] == *k).map(|(_, inertia)| inertia);
            assert_eq!(best["inertia"], json!(of_k.copied().fold(f64::INFINITY, f64::min)));
        }
    }
    let plain = scratch.kscan(&format!("{DIGITS} --progress plain --out plain")).run().exits(0);
    assert!(plain.stderr.contains("\n3 reference scans of 8 runs follow\n"), "{}", plain.stderr);
    let last = plain.stderr.lines().last().expect("lines");
    assert!(last.starts_with("[32/32] ended after "), "{last}");
    scratch.kscan(&format!("{DIGITS} --progress bar --out bar")).run().exits(0);

    let status = scratch.kscan("status scan").run().exits(0).stdout;
    let lines: Vec<&str> = status.lines().take(2).collect();
    let expected = [
        "complete: 8 of 8 runs finished, 0 failed",
        "references: 3 of 3 ended, 24 of 24 runs finished, 0 failed",
    ];
    assert_eq!(lines, expected);
    // A reference has logs of its own, and its runs are not taken for those of the scan.
    let own = scratch.kscan("logs scan --k 2 --init 0 --json").run().exits(0).stdout;
    let of_reference = |line: &str| line.contains("\"reference\"") || line.contains("gap/r");
    assert!(!own.lines().any(of_reference) && own.contains("run finished"), "{own}");
    let logs = scratch.kscan("logs scan/gap/r02 --k 2 --init 0").run().exits(0).stdout;
    assert!(logs.contains("k02-i00.a1") && logs.contains("iteration"), "{logs}");
}

/// The slow job with two references.
fn slow() -> String {
    format!("{SLOW} --gap 2")
}

/// What it finds when nothing disturbs it.
fn undisturbed() -> &'static [Value; 4] {
    static FOUND: OnceLock<[Value; 4]> = OnceLock::new();
    FOUND.get_or_init(|| {
        let scratch = Scratch::new();
        scratch.slow_data();
        scratch.kscan(&slow()).run().exits(0);
        let scan = scratch.scan("scan");
        assert!(gaps(&scan).iter().all(Option::is_some));
        found(&scan)
    })
}

/// Waits for a `kind` of event in a reference scan.
fn wait_for(scan: &mut Live, reference: u64, wanted: &str) -> Value {
    scan.wait_for(wanted, |event| kind(event) == wanted && event["reference"] == reference)
}

#[test]
fn killed_in_the_middle_of_a_reference_it_goes_on_from_there_and_finds_the_same() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&format!("{} --gap 2", slow_in_turn())).spawn();
    // So that it gets no further than to its second run.
    let is_second = |event: &Value| event["reference"] == 1 && event["k"] == 25;
    let mut wait_for =
        |wanted: &str| scan.wait_for(wanted, |event| kind(event) == wanted && is_second(event));
    let second = wait_for("run_started");
    wait_for("run_progress");
    stop(pid_of(&second));
    let mut status = String::new();
    eventually("the first run in the journal", || {
        status = scratch.kscan("status scan").run().exits(0).stdout;
        status.contains("\nreferences: 1 of 2 ended, 4 of 6 runs finished, 0 failed, about ")
    });
    assert!(status.starts_with("running: 3 of 3 runs finished, 0 failed\n"), "{status}");
    assert!(status.contains("\nr01 k25-i00  iteration "), "{status}");
    scan.signal(Signal::SIGKILL);
    scan.finish().killed_by(Signal::SIGKILL);
    scratch.kscan("verify scan -q").run().exits(0);
    scratch.kscan("report scan").run().exits(0);

    let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
    let events = resumed.events();
    let done: Vec<(&Value, &Value)> = events
        .iter()
        .filter(|event| kind(event) == "reference_started")
        .map(|event| (&event["reference"], &event["done"]))
        .collect();
    assert_eq!(done, [(&json!(0), &json!(3)), (&json!(1), &json!(1))]);
    let started = events.iter().filter(|event| kind(event) == "run_started");
    let started: Vec<&Value> = started.map(|event| &event["reference"]).collect();
    assert_eq!(started, [&json!(1), &json!(1)], "nothing is done twice");
    // What is done needs no data any more.
    let prepared = events.iter().filter(|event| kind(event) == "prepared");
    assert_eq!(prepared.count(), 2);
    let scan = scratch.scan("scan");
    assert_eq!((scan.status(), &found(&scan)), ("complete", undisturbed()));
    scratch.kscan("verify scan -q --every-run").run().exits(0);
    let before = contents(&scratch.join("scan"));
    let again = scratch.kscan("resume scan --progress json").run().exits(0);
    assert_eq!(pids(&again.events()), [0; 0]);
    assert_eq!(contents(&scratch.join("scan")), before);
    assert_eq!(&found(&scratch.scan("scan")), undisturbed());
}

#[test]
fn interrupted_in_a_reference_it_has_no_gap_yet_says_so_and_goes_on() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&slow()).spawn();
    wait_for(&mut scan, 0, "run_progress");
    scan.signal(Signal::SIGINT);
    let ended = scan.finish().exits(130);
    assert!(ended.stderr.contains("resume scan"), "{}", ended.stderr);
    assert!(!ended.events().iter().any(|event| event["reference"] == 1), "it went on");
    let scan = scratch.scan("scan");
    assert_eq!((scan.status(), scan.runs().len()), ("interrupted", 3));
    assert_eq!((gaps(&scan), choice(&scan)["k"].is_null()), (vec![None; 3], true));
    assert!(choice(&scan)["reason"].as_str().expect("a reason").starts_with("k = 24 has no gap: "));
    let report = scratch.kscan("report scan").run().exits(0).stdout;
    assert!(report.contains("3 of 3 runs and 0 of 2 reference scans, interrupted"), "{report}");
    let page = fs::read_to_string(scratch.join("scan/report.html")).expect("a report");
    assert!(page.contains("0 of 2 reference scans have ended"));
    scratch.kscan("verify scan -q").run().exits(0);

    // While reference data is drawn a signal is heard as well, or just after.
    let mut scan = scratch.kscan("resume scan --progress json").spawn();
    wait_for(&mut scan, 0, "reference_started");
    scan.signal(Signal::SIGTERM);
    scan.finish().exits(143);
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(&found(&scratch.scan("scan")), undisturbed());
}

#[test]
fn a_run_that_fails_for_good_leaves_its_k_without_a_gap_until_it_is_resumed() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let line = slow_in_turn().replace("--n-init 1", "--n-init 2") + " --gap 1 --retries 0";
    scratch.kscan(&line.replace("--out scan", "--out undisturbed")).run().exits(0);
    let mut scan = scratch.kscan(&line).spawn();
    let is_it = |event: &Value| {
        event["reference"] == 0 && (&event["k"], &event["init_id"]) == (&json!(25), &json!(1))
    };
    let started =
        scan.wait_for("run_started", |event| kind(event) == "run_started" && is_it(event));
    send(pid_of(&started), Signal::SIGKILL);
    let ended = scan.finish().exits(4);
    let failed: Vec<Value> =
        ended.events().into_iter().filter(|event| kind(event) == "run_failed").collect();
    assert!(failed.len() == 1 && is_it(&failed[0]), "{failed:?}");
    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "partial");
    assert!(scan.runs().iter().all(|run| run["status"] == "ok"));
    let has_gap: Vec<bool> = gaps(&scan).iter().map(Option::is_some).collect();
    assert_eq!(has_gap, [true, false, true]);
    let failed = &scan.json["references"][0]["failed"][0];
    assert_eq!((&failed["k"], &failed["init_id"]), (&json!(25), &json!(1)));
    // The best of fewer initialisations would be no match.
    assert_eq!(scan.json["references"][0]["best"].as_array().map(Vec::len), Some(3));
    assert!(failed["error"].as_str().expect("an error").contains("SIGKILL"), "{failed}");
    assert!(scratch.join("scan/gap/r00").join(failed["log"].as_str().expect("a log")).exists());
    let said = scratch.kscan("report scan").run().exits(0).stdout;
    assert!(said.contains("k25-i01 on the reference data gap/r00 failed"), "{said}");
    assert!(said.contains("go on with: kscan-coord resume scan"), "{said}");
    let page = fs::read_to_string(scratch.join("scan/report.html")).expect("a report");
    assert!(page.contains("1 run in 1 reference scan failed for good"));
    scratch.kscan("verify scan -q").run().exits(0);

    let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
    assert_eq!(pids(&resumed.events()).len(), 1);
    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "complete");
    assert_eq!(found(&scan), found(&scratch.scan("undisturbed")));
    scratch.kscan("verify scan -q").run().exits(0);
}

#[test]
fn clusters_of_single_values_have_no_gap_and_break_nothing() {
    let scratch = Scratch::new();
    let rows: Vec<[f64; 1]> = [0.0, 1.0, 7.0].iter().cycle().take(12).map(|&x| [x]).collect();
    scratch.write("data.npy", npy_f64(&rows));
    let line = "run data.npy --k-low 1 --k-high 4 --n-init 2 --gap 2 --out scan";
    let said = scratch.kscan(line).run().exits(0).stdout;
    let scan = scratch.scan("scan");
    assert_eq!(scan.best(3)["inertia"], 0.0);
    let has_gap: Vec<bool> = gaps(&scan).iter().map(Option::is_some).collect();
    assert_eq!(has_gap, [true, true, false, false]);
    let reason = choice(&scan)["reason"].as_str();
    assert!(choice(&scan)["k"].is_u64() || reason.is_some_and(|it| it.contains("is 0")), "{said}");
    scratch.kscan("verify scan -q").run().exits(0);
}

#[test]
fn given_first_centroids_are_those_of_the_data_alone() {
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[0.0], [1.0], [5.0], [6.0], [20.0], [22.0]]));
    let file = fs::File::create(scratch.join("init.npz")).expect("a file");
    let mut npz = ndarray_npy::NpzWriter::new(file);
    for k in 2..=3 {
        let first = ndarray::Array2::from_shape_fn((k, 1), |(j, _)| j as f32);
        npz.add_array(format!("k{k}"), &first).expect("an array");
    }
    npz.finish().expect("an npz");
    let line = "run data.npy --k-low 2 --k-high 3 --n-init 1 --gap 2";
    scratch.kscan(&format!("{line} --init init.npz --out given")).run().exits(0);
    scratch.kscan(&format!("{line} --out usual")).run().exits(0);
    let (given, usual) = (scratch.scan("given"), scratch.scan("usual"));
    assert_eq!(given.json["references"], usual.json["references"]);
    for name in ["given", "usual"] {
        scratch.kscan(&format!("verify {name} -q --every-run --replay")).run().exits(0);
    }
}

#[test]
fn a_gap_that_was_changed_does_not_hold() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 3 --n-init 1 --gap 1 --out scan").run().exits(0);
    let path = scratch.join("scan/scan.json");
    let whole = scratch.scan("scan").json;
    let gap = whole["criteria"][1]["gap"]["gap"].as_f64().expect("a gap");
    for (pointer, value, named) in [
        ("/criteria/1/gap/gap", json!(gap * 1.5), "criteria.csv"),
        ("/references/0/best/0/inertia", json!(1.0), "references[0].best[0].inertia"),
        ("/config/gap", json!(null), "references"),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        fs::write(&path, changed.to_string()).expect("scan.json");
        scratch.kscan("verify scan -q").run().exits(5).names(&[named]);
    }
    // The same in the table, so that only the references know.
    let mut changed = whole.clone();
    changed["criteria"][1]["gap"]["gap"] = json!(gap * 1.5);
    fs::write(&path, changed.to_string()).expect("scan.json");
    scratch.kscan("report scan").run().exits(0);
    scratch.kscan("verify scan -q").run().exits(5).names(&["criteria[1].gap.gap"]);
    fs::write(&path, whole.to_string()).expect("scan.json");
    scratch.kscan("report scan").run().exits(0);
    scratch.kscan("verify scan -q").run().exits(0);
}
