//! `.npz`, numpy's format for several named arrays: a zip archive of `.npy` files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

use crate::content::Content;
use crate::file::read_file;
use crate::source::one_line;
use crate::{DatasetError, Fingerprint, Source, Table, Values, body};

/// What the names of members end with, and those of their arrays do not.
const SUFFIX: &str = ".npy";

/// An `.npz` file, all of it in memory as it was at one moment; its arrays are unpacked one by one.
pub struct Npz {
    path: PathBuf,
    fingerprint: Fingerprint,
    archive: ZipSliceArchive<Vec<u8>>,
    members: BTreeMap<String, Member>,
}

/// Where the bytes of a member are.
#[derive(Clone, Copy)]
struct Member {
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

/// An array of an [`Npz`], as it is stored: its values may be no finite numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NpzArray {
    /// The values: the array's first dimension by all others.
    pub values: Values,
    /// The array's own shape, of one dimension or more, all of them above 0.
    pub shape: Vec<usize>,
}

impl Npz {
    /// Reads the file at `path`, but none of its arrays yet.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Io`] for what is no file that can be read, [`DatasetError::Npz`] for what is
    /// no zip archive.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let origin = || Source::File(path.to_path_buf());
        let bytes =
            read_file(path).map_err(|source| DatasetError::Io { origin: origin(), source })?;
        let fingerprint = blake3::hash(&bytes).into();
        let broken = |source| DatasetError::Npz { origin: origin(), source };
        let archive = ZipArchive::from_slice(bytes).map_err(io::Error::other).map_err(broken)?;
        let mut members = BTreeMap::new();
        let mut entries = archive.entries();
        while let Some(entry) = entries.next_entry().map_err(io::Error::other).map_err(broken)? {
            let name = String::from_utf8_lossy(entry.file_path().as_bytes());
            if let Some(name) = name.strip_suffix(SUFFIX) {
                // As in numpy, the last of a name counts.
                let member =
                    Member { method: entry.compression_method(), place: entry.wayfinder() };
                members.insert(name.to_owned(), member);
            }
        }
        Ok(Self { path: path.to_path_buf(), fingerprint, archive, members })
    }

    /// The hash of the file, byte for byte.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The arrays' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Unpacks the array called `name`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NoArray`] where there is none, and what can be wrong with an `.npy` file.
    pub fn array(&self, name: &str) -> Result<NpzArray, DatasetError> {
        let (_, array) = self.unpack(name)?;
        Ok(array)
    }

    /// The same as a table, all of whose values are finite.
    pub(crate) fn table(&self, name: &str) -> Result<Table, DatasetError> {
        let (origin, NpzArray { values, shape }) = self.unpack(name)?;
        Table::new(&origin, values, shape)
    }

    fn unpack(&self, name: &str) -> Result<(Source, NpzArray), DatasetError> {
        let whole = || Source::File(self.path.clone());
        let broken = |source| DatasetError::Npz { origin: whole(), source };
        let Some(&Member { method, place }) = self.members.get(name) else {
            return Err(DatasetError::NoArray { origin: whole(), name: one_line(name) });
        };
        let entry = self.archive.get_entry(place).map_err(io::Error::other).map_err(broken)?;
        // As if the archive were a folder.
        let mut path = OsString::from(&self.path);
        path.push(format!("/{name}{SUFFIX}"));
        let origin = Source::File(path.into());
        // Both compare length and checksum when they come to the end.
        let mut content = match method {
            CompressionMethod::STORE => {
                Content::member(origin.clone(), entry.verifying_reader(entry.data()))
            }
            CompressionMethod::DEFLATE => {
                let inflated = DeflateDecoder::new(entry.data());
                Content::member(origin.clone(), entry.verifying_reader(inflated))
            }
            _ => {
                let what = "an array is compressed in another way than numpy does";
                return Err(broken(io::Error::other(what)));
            }
        };
        let (values, shape) = body::read(&mut content)?;
        Ok((origin, NpzArray { values, shape }))
    }
}
