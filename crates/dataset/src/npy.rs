//! `.npy`, numpy's format for one array.
//!
//! The header is a Python dictionary, and is parsed by `ndarray-npy`. That crate's readers of
//! whole arrays allocate what a header declares, so the values are read by [`crate::body`].

use std::io;

use ndarray::IxDyn;
use ndarray_npy::npy::header::{Header as NpyHeader, ParseHeaderError, ReadHeaderError};
use ndarray_npy::{WriteNpyError, WriteNpyExt};

use crate::content::Content;
use crate::header::{Endian, Header, Order, Stored};
use crate::source::one_line;
use crate::table::each;
use crate::{DatasetError, Table};

/// What the file starts with.
pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header text, in bytes, that is parsed: numpy's own default limit for untrusted
/// files. The header of an array that can be read here has hardly more than 100.
pub(crate) const HEADER_MAX: usize = 10_000;

/// The deepest nesting of brackets that is parsed. Plain arrays have 2, and 6 is enough to name
/// the usual structured dtypes. The parser tries every level several times, so that the work grows
/// exponentially with the depth.
const DEPTH_MAX: usize = 6;

/// The most characters of a header that an error repeats.
const SHOWN_MAX: usize = 80;

/// Reads the header of a file that starts with [`MAGIC`].
pub(crate) fn read_header(content: &mut Content<'_>) -> Result<Header, DatasetError> {
    let mut head = vec![0; MAGIC.len() + 2];
    content.header_bytes(&mut head)?;
    let (major, minor) = (head[6], head[7]);
    let length_bytes = match (major, minor) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        _ => {
            return Err(malformed(content, format!("unknown version {major}.{minor}")));
        }
    };
    let mut length = [0; 4];
    content.header_bytes(&mut length[..length_bytes])?;
    head.extend_from_slice(&length[..length_bytes]);
    let length = u32::from_le_bytes(length) as usize;
    if length > HEADER_MAX {
        let reason = format!("it has {length} bytes, and at most {HEADER_MAX} are read");
        return Err(malformed(content, reason));
    }
    let text_at = head.len();
    head.resize(text_at + length, 0);
    content.header_bytes(&mut head[text_at..])?;
    if !is_shallow(&head[text_at..]) {
        return Err(malformed(content, "its brackets are nested too deeply".to_owned()));
    }

    let header = match NpyHeader::from_reader(&mut head.as_slice()) {
        Ok(header) => header,
        Err(error) => return Err(malformed(content, reason(&error))),
    };
    let descriptor = header.type_descriptor.as_string();
    let Some((stored, endian)) = descriptor.and_then(|text| stored(text)) else {
        let dtype = match descriptor {
            Some(text) => describe(text),
            None => shorten(&format!("structured ({})", header.type_descriptor)),
        };
        return Err(DatasetError::UnsupportedDtype { origin: content.origin().clone(), dtype });
    };
    let order = if header.layout.is_fortran() { Order::Fortran } else { Order::C };
    Header::new(content.origin(), stored, endian, order, header.shape)
}

/// Writes a table's values in the table's dtype, C order and original shape as a `.npy` file.
///
/// `numpy.load` of what is written is what the table was read from, up to the order and to the
/// widened dtypes (see [`crate::Dtype`]).
///
/// # Errors
///
/// Whatever writing to `to` reports.
pub fn write_npy(table: &Table, to: &mut impl io::Write) -> io::Result<()> {
    let written = each!(table.values(), values => {
        let values = values
            .view()
            .into_shape_with_order(IxDyn(table.shape()))
            .map_err(io::Error::other)?;
        values.write_npy(to)
    });
    written.map_err(|error| match error {
        WriteNpyError::Io(error) => error,
        other => io::Error::other(other),
    })
}

fn malformed(content: &Content<'_>, reason: String) -> DatasetError {
    DatasetError::NpyHeader { origin: content.origin().clone(), reason }
}

/// Whether brackets are nested so little that parsing takes no time to speak of. Brackets within
/// strings count as well: telling them apart would be a second parser.
fn is_shallow(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut braces = 0;
    for byte in text {
        match byte {
            b'(' | b'[' => depth += 1,
            b'{' => {
                depth += 1;
                braces += 1;
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // The dictionary itself has the only braces.
        if depth > DEPTH_MAX || braces > 1 {
            return false;
        }
    }
    true
}

/// One line on what is wrong with a header.
fn reason(error: &ReadHeaderError) -> String {
    match error {
        // The parser's own text is a drawing of several lines.
        ReadHeaderError::Parse(ParseHeaderError::DictParse(_)) => {
            "it is not a python dictionary".to_owned()
        }
        other => shorten(&other.to_string()),
    }
}

/// How numpy's type string says values are stored, or `None` for what is not read.
fn stored(descriptor: &str) -> Option<(Stored, Endian)> {
    let (endian, kind) = match descriptor.as_bytes() {
        [b'<', kind @ ..] => (Some(Endian::Little), kind),
        [b'>', kind @ ..] => (Some(Endian::Big), kind),
        [b'|', kind @ ..] => (None, kind),
        _ => return None,
    };
    // A single byte has no order, whatever the file says about it.
    match (kind, endian) {
        (b"u1", _) => return Some((Stored::U8, Endian::Little)),
        (b"i1", _) => return Some((Stored::I8, Endian::Little)),
        _ => {}
    }
    let stored = match kind {
        b"i2" => Stored::I16,
        b"u2" => Stored::U16,
        b"i4" => Stored::I32,
        b"u4" => Stored::U32,
        b"i8" => Stored::I64,
        b"f4" => Stored::F32,
        b"f8" => Stored::F64,
        _ => return None,
    };
    Some((stored, endian?))
}

/// A type string with the name its users know: `complex128 ('<c16')`.
fn describe(descriptor: &str) -> String {
    let kind = descriptor.trim_start_matches(['<', '>', '|', '=']);
    let bits = || kind.get(1..).and_then(|size| size.parse::<u16>().ok()).map(|size| size * 8);
    let name = match kind.as_bytes().first() {
        Some(b'b') => "bool".to_owned(),
        Some(b'O') => "object".to_owned(),
        Some(b'U') => "unicode string".to_owned(),
        Some(b'S' | b'a') => "byte string".to_owned(),
        Some(b'M') => "datetime".to_owned(),
        Some(b'm') => "timedelta".to_owned(),
        Some(b'V') => "void".to_owned(),
        Some(b'c') => bits().map_or("complex".to_owned(), |bits| format!("complex{bits}")),
        Some(b'f') => bits().map_or("float".to_owned(), |bits| format!("float{bits}")),
        Some(b'u') => bits().map_or("unsigned".to_owned(), |bits| format!("uint{bits}")),
        Some(b'i') => bits().map_or("integer".to_owned(), |bits| format!("int{bits}")),
        _ => "unknown".to_owned(),
    };
    shorten(&format!("{name} ('{descriptor}')"))
}

/// One line of bounded length: both texts come from the file.
fn shorten(text: &str) -> String {
    let mut line = one_line(text);
    if let Some((end, _)) = line.char_indices().nth(SHOWN_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}
