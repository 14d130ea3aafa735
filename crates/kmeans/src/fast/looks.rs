//! How rows are looked at: at their codes where they have some, else at all of their coordinates.

use super::centroids::Centroids;
use super::codes::{BYTES, Codes, by_codes, spread};
use super::judge::{Ranges, turn};
use super::kernel::Products;
use super::planes::{Depth, Planes};
use super::product::Product;
use super::weigh::{self, Batch, by_planes};
use crate::data::Data;
use crate::index::IndexView;
use crate::simd::{Simd, prefetch};
use crate::sparse::SparseRows;
use std::slice;

/// At most what a score with a centroid is off by: a number for each row, its *size*, times what is one for
/// all rows, and something besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct OffBy {
    pub(super) of_size: f32,
    pub(super) besides: f32,
}

impl OffBy {
    /// The size itself.
    pub(super) const SIZE: Self = Self { of_size: 1.0, besides: 0.0 };

    /// For a row of this `size`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn off(self, size: f32) -> f32 {
        self.besides + self.of_size * size
    }
}

/// What looks take.
pub(super) enum Looks {
    Codes(Box<Codes>, Box<[Products; BYTES]>),
    Planes(Box<Planes>, weigh::Tile),
}

impl Looks {
    /// At rows, with `k` centroids.
    pub(super) fn new(data: Data<'_>, index: &IndexView<'_>, k: usize) -> Self {
        match Codes::new(data, index, k) {
            Some(codes) => Self::Codes(Box::new(codes), Box::new([Products::ZERO; BYTES])),
            None => Self::Planes(Box::new(Planes::new(index, k)), weigh::Tile::new(index)),
        }
    }

    /// Whether they take the product of the centroids with the whole basis.
    pub(super) fn take_the_basis(&self) -> bool {
        matches!(self, Self::Planes(..))
    }

    /// Takes `centroids` and, where that [is needed](Self::take_the_basis), their `product`.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        centroids: &Centroids,
        product: &Product,
    ) {
        match self {
            Self::Codes(codes, _) => codes.set(simd, centroids, index.unit),
            Self::Planes(planes, _) => planes.set(simd, index, centroids, product),
        }
    }

    /// Bytes of a row that are read in this `depth`, on average.
    pub(super) fn bytes_of_row(&self, index: &IndexView<'_>, depth: Depth) -> f64 {
        let layout = index.layout;
        match (self, depth) {
            (Self::Codes(..), _) => sparse_of(index).bytes_of_row(),
            (Self::Planes(..), Depth::Rough) => (layout.width() + layout.widths[0]) as f64,
            (Self::Planes(..), Depth::Fine) => (2 * layout.width()) as f64,
        }
    }

    /// Takes the ranges of up to [`super::kernel::ROWS`] rows.
    pub(super) fn look(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        depth: Depth,
        batch: &Batch<'_>,
        ranges: &mut Ranges,
    ) {
        match self {
            Self::Codes(codes, sums) => {
                for &next in batch.next {
                    prefetch(slice::from_ref(index.facts(next as usize)));
                }
                let (sparse, scores) = (sparse_of(index), &mut ranges.low_of_rows);
                by_codes(simd, sparse, codes, depth, batch, sums, scores);
                spread(simd, simd, index, codes, depth, batch.rows, ranges);
            }
            Self::Planes(planes, tile) => {
                by_planes(simd, simd, index, planes, depth, batch, tile, ranges);
            }
        }
    }

    /// At most what [scores](Self::score) with each centroid are off by in this `depth`, where the sizes of
    /// rows are their norms. `None` where there are only ranges.
    pub(super) fn off_by(&self, depth: Depth) -> Option<Vec<OffBy>> {
        match self {
            Self::Codes(codes, _) => Some(codes.off_by(depth).collect()),
            Self::Planes(..) => None,
        }
    }

    /// Takes scores of up to [`super::kernel::ROWS`] rows, in place of the lowest of their `ranges`.
    ///
    /// # Panics
    /// Where there are only ranges.
    pub(super) fn score(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        depth: Depth,
        batch: &Batch<'_>,
        ranges: &mut Ranges,
    ) {
        let Self::Codes(codes, sums) = self else { panic!("there are no codes") };
        by_codes(simd, sparse_of(index), codes, depth, batch, sums, &mut ranges.low_of_rows);
        turn(simd, &ranges.low_of_rows, &mut ranges.low);
    }
}

/// Codes without zeros, which there are where looks are at codes.
fn sparse_of<'a>(index: &'a IndexView<'_>) -> &'a SparseRows<'a> {
    index.sparse.as_ref().expect("as when looks were made")
}
