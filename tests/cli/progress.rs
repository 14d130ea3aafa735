//! What is said on stdout and stderr while a scan runs.

use crate::harness::{Scratch, attempt_of, has_controls, kind};
use std::collections::BTreeMap;

const LINE: &str = "run digits --k-low 2 --k-high 5 --n-init 2 --n-proc 2 --out scan";

#[test]
fn with_json_stdout_is_events_and_nothing_else() {
    let scratch = Scratch::new();
    let run = scratch.kscan(&format!("{LINE} --progress json")).run().exits(0);
    assert_eq!(run.stderr, "");
    // Every line is an event: that is asserted where they are read.
    let events = run.events();
    assert_eq!((kind(&events[0]), kind(&events[1])), ("scan_started", "prepared"));
    assert_eq!((&events[0]["runs"], &events[0]["done"]), (&8.into(), &0.into()));
    assert_eq!((&events[0]["rows"], &events[0]["cols"]), (&1797.into(), &64.into()));
    let last = events.last().expect("events");
    assert_eq!((kind(last), &last["status"]), ("scan_finished", &"complete".into()));
    assert_eq!(events.iter().filter(|event| kind(event) == "scan_finished").count(), 1);

    let scan = scratch.scan("scan");
    assert_eq!(last["elbow_k"], scan.json["elbow"]["k"]);
    let mut iterations: BTreeMap<(u64, u64, u64), u64> = BTreeMap::new();
    let mut finished = 0;
    for event in &events {
        match kind(event) {
            "run_started" => {
                assert_eq!(iterations.insert(attempt_of(event), 0), None, "{event}");
            }
            "run_progress" => {
                let before = iterations.get_mut(&attempt_of(event)).expect("it was started");
                assert_eq!(event["iteration"], *before + 1, "{event}");
                assert!(event["rows_changed"].is_u64() && event["inertia"].is_f64(), "{event}");
                *before += 1;
            }
            "run_finished" => {
                let (k, init_id, _) = attempt_of(event);
                let run = scan.run(k, init_id);
                for name in ["inertia", "n_iter", "stop"] {
                    assert_eq!(event[name], run[name], "{name} of {event}");
                }
                assert_eq!(run["n_iter"], iterations[&attempt_of(event)]);
                finished += 1;
            }
            _ => {}
        }
    }
    assert_eq!((iterations.len(), finished), (8, 8));
}

#[test]
fn where_stderr_is_no_terminal_progress_is_plain_lines() {
    for options in ["", "--progress auto", "--progress plain"] {
        let scratch = Scratch::new();
        let run = scratch.kscan(&format!("{LINE} {options}")).run().exits(0);
        assert!(!has_controls(&run.stderr), "{options}: {:?}", run.stderr);
        assert!(!has_controls(&run.stdout), "{options}: {:?}", run.stdout);
        // Beside where it begins and ends, a line every few seconds, which it does not take.
        let lines: Vec<&str> = run.stderr.lines().collect();
        let [first, prepared, .., last] = lines[..] else { panic!("{options}: {lines:?}") };
        assert_eq!(first, "digits: 1797 x 64, 8 runs, 2 at a time", "{options}");
        assert!(prepared.starts_with("data normalised"), "{options}: {prepared}");
        assert!(last.starts_with("[8/8] ended after "), "{options}: {last}");
        assert!(run.stdout.contains("elbow at k = "), "{options}: {}", run.stdout);
    }
}

#[test]
fn a_bar_that_is_asked_for_where_there_is_no_terminal_hurts_nothing() {
    let scratch = Scratch::new();
    let run = scratch.kscan(&format!("{LINE} --progress bar")).run().exits(0);
    assert!(run.stdout.contains("8 of 8 runs, all done"), "{}", run.stdout);
    assert!(!has_controls(&run.stderr), "{:?}", run.stderr);
}

#[test]
fn quiet_and_none_say_nothing_on_stderr_and_the_summary_on_stdout() {
    for options in ["-q", "--quiet", "--progress none", "-q --progress plain"] {
        let scratch = Scratch::new();
        let run = scratch.kscan(&format!("{LINE} {options}")).run().exits(0);
        assert_eq!(run.stderr, "", "{options}");
        assert!(run.stdout.contains("8 of 8 runs, all done"), "{options}: {}", run.stdout);
    }
}

#[test]
fn verbose_logs_to_stderr_and_rust_log_overrides_it() {
    let scratch = Scratch::new();
    let run = scratch.kscan(&format!("{LINE} -v")).run().exits(0);
    assert!(run.stderr.contains("DEBUG"), "{}", run.stderr);
    assert!(!has_controls(&run.stderr), "{:?}", run.stderr);
    let scratch = Scratch::new();
    let run = scratch.kscan(&format!("{LINE} -v")).env("RUST_LOG", "error").run().exits(0);
    assert!(!run.stderr.contains("DEBUG") && !run.stderr.contains("INFO"), "{}", run.stderr);
    let logs = scratch.kscan("logs scan").run().exits(0);
    assert_eq!(logs.stdout, "");
}

#[test]
fn a_reader_of_stdout_that_goes_away_does_not_end_the_scan() {
    let scratch = Scratch::new();
    let line = format!("{LINE} --progress json >&-");
    let words: Vec<&str> = line.split(' ').collect();
    // `head` takes one line and is gone.
    let program = env!("CARGO_BIN_EXE_kscan-coord");
    let script = format!(
        "({program} {}; echo $? > code) | head -n 1 > first",
        words[..words.len() - 1].join(" ")
    );
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(scratch.path())
        .status()
        .expect("a shell");
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(scratch.join("code")).expect("code"), "0\n");
    assert_eq!(scratch.scan("scan").digests().len(), 8);
}

#[test]
fn control_characters_in_the_folders_name_do_not_reach_the_terminal() {
    let scratch = Scratch::new();
    let name = "scan\u{1b}[2J";
    let line = "run digits --k-low 2 --k-high 2 --n-init 1";
    let with_out = |line: &str| scratch.kscan(line).arg("--out").arg(name).run();
    let mut said = vec![with_out(line).exits(0), with_out(line).exits(2)];
    for command in ["status", "report", "logs", "resume"] {
        said.push(scratch.kscan(command).arg(name).run().exits(0));
    }
    said.push(scratch.kscan("predict --k 9").arg(name).arg("digits").run().exits(2));
    for outcome in &said {
        assert!(!has_controls(&outcome.stdout), "{outcome:?}");
        assert!(!has_controls(&outcome.stderr), "{outcome:?}");
    }
}

#[test]
fn control_characters_in_the_folders_name_are_escaped_when_interrupted() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let line = "run slow.npy --k-low 24 --k-high 26 --n-init 1 --tol 0 --progress json --out";
    let mut scan = scratch.kscan(line).arg("scan\u{1b}[2J").spawn();
    scan.wait_for_worker();
    scan.signal(nix::sys::signal::Signal::SIGINT);
    let scan = scan.finish().exits(130);
    assert!(scan.stderr.contains("resume"), "{}", scan.stderr);
    assert!(!has_controls(&scan.stderr), "{:?}", scan.stderr);
}
