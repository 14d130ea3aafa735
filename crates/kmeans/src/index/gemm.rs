//! Products of matrices in binary32, for the index: its one hot loop, and that of projecting
//! centroids.
//!
//! `C = A B` with `B` packed in panels of [`PANEL`] columns, so that the micro-kernel reads it
//! straight on. Sums are kept in binary32 for [`CHUNK`] terms and then added in binary64, which
//! bounds the error of an entry by `(CHUNK + 2) * 2^-24` times the product of the norms of its row
//! and its column ([`RELATIVE_ERROR`]), whether or not multiplications and additions are fused.

use crate::simd::{Simd, multiversion};
use crate::threads::side_by_side;

/// Columns of a panel: four AVX-512 registers.
pub(crate) const PANEL: usize = 64;

/// Rows of `A` that a micro-kernel takes at once: with four registers of columns, 24 sums.
const ROWS: usize = 6;

/// Terms that are added in binary32 before the sum goes on in binary64.
const CHUNK: usize = 32;

/// An entry of a product `a · b` is off by at most this times `|a| |b|`.
///
/// Of a chunk's terms `t`, each passes one rounding as a product and at most `CHUNK` as part of a
/// sum, so the chunk is off by `(CHUNK + 1) u / (1 - (CHUNK + 1) u) sum |t|` with `u = 2^-24`; the
/// last rounding to binary32 adds one, what binary64 adds is far below, and `sum |t| <= |a| |b|`.
pub(crate) const RELATIVE_ERROR: f64 = (CHUNK + 3) as f64 / (1 << 24) as f64;

/// `matrix`, of shape `[rows, columns]` with `stride` between rows, in panels
/// `[columns / PANEL, rows, PANEL]`, padded with zeros.
pub(crate) fn pack(matrix: &[f32], rows: usize, columns: usize, stride: usize) -> Vec<f32> {
    let mut packed = vec![0.0; rows * columns.next_multiple_of(PANEL)];
    for (panel, packed) in packed.chunks_exact_mut(rows * PANEL).enumerate() {
        let width = PANEL.min(columns - panel * PANEL);
        for (row, packed) in packed.chunks_exact_mut(PANEL).enumerate() {
            packed[..width].copy_from_slice(&matrix[row * stride + panel * PANEL..][..width]);
        }
    }
    packed
}

/// The transpose of `matrix`, `[columns, places]`, as [`pack`] would do it, with row `i` of it in place
/// `places[i]` of `rows`, and zeros in the others.
pub(crate) fn pack_transposed(matrix: &[f32], places: &[usize], rows: usize) -> Vec<f32> {
    let columns = matrix.len() / places.len();
    let mut packed = vec![0.0; rows * columns.next_multiple_of(PANEL)];
    for (column, values) in matrix.chunks_exact(places.len()).enumerate() {
        let panel = &mut packed[column / PANEL * rows * PANEL..][..rows * PANEL];
        for (&place, &value) in places.iter().zip(values) {
            panel[place * PANEL + column % PANEL] = value;
        }
    }
    packed
}

/// As [`multiply`], on `threads` threads: their number changes no bit.
pub(crate) fn multiply_side_by_side(
    simd: Simd,
    a: &[f32],
    stride: usize,
    inner: usize,
    packed: &[f32],
    product: &mut [f32],
    threads: usize,
) {
    let part = (a.len() / stride).div_ceil(threads.max(1)).next_multiple_of(ROWS);
    let width = packed.len() / inner;
    let parts = a.chunks(part * stride).zip(product.chunks_mut(part * width));
    side_by_side(
        parts.map(|(a, product)| move || multiply(simd, a, stride, inner, packed, product)),
    );
}

multiversion! {
    /// `A B` into `product`, `[m, panels * PANEL]`. `a` is `[m, stride]`, of which the first
    /// `inner` columns count; `packed` is `B`, `[panels, inner, PANEL]`.
    pub(crate) fn multiply =
        multiply_body(a: &[f32], stride: usize, inner: usize, packed: &[f32], product: &mut [f32])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn multiply_body<const B: usize>(
    a: &[f32],
    stride: usize,
    inner: usize,
    packed: &[f32],
    product: &mut [f32],
) {
    let width = packed.len() / inner;
    // Panel by panel, so that one stays in the cache for all rows.
    for (panel, packed) in packed.chunks_exact(inner * PANEL).enumerate() {
        let blocks = a.chunks(ROWS * stride);
        for (a, product) in blocks.zip(product.chunks_mut(ROWS * width)) {
            let rows = a.len() / stride;
            // Where there are fewer, the last row stands in for those that are missing.
            let a = std::array::from_fn(|row| &a[row.min(rows - 1) * stride..][..inner]);
            let sums = micro_kernel::<B>(a, packed);
            for (row, sums) in sums[..rows].iter().enumerate() {
                let product = &mut product[row * width + panel * PANEL..][..PANEL];
                for (product, &sum) in product.iter_mut().zip(sums) {
                    *product = sum as f32;
                }
            }
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn micro_kernel<const B: usize>(a: [&[f32]; ROWS], packed: &[f32]) -> [[f64; PANEL]; ROWS] {
    let mut sums = [[0.0_f64; PANEL]; ROWS];
    let (chunks, rest) = packed.as_chunks::<PANEL>().0.as_chunks::<CHUNK>();
    for (chunk, packed) in chunks.iter().enumerate() {
        // Of a length that is known, so that the loop looks at no end.
        let a = a.map(|a| a[chunk * CHUNK..].first_chunk::<CHUNK>().expect("a whole chunk"));
        let steps = (0..CHUNK).map(|i| (a.map(|a| a[i]), &packed[i]));
        add_chunk::<B>(steps, &mut sums);
    }
    let first = chunks.len() * CHUNK;
    let steps = rest.iter().enumerate().map(|(i, b)| (a.map(|a| a[first + i]), b));
    add_chunk::<B>(steps, &mut sums);
    sums
}

/// Adds the products of a value of each row with a line of the panel, for up to [`CHUNK`] steps.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_chunk<'a, const B: usize>(
    steps: impl Iterator<Item = ([f32; ROWS], &'a [f32; PANEL])>,
    sums: &mut [[f64; PANEL]; ROWS],
) {
    let mut partial = [[0.0_f32; PANEL]; ROWS];
    for (a, b) in steps {
        for row in 0..ROWS {
            for lane in 0..PANEL {
                // The instruction set that holds four centroids has fused additions; elsewhere
                // `mul_add` would be a call.
                partial[row][lane] = if B == 4 {
                    a[row].mul_add(b[lane], partial[row][lane])
                } else {
                    partial[row][lane] + a[row] * b[lane]
                };
            }
        }
    }
    for (sums, partial) in sums.iter_mut().zip(&partial) {
        for (sum, &partial) in sums.iter_mut().zip(partial) {
            *sum += f64::from(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;

    #[test]
    fn every_entry_is_within_its_bound() {
        let (m, inner, columns, stride) = (7, 131, 70, 144);
        let a: Vec<f32> =
            (0..m * stride).map(|i| ((i * 7919) % 1009) as f32 / 504.0 - 1.0).collect();
        let b: Vec<f32> =
            (0..inner * columns).map(|i| ((i * 104_729) % 997) as f32 / 90.0 - 5.0).collect();
        let transposed: Vec<f32> =
            (0..columns * inner).map(|i| b[i % inner * columns + i / inner]).collect();
        let packed = pack(&b, inner, columns, columns);
        let places: Vec<usize> = (0..inner).collect();
        assert_eq!(packed, pack_transposed(&transposed, &places, inner));
        for simd in available() {
            let mut product = vec![0.0; m * 128];
            multiply(simd, &a, stride, inner, &packed, &mut product);
            for row in 0..m {
                let a = &a[row * stride..][..inner];
                for column in 0..columns {
                    let b = &transposed[column * inner..][..inner];
                    let dot = |a: &[f32], b: &[f32]| -> f64 {
                        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                    };
                    let found = f64::from(product[row * 128 + column]);
                    let bound = RELATIVE_ERROR * (dot(a, a) * dot(b, b)).sqrt();
                    assert!((found - dot(a, b)).abs() <= bound, "{simd:?} {row} {column}");
                }
                assert!(product[row * 128 + columns..][..128 - columns].iter().all(|&x| x == 0.0));
            }
        }
    }
}
