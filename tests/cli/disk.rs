//! Disks that are full: what was written is whole, and the scan goes on when there is room again.
//!
//! Each test mounts a small tmpfs, which takes root. Where that is not permitted it says so, and does
//! nothing.

use crate::harness::{Digests, Scan, Scratch, contents, npy};
use ndarray_npy::NpzReader;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A small disk in a scratch folder, gone when dropped: to be declared after the folder.
struct Disk(PathBuf);

impl Disk {
    /// Mounts it; `None` where that is not permitted.
    fn new(scratch: &Scratch, options: &str) -> Option<Self> {
        let path = scratch.join("disk");
        fs::create_dir(&path).expect("a folder");
        match mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options)) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                eprintln!("not tested: mounting a small disk: {error}");
                None
            }
        }
    }

    /// Makes it larger.
    fn grow(&self, options: &str) {
        let tmpfs = Some("tmpfs");
        mount(tmpfs, &self.0, tmpfs, MsFlags::MS_REMOUNT, Some(options)).expect("a larger disk");
    }

    /// Writes a file that takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut filler = File::create(&path).expect("an empty file takes no room");
        while filler.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The folder cannot be removed with it; there is nothing to be done where this fails.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Eight runs whose journal takes more than what else is written.
const SCAN: &str = "run data.npy --labels labels.npy --k-low 20 --k-high 23 --n-init 2 --max-iter 4 \
                    --n-proc 1 --progress json";

fn write_data(scratch: &Scratch) {
    let (n, d) = (400, 40);
    let values: Vec<u8> = crate::harness::noise(n * d, 1).flat_map(f32::to_le_bytes).collect();
    scratch.write("data.npy", npy("<f4", false, &[n, d], &values));
    let labels: Vec<u8> = (0..n).map(|row| (row % 3) as u8).collect();
    scratch.write("labels.npy", npy("|u1", false, &[n], &labels));
}

fn undisturbed(scratch: &Scratch) -> Digests {
    write_data(scratch);
    scratch.kscan(&format!("{SCAN} --out undisturbed")).run().exits(0);
    scratch.scan("undisturbed").digests()
}

/// Asserts that each result file is whole, and that there is no other.
fn assert_whole(folder: &Path) {
    for name in contents(folder) {
        let path = folder.join(&name);
        assert!(!name.contains(".kscan-"), "{name} is left");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                let text = fs::read(&path).expect("a file");
                serde_json::from_slice::<Value>(&text).unwrap_or_else(|error| {
                    panic!("{name}: {error}");
                });
            }
            Some("csv") => {
                let text = fs::read_to_string(&path).expect("a table");
                assert!(text.ends_with('\n'), "{name}: {text}");
                let mut rows = csv::Reader::from_reader(text.as_bytes());
                assert!(rows.records().all(|row| row.is_ok()), "{name}: {text}");
            }
            Some("npz") => {
                let mut npz = NpzReader::new(File::open(&path).expect("a model")).expect("whole");
                let labels: ndarray::Array1<i32> = npz.by_name("labels").expect("labels");
                assert_eq!(labels.len(), 400, "{name}");
            }
            Some(extension @ ("svg" | "html")) => {
                let text = fs::read_to_string(&path).expect("a text");
                assert!(text.ends_with(&format!("</{extension}>")), "{name}");
            }
            _ => assert!(
                path.is_dir() || name == "journal.bin" || name.starts_with("logs/"),
                "what is {name}?"
            ),
        }
    }
}

#[test]
fn a_disk_of_any_size_fills_up_and_the_scan_goes_on_when_it_has_grown() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let mut named = BTreeSet::new();
    let mut kept = BTreeSet::new();
    // From a page to enough; each size another place where it ends.
    for pages in (1..).step_by(5) {
        let scratch = Scratch::new();
        write_data(&scratch);
        let Some(disk) = Disk::new(&scratch, &format!("size={}k", pages * 4)) else { return };
        let run = scratch.kscan(&format!("{SCAN} --out disk/scan")).run();
        if run.status.code() == Some(0) {
            assert_eq!(scratch.scan("disk/scan").digests(), expected);
            break;
        }
        assert!(pages < 1000, "it needs more than there should be");
        let run = run.exits(6);
        let (cause, _) = run.stderr.split_once('\n').expect("a line of cause");
        assert!(cause.contains("disk/scan"), "{pages} pages: {cause}");
        assert!(cause.contains("No space left"), "{pages} pages: {cause}");
        // A name alone takes no bytes.
        let is_name = cause.contains("make the folder") || cause.contains("coordinator.jsonl");
        assert!(is_name || cause.contains(" bytes to disk/scan/"), "{pages} pages: {cause}");
        assert!(run.stderr.contains("make room"), "{}", run.stderr);
        let path = cause.split("disk/scan/").nth(1).unwrap_or_default();
        let path = path.split([':', '/']).next().unwrap_or_default().to_owned();
        named.insert(path);
        let told = run.events();
        let told = told.iter().filter(|event| event["event"] == "run_finished").count();

        disk.grow("size=64m");
        if !scratch.join("disk/scan").exists() {
            // Nothing was begun.
            scratch.kscan(&format!("{SCAN} --out disk/scan")).run().exits(0);
            continue;
        }
        assert_whole(&scratch.join("disk/scan"));
        let resumed = scratch.kscan("resume disk/scan --progress json").run().exits(0).events();
        // What was journalled stays good: what was told of is there.
        assert_eq!(resumed[0]["done"], told, "{pages} pages");
        kept.insert(told);
        assert_whole(&scratch.join("disk/scan"));
        let scan = scratch.scan("disk/scan");
        assert_eq!((scan.status(), scan.digests()), ("complete", expected.clone()));
    }
    println!("it ended at {named:?}, with {kept:?} runs kept");
    for part in ["scan.json", "journal.bin", "best"] {
        assert!(named.contains(part), "no disk was full at {part}: {named:?}");
    }
    assert!(kept.len() > 3 && kept.contains(&8), "{kept:?}");
}

#[test]
fn a_disk_without_room_for_another_name_is_told_of() {
    let scratch = Scratch::new();
    write_data(&scratch);
    // The root is one of them, the scan's folder the other.
    let Some(disk) = Disk::new(&scratch, "nr_inodes=2") else { return };
    let run = scratch.kscan(&format!("{SCAN} --out disk/scan")).run().exits(6);
    run.names(&["cannot make the folder disk/scan", "No space left"]);
    disk.grow("nr_inodes=1000");
    scratch.kscan(&format!("{SCAN} --out disk/scan")).run().exits(0);
}

#[test]
fn shared_data_that_does_not_fit_the_disk_is_refused_with_its_size() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let Some(disk) = Disk::new(&scratch, "size=40k") else { return };
    let line = format!("{SCAN} --keep-shared --out disk/scan");
    let run = scratch.kscan(&line).run().exits(6);
    run.names(&["disk/scan/shared.bin", "No space left", " bytes"]);
    assert!(!scratch.join("disk/scan").exists(), "nothing was done in it");
    // Where the folder was there before, what was begun stays, and is enough to go on.
    fs::create_dir(scratch.join("disk/scan")).expect("a folder");
    scratch.kscan(&line).run().exits(6).names(&["disk/scan/shared.bin"]);
    assert!(!scratch.join("disk/scan/shared.bin").exists());
    assert_whole(&scratch.join("disk/scan"));
    disk.grow("size=64m");
    scratch.kscan("resume disk/scan").run().exits(0);
    assert_eq!(scratch.scan("disk/scan").digests(), expected);
}

#[test]
fn results_that_cannot_be_written_again_stay_as_they_were() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let Some(disk) = Disk::new(&scratch, "size=64m") else { return };
    scratch.kscan(&format!("{SCAN} --out disk/scan")).run().exits(0);
    let files = || -> Vec<(String, Vec<u8>)> {
        let names = contents(&scratch.join("disk/scan"));
        let results = names.into_iter().filter(|name| !name.starts_with("logs"));
        let read =
            |name: String| fs::read(scratch.join("disk/scan").join(&name)).map(|b| (name, b));
        results.flat_map(read).collect()
    };
    let before = files();
    disk.grow("size=4m");
    let filler = disk.fill();
    let report = scratch.kscan("report disk/scan").run().exits(6);
    report.names(&["disk/scan/", "No space left"]);
    scratch.kscan("resume disk/scan").run().exits(6).names(&["disk/scan/", "No space left"]);
    assert!(files() == before, "a result is not what it was");
    assert_whole(&scratch.join("disk/scan"));
    fs::remove_file(filler).expect("the filler");
    scratch.kscan("resume disk/scan").run().exits(0);
    assert_eq!(Scan::read(&scratch.join("disk/scan")).status(), "complete");
}

#[test]
fn a_limit_on_the_size_of_files_ends_a_scan_and_without_it_the_scan_goes_on() {
    let scratch = Scratch::new();
    write_data(&scratch);
    let scan = SCAN.replace("--n-init 2", "--n-init 5");
    scratch.kscan(&format!("{scan} --out undisturbed")).run().exits(0);
    // In blocks of 512 bytes: the shared data fits, which is such a file too, and the journal does
    // not. By itself SIGXFSZ ends a process.
    let run = scratch.kscan_after("ulimit -f 256", &format!("{scan} --out scan")).run().exits(6);
    let (cause, hint) = run.stderr.split_once('\n').expect("a line of cause");
    assert!(cause.contains("scan/journal.bin"), "{cause}");
    assert!(cause.contains("File too large"), "{cause}");
    assert!(hint.contains("ulimit -f"), "{hint}");
    assert_whole(&scratch.join("scan"));
    let resumed = scratch.kscan("resume scan --progress json").run().exits(0).events();
    assert!(resumed[0]["done"].as_u64().expect("a number") > 5, "{}", resumed[0]);
    assert_eq!(scratch.scan("scan").digests(), scratch.scan("undisturbed").digests());
}

#[test]
fn a_limit_that_not_even_the_shared_data_fits_is_named_with_its_size() {
    let scratch = Scratch::new();
    write_data(&scratch);
    for (limit, named) in [(1, "scan/scan.json"), (64, "shared file of ")] {
        let line = format!("{SCAN} --out scan");
        let run = scratch.kscan_after(&format!("ulimit -f {limit}"), &line).run().exits(6);
        run.names(&[named, "File too large", " bytes"]);
        assert!(!scratch.join("scan").exists(), "{named}");
    }
    scratch.kscan(&format!("{SCAN} --out scan")).run().exits(0);
}
