//! First centroids from an npz file, for `--init FILE.npz`, held against what a scan asks for.

use crate::exit::{Exit, Failure};
use kscan_dataset::{DatasetError, GivenCentroids};
use kscan_protocol::{FirstCentroids, RunId};
use std::collections::BTreeSet;
use std::path::Path;

const HINT: &str = "give arrays named k5, k6, ... of shape [k, columns] or [n_init, k, columns], \
                    float32 or float64, in normalised units";

/// Reads `path` and checks that there is what `runs` need for data with `d` columns.
pub(crate) fn read(path: &Path, runs: &[RunId], d: usize) -> Result<GivenCentroids, Failure> {
    let wrong = |what: &dyn std::fmt::Display| {
        Failure::new(Exit::Data, format!("first centroids in {}: {what}", path.display()), HINT)
    };
    let ks: BTreeSet<u32> = runs.iter().map(|run| run.k).collect();
    let given = GivenCentroids::read(path, ks).map_err(|error| match error {
        DatasetError::NoArray { name, .. } => wrong(&format_args!("there is no array {name}")),
        other => other.into(),
    })?;
    for &RunId { k, init_id } in runs {
        match given.get(k, init_id).map(|centroids| centroids.dim()) {
            Some(shape) if shape == (k as usize, d) => {}
            Some((rows, cols)) => {
                return Err(wrong(&format_args!("{rows} x {cols} for k = {k}, not {k} x {d}")));
            }
            None => {
                return Err(wrong(&format_args!("nothing for k = {k}, init_id = {init_id}")));
            }
        }
    }
    Ok(given)
}

/// Those of `run`, out of what [`read`] has checked.
pub(crate) fn of(given: &GivenCentroids, run: RunId) -> FirstCentroids {
    let centroids = given.get(run.k, run.init_id).expect("checked when it was read");
    FirstCentroids::Given(centroids.into_raw_vec_and_offset().0)
}
