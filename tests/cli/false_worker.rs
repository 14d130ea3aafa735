//! Workers that are none: what they say is garbage, half of it, or nothing. Each is told apart and
//! named, tried again, and takes nothing else down.
//!
//! `--worker-program` puts a shell script in a worker's place.

use crate::harness::{Kscan, Outcome, Scratch, eventually, kind, noise, npy, pids, workers_of};
use kscan_protocol::wire;
use kscan_protocol::{FailureKind, Hello, PROTOCOL_VERSION, Report, RunFailure, RunRecord};
use kscan_results::{Entry, Journal};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Three runs, one after the other.
const SCAN: &str = "run digits --k-low 2 --k-high 4 --n-init 1 --n-proc 1";

/// A folder with a scan that nothing disturbed, and a program that is started as a worker: `script`,
/// in which `real` becomes a worker indeed.
fn with_worker(script: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.kscan(&format!("{SCAN} --out undisturbed")).run().exits(0);
    let real = env!("CARGO_BIN_EXE_kscan-coord");
    let text = format!("#!/bin/sh\nreal() {{ exec '{real}' \"$@\"; }}\n{script}\n");
    let path = scratch.write("false-worker", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("an executable");
    let hello = |protocol| Report::Hello(Hello { protocol, pid: 1, simd: "none".into() });
    let panic = RunFailure { kind: FailureKind::Panic, message: "as always".into() };
    for (name, report) in [
        ("hello", hello(PROTOCOL_VERSION)),
        ("other-version", hello(PROTOCOL_VERSION + 1)),
        ("panic", Report::Failed(panic)),
    ] {
        scratch.write(name, wire::encode(&report).expect("a frame"));
    }
    let (record, other) = (record(&scratch, 2), record(&scratch, 3));
    let mut lacking = record.clone();
    lacking.centroids.pop();
    for (name, record, labels) in [
        ("other-run", other, vec![0; 1797]),
        ("few-labels", record.clone(), vec![0; 1796]),
        ("wild-label", record, vec![2; 1797]),
        ("few-centroids", lacking, vec![0; 1797]),
    ] {
        let report = Report::Finished { record: Box::new(record), labels };
        scratch.write(name, wire::encode(&report).expect("a frame"));
    }
    let mut damaged = fs::read(scratch.join("hello")).expect("a frame");
    *damaged.last_mut().expect("bytes") ^= 0x10;
    scratch.write("damaged", damaged);
    scratch
}

/// The result of the undisturbed scan's run with this k.
fn record(scratch: &Scratch, k: u32) -> RunRecord {
    let journal = Journal::read(&scratch.join("undisturbed/journal.bin")).expect("a journal");
    let record = journal.entries.into_iter().find_map(|entry| match entry {
        Entry::Finished(record) if record.run.k == k => Some(*record),
        _ => None,
    });
    record.expect("it has one run of each k")
}

/// The same where only the first worker is a false one.
fn with_first_worker(script: &str) -> Scratch {
    with_worker(&format!("mkdir begun 2>&- || real \"$@\"\n{script}"))
}

fn scan(scratch: &Scratch, options: &str) -> Kscan {
    scratch.kscan(&format!("{SCAN} --worker-program ./false-worker --out scan {options}"))
}

/// Asserts that no process is left of a call whose events these are.
fn assert_gone(events: &[Value]) {
    for pid in pids(events) {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
}

/// What scripts do, what it is called, and what is said to be likely.
const FALSE: &[(&str, &str, &str)] = &[
    ("printf 'a line of text on standard output'", "a frame claims", "something else writes"),
    (
        r"printf '\377\377\377\377\1\2\3\4'",
        "a frame claims 4294967295 bytes",
        "something else writes",
    ),
    ("cat damaged", "checksum", "something else writes"),
    ("head -c 12 hello", "ends in the middle, after 12 bytes", "ended while it reported"),
    ("cat hello; head -c 5 hello", "ends in the middle, after 5 bytes", "while it reported"),
    // For ever: it is killed by the pipe that nobody reads, which is not the cause.
    ("exec cat /dev/zero", "checksum", "something else writes"),
    ("cat other-version", "another version of kscan", "upgraded"),
    ("cat hello other-run", "reported a result for k03-i00", "a bug in kscan"),
    ("cat hello few-labels", "sizes are not those of the run", "a bug in kscan"),
    ("cat wild-label", "sizes are not those of the run", "a bug in kscan"),
    ("cat few-centroids", "sizes are not those of the run", "a bug in kscan"),
    ("exit 0", "exit code 0 and no result", "no worker of kscan"),
    ("cat hello; exit 0", "exit code 0 and no result", "no worker of kscan"),
    ("echo 'out of luck' >&2; exit 3", "exit code 3 and no result: out of luck", "no worker"),
    ("kill -SEGV $$", "killed by SIGSEGV", "a bug in kscan"),
    ("kill -XCPU $$", "killed by SIGXCPU", "processor time"),
    ("exit 127", "exit code 127", "cannot be loaded"),
    // These would stay if they were let.
    ("cat damaged; exec sleep 1000", "checksum", "something else writes"),
    ("exec >&- 2>&-; sleep 1000", "did not end", "no worker of kscan"),
];

#[test]
fn false_workers_are_told_apart_named_and_take_nothing_else_down() {
    for &(script, error, likely) in FALSE {
        let scratch = with_first_worker(script);
        let run = scan(&scratch, "--retries 0 --progress json").run().exits(4);
        let events = run.events();
        assert_gone(&events);
        let failed: Vec<_> =
            events.iter().filter(|event| kind(event) == "attempt_failed").collect();
        assert_eq!(failed.len(), 1, "{script}");
        let has = |text: &Value, words: &str| {
            let text = text.as_str().unwrap_or_default();
            assert!(text.contains(words), "{script}: no {words:?} in {text:?}");
        };
        has(&failed[0]["error"], error);
        has(&failed[0]["likely"], likely);

        // In scan.json, the table, the summary, and the log whose path they name.
        let partial = scratch.scan("scan");
        assert_eq!((partial.status(), partial.digests().len()), ("partial", 2), "{script}");
        let run = partial.run(2, 0);
        let (header, rows) = partial.table("runs.csv");
        let column = |name| header.iter().position(|column| column == name).expect("a column");
        let summary = scratch.kscan("report scan").run().exits(0).stdout;
        for words in [error, likely] {
            has(&run["error"], words);
            has(&rows[0][column("error")].clone().into(), words);
            has(&summary.clone().into(), words);
        }
        assert_eq!(
            (&run["log"], &rows[0][column("log")]),
            (&"logs/k02-i00.a1.jsonl".into(), &"logs/k02-i00.a1.jsonl".to_owned())
        );
        assert!(summary.contains("see scan/logs/k02-i00.a1.jsonl"), "{summary}");
        let logs = scratch.kscan("logs scan --k 2 --level error").run().exits(0).stdout;
        has(&logs.clone().into(), error);
        has(&logs.into(), likely);

        scratch.kscan("resume scan").run().exits(0);
        assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
    }
}

/// How many attempts each run took, by k.
fn attempts(run: &Outcome, scratch: &Scratch) -> [u64; 3] {
    assert_gone(&run.events());
    let scan = scratch.scan("scan");
    [2, 3, 4].map(|k| scan.run(k, 0)["attempts"].as_u64().expect("a number"))
}

#[test]
fn a_run_with_a_false_worker_is_tried_again() {
    for script in ["cat damaged", "head -c 12 hello", "exit 0", "kill -KILL $$"] {
        let scratch = with_first_worker(script);
        let run = scan(&scratch, "--retries 1 --progress json").run().exits(0);
        assert_eq!(attempts(&run, &scratch), [2, 1, 1], "{script}");
        assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
    }
}

#[test]
fn what_would_only_fail_again_is_not_tried_for_ever() {
    // Another version will be another one next time too; the same panic twice will come again.
    for (script, tried) in [("cat other-version", 1), ("cat panic", 2), ("exit 1", 4)] {
        let scratch = with_worker(script);
        let run = scan(&scratch, "--retries 3 --progress json").run().exits(4);
        assert_eq!(attempts(&run, &scratch), [tried; 3], "{script}");
    }
}

#[test]
fn a_flood_on_standard_error_is_drained_and_kept_in_part() {
    // Far more than a pipe holds, in lines and as one.
    let flood = "yes flood | head -n 500000 >&2; head -c 9000000 /dev/zero >&2; real \"$@\"";
    let scratch = with_worker(flood);
    let events = scan(&scratch, "--progress json").run().exits(0).events();
    let kept = events.iter().filter(|event| kind(event) == "run_stderr").count();
    assert_eq!(kept, 3 * 1001, "a thousand lines a worker, and that there are more");
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
}

#[test]
fn what_a_worker_leaves_in_its_group_is_ended_with_it() {
    // One that has the worker's pipes, and one that has none of them.
    for left in ["sleep 1000", "sleep 1000 <&- >&- 2>&-"] {
        let scratch = with_worker(&format!("{left} &\necho $! >> left; real \"$@\""));
        let events = scan(&scratch, "--progress json").run().exits(0).events();
        assert_gone(&events);
        let left = fs::read_to_string(scratch.join("left")).expect("the list of who is left");
        assert_eq!(left.lines().count(), 3, "{left}");
        for pid in left.lines() {
            eventually("the end of what was left", || !is_alive(pid));
        }
        assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
    }
}

/// Whether it is there and no zombie, which whoever inherits orphans may be slow to bury.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_worker_that_never_reads_its_job_holds_nothing_up() {
    let scratch = with_worker("[ -e patient ] && exec sleep 1000\nexit 5");
    // First centroids that no pipe holds.
    let (n, d) = (4, 40_000);
    let values: Vec<u8> = noise(n * d, 1).flat_map(f32::to_le_bytes).collect();
    scratch.write("wide.npy", npy("<f4", false, &[n, d], &values));
    let file = fs::File::create(scratch.join("init.npz")).expect("a file");
    let mut npz = ndarray_npy::NpzWriter::new(file);
    npz.add_array("k2", &ndarray::Array2::<f32>::ones((2, d))).expect("an array");
    npz.finish().expect("an npz");
    let line = "run wide.npy --init init.npz --k-low 2 --k-high 2 --n-init 1 --retries 0 \
                --timeout 1s --worker-program ./false-worker --progress json";
    let run = scratch.kscan(&format!("{line} --out hurried")).run().exits(4);
    let failed = |name: &str| scratch.scan(name).run(2, 0)["error"].to_string();
    assert!(failed("hurried").contains("exit code 5"), "{}", failed("hurried"));
    assert_gone(&run.events());
    scratch.write("patient", "");
    let run = scratch.kscan(&format!("{line} --out patient-one")).run().exits(4);
    assert!(failed("patient-one").contains("longer than 1s"), "{}", failed("patient-one"));
    assert_gone(&run.events());
    scratch.kscan("resume hurried").run().exits(0);
}

#[test]
fn a_worker_program_that_is_not_there_fails_each_run_and_is_named() {
    let scratch = Scratch::new();
    let line = format!("{SCAN} --worker-program ./nobody --retries 0 --out scan --progress json");
    let run = scratch.kscan(&line).spawn();
    let coordinator = run.pid();
    let run = run.finish().exits(4);
    assert_eq!(workers_of(coordinator), [0_u32; 0]);
    assert!(pids(&run.events()).is_empty());
    let error = scratch.scan("scan").run(2, 0)["error"].to_string();
    assert!(error.contains("could not be started: No such file"), "{error}");
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").status(), "complete");
}
