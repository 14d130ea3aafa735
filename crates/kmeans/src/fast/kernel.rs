//! Scalar products of rows with 16 centroids at a time, in integers.
//!
//! Integers, because their sums are exact: whatever instructions compute them, they give the same
//! numbers, and bounds need not account for them. Centroids lie *in lanes*: pairs of coordinates of
//! 16 centroids side by side fill one 512-bit register, and a row's pair is broadcast against it,
//! so that no sum is ever taken across a register.

use crate::simd::{Simd, SimdLevel};

/// Centroids to a group: the lanes of a register.
pub(super) const LANES: usize = 16;

/// Rows that are multiplied at a time.
pub(super) const ROWS: usize = 8;

/// A group's pairs of coordinates: `[pair][centroid][2]`.
pub(super) const PAIR: usize = 2 * LANES;

/// Sums for [`ROWS`] rows and [`LANES`] centroids.
pub(super) type Products = [[i32; LANES]; ROWS];

/// The scalar products of `rows`, each of `width` coordinates (an even number), with the 16
/// centroids of `group`, `[width / 2][16][2]`. All must fit 32 bits.
pub(super) fn products(simd: Simd, rows: [&[i16]; ROWS], group: &[i16]) -> Products {
    let width = group.len() / LANES;
    assert!(width.is_multiple_of(2) && group.len() == width * LANES);
    assert!(rows.iter().all(|row| row.len() == width));
    match simd.level() {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx512 => x86::products_512(rows, group),
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx2 => x86::products_256(rows, group),
        _ => products_portable(rows, group),
    }
}

/// Asks for `values` to be in the cache soon. No result depends on it.
#[inline]
pub(super) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(values);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

fn products_portable(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
    let mut sums = [[0_i32; LANES]; ROWS];
    for (sums, row) in sums.iter_mut().zip(rows) {
        for (x, c) in row.as_chunks::<2>().0.iter().zip(group.as_chunks::<PAIR>().0) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum += i32::from(x[0]) * i32::from(c[2 * lane])
                    + i32::from(x[1]) * i32::from(c[2 * lane + 1]);
            }
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "explicit vector instructions")]
#[expect(clippy::cast_ptr_alignment, reason = "loads and stores that ask for no alignment")]
mod x86 {
    use super::{LANES, PAIR, Products, ROWS};
    use std::arch::x86_64::{
        __m256i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256,
        _mm512_add_epi32, _mm512_dpwssd_epi32, _mm512_loadu_si512, _mm512_madd_epi16,
        _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    };

    #[inline]
    pub(super) fn prefetch<T>(values: &[T]) {
        const LINE: usize = 64;
        let start: *const i8 = values.as_ptr().cast();
        for offset in (0..size_of_val(values)).step_by(LINE) {
            // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
        }
    }

    /// The caller holds a token of AVX-512, and has checked the lengths.
    pub(super) fn products_512(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the token stands for AVX-512 F and BW, VNNI was just seen, and every row has
            // as many coordinates as the group.
            unsafe { vnni(rows, group) }
        } else {
            // SAFETY: the token stands for AVX-512 F and BW; every row has as many coordinates as
            // the group.
            unsafe { madd(rows, group) }
        }
    }

    /// The caller holds a token of AVX2, and has checked the lengths.
    pub(super) fn products_256(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
        // SAFETY: the token stands for AVX2; every row has as many coordinates as the group.
        unsafe { halves(rows, group) }
    }

    /// # Safety
    /// All rows are `group.len() / LANES` long.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn vnni(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
        // SAFETY: as promised by the caller.
        unsafe { wide(rows, group, |sum, c, x| _mm512_dpwssd_epi32(sum, c, x)) }
    }

    /// # Safety
    /// All rows are `group.len() / LANES` long.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn madd(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
        // SAFETY: as promised by the caller.
        unsafe { wide(rows, group, |sum, c, x| _mm512_add_epi32(sum, _mm512_madd_epi16(c, x))) }
    }

    /// # Safety
    /// The processor has AVX-512 F, and all rows are `group.len() / LANES` long.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    unsafe fn wide(
        rows: [&[i16]; ROWS],
        group: &[i16],
        multiply_add: impl Fn(__m512i, __m512i, __m512i) -> __m512i,
    ) -> Products {
        let mut products = [[0; LANES]; ROWS];
        // SAFETY: a pair of coordinates of 16 centroids is 64 bytes of `group`; a pair of a row's
        // is 4 bytes of it, in range because rows have two coordinates for each of the group's
        // pairs; 16 sums are 64 bytes of `products`. No load or store asks for alignment.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); ROWS];
            for pair in 0..group.len() / PAIR {
                let c = _mm512_loadu_si512(group.as_ptr().add(pair * PAIR).cast());
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let x = row.as_ptr().add(2 * pair).cast::<i32>().read_unaligned();
                    *sum = multiply_add(*sum, c, _mm512_set1_epi32(x));
                }
            }
            for (products, sum) in products.iter_mut().zip(sums) {
                _mm512_storeu_si512(products.as_mut_ptr().cast(), sum);
            }
        }
        products
    }

    /// # Safety
    /// All rows are `group.len() / LANES` long.
    #[target_feature(enable = "avx2")]
    unsafe fn halves(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
        let mut products = [[0; LANES]; ROWS];
        // SAFETY: as in `wide`, in two halves of 32 bytes.
        unsafe {
            for (products, rows) in products.chunks_exact_mut(4).zip(rows.chunks_exact(4)) {
                let mut sums = [[_mm256_setzero_si256(); 2]; 4];
                for pair in 0..group.len() / PAIR {
                    let c = group.as_ptr().add(pair * PAIR).cast::<__m256i>();
                    let c = [_mm256_loadu_si256(c), _mm256_loadu_si256(c.add(1))];
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        let x = row.as_ptr().add(2 * pair).cast::<i32>().read_unaligned();
                        let x = _mm256_set1_epi32(x);
                        for (sum, c) in sums.iter_mut().zip(c) {
                            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(c, x));
                        }
                    }
                }
                for (products, sums) in products.iter_mut().zip(sums) {
                    let products = products.as_mut_ptr().cast::<__m256i>();
                    _mm256_storeu_si256(products, sums[0]);
                    _mm256_storeu_si256(products.add(1), sums[1]);
                }
            }
        }
        products
    }

    #[cfg(test)]
    pub(super) fn madd_for_test(rows: [&[i16]; ROWS], group: &[i16]) -> Products {
        // SAFETY: as in `products_512`; the test asks for a token first.
        unsafe { madd(rows, group) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_level_multiplies_alike(
            pairs in 1_usize..80,
            seed in prop::collection::vec(any::<i16>(), 1..50),
        ) {
            let width = 2 * pairs;
            // No sum of 160 products of numbers this small leaves 32 bits.
            let at = |i: usize| seed[i % seed.len()] / 10;
            let rows: Vec<Vec<i16>> =
                (0..ROWS).map(|row| (0..width).map(|i| at(i * 7 + row * 13)).collect()).collect();
            let rows = std::array::from_fn(|row| rows[row].as_slice());
            let group: Vec<i16> = (0..width * LANES).map(|i| at(i * 3 + 1)).collect();
            let expected: Products = std::array::from_fn(|row| {
                std::array::from_fn(|lane| {
                    (0..width)
                        .map(|i| {
                            let c = group[i / 2 * PAIR + 2 * lane + i % 2];
                            i32::from(rows[row][i]) * i32::from(c)
                        })
                        .sum()
                })
            });
            for simd in available() {
                prop_assert_eq!(products(simd, rows, &group), expected, "{:?}", simd);
                #[cfg(target_arch = "x86_64")]
                if simd.level() == SimdLevel::Avx512 {
                    prop_assert_eq!(x86::madd_for_test(rows, &group), expected);
                }
            }
        }
    }
}
