//! Random scans with random mischief: each ends as the scan that nothing disturbed.
//!
//! A few rounds by default; `scripts/soak` asks for many. A round is a function of its seed, but for
//! the moments at which signals arrive.

use crate::harness::{
    Live, Outcome, Scan, Scratch, assert_no_shared_file, contents, eventually, kind, live_workers,
    noise, npy, workers_of,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most calls of a round that are disturbed.
const DISTURBED: u64 = 5;

#[test]
fn whatever_is_done_to_a_scan_it_ends_as_if_nothing_had_been() {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")),
        Err(_) => default,
    };
    let (rounds, first) = (number("KSCAN_SOAK_ROUNDS", 5), number("KSCAN_SOAK_SEED", 1));
    let mut total = Figures::default();
    for seed in first..first + rounds {
        print!("seed {seed}: ");
        let begin = Instant::now();
        let figures = round(seed);
        println!("{figures}, {:.2} s", begin.elapsed().as_secs_f64());
        total.add(figures);
    }
    println!("{rounds} rounds: {total}");
}

/// What was done, how many times.
#[derive(Default)]
struct Figures(BTreeMap<String, u64>);

impl Figures {
    fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.0.iter().map(|(what, count)| format!("{what} {count}")).collect();
        write!(f, "{}", counts.join(", "))
    }
}

struct Random(ChaCha8Rng);

impl Random {
    /// A number in `0..n`; of a bias that does not matter here.
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// A scan, what disturbs it, and that it ends well.
fn round(seed: u64) -> Figures {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let mut figures = Figures::default();
    let scratch = Scratch::new();
    let (n, d) = (random.between(50, 6000) as usize, random.between(1, 24) as usize);
    let bytes: Vec<u8> = noise(n * d, random.0.next_u64()).flat_map(f32::to_le_bytes).collect();
    scratch.write("data.npy", npy("<f4", false, &[n, d], &bytes));

    let k_low = random.between(1, 20);
    let scan = format!(
        "run data.npy --k-low {k_low} --k-high {} --n-init {} --n-proc {} --seed {} --tol 0 \
         --max-iter {} --dispatch {} --engine {} --init {} --scale {} --progress json{}",
        k_low + random.below(4),
        random.between(1, 4),
        random.between(1, 4),
        random.below(1000),
        random.between(1, 60),
        random.one_of(&["rolling", "batch"]),
        random.one_of(&["plain", "fast"]),
        random.one_of(&["k-means++", "random"]),
        random.one_of(&["standard", "none"]),
        random.one_of(&["", "", " --gap 1", " --gap 2"]),
    );
    let undisturbed = scratch.kscan(&format!("{scan} --out undisturbed")).run().exits(0);
    let events = undisturbed.events().len() as u64;
    let expected = results(&scratch.scan("undisturbed"));

    // A stopped worker takes seconds to be found out: not in each round.
    let stops = random.one_in(12);
    let limits = if stops { " --timeout 2s" } else { "" };
    let first = format!("{scan} --retries {}{limits} --out scan", random.below(4));
    let next = |random: &mut Random| {
        if scratch.join("scan/scan.json").exists() {
            format!("resume scan --progress json --n-proc {}", random.between(1, 4))
        } else {
            first.clone()
        }
    };
    let mut coordinators = Vec::new();
    for _ in 0..random.between(1, DISTURBED) {
        let line = next(&mut random);
        figures.count(if line.starts_with("run") { "runs" } else { "resumes" });
        let scan = scratch.kscan(&line).spawn();
        coordinators.push(disturb(&mut random, scan, events, stops, &mut figures));
        assert_no_shared_file(&scratch);
        let of_references = (0..2).map(|number| format!("scan/gap/r{number:02}/journal.bin"));
        for name in std::iter::once("scan/journal.bin".to_owned()).chain(of_references) {
            let journal = scratch.join(&name);
            // A worker that was just being started when its coordinator was killed has the journal
            // open, and so locked, until it has become itself: `resume` does not wait for that yet.
            let is_free = || File::open(&journal).is_ok_and(|file| file.try_lock_shared().is_ok());
            if journal.exists() && !is_free() {
                figures.count("journals locked for a moment");
                eventually("a journal that nobody has open", is_free);
            }
            if journal.exists() && random.one_in(2) {
                figures.count(damage(&mut random, &journal));
            }
        }
    }
    let line = next(&mut random);
    figures.count(if line.starts_with("run") { "last runs" } else { "last resumes" });
    let last = scratch.kscan(&line).spawn();
    let pid = last.pid();
    last.finish().exits(0);
    assert_eq!(workers_of(pid), [0_u32; 0]);
    // One that was just being started when its coordinator was killed has its name a moment later, and
    // then finds out.
    for coordinator in coordinators {
        eventually("the end of all workers", || workers_of(coordinator).is_empty());
    }
    assert_no_shared_file(&scratch);
    assert_eq!(results(&scratch.scan("scan")), expected);
    for name in contents(&scratch.join("undisturbed/best")) {
        let read = |scan: &str| fs::read(scratch.join(scan).join("best").join(&name));
        assert!(read("scan").ok() == read("undisturbed").ok(), "best/{name}");
    }
    for name in ["curve.csv", "elbow.csv", "criteria.csv"] {
        let read = |scan: &str| fs::read_to_string(scratch.join(scan).join(name)).expect("a table");
        assert_eq!(read("scan"), read("undisturbed"), "{name}");
    }
    let names = contents(&scratch.join("scan"));
    let left: Vec<_> = names.iter().filter(|name| name.contains(".kscan-")).collect();
    assert!(left.is_empty(), "{left:?}");
    figures
}

/// What scan.json says of results: all but what differs from one time to the next.
fn results(scan: &Scan) -> Value {
    let mut config = scan.json["config"].clone();
    for name in ["n_proc", "retries", "timeout_s"] {
        config.as_object_mut().expect("a table").remove(name);
    }
    let run = |run: &Value| {
        let names =
            ["k", "init_id", "status", "inertia", "n_iter", "stop", "init_rows", "digest", "error"];
        names.map(|name| run[name].clone())
    };
    json!({
        "status": scan.json["status"],
        "config": config,
        "data": scan.json["data"],
        "runs": scan.runs().iter().map(run).collect::<Vec<_>>(),
        "best": scan.json["best"],
        "elbow": scan.json["elbow"],
        "references": scan.json["references"],
    })
}

/// Does mischief to a scan that is running, waits for its end, and asserts that it ended in a way
/// that is to be expected of it; tells which process it was. Undisturbed it would tell of `events`.
fn disturb(
    random: &mut Random,
    mut scan: Live,
    events: u64,
    stops: bool,
    figures: &mut Figures,
) -> u32 {
    let pid = scan.pid();
    let sent = random.one_of(&[
        None,
        Some(Signal::SIGKILL),
        Some(Signal::SIGKILL),
        Some(Signal::SIGKILL),
        Some(Signal::SIGTERM),
        Some(Signal::SIGINT),
        Some(Signal::SIGHUP),
    ]);
    let send_it = |random: &mut Random, figures: &mut Figures| {
        let Some(signal) = sent else { return };
        // A second one ends a scan at once.
        for _ in 0..if random.one_in(4) { 2 } else { 1 } {
            // Nobody waits for it before its end is asserted: its id is nobody else's.
            if tell(pid, signal) {
                figures.count(format!("coordinator {signal}"));
            }
        }
    };
    let at = if random.one_in(3) {
        // Any moment, also before it tells of anything: this is no waiting for something.
        std::thread::sleep(Duration::from_micros(random.below(40_000)));
        send_it(random, figures);
        None
    } else {
        Some(random.below(events + 1))
    };
    let share = random.below(4);
    let mut stopped = !stops;
    let mut event = 0;
    while let Some(told) = scan.next_whole_event() {
        if at == Some(event) {
            send_it(random, figures);
        }
        event += 1;
        if random.below(events.max(8)) < share && kind(&told) != "run_finished" {
            let signal = random.one_of(&[Signal::SIGKILL, Signal::SIGTERM, Signal::SIGABRT]);
            let signal = if stopped { signal } else { Signal::SIGSTOP };
            let workers = live_workers(pid);
            if !workers.is_empty() && tell(random.one_of(&workers), signal) {
                stopped = true;
                figures.count(format!("worker {signal}"));
            }
        }
    }
    let ended = scan.finish();
    assert!(is_as_expected(&ended, sent), "after {sent:?}: {ended:?}");
    if ended.status.signal().is_none() {
        assert_eq!(workers_of(pid), [0_u32; 0], "after {sent:?}: {ended:?}");
    }
    pid
}

/// Whether a scan that was sent this signal may end like that.
fn is_as_expected(ended: &Outcome, sent: Option<Signal>) -> bool {
    let code = match sent {
        Some(Signal::SIGINT) => Some(130),
        Some(Signal::SIGTERM | Signal::SIGHUP) => Some(143),
        _ => None,
    };
    match (ended.status.code(), ended.status.signal()) {
        // Finished before the signal came, or with runs that failed for good.
        (Some(0 | 4), _) => true,
        (Some(ended), _) => Some(ended) == code,
        // Signals that come before it listens end it at once.
        (None, by) => by == sent.map(|signal| signal as i32),
    }
}

/// Whether the signal found someone.
fn tell(pid: u32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), signal).is_ok()
}

/// Does to a journal what crashes and disks do, and tells what: all but its beginning, without which
/// it is none.
fn damage(random: &mut Random, path: &Path) -> &'static str {
    let bytes = fs::read(path).expect("the journal");
    let Some(header) = bytes.get(8..12) else { return "journals without a beginning" };
    // Magic, and the first frame: length, checksum, payload.
    let start = 16 + u64::from(u32::from_le_bytes(header.try_into().expect("four bytes")));
    let length = bytes.len() as u64;
    let mut journal = OpenOptions::new().write(true).open(path).expect("the journal");
    if length > start && random.one_in(2) {
        if random.one_in(4) {
            let at = random.between(start, length - 1);
            journal.seek(SeekFrom::Start(at)).expect("a place in it");
            journal.write_all(&[bytes[at as usize] ^ (1 << random.below(8))]).expect("a byte");
            return "bits flipped";
        }
        let tail = (length - start).min(random.between(1, 20_000));
        journal.set_len(length - random.between(1, tail)).expect("a shorter file");
        return "journals cut";
    }
    journal.seek(SeekFrom::End(0)).expect("its end");
    journal.write_all(&vec![0; random.between(1, 8192) as usize]).expect("the disk takes it");
    "journals with zeros"
}
