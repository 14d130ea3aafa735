//! What a file declares about its values, whichever format it is in.

use crate::content::Content;
use crate::{DatasetError, Source, idx, npy};

/// How one value is stored in a file. More kinds than a [`crate::Dtype`]: some are widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    F32,
    F64,
}

impl Stored {
    /// Bytes of one value in the file.
    fn size(self) -> u64 {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// In which order the bytes of one value are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

/// In which order the values of an array are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The last dimension changes fastest: row-major.
    C,
    /// The first dimension changes fastest.
    Fortran,
}

/// A header whose sizes have been checked: at least one dimension, no dimension is 0, and the
/// values can be addressed. Whether the file holds them is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) stored: Stored,
    pub(crate) endian: Endian,
    pub(crate) order: Order,
    pub(crate) shape: Vec<usize>,
    /// The number of values.
    pub(crate) values: usize,
    /// The bytes of all values in the file.
    pub(crate) body_bytes: u64,
}

impl Header {
    pub(crate) fn new(
        origin: &Source,
        stored: Stored,
        endian: Endian,
        order: Order,
        shape: Vec<usize>,
    ) -> Result<Self, DatasetError> {
        let origin = || origin.clone();
        if shape.is_empty() {
            return Err(DatasetError::NoDimensions { origin: origin() });
        }
        // Before the multiplication: any size times 0 is harmless, but must not be let through.
        if shape.contains(&0) {
            return Err(DatasetError::NoValues { origin: origin(), shape });
        }
        // The widest value in memory has 8 bytes, and a header has to fit in the sum as well.
        let values = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))
            .filter(|&values| values <= isize::MAX as usize / 8 - npy::HEADER_MAX);
        let Some(values) = values else {
            return Err(DatasetError::TooLarge { origin: origin(), shape });
        };
        let body_bytes = values as u64 * stored.size();
        Ok(Self { stored, endian, order, shape, values, body_bytes })
    }

    /// Recognises the format and reads its header; `content` is then at the first value.
    pub(crate) fn read(content: &mut Content<'_>) -> Result<Self, DatasetError> {
        let first = content.peek(npy::MAGIC.len())?;
        if first.is_empty() {
            Err(DatasetError::Empty { origin: content.origin().clone() })
        } else if first == npy::MAGIC {
            npy::read_header(content)
        } else if idx::recognise(first) {
            idx::read_header(content)
        } else {
            let first = first.to_vec();
            Err(DatasetError::UnknownFormat { origin: content.origin().clone(), first })
        }
    }
}
