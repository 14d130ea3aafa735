//! A straight line by least squares, with R² that can be trusted.

use serde::{Deserialize, Serialize};

/// A straight line `y = slope * x + intercept` and how well it fits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LineFit {
    /// Units of y per unit of x. Infinite if it leaves the range of f64.
    pub slope: f64,
    /// The line's y at x = 0, in units of y. Loses digits, as any intercept
    /// does, where the points lie far from x = 0; not finite if slope is not.
    pub intercept: f64,
    /// The coefficient of determination, from 0 (no better than the mean) to 1
    /// (every point on the line). Never NaN.
    pub r_squared: f64,
}

/// Fits a straight line to the points (`x[i]`, `y[i]`) by least squares.
///
/// `x` and `y` have shape `[n]`, in any units and any order. R² is
/// `1 - sum of squared residuals / sum of squared deviations of y from its
/// mean`, what scikit-learn's `LinearRegression().fit(x, y).score(x, y)`
/// gives, with these cases decided:
///
/// - All `y` exactly equal: the line is that constant, and R² is 1.
///   scikit-learn's `r2_score` gives 1 or 0 there, as its residuals happen to
///   round.
/// - One point, and two points with different `x`: R² is exactly 1.
/// - All `x` equal and `y` not: no line is determined; slope 0 through the
///   mean of y, R² is 0.
/// - No points: all zero, R² is 1.
///
/// Values are taken relative to the first point and divided by the largest
/// such difference before anything is squared (Chan, Golub and `LeVeque`,
/// "Algorithms for computing the sample variance", 1983, on why to shift), so
/// that neither a large offset nor a magnitude near the ends of f64's range
/// costs digits of R². A value that is not finite makes R² 0, and slope and
/// intercept may be NaN.
///
/// # Panics
///
/// If `x` and `y` differ in length.
#[must_use]
pub fn fit_line(x: &[f64], y: &[f64]) -> LineFit {
    assert_eq!(x.len(), y.len(), "x and y differ in length");
    if !x.iter().chain(y).all(|value| value.is_finite()) {
        return LineFit { slope: f64::NAN, intercept: f64::NAN, r_squared: 0.0 };
    }
    let (Some(x), Some(y)) = (Centred::new(x), Centred::new(y)) else {
        return LineFit { slope: 0.0, intercept: 0.0, r_squared: 1.0 };
    };
    if y.is_constant() {
        return LineFit { slope: 0.0, intercept: y.mean(), r_squared: 1.0 };
    }
    if x.is_constant() {
        return LineFit { slope: 0.0, intercept: y.mean(), r_squared: 0.0 };
    }

    // Both sums of squares are at least 1/2: one value is 0, another ±1 before
    // the mean is taken off.
    let sxx: f64 = x.values.iter().map(|v| v * v).sum();
    let syy: f64 = y.values.iter().map(|v| v * v).sum();
    let sxy: f64 = x.values.iter().zip(&y.values).map(|(a, b)| a * b).sum();
    let beta = sxy / sxx;
    let r_squared = if x.values.len() == 2 {
        1.0
    } else {
        // From the residuals, not sxy² / (sxx * syy): where the fit is close,
        // its distance from 1 keeps its digits.
        let residual: f64 = x
            .values
            .iter()
            .zip(&y.values)
            .map(|(a, b)| {
                let r = b - beta * a;
                r * r
            })
            .sum();
        (1.0 - residual / syy).clamp(0.0, 1.0)
    };

    let slope = beta * (y.unit / x.unit) * (x.shrink / y.shrink);
    let intercept = y.mean() - slope * x.mean();
    LineFit { slope, intercept, r_squared }
}

/// Values as `shrink * original = first + unit * (mean + values[i])`, where
/// `values` has mean 0 and a range of 1 to 2.
struct Centred {
    values: Vec<f64>,
    /// Mean of the scaled values, before it was taken off.
    offset: f64,
    first: f64,
    /// The largest absolute difference from the first; 0 if all are equal.
    unit: f64,
    /// A power of two that keeps differences of huge values finite.
    shrink: f64,
}

impl Centred {
    /// `None` without values. All values must be finite.
    fn new(original: &[f64]) -> Option<Self> {
        let first = *original.first()?;
        let largest = original.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let shrink = if largest > f64::MAX / 4.0 { 0.25 } else { 1.0 };
        let first = first * shrink;
        // Different numbers have a difference other than 0 in IEEE arithmetic,
        // denormals included: unit is 0 only if all are equal.
        let mut values: Vec<f64> = original.iter().map(|v| v * shrink - first).collect();
        let unit = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let mut offset = 0.0;
        if unit > 0.0 {
            for value in &mut values {
                *value /= unit;
            }
            offset = values.iter().sum::<f64>() / values.len() as f64;
            for value in &mut values {
                *value -= offset;
            }
        }
        Some(Self { values, offset, first, unit, shrink })
    }

    fn is_constant(&self) -> bool {
        self.unit == 0.0
    }

    fn mean(&self) -> f64 {
        (self.first + self.unit * self.offset) / self.shrink
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn a_known_line() {
        // Anscombe's first set: slope 0.5, intercept 3, R² 0.67.
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let fit = fit_line(&x, &y);
        close(fit.slope, 0.500_090_909_090_909_1);
        close(fit.intercept, 3.000_090_909_090_909);
        close(fit.r_squared, 0.666_542_459_508_775);
    }

    #[test]
    fn points_on_a_line() {
        let fit = fit_line(&[1.0, 2.0, 5.0], &[7.0, 5.0, -1.0]);
        close(fit.slope, -2.0);
        close(fit.intercept, 9.0);
        close(fit.r_squared, 1.0);
    }

    #[test]
    fn two_points_fit_exactly() {
        let fit = fit_line(&[3.0, 7.0], &[0.1, 1e-17]);
        assert_eq!(fit.r_squared.to_bits(), 1.0_f64.to_bits());
        close(fit.slope, -0.025);
    }

    #[test]
    fn a_constant_fits_exactly() {
        for value in [0.0, 0.1, 1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324, -7.3] {
            let fit = fit_line(&[1.0, 2.0, 3.0, 7.0], &[value; 4]);
            assert_eq!(fit, LineFit { slope: 0.0, intercept: value, r_squared: 1.0 });
        }
        let zeros = fit_line(&[1.0, 2.0, 3.0], &[0.0, -0.0, 0.0]);
        assert_eq!(zeros.r_squared.to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn one_step_from_constant_is_not_constant() {
        let fit = fit_line(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 1.0, 1.0_f64.next_up()]);
        close(fit.r_squared, 0.6);
        let fit = fit_line(&[1.0, 2.0, 3.0, 4.0], &[0.0, 0.0, 0.0, 5e-324]);
        close(fit.r_squared, 0.6);
        let fit = fit_line(&[1.0, 2.0, 3.0, 4.0], &[f64::MAX, f64::MAX, f64::MAX, f64::MIN]);
        close(fit.r_squared, 0.6);
    }

    #[test]
    fn a_large_offset_costs_nothing() {
        let y = [5.0, 3.0, 4.0, 1.0, 1.0, 0.0];
        let x = [5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        let plain = fit_line(&x, &y);
        let far = fit_line(&x, &y.map(|v| v + 2.0_f64.powi(50)));
        close(far.r_squared, plain.r_squared);
        close(far.slope, plain.slope);
    }

    #[test]
    fn degenerate_inputs() {
        let nothing = fit_line(&[], &[]);
        assert_eq!(nothing, LineFit { slope: 0.0, intercept: 0.0, r_squared: 1.0 });
        let one = fit_line(&[4.0], &[3.0]);
        assert_eq!(one, LineFit { slope: 0.0, intercept: 3.0, r_squared: 1.0 });
        let vertical = fit_line(&[4.0, 4.0], &[3.0, 5.0]);
        assert_eq!(vertical, LineFit { slope: 0.0, intercept: 4.0, r_squared: 0.0 });
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let fit = fit_line(&[1.0, 2.0, 3.0], &[1.0, bad, 3.0]);
            assert_eq!(fit.r_squared.to_bits(), 0.0_f64.to_bits());
        }
    }

    #[test]
    #[should_panic(expected = "differ in length")]
    fn lengths_must_agree() {
        let _ = fit_line(&[1.0], &[1.0, 2.0]);
    }

    proptest! {
        #[test]
        fn r_squared_is_always_a_share(
            points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20)
        ) {
            let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
            let r_squared = fit_line(&x, &y).r_squared;
            prop_assert!((0.0..=1.0).contains(&r_squared), "{}", r_squared);
        }

        #[test]
        fn r_squared_does_not_depend_on_units(
            y in prop::collection::vec(0.0..1.0_f64, 3..30),
            power in -200..200_i32,
        ) {
            let x: Vec<f64> = (0..y.len()).map(|i| i as f64).collect();
            let scaled: Vec<f64> = y.iter().map(|v| v * 2.0_f64.powi(power)).collect();
            let far: Vec<f64> = x.iter().map(|v| 1000.0 + 8.0 * v).collect();
            let plain = fit_line(&x, &y).r_squared;
            // Powers of two: no digit changes.
            prop_assert_eq!(fit_line(&x, &scaled).r_squared.to_bits(), plain.to_bits());
            prop_assert_eq!(fit_line(&far, &y).r_squared.to_bits(), plain.to_bits());
        }

        #[test]
        fn no_other_line_is_nearer(
            y in prop::collection::vec(-100.0..100.0_f64, 3..30),
            tilt in -0.1..0.1_f64,
            lift in -1.0..1.0_f64,
        ) {
            let x: Vec<f64> = (0..y.len()).map(|i| (i * i) as f64).collect();
            let fit = fit_line(&x, &y);
            let cost = |slope: f64, intercept: f64| -> f64 {
                x.iter().zip(&y).map(|(a, b)| (b - slope * a - intercept).powi(2)).sum()
            };
            let least = cost(fit.slope, fit.intercept);
            prop_assert!(least <= cost(fit.slope + tilt, fit.intercept + lift) * (1.0 + 1e-12));
        }
    }
}
