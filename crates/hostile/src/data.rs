//! Data files: IDX and `.npy`, plain and compressed, and labels.

use crate::memory::{MemoryFile, within};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use kscan_dataset::{Dataset, DatasetError, Labels, Source, Table, Values, load, write_npy};
use std::error::Error;
use std::io::{Read, Write};
use std::mem::discriminant;

/// Buffers of the readers, of whatever size the file is.
pub(crate) const BUFFERS: usize = 1 << 20;

/// What compressed bytes may unfold to here: more only takes time.
const UNFOLDED_MAX: u64 = 1 << 24;

/// As values are widened to at most twice their size, and put into another order.
const PER_BYTE: usize = 8;

fn read(bytes: &[u8], allowed: usize) -> Result<Table, DatasetError> {
    let file = MemoryFile::of(bytes);
    let read = within(allowed, || load(&Source::File(file.path()), None));
    read.inspect_err(presentable).map(|Dataset { table, .. }| table)
}

/// That cause, causes behind it and hint are each a line that a terminal can be given.
pub(crate) fn presentable(error: &DatasetError) {
    let mut lines = vec![error.to_string(), error.hint()];
    let mut source = error.source();
    while let Some(error) = source {
        lines.push(error.to_string());
        source = error.source();
    }
    for line in lines {
        assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
        assert!(line.len() < 1000, "{line:?}");
    }
}

/// A table of either format.
pub(crate) fn table(bytes: &[u8]) -> bool {
    let Ok(table) = read_plain(bytes) else { return false };
    let count = table.rows() * table.cols();
    assert!(count > 0 && count <= bytes.len(), "{count} values from {} bytes", bytes.len());
    assert_eq!(table.shape().iter().product::<usize>(), count);
    let mut values = vec![0.0; count];
    table.copy_rows_f32(0..table.rows(), &mut values, table.cols());
    assert!(values.iter().all(|value| value.is_finite()));

    let mut written = Vec::new();
    write_npy(&table, &mut written).expect("memory");
    let again = read_plain(&written).expect("what was written");
    assert_eq!(again, table);
    assert_eq!(again.fingerprint(), table.fingerprint());
    true
}

/// Compressed bytes give what they unfold to, and any bytes give the same when they are compressed.
pub(crate) fn gzip(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        let compressed = encoder.finish().expect("memory");
        return match (read_compressed(&compressed, bytes), read_plain(bytes)) {
            (Ok(found), Ok(plain)) => {
                assert_eq!(found, plain);
                true
            }
            (Err(found), Err(plain)) => {
                assert_eq!(discriminant(&found), discriminant(&plain), "{found} {plain}");
                false
            }
            (found, plain) => panic!("compressed {found:?}, plain {plain:?}"),
        };
    }
    let mut unfolded = Vec::new();
    let decoder = MultiGzDecoder::new(bytes);
    let is_whole = decoder.take(UNFOLDED_MAX).read_to_end(&mut unfolded).is_ok();
    // Of what is compressed twice, the reader unfolds only once.
    if unfolded.len() as u64 == UNFOLDED_MAX || unfolded.starts_with(&[0x1f, 0x8b]) {
        return false;
    }
    match (read_compressed(bytes, &unfolded), read_plain(&unfolded)) {
        (Ok(found), Ok(plain)) => {
            assert!(is_whole, "damaged, and read");
            assert_eq!(found, plain);
            true
        }
        (Ok(_), Err(error)) => panic!("read compressed, but not plain: {error}"),
        (Err(error), Ok(_)) => {
            assert!(!is_whole, "read plain, but not compressed: {error}");
            false
        }
        (Err(_), Err(_)) => false,
    }
}

fn read_plain(bytes: &[u8]) -> Result<Table, DatasetError> {
    read(bytes, PER_BYTE * bytes.len() + BUFFERS)
}

/// The values grow as their bytes come, so they are there twice for a moment.
fn read_compressed(bytes: &[u8], unfolded: &[u8]) -> Result<Table, DatasetError> {
    read(bytes, 2 * PER_BYTE * unfolded.len() + BUFFERS)
}

/// Labels, of data that is the same file: they are the values as they stand.
pub(crate) fn labels(bytes: &[u8]) -> bool {
    let file = MemoryFile::of(bytes);
    // Of single bytes, labels have eight times as many.
    let allowed = 3 * PER_BYTE * bytes.len() + BUFFERS;
    let read = within(allowed, || load(&Source::File(file.path()), Some(&file.path())));
    let Ok(Dataset { table, labels: Some(labels), .. }) = read.inspect_err(presentable) else {
        return false;
    };
    assert_eq!(table.cols(), 1);
    assert_eq!(labels.values().len(), table.rows());
    let same: Vec<i64> = match table.values() {
        Values::U8(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I16(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I32(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I64(values) => values.iter().copied().collect(),
        Values::F32(values) => values.iter().map(|&value| value as i64).collect(),
        Values::F64(values) => values.iter().map(|&value| value as i64).collect(),
    };
    assert_eq!(labels.values(), same);
    assert_eq!(labels.fingerprint(), Labels::new(same).fingerprint());
    true
}
