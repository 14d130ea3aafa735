//! What can be wrong with a data file, and what to do about it.

use std::collections::TryReserveError;
use std::fmt::Write as _;
use std::io;

use crate::Source;

/// Why data or labels could not be read.
///
/// The text is one line, the cause; [`hint`](Self::hint) is one line more, what to do next. Rows
/// and columns are counted from 0, and the texts say so. Byte counts of a gzip-compressed file are
/// those of its decompressed content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The file cannot be opened or read: it is missing, a directory, or may not be read.
    #[error("cannot read {origin}")]
    Io {
        /// The file.
        origin: Source,
        /// What the system says.
        source: io::Error,
    },
    /// The file, or what it decompresses to, has no bytes.
    #[error("{origin}: the file is empty")]
    Empty {
        /// The file.
        origin: Source,
    },
    /// The first bytes belong to no format that is read.
    #[error(
        "{origin}: starts with the bytes {}, but only IDX and .npy files are read, plain or gzip-compressed",
        hex(.first)
    )]
    UnknownFormat {
        /// The file.
        origin: Source,
        /// Its first bytes, after decompression: 6, or all of a shorter file.
        first: Vec<u8>,
    },
    /// The gzip stream is damaged or cut short.
    #[error("{origin}: the gzip data is damaged")]
    Gzip {
        /// The file.
        origin: Source,
        /// What the decompressor says.
        source: io::Error,
    },
    /// The zip archive that an `.npz` file is cannot be read.
    #[error("{origin}: not a readable .npz archive")]
    Npz {
        /// The file.
        origin: Source,
        /// What the archive's reader says.
        source: io::Error,
    },
    /// An `.npz` file has no array of this name.
    #[error("{origin}: there is no array {name}")]
    NoArray {
        /// The file.
        origin: Source,
        /// The array's name.
        name: String,
    },
    /// The header of a `.npy` file cannot be understood.
    #[error("{origin}: malformed .npy header: {reason}")]
    NpyHeader {
        /// The file.
        origin: Source,
        /// What is wrong with it.
        reason: String,
    },
    /// The values have a dtype that is not read.
    #[error("{origin}: values of dtype {dtype} are not read")]
    UnsupportedDtype {
        /// The file.
        origin: Source,
        /// The dtype's name, and how the file spells it.
        dtype: String,
    },
    /// The header declares a single value rather than an array.
    #[error("{origin}: the array has no dimensions, so there are no rows")]
    NoDimensions {
        /// The file.
        origin: Source,
    },
    /// One of the dimensions is 0.
    #[error("{origin}: an array of shape {} has no rows or no columns", sizes(.shape))]
    NoValues {
        /// The file.
        origin: Source,
        /// The shape the header declares.
        shape: Vec<usize>,
    },
    /// The header declares more values than memory has addresses for.
    #[error(
        "{origin}: the header declares the shape {}, more values than can be addressed",
        sizes(.shape)
    )]
    TooLarge {
        /// The file.
        origin: Source,
        /// The shape the header declares.
        shape: Vec<usize>,
    },
    /// The file ends before the bytes that its header declares.
    #[error("{origin}: truncated: {expected} bytes expected, {found} found")]
    Truncated {
        /// The file.
        origin: Source,
        /// The bytes that header and values take.
        expected: u64,
        /// The bytes there are.
        found: u64,
    },
    /// The file was written to between its opening and its end.
    #[error("{origin}: the file was changed while it was read")]
    Changed {
        /// The file.
        origin: Source,
    },
    /// The file goes on after the bytes that its header declares.
    #[error("{origin}: malformed: more bytes follow the {expected} that the header declares")]
    TrailingBytes {
        /// The file.
        origin: Source,
        /// The bytes that header and values take.
        expected: u64,
    },
    /// The memory for the values is not to be had.
    #[error("{origin}: no memory for {bytes} bytes of values")]
    OutOfMemory {
        /// The file.
        origin: Source,
        /// The bytes of the values as the header declares them.
        bytes: u64,
        /// What the allocator says.
        source: TryReserveError,
    },
    /// The values would take more memory than they may.
    #[error("{origin}: its values take {bytes} bytes of memory, and there are {room}")]
    NoRoom {
        /// The file.
        origin: Source,
        /// The bytes that they take, as the header declares them.
        bytes: u64,
        /// The bytes that there are.
        room: u64,
    },
    /// A value is NaN or infinite.
    #[error(
        "{origin}: the value {value} in row {row}, column {col} (counted from 0) is not finite"
    )]
    NonFinite {
        /// The file.
        origin: Source,
        /// The value.
        value: f64,
        /// Its row.
        row: usize,
        /// Its column, in the flattened row.
        col: usize,
    },
    /// A finite value becomes infinite in single precision, which is what is computed with.
    #[error(
        "{origin}: the value {value:e} in row {row}, column {col} (counted from 0) is beyond single precision"
    )]
    BeyondF32 {
        /// The file.
        origin: Source,
        /// The value.
        value: f64,
        /// Its row.
        row: usize,
        /// Its column, in the flattened row.
        col: usize,
    },
    /// The labels are not one column of values.
    #[error("{origin}: labels of shape {} are not one value per row", sizes(.shape))]
    LabelsShape {
        /// The labels' file.
        origin: Source,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A label is a fraction, NaN, infinite, or does not fit 64 bits.
    #[error(
        "{origin}: the label {value:?} in row {row} (counted from 0) is not a whole number of 64 bits"
    )]
    LabelNotWhole {
        /// The labels' file.
        origin: Source,
        /// The label.
        value: f64,
        /// Its row.
        row: usize,
    },
    /// There are more or fewer labels than rows.
    #[error("{origin}: {labels} labels, but {data} has {rows} rows")]
    LabelsCount {
        /// The labels' file.
        origin: Source,
        /// The number of labels.
        labels: usize,
        /// The data that the labels should belong to.
        data: Source,
        /// The number of its rows.
        rows: usize,
    },
}

impl DatasetError {
    /// The file, or built-in set, that the error is about.
    #[must_use]
    pub fn origin(&self) -> &Source {
        match self {
            Self::Io { origin, .. }
            | Self::Empty { origin }
            | Self::UnknownFormat { origin, .. }
            | Self::Gzip { origin, .. }
            | Self::Npz { origin, .. }
            | Self::NoArray { origin, .. }
            | Self::NpyHeader { origin, .. }
            | Self::UnsupportedDtype { origin, .. }
            | Self::NoDimensions { origin }
            | Self::NoValues { origin, .. }
            | Self::TooLarge { origin, .. }
            | Self::Truncated { origin, .. }
            | Self::Changed { origin }
            | Self::TrailingBytes { origin, .. }
            | Self::OutOfMemory { origin, .. }
            | Self::NoRoom { origin, .. }
            | Self::NonFinite { origin, .. }
            | Self::BeyondF32 { origin, .. }
            | Self::LabelsShape { origin, .. }
            | Self::LabelNotWhole { origin, .. }
            | Self::LabelsCount { origin, .. } => origin,
        }
    }

    /// One line on what to do next: a lowercase fragment without a trailing period.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    "check the path; the built-in sets are called mnist and digits".to_owned()
                }
                io::ErrorKind::PermissionDenied => {
                    "make the file readable for this user, for example with chmod u+r".to_owned()
                }
                io::ErrorKind::IsADirectory => {
                    "name the file itself, not the directory it is in".to_owned()
                }
                _ => "check that the file can be read, for example by copying it".to_owned(),
            },
            Self::Empty { .. } => {
                "write the file again: what made it probably failed or has not finished".to_owned()
            }
            Self::UnknownFormat { first, .. } => unknown_format_hint(first),
            Self::Gzip { .. } | Self::Truncated { .. } => {
                "copy or download the file again, and wait until what writes it has finished"
                    .to_owned()
            }
            Self::Npz { .. } | Self::NoArray { .. } => {
                "write the file again with numpy.savez and arrays of these names".to_owned()
            }
            Self::NpyHeader { .. } => {
                "write the file again with numpy.save and a plain numeric array".to_owned()
            }
            Self::UnsupportedDtype { .. } => {
                "convert it first, for example numpy.save('data.npy', array.astype('float32'))"
                    .to_owned()
            }
            Self::NoDimensions { .. } | Self::NoValues { .. } => {
                "give an array of at least one row and one column".to_owned()
            }
            Self::TooLarge { .. } => {
                "write the file again: its header is damaged, or not that of a data file".to_owned()
            }
            Self::Changed { .. } => {
                "wait until what writes the file has finished, then start again".to_owned()
            }
            Self::TrailingBytes { .. } => {
                "write one array into a file of its own: the rest would be left out silently"
                    .to_owned()
            }
            Self::OutOfMemory { .. } | Self::NoRoom { .. } => {
                "use a machine with more memory, fewer rows, or a smaller dtype".to_owned()
            }
            Self::NonFinite { .. } => {
                "remove such rows or fill in their values before clustering".to_owned()
            }
            Self::BeyondF32 { .. } => {
                "divide the column by a power of ten: magnitudes up to 3.4e38 can be used".to_owned()
            }
            Self::LabelsShape { .. } => {
                "give the labels as an array of shape (n,) or (n, 1)".to_owned()
            }
            Self::LabelNotWhole { .. } => {
                "number the classes with integers, for example by numpy.unique(labels, return_inverse=True)"
                    .to_owned()
            }
            Self::LabelsCount { .. } => {
                "give the labels of exactly these rows, in the same order".to_owned()
            }
        }
    }
}

/// Guesses what the file is: most wrong files are of a few well-known kinds.
fn unknown_format_hint(first: &[u8]) -> String {
    let kind = if first.starts_with(b"PK") {
        "a zip or .npz archive: take the array out"
    } else if first.starts_with(&[0x1f, 0x8b]) {
        return "the file is gzip-compressed twice: decompress it once".to_owned();
    } else if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || first.starts_with(b"\xfd7zXZ") {
        return "decompress the file first: of the compressions only gzip is read".to_owned();
    } else if first.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        "text, for example CSV: parse it with numpy.loadtxt or pandas"
    } else {
        return "convert it with numpy, for example numpy.save('data.npy', array)".to_owned();
    };
    format!("this looks like {kind}, then numpy.save('data.npy', array)")
}

/// `[60000, 28, 28]`; of very many dimensions, the first.
fn sizes(shape: &[usize]) -> String {
    const SHOWN: usize = 8;
    match shape.get(..SHOWN) {
        Some(first) if shape.len() > SHOWN => {
            let first = format!("{first:?}");
            format!("{}, ...] ({} dimensions)", first.trim_end_matches(']'), shape.len())
        }
        _ => format!("{shape:?}"),
    }
}

/// `93 4e 55`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{byte:02x}");
    }
    text
}
