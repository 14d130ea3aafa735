//! Gives every file of `corpus/` to its door: good examples, bad ones by hand, and what the fuzzer
//! has found.

use kscan_hostile::{DOORS, open};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// One test for all doors, so that no other takes memory while it is measured.
#[test]
fn whatever_the_bytes_are_the_promises_hold() {
    let mut broken = Vec::new();
    for (door, _) in DOORS {
        let mut taken = 0;
        let mut refused = 0;
        for entry in fs::read_dir(corpus().join(door)).expect("a folder for each door") {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("a file");
            match catch_unwind(|| open(door, &bytes)) {
                Ok(true) => taken += 1,
                Ok(false) => refused += 1,
                Err(_) => broken.push(path),
            }
        }
        // Examples of a format of yesterday would be refused at the door, all of them.
        assert!(taken > 0 && refused > 0, "{door}: {taken} taken, {refused} refused");
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_folder_has_a_door() {
    for entry in fs::read_dir(corpus()).expect("the corpus") {
        let name = entry.expect("an entry").file_name();
        assert!(DOORS.iter().any(|(door, _)| name == *door), "{}", name.display());
    }
}
