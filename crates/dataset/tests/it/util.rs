//! Files to read: made here, or by numpy (`tests/fixtures/make.py`).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use kscan_dataset::{DatasetError, Source, Table, load};

/// A directory for one test's files.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Reads `bytes` as data.
    pub(crate) fn table(&self, bytes: &[u8]) -> Result<Table, DatasetError> {
        read(&self.file("data", bytes))
    }

    /// The error that reading `bytes` as data gives.
    pub(crate) fn error(&self, bytes: &[u8]) -> DatasetError {
        let error = self.table(bytes).expect_err("the file should not be readable");
        assert_presentable(&error);
        error
    }
}

/// Reads a file as data.
pub(crate) fn read(path: &Path) -> Result<Table, DatasetError> {
    load(&Source::File(path.to_path_buf()), None).map(|dataset| {
        assert_eq!(dataset.labels, None);
        dataset.table
    })
}

/// The path of a file written by numpy.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Cause and hint are each one line, in the house's form, and the cause names its origin.
pub(crate) fn assert_presentable(error: &DatasetError) {
    let (cause, hint) = (error.to_string(), error.hint());
    assert!(cause.contains(&error.origin().to_string()), "{cause}");
    for line in [&cause, &hint] {
        assert!(!line.is_empty() && !line.contains('\n') && !line.ends_with('.'), "{line:?}");
    }
    let first = hint.chars().next().unwrap();
    assert!(first.is_ascii_lowercase(), "{hint}");
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file: its type byte, sizes, and values as bytes.
pub(crate) fn idx(type_byte: u8, shape: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, type_byte, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(body);
    bytes
}

/// An `.npy` file of version 1.0 with `header` as its dictionary.
pub(crate) fn npy_raw(header: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((header.len() + 1) as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.push(b'\n');
    bytes.extend(body);
    bytes
}

/// An `.npy` file in C order; `shape` as Python writes it.
pub(crate) fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    npy_raw(&header, body)
}

/// The bytes of values, little-endian.
pub(crate) fn f64_le(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of values, little-endian.
pub(crate) fn f32_le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
