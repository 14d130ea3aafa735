//! `curve.csv` and `scan.json`.

use crate::memory::{MemoryFile, within};
use kscan_dataset::{Dataset, Source, Table, Values};
use kscan_results::{RunFolder, ScanDocument, tables};
use kscan_select::{CurvePoint, best_per_k, find_elbow};
use kscan_verify::Options;
use ndarray::array;
use std::fmt::Write as _;
use std::fs;

const BUFFERS: usize = 1 << 20;

/// A row of two digits is read into a struct.
const PER_BYTE: usize = 64;

/// What `elbow` is given.
pub(crate) fn curve(bytes: &[u8]) -> bool {
    let file = MemoryFile::of(bytes);
    let read = within(PER_BYTE * bytes.len() + BUFFERS, || tables::read_curve(&file.path()));
    let Ok(rows) = read else { return false };
    let mut text = "init_id,inertia,k\n".to_owned();
    for row in &rows {
        let init_id = row.init_id.map(|init_id| init_id.to_string()).unwrap_or_default();
        let _ = writeln!(text, "{init_id},{:?},{}", row.inertia, row.k);
    }
    let file = MemoryFile::of(text.as_bytes());
    let again = tables::read_curve(&file.path()).expect("what was written");
    // As text: there may be a NaN in it, which equals nothing.
    assert_eq!(format!("{again:?}"), format!("{rows:?}"));

    let best = best_per_k(rows.iter().map(|row| CurvePoint {
        k: row.k,
        inertia: row.inertia,
        init_id: row.init_id.unwrap_or(0) as usize,
    }));
    assert!(best.is_sorted_by(|a, b| a.k < b.k));
    let ks: Vec<usize> = best.iter().map(|point| point.k).collect();
    let inertia: Vec<f64> = best.iter().map(|point| point.inertia).collect();
    if let Ok(elbow) = find_elbow(&ks, &inertia) {
        assert!(ks.contains(&elbow.k));
    }
    !rows.is_empty()
}

/// What every command on a run folder begins with; and all that `verify` makes of it, with data of
/// four rows and no other file in the folder.
pub(crate) fn scan(bytes: &[u8]) -> bool {
    let place = tempfile::tempdir().expect("a folder");
    let folder = RunFolder::at(place.path());
    fs::write(folder.scan_json(), bytes).expect("a file");
    let allowed = PER_BYTE * bytes.len() + BUFFERS;
    let read = within(allowed, || ScanDocument::read(&folder));
    // It may refuse what the other takes: it looks into fields that nobody knows, too.
    let for_verify = within(2 * allowed, || kscan_verify::read(&folder));
    if let (Ok(read), Ok(for_verify)) = (&read, &for_verify) {
        assert_eq!(read, for_verify);
    }

    let values = Values::U8(array![[1, 2], [3, 4], [5, 7], [8, 1]]);
    let origin = Source::from("four.npy");
    let table = Table::from_values(&origin, values).expect("a table");
    let dataset = Dataset { name: origin.dataset_name(), table, labels: None };
    let verified = within(2 * allowed, || {
        kscan_verify::verify(&folder, &dataset, Options::default(), &mut |_| {})
    });
    assert!(verified.is_err(), "there are no other files: {verified:?}");

    let Ok(document) = read else { return false };
    document.write(&folder).expect("a file");
    assert_eq!(ScanDocument::read(&folder).expect("what was written"), document);
    true
}
