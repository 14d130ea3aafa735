//! The few loops that are worth explicit vector instructions, each beside its portable twin.
//!
//! Scalar products of rows with centroids are taken of bytes, because their sums are exact: whatever
//! instructions compute them, they give the same numbers, and bounds need not account for them. There
//! are two ways. All coordinates are multiplied *along*: a line of 64 of a row with those of a centroid,
//! for 16 rows at a time, whose sums are added across their registers together. Few of them are
//! multiplied *in lanes*: four coordinates of each of 16 centroids side by side fill a register, and
//! a row's four are broadcast against it, so that no sum is ever taken across one.
//!
//! Rows' bytes have 128 added, as processors multiply unsigned bytes with signed ones; sums *start* with
//! what takes that out again.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::anchors::{Movements, Note};
use crate::simd::{LINE, Simd, SimdLevel};

/// Centroids to a group: the lanes of a register.
pub(super) const LANES: usize = 16;

/// Rows that are multiplied at a time.
pub(super) const ROWS: usize = 16;

/// A group's fours of coordinates: `[four][centroid][4]`.
pub(super) const FOUR: usize = 4 * LANES;

/// A number for each centroid of a group.
pub(super) type Lanes = [f32; LANES];

/// A number for each of [`ROWS`] rows.
pub(super) type OfRows = [f32; ROWS];

/// A line of each of [`ROWS`] rows, and of a centroid.
pub(super) type RowLines = [[u8; LINE]; ROWS];
pub(super) type CentroidLine = [i8; LINE];

/// Lines of rows and of centroids whose products are added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The first line of rows, and that of centroids.
    pub(super) row_line: usize,
    pub(super) centroid_line: usize,
    pub(super) lines: usize,
    pub(super) then: Then,
}

/// What becomes of a sum of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next stretch is added to it.
    GoOn,
    /// So it is, to 256 times it.
    GoOnTimes256,
    /// It is whole, and of this level.
    Take { level: usize },
}

/// What is known of a whole sum with a centroid beforehand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    /// What takes out that rows' bytes have 128 added.
    pub(super) start: i32,
    /// What the sum counts for in a score, but for a row's scale.
    pub(super) factor: f32,
}

/// Sums for the centroids of a group.
pub(super) type Sums32 = [i32; LANES];

/// Adds to the `scores` of [`ROWS`] rows what products with a `centroid` come to, by `stretches`; `sums`
/// has what is known of those that are taken, and `scales` rows' scales in each level. Taken sums must
/// fit 32 bits; what is in between need not.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(super) fn add_stretches(
    simd: Simd,
    stretches: &[Stretch],
    rows: &[RowLines],
    centroid: &[CentroidLine],
    sums: &[Taken],
    scales: &[OfRows],
    scores: &mut OfRows,
) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Avx512 {
        return x86::add_stretches(stretches, rows, centroid, sums, scales, scores);
    }
    let dots = match simd.level() {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx2 => x86::add_dots,
        _ => add_dots_portable,
    };
    let mut found = [0_i32; ROWS];
    let mut sums = sums.iter();
    for stretch in stretches {
        let rows = &rows[stretch.row_line..][..stretch.lines];
        dots(rows, &centroid[stretch.centroid_line..][..stretch.lines], &mut found);
        match stretch.then {
            Then::GoOn => {}
            Then::GoOnTimes256 => {
                for found in &mut found {
                    *found = found.wrapping_mul(256);
                }
            }
            Then::Take { level } => {
                let sum = sums.next().expect("every sum that is taken is known");
                for i in 0..ROWS {
                    let product = found[i].wrapping_add(sum.start) as f32;
                    scores[i] += scales[level][i] * sum.factor * product;
                }
                found = [0; ROWS];
            }
        }
    }
}

fn add_dots_portable(rows: &[RowLines], centroid: &[CentroidLine], found: &mut [i32; ROWS]) {
    for (rows, centroid) in rows.iter().zip(centroid) {
        for (found, row) in found.iter_mut().zip(rows) {
            let products = row.iter().zip(centroid).map(|(&x, &c)| i32::from(x) * i32::from(c));
            *found = found.wrapping_add(products.sum::<i32>());
        }
    }
}

/// The scalar products of a `row` with the 16 centroids of `group`, `[width / 4][16][4]`, which start with
/// `start`. The width is a multiple of 16, and below 2¹⁶, so that all fit 32 bits.
#[inline]
pub(super) fn multiply(simd: Simd, row: &[u8], group: &[i8], start: &Sums32) -> Sums32 {
    assert!(row.len().is_multiple_of(16) && group.len() == row.len() * LANES);
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Avx512 {
        return x86::multiply(row, group, start);
    }
    let _ = simd;
    multiply_portable(row, group, start)
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

fn multiply_portable(row: &[u8], group: &[i8], start: &Sums32) -> Sums32 {
    let mut sums = *start;
    for (x, c) in row.as_chunks::<4>().0.iter().zip(group.as_chunks::<FOUR>().0) {
        for (sum, c) in sums.iter_mut().zip(c.as_chunks::<4>().0) {
            *sum += x.iter().zip(c).map(|(&x, &c)| i32::from(x) * i32::from(c)).sum::<i32>();
        }
    }
    sums
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
            let row: Vec<u8> = (0..width).map(|i| at(i * 7).cast_unsigned()).collect();
            let group: Vec<i8> = (0..width * LANES).map(|i| at(i * 3 + 1)).collect();
            let centroid = |lane: usize, i: usize| group[i / 4 * FOUR + 4 * lane + i % 4];
            let products: Sums32 = std::array::from_fn(|lane| {
                (0..width).map(|i| i32::from(row[i]) * i32::from(centroid(lane, i))).sum()
            });
            let start: Sums32 = std::array::from_fn(|lane| 1000 * lane as i32 - 7);
            for simd in available() {
                let found = multiply(simd, &row, &group, &start);
                let expected: Sums32 = std::array::from_fn(|lane| products[lane] + start[lane]);
                prop_assert_eq!(found, expected, "{:?}", simd);
            }
        }

        #[test]
        fn every_level_adds_the_same_products_to_scores(
            count in 1_usize..12,
            seed in prop::collection::vec((any::<i8>(), -1e3_f32..1e3), 30..60),
        ) {
            let byte = |i: usize| seed[i % seed.len()].0;
            let lanes = |first: usize| -> Lanes {
                std::array::from_fn(|i| seed[(first * 7 + i) % seed.len()].1)
            };
            let rows: Vec<RowLines> = (0..2 * count)
                .map(|line| {
                    std::array::from_fn(|row| {
                        std::array::from_fn(|i| byte(line * 11 + row * 13 + i * 7).cast_unsigned())
                    })
                })
                .collect();
            let centroid: Vec<CentroidLine> = (0..2 * count)
                .map(|line| std::array::from_fn(|i| byte(line * 5 + i * 3)))
                .collect();
            // Sums of one stretch, of two, and of two of which one counts 256 times.
            let stretch = |row_line, centroid_line, then| {
                Stretch { row_line, centroid_line, lines: count, then }
            };
            let stretches = [
                stretch(0, 0, Then::Take { level: 1 }),
                stretch(0, count, Then::GoOn),
                stretch(count, 0, Then::Take { level: 0 }),
                stretch(count, count, Then::GoOnTimes256),
                stretch(0, 0, Then::Take { level: 1 }),
            ];
            let sums = [(5, 0.5), (-900, 1e-3), (i32::MAX, -2.0)];
            let sums = sums.map(|(start, factor)| Taken { start, factor });
            let scales = [lanes(1), lanes(2)];
            let dot = |row_line: usize, centroid_line: usize, row: usize| {
                (0..count).fold(0_i32, |sum, line| {
                    let row = &rows[row_line + line][row];
                    let products = row.iter().zip(&centroid[centroid_line + line]);
                    products.fold(sum, |sum, (&x, &c)| sum + i32::from(x) * i32::from(c))
                })
            };
            let expected: Lanes = std::array::from_fn(|row| {
                let taken = [
                    (dot(0, 0, row), 1),
                    (dot(0, count, row) + dot(count, 0, row), 0),
                    (dot(count, count, row).wrapping_mul(256).wrapping_add(dot(0, 0, row)), 1),
                ];
                taken.iter().zip(&sums).fold(lanes(3)[row], |score, (&(product, level), sum)| {
                    let product = product.wrapping_add(sum.start) as f32;
                    score + scales[level][row] * sum.factor * product
                })
            });
            for simd in available() {
                let mut scores = lanes(3);
                add_stretches(simd, &stretches, &rows, &centroid, &sums, &scales, &mut scores);
                prop_assert_eq!(scores.map(f32::to_bits), expected.map(f32::to_bits), "{:?}", simd);
            }
        }

        #[test]
        fn every_level_finds_the_same_ranges(
            seed in prop::collection::vec((any::<i32>(), -1e3_f32..1e3), 30..60),
            sharp in any::<u16>(),
        ) {
            let at = |i: usize| seed[i % seed.len()];
            let lanes = |first: usize| -> Lanes { std::array::from_fn(|lane| at(first + lane).1) };
            let products: Sums32 = std::array::from_fn(|lane| at(lane).0);
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
            let (low, high) = range_portable(&products, &moved, &lanes(8), &note, sharp);
            for simd in available() {
                let found = range(simd, &products, &moved, &lanes(8), &note, sharp);
                prop_assert_eq!(found.0.map(f32::to_bits), low.map(f32::to_bits));
                prop_assert_eq!(found.1.map(f32::to_bits), high.map(f32::to_bits));
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
