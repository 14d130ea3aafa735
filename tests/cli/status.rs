//! `status`, while a scan runs.

use crate::harness::{SLOW, Scratch, has_controls, kind, send, slow_in_turn, stop, workers_of};
use nix::sys::signal::Signal;

#[test]
fn it_shows_what_workers_do_and_how_long_it_takes() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&slow_in_turn()).spawn();
    scan.wait_for_worker();
    let status = || {
        let status = scratch.kscan("status scan").run().exits(0).stdout;
        assert!(!has_controls(&status), "{status:?}");
        status
    };
    let first = status();
    assert!(first.starts_with("running: 0 of 3 runs finished, 0 failed\n"), "{first}");
    assert!(first.contains("\nk24-i00  iteration "), "{first}");
    let touched = first.lines().last().expect("a worker").contains("% of rows touched, ");
    assert!(touched, "{first}");

    scan.wait_for("run_finished", |event| kind(event) == "run_finished");
    let pid = scan.wait_for_worker();
    stop(pid);
    let second = status();
    assert!(second.starts_with("running: 1 of 3 runs finished, 0 failed, about "), "{second}");
    assert!(second.lines().next().expect("a line").ends_with(" left"), "{second}");
    assert!(second.contains("\nk =  24    1/1  best inertia "), "{second}");
    assert!(second.contains("\nk25-i00  iteration "), "{second}");
    assert!(!second.contains("k24-i00"), "{second}");
    send(pid, Signal::SIGCONT);
    scan.finish().exits(0);
    assert!(status().starts_with("complete: 3 of 3 runs finished, 0 failed\n"));
}

#[test]
fn runs_that_were_stopped_are_not_shown_as_running_when_the_scan_is_resumed() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    scan.wait_for_worker();
    scan.wait_for_worker();
    scan.signal(Signal::SIGINT);
    scan.finish().exits(130);
    let mut scan = scratch.kscan("resume scan --n-proc 1 --progress json").spawn();
    let pid = scan.wait_for_worker();
    stop(pid);
    let status = scratch.kscan("status scan").run().exits(0).stdout;
    let workers = status.lines().filter(|line| line.contains("-i00  "));
    assert_eq!(workers.count(), workers_of(scan.pid()).len(), "{status}");
    send(pid, Signal::SIGCONT);
    scan.finish().exits(0);
}

#[test]
fn watched_it_ends_when_the_scan_does() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    scan.wait_for_worker();
    let mut watch = scratch.kscan("status scan --watch").spawn();
    let first = watch.next_line().expect("a line");
    assert!(first.starts_with("running: "), "{first}");
    scan.finish().exits(0);
    let watch = watch.finish().exits(0);
    assert!(!has_controls(&watch.stdout), "{:?}", watch.stdout);
    let complete = watch.stdout.lines().position(|line| line.starts_with("complete: 3 of 3 runs"));
    // Before it a few lines, after it one for each k.
    assert_eq!(watch.stdout.lines().count() - complete.expect("it was seen to its end"), 4);
    scratch.kscan("status scan --watch").run().exits(0);
}
