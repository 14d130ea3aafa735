//! One run's result against the rows: labels, centroids, inertia, digest.

use crate::arithmetic::{Sums, first_smallest, squared_distance};
use crate::document::DEFINITION_VERSION;
use crate::replay::{Limits, replay};
use crate::scaling::Rows;
use crate::violation::{Violation, equal, impossible, near};
use kscan_results::{RunDocument, ScanConfig};

/// Relative tolerance of an inertia: see the crate's front page.
const INERTIA_TOLERANCE: f64 = 1e-9;

/// Of distances and norms, whose terms are all positive: far above their rounding.
const ROUNDING: f64 = 1e-12;

/// What a file says that a run found.
pub(crate) struct Claim<'a> {
    /// The file, relative to the folder.
    pub(crate) file: &'a str,
    /// What it calls the centroids.
    pub(crate) centers_name: &'a str,
    /// What `scan.json` says of the run, which succeeded.
    pub(crate) run: &'a RunDocument,
    /// Centroids, `[k, d]`.
    pub(crate) centers: &'a [f64],
    /// First centroids, `[k, d]`.
    pub(crate) init_centers: &'a [f32],
    /// Labels below k, where the file has them; by the definition, where not.
    pub(crate) labels: Option<&'a [usize]>,
}

/// What one look at every row tells.
struct Seen {
    labels: Vec<usize>,
    inertia: f64,
    clusters: Vec<Sums>,
    /// For every cluster, the rows that may have joined or left it in the last assignment: how
    /// many, and the sum of their distances.
    swings: Vec<(u64, f64)>,
}

/// Whether the run is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    Always,
    /// Where nothing else shows where the centroids come from.
    WhereNeeded,
}

/// That all of `claim` holds. Returns whether the run was done again.
pub(crate) fn check(
    rows: &Rows,
    config: &ScanConfig,
    claim: &Claim<'_>,
    when: Replay,
) -> Result<bool, Violation> {
    let &Claim { file, run, .. } = claim;
    let not_finite = claim.centers.iter().position(|x| !x.is_finite());
    if let Some(at) = not_finite {
        let what = format_args!("{} is not finite", element(rows, claim, at));
        return Err(impossible(file, what));
    }
    let padded = rows.padded(claim.centers.iter());
    let max_shift = config.tol * rows.mean_variance();
    let seen = look(rows, &padded, max_shift, claim)?;

    let stop = run.stop.map(|stop| stop.to_string()).unwrap_or_default();
    let proved = match stop.as_str() {
        "labels" => match check_means(rows, claim, &seen) {
            // A far row that an empty cluster took in the last iteration is in the centroids, and
            // no longer in the labels.
            Err(_) if run.relocated.is_some_and(|relocated| relocated > 0) => false,
            checked => checked.map(|()| true)?,
        },
        "shift" => check_shifted(rows, claim, &seen).map(|()| true)?,
        _ => false,
    };
    let replayed = when == Replay::Always || !proved;
    if replayed {
        check_replay(rows, config, claim)?;
    }

    let distinct = seen.clusters.iter().filter(|cluster| cluster.count() > 0).count();
    let found = run.distinct_clusters.unwrap_or(0) as usize;
    equal(file, "the number of clusters that have rows", distinct, found)?;
    let inertia = run.inertia.unwrap_or(f64::NAN);
    let tolerance = INERTIA_TOLERANCE * seen.inertia;
    let what = "the inertia that scan.json gives it";
    near(file, what, inertia, seen.inertia, tolerance)?;
    let found = run.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let expected = digest(claim, &seen.labels, rows.d());
    equal(file, "the digest that scan.json gives it", found, expected)?;
    Ok(replayed)
}

/// Looks at every row once.
fn look(rows: &Rows, padded: &[f64], max_shift: f64, claim: &Claim<'_>) -> Result<Seen, Violation> {
    let k = claim.run.k as usize;
    let mut seen = Seen {
        labels: Vec::with_capacity(rows.n()),
        inertia: 0.0,
        clusters: vec![Sums::new(rows.stride()); k],
        swings: vec![(0, 0.0); k],
    };
    // Two centroids together cannot have moved further: see the crate's front page.
    let reach = (2.0 * max_shift).sqrt() * (1.0 + 1e-9);
    let mut distances = vec![0.0; k];
    let mut wrong = None;
    rows.for_each(|row, x| {
        for (distance, center) in distances.iter_mut().zip(padded.chunks_exact(rows.stride())) {
            *distance = squared_distance(x, center);
        }
        let nearest = first_smallest(&distances);
        let label = claim.labels.map_or(nearest, |labels| labels[row]);
        if label != nearest && wrong.is_none() {
            wrong = Some(Violation::NotNearest {
                file: claim.file.to_owned(),
                row,
                label,
                nearest,
                distance: distances[label],
                smallest: distances[nearest],
            });
        }
        seen.labels.push(label);
        seen.inertia += distances[label];
        seen.clusters[label].add(x);
        add_swings(&mut seen.swings, &distances, nearest, reach);
    });
    wrong.map_or(Ok(seen), Err)
}

/// Adds a row to the clusters that it may have joined or left.
fn add_swings(swings: &mut [(u64, f64)], distances: &[f64], nearest: usize, reach: f64) {
    let smallest = distances[nearest].sqrt();
    let mut alone = true;
    for (j, &distance) in distances.iter().enumerate().filter(|&(j, _)| j != nearest) {
        let distance = distance.sqrt();
        if distance - smallest <= reach + ROUNDING * (distance + smallest) {
            swings[j].0 += 1;
            swings[j].1 += distance;
            alone = false;
        }
    }
    if !alone {
        swings[nearest].0 += 1;
        swings[nearest].1 += smallest;
    }
}

/// That every centroid is the mean of its rows, where it has some.
fn check_means(rows: &Rows, claim: &Claim<'_>, seen: &Seen) -> Result<(), Violation> {
    for (at, &center) in claim.centers.iter().enumerate() {
        let (cluster, i) = (&seen.clusters[at / rows.d()], at % rows.d());
        if cluster.count() > 0 {
            // Both are the sum's rounding and a division away from the exact mean.
            let tolerance = 8.0 * f64::EPSILON * cluster.mean_magnitude(i);
            let what = element(rows, claim, at);
            near(claim.file, what, center, cluster.mean(i), tolerance)?;
        }
    }
    Ok(())
}

/// That no centroid is further from the mean of its rows than rows can have changed their labels
/// in the last assignment, after centroids that moved no more than the tolerance.
fn check_shifted(rows: &Rows, claim: &Claim<'_>, seen: &Seen) -> Result<(), Violation> {
    for (j, center) in claim.centers.chunks_exact(rows.d()).enumerate() {
        let cluster = &seen.clusters[j];
        if cluster.count() == 0 {
            continue;
        }
        let mean: Vec<f64> = (0..rows.d()).map(|i| cluster.mean(i)).collect();
        let apart: Vec<f64> = center.iter().zip(&mean).map(|(c, m)| c - m).collect();
        let (count, (swings, distances)) = (cluster.count() as f64, seen.swings[j]);
        let rounding = ROUNDING * (norm(center) + norm(&mean)) * (count + swings as f64) / count;
        let bound = distances / count + rounding;
        let distance = norm(&apart);
        if distance > bound {
            return Err(Violation::FarFromMean {
                file: claim.file.to_owned(),
                cluster: j,
                distance,
                bound,
            });
        }
    }
    Ok(())
}

/// That the run, done again from its first centroids, comes to these.
fn check_replay(rows: &Rows, config: &ScanConfig, claim: &Claim<'_>) -> Result<(), Violation> {
    let &Claim { file, run, .. } = claim;
    let first: Vec<f64> = claim.init_centers.iter().map(|&x| f64::from(x)).collect();
    let limits =
        Limits { max_iter: config.max_iter, tol: config.tol, n_iter: run.n_iter.unwrap_or(0) };
    let again = replay(rows, rows.padded(first.iter()), limits);
    let found = run.n_iter.unwrap_or(0);
    let what = "the n_iter that scan.json gives it, done again,";
    equal(file, what, found, again.n_iter)?;
    let found = run.stop.map(|stop| stop.to_string()).unwrap_or_default();
    let what = "the stop that scan.json gives it, done again,";
    equal(file, what, found.as_str(), again.stop)?;
    let spread = rows.mean_variance().sqrt();
    let centers = again.centers.chunks_exact(rows.stride()).flat_map(|row| &row[..rows.d()]);
    for (at, (&found, &expected)) in claim.centers.iter().zip(centers).enumerate() {
        let tolerance = 1e-9 * (spread + expected.abs());
        let what = format!("{}, done again,", element(rows, claim, at));
        near(file, what, found, expected, tolerance)?;
    }
    Ok(())
}

/// `centers[2][17]`
fn element(rows: &Rows, claim: &Claim<'_>, at: usize) -> String {
    format!("{}[{}][{}]", claim.centers_name, at / rows.d(), at % rows.d())
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The hash over what was found, as `kscan_kmeans::digest` defines it.
fn digest(claim: &Claim<'_>, labels: &[usize], d: usize) -> String {
    let run = claim.run;
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("kscan-fit/{DEFINITION_VERSION}").as_bytes());
    for size in [run.k as usize, labels.len(), d] {
        hasher.update(&(size as u64).to_le_bytes());
    }
    let labels = labels.iter().flat_map(|&label| (label as u32).to_le_bytes());
    hasher.update(&labels.collect::<Vec<u8>>());
    for x in claim.centers {
        hasher.update(&x.to_le_bytes());
    }
    hasher.update(&run.inertia.unwrap_or(f64::NAN).to_le_bytes());
    hasher.update(&run.n_iter.unwrap_or(0).to_le_bytes());
    hasher.finalize().to_hex().to_string()
}
