//! A file's bytes, gunzipped where they are compressed, read once from front to end.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::file::Opened;
use crate::{DatasetError, Source};

/// What a gzip member starts with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes that are read from a compressed file at a time.
const GZIP_BUFFER: usize = 1 << 16;

/// The bytes of one file after decompression, and how many of them have been read.
pub(crate) struct Content<'a> {
    origin: Source,
    reader: Box<dyn Read + 'a>,
    /// The file below, where it is one on a disk.
    opened: Option<Opened>,
    gzip: bool,
    /// The number of bytes in all, where it is known beforehand: never of compressed content,
    /// whose own statement of its length proves nothing.
    len: Option<u64>,
    /// Bytes that have been handed out.
    position: u64,
    /// Bytes that were read to recognise the format and are still to be handed out.
    peeked: Vec<u8>,
    /// Why a compressed stream ended where it should not.
    cut: Option<io::Error>,
    /// Bytes of memory that its values may take.
    room: u64,
}

impl Content<'static> {
    /// Opens a file, which may be compressed.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let origin = Source::File(path.to_path_buf());
        let opened = File::open(path).and_then(|file| {
            let opened = Opened::of(&file)?;
            Ok((file, opened))
        });
        match opened {
            Ok((file, opened)) => {
                let len = opened.as_ref().map(Opened::len);
                Ok(Self { opened, ..Self::new(origin, file, len)? })
            }
            Err(source) => Err(DatasetError::Io { origin, source }),
        }
    }
}

impl<'a> Content<'a> {
    /// Reads from `raw`, which holds `len` bytes if that is known, and may be compressed.
    pub(crate) fn new(
        origin: Source,
        mut raw: impl Read + 'a,
        len: Option<u64>,
    ) -> Result<Self, DatasetError> {
        let mut first = [0; GZIP_MAGIC.len()];
        let got = match read_full(&mut raw, &mut first) {
            Ok(got) => got,
            Err(source) => return Err(DatasetError::Io { origin, source }),
        };
        let raw = io::Cursor::new(first).take(got as u64).chain(raw);
        Ok(Self::of(origin, raw, len, first == GZIP_MAGIC))
    }

    /// Reads from what is compressed neither itself nor, for all that is known, of this length: it
    /// comes out of an archive.
    pub(crate) fn member(origin: Source, raw: impl Read + 'a) -> Self {
        Self::of(origin, raw, None, false)
    }

    fn of(origin: Source, raw: impl Read + 'a, len: Option<u64>, gzip: bool) -> Self {
        let reader: Box<dyn Read + 'a> = if gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(GZIP_BUFFER, raw)))
        } else {
            Box::new(raw)
        };
        let len = len.filter(|_| !gzip);
        Self {
            origin,
            reader,
            opened: None,
            gzip,
            len,
            position: 0,
            peeked: Vec::new(),
            cut: None,
            room: u64::MAX,
        }
    }

    /// This, where its values may take `room` bytes of memory.
    pub(crate) fn within(self, room: u64) -> Self {
        Self { room, ..self }
    }

    /// Bytes of memory that its values may take.
    pub(crate) fn room(&self) -> u64 {
        self.room
    }

    pub(crate) fn origin(&self) -> &Source {
        &self.origin
    }

    /// The number of bytes in all, where it is known before they are read.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Bytes that have been read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The first `count` bytes, without reading past them; fewer if there are no more.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8], DatasetError> {
        debug_assert_eq!(self.position, 0, "the start has been read already");
        let mut first = vec![0; count];
        let got = self.fill(&mut first)?;
        first.truncate(got);
        self.position = 0;
        self.peeked = first;
        if self.peeked.len() < count {
            // A stream that is cut this early is damaged, rather than empty or unknown.
            self.check_cut()?;
        }
        Ok(&self.peeked)
    }

    /// Fills `buffer`, or as much of it as there are bytes left; returns how many.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, DatasetError> {
        let again = self.peeked.len().min(buffer.len());
        buffer[..again].copy_from_slice(&self.peeked[..again]);
        self.peeked.drain(..again);
        let mut filled = again;
        if self.cut.is_none() {
            match read_some(&mut self.reader, &mut buffer[again..]) {
                (got, None) => filled += got,
                (got, Some(error)) if self.gzip && error.kind() == io::ErrorKind::UnexpectedEof => {
                    filled += got;
                    self.cut = Some(error);
                }
                (_, Some(error)) => return Err(self.read_error(error)),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }

    /// Fills all of `buffer` with bytes of the header.
    pub(crate) fn header_bytes(&mut self, buffer: &mut [u8]) -> Result<(), DatasetError> {
        let expected = self.position + buffer.len() as u64;
        if self.fill(buffer)? < buffer.len() {
            return Err(self.truncated(expected));
        }
        Ok(())
    }

    /// The error for content that ended here and should have gone on to `expected` bytes.
    pub(crate) fn truncated(&self, expected: u64) -> DatasetError {
        DatasetError::Truncated { origin: self.origin.clone(), expected, found: self.position }
    }

    /// Makes sure that nothing follows. Of compressed content this also reads the checksum.
    pub(crate) fn expect_end(&mut self) -> Result<(), DatasetError> {
        let expected = self.position;
        if self.fill(&mut [0])? > 0 {
            return Err(DatasetError::TrailingBytes { origin: self.origin.clone(), expected });
        }
        self.check_cut()
    }

    /// Makes sure that the file is still as it was when it was opened: if not, what was read may be
    /// a bit of both.
    pub(crate) fn expect_unchanged(&self) -> Result<(), DatasetError> {
        let origin = || self.origin.clone();
        match self.opened.as_ref().map_or(Ok(false), Opened::has_changed) {
            Ok(false) => Ok(()),
            Ok(true) => Err(DatasetError::Changed { origin: origin() }),
            Err(source) => Err(DatasetError::Io { origin: origin(), source }),
        }
    }

    fn check_cut(&mut self) -> Result<(), DatasetError> {
        match self.cut.take() {
            Some(source) => Err(DatasetError::Gzip { origin: self.origin.clone(), source }),
            None => Ok(()),
        }
    }

    fn read_error(&self, source: io::Error) -> DatasetError {
        let origin = self.origin.clone();
        // The decompressor's own errors, as opposed to those of the file below it.
        let damaged =
            matches!(source.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
        if self.gzip && damaged && source.raw_os_error().is_none() {
            DatasetError::Gzip { origin, source }
        } else {
            DatasetError::Io { origin, source }
        }
    }
}

/// Fills `buffer` or reads to the end; returns the number of bytes.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    match read_some(reader, buffer) {
        (got, None) => Ok(got),
        (_, Some(error)) => Err(error),
    }
}

/// Fills `buffer` or reads to the end or an error; returns the number of bytes until then.
fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}
