//! A look at rows with some of them as centroids.

use super::super::centroids::Centroids;
use super::super::judge::{Ranges, turn};
use super::super::kernel::{Lanes, OfRows, ROWS};
use super::super::looks::{Looks, OffBy};
use super::super::planes::Depth;
use super::super::product::Product;
use super::super::weigh::Batch;
use super::intervals::{Seen, take_middle};
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
    depth: Depth,
    looks: Looks,
    ranges: Ranges,
    /// The highest of these, turned, where scores are made of ranges.
    high: Option<Lines<[Lanes; ROWS]>>,
    /// At most what scores are off by: of each lane, and of rows that are looked at.
    off_by: Vec<OffBy>,
    sizes: OfRows,
}

impl<'a> Round<'a> {
    /// Looks in this `depth`, with `centroids`, `[lanes, stride]`, rows that are at most one unit from the
    /// mean.
    pub(super) fn new(
        simd: Simd,
        data: Data<'_>,
        index: &'a IndexView<'a>,
        centroids: &[f64],
        depth: Depth,
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
        let off_by = looks.off_by(depth);
        let high = off_by.is_none().then(|| Lines::zeros(ranges.low.len()));
        let off_by = off_by.unwrap_or_else(|| vec![OffBy::SIZE; lanes]);
        Self { simd, index, depth, looks, ranges, high, off_by, sizes: [0.0; ROWS] }
    }

    /// What scores are off by with each centroid, `[lanes]`.
    pub(super) fn off_by(&self) -> &[OffBy] {
        &self.off_by
    }

    /// Bytes of a row that are read, on average.
    pub(super) fn bytes_of_row(&self) -> f64 {
        self.looks.bytes_of_row(self.index, self.depth)
    }

    /// The scores of up to [`ROWS`] rows, all of which are at most as far from the mean as `norms` say,
    /// `[n]`; asks for the `next` ones meanwhile.
    pub(super) fn look(&mut self, rows: &[u32], next: &[u32], norms: &[f32]) -> Seen<'_> {
        let Self { simd, index, depth, looks, ranges, high, off_by, sizes } = self;
        let batch = Batch { rows, nearest: &MEAN[..rows.len()], next };
        if let Some(high) = high {
            looks.look(*simd, index, *depth, &batch, ranges);
            turn(*simd, &ranges.high_of_rows, high);
            let (low, high) = (ranges.low.as_flattened_mut(), high.as_flattened());
            let lanes = off_by.len();
            take_middle(*simd, &mut low[..lanes], &high[..lanes], &ranges.slack, sizes);
        } else {
            looks.score(*simd, index, *depth, &batch, ranges);
            for (size, &row) in sizes.iter_mut().zip(rows) {
                *size = norms[row as usize];
            }
        }
        Seen { scores: ranges.low.as_flattened(), sizes, off_by }
    }
}
