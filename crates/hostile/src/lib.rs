//! What holds of every reader, whatever bytes it is given.
//!
//! **What it is for.** Each of [`DOORS`] is a way by which bytes from elsewhere come in. Its
//! function gives them to the reader behind it, as a file or a stream, and panics where the reader
//! does not keep what is promised of all of them:
//!
//! - it ends, with a value or an error, and does not panic;
//! - it takes no more memory than a small multiple of the bytes, or of what they unfold to where
//!   they are compressed: what they *declare* is checked before anything is allocated;
//! - an error of the data reader is text that a terminal can be given;
//! - what was read can be written, and reads back as the same.
//!
//! `tests/replay.rs` gives each door the files of `corpus/`; the fuzzer in the folder `fuzz` of the
//! workspace looks for worse ones.
//!
//! **What it is not.** No part of the program: nothing depends on it.
//!
//! Checksums keep a fuzzer out of all that is behind them, so doors that have some are tried with
//! the bytes as they are, and again with the checksums made right.

mod archive;
mod data;
mod frames;
mod memory;
mod shared;
mod text;

/// A name, and what gives bytes to the reader and tells whether it took them for good.
pub type Door = (&'static str, fn(&[u8]) -> bool);

/// Every way by which bytes from elsewhere come in.
pub const DOORS: &[Door] = &[
    ("idx", data::table),
    ("npy", data::table),
    ("gzip", data::gzip),
    ("labels", data::labels),
    ("shared", shared::shared),
    ("frames", frames::frames),
    ("journal", frames::journal),
    ("centroids", archive::centroids),
    ("model", archive::model),
    ("curve", text::curve),
    ("scan", text::scan),
];

/// Gives `bytes` to the door called `name`, and tells whether its reader took them for good.
///
/// # Panics
/// Where something does not hold, or there is no such door.
pub fn open(name: &str, bytes: &[u8]) -> bool {
    let (_, door) = DOORS.iter().find(|(door, _)| *door == name).expect("a door of this name");
    door(bytes)
}
