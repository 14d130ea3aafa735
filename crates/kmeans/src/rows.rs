//! A matrix of rows, as every loop of this crate goes through it.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How many partial sums a distance is added in. 16 binary64 are two AVX-512 registers, or four
/// AVX2 ones: enough independent chains to hide the latency of an addition. Rows are padded to a
/// multiple of it.
pub const LANES: usize = 16;

/// The number of a data row, from 0. A type of its own, because a row number taken for a cluster
/// number or a column would go unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowIndex(pub u64);

impl RowIndex {
    /// The row at `index` of a slice.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(index as u64)
    }

    /// As an index into a slice of rows.
    ///
    /// # Panics
    /// Where the number was made on a machine with a wider address space than this one.
    #[must_use]
    pub fn get(self) -> usize {
        usize::try_from(self.0).expect("a row index fits the address space it was made in")
    }
}

/// A borrowed matrix of `n` rows by `d` columns of finite `f32`, row by row, each row padded with
/// zeros to a whole number of [`LANES`].
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    n: usize,
    d: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// The padded length of a row of `d` columns.
    #[must_use]
    pub const fn stride_of(d: usize) -> usize {
        d.next_multiple_of(LANES)
    }

    /// A view of `values`, of shape `[n, stride_of(d)]`.
    ///
    /// # Panics
    /// Where the length of `values` is not `n * stride_of(d)`, or `n` or `d` is 0.
    #[must_use]
    pub fn new(values: &'a [f32], n: usize, d: usize) -> Self {
        let stride = Self::stride_of(d);
        assert!(n > 0 && d > 0, "a matrix has rows and columns");
        assert_eq!(values.len(), n * stride, "the values are n padded rows");
        Self { values, n, d, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn n(self) -> usize {
        self.n
    }

    /// Number of columns, without padding.
    #[must_use]
    pub fn d(self) -> usize {
        self.d
    }

    /// Length of a padded row.
    #[must_use]
    pub fn stride(self) -> usize {
        self.stride
    }

    /// A row with its padding.
    #[must_use]
    pub fn row(self, row: RowIndex) -> &'a [f32] {
        &self.values[row.get() * self.stride..][..self.stride]
    }

    /// All rows in order, each with its padding.
    #[must_use]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.stride)
    }

    /// The rows of `range`, as a matrix of their own.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        let values = &self.values[range.start * self.stride..range.end * self.stride];
        Self { values, n: range.len(), ..self }
    }
}

/// Smallest (above zero) and largest magnitude among values; what [`SumGrid`](crate::exact_sum::SumGrid) is chosen from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Magnitudes {
    /// The smallest `|x| > 0`, or infinity where all are zero.
    pub smallest: f32,
    /// The largest `|x|`, or 0.
    pub largest: f32,
}

impl Magnitudes {
    /// Of no values at all: the neutral element of [`Self::merge`].
    pub const NONE: Self = Self { smallest: f32::INFINITY, largest: 0.0 };

    /// Of all `values`.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        // Bit patterns of non-negative floats are ordered as the floats are, and integer minimum
        // and maximum vectorise. A zero wraps to the top, where it is no minimum.
        let (mut low, mut high) = (u32::MAX, 0_u32);
        for value in values {
            let bits = value.to_bits() & 0x7fff_ffff;
            low = low.min(bits.wrapping_sub(1));
            high = high.max(bits);
        }
        let smallest = if low == u32::MAX { f32::INFINITY } else { f32::from_bits(low + 1) };
        Self { smallest, largest: f32::from_bits(high) }
    }

    /// Of both together. A NaN in either stays the largest.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let larger = self.largest.to_bits().max(other.largest.to_bits());
        Self { smallest: self.smallest.min(other.smallest), largest: f32::from_bits(larger) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_ignore_signs_and_zeros() {
        let found = Magnitudes::of(&[0.0, -0.0, -3.5, 1e-42, 2.0]);
        assert_eq!(found, Magnitudes { smallest: 1e-42, largest: 3.5 });
        assert_eq!(Magnitudes::of(&[0.0, -0.0]), Magnitudes::NONE);
        assert_eq!(found.merge(Magnitudes::of(&[-7.0])).largest.to_bits(), 7.0_f32.to_bits());
        let nan = Magnitudes::of(&[f32::NAN]);
        assert!(found.merge(nan).largest.is_nan() && nan.merge(found).largest.is_nan());
    }
}
