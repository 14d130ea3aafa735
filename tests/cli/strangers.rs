//! What others have prepared: symbolic links where files are to be written, and names and words with
//! which a terminal could be told what to do.

use crate::harness::{Kscan, Scratch, contents, has_controls, npy_f64};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A scan of three runs, of which the first has failed; how to be a worker is in `false-worker`.
fn partial(name: &str, words: &str) -> Scratch {
    let scratch = Scratch::new();
    let real = env!("CARGO_BIN_EXE_kscan-coord");
    let script = format!("#!/bin/sh\nmkdir begun 2>&- || exec '{real}' \"$@\"\n{words}\nexit 1\n");
    let path = scratch.write("false-worker", script);
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("an executable");
    let line = "run digits --k-low 2 --k-high 4 --n-init 1 --n-proc 1 --retries 0 -q \
                --worker-program ./false-worker --out";
    scratch.kscan(line).arg(name).run().exits(4);
    scratch
}

#[test]
fn no_symbolic_link_is_followed_when_writing() {
    let names: Vec<String> = {
        let scratch = partial("scan", "");
        contents(&scratch.join("scan"))
    };
    assert!(names.len() > 20, "{names:?}");
    // The log that comes next is not there yet.
    for name in names.iter().map(String::as_str).chain(["logs/k02-i00.a2.jsonl"]) {
        let scratch = partial("scan", "");
        let inside = scratch.join("scan").join(name);
        let elsewhere = scratch.join("elsewhere");
        if inside.exists() {
            fs::rename(&inside, &elsewhere).expect("another name");
        }
        symlink(&elsewhere, &inside).expect("a link");
        let state = || -> Vec<(String, Option<Vec<u8>>)> {
            let names = scratch.contents().into_iter().filter(|name| name.starts_with("elsewhere"));
            names.map(|name| (name.clone(), fs::read(scratch.join(name)).ok())).collect()
        };
        let before = state();
        let resumed = scratch.kscan("resume scan").run();
        assert_eq!(state(), before, "{name}");
        match resumed.status.code() {
            // Another file has the name, or the link is to something that is only read.
            Some(0) => {
                assert_eq!(scratch.scan("scan").digests().len(), 3, "{name}");
                let log = name.starts_with("logs/k");
                assert!(log || !inside.symlink_metadata().expect("it").is_symlink(), "{name}");
            }
            _ => resumed.exits(if name == "journal.bin" { 3 } else { 6 }).names(&[name]),
        }
    }
}

#[test]
fn a_stricter_umask_holds() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can write into a folder that is not to be written into");
        return;
    }
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 3 --n-init 1 --keep-shared --out scan";
    scratch.kscan_after("umask 0277", line).run().exits(0);
    for name in contents(&scratch.join("scan")) {
        let metadata = scratch.join("scan").join(&name).metadata().expect("it is there");
        let expected = if metadata.is_dir() { 0o500 } else { 0o400 };
        assert_eq!(metadata.permissions().mode() & 0o7777, expected, "{name}");
    }
}

/// A title for the terminal's window, all erased, and the same with a single character for ESC [.
const HOSTILE: &str = "x\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}2Jy";

#[test]
fn no_word_of_strangers_reaches_the_terminal_as_it_is() {
    let words = r"printf 'x\033]0;title\007\033[2J\302\2332J\r\177y\n' >&2";
    let scratch = partial(HOSTILE, words);
    scratch.write(&format!("{HOSTILE}.npy"), npy_f64(&[[1.0], [2.0], [f64::NAN]]));
    scratch.write(&format!("{HOSTILE}-good.npy"), npy_f64(&[[1.0], [2.0], [3.0]]));
    // Also where the folder was made by someone else.
    let document = scratch.join(HOSTILE).join("scan.json");
    let text = fs::read_to_string(&document).expect("scan.json");
    let name = serde_json::to_string(HOSTILE).expect("a string");
    fs::write(&document, text.replace("\"name\": \"digits\"", &format!("\"name\": {name}")))
        .expect("scan.json");

    let said = |line: &str, words: &[&str]| {
        let call = words.iter().fold(scratch.kscan(line), Kscan::arg);
        let call = call.run();
        for text in [&call.stdout, &call.stderr] {
            assert!(!has_controls(text), "{line}: {text:?}");
        }
        assert!(call.status.code() != Some(1) && call.status.code().is_some(), "{call:?}");
        call
    };
    assert!(said("report", &[HOSTILE]).stdout.contains("\\u{1b}"));
    assert!(said("logs", &[HOSTILE]).stdout.contains("\\u{1b}]0;title"));
    let json = said("logs --json", &[HOSTILE]).stdout;
    assert!(json.contains("\\u009b2J") && json.contains("\\u001b]0;title"), "{json}");
    said("status", &[HOSTILE]);
    said("verify", &[HOSTILE]);
    said("predict --k 3", &[HOSTILE, HOSTILE]);
    let data = format!("{HOSTILE}.npy");
    let good = format!("{HOSTILE}-good.npy");
    said("data info", &[&good]);
    assert!(said("data info", &[&data]).stderr.contains("not finite"));
    said("elbow", &[HOSTILE]);
    // What a shell puts in place of a wildcard.
    assert!(said("elbow a", &[HOSTILE]).stderr.contains("unexpected argument"));
    for options in ["--progress plain", "--progress json", "-v --progress plain", "-vv"] {
        for (data, out) in [(&data, "not-finite"), (&good, HOSTILE), (&good, "/dev/null/\u{9b}x")] {
            said(&format!("run --n-init 1 --k-low 2 --k-high 2 {options}"), &[data, "--out", out]);
        }
        let again = format!("{HOSTILE}{options}");
        let line = format!(
            "run --n-init 1 --k-low 1 --k-high 2 --retries 0 --worker-program ./false-worker {options}"
        );
        fs::remove_dir(scratch.join("begun")).expect("what the worker leaves");
        said(&line, &[&good, "--out", &again]).exits(4);
    }
    said(&format!("resume {HOSTILE}"), &[]);
}
