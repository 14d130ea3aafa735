//! `predict DIR DATA --k K`: the nearest centroid of new rows.

use super::print;
use crate::cli::PredictArgs;
use crate::exit::{Exit, Failure};
use crate::scan::reduce::nearest_labels;
use kscan_dataset::{Source, load};
use kscan_kmeans::{Rows, Simd};
use kscan_results::{BestModel, RunFolder, ScaleMethod, ScanDocument, write_atomically};
use kscan_shared::{Scaler, Scaling};
use ndarray::Array1;
use ndarray_npy::{WriteNpyError, WriteNpyExt};
use std::fmt::Write as _;
use std::io;

pub(crate) fn predict(args: &PredictArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let scan = ScanDocument::read(&folder)?;
    let Some(best) = scan.best.iter().find(|best| best.k == args.k) else {
        let ks: Vec<String> = scan.best.iter().map(|best| best.k.to_string()).collect();
        return Err(Failure::new(
            Exit::Usage,
            format!("the scan in {} has no model for k = {}", args.dir.display(), args.k),
            format!("choose one of --k {}", ks.join(", ")),
        ));
    };
    let model = BestModel::read(&folder.path().join(&best.file))?;
    let dataset = load(&Source::parse(&args.data), None)?;
    let (n, d) = (dataset.table.rows(), dataset.table.cols());
    if d != model.centers.ncols() {
        return Err(Failure::new(
            Exit::Data,
            format!("{} has {d} columns, the model has {}", dataset.name, model.centers.ncols()),
            "give rows with the columns that the scan was made of",
        ));
    }
    let scaling = match scan.config.scale {
        ScaleMethod::Standard => Scaling::Standard,
        ScaleMethod::None => Scaling::None,
    };
    let scaler = Scaler::from_parts(scaling, model.scale_mean.to_vec(), model.scale_std.to_vec());
    let stride = Rows::stride_of(d);
    let mut values = vec![0.0; n * stride];
    scaler.transform(&dataset.table, 0..n, &mut values, stride);
    if let Some(index) = values.iter().position(|x| !x.is_finite()) {
        return Err(Failure::new(
            Exit::Data,
            format!(
                "row {}, column {} (from 0) of {} does not fit float32 after scaling",
                index / stride,
                index % stride,
                dataset.name
            ),
            "that value is too far from the data that the scan was made of",
        ));
    }
    let centers: Vec<f64> = model.centers.iter().copied().collect();
    let labels = nearest_labels(Simd::detect(), Rows::new(&values, n, d), &centers);
    let Some(path) = &args.out else {
        let lines = labels.iter().fold(String::new(), |mut lines, label| {
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{label}");
            lines
        });
        print(&lines)?;
        return Ok(Exit::Success);
    };
    let labels: Array1<i32> = labels.into_iter().map(u32::cast_signed).collect();
    write_atomically(path, |file| {
        labels.write_npy(file).map_err(|error| match error {
            WriteNpyError::Io(error) => error,
            other => io::Error::other(other),
        })
    })?;
    Ok(Exit::Success)
}
