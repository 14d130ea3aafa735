//! The values after a header: read in pieces, decoded, put into row-major order.

use ndarray::{Array2, ArrayD, IxDyn, ShapeBuilder as _};

use crate::content::Content;
use crate::header::{Endian, Header, Order, Stored};
use crate::{DatasetError, Values};

/// Bytes read and decoded at a time: a multiple of every value's size, small enough to stay in
/// the processor's cache between the two.
const PIECE: usize = 1 << 17;

/// Recognises the format, reads all of `content`, and makes sure that it ends where its header
/// says, and was not changed meanwhile. Returns the values, rows by columns, and the original
/// shape. They may not be finite.
pub(crate) fn read(content: &mut Content<'_>) -> Result<(Values, Vec<usize>), DatasetError> {
    let read = read_all(content);
    // First: whatever else is wrong with a file that was changed, that is why.
    content.expect_unchanged()?;
    read
}

fn read_all(content: &mut Content<'_>) -> Result<(Values, Vec<usize>), DatasetError> {
    let header = Header::read(content)?;
    let expected = content.position() + header.body_bytes;
    if let Some(found) = content.len() {
        let origin = || content.origin().clone();
        if found < expected {
            return Err(DatasetError::Truncated { origin: origin(), expected, found });
        }
        if found > expected {
            return Err(DatasetError::TrailingBytes { origin: origin(), expected });
        }
    }
    let values = match header.stored {
        Stored::U8 => Values::U8(read_array::<u8, _>(content, &header)?),
        Stored::I8 => Values::I16(read_array::<i8, _>(content, &header)?),
        Stored::I16 => Values::I16(read_array::<i16, _>(content, &header)?),
        Stored::U16 => Values::I32(read_array::<u16, _>(content, &header)?),
        Stored::I32 => Values::I32(read_array::<i32, _>(content, &header)?),
        Stored::U32 => Values::I64(read_array::<u32, _>(content, &header)?),
        Stored::I64 => Values::I64(read_array::<i64, _>(content, &header)?),
        Stored::F32 => Values::F32(read_array::<f32, _>(content, &header)?),
        Stored::F64 => Values::F64(read_array::<f64, _>(content, &header)?),
    };
    content.expect_end()?;
    Ok((values, header.shape))
}

/// A number as it is stored in a file.
trait Number: Copy {
    /// Decodes whole values from `bytes` and appends them to `out`.
    fn decode<T: From<Self>>(bytes: &[u8], endian: Endian, out: &mut Vec<T>);
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn decode<T: From<Self>>(bytes: &[u8], endian: Endian, out: &mut Vec<T>) {
                let (values, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                match endian {
                    Endian::Little => {
                        out.extend(values.iter().map(|v| T::from(<$type>::from_le_bytes(*v))));
                    }
                    Endian::Big => {
                        out.extend(values.iter().map(|v| T::from(<$type>::from_be_bytes(*v))));
                    }
                }
            }
        }
    )*};
}

number!(u8, i8, i16, u16, i32, u32, i64, f32, f64);

/// Reads values stored as `S` into an array of `T`.
fn read_array<S, T>(content: &mut Content<'_>, header: &Header) -> Result<Array2<T>, DatasetError>
where
    S: Number,
    T: From<S> + Copy,
{
    let expected = content.position() + header.body_bytes;
    let bytes = header.values as u64 * size_of::<T>() as u64;
    let copies = if is_transposed(header) { 2 } else { 1 };
    if bytes.saturating_mul(copies) > content.room() {
        let (origin, room) = (content.origin().clone(), content.room());
        return Err(DatasetError::NoRoom { origin, bytes: bytes.saturating_mul(copies), room });
    }
    let mut values: Vec<T> = Vec::new();
    if content.len().is_some() {
        // The file is known to be as long as the header says.
        reserve(&mut values, header.values, content, header)?;
    }
    let mut piece = vec![0; PIECE];
    while content.position() < expected {
        let want = (expected - content.position()).min(PIECE as u64) as usize;
        if content.fill(&mut piece[..want])? < want {
            return Err(content.truncated(expected));
        }
        // Of compressed content the array grows as its bytes come in, by doubling.
        reserve(&mut values, want / size_of::<S>(), content, header)?;
        S::decode(&piece[..want], header.endian, &mut values);
    }
    debug_assert_eq!(values.len(), header.values);
    row_major(values, content, header)
}

fn reserve<T>(
    values: &mut Vec<T>,
    additional: usize,
    content: &Content<'_>,
    header: &Header,
) -> Result<(), DatasetError> {
    values.try_reserve(additional).map_err(|source| DatasetError::OutOfMemory {
        origin: content.origin().clone(),
        bytes: header.values as u64 * size_of::<T>() as u64,
        source,
    })
}

/// Whether values stand in another order than row by row. With a single size other than 1 there is
/// none.
fn is_transposed(header: &Header) -> bool {
    header.order == Order::Fortran && header.shape.iter().filter(|&&size| size > 1).count() > 1
}

/// The values as they are stored, as rows by columns. The header's shape has as many values.
fn row_major<T: Copy>(
    values: Vec<T>,
    content: &Content<'_>,
    header: &Header,
) -> Result<Array2<T>, DatasetError> {
    const COUNTED: &str = "as many values as the shape has were read";
    let rows = header.shape[0];
    let cols = header.values / rows;
    let values = if is_transposed(header) {
        let stored = ArrayD::from_shape_vec(IxDyn(&header.shape).f(), values).expect(COUNTED);
        let mut in_order = Vec::new();
        reserve(&mut in_order, header.values, content, header)?;
        in_order.extend(stored.iter());
        in_order
    } else {
        values
    };
    Ok(Array2::from_shape_vec((rows, cols), values).expect(COUNTED))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{self, Read, Write as _};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::Source;

    /// Counts the bytes that are taken from it.
    struct Counted<'a, R> {
        reader: R,
        taken: &'a Cell<usize>,
    }

    impl<R: Read> Read for Counted<'_, R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let got = self.reader.read(buffer)?;
            self.taken.set(self.taken.get() + got);
            Ok(got)
        }
    }

    fn error_of(raw: impl Read) -> DatasetError {
        let mut content = Content::new(Source::from("x"), raw, None).unwrap();
        read(&mut content).expect_err("more than the header declares")
    }

    /// 2 x 2 bytes, whatever follows.
    const SMALL: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4];

    #[test]
    fn reading_stops_where_the_header_says() {
        let taken = Cell::new(0);
        let endless = SMALL.chain(io::repeat(0));
        let error = error_of(Counted { reader: endless, taken: &taken });
        assert!(matches!(error, DatasetError::TrailingBytes { expected: 16, .. }), "{error:?}");
        assert_eq!(taken.get(), SMALL.len() + 1);
    }

    #[test]
    fn decompressing_stops_where_the_header_says() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(SMALL).unwrap();
        io::copy(&mut io::repeat(0).take(1 << 28), &mut encoder).unwrap();
        let bomb = encoder.finish().unwrap();
        let taken = Cell::new(0);
        let error = error_of(Counted { reader: &bomb[..], taken: &taken });
        assert!(matches!(error, DatasetError::TrailingBytes { expected: 16, .. }), "{error:?}");
        // One buffer's worth of the compressed bytes, not all of them.
        assert!(taken.get() * 4 < bomb.len(), "{} of {}", taken.get(), bomb.len());
    }

    #[test]
    fn errors_of_the_file_below_are_kept() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        for start in [SMALL[..14].to_vec(), std::mem::take(&mut gzip)] {
            let error = error_of(start.chain(Failing));
            let DatasetError::Io { source, .. } = error else { panic!("{error:?}") };
            assert_eq!(source.raw_os_error(), Some(5));
        }
    }
}
