//! The criteria of a best model, computed again from the rows.

use crate::arithmetic::{Sums, squared_distance};
use crate::document::FILE;
use crate::scaling::Rows;
use crate::violation::{Violation, ensure, equal, impossible, near};
use kscan_dataset::Table;
use kscan_results::{BestModel, Cluster, Criteria};

/// Relative tolerance of an index, whose sums may be added in any order: see the crate's front page.
const TOLERANCE: f64 = 1e-9;

/// Into how many parts rows are cut whose sums are added one after another: part of the definition.
const PARTS: usize = 64;

/// How many of its nearest rows are kept of a cluster.
const NEAREST_ROWS: usize = 5;

/// A model that has been found right, with what is said of it.
pub(crate) struct Subject<'a> {
    /// Its file, relative to the folder.
    pub(crate) file: &'a str,
    pub(crate) model: &'a BestModel,
    /// Its labels, below k.
    pub(crate) labels: &'a [usize],
    /// Where `criteria` stands in `scan.json`.
    pub(crate) index: usize,
    pub(crate) criteria: &'a Criteria,
}

impl Subject<'_> {
    pub(crate) fn k(&self) -> usize {
        self.model.centers.nrows()
    }

    /// `criteria[3].clusters`
    pub(crate) fn name(&self, field: &str) -> String {
        format!("criteria[{}].{field}", self.index)
    }

    /// That an index which is `expected` is told so.
    pub(crate) fn check_index(
        &self,
        field: &str,
        found: Option<f64>,
        expected: Option<f64>,
    ) -> Result<(), Violation> {
        let name = self.name(field);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                near(FILE, name, found, expected, TOLERANCE * expected.abs().max(1.0))
            }
            (None, None) => Ok(()),
            (None, Some(expected)) => {
                Err(impossible(FILE, format_args!("{name} is null, but should be {expected:e}")))
            }
            (Some(_), None) => {
                Err(impossible(FILE, format_args!("{name} is there, but not defined")))
            }
        }
    }
}

/// That clusters, nearest rows and the indices around the means are those of the rows.
pub(crate) fn check(rows: &Rows, table: &Table, subject: &Subject<'_>) -> Result<(), Violation> {
    let &Subject { model, labels, criteria, .. } = subject;
    equal(FILE, subject.name("k"), criteria.k, subject.k())?;
    let centers = rows.padded(model.centers.iter());
    let mut own = vec![0.0; rows.n()];
    let mut clusters = vec![Sums::new(rows.stride()); subject.k()];
    rows.for_each(|row, x| {
        own[row] = squared_distance(x, &centers[labels[row] * rows.stride()..][..rows.stride()]);
        clusters[labels[row]].add(x);
    });
    check_clusters(subject, &own)?;
    check_nearest(table, subject, &own)?;

    let means: Vec<Vec<f64>> = clusters
        .iter()
        .map(|cluster| (0..rows.stride()).map(|i| cluster.mean(i)).collect())
        .collect();
    check_indices(rows, subject, &clusters, &means)
}

/// Sizes, inertias and mean distances, to the bit.
fn check_clusters(subject: &Subject<'_>, own: &[f64]) -> Result<(), Violation> {
    let k = subject.k();
    let mut totals = vec![(0_u64, 0.0, 0.0); k];
    let part = own.len().div_ceil(PARTS);
    for (start, own) in (0..own.len()).step_by(part).zip(own.chunks(part)) {
        let mut sums = vec![(0_u64, 0.0, 0.0); k];
        for (&distance, &label) in own.iter().zip(&subject.labels[start..]) {
            sums[label].0 += 1;
            sums[label].1 += distance;
            sums[label].2 += distance.sqrt();
        }
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = (total.0 + sum.0, total.1 + sum.1, total.2 + sum.2);
        }
    }
    let found = &subject.criteria.clusters;
    equal(FILE, subject.name("clusters: their number"), found.len(), k)?;
    for (j, (found, (size, inertia, distance))) in found.iter().zip(totals).enumerate() {
        let name = |field| subject.name(&format!("clusters[{j}].{field}"));
        let Cluster { size: found_size, inertia: found_inertia, mean_distance } = found;
        equal(FILE, name("size"), *found_size, size)?;
        // A tolerance of nothing: the order of additions is defined.
        near(FILE, name("inertia"), *found_inertia, inertia, 0.0)?;
        match mean_distance {
            Some(found) if size > 0 => {
                near(FILE, name("mean_distance"), *found, distance / size as f64, 0.0)?;
            }
            None if size == 0 => {}
            _ => {
                let what = format_args!(
                    "{} is {mean_distance:?}, and the cluster has {size} rows",
                    name("mean_distance")
                );
                return Err(impossible(FILE, what));
            }
        }
    }
    Ok(())
}

/// The rows nearest to each centroid, and their values in the raw table.
fn check_nearest(table: &Table, subject: &Subject<'_>, own: &[f64]) -> Result<(), Violation> {
    let &Subject { file, model, labels, .. } = subject;
    let nearest = &model.nearest;
    equal(file, "the number of nearest_rows of a cluster", nearest.rows.ncols(), NEAREST_ROWS)?;
    let mut raw = vec![0.0_f32; table.cols()];
    for j in 0..subject.k() {
        let mut of_cluster: Vec<usize> = (0..own.len()).filter(|&row| labels[row] == j).collect();
        // Stable, so that of equally near rows the lowest stays first.
        of_cluster.sort_by(|&a, &b| own[a].total_cmp(&own[b]));
        for m in 0..NEAREST_ROWS {
            let row = of_cluster.get(m).copied();
            let expected = row.map_or(-1, |row| row as i64);
            let what = format_args!("nearest_rows[{j}][{m}]");
            equal(file, what, nearest.rows[(j, m)], expected)?;
            if let Some(row) = row {
                table.copy_rows_f32(row..row + 1, &mut raw, table.cols());
            }
            for (i, &expected) in raw.iter().enumerate() {
                let found = nearest.raw[(j, m, i)];
                let what = format_args!("nearest_raw[{j}][{m}][{i}]");
                if row.is_none() {
                    ensure(found.is_nan(), file, format_args!("{what} is {found}, of no row"))?;
                    continue;
                }
                // Scaled and scaled back: four roundings of binary32.
                let size = f64::from(expected.abs()) + model.scale_mean[i].abs();
                let tolerance = 4.0 * f64::from(f32::EPSILON) * size;
                near(file, what, f64::from(found), f64::from(expected), tolerance)?;
            }
        }
    }
    Ok(())
}

/// Calinski and Harabasz's and Davies and Bouldin's indices, as scikit-learn defines them.
fn check_indices(
    rows: &Rows,
    subject: &Subject<'_>,
    clusters: &[Sums],
    means: &[Vec<f64>],
) -> Result<(), Violation> {
    let used: Vec<usize> = (0..clusters.len()).filter(|&j| clusters[j].count() > 0).collect();
    let is_defined = used.len() >= 2 && used.len() < rows.n();
    let mut within = 0.0;
    let mut distances = vec![0.0; clusters.len()];
    let mut all = Sums::new(rows.stride());
    rows.for_each(|row, x| {
        let label = subject.labels[row];
        let squared = squared_distance(x, &means[label]);
        within += squared;
        distances[label] += squared.sqrt();
        all.add(x);
    });
    let center: Vec<f64> = (0..rows.stride()).map(|i| all.mean(i)).collect();
    let count = |j: usize| clusters[j].count() as f64;
    let between: f64 = used.iter().map(|&j| count(j) * squared_distance(&means[j], &center)).sum();
    let freedom = (rows.n() - used.len()) as f64 / (used.len() as f64 - 1.0);
    let expected = if within == 0.0 { 1.0 } else { between / within * freedom };
    let found = subject.criteria.calinski_harabasz;
    subject.check_index("calinski_harabasz", found, is_defined.then_some(expected))?;

    let width = |j: usize| distances[j] / count(j);
    let worst = used.iter().map(|&i| {
        let others = used.iter().filter(|&&j| j != i);
        let similarities = others.map(|&j| {
            let apart = squared_distance(&means[i], &means[j]).sqrt();
            if apart == 0.0 { 0.0 } else { (width(i) + width(j)) / apart }
        });
        similarities.fold(0.0, f64::max)
    });
    let expected = worst.sum::<f64>() / used.len() as f64;
    let found = subject.criteria.davies_bouldin;
    subject.check_index("davies_bouldin", found, is_defined.then_some(expected))
}

/// How the labels agree with `known` ones, by the textbook.
pub(crate) fn check_agreement(
    subject: &Subject<'_>,
    known: Option<&[i64]>,
) -> Result<(), Violation> {
    let Some(known) = known else {
        let none = subject.criteria.labels.is_none();
        return ensure(
            none,
            FILE,
            format_args!("{} is there, but no labels are", subject.name("labels")),
        );
    };
    let Some(found) = subject.criteria.labels else {
        let what = format_args!("{} is null, but labels are there", subject.name("labels"));
        return Err(impossible(FILE, what));
    };
    let mut classes = known.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let k = subject.k();
    let mut counts = vec![vec![0.0_f64; k]; classes.len()];
    for (label, &cluster) in known.iter().zip(subject.labels) {
        counts[classes.partition_point(|class| class < label)][cluster] += 1.0;
    }
    let n = known.len() as f64;
    let rows: Vec<f64> = counts.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<f64> = (0..k).map(|j| counts.iter().map(|row| row[j]).sum()).collect();

    let pairs = |count: &f64| count * (count - 1.0) / 2.0;
    let both: f64 = counts.iter().flatten().map(pairs).sum();
    let (of_rows, of_columns): (f64, f64) =
        (rows.iter().map(pairs).sum(), columns.iter().map(pairs).sum());
    let expected = of_rows * of_columns / pairs(&n);
    let largest = f64::midpoint(of_rows, of_columns);
    // Whole numbers: no pair is together in one of the two alone.
    let adjusted_rand = if of_rows - both < 0.5 && of_columns - both < 0.5 {
        1.0
    } else {
        (both - expected) / (largest - expected)
    };

    let plogp = |totals: &[f64]| -> f64 {
        let terms = totals.iter().filter(|&&total| total > 0.0);
        -terms.map(|total| total / n * (total / n).ln()).sum::<f64>()
    };
    let (h_rows, h_columns) = (plogp(&rows), plogp(&columns));
    let h_both = plogp(&counts.concat());
    let information = h_rows + h_columns - h_both;
    // Of a single class or cluster there is nothing to tell.
    let share = |entropy: f64| if entropy > TOLERANCE { information / entropy } else { 1.0 };
    let (homogeneity, completeness) = (share(h_rows), share(h_columns));
    let sum = homogeneity + completeness;
    let v_measure = if sum > TOLERANCE { 2.0 * homogeneity * completeness / sum } else { 0.0 };
    let mean_entropy = f64::midpoint(h_rows, h_columns);
    let normalized = if mean_entropy > TOLERANCE { information / mean_entropy } else { 1.0 };
    let majority: f64 = (0..k).map(|j| counts.iter().map(|row| row[j]).fold(0.0, f64::max)).sum();
    for (field, found, expected) in [
        ("adjusted_rand", found.adjusted_rand, adjusted_rand),
        ("normalized_mutual_information", found.normalized_mutual_information, normalized),
        ("homogeneity", found.homogeneity, homogeneity),
        ("completeness", found.completeness, completeness),
        ("v_measure", found.v_measure, v_measure),
        ("purity", found.purity, majority / n),
    ] {
        near(FILE, subject.name(&format!("labels.{field}")), found, expected, TOLERANCE)?;
    }
    Ok(())
}
