//! The orthonormal basis that rows are rotated to: leading principal components first.
//!
//! Simultaneous iteration (Rutishauser 1969; Halko, Martinsson, Tropp 2011) on the covariance of a
//! sample of rows, and, where a whole basis is wanted, arbitrary orthonormal vectors to fill it up.
//! Nothing depends on how good the components are but speed. What bounds rest on is only the
//! *defect* `|V^T V - 1|`, which is computed in binary64 from the vectors as they are stored.

use super::gemm::{self, PANEL};
use crate::simd::{Simd, multiversion};
use crate::threads::side_by_side;

/// Most rows that the covariance is taken of.
pub(super) const SAMPLE: usize = 4096;

/// Leading components that are iterated for; what is behind them is left in any order.
pub(super) const LEADING: usize = 256;

/// Partial sums of a product of two vectors.
const LANES: usize = 32;

/// Rounds of simultaneous iteration.
const ROUNDS: usize = 6;

/// Vectors that are made orthogonal to all before them by products of matrices: a panel.
const BLOCK: usize = PANEL;

/// A basis of `components` vectors of length `d`, `[components, d]`, from the centred `sample`,
/// `[rows, d]`, on `threads` threads: their number changes no bit.
pub(super) fn principal(
    simd: Simd,
    sample: &[f32],
    d: usize,
    components: usize,
    threads: usize,
) -> Vec<f32> {
    let rows = sample.len() / d;
    let leading = LEADING.min(components);
    let mut noise = Noise(1);
    let mut basis: Vec<f32> = (0..leading * d).map(|_| noise.next()).collect();
    let width = d.next_multiple_of(PANEL);
    let mut covariance = vec![0.0; d * width];
    let packed = gemm::pack(sample, rows, d, d);
    let transposed = transpose(sample, d);
    gemm::multiply_side_by_side(simd, &transposed, rows, rows, &packed, &mut covariance, threads);
    let packed = gemm::pack(&covariance, d, d, width);
    let mut product = vec![0.0; leading * width];
    for _ in 0..ROUNDS {
        gemm::multiply_side_by_side(simd, &basis, d, d, &packed, &mut product, threads);
        for (basis, product) in basis.chunks_exact_mut(d).zip(product.chunks_exact(width)) {
            basis.copy_from_slice(&product[..d]);
        }
        orthonormalise(simd, &mut basis, d, 0, &mut noise);
    }
    basis.extend((leading * d..components * d).map(|_| noise.next()));
    orthonormalise(simd, &mut basis, d, leading, &mut noise);
    basis
}

/// `matrix`, `[rows, d]`, as `[d, rows]`.
fn transpose(matrix: &[f32], d: usize) -> Vec<f32> {
    /// Rows at a time, so that what is written stays in the cache.
    const TILE: usize = 32;
    let rows = matrix.len() / d;
    let mut transposed = vec![0.0; matrix.len()];
    for (first, tile) in (0..rows).step_by(TILE).zip(matrix.chunks(TILE * d)) {
        for (column, transposed) in transposed.chunks_exact_mut(rows).enumerate() {
            let values = tile[column..].iter().step_by(d);
            transposed[first..].iter_mut().zip(values).for_each(|(place, &value)| *place = value);
        }
    }
    transposed
}

/// An upper bound of `|V^T V - 1|`, for `basis` = `V^T`, `[components, d]`, on `threads` threads.
pub(super) fn defect(simd: Simd, basis: &[f32], d: usize, threads: usize) -> f64 {
    let components = basis.len() / d;
    // Vectors that come later have more before them, so threads take turns.
    let squares = side_by_side((0..threads.max(1)).map(|thread| {
        move || -> Vec<f64> {
            let mut products = vec![0.0; components];
            let mut squares = |index: usize| {
                let vector = &basis[index * d..][..d];
                let products = &mut products[..=index];
                dots(simd, &basis[..(index + 1) * d], vector, products);
                products[index] -= 1.0;
                let before = products[..index].iter().map(|x| x * x).sum::<f64>();
                products[index] * products[index] + 2.0 * before
            };
            (thread..components).step_by(threads.max(1)).map(&mut squares).collect()
        }
    }));
    // In the order of the vectors, whoever has taken them.
    let in_turn =
        (0..components).map(|index| squares[index % squares.len()][index / squares.len()]);
    // The Frobenius norm, with room for binary64's rounding of `d` terms in each of the products.
    let room = components as f64 * d as f64 * 4.0 * f64::EPSILON;
    in_turn.sum::<f64>().sqrt() * (1.0 + 1e-9) + room
}

/// Makes the vectors from `first` on orthonormal to all before them: classical Gram-Schmidt, twice
/// ("twice is enough", Giraud, Langou, Rozložník 2005), in blocks as far as those before a block are asked.
fn orthonormalise(simd: Simd, basis: &mut [f32], d: usize, first: usize, noise: &mut Noise) {
    let count = basis.len() / d;
    let mut products = vec![0.0; count];
    for start in (first..count).step_by(BLOCK) {
        let end = count.min(start + BLOCK);
        let (before, block) = basis[..end * d].split_at_mut(start * d);
        let lasts = project_out(simd, before, d, block);
        for index in start..end {
            let (before, rest) = basis.split_at_mut(index * d);
            let vector = &mut rest[..d];
            // A vector that lies in the span of those before it is replaced by noise, which has to be made
            // orthogonal to all of them.
            let mut known = start;
            if !lasts[index - start] {
                vector.fill_with(|| noise.next());
                known = 0;
            }
            for _ in 0..8 {
                let mut kept = 1.0;
                for _ in 0..2 {
                    normalise(vector);
                    let (before, products) = (&before[known * d..], &mut products[known..index]);
                    dots(simd, before, vector, products);
                    subtract(simd, before, products, vector);
                    kept = square(vector);
                }
                normalise(vector);
                if kept > 0.5 {
                    break;
                }
                vector.fill_with(|| noise.next());
                known = 0;
            }
        }
    }
}

/// Makes the vectors of a `block` orthogonal to those `before`. Returns of which there is anything left.
fn project_out(simd: Simd, before: &[f32], d: usize, block: &mut [f32]) -> Vec<bool> {
    let (known, vectors) = (before.len() / d, block.len() / d);
    let mut lasts = vec![true; vectors];
    if known == 0 {
        return lasts;
    }
    let places: Vec<usize> = (0..d).collect();
    let columns = gemm::pack_transposed(before, &places, d);
    let rows = gemm::pack(before, known, d, d);
    let (width, length) = (known.next_multiple_of(PANEL), d.next_multiple_of(PANEL));
    let (mut products, mut spans) = (vec![0.0; vectors * width], vec![0.0; vectors * length]);
    for _ in 0..2 {
        block.chunks_exact_mut(d).for_each(normalise);
        gemm::multiply(simd, block, d, d, &columns, &mut products);
        gemm::multiply(simd, &products, width, known, &rows, &mut spans);
        let spans = spans.chunks_exact(length);
        for ((vector, span), lasts) in block.chunks_exact_mut(d).zip(spans).zip(&mut lasts) {
            vector.iter_mut().zip(span).for_each(|(x, span)| *x -= span);
            *lasts = square(vector) > 0.5;
        }
    }
    lasts
}

/// The squared norm.
fn square(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}

fn normalise(vector: &mut [f32]) {
    let norm = square(vector).sqrt();
    if norm > 0.0 {
        for x in vector {
            *x = (f64::from(*x) / norm) as f32;
        }
    }
}

multiversion! {
    /// The product of every vector of `basis` with `vector`.
    fn dots = dots_body(basis: &[f32], vector: &[f32], products: &mut [f64])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn dots_body<const B: usize>(basis: &[f32], vector: &[f32], products: &mut [f64]) {
    for (basis, product) in basis.chunks_exact(vector.len()).zip(products) {
        let (whole, rest) = basis.as_chunks::<LANES>();
        let (vector, vector_rest) = vector.as_chunks::<LANES>();
        let mut lanes = [0.0_f64; LANES];
        for (a, b) in whole.iter().zip(vector) {
            for lane in 0..LANES {
                lanes[lane] += f64::from(a[lane]) * f64::from(b[lane]);
            }
        }
        let rest: f64 =
            rest.iter().zip(vector_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        *product = lanes.iter().sum::<f64>() + rest;
    }
}

multiversion! {
    /// Takes `products` times `basis` from `vector`.
    fn subtract = subtract_body(basis: &[f32], products: &[f64], vector: &mut [f32])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn subtract_body<const B: usize>(basis: &[f32], products: &[f64], vector: &mut [f32]) {
    for (basis, &product) in basis.chunks_exact(vector.len()).zip(products) {
        let product = product as f32;
        for (x, &b) in vector.iter_mut().zip(basis) {
            *x -= product * b;
        }
    }
}

/// Numbers between -1 and 1 for starting vectors (a linear congruential generator).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;

    #[test]
    fn a_basis_is_orthonormal_and_leads_with_what_varies_most() {
        let d = 20;
        let mut noise = Noise(5);
        let sample: Vec<f32> =
            (0..300 * d).map(|i| noise.next() * if i % d == 7 { 10.0 } else { 1.0 }).collect();
        for simd in available() {
            for components in [1, 5, d] {
                let basis = principal(simd, &sample, d, components, 2);
                assert_eq!(basis.len(), components * d);
                assert!(basis[7].abs() > 0.99, "{}", basis[7]);
                assert!(defect(simd, &basis, d, 3) < 1e-5);
            }
            // A sample without any variance still gives a basis.
            let basis = principal(simd, &vec![0.0; 8 * d], d, d, 1);
            assert!(defect(simd, &basis, d, 3) < 1e-5);
        }
    }

    #[test]
    fn vectors_of_several_blocks_are_orthonormal_whatever_they_were() {
        let (d, count) = (3 * BLOCK - 20, 2 * BLOCK + 30);
        let mut noise = Noise(3);
        // Of few dimensions; the same one again and again; nothing.
        let few: Vec<f32> = (0..5 * d).map(|_| noise.next()).collect();
        let of_few = |i: usize| -> Vec<f32> {
            (0..d)
                .map(|c| (0..5).map(|j| ((i * j + 1) as f32).sin() * few[j * d + c]).sum())
                .collect()
        };
        let kinds: [&dyn Fn(usize) -> Vec<f32>; 3] =
            [&of_few, &|_| few[..d].to_vec(), &|_| vec![0.0; d]];
        for simd in available() {
            for kind in kinds {
                let mut basis: Vec<f32> = (0..count).flat_map(kind).collect();
                orthonormalise(simd, &mut basis, d, 0, &mut noise);
                assert!(defect(simd, &basis, d, 2) < 1e-5);
                let before = basis.clone();
                basis.extend((0..d - count).flat_map(kind));
                orthonormalise(simd, &mut basis, d, count, &mut noise);
                assert!(defect(simd, &basis, d, 1) < 1e-5);
                assert_eq!(basis[..count * d], before);
            }
        }
    }

    #[test]
    fn the_defect_is_seen() {
        let simd = Simd::detect();
        let found = defect(simd, &[1.0, 0.0, 0.01, 1.0], 2, 1);
        assert!((0.014..0.015).contains(&found), "{found}");
    }
}
