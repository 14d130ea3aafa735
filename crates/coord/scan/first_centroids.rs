//! First centroids from an npz file, for `--init FILE.npz`.

use crate::exit::{Exit, Failure};
use kscan_protocol::{FirstCentroids, RunId};
use ndarray::{ArrayD, Axis, Ix2};
use ndarray_npy::NpzReader;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

/// The arrays of such a file: for each k, `[k, d]` or `[inits, k, d]`.
#[derive(Debug)]
pub(crate) struct GivenCentroids {
    arrays: BTreeMap<u32, ArrayD<f32>>,
    hash: String,
}

const HINT: &str = "give arrays named k5, k6, ... of shape [k, columns] or [n_init, k, columns], \
                    float32 or float64, in normalised units";

impl GivenCentroids {
    /// Reads `path` and checks that there is what `runs` need for data with `d` columns.
    pub(crate) fn read(path: &Path, runs: &[RunId], d: usize) -> Result<Self, Failure> {
        let wrong = |what: String| {
            Failure::new(Exit::Data, format!("first centroids in {}: {what}", path.display()), HINT)
        };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let mut npz =
            NpzReader::new(Cursor::new(bytes)).map_err(|error| wrong(error.to_string()))?;
        let names = npz.names().map_err(|error| wrong(error.to_string()))?;
        let mut arrays = BTreeMap::new();
        for name in names {
            let stem = name.strip_suffix(".npy").unwrap_or(&name);
            let Some(k) = stem.strip_prefix('k').and_then(|k| k.parse::<u32>().ok()) else {
                continue;
            };
            let array: ArrayD<f32> = npz
                .by_name(&name)
                .or_else(|_| npz.by_name(&name).map(|wide: ArrayD<f64>| wide.mapv(|x| x as f32)))
                .map_err(|error| wrong(format!("array {stem}: {error}")))?;
            if array.iter().any(|x| !x.is_finite()) {
                return Err(wrong(format!("array {stem} has a value that is not finite")));
            }
            arrays.insert(k, array);
        }
        let given = Self { arrays, hash };
        for &run in runs {
            let k = run.k;
            match given.array(run).map(|array| array.dim()) {
                Some(shape) if shape == (k as usize, d) => {}
                Some((rows, cols)) => {
                    return Err(wrong(format!("{rows} x {cols} for k = {k}, not {k} x {d}")));
                }
                None => {
                    return Err(wrong(format!("nothing for k = {k}, init_id = {}", run.init_id)));
                }
            }
        }
        Ok(given)
    }

    /// A hash over the file.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Those of `run`.
    pub(crate) fn of(&self, run: RunId) -> FirstCentroids {
        let array = self.array(run).expect("checked when it was read");
        FirstCentroids::Given(array.iter().copied().collect())
    }

    fn array(&self, run: RunId) -> Option<ndarray::ArrayView2<'_, f32>> {
        let array = self.arrays.get(&run.k)?.view();
        let init_id = run.init_id as usize;
        let matrix = match array.ndim() {
            2 => array,
            3 if init_id < array.len_of(Axis(0)) => array.index_axis_move(Axis(0), init_id),
            _ => return None,
        };
        matrix.into_dimensionality::<Ix2>().ok()
    }
}
