//! What [`super`] does, in x86-64's own instructions.
#![expect(unsafe_code, reason = "explicit vector instructions")]
#![expect(clippy::cast_ptr_alignment, reason = "loads and stores that ask for no alignment")]

use super::super::anchors::{Movements, Note};
use super::{
    CentroidLine, FOUR, LANES, Lanes, OfRows, ROWS, Reach, RowLines, Stretch, Sums, Sums32, Taken,
    Then,
};
use std::arch::x86_64::{
    __m256i, __m512, __m512i, _CMP_GT_OQ, _mm256_add_epi32, _mm256_and_si256, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_slli_epi16,
    _mm256_srai_epi16, _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi32, _mm512_add_ps,
    _mm512_castpd_ps, _mm512_castps_pd as pairs, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps,
    _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_add_ps,
    _mm512_maskz_compress_epi32, _mm512_mul_ps, _mm512_permutexvar_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_shuffle_f32x4, _mm512_shuffle_i32x4, _mm512_slli_epi32, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

/// The caller holds a token of AVX-512, and has checked the lengths.
#[inline]
pub(super) fn multiply(row: &[u8], group: &[i8], start: &Sums32) -> Sums32 {
    // SAFETY: the token stands for AVX-512 F and VNNI; the row has as many coordinates as the group,
    // a multiple of 16.
    unsafe { one(row, group, start) }
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn add_stretches(
    stretches: &[Stretch],
    rows: &[RowLines],
    centroid: &[CentroidLine],
    sums: &[Taken],
    scales: &[OfRows],
    scores: &mut OfRows,
) {
    // SAFETY: the token stands for AVX-512 F and VNNI.
    unsafe { add_stretches_512(stretches, rows, centroid, sums, scales, scores) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn add_stretches_512(
    stretches: &[Stretch],
    rows: &[RowLines],
    centroid: &[CentroidLine],
    sums: &[Taken],
    scales: &[OfRows],
    scores: &mut OfRows,
) {
    let mut score = load(scores);
    let mut found = [_mm512_setzero_si512(); ROWS];
    let mut sums = sums.iter();
    for stretch in stretches {
        let rows = &rows[stretch.row_line..][..stretch.lines];
        let centroid = &centroid[stretch.centroid_line..][..stretch.lines];
        for (rows, centroid) in rows.iter().zip(centroid) {
            // SAFETY: a line is 64 bytes, and no alignment is asked for.
            let c = unsafe { _mm512_loadu_si512(centroid.as_ptr().cast()) };
            for (found, row) in found.iter_mut().zip(rows) {
                // SAFETY: as above.
                let x = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
                *found = _mm512_dpbusd_epi32(*found, x, c);
            }
        }
        match stretch.then {
            Then::GoOn => {}
            Then::GoOnTimes256 => {
                for found in &mut found {
                    *found = _mm512_slli_epi32::<8>(*found);
                }
            }
            Then::Take { level } => {
                let sum = sums.next().expect("every sum that is taken is known");
                let products = _mm512_add_epi32(across(&found), _mm512_set1_epi32(sum.start));
                let factors = _mm512_mul_ps(load(&scales[level]), _mm512_set1_ps(sum.factor));
                score = _mm512_add_ps(score, _mm512_mul_ps(factors, _mm512_cvtepi32_ps(products)));
                found = [_mm512_setzero_si512(); ROWS];
            }
        }
    }
    store(scores, score);
}

/// The sum of the lanes of each of 16 registers, in four steps: neighbours, pairs, and then quarters of
/// registers twice.
#[inline]
#[target_feature(enable = "avx512f")]
fn across(sums: &[__m512i; ROWS]) -> __m512i {
    // The four lanes of a quarter become those of four registers.
    let mut fours = [_mm512_setzero_si512(); 4];
    for (four, &[a, b, c, d]) in fours.iter_mut().zip(sums.as_chunks::<4>().0) {
        let low = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let high = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        *four =
            _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    }
    halves(halves(fours[0], fours[1]), halves(fours[2], fours[3]))
}

/// The sums of neighbouring quarters of `a`, and then those of `b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b))
}

/// The caller holds a token of AVX2.
pub(super) fn add_dots(rows: &[RowLines], centroid: &[CentroidLine], found: &mut [i32; ROWS]) {
    // SAFETY: the token stands for AVX2.
    unsafe { add_dots_256(rows, centroid, found) }
}

#[target_feature(enable = "avx2")]
fn add_dots_256(rows: &[RowLines], centroid: &[CentroidLine], found: &mut [i32; ROWS]) {
    let mut sums = [_mm256_setzero_si256(); ROWS];
    add_halves(&mut sums, rows, centroid);
    for (found, sum) in found.iter_mut().zip(sums) {
        let mut lanes = [0_i32; 8];
        // SAFETY: 8 numbers are 32 bytes, and no alignment is asked for.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
        for lane in lanes {
            *found = found.wrapping_add(lane);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_halves(sums: &mut [__m256i; ROWS], rows: &[RowLines], centroid: &[CentroidLine]) {
    let bytes = _mm256_set1_epi16(0xff);
    for (rows, centroid) in rows.iter().zip(centroid) {
        for half in 0..2 {
            // SAFETY: a line is two halves of 32 bytes; no alignment is asked for.
            let c = unsafe { _mm256_loadu_si256(centroid.as_ptr().cast::<__m256i>().add(half)) };
            // Every other byte, widened: what multiplies bytes directly may overflow.
            let c = [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(c)), _mm256_srai_epi16::<8>(c)];
            for (sum, row) in sums.iter_mut().zip(rows) {
                // SAFETY: as above.
                let x = unsafe { _mm256_loadu_si256(row.as_ptr().cast::<__m256i>().add(half)) };
                let x = [_mm256_and_si256(x, bytes), _mm256_srli_epi16::<8>(x)];
                for (x, c) in x.into_iter().zip(c) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(c, x));
                }
            }
        }
    }
}

/// # Safety
/// The row is `group.len() / LANES` long, a multiple of 16.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn one(row: &[u8], group: &[i8], start: &Sums32) -> Sums32 {
    // SAFETY: four coordinates of 16 centroids are 64 bytes of `group`; four of the row's are 4 bytes
    // of it, in range because it has four coordinates for each of the group's fours; 16 sums are 64
    // bytes. No load or store asks for alignment.
    unsafe {
        // Four chains hide how long one takes.
        let mut sums = [_mm512_setzero_si512(); 4];
        sums[0] = _mm512_loadu_si512(start.as_ptr().cast());
        for fours in 0..group.len() / (4 * FOUR) {
            for (i, sum) in sums.iter_mut().enumerate() {
                let four = 4 * fours + i;
                let c = _mm512_loadu_si512(group.as_ptr().add(four * FOUR).cast());
                let x = row.as_ptr().add(4 * four).cast::<i32>().read_unaligned();
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi32(x), c);
            }
        }
        let [a, b, c, d] = sums;
        let sum = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
        let mut found = [0; LANES];
        _mm512_storeu_si512(found.as_mut_ptr().cast(), sum);
        found
    }
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn range(
    products: &Sums32,
    moved: &Movements,
    kept: &Lanes,
    note: &Note,
    sharp: u16,
) -> (Lanes, Lanes) {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { range_512(products, moved, kept, note, sharp) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn range_512(
    products: &Sums32,
    moved: &Movements,
    kept: &Lanes,
    note: &Note,
    sharp: u16,
) -> (Lanes, Lanes) {
    let factors = _mm512_mul_ps(_mm512_set1_ps(note.scale), load(&moved.factors));
    let product = _mm512_mul_ps(factors, _mm512_cvtepi32_ps(load_signed(products)));
    let score = _mm512_add_ps(load(kept), _mm512_add_ps(load(&moved.squares), product));
    let bound = [(note.error, &moved.errors), (note.tail, &moved.tails), (note.norm, &moved.norms)]
        .into_iter()
        .fold(load(&moved.rounding), |bound, (norm, by)| {
            _mm512_add_ps(bound, _mm512_mul_ps(_mm512_set1_ps(norm), load(by)))
        });
    let (mut low, mut high) = ([0.0; LANES], [0.0; LANES]);
    store(&mut low, _mm512_sub_ps(score, bound));
    let unknown = _mm512_set1_ps(f32::INFINITY);
    store(
        &mut high,
        _mm512_mask_add_ps(unknown, sharp, score, _mm512_add_ps(bound, _mm512_set1_ps(note.blur))),
    );
    (low, high)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_signed(values: &Sums32) -> __m512i {
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: &mut Lanes, register: __m512) {
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_storeu_ps(values.as_mut_ptr(), register) };
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn transpose(square: &[Lanes; LANES]) -> [Lanes; LANES] {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { turn(square) }
}

/// In four steps: pairs, fours, and then quarters of registers twice.
#[target_feature(enable = "avx512f")]
fn turn(square: &[Lanes; LANES]) -> [Lanes; LANES] {
    let mut fours = [_mm512_setzero_ps(); LANES];
    for (rows, fours) in square.as_chunks::<4>().0.iter().zip(fours.as_chunks_mut::<4>().0) {
        // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
        let [a, b, c, d] = rows.each_ref().map(|row| unsafe { _mm512_loadu_ps(row.as_ptr()) });
        let low = (pairs(_mm512_unpacklo_ps(a, b)), pairs(_mm512_unpacklo_ps(c, d)));
        let high = (pairs(_mm512_unpackhi_ps(a, b)), pairs(_mm512_unpackhi_ps(c, d)));
        *fours = [
            _mm512_castpd_ps(_mm512_unpacklo_pd(low.0, low.1)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(low.0, low.1)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(high.0, high.1)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(high.0, high.1)),
        ];
    }
    let mut turned = [[0.0; LANES]; LANES];
    for m in 0..4 {
        let [a, b, c, d] = [fours[m], fours[4 + m], fours[8 + m], fours[12 + m]];
        // The even quarters of two registers, and the odd ones.
        let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
        let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
        let quarters: [__m512; 4] = [
            _mm512_shuffle_f32x4::<0x88>(even[0], even[1]),
            _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]),
            _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]),
            _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]),
        ];
        for (quarter, values) in quarters.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(turned[4 * quarter + m].as_mut_ptr(), values) };
        }
    }
    turned
}

/// The caller holds a token of AVX-512; there is one group of sums, and there are whole groups of
/// rows, for which, and one group more, there is room in `found`. Returns how many it has found.
#[inline]
pub(super) fn reached(sums: &Sums<'_>, limits: &Reach<'_>, first: u32, found: &mut [u32]) -> usize {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { reached_512(sums, limits, first, found) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32]) -> __m512 {
    let values: &[f32; LANES] = values.try_into().expect("a group");
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_integers(values: &[u32]) -> __m512i {
    let values: &[u32; LANES] = values.try_into().expect("a group");
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn reached_512(sums: &Sums<'_>, limits: &Reach<'_>, first: u32, found: &mut [u32]) -> usize {
    let (own, travelled) = (load(sums.own), load(sums.travelled));
    let mut count = 0;
    let mut rows = _mm512_add_epi32(
        _mm512_set1_epi32(first.cast_signed()),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    );
    let parts = limits.near.chunks_exact(LANES).zip(limits.rest.chunks_exact(LANES));
    let centroids = limits.runner_up.chunks_exact(LANES).zip(limits.labels.chunks_exact(LANES));
    for ((near, rest), (runner_up, labels)) in parts.zip(centroids) {
        // Of a label, the last four bits count: whoever has none yet has no limit either.
        let labels = load_integers(labels);
        let both = _mm512_add_ps(
            _mm512_permutexvar_ps(labels, own),
            _mm512_permutexvar_ps(load_integers(runner_up), own),
        );
        let stays = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(load(near), both)
            & _mm512_cmp_ps_mask::<_CMP_GT_OQ>(
                load(rest),
                _mm512_permutexvar_ps(labels, travelled),
            );
        let packed = _mm512_maskz_compress_epi32(!stays, rows);
        let place: &mut [u32; LANES] =
            (&mut found[count..count + LANES]).try_into().expect("a group");
        // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
        unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), packed) };
        count += stays.count_zeros() as usize;
        rows = _mm512_add_epi32(rows, _mm512_set1_epi32(LANES as i32));
    }
    count
}
