//! `trace.json`, held against the rules of the trace event format.

use crate::harness::{Live, SLOW, Scratch, kind, pid_of, send};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// A slice: when it began and ended, in microseconds, and what it is called.
type Slice = (u64, u64, String);

/// What a trace shows, after all its events have been found to keep the rules.
#[derive(Debug, Default)]
struct Timeline {
    /// The name of each track.
    tracks: BTreeMap<u64, String>,
    /// By category and track, in the order of their begins.
    slices: BTreeMap<(String, u64), Vec<Slice>>,
    /// By name, in the order they stand.
    counters: BTreeMap<String, Vec<(u64, u64)>>,
    /// What stands at a moment of a track.
    instants: Vec<(u64, u64, String)>,
}

impl Timeline {
    fn read(scratch: &Scratch) -> Self {
        let text = fs::read(scratch.join("scan/trace.json")).expect("trace.json");
        let trace: Value = serde_json::from_slice(&text).expect("it is JSON");
        // Of the object format, the list is what has to be there.
        let events = trace["traceEvents"].as_array().expect("a list of events");
        assert!(["ms", "ns"].contains(&trace["displayTimeUnit"].as_str().expect("a unit")));
        let mut timeline = Self::default();
        for event in events {
            timeline.add(event);
        }
        timeline.check();
        timeline
    }

    /// Asserts that an event has the fields of its phase, each of its type.
    fn add(&mut self, event: &Value) {
        let number = |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {event}"));
        let name = event["name"].as_str().unwrap_or_else(|| panic!("name: {event}")).to_owned();
        assert_eq!(number("pid"), 1, "{event}");
        let tid = number("tid");
        let keys: BTreeSet<&str> =
            event.as_object().expect("an object").keys().map(String::as_str).collect();
        let has = |phase: &[&str]| {
            let known = ["name", "ph", "pid", "tid"];
            let unknown = keys.iter().find(|key| !known.contains(key) && !phase.contains(key));
            assert_eq!(unknown, None, "{event}");
        };
        match event["ph"].as_str().expect("a phase") {
            "M" => {
                has(&["args"]);
                match name.as_str() {
                    "process_name" => assert!(event["args"]["name"].is_string(), "{event}"),
                    "thread_name" => {
                        let track = event["args"]["name"].as_str().expect("a name").to_owned();
                        assert_eq!(self.tracks.insert(tid, track), None, "{event}");
                    }
                    "thread_sort_index" => assert!(event["args"]["sort_index"].is_i64(), "{event}"),
                    _ => panic!("no such metadata: {event}"),
                }
            }
            "X" => {
                has(&["cat", "ts", "dur", "args"]);
                let category = event["cat"].as_str().expect("a category").to_owned();
                let (begin, end) = (number("ts"), number("ts") + number("dur"));
                self.slices.entry((category, tid)).or_default().push((begin, end, name));
            }
            "C" => {
                has(&["ts", "args"]);
                let args = event["args"].as_object().expect("what is counted");
                let [value] = args.values().collect::<Vec<_>>()[..] else { panic!("{event}") };
                let value = value.as_u64().expect("a number");
                self.counters.entry(name).or_default().push((number("ts"), value));
            }
            "i" => {
                has(&["cat", "ts", "s"]);
                assert_eq!(event["s"], "t", "{event}");
                self.instants.push((tid, number("ts"), name));
            }
            _ => panic!("no phase that is used here: {event}"),
        }
    }

    /// Asserts what holds between events.
    fn check(&self) {
        for ((category, tid), slices) in &self.slices {
            assert!(self.tracks.contains_key(tid), "{category}: track {tid} has no name");
            let in_turn = slices.windows(2).all(|pair| pair[0].1 <= pair[1].0);
            assert!(in_turn, "{category} of track {tid} overlap: {slices:?}");
        }
        for ((category, tid), phases) in &self.slices {
            if category == "phase" {
                let runs = &self.slices[&("run".to_owned(), *tid)];
                for phase in phases {
                    let within = |run: &&Slice| run.0 <= phase.0 && phase.1 <= run.1;
                    assert!(runs.iter().any(|run| within(&run)), "{phase:?} is in no run");
                }
            }
        }
        for (name, samples) in &self.counters {
            assert!(samples.is_sorted_by_key(|sample| sample.0), "{name} goes back in time");
        }
        assert!(self.instants.iter().all(|(tid, ..)| self.tracks.contains_key(tid)));
    }

    /// The runs of all slots, by name.
    fn runs(&self) -> BTreeMap<&str, Vec<&Slice>> {
        let mut runs: BTreeMap<&str, Vec<&Slice>> = BTreeMap::new();
        for (_, slices) in self.slices.iter().filter(|((category, _), _)| category == "run") {
            for slice in slices {
                runs.entry(&slice.2).or_default().push(slice);
            }
        }
        runs
    }

    /// The names of the phases in a run.
    fn phases(&self, run: &Slice) -> Vec<&str> {
        let phases = self.slices.iter().filter(|((category, _), _)| category == "phase");
        let has = |slices: &&Vec<Slice>, tid: u64| {
            self.slices[&("run".to_owned(), tid)].contains(run) && !slices.is_empty()
        };
        let of_track = phases.filter(|((_, tid), slices)| has(slices, *tid));
        let slices = of_track.flat_map(|(_, slices)| slices);
        let within = slices.filter(|phase| run.0 <= phase.0 && phase.1 <= run.1);
        within.map(|phase| phase.2.as_str()).collect()
    }
}

const ALL: [&str; 4] = ["prepare", "seed", "iterate", "write"];

#[test]
fn it_has_a_track_a_slot_a_slice_a_run_and_counters() {
    let scratch = Scratch::new();
    scratch
        .kscan("run digits --k-low 2 --k-high 6 --n-init 2 --n-proc 3 --out scan")
        .run()
        .exits(0);
    let timeline = Timeline::read(&scratch);
    let tracks: Vec<&str> = timeline.tracks.values().map(String::as_str).collect();
    assert_eq!(tracks, ["coordinator", "slot 0", "slot 1", "slot 2"]);
    let of_scan = &timeline.slices[&("scan".to_owned(), 0)];
    let names: Vec<&str> = of_scan.iter().map(|slice| slice.2.as_str()).collect();
    assert_eq!(names, ["prepare", "scan", "write"]);

    let scan = scratch.scan("scan");
    let runs = timeline.runs();
    assert_eq!(runs.len(), 10);
    for run in scan.runs() {
        let (k, init_id) = (&run["k"], &run["init_id"]);
        let [slice] = runs[format!("k0{k}-i0{init_id}").as_str()][..] else { panic!("{run}") };
        assert_eq!(timeline.phases(slice), ALL, "{run}");
        let seconds = |name: &str| run[name].as_f64().expect("seconds");
        let microseconds = |seconds: f64| (seconds * 1e6).round() as u64;
        assert_eq!(slice.0, microseconds(seconds("started_s")), "{run}");
        assert!(slice.1 >= microseconds(seconds("started_s") + seconds("wall_s")), "{run}");
        let (begin, end) = (of_scan[1].0, of_scan[1].1);
        assert!(begin <= slice.0 && slice.1 <= end, "{slice:?} is not in {of_scan:?}");
    }
    let touched = timeline.counters.iter().filter(|(name, _)| name.starts_with("rows touched"));
    let touched: Vec<&(u64, u64)> = touched.flat_map(|(_, samples)| samples).collect();
    let iterations: u64 = scan.runs().iter().filter_map(|run| run["n_iter"].as_u64()).sum();
    // One an iteration, and one at the end of each run.
    assert_eq!(touched.len() as u64, iterations + 10);
    assert!(touched.iter().all(|sample| sample.1 <= 1797));
    assert_eq!(touched.iter().map(|sample| sample.1).max(), Some(1797));
    assert!(timeline.counters["private memory, slot 2"].iter().any(|sample| sample.1 > 100_000));
    assert!(timeline.instants.is_empty());
}

#[test]
fn reference_scans_are_in_it_with_the_attempts_that_failed() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&format!("{SLOW} --gap 2")).spawn();
    let started = scan.wait_for("run_started", |event| {
        kind(event) == "run_started" && event["reference"] == 1 && event["k"] == 24
    });
    send(pid_of(&started), Signal::SIGKILL);
    scan.finish().exits(0);
    let timeline = Timeline::read(&scratch);
    let of_scan = &timeline.slices[&("scan".to_owned(), 0)];
    let names: Vec<&str> = of_scan.iter().map(|slice| slice.2.as_str()).collect();
    assert_eq!(names, ["prepare", "scan", "references", "write"]);
    let runs = timeline.runs();
    let attempts: Vec<(&str, usize)> =
        runs.iter().map(|(name, slices)| (*name, slices.len())).collect();
    let expected = [
        ("k24-i00", 1),
        ("k25-i00", 1),
        ("k26-i00", 1),
        ("r00 k24-i00", 1),
        ("r00 k25-i00", 1),
        ("r00 k26-i00", 1),
        ("r01 k24-i00", 2),
        ("r01 k25-i00", 1),
        ("r01 k26-i00", 1),
    ];
    assert_eq!(attempts, expected);
    for (name, slices) in &runs {
        let within = if name.starts_with('r') { &of_scan[2] } else { &of_scan[1] };
        let is_within = |run: &&Slice| within.0 <= run.0 && run.1 <= within.1;
        assert!(slices.iter().all(is_within), "{name}: {slices:?} is not in {within:?}");
        assert_eq!(timeline.phases(slices.iter().max().expect("a slice")), ALL, "{name}");
    }
    let [(_, _, cause)] = &timeline.instants[..] else { panic!("{:?}", timeline.instants) };
    assert!(cause.contains("attempt 1 failed") && cause.contains("SIGKILL"), "{cause}");
}

/// Kills the worker of a run that has done an iteration.
fn kill_one(scan: &mut Live) -> u64 {
    let pid = scan.wait_for_worker();
    let k = scan.k_of(pid);
    send(pid, Signal::SIGKILL);
    k
}

#[test]
fn attempts_that_failed_are_in_it_with_their_cause() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    let k = kill_one(&mut scan);
    scan.finish().exits(0);
    let timeline = Timeline::read(&scratch);
    let runs = timeline.runs();
    let attempts = &runs[format!("k{k}-i00").as_str()];
    assert_eq!(attempts.len(), 2);
    let (failed, second) = (attempts.iter().min().unwrap(), attempts.iter().max().unwrap());
    assert_eq!(timeline.phases(failed), ["prepare", "seed", "iterate"]);
    assert_eq!(timeline.phases(second), ALL);
    let [(_, at, cause)] = &timeline.instants[..] else { panic!("{:?}", timeline.instants) };
    assert_eq!(*at, failed.1);
    assert!(cause.contains("attempt 1 failed") && cause.contains("SIGKILL"), "{cause}");
}

#[test]
fn an_interrupted_scan_has_one_and_the_resumed_one_goes_on_with_it() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(SLOW).spawn();
    scan.wait_for("run_finished", |event| kind(event) == "run_finished");
    scan.wait_for_worker();
    scan.signal(Signal::SIGINT);
    scan.finish().exits(130);
    let before = Timeline::read(&scratch);
    assert!(before.runs().len() > 1, "what was stopped is in it: {before:?}");
    scratch.kscan("resume scan").run().exits(0);
    let after = Timeline::read(&scratch);
    assert_eq!(after.runs().len(), 3);
    for (name, slices) in before.runs() {
        // Nothing that was is shown at another time.
        let begins = |slices: &Vec<&Slice>| slices.iter().map(|slice| slice.0).min();
        assert_eq!(begins(&after.runs()[name]), begins(&slices), "{name}");
    }
}

#[test]
fn report_makes_it_again_and_without_logs_a_poorer_one() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 4 --n-init 1 --out scan").run().exits(0);
    let path = scratch.join("scan/trace.json");
    let whole = fs::read(&path).expect("trace.json");
    fs::remove_file(&path).expect("it can go");
    scratch.kscan("report scan").run().exits(0);
    assert_eq!(fs::read(&path).expect("trace.json"), whole);

    for log in fs::read_dir(scratch.join("scan/logs")).expect("logs") {
        fs::write(log.expect("a log").path(), b"{\"torn\": ").expect("it is ours");
    }
    scratch.kscan("report scan").run().exits(0);
    let timeline = Timeline::read(&scratch);
    assert!(timeline.counters.is_empty());
    let runs = timeline.runs();
    assert_eq!(runs.len(), 3);
    for slices in runs.values() {
        assert_eq!(timeline.phases(slices[0]), ALL);
    }
}
