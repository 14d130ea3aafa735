//! Whole scans: what makes a difference to results, and what must not.

use crate::harness::{Digests, Scratch, noise, npy};
use std::fs;

/// The digests of a scan of the digits with these options.
fn digests(options: &str) -> Digests {
    let scratch = Scratch::new();
    let line = format!("run digits --k-low 2 --k-high 5 --n-init 2 --out scan {options}");
    scratch.kscan(&line).run().exits(0);
    let digests = scratch.scan("scan").digests();
    assert_eq!(digests.len(), 8);
    digests
}

#[test]
fn a_scan_ends_with_a_summary_that_marks_the_elbow() {
    let scratch = Scratch::new();
    let run = scratch.kscan("run digits --k-low 2 --k-high 8 --n-init 3 --out scan").run().exits(0);
    let scan = scratch.scan("scan");
    let elbow = scan.json["elbow"]["k"].as_u64().expect("an elbow");
    let marked: Vec<&str> = run.stdout.lines().filter(|line| line.contains("◀ elbow")).collect();
    assert_eq!(marked.len(), 1, "{}", run.stdout);
    assert_eq!(marked[0].split_whitespace().next(), Some(&*elbow.to_string()));
    assert!(run.stdout.contains(&format!("elbow at k = {elbow} ")), "{}", run.stdout);
    assert!(run.stdout.contains("21 of 21 runs, all done"), "{}", run.stdout);
    assert!(run.stdout.contains("results in scan"), "{}", run.stdout);
    for said in ["how sure: ", "other rules: Kneedle ", ", silhouette ", "verdict: "] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
    for best in scan.json["best"].as_array().expect("best") {
        let row = |line: &&str| {
            let mut words = line.split_whitespace();
            words.next() == Some(&best["k"].to_string())
                && words.nth(1) == Some(&best["init_id"].to_string())
                && words.next() == Some(&best["n_iter"].to_string())
        };
        assert!(run.stdout.lines().any(|line| row(&line)), "{best} in {}", run.stdout);
    }
}

#[test]
fn the_number_of_processes_and_the_dispatch_change_no_bit() {
    let expected = digests("--n-proc 1");
    for n_proc in [1, 2, 7] {
        for dispatch in ["rolling", "batch"] {
            for time in 1..=2 {
                let options = format!("--n-proc {n_proc} --dispatch {dispatch}");
                assert_eq!(digests(&options), expected, "{options}, time {time}");
            }
        }
    }
}

/// Of more rows than silhouettes are taken of, with labels: what is measured after the runs, by as
/// many processes, cores, instructions and sittings as may be.
#[test]
fn criteria_are_the_same_bits_however_they_are_found() {
    let scratch = Scratch::new();
    let (n, d) = (2500, 5);
    let values: Vec<u8> = noise(n * d, 3).flat_map(f32::to_le_bytes).collect();
    scratch.write("data.npy", npy("<f4", false, &[n, d], &values));
    let labels: Vec<u8> = (0..n).map(|row| (row * row % 3) as u8).collect();
    scratch.write("labels.npy", npy("|u1", false, &[n], &labels));
    let line = "run data.npy --labels labels.npy --k-low 2 --k-high 7 --n-init 3";
    scratch.kscan(&format!("{line} --n-proc 1 --out one")).run().exits(0);
    scratch.kscan(&format!("{line} --n-proc 5 --simd portable --out many")).run().exits(0);
    scratch.kscan(&format!("{line} --n-proc 2 --out again")).run().exits(0);
    scratch.kscan("resume again").run().exits(0);
    let one_core = format!("{line} --out core");
    scratch.kscan_after("taskset -p -c 0 $$ > one_core", &one_core).run().exits(0);
    let expected = scratch.scan("one").json;
    for name in ["many", "again", "core"] {
        let found = scratch.scan(name).json;
        for key in ["elbow", "criteria", "choices", "verdict"] {
            assert_eq!(found[key], expected[key], "{name}: {key}");
        }
        for k in 2..=7 {
            let model = |name: &str| fs::read(scratch.join(name).join(format!("best/k{k:02}.npz")));
            let same = model(name).expect("a model") == model("one").expect("a model");
            assert!(same, "{name}: the model of k = {k}");
        }
    }
    for criteria in expected["criteria"].as_array().expect("criteria") {
        assert_eq!(criteria["silhouette"]["rows"], 2000);
        assert!(criteria["silhouette"]["standard_error"].as_f64().is_some_and(|error| error > 0.0));
    }
    scratch.kscan("verify many").run().exits(0);
}

#[test]
fn vector_instructions_change_no_bit() {
    let portable = digests("--simd portable");
    #[cfg(target_arch = "x86_64")]
    let flags = std::fs::read_to_string("/proc/cpuinfo").expect("the processor's features");
    #[cfg(target_arch = "x86_64")]
    for (level, available) in [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512", std::is_x86_feature_detected!("avx512vnni")),
        ("amx", flags.contains(" amx_int8")),
    ] {
        if available {
            assert_eq!(digests(&format!("--simd {level}")), portable, "{level}");
        }
    }
    assert_eq!(digests(""), portable);
}

#[test]
fn random_first_centroids_give_results_of_their_own_that_repeat() {
    let random = digests("--init random --n-proc 1");
    assert_eq!(digests("--init random --n-proc 7 --dispatch batch"), random);
    let seeded = digests("");
    assert!(random.iter().all(|(run, digest)| seeded[run] != *digest));
}

#[test]
fn another_seed_chooses_other_rows() {
    let rows = |seed: u32| {
        let scratch = Scratch::new();
        let line = format!("run digits --k-low 5 --k-high 5 --n-init 2 --seed {seed} --out scan");
        scratch.kscan(&line).run().exits(0);
        let scan = scratch.scan("scan");
        [0, 1].map(|init_id| scan.run(5, init_id)["init_rows"].to_string())
    };
    let (before, after) = (rows(0), rows(1));
    assert_ne!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
    // Nor do two initialisations of one k share their random numbers.
    assert_ne!(before[0], before[1]);
}

#[test]
fn a_run_does_not_depend_on_which_others_there_are() {
    let wide = digests("");
    let scratch = Scratch::new();
    scratch
        .kscan("run digits --k-low 3 --k-high 5 --k-step 2 --n-init 3 --out scan")
        .run()
        .exits(0);
    let narrow = scratch.scan("scan").digests();
    let runs: Vec<_> = narrow.keys().copied().collect();
    assert_eq!(runs, [(3, 0), (3, 1), (3, 2), (5, 0), (5, 1), (5, 2)]);
    for run in [(3, 0), (3, 1), (5, 0), (5, 1)] {
        assert_eq!(narrow[&run], wide[&run], "{run:?}");
    }
}

#[test]
fn a_tie_for_the_best_goes_to_the_lowest_init_id() {
    let scratch = Scratch::new();
    // One cluster is the same whatever it starts from.
    scratch
        .kscan("run digits --k-low 1 --k-high 1 --n-init 4 --n-proc 4 --out scan")
        .run()
        .exits(0);
    let scan = scratch.scan("scan");
    for init_id in 1..4 {
        assert_eq!(scan.run(1, init_id)["inertia"], scan.run(1, 0)["inertia"]);
    }
    assert_eq!(scan.best(1)["init_id"], 0);
}

#[test]
fn max_iter_ends_a_run_and_is_named_as_the_reason() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 9 --k-high 9 --n-init 2 --max-iter 2 --out scan";
    scratch.kscan(line).run().exits(0);
    for run in scratch.scan("scan").runs() {
        assert_eq!((&run["stop"], &run["n_iter"]), (&"max_iter".into(), &2.into()));
    }
}

#[test]
fn a_wide_tolerance_stops_by_shift() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 9 --k-high 9 --n-init 1 --tol 0.5 --out scan";
    scratch.kscan(line).run().exits(0);
    assert_eq!(scratch.scan("scan").run(9, 0)["stop"], "shift");
    scratch.kscan("run digits --k-low 9 --k-high 9 --n-init 1 --tol 0 --out zero").run().exits(0);
    assert_eq!(scratch.scan("zero").run(9, 0)["stop"], "labels");
}
