//! The sets that are part of the program, kept as the compressed files they come as.
//!
//! `builtin/*/README.md` has their authors and licences.

use crate::content::Content;
use crate::{Builtin, DatasetError, Labels, Source, Table};

/// A set's files, gzip-compressed IDX.
struct Files {
    images: &'static [u8],
    labels: &'static [u8],
}

fn files(builtin: Builtin) -> Files {
    match builtin {
        Builtin::Mnist => Files {
            images: include_bytes!("../builtin/mnist/train-images-idx3-ubyte.gz"),
            labels: include_bytes!("../builtin/mnist/train-labels-idx1-ubyte.gz"),
        },
        Builtin::Digits => Files {
            images: include_bytes!("../builtin/digits/images-idx3-ubyte.gz"),
            labels: include_bytes!("../builtin/digits/labels-idx1-ubyte.gz"),
        },
    }
}

fn content(builtin: Builtin, bytes: &'static [u8]) -> Result<Content<'static>, DatasetError> {
    Content::new(Source::Builtin(builtin), bytes, Some(bytes.len() as u64))
}

/// The set's images, one in a row.
pub(crate) fn read_table(builtin: Builtin) -> Result<Table, DatasetError> {
    Table::read(content(builtin, files(builtin).images)?)
}

/// The set's labels.
pub(crate) fn read_labels(builtin: Builtin) -> Result<Labels, DatasetError> {
    Labels::read(content(builtin, files(builtin).labels)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;

    use super::*;

    /// The hashes are those of files whose SHA-256 is the one in the set's README.
    #[test]
    fn the_files_are_the_published_ones() {
        for (builtin, images, labels) in [
            (
                Builtin::Mnist,
                "c6e6fd8c67d07c8a9b7bffa7dd0413ff4b8af241607b049b7721107f379df9fd",
                "8ebcfdf2fe191516f9cb37fceb75d2d19289d91ee92026534ed45e44144b5642",
            ),
            (
                Builtin::Digits,
                "305c8f8d7384242218877a0b9a77d1f3a159371c96d4c9914e989280f6b0eeed",
                "f7e5db2c975f58476e5b1b2e491c813d7781ba67e7b05cb6bd8c86157f149b3c",
            ),
        ] {
            let files = files(builtin);
            for (bytes, hash) in [(files.images, images), (files.labels, labels)] {
                let mut decompressed = Vec::new();
                MultiGzDecoder::new(bytes).read_to_end(&mut decompressed).unwrap();
                assert_eq!(blake3::hash(&decompressed).to_string(), hash, "{builtin}");
            }
        }
    }
}
