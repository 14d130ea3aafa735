//! Silhouettes, taken again of the same rows.

use crate::arithmetic::squared_distance;
use crate::criteria::Subject;
use crate::document::FILE;
use crate::random::Stream;
use crate::scaling::Rows;
use crate::violation::{Violation, ensure, equal, equal_lists, impossible, near};

/// Of more rows, a sample of so many is taken.
const MOST_ROWS: usize = 2000;

/// Absolute tolerance of a silhouette: see the crate's front page.
const TOLERANCE: f64 = 1e-9;

/// The rows that silhouettes are taken of, and how far they are from each other.
pub(crate) struct Sample {
    n: usize,
    rows: Vec<usize>,
    /// `[m, m]`
    distances: Vec<f64>,
}

impl Sample {
    pub(crate) fn new(rows: &Rows, seed: u64) -> Self {
        let sample = draw(rows.n(), seed);
        let mut wide = vec![Vec::new(); sample.len()];
        rows.for_each(|row, x| {
            if let Ok(at) = sample.binary_search(&row) {
                wide[at] = x.to_vec();
            }
        });
        let m = sample.len();
        let mut distances = vec![0.0; m * m];
        for i in 0..m {
            for j in 0..i {
                let distance = squared_distance(&wide[i], &wide[j]).sqrt();
                distances[i * m + j] = distance;
                distances[j * m + i] = distance;
            }
        }
        Self { n: rows.n(), rows: sample, distances }
    }

    /// That a model's silhouettes and their mean are those of these rows.
    pub(crate) fn check(&self, subject: &Subject<'_>) -> Result<(), Violation> {
        let &Subject { file, model, .. } = subject;
        let found = model.silhouette_rows.iter().copied();
        let expected = self.rows.iter().map(|&row| row as i64);
        equal_lists(file, "silhouette_rows", found, expected)?;
        let m = self.rows.len();
        let values = self.silhouettes(subject);
        let found = &model.silhouettes;
        let Some(values) = values else {
            let all_nan = found.iter().all(|value| value.is_nan());
            ensure(all_nan, file, "silhouettes are there, but not defined")?;
            return subject.check_index(
                "silhouette",
                subject.criteria.silhouette.map(|s| s.mean),
                None,
            );
        };
        for (index, (&found, &expected)) in found.iter().zip(&values).enumerate() {
            near(file, format_args!("silhouettes[{index}]"), found, expected, TOLERANCE)?;
        }
        let mean = values.iter().sum::<f64>() / m as f64;
        let Some(found) = subject.criteria.silhouette else {
            let what = format_args!("{} is null, but defined", subject.name("silhouette"));
            return Err(impossible(FILE, what));
        };
        equal(FILE, subject.name("silhouette.rows"), found.rows, m)?;
        near(FILE, subject.name("silhouette.mean"), found.mean, mean, TOLERANCE)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (m as f64 - 1.0)).sqrt() / (m as f64).sqrt();
        let expected = (m < self.n).then_some(error);
        subject.check_index("silhouette.standard_error", found.standard_error, expected)
    }

    /// Of every row of the sample; `None` where their number of clusters does not allow it.
    fn silhouettes(&self, subject: &Subject<'_>) -> Option<Vec<f64>> {
        let m = self.rows.len();
        let labels: Vec<usize> = self.rows.iter().map(|&row| subject.labels[row]).collect();
        let size = |j: usize| labels.iter().filter(|&&label| label == j).count();
        let sizes: Vec<usize> = (0..subject.k()).map(size).collect();
        let used = sizes.iter().filter(|&&size| size > 0).count();
        if used < 2 || used >= m {
            return None;
        }
        let silhouette = |(distances, &own): (&[f64], &usize)| {
            let mut sums = vec![0.0; sizes.len()];
            for (distance, &label) in distances.iter().zip(&labels) {
                sums[label] += distance;
            }
            if sizes[own] == 1 {
                return 0.0;
            }
            let inside = sums[own] / (sizes[own] - 1) as f64;
            let others = (0..sizes.len()).filter(|&j| j != own && sizes[j] > 0);
            let outside = others.map(|j| sums[j] / sizes[j] as f64).fold(f64::INFINITY, f64::min);
            let scale = inside.max(outside);
            if scale > 0.0 { (outside - inside) / scale } else { 0.0 }
        };
        Some(self.distances.chunks_exact(m).zip(&labels).map(silhouette).collect())
    }
}

/// The rows that the seed draws, ascending: Floyd's algorithm.
fn draw(n: usize, seed: u64) -> Vec<usize> {
    if n <= MOST_ROWS {
        return (0..n).collect();
    }
    let mut stream = Stream::new(seed, 1);
    let mut drawn = Vec::new();
    for last in n - MOST_ROWS..n {
        let row = stream.index(last + 1);
        drawn.push(if drawn.contains(&row) { last } else { row });
    }
    drawn.sort_unstable();
    drawn
}
