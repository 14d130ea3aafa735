//! Ctrl-Z: a scan that stands still as a whole, and for as long as one likes.

use crate::harness::{
    Live, Scratch, attempt_of, eventually, is_live_worker, kind, live_workers, pids, stands_still,
    stop, workers_of,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

/// What a run of these may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Two runs at a time of about a third of a second.
const SCAN: &str = "run slow.npy --k-low 24 --k-high 26 --n-init 1 --tol 0 --max-iter 99 --n-proc 2 \
                    --progress json";

/// Suspends a scan, and waits until all its processes stand still; tells its workers.
fn suspend(scan: &Live) -> Vec<u32> {
    scan.signal(Signal::SIGTSTP);
    eventually("a coordinator that stands still", || stands_still(scan.pid()));
    // Workers were told first, but are not stopped the same instant.
    let workers = live_workers(scan.pid());
    for &worker in &workers {
        eventually("a worker that stands still", || stands_still(worker));
    }
    workers
}

fn failures(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| kind(event) == "attempt_failed").collect()
}

#[test]
fn a_scan_that_stands_still_longer_than_its_timeout_goes_on_and_a_lone_stopped_worker_does_not() {
    let scratch = Scratch::new();
    scratch.slow_data();
    scratch.kscan(&format!("{SCAN} --out undisturbed")).run().exits(0);
    let line = format!("{SCAN} --out scan --retries 1 --timeout {}s", TIMEOUT.as_secs());
    let mut scan = scratch.kscan(&line).spawn();
    let first = scan.wait_for_worker();
    let workers = suspend(&scan);
    let stood_still = Instant::now();
    assert!(workers.contains(&first), "{workers:?}");
    // Real time has to pass: a little more than the runs may take in all.
    while stood_still.elapsed() < TIMEOUT + Duration::from_millis(100) {
        std::thread::sleep(Duration::from_millis(50));
        assert!(stands_still(scan.pid()));
        for &worker in &workers {
            assert!(is_live_worker(worker) && stands_still(worker), "{worker} of {workers:?}");
        }
    }
    scan.signal(Signal::SIGCONT);
    // The last run is begun only after all this.
    let last = scan.wait_for("run_started", |event| {
        assert_ne!(kind(event), "attempt_failed", "{event}");
        kind(event) == "run_started" && event["k"] == 26
    });
    for &worker in &workers {
        assert!(!is_live_worker(worker) || !stands_still(worker), "{worker} was left behind");
    }
    // Alone it is not excused.
    stop(crate::harness::pid_of(&last));
    let events = scan.finish().exits(0).events();
    let failed = failures(&events);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(attempt_of(failed[0]), (26, 0, 1));
    assert!(failed[0]["error"].as_str().expect("an error").contains("longer than 3s"));
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
    assert_eq!(pids(&events).len(), 4);
}

#[test]
fn what_comes_while_a_scan_stands_still_is_heard_when_it_goes_on() {
    let scratch = Scratch::new();
    scratch.slow_data();
    scratch.kscan(&format!("{SCAN} --out undisturbed")).run().exits(0);
    let mut scan = scratch.kscan(&format!("{SCAN} --out scan")).spawn();
    scan.wait_for_worker();
    // Twice over: it does not only work once.
    for _ in 0..2 {
        assert!(!suspend(&scan).is_empty());
        scan.signal(Signal::SIGCONT);
        scan.wait_for("run_progress", |event| kind(event) == "run_progress");
    }
    suspend(&scan);
    scan.signal(Signal::SIGINT);
    assert!(stands_still(scan.pid()));
    scan.signal(Signal::SIGCONT);
    let pid = scan.pid();
    scan.finish().exits(130);
    assert_eq!(workers_of(pid), [0_u32; 0]);
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
}

#[test]
fn workers_that_stand_still_die_with_their_coordinator() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&format!("{SCAN} --out scan")).spawn();
    scan.wait_for_worker();
    assert!(!suspend(&scan).is_empty());
    let pid = scan.pid();
    scan.signal(Signal::SIGKILL);
    scan.finish().killed_by(Signal::SIGKILL);
    eventually("the end of all workers", || workers_of(pid).is_empty());
}

#[test]
fn a_scan_stands_still_while_it_prepares_its_data() {
    let scratch = Scratch::new();
    let line = "run --k-low 2 --k-high 2 --n-init 1 --max-iter 1 --progress json --out scan";
    let mut scan = scratch.kscan(line).spawn();
    scan.wait_for("scan_started", |event| kind(event) == "scan_started");
    assert_eq!(suspend(&scan), [0_u32; 0], "it came too late");
    scan.signal(Signal::SIGCONT);
    let events = scan.finish().exits(0).events();
    assert_eq!(pids(&events).len(), 1);
}
