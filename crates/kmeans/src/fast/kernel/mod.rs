//! The few loops that are worth explicit vector instructions, each beside its portable twin.
//!
//! Scalar products of rows with 16 centroids at a time are taken of bytes, because their sums are
//! exact: whatever instructions compute them, they give the same numbers, and bounds need not account
//! for them. Centroids lie *in lanes*: four coordinates of each of 16 centroids side by side fill one
//! 512-bit register, and a row's four are broadcast against it, so that no sum is ever taken across
//! a register. Rows' bytes have 128 added, as processors multiply unsigned bytes with signed ones;
//! sums *start* with what takes that out again.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::anchors::{Movements, Note};
use super::project::Lanes;
use crate::index::BIAS;
use crate::simd::{Simd, SimdLevel};

/// Centroids to a group: the lanes of a register.
pub(super) const LANES: usize = 16;

/// Rows that are multiplied at a time.
pub(super) const ROWS: usize = 16;

/// A group's fours of coordinates: `[four][centroid][4]`.
pub(super) const FOUR: usize = 4 * LANES;

/// Sums for the centroids of a group.
pub(super) type Sums32 = [i32; LANES];

/// Sums for [`ROWS`] rows.
pub(super) type Products = [Sums32; ROWS];

/// What sums with `group`, `[width / 4][16][4]`, start with.
pub(super) fn start(group: &[i8]) -> Sums32 {
    let mut start = [0; LANES];
    for four in group.as_chunks::<FOUR>().0 {
        for (start, four) in start.iter_mut().zip(four.as_chunks::<4>().0) {
            *start -= four.iter().map(|&c| BIAS * i32::from(c)).sum::<i32>();
        }
    }
    start
}

/// Where `coordinate` of the centroid in `lane` lies in its group.
pub(super) fn place(coordinate: usize, lane: usize) -> usize {
    coordinate / 4 * FOUR + 4 * lane + coordinate % 4
}

/// The scalar products of `rows`, each of `width` coordinates (a multiple of four), with the 16
/// centroids of `group`, `[width / 4][16][4]`, which start with `start`, into `products`. All must fit
/// 32 bits, which they do below a width of 2¹⁶.
#[inline]
pub(super) fn multiply(
    simd: Simd,
    rows: &[&[u8]; ROWS],
    group: &[i8],
    start: &Sums32,
    products: &mut Products,
) {
    let width = group.len() / LANES;
    assert!(width.is_multiple_of(4) && group.len() == width * LANES);
    assert!(rows.iter().all(|row| row.len() == width));
    match simd.level() {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx512 => x86::multiply_512(rows, group, start, products),
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx2 => x86::multiply_256(rows, group, start, products),
        _ => multiply_portable(rows, group, start, products),
    }
}

/// As [`multiply`], of a single row.
#[inline]
pub(super) fn multiply_one(simd: Simd, row: &[u8], group: &[i8], start: &Sums32) -> Sums32 {
    assert!(row.len().is_multiple_of(16) && group.len() == row.len() * LANES);
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Avx512 {
        return x86::multiply_one(row, group, start);
    }
    let _ = simd;
    multiply_one_portable(row, group, start)
}

/// Adds to `scores` each row's `products` times its scale and their lanes' factors.
#[inline]
pub(super) fn add_products(
    simd: Simd,
    products: &Products,
    scales: &[f32; ROWS],
    factors: &Lanes,
    scores: &mut [Lanes; ROWS],
) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Avx512 {
        return x86::add_products(products, scales, factors, scores);
    }
    let _ = simd;
    add_products_portable(products, scales, factors, scores);
}

/// The lowest and the highest that the scores of a row may be, from those that were `kept` of it and
/// its `products` with what centroids have moved since. The highest is infinite but for the lanes in
/// `sharp`.
#[inline]
pub(super) fn range(
    simd: Simd,
    products: &Sums32,
    moved: &Movements,
    kept: &Lanes,
    note: &Note,
    sharp: u16,
) -> (Lanes, Lanes) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Avx512 {
        return x86::range(products, moved, kept, note, sharp);
    }
    let _ = simd;
    range_portable(products, moved, kept, note, sharp)
}

/// Turns `[row][lane]` into `[lane][row]`.
#[inline]
pub(super) fn transpose(simd: Simd, square: &[Lanes; LANES]) -> [Lanes; LANES] {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Avx512 {
        return x86::transpose(square);
    }
    let _ = simd;
    transpose_portable(square)
}

fn add_products_portable(
    products: &Products,
    scales: &[f32; ROWS],
    factors: &Lanes,
    scores: &mut [Lanes; ROWS],
) {
    for ((scores, products), scale) in scores.iter_mut().zip(products).zip(scales) {
        for lane in 0..LANES {
            scores[lane] += scale * factors[lane] * products[lane] as f32;
        }
    }
}

fn range_portable(
    products: &Sums32,
    moved: &Movements,
    kept: &Lanes,
    note: &Note,
    sharp: u16,
) -> (Lanes, Lanes) {
    let (mut low, mut high) = ([0.0; LANES], [f32::INFINITY; LANES]);
    for lane in 0..LANES {
        let product = note.scale * moved.factors[lane] * products[lane] as f32;
        let score = kept[lane] + (moved.squares[lane] + product);
        let mut bound = moved.rounding[lane];
        bound += note.error * moved.errors[lane];
        bound += note.tail * moved.tails[lane];
        bound += note.norm * moved.norms[lane];
        low[lane] = score - bound;
        if sharp >> lane & 1 == 1 {
            high[lane] = score + (bound + note.blur);
        }
    }
    (low, high)
}

fn transpose_portable(square: &[Lanes; LANES]) -> [Lanes; LANES] {
    let mut turned = [[0.0; LANES]; LANES];
    for (row, values) in square.iter().enumerate() {
        for (lane, &value) in values.iter().enumerate() {
            turned[lane][row] = value;
        }
    }
    turned
}

fn multiply_one_portable(row: &[u8], group: &[i8], start: &Sums32) -> Sums32 {
    let mut sums = *start;
    for (x, c) in row.as_chunks::<4>().0.iter().zip(group.as_chunks::<FOUR>().0) {
        for (sum, c) in sums.iter_mut().zip(c.as_chunks::<4>().0) {
            *sum += x.iter().zip(c).map(|(&x, &c)| i32::from(x) * i32::from(c)).sum::<i32>();
        }
    }
    sums
}

fn multiply_portable(rows: &[&[u8]; ROWS], group: &[i8], start: &Sums32, products: &mut Products) {
    for (products, row) in products.iter_mut().zip(rows) {
        *products = multiply_one_portable(row, group, start);
    }
}

/// What centroids have moved, in all: their own ways, and those with the fastest other's. Padded to
/// whole groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums<'a> {
    pub(super) own: &'a [f32],
    pub(super) travelled: &'a [f32],
}

/// Up to where rows reach, and the centroids that are theirs, `[rows]` each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach<'a> {
    pub(super) near: &'a [f32],
    pub(super) runner_up: &'a [u32],
    pub(super) rest: &'a [f32],
    pub(super) labels: &'a [u32],
}

impl Reach<'_> {
    /// Of the first `count` rows.
    fn first(&self, count: usize) -> Self {
        Self {
            near: &self.near[..count],
            runner_up: &self.runner_up[..count],
            rest: &self.rest[..count],
            labels: &self.labels[..count],
        }
    }
}

/// Appends to `found` the rows, counted from `first`, that have reached their limits.
pub(super) fn reached(
    simd: Simd,
    sums: &Sums<'_>,
    limits: &Reach<'_>,
    first: u32,
    found: &mut Vec<u32>,
) {
    let rows = limits.labels.len();
    let start = found.len();
    // Whole registers are written.
    found.resize(start + rows + LANES, 0);
    let (done, mut count) = match simd.level() {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx512 if sums.own.len() == LANES => {
            let whole = rows / LANES * LANES;
            (whole, x86::reached(sums, &limits.first(whole), first, &mut found[start..]))
        }
        _ => (0, 0),
    };
    for row in done..rows {
        found[start + count] = first + row as u32;
        // A row without a label yet has no limit either.
        let at = |sums: &[f32], label: u32| sums.get(label as usize).copied().unwrap_or_default();
        let label = limits.labels[row];
        let near = at(sums.own, label) + at(sums.own, limits.runner_up[row]);
        let stays = limits.near[row] > near && limits.rest[row] > at(sums.travelled, label);
        count += usize::from(!stays);
    }
    found.truncate(start + count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_level_multiplies_alike(
            grains in 1_usize..12,
            seed in prop::collection::vec(any::<i8>(), 1..50),
        ) {
            let width = 16 * grains;
            let at = |i: usize| seed[i % seed.len()];
            let rows: Vec<Vec<u8>> = (0..ROWS)
                .map(|row| (0..width).map(|i| at(i * 7 + row * 13).cast_unsigned()).collect())
                .collect();
            let rows = std::array::from_fn(|row| rows[row].as_slice());
            let group: Vec<i8> = (0..width * LANES).map(|i| at(i * 3 + 1)).collect();
            let expected: Products = std::array::from_fn(|row| {
                std::array::from_fn(|lane| {
                    (0..width)
                        .map(|i| (i32::from(rows[row][i]) - BIAS) * i32::from(group[place(i, lane)]))
                        .sum()
                })
            });
            let start = start(&group);
            let mut products = [[7; LANES]; ROWS];
            for simd in available() {
                multiply(simd, &rows, &group, &start, &mut products);
                prop_assert_eq!(&products, &expected, "{:?}", simd);
                prop_assert_eq!(multiply_one(simd, rows[5], &group, &start), expected[5]);
            }
        }
    }

    proptest! {
        #[test]
        fn every_level_makes_the_same_scores_of_products(
            seed in prop::collection::vec((any::<i32>(), -1e3_f32..1e3), 30..60),
            sharp in any::<u16>(),
        ) {
            let at = |i: usize| seed[i % seed.len()];
            let lanes = |first: usize| -> Lanes { std::array::from_fn(|lane| at(first + lane).1) };
            let products: Products =
                std::array::from_fn(|row| std::array::from_fn(|lane| at(row * 3 + lane).0));
            let scales: [f32; ROWS] = std::array::from_fn(|row| at(row * 5).1);
            let moved = Movements {
                squares: lanes(1),
                factors: lanes(2),
                errors: lanes(3),
                tails: lanes(4),
                norms: lanes(5),
                rounding: lanes(6),
            };
            let [scale, norm, tail, error, blur] = std::array::from_fn(|i| at(i * 7).1);
            let mut note = Note::default();
            (note.scale, note.norm, note.tail) = (scale, norm, tail);
            (note.error, note.blur) = (error, blur);
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let mut expected: [Lanes; ROWS] = std::array::from_fn(lanes);
            add_products_portable(&products, &scales, &lanes(7), &mut expected);
            let (low, high) = range_portable(&products[3], &moved, &lanes(8), &note, sharp);
            for simd in available() {
                let mut scores: [Lanes; ROWS] = std::array::from_fn(lanes);
                add_products(simd, &products, &scales, &lanes(7), &mut scores);
                prop_assert_eq!(bits(scores.as_flattened()), bits(expected.as_flattened()));
                let found = range(simd, &products[3], &moved, &lanes(8), &note, sharp);
                prop_assert_eq!((bits(&found.0), bits(&found.1)), (bits(&low), bits(&high)));
            }
        }
    }

    #[test]
    fn a_square_is_turned() {
        let square: [Lanes; LANES] =
            std::array::from_fn(|row| std::array::from_fn(|lane| (row * LANES + lane) as f32));
        for simd in available() {
            let turned = transpose(simd, &square);
            assert_eq!(turned, transpose_portable(&square), "{simd:?}");
            assert_eq!((turned[3][5], turned[15][0]), (square[5][3], square[0][15]));
        }
    }
}
