//! The gap statistic: how much more compact the clusters are than those of
//! data without any.

use crate::criteria::Gap;
use kscan_kmeans::Rows;
use kscan_kmeans::random::RunRandom;
use thiserror::Error;

/// The smallest and the largest value of every column: the box that reference
/// data is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRanges(Vec<(f32, f32)>);

impl ColumnRanges {
    /// Those of `rows`, which are the normalised ones.
    #[must_use]
    pub fn of(rows: Rows<'_>) -> Self {
        let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); rows.d()];
        for row in rows.iter() {
            for ((low, high), &x) in ranges.iter_mut().zip(row) {
                (*low, *high) = (low.min(x), high.max(x));
            }
        }
        Self(ranges)
    }

    /// The reference data of this number, from 0: `n` rows, `[n, d]`, each value
    /// uniform in the range of its column. This is the first of the two kinds of
    /// reference data of Tibshirani, Walther and Hastie; the second turns the box
    /// to the principal axes.
    ///
    /// Row by row a value takes one number u of the stream of `seed` that belongs
    /// to k = 0 and `init_id` 2 + `reference`, which no run has, and is
    /// `low + u (high - low)` in binary64, rounded to binary32.
    #[must_use]
    pub fn draw(&self, n: usize, seed: u64, reference: u32) -> Vec<f32> {
        let mut random = RunRandom::new(seed, 0, 2 + u64::from(reference));
        let mut values = Vec::with_capacity(n * self.0.len());
        for _ in 0..n {
            values.extend(self.0.iter().map(|&(low, high)| {
                let (low, high) = (f64::from(low), f64::from(high));
                (low + random.unit() * (high - low)) as f32
            }));
        }
        values
    }
}

/// Why a k has no gap. `Display` is the reason that a report gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoGap {
    /// Its runs have not all succeeded in every reference.
    #[error("not all of its runs on reference data have succeeded")]
    Missing,
    /// Clusters of single values, whose inertia has no logarithm.
    #[error("its inertia, or that of a reference, is 0 and has no logarithm")]
    Zero,
}

/// The gap of one k.
///
/// `inertia` is the best of the data, `references` the best of every reference
/// by the same number of initialisations; `None` where that is not known. With B
/// references gap = mean ln(reference) - ln(inertia), and s = sd √(1 + 1/B), sd
/// being the standard deviation of ln(reference) with divisor B (Tibshirani,
/// Walther and Hastie, "Estimating the number of clusters in a data set via the
/// gap statistic", 2001; their W is the inertia).
///
/// # Errors
///
/// [`NoGap`] says why there is none.
pub fn gap(inertia: f64, references: &[Option<f64>]) -> Result<Gap, NoGap> {
    let log = |inertia: f64| if inertia > 0.0 { Ok(inertia.ln()) } else { Err(NoGap::Zero) };
    let logs: Vec<f64> = references
        .iter()
        .map(|reference| log(reference.ok_or(NoGap::Missing)?))
        .collect::<Result<_, NoGap>>()?;
    if logs.is_empty() {
        return Err(NoGap::Missing);
    }
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let squares: f64 = logs.iter().map(|log| (log - mean) * (log - mean)).sum();
    let s = (squares / count).sqrt() * (1.0 + 1.0 / count).sqrt();
    Ok(Gap { gap: mean - log(inertia)?, s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_data_fills_the_box_of_the_data_and_nothing_else() {
        let stride = Rows::stride_of(3);
        let mut values = vec![0.0; 2 * stride];
        values[..3].copy_from_slice(&[-1.0, 5.0, 0.1]);
        values[stride..stride + 3].copy_from_slice(&[3.0, 5.0, 0.1]);
        let ranges = ColumnRanges::of(Rows::new(&values, 2, 3));
        assert_eq!(ranges, ColumnRanges(vec![(-1.0, 3.0), (5.0, 5.0), (0.1, 0.1)]));
        let drawn = ranges.draw(4000, 7, 0);
        let column = |i: usize| drawn.iter().skip(i).step_by(3);
        assert!(column(0).all(|x| (-1.0..3.0).contains(x)));
        assert!((column(0).sum::<f32>() / 4000.0 - 1.0).abs() < 0.05);
        for (i, constant) in [(1, 5.0_f32), (2, 0.1)] {
            assert!(column(i).all(|x| x.to_bits() == constant.to_bits()));
        }
        assert_eq!(drawn, ranges.draw(4000, 7, 0), "the same every time");
        assert_ne!(drawn, ranges.draw(4000, 7, 1));
        assert_ne!(drawn, ranges.draw(4000, 8, 0));
    }

    #[test]
    fn reference_data_never_changes() {
        let ranges = ColumnRanges(vec![(0.0, 1.0), (-8.0, 8.0)]);
        let bits: Vec<u32> = ranges.draw(2, 0, 0).into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, [1_012_295_194, 1_067_015_025, 1_049_939_148, 1_071_991_040]);
    }

    #[test]
    fn what_has_no_gap_says_why() {
        assert_eq!(gap(0.0, &[Some(1.0)]), Err(NoGap::Zero));
        assert_eq!(gap(1.0, &[Some(1.0), Some(0.0)]), Err(NoGap::Zero));
        assert_eq!(gap(1.0, &[Some(1.0), None]), Err(NoGap::Missing));
        assert_eq!(gap(1.0, &[]), Err(NoGap::Missing));
        // A single reference has no spread.
        let one = gap(1.0, &[Some(std::f64::consts::E)]).unwrap();
        assert_eq!((one.gap, one.s), (1.0, 0.0));
    }
}
