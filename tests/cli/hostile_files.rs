//! Files of a run folder and beside it that somebody has made up, and data that changes under the
//! reader's eyes. `crates/hostile` has the readers by themselves.

use crate::harness::{Scratch, has_controls, npy_f64, slow_in_turn, stop, undisturbed};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

const SCAN: &str = "run four.npy --k-low 2 --k-high 2 --n-init 1 --out scan";

/// A folder with data and a scan of it.
fn scanned() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("four.npy", npy_f64(&[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0], [8.0, 1.0]]));
    scratch.kscan(SCAN).run().exits(0);
    scratch
}

/// Every command that reads a scan.
const READERS: [&str; 4] =
    ["resume scan", "predict scan four.npy --k 2", "status scan", "report scan"];

#[test]
fn a_configuration_that_cannot_be_is_refused_and_named() {
    for (key, value) in [
        ("k_step", json!(0)),
        ("k_low", json!(0)),
        ("n_init", json!(0)),
        ("n_proc", json!(0)),
        ("max_iter", json!(0)),
        ("tol", json!(-1)),
        ("gap", json!(0)),
        ("gap", json!(1001)),
        ("timeout_s", json!(-5.0)),
        ("timeout_s", json!(1e300)),
        ("k_low", json!(3)),
    ] {
        let scratch = scanned();
        let path = scratch.join("scan/scan.json");
        let mut scan: Value = serde_json::from_slice(&fs::read(&path).expect("it")).expect("JSON");
        scan["config"][key] = value;
        fs::write(&path, scan.to_string()).expect("it is written");
        for line in READERS {
            scratch.kscan(line).run().exits(3).names(&["scan.json", key]);
        }
        scratch.kscan("verify scan --quiet").run().exits(5).names(&["scan.json", key]);
    }
}

#[test]
fn more_runs_than_can_be_listed_are_refused() {
    let scratch = scanned();
    let line = "run four.npy --k-low 1 --k-high 4 --n-init 4294967295 --out more";
    scratch.kscan(line).run().exits(2).names(&["17179869180 runs"]);
    assert!(!scratch.join("more").exists());

    let path = scratch.join("scan/scan.json");
    let mut scan: Value = serde_json::from_slice(&fs::read(&path).expect("it")).expect("JSON");
    scan["config"]["n_init"] = json!(u32::MAX);
    fs::write(&path, scan.to_string()).expect("it is written");
    scratch.kscan("resume scan").run().exits(2).names(&["4294967295 runs"]);
    scan["config"]["k_high"] = json!(u32::MAX);
    fs::write(&path, scan.to_string()).expect("it is written");
    scratch.kscan("resume scan").run().exits(3).names(&["4 rows", "4294967295"]);
    scratch.kscan("verify scan --quiet").run().exits(5).names(&["scan.json", "k_high"]);
}

#[test]
fn control_characters_in_a_file_do_not_reach_the_terminal() {
    let scratch = scanned();
    let path = scratch.join("scan/scan.json");
    let text = fs::read_to_string(&path).expect("scan.json");
    fs::write(&path, text.replace("\"complete\"", r#""\u001b[2J\nno""#)).expect("it is written");
    // `exits` makes sure that there is a line of cause and that neither has controls.
    for line in READERS {
        scratch.kscan(line).run().exits(3).names(&["scan.json", "[2J"]);
    }
    scratch.kscan("verify scan --quiet").run().exits(5).names(&["[2J"]);
    scratch.write("curve.csv", "k,inertia\n\u{1b}[2J,1\n");
    let refused = scratch.kscan("elbow curve.csv").run().exits(3);
    refused.names(&["curve.csv"]);
    assert!(!has_controls(refused.cause()), "{}", refused.stderr);
}

#[test]
fn devices_pipes_and_folders_in_place_of_files_are_refused() {
    let place = |path: &Path, what: &str| {
        fs::remove_file(path).expect("it is there");
        match what {
            "folder" => fs::create_dir(path).expect("a folder"),
            "pipe" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe"),
            "empty" => drop(File::create(path).expect("a file")),
            device => symlink(device, path).expect("a link"),
        }
    };
    for what in ["folder", "pipe", "empty", "/dev/zero", "/dev/null"] {
        for (file, lines) in [
            ("scan.json", &READERS[..]),
            ("journal.bin", &["resume scan", "status scan"]),
            ("best/k02.npz", &["predict scan four.npy --k 2"]),
        ] {
            let scratch = scanned();
            place(&scratch.join("scan").join(file), what);
            for line in lines {
                scratch.kscan(line).run().exits(3).names(&[file]);
            }
            scratch.kscan("verify scan --quiet").run().exits(5).names(&[file]);
        }
        let scratch = scanned();
        scratch.write("init.npz", "");
        place(&scratch.join("init.npz"), what);
        let line = "run four.npy --k-low 2 --k-high 2 --init init.npz --out other";
        scratch.kscan(line).run().exits(3).names(&["init.npz"]);
        assert!(!scratch.join("other").exists());
    }
    let scratch = scanned();
    for (data, words) in
        [("/dev/null", "empty"), ("/dev/zero", "00 00 00"), ("/proc/self/mem", "/proc/self/mem")]
    {
        let line = format!("run {data} --k-low 2 --k-high 2 --out other");
        scratch.kscan(&line).run().exits(3).names(&[data, words]);
    }
    scratch.kscan("elbow /dev/zero").run().exits(3).names(&["/dev/zero"]);
    scratch.kscan("elbow /dev/null").run().exits(0);
}

/// Starts reading 128 MiB of data, stops the program between its first byte and its last, does
/// `change` to the file, and tells how the program ends.
#[track_caller]
fn changed_while_read(change: impl Fn(&File), words: &[&str]) {
    const BODY: u64 = 128 << 20;
    let scratch = Scratch::new();
    let path = scratch.join("data.idx");
    loop {
        // Holes take no disk.
        let mut file = File::create(&path).expect("a file");
        file.write_all(&[0, 0, 8, 2, 0, 1, 0, 0, 0, 0, 8, 0]).expect("a header");
        file.set_len(12 + BODY).expect("room for holes");
        let mut scan = scratch.kscan("run data.idx --k-low 2 --k-high 2 --out scan").spawn();
        let folder = format!("/proc/{}", scan.pid());
        // Where it is in the file; nothing while it has not opened it, or any more.
        let position = || {
            fs::read_dir(format!("{folder}/fd")).ok()?.flatten().find_map(|entry| {
                let is_data = fs::read_link(entry.path()).is_ok_and(|target| target == path);
                let info = format!("{folder}/fdinfo/{}", entry.file_name().display());
                let info = is_data.then(|| fs::read_to_string(info).ok()).flatten()?;
                info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())
            })
        };
        let is_reading = |position: Option<u64>| position.is_some_and(|at| at > 0 && at < BODY);
        while !is_reading(position()) && !scan.has_ended() {
            std::thread::yield_now();
        }
        if !scan.has_ended() {
            stop(scan.pid());
        }
        if is_reading(position()) {
            change(&OpenOptions::new().write(true).open(&path).expect("the file"));
            scan.signal(Signal::SIGCONT);
            scan.finish().exits(3).names(&[&["data.idx"], words].concat());
            assert_eq!(scratch.contents(), ["data.idx"], "something is left behind");
            return;
        }
        // It was faster: once more.
        if !scan.has_ended() {
            scan.signal(Signal::SIGKILL);
        }
        scan.finish();
        drop(fs::remove_dir_all(scratch.join("scan")));
    }
}

#[test]
fn data_that_is_changed_while_it_is_read_is_refused() {
    changed_while_read(
        |mut file| file.write_all(&[0, 0, 8, 2]).expect("a write"),
        &["changed while it was read"],
    );
}

#[test]
fn data_that_is_cut_while_it_is_read_is_refused() {
    changed_while_read(
        |file| file.set_len(100).expect("it can be cut"),
        &["changed while it was read"],
    );
}

#[test]
fn the_kept_copy_of_the_shared_file_can_be_cut_under_a_scan() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let mut scan = scratch.kscan(&slow_in_turn()).arg("--keep-shared").spawn();
    scan.wait_for_worker();
    let copy = OpenOptions::new().write(true).open(scratch.join("scan/shared.bin"));
    copy.expect("the copy").set_len(100).expect("it can be cut");
    scan.finish().exits(0);
    assert_eq!(&scratch.scan("scan").digests(), undisturbed());
}
