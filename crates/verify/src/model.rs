//! A best model's npz file: its arrays by themselves, against each other, and against the rows.

use crate::fit::{self, Claim, Replay};
use crate::scaling::Rows;
use crate::violation::{Violation, ensure, equal, equal_lists, impossible, near, unreadable};
use kscan_results::{BestModel, BestRun, InitMethod, RunDocument, RunFolder, ScanConfig};

/// Reads the model of `best`, and checks that its arrays have the shapes that the scan gives them.
pub(crate) fn read(
    folder: &RunFolder,
    best: &BestRun,
    (n, d): (usize, usize),
) -> Result<BestModel, Violation> {
    let file = best.file.as_str();
    let model = BestModel::read(&folder.path().join(file));
    let model = model.map_err(|source| unreadable(file, source))?;
    let shape = |(rows, cols)| format!("[{rows}, {cols}]");
    let expected = shape((best.k as usize, d));
    equal(file, "the shape of centers", shape(model.centers.dim()), expected)?;
    equal(file, "the length of labels", model.labels.len(), n)?;
    Ok(model)
}

/// That `model` is what `run` found, and holds against the rows. Returns its labels, and whether
/// the run was done again.
pub(crate) fn check(
    rows: &Rows,
    config: &ScanConfig,
    file: &str,
    model: &BestModel,
    run: &RunDocument,
    replay: Replay,
) -> Result<(Vec<usize>, bool), Violation> {
    rows.check_scaling(file, model)?;
    let init_centers: Vec<f32> = model.init_centers.iter().copied().collect();
    check_init(rows, config, file, "init_centers", &init_centers, run)?;
    let labels = labels(file, model)?;
    let centers: Vec<f64> = model.centers.iter().copied().collect();
    let claim = Claim {
        file,
        centers_name: "centers",
        run,
        centers: &centers,
        init_centers: &init_centers,
        labels: Some(&labels),
    };
    let replayed = fit::check(rows, config, &claim, replay)?;
    // After the centers, so that wrong ones are named and not these.
    check_raw(file, model)?;
    Ok((labels, replayed))
}

/// That `centers_raw` are the centers in the data's own units.
fn check_raw(file: &str, model: &BestModel) -> Result<(), Violation> {
    for (((j, i), &center), &raw) in model.centers.indexed_iter().zip(&model.centers_raw) {
        let (mean, scaled) = (model.scale_mean[i], center * model.scale_std[i]);
        // A multiplication and an addition, here as there.
        let tolerance = 4.0 * f64::EPSILON * (scaled.abs() + mean.abs());
        let what = format_args!("centers_raw[{j}][{i}]");
        near(file, what, raw, scaled + mean, tolerance)?;
    }
    Ok(())
}

/// That the first centroids are the rows that the run says, to the bit.
pub(crate) fn check_init(
    rows: &Rows,
    config: &ScanConfig,
    file: &str,
    name: &str,
    init_centers: &[f32],
    run: &RunDocument,
) -> Result<(), Violation> {
    let bits = |x: &f32| format!("{x:e} ({:#x})", x.to_bits());
    for (j, center) in init_centers.chunks_exact(rows.d()).enumerate() {
        if let InitMethod::File(_) = config.init {
            let finite = center.iter().all(|x| x.is_finite());
            ensure(finite, file, format_args!("{name}[{j}] is not finite"))?;
            continue;
        }
        // In range: checked with scan.json.
        let row = rows.row(run.init_rows[j].get());
        let what = format_args!("{name}[{j}]");
        equal_lists(file, what, center.iter().map(bits), row.iter().map(bits))?;
    }
    Ok(())
}

fn labels(file: &str, model: &BestModel) -> Result<Vec<usize>, Violation> {
    let k = model.centers.nrows();
    let index = |(row, &label): (usize, &i32)| {
        let index = usize::try_from(label).ok().filter(|&label| label < k);
        index.ok_or_else(|| {
            let what = format_args!("labels[{row}] is {label}, but k is {k}");
            impossible(file, what)
        })
    };
    model.labels.iter().enumerate().map(index).collect()
}
