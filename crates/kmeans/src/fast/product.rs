//! What the basis makes of centroids: their coordinates, in lanes.
//!
//! All of them take a product with the whole basis, some 2 MB, in every iteration that needs them. AMX
//! multiplies bytes sixteen times as fast as AVX-512 multiplies binary32, so there it is a product of
//! integers ([`super::integers`]); elsewhere it is one of matrices in binary32 ([`gemm`]).

use super::integers::Integers;
use super::kernel::{self, LANES, Lanes};
use crate::index::gemm::{self, PANEL};
use crate::index::{IndexView, product_error};
use crate::integers;
use crate::lines::Lines;
use crate::simd::Simd;

/// The product of centroids with the basis.
#[derive(Debug, Clone)]
pub(super) struct Product {
    /// Coordinates along each component, `[group][width][16]`; less of them where the product is not with
    /// the whole basis.
    lanes: Lines<Lanes>,
    width: usize,
    way: Way,
    /// See [`Self::error`].
    error: f64,
}

/// How it is taken.
#[derive(Debug, Clone)]
enum Way {
    Integers(Box<Integers>),
    /// As `gemm` leaves it, `[k, width]`, and zeros up to whole groups.
    Rows(Vec<f32>),
}

impl Product {
    /// Of `k` centroids.
    pub(super) fn new(simd: Simd, index: &IndexView<'_>, k: usize) -> Self {
        let groups = k.div_ceil(LANES);
        let d = index.layout.d;
        let width = index.basis.len() / d;
        let way = if integers::fit(simd, d) {
            Way::Integers(Box::new(Integers::new(index, groups)))
        } else {
            Way::Rows(vec![0.0; groups * LANES * width])
        };
        let error = product_error(simd, &index.layout, index.defect, index.units);
        Self { lanes: Lines::zeros(groups * width), width, way, error }
    }

    /// Takes `centroids`, `[k, d]`, and multiplies them with the `whole` basis, or only with as much of it
    /// as leading coordinates take.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        centroids: &[f32],
        whole: bool,
    ) {
        let d = index.layout.d;
        let leading = d * index.layout.widths[0].next_multiple_of(PANEL);
        let basis = if whole { index.basis } else { &index.basis[..leading] };
        self.width = basis.len() / d;
        let lanes = self.lanes.chunks_exact_mut(self.width);
        match &mut self.way {
            Way::Integers(integers) => {
                integers.set(simd, centroids);
                for (group, lanes) in lanes.take(integers.groups()).enumerate() {
                    integers.multiply(simd, index, group, lanes);
                }
            }
            Way::Rows(rows) => {
                let k = centroids.len() / d;
                let rows = &mut rows[..k.next_multiple_of(LANES) * self.width];
                let (of_centroids, padding) = rows.split_at_mut(k * self.width);
                gemm::multiply(simd, centroids, d, d, basis, of_centroids);
                padding.fill(0.0);
                for (rows, lanes) in rows.chunks_exact(LANES * self.width).zip(lanes) {
                    turn(simd, rows, lanes);
                }
            }
        }
    }

    /// Coordinates of a group of centroids along the components that they were multiplied with.
    pub(super) fn group(&self, group: usize) -> &[Lanes] {
        &self.lanes[group * self.width..][..self.width]
    }

    /// At least how far coordinates are off, together, of a centroid of a norm of 1; what rounding it to
    /// binary32 does included.
    pub(super) fn error(&self) -> f64 {
        self.error
    }
}

/// `rows`, `[16][width]`, into `lanes`, `[width][16]`.
fn turn(simd: Simd, rows: &[f32], lanes: &mut [Lanes]) {
    let width = lanes.len();
    for (first, lanes) in (0..).step_by(LANES).zip(lanes.as_chunks_mut().0) {
        let square = std::array::from_fn(|row| {
            *rows[row * width + first..].first_chunk().expect("panels are whole groups")
        });
        kernel::transpose(simd, &square, lanes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::embedded;
    use super::*;
    use crate::index::{Index, Layout};
    use crate::simd::available;

    #[test]
    fn coordinates_are_within_their_error() {
        // More than a group of centroids, more than one panel and step, and columns that are left over.
        let (n, d, k) = (300, 150, 21);
        let problem = embedded(n, d, 8);
        for simd in available() {
            for components in [d, 90] {
                let layout = Layout::with_components(n, d, components);
                let index = Index::build(simd, problem.data(), 1, layout).expect("rows differ");
                let index = index.view();
                // Of all sizes, one of nothing, and one of a single column.
                let mut centroids: Vec<f32> = (0..k * d)
                    .map(|at| {
                        ((at * 7919 % 2003) as f32 - 1001.0) * 10.0_f32.powi((at / d) as i32 - 12)
                    })
                    .collect();
                centroids[3 * d..4 * d].fill(0.0);
                centroids[4 * d + 1..5 * d].fill(0.0);
                let mut product = Product::new(simd, &index, k);
                for whole in [true, false, true] {
                    product.set(simd, &index, &centroids, whole);
                    let count = if whole { components } else { index.layout.widths[0] };
                    for (j, centroid) in centroids.chunks_exact(d).enumerate() {
                        let square = |x: f64| x * x;
                        let norm = centroid.iter().map(|&x| square(x.into())).sum::<f64>().sqrt();
                        let off = |c: usize| {
                            let exact: f64 = (0..d)
                                .map(|i| {
                                    let basis =
                                        index.basis[(c / PANEL * d + i) * PANEL + c % PANEL];
                                    f64::from(centroid[i]) * f64::from(basis)
                                })
                                .sum();
                            square(f64::from(product.group(j / LANES)[c][j % LANES]) - exact)
                        };
                        let off = (0..count).map(off).sum::<f64>().sqrt();
                        assert!(
                            off <= product.error() * norm,
                            "{simd:?} {whole} {j}: {off} {norm}"
                        );
                    }
                }
            }
        }
    }
}
