//! The few sums that everything here is made of.

/// How many partial sums a distance is added in: part of its definition.
pub(crate) const LANES: usize = 16;

/// The squared distance of `x` to `c`, both padded with zeros to a multiple of [`LANES`].
///
/// In the order that `kscan_kmeans`'s front page defines: lane l adds the columns l, l + 16, …; the
/// lanes are added as a binary tree.
pub(crate) fn squared_distance(x: &[f64], c: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    for (x, c) in x.as_chunks::<LANES>().0.iter().zip(c.as_chunks().0) {
        for ((lane, x), c) in lanes.iter_mut().zip(x).zip::<&[f64; LANES]>(c) {
            *lane += (x - c) * (x - c);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The index of the smallest, the first of equal ones.
pub(crate) fn first_smallest(distances: &[f64]) -> usize {
    let mut smallest = 0;
    for (j, distance) in distances.iter().enumerate() {
        if *distance < distances[smallest] {
            smallest = j;
        }
    }
    smallest
}

/// Sums of many columns at a time, in about twice the digits of f64 (Knuth's two-sum).
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    high: Vec<f64>,
    low: Vec<f64>,
    magnitude: Vec<f64>,
    count: u64,
}

impl Sums {
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            high: vec![0.0; columns],
            low: vec![0.0; columns],
            magnitude: vec![0.0; columns],
            count: 0,
        }
    }

    pub(crate) fn add(&mut self, row: &[f64]) {
        self.count += 1;
        let sums = self.high.iter_mut().zip(&mut self.low);
        for (((high, low), magnitude), &x) in sums.zip(&mut self.magnitude).zip(row) {
            let sum = *high + x;
            let added = sum - *high;
            *low += (*high - (sum - added)) + (x - added);
            *high = sum;
            *magnitude += x.abs();
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn mean(&self, column: usize) -> f64 {
        (self.high[column] + self.low[column]) / self.count as f64
    }

    /// The mean of the absolute values: what the rounding of a mean is relative to.
    pub(crate) fn mean_magnitude(&self, column: usize) -> f64 {
        self.magnitude[column] / self.count as f64
    }
}

/// R² of the straight line through (`x`, `y`) by least squares. 1 where y is constant, and for two
/// points.
pub(crate) fn r_squared(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let centred = |values: &[f64]| -> Vec<f64> {
        // From the first value, so that a large offset costs no digits.
        let shifted: Vec<f64> = values.iter().map(|v| v - values[0]).collect();
        let mean = shifted.iter().sum::<f64>() / n;
        shifted.iter().map(|v| v - mean).collect()
    };
    let first = y[0];
    if x.len() <= 2 || y.iter().all(|y| y - first == 0.0) {
        return 1.0;
    }
    let (x, y) = (centred(x), centred(y));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let slope = dot(&x, &y) / dot(&x, &x);
    let residuals: Vec<f64> = x.iter().zip(&y).map(|(x, y)| y - slope * x).collect();
    (1.0 - dot(&residuals, &residuals) / dot(&y, &y)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_added_as_defined() {
        let x: Vec<f64> = (0..32).map(|i| f64::from(i) * 0.3).collect();
        let c: Vec<f64> = (0..32).map(|i| f64::from(i * i) * 0.07).collect();
        let square = |i: usize| (x[i] - c[i]) * (x[i] - c[i]);
        let lane = |l: usize| square(l) + square(l + 16);
        let four = |l: usize| (lane(l) + lane(l + 8)) + (lane(l + 4) + lane(l + 12));
        let expected = (four(0) + four(2)) + (four(1) + four(3));
        assert_eq!(squared_distance(&x, &c).to_bits(), expected.to_bits());
    }

    #[test]
    fn sums_keep_what_f64_loses() {
        let mut sums = Sums::new(1);
        for x in [1e16, 1.0, -1e16, 1.0] {
            sums.add(&[x]);
        }
        assert!((sums.mean(0) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn lines() {
        let x = [2.0, 3.0, 4.0];
        assert!((r_squared(&x, &[7.0, 5.0, 3.0]) - 1.0).abs() < 1e-15);
        assert!((r_squared(&x, &[0.0, 1.0, 0.0])).abs() < 1e-15);
        assert!((r_squared(&x, &[0.1; 3]) - 1.0).abs() < 1e-15);
        assert!((r_squared(&x, &[0.0, 1.0, 3.0]) - 27.0 / 28.0).abs() < 1e-15);
    }
}
