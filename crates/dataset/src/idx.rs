//! IDX, the format of the MNIST files.
//!
//! Two zero bytes, one byte for the type, one for the number of dimensions, each dimension's size
//! as a big-endian `u32`; then the values, big-endian, in C order.

use crate::DatasetError;
use crate::content::Content;
use crate::header::{Endian, Header, Order, Stored};

/// How the type byte says values are stored.
fn stored(type_byte: u8) -> Option<Stored> {
    match type_byte {
        0x08 => Some(Stored::U8),
        0x09 => Some(Stored::I8),
        0x0B => Some(Stored::I16),
        0x0C => Some(Stored::I32),
        0x0D => Some(Stored::F32),
        0x0E => Some(Stored::F64),
        _ => None,
    }
}

/// Whether a file that starts like this is IDX. The type byte is part of the magic number: two
/// zero bytes alone start too many other files.
pub(crate) fn recognise(first: &[u8]) -> bool {
    matches!(first, [0, 0, type_byte, _dimensions, ..] if stored(*type_byte).is_some())
}

/// Reads the header of a file that [`recognise`] has recognised.
pub(crate) fn read_header(content: &mut Content<'_>) -> Result<Header, DatasetError> {
    let mut magic = [0; 4];
    content.header_bytes(&mut magic)?;
    let Some(stored) = stored(magic[2]) else {
        let origin = content.origin().clone();
        return Err(DatasetError::UnknownFormat { origin, first: magic.to_vec() });
    };
    let mut sizes = vec![0; 4 * usize::from(magic[3])];
    content.header_bytes(&mut sizes)?;
    let (sizes, _) = sizes.as_chunks::<4>();
    let shape = sizes.iter().map(|size| u32::from_be_bytes(*size) as usize).collect();
    Header::new(content.origin(), stored, Endian::Big, Order::C, shape)
}
