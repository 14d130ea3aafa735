//! What ends a scan from outside: no process and no shared file is left, and `resume` goes on.

use crate::harness::{
    Outcome, SLOW, Scratch, assert_no_shared_file, eventually, is_live_worker, kind, pids,
    slow_in_turn, stop, undisturbed,
};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Asserts that nothing is left of a scan but its folder.
fn assert_nothing_runs(scratch: &Scratch, pids: &[u32]) {
    for &pid in pids {
        assert!(!is_live_worker(pid), "worker {pid} is left");
    }
    assert_no_shared_file(scratch);
}

/// Asserts that `scan` ended as one that was interrupted by `signal`.
fn assert_interrupted(scratch: &Scratch, scan: Outcome, signal: Signal, code: i32) -> Outcome {
    let scan = scan.exits(code);
    assert_nothing_runs(scratch, &pids(&scan.events()));
    assert!(scan.stderr.contains(signal.as_str()), "{}", scan.stderr);
    assert!(scan.stderr.contains("kscan-coord resume scan"), "{}", scan.stderr);
    assert_eq!(scratch.scan("scan").status(), "interrupted");
    scan
}

/// Resumes, and asserts that the end is as if nothing had happened.
fn assert_resumes(scratch: &Scratch, done: u64) {
    let resumed = scratch.kscan("resume scan --progress json").run().exits(0);
    let events = resumed.events();
    assert_eq!(kind(&events[0]), "scan_started");
    assert_eq!(events[0]["done"], done, "{}", events[0]);
    assert_eq!(pids(&events).len() as u64, 3 - done);
    let scan = scratch.scan("scan");
    assert_eq!(scan.status(), "complete");
    assert_eq!(scan.digests(), *undisturbed());
    assert_nothing_runs(scratch, &pids(&events));
}

fn interrupted_by(signal: Signal, code: i32) {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    scan.wait_for_worker();
    scan.signal(signal);
    let scan = assert_interrupted(&scratch, scan.finish(), signal, code);
    let events = scan.events();
    let stopping = events.iter().find(|event| kind(event) == "stopping").expect("stopping");
    assert_eq!((&stopping["signal"], &stopping["running"]), (&signal.as_str().into(), &2.into()));
    assert_eq!(events.last().expect("events")["status"], "interrupted");
    assert_resumes(&scratch, 0);
}

#[test]
fn sigint_ends_a_scan_and_leaves_nothing_running() {
    interrupted_by(Signal::SIGINT, 130);
}

#[test]
fn sigterm_ends_a_scan_and_leaves_nothing_running() {
    interrupted_by(Signal::SIGTERM, 143);
}

#[test]
fn sighup_ends_a_scan_and_leaves_nothing_running() {
    interrupted_by(Signal::SIGHUP, 143);
}

#[test]
fn what_was_finished_before_an_interruption_is_kept_and_not_done_again() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&slow_in_turn()).arg("--keep-shared").spawn();
    scan.wait_for("run_finished", |event| kind(event) == "run_finished");
    scan.signal(Signal::SIGINT);
    let scan = scan.finish().exits(130);
    assert!(scan.stderr.contains("kscan-coord resume scan"), "{}", scan.stderr);
    let kept = scratch.scan("scan");
    assert_eq!(kept.status(), "interrupted");
    assert_eq!(kept.digests().len(), 1);
    assert_eq!(kept.digests()[&(24, 0)], undisturbed()[&(24, 0)]);
    assert!(scratch.join("scan/best/k24.npz").is_file());
    std::fs::remove_file(scratch.join("scan/shared.bin")).expect("it was to be kept");

    let before = kept.model(24);
    assert_resumes(&scratch, 1);
    let after = scratch.scan("scan").model(24);
    assert_eq!(before.labels, after.labels);
    assert_eq!(before.centers, after.centers);
    assert_eq!(before.init_centers, after.init_centers);
}

#[test]
fn a_second_sigint_ends_a_scan_at_once() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    // A stopped worker does not hear that it is to end.
    let pid = scan.wait_for_worker();
    stop(pid);
    let before = Instant::now();
    scan.signal(Signal::SIGINT);
    scan.wait_for("stopping", |event| kind(event) == "stopping");
    assert!(is_live_worker(pid));
    scan.signal(Signal::SIGINT);
    let scan = scan.finish();
    // Those that do not hear are given 3 seconds, unless someone is in a hurry.
    let took = before.elapsed();
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    assert_interrupted(&scratch, scan, Signal::SIGINT, 130);
}

#[test]
fn a_worker_that_does_not_hear_is_killed_after_a_while() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    stop(scan.wait_for_worker());
    scan.signal(Signal::SIGTERM);
    assert_interrupted(&scratch, scan.finish(), Signal::SIGTERM, 143);
}

#[test]
fn workers_die_with_a_coordinator_that_is_killed_and_resume_goes_on() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    let stopped = scan.wait_for_worker();
    stop(stopped);
    scan.signal(Signal::SIGKILL);
    let scan = scan.finish().killed_by(Signal::SIGKILL);
    let pids = pids(&scan.events());
    assert_eq!(pids.len(), 2);
    eventually("the end of all workers", || !pids.iter().any(|&pid| is_live_worker(pid)));
    assert_nothing_runs(&scratch, &pids);
    assert_eq!(scratch.scan("scan").status(), "interrupted");
    assert_resumes(&scratch, 0);
    // Logs are never overwritten.
    assert!(scratch.join("scan/logs/k24-i00.a1.jsonl").is_file());
    assert!(scratch.join("scan/logs/k24-i00.a2.jsonl").is_file());
}

#[test]
fn sigint_while_data_is_prepared_ends_a_scan_before_any_worker() {
    let scratch = Scratch::new();
    let line = "run --k-low 2 --k-high 2 --n-init 1 --max-iter 1 --keep-shared --progress json \
                --out scan";
    let mut scan = scratch.kscan(line).spawn();
    scan.wait_for("scan_started", |event| kind(event) == "scan_started");
    scan.signal(Signal::SIGINT);
    let scan = assert_interrupted(&scratch, scan.finish(), Signal::SIGINT, 130);
    assert!(scan.events().iter().all(|event| kind(event) != "prepared"), "it came too late");
    assert!(pids(&scan.events()).is_empty());
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests().len(), 1);
}
