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

use crate::lines::Lines;
use crate::rows::Magnitudes;
use crate::simd::{Simd, multiversion};

/// Bits that a binary64 holds.
const PRECISION: i32 = f64::MANTISSA_DIGITS as i32;

/// No data needs more: binary32 spans 277 bits, and 2³² rows leave 20 or more to a limb.
pub const MAX_LIMBS: usize = 14;

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
        // So many values add so many bits to one, `n < 2^growth`; cutting asks for values below 2^51
        // grids, which growth of 3 sees to.
        let growth = (n.ilog2() as i32 + 1).max(3);
        let finest = last_place(magnitudes.smallest);
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

/// `floor(log2(x))` of a positive `x` that is normal as a binary64.
fn exponent(x: impl Into<f64>) -> i32 {
    // As a binary64, every binary32 is normal.
    (x.into().to_bits() >> 52) as i32 - 1023
}

/// The exponent of the last place that values have whose `smallest` is this: no finer than its own, nor
/// than binary32 has any.
pub(crate) fn last_place(smallest: f32) -> i32 {
    (exponent(smallest) - (f32::MANTISSA_DIGITS as i32 - 1)).max(exponent(f32::from_bits(1)))
}

pub(crate) fn power_of_two(exponent: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&exponent), "a normal power of two");
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Exact sums of rows: `k` of them, each over `stride` columns.
#[derive(Debug, Clone)]
pub struct ExactSums {
    pub(crate) grid: SumGrid,
    pub(crate) stride: usize,
    /// `[k, limbs, stride]`.
    pub(crate) values: Lines<f64>,
}

impl ExactSums {
    /// `k` sums of no rows.
    #[must_use]
    pub fn new(grid: SumGrid, k: usize, stride: usize) -> Self {
        Self { grid, stride, values: Lines::zeros(k * grid.limbs * stride) }
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

    /// Adds the sums of `other`, made for the same grid, `k` and stride.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.grid, other.grid);
        for (sum, other) in self.values.iter_mut().zip(&*other.values) {
            *sum += other;
        }
    }

    /// Sum `j`, which is of `count` rows, rounded once to binary64 and divided by that, into `mean`,
    /// `[stride]`.
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

    pub(crate) fn sum_mut(&mut self, j: usize) -> &mut [f64] {
        let length = self.grid.limbs * self.stride;
        &mut self.values[j * length..][..length]
    }
}

/// Both limbs of a value.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(crate) fn cut(cutter: f64, x: f32) -> [f64; 2] {
    let x = f64::from(x);
    let high = (x + cutter) - cutter;
    [high, x - high]
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
pub(crate) fn cut_into(
    grid: &SumGrid,
    row: &[f32],
    sum: &mut [f64],
    apply: impl Fn(&mut f64, f64),
) {
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

multiversion! {
    fn add_row = add_body(grid: &SumGrid, row: &[f32], sum: &mut [f64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Change;
    use crate::rows::Rows;
    use crate::simd::available;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;
    use std::ops::Range;

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
                const WIDTH: usize = 352;
                let padded: Vec<f32> = all.iter().flat_map(|&x| [x; WIDTH]).collect();
                let rows = Rows::new(&padded, all.len(), WIDTH);
                let changes = |range: Range<usize>, from, to| -> Vec<Change> {
                    range.map(|row| Change { row: row as u32, from, to }).rev().collect()
                };
                let (kept, removed) = (0..values.len(), values.len()..all.len());
                let mut forward = ExactSums::new(grid, 3, WIDTH);
                for row in rows.iter() { forward.add(simd, 1, row); }
                forward.exchange_all(simd, rows, &mut changes(removed, 1, 2));
                let mut backward = ExactSums::new(grid, 3, WIDTH);
                let nowhere = Change::NOWHERE;
                backward.exchange_all(simd, rows, &mut changes(kept.clone(), nowhere, 0));
                backward.exchange_all(simd, rows, &mut changes(kept, 0, 1));
                for sums in [&forward, &backward] {
                    let mut mean = [0.0; WIDTH];
                    sums.mean(1, 1, &mut mean);
                    for mean in mean {
                        prop_assert_eq!(mean.to_bits(), (expected + 0.0).to_bits());
                    }
                    prop_assert!(sums.values[..grid.limbs() * WIDTH].iter().all(|&x| x == 0.0));
                }
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
