//! A look at rows with some of them as centroids.

use super::super::centroids::Centroids;
use super::super::judge::{Ranges, turn};
use super::super::kernel::{Lanes, ROWS};
use super::super::looks::Looks;
use super::super::planes::Depth;
use super::super::product::Product;
use super::super::weigh::Batch;
use super::intervals::Seen;
use crate::data::Data;
use crate::index::IndexView;
use crate::lines::Lines;
use crate::simd::Simd;

/// Errors are measured from the mean, which no centroid is.
const MEAN: [u32; ROWS] = [u32::MAX; ROWS];

/// What a look takes.
pub(super) struct Round<'a> {
    simd: Simd,
    index: &'a IndexView<'a>,
    looks: Looks,
    ranges: Ranges,
    /// The highest of these, turned.
    high: Lines<[Lanes; ROWS]>,
}

impl<'a> Round<'a> {
    /// With `centroids`, `[lanes, stride]`, rows that are at most one unit from the mean.
    pub(super) fn new(
        simd: Simd,
        data: Data<'_>,
        index: &'a IndexView<'a>,
        centroids: &[f64],
    ) -> Self {
        let lanes = centroids.len() / data.rows.stride();
        let mut whole = Centroids::new(data, index, lanes);
        let mut product = Product::new(simd, index, lanes);
        let mut looks = Looks::new(data, index, lanes);
        let takes_the_basis = looks.take_the_basis();
        let usable = whole.set(simd, index, data, centroids, takes_the_basis, &mut product);
        assert!(usable, "rows are at most one unit from the mean");
        looks.set(simd, index, &whole, &product);
        let ranges = Ranges::new(lanes);
        Self { simd, index, looks, high: Lines::zeros(ranges.low.len()), ranges }
    }

    /// The ranges of up to [`ROWS`] rows; asks for the `next` ones meanwhile.
    pub(super) fn look(&mut self, depth: Depth, rows: &[u32], next: &[u32]) -> Seen<'_> {
        let Self { simd, index, looks, ranges, high } = self;
        let batch = Batch { rows, nearest: &MEAN[..rows.len()], next };
        looks.look(*simd, index, depth, &batch, ranges);
        turn(*simd, &ranges.high_of_rows, high);
        Seen { low: ranges.low.as_flattened(), high: high.as_flattened(), slack: &ranges.slack }
    }
}
