//! How rows are looked at: at their codes where they have some, else at all of their coordinates.

use super::centroids::Centroids;
use super::codes::{BYTES, Codes, by_codes};
use super::judge::Ranges;
use super::kernel::Products;
use super::planes::{Depth, Planes};
use super::product::Product;
use super::weigh::{self, Batch, by_planes};
use crate::data::Data;
use crate::index::IndexView;
use crate::simd::Simd;

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

    /// Bytes of a row that are read in this `depth`.
    pub(super) fn bytes_of_row(&self, index: &IndexView<'_>, depth: Depth) -> usize {
        let layout = index.layout;
        match (self, depth) {
            (Self::Codes(..), _) => layout.d,
            (Self::Planes(..), Depth::Rough) => layout.width() + layout.widths[0],
            (Self::Planes(..), Depth::Fine) => 2 * layout.width(),
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
                by_codes(simd, simd, index, codes, depth, batch, sums, ranges);
            }
            Self::Planes(planes, tile) => {
                by_planes(simd, simd, index, planes, depth, batch, tile, ranges);
            }
        }
    }
}
