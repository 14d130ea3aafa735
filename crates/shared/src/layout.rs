//! Where things are in the file.
//!
//! ```text
//! 0      Header: magic, version, shape, section table, checksums; padded to 4,096 bytes
//! 4096   sections, each at a multiple of 64: rows f32 [n, stride]; where rows are coded too, codes
//!        u8 [n, stride], what they stand for f32 [3, stride] and, where that takes less, those that are
//!        not 0, with starts u32 [n + 1], in blocks of 64 bytes; center f64 [stride],
//!        spread f64 [n], spread_cumulative f64 [n], cutters f64 [limbs - 1];
//!        where there is an index: basis f32, the same as bytes, and their units f64; front, deep and low
//!        in blocks of 64 bytes
//! ```

use bytemuck::{Pod, Zeroable};
use kscan_kmeans::index::{BYTES, Block, Layout as IndexLayout, Line, MAX_LEVELS};
use kscan_kmeans::{CodedRows, Fours, Rows, side_by_side};

const MAGIC: [u8; 8] = *b"KSCANSHR";
const VERSION: u32 = 1;

/// Where the first section starts: whole pages before it.
const HEADER_LEN: usize = 4096;

/// What sections start at a multiple of: a cache line, and an AVX-512 register.
const ALIGNMENT: usize = 64;

/// Number of rows and columns of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub n: usize,
    /// Columns, without padding.
    pub d: usize,
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends before the header does.
    #[error("it has {0} bytes, less than a header")]
    Short(usize),
    /// It does not start as such a file does.
    #[error("it does not start as a shared file does")]
    Magic,
    /// Another version wrote it.
    #[error("its format version is {found}, not {VERSION}")]
    Version {
        /// The file's version.
        found: u32,
    },
    /// The header's checksum does not hold.
    #[error("its header is damaged")]
    Checksum,
    /// The file is shorter or longer than its header says.
    #[error("it has {found} bytes and should have {expected}")]
    Length {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// The sections are not where a file of this shape has them.
    #[error("its sections are not where they should be")]
    Sections,
    /// It holds other data than expected.
    #[error("it holds {found:?}, not {expected:?}")]
    Shape {
        /// What the header says.
        found: Shape,
        /// What was asked for.
        expected: Shape,
    },
    /// The checksum of the sections does not hold.
    #[error("its data is damaged")]
    Data,
}

/// The parts of the file behind the header.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Section {
    Rows,
    Codes,
    CodedColumns,
    SparseStarts,
    Sparse,
    Center,
    Spread,
    SpreadCumulative,
    Cutters,
    Basis,
    BasisBlocks,
    BasisUnits,
    Front,
    Deep,
    Low,
}

const SECTIONS: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Place {
    offset: u64,
    len: u64,
}

/// The header as it stands in the file.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    version: u32,
    /// Over all header fields, with this one as 0.
    header_checksum: u32,
    n: u64,
    d: u64,
    file_len: u64,
    limbs: u32,
    /// Over the sections.
    data_checksum: u32,
    /// 1 where rows are coded too, else 0.
    coded: u64,
    /// Blocks of codes without zeros, 0 where there are none, and of which fours these are.
    sparse_lines: u64,
    sparse_width: u64,
    sections: [Place; SECTIONS],
    /// Of the index; 0 components where there is none.
    components: u64,
    varying: u64,
    widths: [u64; MAX_LEVELS],
    unit: f64,
    defect: f64,
}

/// The index's numbers that stand in the header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexHeader {
    pub(crate) layout: IndexLayout,
    pub(crate) unit: f64,
    pub(crate) defect: f64,
}

/// How codes are kept without zeros: in so many lines, of these fours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sparse {
    pub(crate) lines: usize,
    pub(crate) fours: Fours,
}

/// Which bytes of a file of a given shape hold what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) shape: Shape,
    /// Whether rows are coded too.
    pub(crate) coded: bool,
    /// How they are kept without zeros too, where they are.
    pub(crate) sparse: Option<Sparse>,
    /// The parts of the index, where there is one.
    pub(crate) index: Option<IndexLayout>,
    limbs: usize,
    sections: [Place; SECTIONS],
    file_len: usize,
}

impl Layout {
    /// For data of this shape, which may be coded, and without zeros too, whose sums take so many limbs,
    /// with this index. `None` where that is larger than memory can be.
    pub(crate) fn new(
        shape: Shape,
        coded: bool,
        sparse: Option<Sparse>,
        limbs: usize,
        index: Option<IndexLayout>,
    ) -> Option<Self> {
        let stride = Rows::stride_of(shape.d);
        let bytes = |count: usize, size: usize| count.checked_mul(size);
        let starts = sparse.map_or(Some(0), |_| shape.n.checked_add(1));
        let lengths = [
            bytes(shape.n.checked_mul(stride)?, size_of::<f32>())?,
            bytes(shape.n.checked_mul(stride)?, usize::from(coded))?,
            bytes(CodedRows::NUMBERS * stride, usize::from(coded) * size_of::<f32>())?,
            bytes(starts?, size_of::<u32>())?,
            bytes(sparse.map_or(0, |sparse| sparse.lines), size_of::<Line>())?,
            bytes(stride, size_of::<f64>())?,
            bytes(shape.n, size_of::<f64>())?,
            bytes(shape.n, size_of::<f64>())?,
            bytes(limbs.checked_sub(1)?, size_of::<f64>())?,
            bytes(index.map_or(0, |index| index.basis_len()), size_of::<f32>())?,
            bytes(index.map_or(0, |index| index.blocks_len()), size_of::<[Block; BYTES]>())?,
            bytes(index.map_or(0, |index| index.units_len()), size_of::<f64>())?,
            bytes(index.map_or(0, |index| index.front_len()), size_of::<Line>())?,
            bytes(index.map_or(0, |index| index.deep_len()), size_of::<Line>())?,
            bytes(index.map_or(0, |index| index.low_len()), size_of::<Line>())?,
        ];
        let mut sections = [Place { offset: 0, len: 0 }; SECTIONS];
        let mut end = HEADER_LEN;
        for (place, len) in sections.iter_mut().zip(lengths) {
            *place = Place { offset: end as u64, len: len as u64 };
            end = end.checked_add(len)?.checked_next_multiple_of(ALIGNMENT)?;
        }
        isize::try_from(end).ok()?;
        Some(Self { shape, coded, sparse, index, limbs, sections, file_len: end })
    }

    pub(crate) fn file_len(&self) -> usize {
        self.file_len
    }

    /// The bytes of a section in a whole file.
    pub(crate) fn section<'a>(&self, file: &'a [u8], section: Section) -> &'a [u8] {
        let Place { offset, len } = self.sections[section as usize];
        &file[offset as usize..][..len as usize]
    }

    /// The same, to write.
    pub(crate) fn section_mut<'a>(&self, file: &'a mut [u8], section: Section) -> &'a mut [u8] {
        let Place { offset, len } = self.sections[section as usize];
        &mut file[offset as usize..][..len as usize]
    }

    /// Codes, and where those without zeros are written.
    pub(crate) fn split_at_sparse<'a>(&self, file: &'a mut [u8]) -> (&'a [u8], &'a mut [u8]) {
        let Place { offset, len } = self.sections[Section::Sparse as usize];
        let (before, behind) = file.split_at_mut(offset as usize);
        (self.section(before, Section::Codes), &mut behind[..len as usize])
    }

    /// What is before the sections that belong to the index' rows, and these sections, to write.
    pub(crate) fn split_at_index<'a>(&self, file: &'a mut [u8]) -> (&'a [u8], [&'a mut [u8]; 3]) {
        let ranges = [Section::Front, Section::Deep, Section::Low].map(|section| {
            let Place { offset, len } = self.sections[section as usize];
            offset as usize..(offset + len) as usize
        });
        let start = ranges[0].start;
        let (before, behind) = file.split_at_mut(start);
        let ranges = ranges.map(|range| range.start - start..range.end - start);
        (before, behind.get_disjoint_mut(ranges).expect("sections follow each other"))
    }

    /// Writes the header of a file whose sections are all there, on `threads` threads; `index` is that of
    /// the layout.
    pub(crate) fn write_header(&self, file: &mut [u8], index: Option<IndexHeader>, threads: usize) {
        let mut header = RawHeader {
            magic: MAGIC,
            version: VERSION,
            header_checksum: 0,
            n: self.shape.n as u64,
            d: self.shape.d as u64,
            file_len: self.file_len as u64,
            limbs: self.limbs as u32,
            coded: self.coded.into(),
            sparse_lines: self.sparse.map_or(0, |sparse| sparse.lines as u64),
            sparse_width: self.sparse.map_or(0, |sparse| sparse.fours.width as u64),
            data_checksum: checksum(&file[HEADER_LEN..], threads),
            sections: self.sections,
            components: index.map_or(0, |index| index.layout.components as u64),
            varying: index.map_or(0, |index| index.layout.varying as u64),
            widths: index.map_or([0; MAX_LEVELS], |index| index.layout.widths.map(|x| x as u64)),
            unit: index.map_or(0.0, |index| index.unit),
            defect: index.map_or(0.0, |index| index.defect),
        };
        header.header_checksum = crc32fast::hash(bytemuck::bytes_of(&header));
        file[..size_of::<RawHeader>()].copy_from_slice(bytemuck::bytes_of(&header));
    }

    /// Reads and checks the header of a whole file.
    pub(crate) fn read(file: &[u8]) -> Result<(Self, Option<IndexHeader>), HeaderError> {
        let header = file.get(..size_of::<RawHeader>()).ok_or(HeaderError::Short(file.len()))?;
        let header: RawHeader = bytemuck::pod_read_unaligned(header);
        if header.magic != MAGIC {
            return Err(HeaderError::Magic);
        }
        if header.version != VERSION {
            return Err(HeaderError::Version { found: header.version });
        }
        let unsigned = RawHeader { header_checksum: 0, ..header };
        if crc32fast::hash(bytemuck::bytes_of(&unsigned)) != header.header_checksum {
            return Err(HeaderError::Checksum);
        }
        if header.file_len != file.len() as u64 {
            return Err(HeaderError::Length {
                found: file.len() as u64,
                expected: header.file_len,
            });
        }
        // There is a byte and more for each row and each column: what is above that may not even
        // be multiplied.
        let size = |value: u64, most: usize| {
            usize::try_from(value).ok().filter(|&size| size <= most).ok_or(HeaderError::Sections)
        };
        let shape = Shape { n: size(header.n, file.len())?, d: size(header.d, file.len())? };
        let index = if header.components == 0 {
            None
        } else {
            let mut widths = [0; MAX_LEVELS];
            for (width, value) in widths.iter_mut().zip(header.widths) {
                *width = size(value, file.len())?;
            }
            let layout = IndexLayout {
                n: shape.n,
                d: shape.d,
                varying: size(header.varying, shape.d)?,
                components: size(header.components, shape.d)?,
                widths,
            };
            if !layout.is_sound() {
                return Err(HeaderError::Sections);
            }
            Some(IndexHeader { layout, unit: header.unit, defect: header.defect })
        };
        let index_layout = index.map(|index| index.layout);
        let lines = size(header.sparse_lines, file.len())?;
        let fours = Fours { width: size(header.sparse_width, shape.d)? };
        if !fours.fit(shape.d) {
            return Err(HeaderError::Sections);
        }
        let sparse = (lines > 0).then_some(Sparse { lines, fours });
        let (coded, limbs) = (header.coded == 1, header.limbs as usize);
        let layout =
            Self::new(shape, coded, sparse, limbs, index_layout).ok_or(HeaderError::Sections)?;
        if layout.sections != header.sections || layout.file_len != file.len() {
            return Err(HeaderError::Sections);
        }
        if shape.n == 0 || shape.d == 0 {
            return Err(HeaderError::Sections);
        }
        Ok((layout, index))
    }

    /// Reads all of a file against the checksum of its sections.
    pub(crate) fn verify_data(file: &[u8]) -> Result<(), HeaderError> {
        Self::read(file)?;
        let header: RawHeader = bytemuck::pod_read_unaligned(&file[..size_of::<RawHeader>()]);
        if checksum(&file[HEADER_LEN..], 1) == header.data_checksum {
            Ok(())
        } else {
            Err(HeaderError::Data)
        }
    }
}

/// The CRC-32 of `bytes`, taken on so many threads.
fn checksum(bytes: &[u8], threads: usize) -> u32 {
    let parts = bytes.chunks(bytes.len().div_ceil(threads.max(1)).max(1)).map(|part| {
        move || {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(part);
            hasher
        }
    });
    let mut whole = crc32fast::Hasher::new();
    for part in side_by_side(parts) {
        whole.combine(&part);
    }
    whole.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let layout = Layout::new(Shape { n: 5, d: 19 }, false, None, 2, None).unwrap();
        let mut file = vec![7; layout.file_len()];
        file[..HEADER_LEN].fill(0);
        layout.write_header(&mut file, None, 3);
        file
    }

    #[test]
    fn sections_are_aligned_and_do_not_overlap() {
        let layout = Layout::new(Shape { n: 5, d: 19 }, false, None, 2, None).unwrap();
        let mut end = HEADER_LEN as u64;
        for place in layout.sections {
            assert!(place.offset >= end && place.offset.is_multiple_of(ALIGNMENT as u64));
            end = place.offset + place.len;
        }
        assert!(end <= layout.file_len() as u64);
        assert_eq!(layout.sections[0].len, 5 * 32 * 4);
    }

    #[test]
    fn a_written_header_reads_back() {
        let (layout, index) = Layout::read(&file()).unwrap();
        assert!(index.is_none());
        assert_eq!(layout.shape, Shape { n: 5, d: 19 });
        assert_eq!(Layout::verify_data(&file()), Ok(()));
    }

    #[test]
    fn every_damage_of_the_header_is_seen() {
        for byte in 0..size_of::<RawHeader>() {
            let mut file = file();
            file[byte] ^= 0x10;
            assert!(Layout::read(&file).is_err(), "byte {byte}");
        }
        let whole = file();
        assert_eq!(Layout::read(&whole[..10]).unwrap_err(), HeaderError::Short(10));
        assert!(matches!(Layout::read(&whole[..4200]), Err(HeaderError::Length { .. })));
        let mut damaged = whole;
        damaged[4100] ^= 1;
        assert!(Layout::read(&damaged).is_ok());
        assert_eq!(Layout::verify_data(&damaged), Err(HeaderError::Data));
    }

    #[test]
    fn a_shape_beyond_memory_is_refused() {
        assert!(Layout::new(Shape { n: usize::MAX / 8, d: 100 }, false, None, 2, None).is_none());
        assert!(Layout::new(Shape { n: 1, d: 1 }, false, None, 0, None).is_none());
    }
}
