//! Worker processes: how many there are, and what becomes of a scan when one dies.

use crate::harness::{
    SLOW, Scratch, attempt_of, eventually, is_live_worker, kind, live_workers, pid_of, pids, send,
    slow_in_turn, stop, undisturbed,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;

/// Seven runs of the slow data.
const SEVEN: &str = "run slow.npy --k-low 18 --k-high 24 --n-init 1 --tol 0 --max-iter 60 \
                     --n-proc 3 --progress json --out scan";

fn is_run(event: &Value, name: &str, k: u64) -> bool {
    kind(event) == name && event["k"] == k
}

#[test]
fn there_are_never_more_workers_than_n_proc_and_there_are_that_many() {
    for dispatch in ["rolling", "batch"] {
        let scratch = Scratch::new();
        scratch.slow_data();
        let mut scan = scratch.kscan(&format!("{SEVEN} --dispatch {dispatch}")).spawn();
        let mut most = 0;
        eventually("the end of the scan", || {
            let workers = live_workers(scan.pid());
            assert!(workers.len() <= 3, "{dispatch}: {workers:?}");
            most = most.max(workers.len());
            scan.has_ended()
        });
        assert_eq!(most, 3, "{dispatch}");
        let scan = scan.finish().exits(0);
        let pids = pids(&scan.events());
        let distinct: std::collections::BTreeSet<_> = pids.iter().collect();
        assert_eq!(distinct.len(), 7, "a process for each run: {pids:?}");
    }
}

#[test]
fn rolling_starts_the_next_run_while_another_still_runs() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SEVEN).spawn();
    // The first one sleeps until all others are done.
    let first = scan.wait_for("run_started", |event| is_run(event, "run_started", 18));
    stop(pid_of(&first));
    for k in 19..=24 {
        scan.wait_for("run_finished", |event| kind(event) == "run_finished" && event["k"] != 18);
        assert!(is_live_worker(pid_of(&first)), "{k}");
    }
    send(pid_of(&first), Signal::SIGCONT);
    scan.finish().exits(0);
}

#[test]
fn a_batch_waits_for_its_slowest() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&format!("{SEVEN} --dispatch batch")).spawn();
    let first = scan.wait_for("run_started", |event| is_run(event, "run_started", 18));
    stop(pid_of(&first));
    let others = |event: &Value| kind(event) == "run_finished" && event["k"] != 18;
    scan.wait_for("run_finished", others);
    scan.wait_for("run_finished", others);
    // A rolling dispatch has started others by now.
    assert_eq!(live_workers(scan.pid()), [pid_of(&first)]);
    send(pid_of(&first), Signal::SIGCONT);
    let after = scan.wait_for("the next event", |event| {
        kind(event) == "run_started" || event["k"] == 18 && kind(event) == "run_progress"
    });
    assert_eq!(kind(&after), "run_progress", "{after}");

    let scan = scan.finish().exits(0);
    let mut started = Vec::new();
    let mut last_progress = BTreeMap::new();
    for (at, event) in scan.events().iter().enumerate() {
        match kind(event) {
            "run_started" => started.push((at, attempt_of(event).0)),
            "run_progress" => {
                last_progress.insert(attempt_of(event).0, at);
            }
            _ => {}
        }
    }
    let ks: Vec<u64> = started.iter().map(|&(_, k)| k).collect();
    assert_eq!(ks, [18, 19, 20, 21, 22, 23, 24]);
    for (index, (at, k)) in started.iter().enumerate() {
        for (_, before) in &started[..index / 3 * 3] {
            assert!(last_progress[before] < *at, "{before} still ran when {k} was started");
        }
    }
}

#[test]
fn killed_workers_are_tried_again_and_no_bit_changes() {
    let expected = undisturbed();
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    let mut killed = BTreeMap::new();
    while killed.len() < 2 {
        let pid = scan.wait_for_worker();
        let k = scan.k_of(pid);
        if killed.contains_key(&k) {
            continue;
        }
        let signal = if killed.is_empty() { Signal::SIGKILL } else { Signal::SIGABRT };
        send(pid, signal);
        killed.insert(k, signal);
    }
    let scan = scan.finish().exits(0);
    let failed: Vec<Value> =
        scan.events().into_iter().filter(|event| kind(event) == "attempt_failed").collect();
    assert_eq!(failed.len(), 2);
    for event in &failed {
        let (k, init_id, attempt) = attempt_of(event);
        let error = event["error"].as_str().expect("an error");
        assert!(error.contains(killed[&k].as_str()), "{event}");
        assert_eq!((init_id, attempt), (0, 1));
        assert_eq!(event["retried"], true);
        let log = event["log"].as_str().expect("the log's path");
        assert!(scratch.join(log).is_file(), "{log}");
    }
    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "complete");
    assert_eq!(scan.digests(), *expected);
    for k in 24..=26 {
        let attempts = if killed.contains_key(&k) { 2 } else { 1 };
        assert_eq!(scan.run(k, 0)["attempts"], attempts, "k = {k}");
        let logs = [1, 2].map(|attempt| format!("scan/logs/k{k}-i00.a{attempt}.jsonl"));
        assert!(scratch.join(&logs[0]).is_file());
        assert_eq!(scratch.join(&logs[1]).is_file(), attempts == 2, "k = {k}");
        let log = format!("logs/k{k}-i00.a{attempts}.jsonl");
        assert_eq!(scan.run(k, 0)["log"], log);
    }
    let second = scratch.kscan("logs scan --attempt 2").run().exits(0);
    assert!(!second.stdout.is_empty());
    for line in second.stdout.lines() {
        assert!(line.contains("-i00.a2 "), "{line}");
    }
}

#[test]
fn without_retries_a_killed_run_fails_for_good_and_resume_makes_up_for_it() {
    let expected = undisturbed();
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&format!("{SLOW} --retries 0")).spawn();
    let pid = scan.wait_for_worker();
    let k = scan.k_of(pid);
    send(pid, Signal::SIGKILL);
    let run = scan.finish().exits(4);
    let events = run.events();
    let failed: Vec<_> = events.iter().filter(|event| kind(event) == "run_failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(attempt_of(failed[0]), (k, 0, 1));
    assert_eq!(events.last().expect("events")["status"], "partial");

    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "partial");
    let run = scan.run(k, 0);
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().expect("an error").contains("SIGKILL"), "{run}");
    assert!(run["inertia"].is_null() && run["digest"].is_null(), "{run}");
    let others: Vec<_> = expected.iter().filter(|((other, _), _)| *other != k).collect();
    assert_eq!(scan.digests().iter().collect::<Vec<_>>(), others);
    assert!(!scratch.join(format!("scan/best/k{k}.npz")).exists());

    let summary = scratch.kscan("report scan").run().exits(0).stdout;
    assert!(summary.contains("SIGKILL"), "{summary}");
    assert!(summary.contains("kscan-coord resume scan"), "{summary}");

    let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
    assert_eq!(pids(&resumed.events()).len(), 1, "only the failed run is done again");
    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "complete");
    assert_eq!(scan.digests(), *expected);
    assert_eq!(scan.run(k, 0)["attempts"], 2);
    assert!(scratch.join(format!("scan/best/k{k}.npz")).is_file());
}

/// Two runs, one of which is stopped each time that it has begun, as often as `stops` says.
fn with_a_stopped_worker(stops: u64, options: &str, code: i32) -> (Scratch, Vec<Value>) {
    let scratch = Scratch::new();
    scratch.slow_data();
    let line = format!(
        "run slow.npy --k-low 24 --k-high 25 --n-init 1 --tol 0 --max-iter 99 --n-proc 2 \
         --timeout 3s --progress json --out scan {options}"
    );
    let mut scan = scratch.kscan(&line).spawn();
    for attempt in 1..=stops {
        let started = scan.wait_for("run_started", |event| {
            is_run(event, "run_started", 24) && event["attempt"] == attempt
        });
        stop(pid_of(&started));
    }
    let events = scan.finish().exits(code).events();
    for pid in pids(&events) {
        assert!(!is_live_worker(pid), "{pid} is left");
    }
    let failed = events.iter().filter(|event| kind(event) == "attempt_failed");
    let failed: Vec<Value> = failed.cloned().collect();
    for event in &failed {
        assert_eq!(event["k"], 24, "{event}");
        assert!(event["error"].as_str().expect("an error").contains("longer than 3s"), "{event}");
    }
    (scratch, failed)
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_tried_again() {
    let (scratch, failed) = with_a_stopped_worker(1, "--retries 1", 0);
    assert_eq!(failed.len(), 1);
    let scan = scratch.scan("scan");
    assert_eq!(
        (&scan.run(24, 0)["attempts"], &scan.run(25, 0)["attempts"]),
        (&2.into(), &1.into())
    );
    assert_eq!(scan.json["config"]["timeout_s"], 3.0);
}

#[test]
fn a_run_that_takes_too_long_each_time_fails_for_good() {
    let (scratch, failed) = with_a_stopped_worker(1, "--retries 0", 4);
    assert_eq!(failed.len(), 1);
    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "partial");
    assert_eq!(
        (&scan.run(24, 0)["status"], &scan.run(25, 0)["status"]),
        (&"failed".into(), &"ok".into())
    );
}

#[test]
fn an_upgrade_in_the_middle_of_a_scan_does_not_hurt_it() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let program = scratch.join("kscan-coord");
    std::fs::copy(env!("CARGO_BIN_EXE_kscan-coord"), &program).expect("a copy");
    let mut scan = scratch.program(&program, &slow_in_turn()).spawn();
    scan.wait_for_worker();
    // Another file takes its name, as a package manager does it.
    let other = scratch.write("other", "#!/bin/sh\nexit 1\n");
    std::fs::rename(other, &program).expect("a new name");
    let events = scan.finish().exits(0).events();
    assert!(events.iter().all(|event| kind(event) != "attempt_failed"));
    assert_eq!(scratch.scan("scan").digests(), *undisturbed());
}

#[test]
#[cfg(target_env = "gnu")]
fn what_libraries_print_in_a_worker_disturbs_no_frame() {
    let scratch = Scratch::new();
    let options = "--k-low 2 --k-high 3 --n-init 1 --progress json";
    scratch.kscan(&format!("run digits {options} --out quiet")).run().exits(0);
    // The dynamic linker prints lines with tabs to standard error.
    let noisy = scratch
        .kscan(&format!("run digits {options} --out noisy"))
        .env("LD_DEBUG", "statistics")
        .run()
        .exits(0);
    let said = noisy.events().into_iter().filter(|event| kind(event) == "run_stderr");
    let said: Vec<String> = said.map(|event| event["line"].to_string()).collect();
    assert!(said.iter().any(|line| line.contains("runtime linker statistics")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("\\t")), "{said:?}");
    assert_eq!(scratch.scan("noisy").digests(), scratch.scan("quiet").digests());
    let logs = scratch.kscan("logs noisy").run().exits(0);
    assert!(logs.stdout.contains("runtime linker statistics"), "{}", logs.stdout);
    assert!(!crate::harness::has_controls(&logs.stdout), "{:?}", logs.stdout);
}
