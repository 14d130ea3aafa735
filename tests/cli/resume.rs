//! `resume`, where what it finds is not what was left.

use crate::harness::{
    Live, SLOW, Scratch, kind, live_workers, npy_f64, pids, send, slow_in_turn, stop, undisturbed,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;

/// The slow job, interrupted when its first run was on disk.
fn interrupted() -> Scratch {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&slow_in_turn()).spawn();
    scan.wait_for("run_finished", |event| kind(event) == "run_finished");
    scan.signal(Signal::SIGINT);
    scan.finish().exits(130);
    scratch
}

fn append(scratch: &Scratch, bytes: &[u8]) {
    let path = scratch.join("scan/journal.bin");
    let mut journal = OpenOptions::new().append(true).open(path).expect("the journal");
    journal.write_all(bytes).expect("the disk takes it");
}

#[test]
fn garbage_at_the_end_of_the_journal_is_dropped_and_told() {
    for (name, bytes) in [("garbage", vec![0xa5; 333]), ("zeros", vec![0; 333])] {
        let scratch = interrupted();
        append(&scratch, &bytes);
        let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
        assert!(resumed.stderr.contains("333 bytes"), "{name}: {}", resumed.stderr);
        assert!(resumed.stderr.contains("dropped"), "{name}: {}", resumed.stderr);
        assert_eq!(pids(&resumed.events()).len(), 2, "{name}: the whole record was kept");
        assert_eq!(scratch.scan("scan").digests(), *undisturbed(), "{name}");
    }
}

#[test]
fn the_clock_of_a_scan_stands_still_while_it_is_interrupted() {
    let scratch = interrupted();
    let before = scratch.scan("scan");
    let [first] = before.runs() else { panic!("{:?}", before.runs()) };
    let end = |run: &Value| run["started_s"].as_f64().zip(run["wall_s"].as_f64());
    let (start, wall) = end(first).expect("when it was");
    scratch.kscan("resume scan").run().exits(0);
    let after = scratch.scan("scan");
    assert_eq!(&after.runs()[0], first);
    let prepare_s = after.json["timing"]["prepare_s"].as_f64().expect("seconds");
    for run in &after.runs()[1..] {
        let (next, _) = end(run).expect("when it was");
        assert!(next >= start + wall + prepare_s, "{next}");
    }
    let wall_s = after.json["timing"]["wall_s"].as_f64().expect("seconds");
    let (next, _) = end(&after.runs()[2]).expect("when it was");
    assert!(next < start + wall + wall_s, "{next} is no time of the scan");
}

#[test]
fn a_run_whose_record_is_torn_is_done_again() {
    let scratch = interrupted();
    let path = scratch.join("scan/journal.bin");
    let length = fs::metadata(&path).expect("the journal").len();
    let journal = OpenOptions::new().write(true).open(&path).expect("the journal");
    journal.set_len(length - 1).expect("a shorter file");
    let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
    assert!(resumed.stderr.contains("dropped"), "{}", resumed.stderr);
    assert_eq!(pids(&resumed.events()).len(), 3);
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
fn what_is_no_journal_is_refused() {
    let scratch = interrupted();
    fs::write(scratch.join("scan/journal.bin"), [0; 4096]).expect("a file");
    scratch.kscan("resume scan").run().exits(3).names(&["journal.bin", "no journal"]);
    scratch.kscan("resume elsewhere").run().exits(3).names(&["elsewhere"]);
}

#[test]
fn a_scan_killed_before_its_journal_began_is_done_from_the_start() {
    let scratch = interrupted();
    fs::remove_file(scratch.join("scan/journal.bin")).expect("a file");
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
fn changed_data_is_refused_and_the_scan_goes_on_when_it_is_back() {
    let scratch = interrupted();
    let path = scratch.join("slow.npy");
    let good = fs::read(&path).expect("the data");
    let mut bad = good.clone();
    // The lowest bit of the last value's mantissa.
    let at = bad.len() - 4;
    bad[at] ^= 1;
    fs::write(&path, &bad).expect("the data");
    let before = fs::read(scratch.join("scan/journal.bin")).expect("the journal");
    let refused = scratch.kscan("resume scan").run().exits(2);
    refused.names(&["scan", "data was"]);
    fs::remove_file(&path).expect("the data");
    scratch.kscan("resume scan").run().exits(3).names(&["slow.npy"]);
    assert_eq!(fs::read(scratch.join("scan/journal.bin")).expect("the journal"), before);

    fs::write(&path, good).expect("the data");
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
fn any_changed_parameter_that_results_depend_on_is_refused_by_name() {
    let scratch = interrupted();
    let path = scratch.join("scan/scan.json");
    let good = fs::read_to_string(&path).expect("scan.json");
    let changes = [
        ("k_low", json!(23)),
        ("k_high", json!(27)),
        ("k_step", json!(2)),
        ("n_init", json!(2)),
        ("seed", json!(1)),
        ("init", json!("random")),
        ("max_iter", json!(7)),
        ("tol", json!(0.5)),
        ("scale", json!("none")),
    ];
    for (name, value) in changes {
        let mut scan: Value = serde_json::from_str(&good).expect("JSON");
        assert_ne!(scan["config"][name], value);
        scan["config"][name] = value;
        fs::write(&path, scan.to_string()).expect("scan.json");
        let said = if name.starts_with("k_") { "k was" } else { &format!("{name} was") };
        scratch.kscan("resume scan").run().exits(2).names(&[said]);
    }
    fs::write(&path, good).expect("scan.json");
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
fn changed_first_centroids_are_refused() {
    use ndarray::Array2;
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[0.0], [1.0], [5.0], [6.0], [20.0]]));
    let write = |value: f32| {
        let file = fs::File::create(scratch.join("init.npz")).expect("a file");
        let mut npz = ndarray_npy::NpzWriter::new(file);
        npz.add_array("k2", &Array2::from_elem((2, 1), value)).expect("an array");
        npz.finish().expect("an npz");
    };
    write(0.0);
    let line = "run data.npy --k-low 2 --k-high 2 --n-init 1 --init init.npz --out scan";
    scratch.kscan(line).run().exits(0);
    scratch.kscan("resume scan").run().exits(0);
    write(1.0);
    scratch.kscan("resume scan").run().exits(2).names(&["init was"]);
}

/// Starts the slow job and waits until it is under way.
fn under_way(scratch: &Scratch) -> Live {
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    let pid = scan.wait_for_worker();
    assert!(live_workers(scan.pid()).contains(&pid));
    scan
}

#[test]
fn a_second_coordinator_in_the_same_folder_is_refused_and_the_first_goes_on() {
    let scratch = Scratch::new();
    let scan = under_way(&scratch);
    // Else it may be through before the second gives up.
    stop(scan.pid());
    scratch.kscan("resume scan").run().exits(6).names(&["scan/journal.bin", "in use"]);
    let again = scratch.kscan(SLOW).run().exits(2);
    assert!(again.stderr.contains("kscan-coord resume scan"), "{}", again.stderr);
    let status = scratch.kscan("status scan").run().exits(0);
    assert!(status.stdout.starts_with("running: "), "{}", status.stdout);
    assert!(status.stdout.contains(" of 3 runs finished"), "{}", status.stdout);
    send(scan.pid(), Signal::SIGCONT);
    scan.finish().exits(0);
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
fn status_tells_an_interrupted_scan_from_a_finished_one() {
    let scratch = interrupted();
    let status = scratch.kscan("status scan").run().exits(0).stdout;
    assert!(status.starts_with("interrupted: 1 of 3 runs finished, 0 failed\n"), "{status}");
    let counts = |status: &str| -> Vec<String> {
        let lines = status.lines().skip(1);
        lines.map(|line| line.split_whitespace().nth(3).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(counts(&status), ["1/1", "0/1", "0/1"]);
    scratch.kscan("resume scan --n-proc 1").run().exits(0);
    let status = scratch.kscan("status scan").run().exits(0).stdout;
    assert!(status.starts_with("complete: 3 of 3 runs finished, 0 failed\n"), "{status}");
    assert_eq!(counts(&status), ["1/1", "1/1", "1/1"]);
}

#[test]
fn a_finished_scan_has_nothing_to_resume_and_stays_as_it_is() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 6 --n-init 2 --out scan").run().exits(0);
    let before = scratch.scan("scan");
    let models: Vec<_> = (2..=6).map(|k| before.model(k)).collect();
    let tables = ["runs.csv", "curve.csv", "elbow.csv", "criteria.csv", "contingency/k05.csv"];
    let read = || tables.map(|name| fs::read(scratch.join("scan").join(name)).expect("a table"));
    let csv = read();
    let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
    assert!(pids(&resumed.events()).is_empty());
    let after = scratch.scan("scan");
    for name in
        ["status", "data", "config", "runs", "best", "elbow", "criteria", "choices", "verdict"]
    {
        assert_eq!(after.json[name], before.json[name], "{name}");
    }
    for (k, model) in (2..).zip(&models) {
        assert_eq!(after.model(k).labels, model.labels, "k = {k}");
        assert_eq!(after.model(k).centers_raw, model.centers_raw, "k = {k}");
    }
    assert_eq!(read(), csv);
}

#[test]
fn resume_works_from_another_folder() {
    let scratch = interrupted();
    fs::create_dir(scratch.join("elsewhere")).expect("a folder");
    let line = "cd elsewhere";
    scratch.kscan_after(line, "resume ../scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
fn whatever_byte_a_journal_ends_at_whole_records_are_kept_and_the_rest_is_done_again() {
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[0.0], [1.0], [5.0], [6.5], [20.0]]));
    let line = "run data.npy --k-low 1 --k-high 3 --n-init 1 --n-proc 1 --out scan";
    scratch.kscan(line).run().exits(0);
    let expected = scratch.scan("scan");
    let path = scratch.join("scan/journal.bin");
    let whole = fs::read(&path).expect("the journal");
    // Magic, then frames: length, checksum, payload.
    let mut ends = vec![8];
    while ends[ends.len() - 1] < whole.len() {
        let at = ends[ends.len() - 1];
        let length = u32::from_le_bytes(whole[at..at + 4].try_into().expect("four bytes"));
        ends.push(at + 8 + length as usize);
    }
    let [_, key, first, second, third] = ends[..] else { panic!("{ends:?}") };
    let finished = || {
        let status = scratch.kscan("status scan").run().exits(0).stdout;
        let words: Vec<&str> = status.split_whitespace().collect();
        let of = words.iter().position(|&word| word == "of").expect("a count");
        words[of - 1].parse::<usize>().expect("a number")
    };
    for cut in first..=third {
        fs::write(&path, &whole[..cut]).expect("the journal");
        let kept = [first, second, third].iter().filter(|&&end| end <= cut).count();
        assert_eq!(finished(), kept, "cut at {cut}");
        // Each byte of its header, and some of the rest: a scan takes longer than a look.
        let near = [first, second, third].iter().any(|end| (*end..end + 9).contains(&cut));
        if near || cut % 29 == 0 {
            let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
            assert_eq!(resumed.events()[0]["done"], kept, "cut at {cut}");
            assert_eq!(resumed.stderr.contains("dropped"), ![first, second, third].contains(&cut));
            for name in ["status", "best", "elbow"] {
                assert_eq!(scratch.scan("scan").json[name], expected.json[name], "cut at {cut}");
            }
            assert_eq!(scratch.scan("scan").digests(), expected.digests(), "cut at {cut}");
        }
    }
    // A flipped bit: what stands before it is kept, and nothing of what is damaged is taken.
    for byte in key..third {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << (byte % 8);
        fs::write(&path, damaged).expect("the journal");
        let kept = [first, second, third].iter().filter(|&&end| end <= byte).count();
        assert_eq!(finished(), kept, "byte {byte}");
    }
}

#[test]
fn a_scan_killed_and_stopped_again_before_its_data_is_there_lists_what_the_journal_holds() {
    let scratch = Scratch::new();
    let line = "run --k-low 2 --k-high 4 --n-init 1 --max-iter 1 --n-proc 1 --progress json";
    let mut scan = scratch.kscan(&format!("{line} --out scan")).spawn();
    scan.wait_for("run_finished", |event| kind(event) == "run_finished");
    scan.signal(Signal::SIGKILL);
    scan.finish().killed_by(Signal::SIGKILL);
    assert!(scratch.scan("scan").runs().is_empty(), "nobody could write it");

    let stop_early = || {
        let mut again = scratch.kscan("resume scan --progress json").spawn();
        let started = again.wait_for("scan_started", |event| kind(event) == "scan_started");
        again.signal(Signal::SIGINT);
        let ended = again.finish().exits(130);
        assert!(ended.events().iter().all(|event| kind(event) != "prepared"), "it came too late");
        started["done"].as_u64().expect("a number")
    };
    let done = stop_early();
    assert!((1..3).contains(&done), "{done}");
    let partial = scratch.scan("scan");
    assert_eq!((partial.status(), partial.digests().len() as u64), ("interrupted", done));
    scratch.kscan("verify scan -q").run().exits(0);
    let report = scratch.kscan("report scan").run().exits(0).stdout;
    assert!(report.contains(&format!("{done} of 3 runs, interrupted")), "{report}");

    // Stopped in order it has models as well, and they stay listed.
    let mut again = scratch.kscan("resume scan --progress json").spawn();
    again.wait_for("run_started", |event| kind(event) == "run_started");
    again.signal(Signal::SIGINT);
    again.finish().exits(130);
    let in_order = scratch.scan("scan");
    assert!(!in_order.json["best"].as_array().expect("best").is_empty());
    stop_early();
    for name in ["runs", "best", "elbow", "criteria", "choices", "verdict", "data"] {
        assert_eq!(scratch.scan("scan").json[name], in_order.json[name], "{name}");
    }
    scratch.kscan("verify scan -q").run().exits(0);
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests().len(), 3);
}
