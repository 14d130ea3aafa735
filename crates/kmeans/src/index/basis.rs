//! The orthonormal basis that rows are rotated to: leading principal components first.
//!
//! Simultaneous iteration (Rutishauser 1969; Halko, Martinsson, Tropp 2011) on the covariance of a
//! sample of rows, and, where a whole basis is wanted, arbitrary orthonormal vectors to fill it up.
//! Nothing depends on how good the components are but speed. What bounds rest on is only the
//! *defect* `|V^T V - 1|`, which is computed in binary64 from the vectors as they are stored.

use super::gemm::{self, PANEL};
use crate::simd::{Simd, multiversion};

/// Most rows that the covariance is taken of.
pub(super) const SAMPLE: usize = 4096;

/// Leading components that are iterated for; what is behind them is left in any order.
pub(super) const LEADING: usize = 256;

/// Partial sums of a product of two vectors.
const LANES: usize = 32;

/// Rounds of simultaneous iteration.
const ROUNDS: usize = 6;

/// A basis of `components` vectors of length `d`, `[components, d]`, from the centred `sample`,
/// `[rows, d]`.
pub(super) fn principal(simd: Simd, sample: &[f32], d: usize, components: usize) -> Vec<f32> {
    let rows = sample.len() / d;
    let leading = LEADING.min(components);
    let mut noise = Noise(1);
    let mut basis: Vec<f32> = (0..leading * d).map(|_| noise.next()).collect();
    orthonormalise(simd, &mut basis, d, 0, &mut noise);

    let mut transposed = vec![0.0; d * rows];
    for (row, values) in sample.chunks_exact(d).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            transposed[column * rows + row] = value;
        }
    }
    let width = d.next_multiple_of(PANEL);
    let mut covariance = vec![0.0; d * width];
    let packed = gemm::pack(sample, rows, d, d);
    gemm::multiply(simd, &transposed, rows, rows, &packed, &mut covariance);
    let packed = gemm::pack(&covariance, d, d, width);
    let mut product = vec![0.0; leading * width];
    for _ in 0..ROUNDS {
        gemm::multiply(simd, &basis, d, d, &packed, &mut product);
        for (basis, product) in basis.chunks_exact_mut(d).zip(product.chunks_exact(width)) {
            basis.copy_from_slice(&product[..d]);
        }
        orthonormalise(simd, &mut basis, d, 0, &mut noise);
    }
    basis.extend((leading * d..components * d).map(|_| noise.next()));
    orthonormalise(simd, &mut basis, d, leading, &mut noise);
    basis
}

/// An upper bound of `|V^T V - 1|`, for `basis` = `V^T`, `[components, d]`.
pub(super) fn defect(simd: Simd, basis: &[f32], d: usize) -> f64 {
    let mut squares = 0.0;
    for (index, vector) in basis.chunks_exact(d).enumerate() {
        let mut products = vec![0.0; index + 1];
        dots(simd, &basis[..(index + 1) * d], vector, &mut products);
        products[index] -= 1.0;
        squares += products[index] * products[index];
        squares += 2.0 * products[..index].iter().map(|x| x * x).sum::<f64>();
    }
    // The Frobenius norm, with room for binary64's rounding of `d` terms in each of the products.
    let components = (basis.len() / d) as f64;
    squares.sqrt() * (1.0 + 1e-9) + components * d as f64 * 4.0 * f64::EPSILON
}

/// Makes the vectors from `first` on orthonormal to all before them: classical Gram-Schmidt, twice
/// ("twice is enough", Giraud, Langou, Rozložník 2005).
fn orthonormalise(simd: Simd, basis: &mut [f32], d: usize, first: usize, noise: &mut Noise) {
    let mut products = vec![0.0; basis.len() / d];
    for index in first..basis.len() / d {
        let (before, rest) = basis.split_at_mut(index * d);
        let vector = &mut rest[..d];
        // A vector that lies in the span of those before it is replaced by noise.
        for _ in 0..8 {
            let mut kept = 1.0;
            for _ in 0..2 {
                normalise(vector);
                dots(simd, before, vector, &mut products[..index]);
                subtract(simd, before, &products[..index], vector);
                kept = vector.iter().map(|&x| f64::from(x * x)).sum::<f64>();
            }
            normalise(vector);
            if kept > 0.5 {
                break;
            }
            for x in &mut *vector {
                *x = noise.next();
            }
        }
    }
}

fn normalise(vector: &mut [f32]) {
    let norm = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
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
                let basis = principal(simd, &sample, d, components);
                assert_eq!(basis.len(), components * d);
                assert!(basis[7].abs() > 0.99, "{}", basis[7]);
                assert!(defect(simd, &basis, d) < 1e-5);
            }
            // A sample without any variance still gives a basis.
            let basis = principal(simd, &vec![0.0; 8 * d], d, d);
            assert!(defect(simd, &basis, d) < 1e-5);
        }
    }

    #[test]
    fn the_defect_is_seen() {
        let simd = Simd::detect();
        let found = defect(simd, &[1.0, 0.0, 0.01, 1.0], 2);
        assert!((0.014..0.015).contains(&found), "{found}");
    }
}
