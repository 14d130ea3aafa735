//! Reads what scikit-learn answered: the workspace's `tests/golden`.

use std::fs::File;
use std::path::{Path, PathBuf};

use kscan_dataset::{Builtin, Source, Table, Values};
use ndarray::{Array, Dimension};
use ndarray_npy::{NpzReader, ReadableElement};

/// A file or folder of the golden files.
pub(crate) fn golden(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(part)
}

/// An open `.npz` file.
pub(crate) struct Npz {
    reader: NpzReader<File>,
    path: PathBuf,
}

impl Npz {
    pub(crate) fn open(part: &str) -> Self {
        let path = golden(part);
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let reader =
            NpzReader::new(file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { reader, path }
    }

    /// The array called `name`, which has to have this dtype and number of dimensions.
    pub(crate) fn array<A: ReadableElement, D: Dimension>(&mut self, name: &str) -> Array<A, D> {
        self.reader
            .by_name(name)
            .unwrap_or_else(|error| panic!("{}, {name}: {error}", self.path.display()))
    }
}

pub(crate) fn table(values: Values) -> Table {
    Table::from_values(&Source::File("golden".into()), values).expect("finite values")
}

pub(crate) fn builtin(set: Builtin) -> Table {
    kscan_dataset::load(&Source::Builtin(set), None).expect("a built-in set is there").table
}
