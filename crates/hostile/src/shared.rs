//! The file that workers map.

use crate::memory::{MemoryFile, within};
use kscan_kmeans::Rows;
use kscan_shared::{HeaderError, Shape, SharedError, SharedMap};

/// Where sections begin.
const HEADER_LEN: usize = 4096;

/// The bytes of the header that hold something; of these, its own checksum, the number of rows, of
/// columns, and the file's length.
const FIELDS: usize = 368;
const CHECKSUM: usize = 12;
const ROWS: usize = 16;
const COLUMNS: usize = 24;
const LENGTH: usize = 32;

/// A file is made as long as it says it is, up to this.
const LONGEST: u64 = 1 << 20;

/// Buffers for paths and errors: nothing of the file is copied.
const BUFFERS: usize = 1 << 16;

/// The first bytes are the fields of the header, the others what stands behind it.
pub(crate) fn shared(bytes: &[u8]) -> bool {
    let as_it_is = opened(bytes);
    let Some((fields, sections)) = bytes.split_at_checked(FIELDS) else { return as_it_is };
    let mut file = fields.to_vec();
    file[CHECKSUM..][..4].fill(0);
    let checksum = crc32fast::hash(&file);
    file[CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
    file.resize(HEADER_LEN, 0);
    file.extend(sections);
    file.resize(number(fields, LENGTH).clamp(HEADER_LEN as u64, LONGEST) as usize, 0);
    opened(&file) | as_it_is
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..).and_then(<[u8]>::first_chunk);
    eight.map_or(0, |&eight| u64::from_le_bytes(eight))
}

/// Whether `bytes` are a shared file.
fn opened(bytes: &[u8]) -> bool {
    let file = MemoryFile::sealed(bytes);
    let shape = Shape { n: number(bytes, ROWS) as usize, d: number(bytes, COLUMNS) as usize };
    let open = |shape| within(BUFFERS, || SharedMap::open(&file.path(), shape));
    let map = match open(shape) {
        Ok(map) => map,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            return false;
        }
    };
    let data = map.data();
    let Shape { n, d } = shape;
    assert_eq!((data.rows.n(), data.rows.d()), (n, d));
    assert_eq!((data.spread.len(), data.spread_cumulative.len()), (n, n));
    assert_eq!(data.center.len(), Rows::stride_of(d));
    assert!(n * d * size_of::<f32>() <= bytes.len());
    if let Some(index) = map.index() {
        assert_eq!((index.layout.n, index.layout.d), (n, d));
        assert_eq!(index.basis.len(), index.layout.basis_len());
        assert_eq!(index.blocks.len(), index.layout.blocks_len());
        assert_eq!(index.units.len(), index.layout.units_len());
        assert_eq!(index.front.len(), index.layout.front_len());
        assert_eq!(index.deep.len(), index.layout.deep_len());
        assert_eq!(index.low.len(), index.layout.low_len());
        assert!((1..=index.layout.varying).contains(&index.layout.components));
    }
    let _ = map.verify();
    let other = open(Shape { n, d: d + 1 });
    let refused =
        matches!(other, Err(SharedError::Header { source: HeaderError::Shape { .. }, .. }));
    assert!(refused, "taken for another shape: {other:?}");
    true
}
