//! `logs`: all runs' lines in one stream.

use crate::harness::{SLOW, Scratch, contents, has_controls, npy_f64};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

fn scanned() -> Scratch {
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 4 --n-init 2 --n-proc 3 --out scan";
    scratch.kscan(line).run().exits(0);
    scratch
}

fn logs(scratch: &Scratch, options: &str) -> Vec<String> {
    let logs = scratch.kscan(&format!("logs scan {options}")).run().exits(0);
    assert!(!has_controls(&logs.stdout));
    logs.stdout.lines().map(str::to_owned).collect()
}

/// The time of a JSON line.
fn timestamp(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(
        ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&line["level"].as_str().unwrap_or("")),
        "{line}"
    );
    line["timestamp"].as_str().expect("a timestamp").to_owned()
}

#[test]
fn all_lines_of_all_logs_come_in_the_order_of_time() {
    let scratch = scanned();
    let merged = logs(&scratch, "--json");
    let times: Vec<String> = merged.iter().map(|line| timestamp(line)).collect();
    assert!(times.is_sorted());
    let mut merged = merged;
    let mut all = Vec::new();
    let names = contents(&scratch.join("scan/logs"));
    assert_eq!(names.len(), 7);
    for name in names {
        let text = fs::read_to_string(scratch.join("scan/logs").join(&name)).expect("a log");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines.len() > 2, "{name}");
        let times: Vec<String> = lines.iter().map(|line| timestamp(line)).collect();
        assert!(times.is_sorted(), "{name}");
        all.extend(lines);
    }
    merged.sort();
    all.sort();
    assert_eq!(merged, all);
    // As text: one line each, in the same number.
    assert_eq!(logs(&scratch, "").len(), all.len());
}

#[test]
fn lines_can_be_chosen_by_run_and_attempt() {
    let scratch = scanned();
    let all = logs(&scratch, "");
    let of = |lines: &[String], part: &str| -> Vec<String> {
        lines.iter().filter(|line| line.contains(part)).cloned().collect()
    };
    for (options, part) in [
        ("--k 3", " k03-"),
        ("--init 1", "-i01.a1"),
        ("--k 4 --init 0", " k04-i00.a1"),
        ("--attempt 1", ".a1 "),
    ] {
        let chosen = logs(&scratch, options);
        assert!(chosen.len() > 2, "{options}");
        assert_eq!(chosen, of(&all, part), "{options}");
    }
    assert!(logs(&scratch, "--attempt 2").is_empty());
    assert!(logs(&scratch, "--k 9").is_empty());
    assert!(!of(&all, " coordinator ").is_empty());
}

#[test]
fn a_runs_log_tells_of_every_phase_and_iteration() {
    let scratch = scanned();
    let lines = logs(&scratch, "--k 4 --init 1 --json");
    let lines: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let iterations: Vec<&Value> =
        lines.iter().filter(|line| line["message"] == "iteration").collect();
    let run = scratch.scan("scan").run(4, 1).clone();
    assert_eq!(Value::from(iterations.len()), run["n_iter"]);
    for (number, line) in (1..).zip(&iterations) {
        assert_eq!(line["iteration"], number);
        assert!(line["inertia"].as_f64().expect("inertia") > 0.0);
        assert!(line["rows_changed"].as_u64().expect("rows_changed") <= 1797);
    }
    let spans = ["prepare", "seed", "iterate", "write"];
    for name in spans {
        assert!(lines.iter().any(|line| line["span"]["name"] == name), "no span {name}");
    }
    let seeded = lines.iter().find(|line| line["message"] == "seeded").expect("seeded");
    assert_eq!(
        seeded["init_rows"].as_str().expect("rows").replace(' ', ""),
        run["init_rows"].to_string()
    );
    let finished = lines.iter().find(|line| line["message"] == "finished").expect("finished");
    assert_eq!((&finished["digest"], &finished["inertia"]), (&run["digest"], &run["inertia"]));
    // Fields stand in the order in which they are written: what matters most comes first.
    let human = logs(&scratch, "--k 4 --init 1 --span iterate");
    let first = &human[0];
    let at = |name: &str| first.find(name).unwrap_or_else(|| panic!("{name} in {first}"));
    assert!(at("iteration=1 ") < at("inertia=") && at("inertia=") < at("rows_visited="), "{first}");
    // It is the run that has finished: all of its phases are over.
    assert_eq!(finished["span"]["name"], "run");
}

#[test]
fn lines_can_be_chosen_by_level() {
    let scratch = Scratch::new();
    scratch.write("data.npy", npy_f64(&[[1.0], [1.0], [1.0], [2.0], [2.0], [2.0]]));
    let line = "run data.npy --k-low 4 --k-high 4 --n-init 1 -vv --out scan";
    scratch.kscan(line).run().exits(0);
    let ranks = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
    let all = logs(&scratch, "--json");
    let rank = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        ranks.iter().position(|rank| line["level"] == *rank).expect("a level")
    };
    for (at, name) in ranks.iter().enumerate() {
        let expected: Vec<_> = all.iter().filter(|line| rank(line) >= at).collect();
        let found = logs(&scratch, &format!("--json --level {}", name.to_lowercase()));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{name}");
    }
    let count = |level: &str| logs(&scratch, &format!("--level {level}")).len();
    assert!(count("warn") > 0 && count("info") > count("warn"));
    assert!(count("debug") > count("info") && count("trace") > count("debug"));
    assert_eq!(count("error"), 0);
}

#[test]
fn followed_logs_show_lines_as_they_come_until_the_scan_ends() {
    let scratch = scanned();
    // Who has the journal's lock is a scan that runs.
    let journal = fs::File::open(scratch.join("scan/journal.bin")).expect("the journal");
    journal.lock().expect("nobody else has it");
    let mut follow = scratch.kscan("logs scan --follow --k 2").spawn();
    let first = follow.next_line().expect("a line");
    assert!(first.contains(" k02-"), "{first}");
    let log = scratch.join("scan/logs/k02-i00.a1.jsonl");
    let mut log = fs::OpenOptions::new().append(true).open(log).expect("the log");
    // Half a line is not shown, and not lost.
    let (half, rest) = (
        r#"{"timestamp":"2999-01-01T00:00:00.000000Z","level":"WARN","message":"later"#,
        "\u{1b}[2J\"}\n",
    );
    let rest = rest.replace('\u{1b}', "\\u001b");
    log.write_all(half.as_bytes()).expect("the disk takes it");
    log.flush().expect("the disk takes it");
    log.write_all(rest.as_bytes()).expect("the disk takes it");
    loop {
        let line = follow.next_line().expect("a line");
        if line.contains("later") {
            assert!(line.contains("WARN") && !has_controls(&line), "{line:?}");
            assert!(line.contains("later\\u{1b}[2J"), "{line:?}");
            break;
        }
    }
    assert!(!follow.has_ended());
    log.write_all(half.as_bytes()).expect("the disk takes it");
    log.write_all(b", too\"}\n").expect("the disk takes it");
    drop(journal);
    let follow = follow.finish().exits(0);
    assert!(follow.stdout.contains("later, too"), "{}", follow.stdout);
}

#[test]
fn a_running_scan_is_followed_to_its_last_line() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    scan.wait_for_worker();
    let follow = scratch.kscan("logs scan --follow").spawn();
    scan.finish().exits(0);
    let followed = follow.finish().exits(0).stdout;
    let mut followed: Vec<&str> = followed.lines().collect();
    assert!(followed.last().expect("lines").contains("scan finished"), "{followed:?}");
    let all = logs(&scratch, "");
    followed.sort_unstable();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.sort_unstable();
    assert_eq!(followed, all);
}

#[test]
fn lines_can_be_chosen_by_span() {
    let scratch = scanned();
    let all = logs(&scratch, "--json");
    let span = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["span"]["name"].as_str().map(str::to_owned)
    };
    for wanted in
        [&["prepare"][..], &["seed"], &["iterate"], &["write"], &["run"], &["seed", "run"]]
    {
        let expected: Vec<&String> = all
            .iter()
            .filter(|line| span(line).is_some_and(|span| wanted.contains(&span.as_str())))
            .collect();
        // Of each of six runs, and of the coordinator where that has one of the name.
        assert!(expected.len() >= 6, "{wanted:?}");
        let found = logs(&scratch, &format!("--json --span {}", wanted.join(",")));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{wanted:?}");
    }
    let of_run = logs(&scratch, "--span seed --k 3 --init 0");
    assert!(of_run.iter().all(|line| line.contains(" k03-i00.a1  seed: ")), "{of_run:?}");
    assert!(logs(&scratch, "--span none").is_empty());
    assert!(logs(&scratch, "--span prepare").iter().any(|line| line.contains(" coordinator ")));
}

#[test]
fn colours_are_for_who_wants_them() {
    let scratch = scanned();
    let plain = logs(&scratch, "");
    let shown = |options: &str, variable: (&str, &str)| {
        let logs = scratch.kscan(&format!("logs scan {options}")).env(variable.0, variable.1);
        logs.run().exits(0).stdout
    };
    let painted = shown("--color always", ("NO_COLOR", "1"));
    assert!(painted.contains("\u{1b}[32mINFO \u{1b}[0m"), "{painted:?}");
    assert_eq!(shown("", ("CLICOLOR_FORCE", "1")), painted);
    for (options, variable) in [
        ("", ("TERM", "xterm")),
        ("", ("NO_COLOR", "1")),
        ("--color never", ("CLICOLOR_FORCE", "1")),
    ] {
        let lines = shown(options, variable);
        assert_eq!(lines.lines().collect::<Vec<_>>(), plain, "{options} {variable:?}");
    }
    let json = shown("--json --color always", ("TERM", "xterm"));
    assert!(!has_controls(&json));
}

#[test]
fn what_a_crashed_worker_wrote_to_stderr_stands_where_it_was_written() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let script = "#!/bin/sh\necho 'at the end of its wits' >&2\nkill -SEGV $$\n";
    let script = scratch.write("false-worker", script);
    fs::set_permissions(script, fs::Permissions::from_mode(0o700)).expect("an executable");
    let line = format!("{SLOW} --worker-program ./false-worker --retries 0");
    scratch.kscan(&line).run().exits(4);
    let lines = logs(&scratch, "--k 24 --init 0 --attempt 1");
    let at = |what: &str| {
        let found = lines.iter().position(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("no {what} in {lines:#?}"))
    };
    let stderr = at(" k24-i00.a1  stderr | at the end of its wits");
    assert!(stderr < at("attempt failed"), "{lines:#?}");
    let failed = at("coordinator: run failed for good");
    assert!(stderr < failed && lines[failed].contains("SIGSEGV"), "{lines:#?}");
}

#[test]
fn logs_of_what_is_no_scan_are_a_data_error() {
    let scratch = Scratch::new();
    scratch.kscan("logs elsewhere").run().exits(3).names(&["elsewhere"]);
}

#[test]
fn lines_that_are_no_json_are_left_out() {
    let scratch = scanned();
    let before = logs(&scratch, "");
    let log = scratch.join("scan/logs/k02-i00.a1.jsonl");
    let mut log = fs::OpenOptions::new().append(true).open(log).expect("the log");
    log.write_all(b"\x00\x00\xff torn\n{\"timestamp\":\"2999\n").expect("the disk takes it");
    assert_eq!(logs(&scratch, ""), before);
}
