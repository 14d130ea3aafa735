//! What [`super`] does, in x86-64's own instructions.
#![expect(unsafe_code, reason = "explicit vector instructions")]

use super::super::bounds::{Limit, NUMBER};
use super::super::judge::Verdicts;
use super::super::movements::Movements;
use super::super::planes::{Parts, PerLevel};
use super::super::record::Numbers;
use super::{
    BLURRED, FOUR, KeptScores, LANES, Lanes, OfRows, Off, Part, Plane, Products, ROWS, SparseBatch,
    Sums, Sums32, Taken,
};
use crate::simd::LINE;
use crate::sparse::Four;
use std::arch::x86_64::{
    __m512, __m512i, _CMP_GT_OQ, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_set1_epi32,
    _mm_setr_epi8, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_madd_epi16,
    _mm256_setzero_si256, _mm256_storeu_si256, _mm512_add_epi32, _mm512_add_ps,
    _mm512_andnot_epi32, _mm512_broadcast_i32x4, _mm512_castpd_ps, _mm512_castps_pd as pairs,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cmpgt_epi32_mask,
    _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_mov_epi32, _mm512_mask_mov_ps, _mm512_mask_storeu_epi32,
    _mm512_maskz_compress_epi32, _mm512_maskz_mov_epi32, _mm512_mul_ps, _mm512_or_epi32,
    _mm512_permutex2var_epi32, _mm512_permutex2var_ps, _mm512_permutexvar_epi32,
    _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_f32x4, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_sub_epi32, _mm512_sub_ps, _mm512_testn_epi32_mask,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

/// The caller holds a token of AVX-512, and has checked that rows have as many lines as groups.
#[inline]
pub(super) fn multiply_512(parts: &[Part<'_>], sums: &mut Products) {
    // SAFETY: the token stands for AVX-512 F and VNNI; the caller has checked the rest.
    unsafe { in_lanes_512(parts, sums) }
}

/// # Safety
/// Rows have as many lines as groups.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn in_lanes_512(parts: &[Part<'_>], sums: &mut Products) {
    let mut found = [_mm512_setzero_si512(); ROWS];
    for Part { rows, group } in parts {
        for (four, centroids) in group.as_flattened().iter().enumerate() {
            if rows.in_order {
                // There are as many fours to a line as rows.
                let (line, row) = (four / ROWS, ROWS + four % ROWS);
                let next = rows.bytes.as_ptr().wrapping_add(row * rows.stride + line * LINE);
                _mm_prefetch::<_MM_HINT_T0>(next.cast());
            }
            // SAFETY: four bytes of 16 centroids are 64 bytes; no alignment is asked for.
            let c = unsafe { _mm512_loadu_si512(centroids.as_ptr().cast()) };
            for (row, found) in found.iter_mut().enumerate() {
                // SAFETY: the group has a line of fours for each of the row.
                let x = unsafe { rows.bytes.as_ptr().add(row * rows.stride + FOUR * four) };
                // SAFETY: as above; no alignment is asked for.
                let x = unsafe { x.cast::<i32>().read_unaligned() };
                *found = _mm512_dpbusd_epi32(*found, _mm512_set1_epi32(x), c);
            }
        }
    }
    for (sums, found) in sums.0.iter_mut().zip(found) {
        store_signed(sums, found);
    }
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn multiply_sparse<const N: usize>(
    batch: &SparseBatch<'_>,
    planes: [&Plane; N],
    sums: [&mut Products; N],
) {
    // SAFETY: the token stands for AVX-512 F and VNNI.
    unsafe { sparse_512(batch, planes, sums) }
}

/// Fours that are multiplied side by side, each for a sum of its own, so that none waits for another.
const SIDES: usize = 4;

#[target_feature(enable = "avx512f,avx512vnni")]
fn sparse_512<const N: usize>(
    batch: &SparseBatch<'_>,
    planes: [&Plane; N],
    mut sums: [&mut Products; N],
) {
    for (i, (row, ahead)) in batch.rows.iter().zip(batch.ahead).enumerate() {
        let mut found = [[_mm512_setzero_si512(); N]; SIDES];
        let mut ahead = ahead.iter();
        let (fours, last_fours) = row.fours.as_chunks::<SIDES>();
        let (places, last_places) = row.places.as_chunks::<SIDES>();
        for (fours, places) in fours.iter().zip(places) {
            if let Some(line) = ahead.next() {
                _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast());
            }
            for side in 0..SIDES {
                add_products(fours[side], places[side], &planes, &mut found[side]);
            }
        }
        for (&four, &place) in last_fours.iter().zip(last_places) {
            add_products(four, place, &planes, &mut found[0]);
        }
        let [a, b, c, d] = found;
        for (plane, sums) in sums.iter_mut().enumerate() {
            let (first, second) =
                (_mm512_add_epi32(a[plane], b[plane]), _mm512_add_epi32(c[plane], d[plane]));
            store_signed(&mut sums.0[i], _mm512_add_epi32(first, second));
        }
    }
}

/// Adds the products of a row's four with those of a place in each of the planes.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_products<const N: usize>(
    four: Four,
    place: u8,
    planes: &[&Plane; N],
    found: &mut [__m512i; N],
) {
    let x = _mm512_set1_epi32(i32::from_ne_bytes(four));
    for (found, plane) in found.iter_mut().zip(planes) {
        *found = _mm512_dpbusd_epi32(*found, x, load_bytes(&plane[usize::from(place)]));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[[i8; FOUR]; LANES]) -> __m512i {
    // SAFETY: they are 64, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn take(
    sums: &[Products],
    taken: &[Taken],
    scales: &[OfRows],
    scores: &mut [Lanes; ROWS],
) {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { take_512(sums, taken, scales, scores) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn take_512(sums: &[Products], taken: &[Taken], scales: &[OfRows], scores: &mut [Lanes; ROWS]) {
    // Half of the rows at a time stay in registers.
    for first in [0, ROWS / 2] {
        let mut found: [__m512; ROWS / 2] = std::array::from_fn(|row| load(&scores[first + row]));
        for (sums, taken) in sums.iter().zip(taken) {
            let (start, factors) = (load_signed(&taken.start), load(&taken.factors));
            let scales = &scales[taken.level];
            for (row, found) in found.iter_mut().enumerate() {
                let sums = _mm512_add_epi32(load_signed(&sums.0[first + row]), start);
                let factors = _mm512_mul_ps(_mm512_set1_ps(scales[first + row]), factors);
                let product = _mm512_mul_ps(factors, _mm512_cvtepi32_ps(sums));
                *found = _mm512_add_ps(*found, product);
            }
        }
        for (scores, found) in scores[first..].iter_mut().zip(found) {
            store(scores, found);
        }
    }
}

/// The caller holds a token of AVX2.
#[inline]
pub(super) fn multiply_256(parts: &[Part<'_>], sums: &mut Products) {
    // SAFETY: the token stands for AVX2.
    unsafe { in_lanes_256(parts, sums) }
}

/// Two rows at a time: the sums of each take four registers, in which those of two neighbouring
/// coordinates stand apart till the end. Bytes are widened, because what multiplies them directly may
/// overflow.
#[target_feature(enable = "avx2")]
fn in_lanes_256(parts: &[Part<'_>], sums: &mut Products) {
    for (first, sums) in (0..ROWS).step_by(2).zip(sums.0.as_chunks_mut::<2>().0) {
        let mut found = [[_mm256_setzero_si256(); 4]; 2];
        for Part { rows, group } in parts {
            for (line, group) in group.iter().enumerate() {
                let rows = [rows.line(first, line), rows.line(first + 1, line)];
                for (four, centroids) in group.iter().enumerate() {
                    let c = centroids.as_chunks::<4>().0;
                    // SAFETY: four bytes of four centroids are 16 bytes; no alignment is asked for.
                    let c = [0, 1, 2, 3].map(|i| unsafe {
                        _mm256_cvtepi8_epi16(_mm_loadu_si128(c[i].as_ptr().cast()))
                    });
                    for (row, found) in rows.iter().zip(&mut found) {
                        let x = i32::from_le_bytes(row.as_chunks::<FOUR>().0[four]);
                        let x = _mm256_cvtepu8_epi16(_mm_set1_epi32(x));
                        for (found, c) in found.iter_mut().zip(c) {
                            *found = _mm256_add_epi32(*found, _mm256_madd_epi16(c, x));
                        }
                    }
                }
            }
        }
        for (sums, found) in sums.iter_mut().zip(found) {
            for (sums, found) in sums.as_chunks_mut::<4>().0.iter_mut().zip(found) {
                let mut pairs = [[0_i32; 2]; 4];
                // SAFETY: 8 numbers are 32 bytes, and no alignment is asked for.
                unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), found) };
                *sums = pairs.map(|[a, b]| a.wrapping_add(b));
            }
        }
    }
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn range(
    sums: &Sums32,
    moved: &Movements,
    kept: &[u8; LINE],
    note: &Numbers,
    found: (&mut Lanes, &mut Lanes),
) {
    // SAFETY: the token stands for AVX-512 F and BW.
    unsafe { range_512(sums, moved, kept, note, found) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn range_512(
    sums: &Sums32,
    moved: &Movements,
    kept: &[u8; LINE],
    note: &Numbers,
    (low, high): (&mut Lanes, &mut Lanes),
) {
    let factors = _mm512_mul_ps(_mm512_set1_ps(note.scale), load(&moved.factors));
    let sums = _mm512_add_epi32(load_signed(sums), load_signed(&moved.start));
    let product = _mm512_mul_ps(factors, _mm512_cvtepi32_ps(sums));
    let kept = unpack(kept);
    let score =
        _mm512_add_ps(_mm512_castsi512_ps(kept), _mm512_add_ps(load(&moved.squares), product));
    let bound = [(note.error, &moved.errors), (note.tail, &moved.tails), (note.norm, &moved.norms)]
        .into_iter()
        .fold(load(&moved.rounding), |bound, (norm, by)| {
            _mm512_add_ps(bound, _mm512_mul_ps(_mm512_set1_ps(norm), load(by)))
        });
    store(low, _mm512_sub_ps(score, bound));
    let sharp = _mm512_testn_epi32_mask(kept, _mm512_set1_epi32(BLURRED.cast_signed()));
    let [blur, sharp_blur] = [note.blur, note.sharp_blur].map(|blur| _mm512_set1_ps(blur));
    let blur = _mm512_mask_mov_ps(blur, sharp, sharp_blur);
    store(high, _mm512_add_ps(score, _mm512_add_ps(bound, blur)));
}

/// The last 48 of these bytes as the upper three of 16 numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack(bytes: &[u8; LINE]) -> __m512i {
    // SAFETY: they are 64, and no alignment is asked for.
    let bytes = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
    // Twelve bytes into each quarter, and from there four times three.
    let places = _mm512_setr_epi32(4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0, 13, 14, 15, 0);
    let quarters = _mm512_permutexvar_epi32(places, bytes);
    let places = _mm_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11);
    _mm512_shuffle_epi8(quarters, _mm512_broadcast_i32x4(places))
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn pack(bits: &[u32; LANES], kept: &mut KeptScores) {
    // SAFETY: the token stands for AVX-512 F and BW.
    unsafe { pack_512(bits, kept) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack_512(bits: &[u32; LANES], kept: &mut KeptScores) {
    let places = _mm_setr_epi8(1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, -1, -1, -1, -1);
    let quarters = _mm512_shuffle_epi8(load_integers(bits), _mm512_broadcast_i32x4(places));
    let places = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3);
    let bytes = _mm512_permutexvar_epi32(places, quarters);
    // SAFETY: twelve numbers are 48 bytes, and no alignment is asked for.
    unsafe { _mm512_mask_storeu_epi32(kept.as_mut_ptr().cast(), 0xfff, bytes) };
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn spread(
    scores: &mut Lanes,
    parts: &Parts,
    apart: &PerLevel,
    off: &Off,
    high: &mut Lanes,
) {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { spread_512(scores, parts, apart, off, high) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn spread_512(scores: &mut Lanes, parts: &Parts, apart: &PerLevel, off: &Off, high: &mut Lanes) {
    let add = |bound, off: f32, by: &Lanes| {
        _mm512_add_ps(bound, _mm512_mul_ps(_mm512_set1_ps(off), load(by)))
    };
    let mut bound = add(load(&parts.rounding), off.outside, &parts.outside);
    for (level, apart) in apart.iter().enumerate() {
        bound = add(bound, off.norms[level], &parts.errors[level]);
        bound = add(bound, off.errors[level], apart);
        bound = add(bound, off.lows[level], &parts.lows[level]);
    }
    let score = load(scores);
    store(scores, _mm512_sub_ps(score, bound));
    store(high, _mm512_add_ps(score, bound));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_signed(values: &Sums32) -> __m512i {
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_signed(values: &mut Sums32, register: __m512i) {
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), register) };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: &mut Lanes, register: __m512) {
    // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_storeu_ps(values.as_mut_ptr(), register) };
}

/// The caller holds a token of AVX-512.
#[inline]
pub(super) fn transpose(square: &[Lanes; LANES], turned: &mut [Lanes; LANES]) {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { turn(square, turned) }
}

/// In four steps: pairs, fours, and then quarters of registers twice.
#[target_feature(enable = "avx512f")]
fn turn(square: &[Lanes; LANES], turned: &mut [Lanes; LANES]) {
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
}

/// The caller holds a token of AVX-512, and there is one group of sums.
#[inline]
pub(super) fn limits(sums: &Sums<'_>, verdicts: &Verdicts, limits: &mut [Limit; ROWS]) {
    // SAFETY: the token stands for AVX-512 F.
    unsafe { limits_512(sums, verdicts, limits) }
}

/// [`Limit::new`], of a runner-up that there is room for.
#[inline]
#[target_feature(enable = "avx512f")]
fn limits_512(sums: &Sums<'_>, verdicts: &Verdicts, limits: &mut [Limit; ROWS]) {
    let (own, travelled) = (load(sums.own), load(sums.travelled));
    let (best, runner_up) = (load_integers(&verdicts.best), load_integers(&verdicts.runner_up));
    let (near, rest) = (load(&verdicts.near), load(&verdicts.rest));
    let both =
        _mm512_add_ps(_mm512_permutexvar_ps(best, own), _mm512_permutexvar_ps(runner_up, own));
    let rest_of_all = _mm512_add_ps(rest, _mm512_permutexvar_ps(best, travelled));
    let last = _mm512_set1_epi32(NUMBER.cast_signed());
    let [near_bits, rest_bits] = [_mm512_add_ps(near, both), rest_of_all].map(|limit| {
        let rounded_down = _mm512_mul_ps(limit, _mm512_set1_ps(1.0 - 5e-7));
        _mm512_andnot_epi32(last, _mm512_castps_si512(rounded_down))
    });
    let none = _mm512_setzero_ps();
    let leads = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(near, none)
        & _mm512_cmp_ps_mask::<_CMP_GT_OQ>(rest, none)
        & _mm512_cmpgt_epi32_mask(near_bits, last)
        & _mm512_cmpgt_epi32_mask(rest_bits, last);
    let step = _mm512_set1_epi32(NUMBER.cast_signed() + 1);
    let [near, rest] = [(near_bits, runner_up), (rest_bits, best)]
        .map(|(bits, number)| _mm512_or_epi32(_mm512_sub_epi32(bits, step), number));
    let near = _mm512_mask_mov_epi32(_mm512_set1_epi32(i32::MIN), leads, near);
    let rest = _mm512_maskz_mov_epi32(leads, rest);
    let numbers: &mut [[u32; LANES]] = bytemuck::cast_slice_mut(limits);
    let [front, back] = [0, LANES as i32 / 2].map(|first| {
        let pair = |i: i32| (first + i, LANES as i32 + first + i);
        let [(a, b), (c, d), (e, f), (g, h)] = [pair(0), pair(1), pair(2), pair(3)];
        let [(i, j), (k, l), (m, n), (o, p)] = [pair(4), pair(5), pair(6), pair(7)];
        _mm512_setr_epi32(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    });
    for (numbers, places) in numbers.iter_mut().zip([front, back]) {
        let both = _mm512_permutex2var_epi32(near, places, rest);
        // SAFETY: 16 numbers are 64 bytes, and no alignment is asked for.
        unsafe { _mm512_storeu_si512(numbers.as_mut_ptr().cast(), both) };
    }
}

/// The caller holds a token of AVX-512; there is one group of sums, and there are whole groups of
/// rows, for which, and one group more, there is room in `found`. Returns how many it has found.
#[inline]
pub(super) fn reached(sums: &Sums<'_>, limits: &[Limit], first: u32, found: &mut [u32]) -> usize {
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
fn reached_512(sums: &Sums<'_>, limits: &[Limit], first: u32, found: &mut [u32]) -> usize {
    let (own, travelled) = (load(sums.own), load(sums.travelled));
    let mut count = 0;
    let mut rows = _mm512_add_epi32(
        _mm512_set1_epi32(first.cast_signed()),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    );
    let evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odds = _mm512_or_epi32(evens, _mm512_set1_epi32(1));
    let limits: &[[f32; 2 * LANES]] = bytemuck::cast_slice(limits);
    for limits in limits {
        let (a, b) = limits.split_at(LANES);
        let (a, b) = (load(a), load(b));
        let near = _mm512_permutex2var_ps(a, evens, b);
        let rest = _mm512_permutex2var_ps(a, odds, b);
        // Of numbers of centroids, the last four bits count: who has no label yet has no limit either.
        let [runner_up, label] = [near, rest].map(|limit| _mm512_castps_si512(limit));
        let both =
            _mm512_add_ps(_mm512_permutexvar_ps(label, own), _mm512_permutexvar_ps(runner_up, own));
        let stays = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(near, both)
            & _mm512_cmp_ps_mask::<_CMP_GT_OQ>(rest, _mm512_permutexvar_ps(label, travelled));
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
