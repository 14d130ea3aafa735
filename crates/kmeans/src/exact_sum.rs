//! Sums of rows without any rounding, so that the order of additions cannot matter and a row can
//! be taken out again without a trace.
//!
//! Every value is cut into a few *limbs*, each a multiple of a power of two of its own (its grid),
//! coarse first. A grid is chosen so coarse that `n` such multiples, none above the largest
//! magnitude, add up in a binary64 without rounding: 53 bits hold the sum. What a limb leaves over
//! is at most half its grid, and goes to the next, until a grid is fine enough for the smallest
//! bit of the smallest value. MNIST takes two limbs; all of binary32 at `n = 2³²` would take
//! fourteen.
//!
//! The cutting is the classical one of adding and subtracting a large constant (Dekker 1971; Rump,
//! Ogita, Oishi 2008, "Accurate floating-point summation, part I"). It needs nothing but additions,
//! so it vectorises everywhere. The sum is rounded to binary64 only when it is read.

use crate::coded::CodedRows;
use crate::rows::{Magnitudes, RowIndex, Rows};
use crate::simd::{Simd, multiversion, prefetch};

/// Bits that a binary64 holds.
const PRECISION: i32 = f64::MANTISSA_DIGITS as i32;

/// No data needs more: binary32 spans 277 bits, and 2³² rows leave 20 or more to a limb.
pub const MAX_LIMBS: usize = 14;

/// Rows of fewer columns are added up faster than they are sorted.
const WIDE: usize = 64;

/// Columns that are added up at a time.
const TILE: usize = 256;

/// Rows between asking for values and using them.
const AHEAD: usize = 6;

/// A row that comes to a sum, from another or from nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) row: u32,
    /// [`Self::NOWHERE`] where it is in no sum yet.
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Change {
    /// No sum.
    pub(crate) const NOWHERE: u32 = u32::MAX;
}

/// How values are cut into limbs: chosen once for all rows of a data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SumGrid {
    /// For each limb but the last, `1.5 * 2^52 * grid`: adding it to a value and subtracting it
    /// again rounds the value to a multiple of the grid.
    cutters: [f64; MAX_LIMBS - 1],
    limbs: usize,
}

impl SumGrid {
    /// The grid for sums of up to `n` values of these `magnitudes`.
    ///
    /// # Panics
    /// Where `n` is above 2³².
    #[must_use]
    pub fn for_rows(n: usize, magnitudes: Magnitudes) -> Self {
        let mut grid = Self { cutters: [0.0; MAX_LIMBS - 1], limbs: 1 };
        if magnitudes.largest == 0.0 {
            return grid;
        }
        assert!(n as u64 <= 1 << 32, "more rows than exact sums are laid out for");
        // n < 2^growth, and cutting asks for values below 2^51 grids: growth of 3 sees to that.
        let growth = (n.ilog2() as i32 + 1).max(3);
        // A value's last place is no finer than the smallest value's, nor than binary32 has any.
        let finest = (exponent(magnitudes.smallest) - (f32::MANTISSA_DIGITS as i32 - 1))
            .max(exponent(f32::from_bits(1)));
        // |value| <= 2^top for what the limb is given, so n of them stay within 2^(top + growth).
        let mut top = exponent(magnitudes.largest) + 1;
        loop {
            let unit = top + growth - PRECISION;
            if unit <= finest {
                return grid;
            }
            grid.cutters[grid.limbs - 1] = 1.5 * power_of_two(unit + PRECISION - 1);
            grid.limbs += 1;
            top = unit - 1;
        }
    }

    /// How many binary64 a sum is made of.
    #[must_use]
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The cutting constants, one less than there are limbs: what the shared file keeps of a grid.
    #[must_use]
    pub fn cutters(&self) -> &[f64] {
        &self.cutters[..self.limbs - 1]
    }

    /// The grid with these cutting constants; `None` where there are too many.
    #[must_use]
    pub fn from_cutters(cutters: &[f64]) -> Option<Self> {
        let mut grid = Self { cutters: [0.0; MAX_LIMBS - 1], limbs: cutters.len() + 1 };
        grid.cutters.get_mut(..cutters.len())?.copy_from_slice(cutters);
        Some(grid)
    }
}

/// `floor(log2(x))` of a positive finite `x`.
fn exponent(x: f32) -> i32 {
    // As a binary64, every binary32 is normal.
    (f64::from(x).to_bits() >> 52) as i32 - 1023
}

fn power_of_two(exponent: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&exponent), "a normal power of two");
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Exact sums of rows: `k` of them, each over `stride` columns.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactSums {
    grid: SumGrid,
    stride: usize,
    /// `[k, limbs, stride]`.
    values: Vec<f64>,
}

impl ExactSums {
    /// `k` sums of no rows.
    #[must_use]
    pub fn new(grid: SumGrid, k: usize, stride: usize) -> Self {
        Self { grid, stride, values: vec![0.0; k * grid.limbs * stride] }
    }

    /// Makes all of them sums of no rows again.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
    }

    /// Adds `row`, `[stride]`, to sum `j`.
    pub fn add(&mut self, simd: Simd, j: usize, row: &[f32]) {
        let (grid, sum) = (self.grid, self.sum_mut(j));
        add_row(simd, &grid, row, sum);
    }

    /// Takes `row`, `[stride]`, out of sum `j`, to which it was added before.
    pub fn subtract(&mut self, simd: Simd, j: usize, row: &[f32]) {
        let (grid, sum) = (self.grid, self.sum_mut(j));
        subtract_row(simd, &grid, row, sum);
    }

    /// Takes rows out of sums and adds them to others. Sorts `changes` of wide rows by both: those that
    /// go one way are added up first, some columns at a time, so that few sums are in use. Where rows are
    /// `coded` too, that is what is read.
    pub(crate) fn exchange_all(
        &mut self,
        simd: Simd,
        rows: Rows<'_>,
        coded: Option<&CodedRows<'_>>,
        changes: &mut [Change],
    ) {
        // In the usual case there are two limbs.
        let cutter = match *self.grid.cutters() {
            [cutter] if self.stride >= WIDE => cutter,
            _ => return exchange_each(simd, self, rows, changes),
        };
        changes.sort_unstable_by_key(|change| (change.from, change.to, change.row));
        let is_same_way = |a: &Change, b: &Change| (a.from, a.to) == (b.from, b.to);
        for way in changes.chunk_by(is_same_way) {
            exchange_way(simd, self, cutter, rows, coded, way);
        }
    }

    /// Adds the sums of `other`, made for the same grid, `k` and stride.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.grid, other.grid);
        for (sum, other) in self.values.iter_mut().zip(&other.values) {
            *sum += other;
        }
    }

    /// Sum `j`, rounded once to binary64, divided by `count`, into `mean`, `[stride]`.
    pub fn mean(&self, j: usize, count: u64, mean: &mut [f64]) {
        let limbs = self.grid.limbs;
        let sum = &self.values[j * limbs * self.stride..][..limbs * self.stride];
        let count = count as f64;
        for (column, mean) in mean.iter_mut().enumerate() {
            *mean = match limbs {
                1 => sum[column],
                // Two limbs are exact, so their rounded sum is the exact sum rounded.
                2 => sum[column] + sum[self.stride + column],
                _ => round_once((0..limbs).map(|limb| sum[limb * self.stride + column])),
            } / count;
        }
    }

    fn sum_mut(&mut self, j: usize) -> &mut [f64] {
        let length = self.grid.limbs * self.stride;
        &mut self.values[j * length..][..length]
    }
}

/// The sum of `terms`, correctly rounded.
///
/// Shewchuk's growing expansions (1997), with the last rounding as in Python's `math.fsum`.
fn round_once(terms: impl Iterator<Item = f64>) -> f64 {
    // Non-overlapping, smallest first.
    let mut partials: Vec<f64> = Vec::with_capacity(MAX_LIMBS);
    for mut term in terms {
        let mut kept = 0;
        for index in 0..partials.len() {
            let (sum, error) = two_sum(term, partials[index]);
            if error != 0.0 {
                partials[kept] = error;
                kept += 1;
            }
            term = sum;
        }
        partials.truncate(kept);
        partials.push(term);
    }
    let mut total = partials.pop().unwrap_or(0.0);
    let mut error = 0.0;
    while let Some(partial) = partials.pop() {
        (total, error) = two_sum(total, partial);
        if error != 0.0 {
            break;
        }
    }
    // Exactly half way: what is below decides, where round-to-even did not know of it.
    if let Some(&below) = partials.last()
        && ((error < 0.0 && below < 0.0) || (error > 0.0 && below > 0.0))
    {
        let doubled = error * 2.0;
        let rounded = total + doubled;
        if (rounded - total).to_bits() == doubled.to_bits() {
            total = rounded;
        }
    }
    total
}

/// `a + b` rounded, and the exact error of that (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn cut_into(grid: &SumGrid, row: &[f32], sum: &mut [f64], apply: impl Fn(&mut f64, f64)) {
    match grid.cutters() {
        [] => row.iter().zip(sum).for_each(|(&x, sum)| apply(sum, f64::from(x))),
        // The usual case, in one pass over the row.
        &[cutter] => {
            let (high, low) = sum.split_at_mut(row.len());
            for ((&x, high), low) in row.iter().zip(high).zip(low) {
                let x = f64::from(x);
                let cut = (x + cutter) - cutter;
                apply(high, cut);
                apply(low, x - cut);
            }
        }
        cutters => {
            for (column, &x) in row.iter().enumerate() {
                let mut rest = f64::from(x);
                for (limb, cutter) in cutters.iter().enumerate() {
                    let cut = (rest + cutter) - cutter;
                    apply(&mut sum[limb * row.len() + column], cut);
                    rest -= cut;
                }
                apply(&mut sum[cutters.len() * row.len() + column], rest);
            }
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_body<const B: usize>(grid: &SumGrid, row: &[f32], sum: &mut [f64]) {
    cut_into(grid, row, sum, |sum, limb| *sum += limb);
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn subtract_body<const B: usize>(grid: &SumGrid, row: &[f32], sum: &mut [f64]) {
    cut_into(grid, row, sum, |sum, limb| *sum -= limb);
}

multiversion! {
    /// As [`ExactSums::exchange_all`], row by row.
    fn exchange_each = exchange_each_body(
        sums: &mut ExactSums, rows: Rows<'_>, changes: &[Change],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn exchange_each_body<const B: usize>(sums: &mut ExactSums, rows: Rows<'_>, changes: &[Change]) {
    let grid = sums.grid;
    for change in changes {
        let row = rows.row(RowIndex::new(change.row as usize));
        cut_into(&grid, row, sums.sum_mut(change.to as usize), |sum, limb| *sum += limb);
        if change.from != Change::NOWHERE {
            let sum = sums.sum_mut(change.from as usize);
            cut_into(&grid, row, sum, |sum, limb| *sum -= limb);
        }
    }
}

/// Numbers that begin with a cache line: no register is loaded from two.
#[repr(align(64))]
struct Tile<T>([T; TILE]);

multiversion! {
    /// As [`ExactSums::exchange_all`], of changes that are all the same way, in sums of two limbs.
    fn exchange_way = exchange_way_body(
        sums: &mut ExactSums, cutter: f64, rows: Rows<'_>, coded: Option<&CodedRows<'_>>,
        way: &[Change],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn exchange_way_body<const B: usize>(
    sums: &mut ExactSums,
    cutter: f64,
    rows: Rows<'_>,
    coded: Option<&CodedRows<'_>>,
    way: &[Change],
) {
    let stride = sums.stride;
    let Some(&Change { from, to, .. }) = way.first() else { return };
    let values = |change: &Change| rows.row(RowIndex::new(change.row as usize));
    for first in (0..stride).step_by(TILE) {
        let columns = first..stride.min(first + TILE);
        let (mut highs, mut lows) = (Tile([0.0; TILE]), Tile([0.0; TILE]));
        let mut decoded = Tile([0.0; TILE]);
        for (at, change) in way.iter().enumerate() {
            let next = way.get(at + AHEAD);
            let row = if let Some(coded) = coded {
                if let Some(next) = next {
                    prefetch(&coded.codes(next.row as usize)[columns.clone()]);
                }
                let values = &mut decoded.0[..columns.len()];
                coded.decode(change.row as usize, first, values);
                &*values
            } else {
                if let Some(next) = next {
                    prefetch(&values(next)[columns.clone()]);
                }
                &values(change)[columns.clone()]
            };
            for ((&x, high), low) in row.iter().zip(&mut highs.0).zip(&mut lows.0) {
                let x = f64::from(x);
                let cut = (x + cutter) - cutter;
                *high += cut;
                *low += x - cut;
            }
        }
        if from != Change::NOWHERE {
            let (high, low) = sums.sum_mut(from as usize).split_at_mut(stride);
            high[columns.clone()].iter_mut().zip(&highs.0).for_each(|(sum, way)| *sum -= way);
            low[columns.clone()].iter_mut().zip(&lows.0).for_each(|(sum, way)| *sum -= way);
        }
        let (high, low) = sums.sum_mut(to as usize).split_at_mut(stride);
        high[columns.clone()].iter_mut().zip(&highs.0).for_each(|(sum, way)| *sum += way);
        low[columns].iter_mut().zip(&lows.0).for_each(|(sum, way)| *sum += way);
    }
}

multiversion! {
    fn add_row = add_body(grid: &SumGrid, row: &[f32], sum: &mut [f64])
}

multiversion! {
    fn subtract_row = subtract_body(grid: &SumGrid, row: &[f32], sum: &mut [f64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    /// The sum as an exact fraction, rounded once: a different road to the same number.
    fn rounded_exactly(values: &[f32]) -> f64 {
        let sum: BigRational = values
            .iter()
            .map(|&x| BigRational::from_float(x).expect("finite"))
            .fold(BigRational::from_integer(BigInt::from(0)), |sum, x| sum + x);
        nearest_f64(&sum)
    }

    /// Correctly rounded, by comparing the neighbours of a first guess exactly.
    fn nearest_f64(sum: &BigRational) -> f64 {
        let guess: f64 = num_traits::ToPrimitive::to_f64(sum).expect("finite");
        let distance = |x: f64| {
            let difference = BigRational::from_float(x).expect("finite") - sum;
            if difference < BigRational::from_integer(BigInt::from(0)) {
                -difference
            } else {
                difference
            }
        };
        [guess.next_down(), guess, guess.next_up()]
            .into_iter()
            .min_by(|&a, &b| {
                distance(a)
                    .cmp(&distance(b))
                    .then_with(|| (a.to_bits() & 1).cmp(&(b.to_bits() & 1)))
            })
            .expect("three candidates")
    }

    fn value() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
            4 => -3.0_f32..3.0,
            2 => (0_i32..256).prop_map(|x| x as f32),
            1 => Just(0.0_f32), 1 => Just(-0.0_f32), 1 => Just(f32::MAX), 1 => Just(1e-45_f32),
        ]
    }

    proptest! {
        #[test]
        fn sums_are_exact_and_any_order_gives_the_same_bits(
            values in prop::collection::vec(value(), 1..60),
            removed in prop::collection::vec(value(), 0..10),
        ) {
            let all: Vec<f32> = values.iter().chain(&removed).copied().collect();
            let grid = SumGrid::for_rows(all.len(), Magnitudes::of(&all));
            let expected = rounded_exactly(&values);
            for simd in available() {
                // One column of interest; the rest of the row is there for the vector code, and so wide
                // that columns are gone through in several tiles.
                const WIDTH: usize = TILE + 96;
                let (k, width) = (3, WIDTH);
                let row = |x: f32| [x; WIDTH];
                let mut forward = ExactSums::new(grid, k, width);
                for &x in &all { forward.add(simd, 1, &row(x)); }
                for &x in &removed { forward.subtract(simd, 1, &row(x)); }
                let padded: Vec<f32> = values.iter().flat_map(|&x| row(x)).collect();
                let rows = Rows::new(&padded, values.len(), width);
                let mut backward = ExactSums::new(grid, k, width);
                let changes = |from, to| -> Vec<Change> {
                    (0..values.len() as u32).rev().map(|row| Change { row, from, to }).collect()
                };
                backward.exchange_all(simd, rows, None, &mut changes(Change::NOWHERE, 0));
                backward.exchange_all(simd, rows, None, &mut changes(0, 1));
                prop_assert_eq!(&forward, &backward);
                let mut mean = [0.0; WIDTH];
                forward.mean(1, 1, &mut mean);
                for mean in mean {
                    prop_assert_eq!(mean.to_bits(), (expected + 0.0).to_bits(), "{} {}", mean, expected);
                }
                prop_assert!(forward.values[..grid.limbs() * width].iter().all(|&x| x == 0.0));
            }
        }
    }

    #[test]
    fn half_way_cases_round_by_what_is_below() {
        // 2^53 + 1 is half way between neighbours; a tiny term below decides.
        let big = 9_007_199_254_740_992.0;
        assert_eq!(round_once([big, 1.0, 1e-30].into_iter()).to_bits(), (big + 2.0).to_bits());
        assert_eq!(round_once([big, 1.0, -1e-30].into_iter()).to_bits(), big.to_bits());
        assert_eq!(round_once([big, 1.0].into_iter()).to_bits(), big.to_bits());
    }

    #[test]
    fn limbs_grow_with_the_range_of_the_values_only() {
        let grid =
            |n, smallest, largest| SumGrid::for_rows(n, Magnitudes { smallest, largest }).limbs();
        assert_eq!(grid(60_000, 1.0, 255.0), 1, "whole numbers fit one");
        assert_eq!(grid(60_000, 1e-5, 244.0), 2, "z-scored MNIST takes two");
        assert!(grid(1 << 32, 1e-45, f32::MAX) <= MAX_LIMBS);
        assert_eq!(grid(10, f32::INFINITY, 0.0), 1, "all zeros");
        let found = SumGrid::for_rows(60_000, Magnitudes { smallest: 1e-45, largest: 1e9 });
        assert_eq!(SumGrid::from_cutters(found.cutters()), Some(found));
        assert_eq!(SumGrid::from_cutters(&[0.0; MAX_LIMBS]), None);
    }
}
