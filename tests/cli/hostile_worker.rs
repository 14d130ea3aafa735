//! Workers that cannot work, or cannot even start, because the machine will not: told apart, named,
//! tried again, and nothing else is taken down.

use crate::harness::{
    Live, Scratch, attempt_of, eventually, kind, limit, live_workers, noise, npy, send, stop,
    workers_of,
};
use nix::sys::signal::Signal;

use rustix::process::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Three runs, one after the other, of rows so many that their labels do not fit what memory an
/// allocator has at hand.
const SCAN: &str = "run many.npy --k-low 3 --k-high 5 --n-init 1 --tol 0 --max-iter 40 --n-proc 1 \
                    --progress json";

fn write_data(scratch: &Scratch) {
    let (n, d) = (600_000, 2);
    let bytes: Vec<u8> = noise(n * d, 1).flat_map(f32::to_le_bytes).collect();
    scratch.write("many.npy", npy("<f4", false, &[n, d], &bytes));
    scratch.kscan(&format!("{SCAN} --out undisturbed")).run().exits(0);
}

fn is(event: &Value, name: &str, k: u64) -> bool {
    kind(event) == name && event["k"] == k
}

/// Settings with which a worker asks for memory as it needs it: else its first piece is all that it takes
/// for small data.
const IN_SMALL_PIECES: &str = "glibc.malloc.hugetlb=0:glibc.malloc.top_pad=4096\
     :glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072";

/// Takes all further memory from the worker that is running.
fn starve(scan: &mut Live) -> (u32, u64) {
    let pid = scan.wait_for_worker();
    let k = scan.k_of(pid);
    stop(pid);
    limit(pid, Resource::As, Some(1 << 20));
    send(pid, Signal::SIGCONT);
    (pid, k)
}

#[test]
fn a_worker_without_memory_fails_alone_and_is_tried_again() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let scan = scratch.kscan(&format!("{SCAN} --out scan --retries 1"));
    let mut scan = scan.env("GLIBC_TUNABLES", IN_SMALL_PIECES).spawn();
    let (pid, k) = starve(&mut scan);
    let failed = scan.wait_for("attempt_failed", |event| kind(event) == "attempt_failed");
    assert_eq!((attempt_of(&failed), &failed["retried"]), ((k, 0, 1), &true.into()));
    let events = scan.finish().exits(0).events();
    assert_eq!(events.iter().filter(|event| kind(event) == "attempt_failed").count(), 1);
    // It says what it could not have before it ends.
    let said: Vec<String> = events
        .iter()
        .filter(|event| kind(event) == "run_stderr")
        .map(|event| event["line"].to_string())
        .collect();
    assert!(said.iter().any(|line| line.contains("memory allocation of")), "{said:?}");
    assert!(!crate::harness::is_live_worker(pid));
    let scan = scratch.scan("scan");
    assert_eq!(scan.run(k, 0)["attempts"], 2);
    assert_eq!(scan.digests(), scratch.scan("undisturbed").digests());
}

#[test]
fn a_run_without_memory_each_time_fails_for_good_and_is_named() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let scan = scratch.kscan(&format!("{SCAN} --out scan --retries 0"));
    let mut scan = scan.env("GLIBC_TUNABLES", IN_SMALL_PIECES).spawn();
    let (_, k) = starve(&mut scan);
    let coordinator = scan.pid();
    let run = scan.finish().exits(4);
    assert_eq!(workers_of(coordinator), [0_u32; 0]);
    let failed: Vec<Value> =
        run.events().into_iter().filter(|event| kind(event) == "run_failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(attempt_of(&failed[0]), (k, 0, 1));
    let log = failed[0]["log"].as_str().expect("the log's path");
    assert!(scratch.join(log).is_file(), "{log}");
    let scan = scratch.scan("scan");
    assert_eq!((scan.status(), scan.digests().len()), ("partial", 2));
    let error = scan.run(k, 0)["error"].as_str().expect("an error");
    for words in ["SIGABRT: memory allocation of ", " bytes failed", "(out of memory, likely by "] {
        assert!(error.contains(words), "no {words:?} in {error:?}");
    }
    let summary = scratch.kscan("report scan").run().exits(0).stdout;
    assert!(summary.contains(&format!("{error}, see scan/logs/k0{k}-i00.a1.jsonl")), "{summary}");
    scratch.kscan("resume scan").run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
}

/// Asserts that a worker could not be started because of `limit`, and that it says so.
fn assert_not_started(failed: &Value, limit: &str) {
    let error = failed["error"].as_str().expect("an error");
    assert!(error.contains("could not be started"), "{failed}");
    let likely = failed["likely"].as_str().expect("a likely cause");
    assert!(likely.contains(limit), "{failed}");
}

#[test]
fn workers_that_cannot_be_started_for_want_of_open_files_are_tried_again() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let mut scan = scratch.kscan(&format!("{SCAN} --out scan --retries 5")).spawn();
    scan.wait_for_worker();
    limit(scan.pid(), Resource::Nofile, Some(3));
    for _ in 0..3 {
        let failed = scan.wait_for("attempt_failed", |event| kind(event) == "attempt_failed");
        assert_not_started(&failed, "open files (ulimit -n)");
        assert!(attempt_of(&failed).0 > 3, "{failed}");
    }
    limit(scan.pid(), Resource::Nofile, Some(256));
    scan.finish().exits(0);
    let scan = scratch.scan("scan");
    assert!(scan.run(4, 0)["attempts"].as_u64() > Some(1), "{}", scan.run(4, 0));
    assert_eq!(scan.digests(), scratch.scan("undisturbed").digests());
}

#[test]
fn where_no_further_process_is_allowed_runs_fail_for_good_and_resume_makes_up_for_it() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let Some((program, uid)) = scratch.hand_over() else { return };
    let line = format!("{SCAN} --out scan --retries 1");
    let mut scan = scratch.program(&program, &line).user(uid).spawn();
    scan.wait_for_worker();
    // Only who is the same user may set it, unless with a capability that not each root has.
    let pid = scan.pid().to_string();
    let set =
        Command::new("prlimit").args(["--pid", &pid, "--nproc=1:"]).uid(uid).gid(uid).status();
    assert!(set.expect("prlimit, of util-linux").success());
    // While a run waits for its second attempt the next has its first.
    let mut failed = BTreeSet::new();
    for _ in 0..4 {
        let event = scan.wait_for("attempt_failed", |event| kind(event) == "attempt_failed");
        assert_not_started(&event, "processes (ulimit -u");
        failed.insert(attempt_of(&event));
    }
    assert_eq!(Vec::from_iter(failed), [(4, 0, 1), (4, 0, 2), (5, 0, 1), (5, 0, 2)]);
    let coordinator = scan.pid();
    let events = scan.finish().exits(4).events();
    for k in [4, 5] {
        assert!(events.iter().any(|event| is(event, "run_failed", k)), "k = {k}");
    }
    eventually("no worker", || live_workers(coordinator).is_empty());
    let partial = scratch.scan("scan");
    assert_eq!((partial.status(), partial.digests().len()), ("partial", 1));
    scratch.program(&program, "resume scan").user(uid).run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
}

#[test]
fn whatever_memory_there_is_a_scan_ends_and_goes_on_with_more() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let scan = SCAN.replace("--max-iter 40", "--max-iter 2");
    scratch.kscan(&format!("{scan} --out short")).run().exits(0);
    let expected = scratch.scan("short").digests();
    let mut ended = BTreeMap::<String, u32>::new();
    // In MiB of address space, for the coordinator and each worker. Where the program itself does
    // not fit, the kernel kills it before its first line.
    let starts = |limit: &u64| {
        let limited = scratch.kscan_after(&format!("ulimit -v {}", limit << 10), "--version");
        limited.run().status.code().is_some()
    };
    let least = (8..).step_by(2).find(starts).expect("it starts with enough");
    for limit in (least..least + 290).step_by(24) {
        let folder = format!("scan{limit}");
        let line = format!("{scan} --retries 1 --out {folder}");
        let run = scratch.kscan_after(&format!("ulimit -v {}", limit << 10), &line).run();
        match (run.status.code(), run.status.signal()) {
            (Some(0 | 4), _) => {}
            (Some(6), _) => run.names(&["memory"]),
            // It was not even loaded.
            (Some(127), _) => assert!(run.stderr.contains("shared libraries"), "{run:?}"),
            _ => panic!("{limit} MiB: {run:?}"),
        }
        *ended.entry(run.status.to_string()).or_default() += 1;
        let line = if scratch.join(&folder).exists() { format!("resume {folder}") } else { line };
        scratch.kscan(&line).run().exits(0);
        assert_eq!(scratch.scan(&folder).digests(), expected, "{limit} MiB");
    }
    println!("{ended:?}");
    assert!(ended.len() > 1, "all the same: {ended:?}");
}

/// A cgroup of its own with a limit on memory, gone when dropped; empty by then.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes it below the one that this process is in; `None` where that is not permitted.
    fn new(bytes: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").expect("it is there");
        let of = |name: &str| {
            let mut lines = groups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
            let line = lines.find(|line| line[1].split(',').any(|controller| controller == name));
            line.map(|line| line[2].trim_start_matches('/').to_owned())
        };
        let (root, own, limit) = match of("memory") {
            Some(own) => ("/sys/fs/cgroup/memory", own, "memory.limit_in_bytes"),
            None => ("/sys/fs/cgroup", of("").unwrap_or_default(), "memory.max"),
        };
        let name = format!("kscan-test-{}", std::process::id());
        let path = Path::new(root).join(own).join(name);
        let made = fs::create_dir(&path).and_then(|()| {
            let group = Self(path.clone());
            fs::write(path.join(limit), bytes.to_string())?;
            Ok(group)
        });
        made.inspect_err(|error| eprintln!("not tested: making a cgroup: {error}")).ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that has ended may be in it for a moment; there is nothing else to be done.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn in_a_cgroup_its_limit_holds_and_its_killer_is_named() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let Some(group) = Cgroup::new(400 << 20) else { return };
    let enter = format!("echo $$ > {}/cgroup.procs", group.0.display());
    // What does not fit is refused before it is taken; so are more workers than fit.
    let wide = SCAN.replace("--n-proc 1", "--n-proc 40");
    let run = scratch.kscan_after(&enter, &format!("{wide} --out fewer")).run().exits(0);
    let events = run.events();
    let fewer = events.iter().find(|event| kind(event) == "fewer_workers");
    assert!(fewer.expect("fewer workers")["n_proc"].as_u64() < Some(10), "{fewer:?}");
    assert_eq!(scratch.scan("fewer").digests(), scratch.scan("undisturbed").digests());

    // A worker that takes more than it should: all the memory there is, for one endless line.
    let script = scratch.write("greedy", "#!/bin/sh\nexec tail /dev/zero\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o700)).expect("an executable");
    let line = format!("{SCAN} --retries 0 --worker-program ./greedy --out killed");
    let events = scratch.kscan_after(&enter, &line).run().exits(4).events();
    let failed: Vec<_> = events.iter().filter(|event| kind(event) == "attempt_failed").collect();
    assert_eq!(failed.len(), 3);
    for failed in failed {
        assert!(failed["error"].as_str().expect("an error").contains("SIGKILL"), "{failed}");
        assert!(failed["likely"].as_str().expect("a cause").contains("OOM killer"), "{failed}");
    }
    scratch.kscan("resume killed").run().exits(0);
    assert_eq!(scratch.scan("killed").digests(), scratch.scan("undisturbed").digests());
}
