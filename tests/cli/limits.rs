//! Threads, open files and memory that are not to be had: refused with figures, or done with less.

use crate::harness::{Outcome, Scratch, kind, noise, npy, workers_of};
use serde_json::Value;

/// Two small runs, both at a time.
const SCAN: &str = "run digits --k-low 3 --k-high 4 --n-init 1 --n-proc 2 --progress json";

fn undisturbed() -> Scratch {
    let scratch = Scratch::new();
    scratch.kscan(&format!("{SCAN} --out undisturbed")).run().exits(0);
    scratch
}

/// Asserts that the scan is finished, if need be by `resume`, as if nothing had been.
fn assert_goes_on(scratch: &Scratch) {
    let begun = scratch.join("scan").exists();
    let line = if begun { "resume scan".to_owned() } else { format!("{SCAN} --out scan") };
    scratch.kscan(&line).run().exits(0);
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
    std::fs::remove_dir_all(scratch.join("scan")).expect("a scan");
}

fn fewer_workers(run: &Outcome) -> Option<Value> {
    run.events().into_iter().find(|event| kind(event) == "fewer_workers")
}

#[test]
fn open_files_are_worked_out_before_they_are_taken() {
    let scratch = undisturbed();
    let (mut refused, mut done) = (0, 0);
    for limit in 3..48 {
        let line = format!("{SCAN} --out scan");
        let run = scratch.kscan_after(&format!("ulimit -n {limit}"), &line).run();
        match run.status.code() {
            Some(0) => done += 1,
            Some(6) => {
                run.names(&["open files", &format!(" {limit}")]);
                refused += 1;
            }
            // It was not even loaded.
            Some(127) => assert!(run.stderr.contains("shared libraries"), "{run:?}"),
            _ => panic!("{limit}: {run:?}"),
        }
        if limit == 32 {
            let fewer = fewer_workers(&run).expect("fewer workers");
            assert_eq!((&fewer["n_proc"], &fewer["asked"]), (&1.into(), &2.into()));
            assert_eq!(fewer["short"], "open files (ulimit -n)");
        }
        assert_goes_on(&scratch);
    }
    assert!(refused > 20 && done > 10, "{refused} refused, {done} done");
}

#[test]
fn a_soft_limit_on_open_files_is_raised_for_many_workers() {
    let scratch = undisturbed();
    let line = format!("{} --out scan", SCAN.replace("--n-proc 2", "--n-proc 200"));
    let run = scratch.kscan_after("ulimit -S -n 32", &line).run().exits(0);
    assert_eq!(fewer_workers(&run), None);
    assert_goes_on(&scratch);
}

#[test]
fn a_limit_on_processes_and_threads_is_told_of_and_the_scan_goes_on_without_it() {
    let scratch = undisturbed();
    let Some((program, uid)) = scratch.hand_over() else { return };
    let mut codes = Vec::new();
    for limit in 1..=7 {
        let setup = format!("prlimit --pid $$ --nproc={limit}:{limit}");
        let line = format!("{SCAN} --retries 1 --out scan");
        let run = scratch.program_after(&setup, &program, &line).user(uid).spawn();
        let coordinator = run.pid();
        let run = run.finish();
        assert_eq!(workers_of(coordinator), [0_u32; 0]);
        codes.push(run.status.code().unwrap_or_else(|| panic!("{limit}: {run:?}")));
        match run.status.code() {
            Some(0) => {}
            Some(6) => {
                run.names(&["threads", "temporarily unavailable"]);
                assert!(run.stderr.contains("ulimit -u"), "{run:?}");
            }
            Some(4) => {
                let scan = scratch.scan("scan");
                let failed = scan.runs().iter().filter(|run| run["status"] == "failed");
                for run in failed {
                    let error = run["error"].as_str().expect("an error");
                    assert!(error.contains("temporarily unavailable"), "{error}");
                }
            }
            _ => panic!("{limit}: {run:?}"),
        }
        let begun = scratch.join("scan").exists();
        let line = if begun { "resume scan" } else { line.as_str() };
        scratch.program(&program, line).user(uid).run().exits(0);
        assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
        std::fs::remove_dir_all(scratch.join("scan")).expect("a scan");
    }
    println!("{codes:?}");
    assert_eq!((codes[0], codes[6]), (6, 0), "{codes:?}");
    assert!(codes.contains(&4), "{codes:?}");
}

/// 200,000 rows of 2 columns, of which the figures are of some size.
fn many_rows(scratch: &Scratch) {
    let (n, d) = (200_000, 2);
    let bytes: Vec<u8> = noise(n * d, 1).flat_map(f32::to_le_bytes).collect();
    scratch.write("many.npy", npy("<f4", false, &[n, d], &bytes));
}

const MANY: &str = "run many.npy --k-low 3 --k-high 4 --n-init 2 --max-iter 5 --n-proc 4 \
                    --progress json --out";

#[test]
fn memory_lowers_the_number_of_workers_and_changes_no_bit() {
    let scratch = Scratch::new();
    many_rows(&scratch);
    let free = scratch.kscan(&format!("{MANY} free")).run().exits(0);
    assert_eq!(fewer_workers(&free), None);
    let mut fewest = 5;
    // Far too much, then less and less, until not even one worker fits.
    for limit in (40..=300).rev().step_by(20) {
        let folder = format!("scan{limit}");
        let run = scratch.kscan(&format!("{MANY} {folder} --memory {limit}MiB")).run();
        if run.status.code() == Some(6) {
            run.names(&["of memory", "MiB", &format!("there is {limit}.00 MiB")]);
            assert!(run.stderr.contains("--memory"), "{}", run.stderr);
            assert!(!scratch.join(&folder).exists());
            assert_eq!(fewest, 1, "one worker has not been tried");
            return;
        }
        let run = run.exits(0);
        let n_proc = fewer_workers(&run).map_or(4, |event| {
            assert_eq!((&event["asked"], &event["short"]), (&4.into(), &"memory".into()));
            event["n_proc"].as_u64().expect("a number")
        });
        assert!(n_proc <= fewest, "{n_proc} after {fewest}");
        fewest = n_proc;
        let scan = scratch.scan(&folder);
        assert_eq!(scan.json["config"]["n_proc"], n_proc);
        let mut slots = scan.runs().iter().map(|run| run["slot"].as_u64().expect("a slot"));
        assert!(slots.all(|slot| slot < n_proc), "never more at a time than that");
        assert_eq!(scan.digests(), scratch.scan("free").digests());
    }
    panic!("no limit was too small");
}

#[test]
fn data_larger_than_memory_is_refused_before_it_is_read() {
    let scratch = Scratch::new();
    many_rows(&scratch);
    let text = std::fs::read(scratch.join("many.npy")).expect("the data");
    scratch.write("many.npy.gz", crate::harness::gzip(&text));
    for data in ["many.npy", "many.npy.gz"] {
        let line = format!("run {data} --memory 1MiB --out scan");
        let run = scratch.kscan(&line).run().exits(6);
        run.names(&[data, "1600000 bytes", "1048576"]);
        assert!(!scratch.join("scan").exists());
    }
}

#[test]
fn resume_may_be_given_less_memory() {
    let scratch = Scratch::new();
    many_rows(&scratch);
    scratch.kscan(&format!("{MANY} scan --retries 0 --worker-program /bin/false")).run().exits(4);
    scratch.kscan("resume scan --memory 1MiB").run().exits(6).names(&["1048576"]);
    let resumed = scratch.kscan("resume scan --memory 110MiB --progress json").run().exits(0);
    let fewer = fewer_workers(&resumed).expect("fewer workers");
    assert!(fewer["n_proc"].as_u64() < Some(4), "{fewer}");
    assert_eq!(scratch.scan("scan").status(), "complete");
}
