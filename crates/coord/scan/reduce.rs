//! From ended runs to the files of the run folder: best per k, elbow, contingency, models.

use crate::exit::{Exit, Failure};
use crate::scan::prepare::Prepared;
use kscan_kmeans::distance::{self, Nearest};
use kscan_kmeans::{Data, Digest, Simd};
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{BestModel, BestRun, ElbowDocument, FailedRun, RunDocument, RunFolder, tables};
use kscan_select::{CurvePoint, best_per_k, contingency, find_elbow};
use ndarray::{Array1, Array2, ArrayView2};
use std::collections::BTreeMap;

/// The labels of the best run so far of each k: only those are ever written.
#[derive(Debug, Default)]
pub(crate) struct BestLabels(BTreeMap<u32, (CurvePoint, Vec<u32>)>);

impl BestLabels {
    /// Keeps `labels` where their run is the best so far of its k.
    pub(crate) fn offer(&mut self, record: &RunRecord, labels: Vec<u32>) {
        let point = point(record);
        let best = self.0.get(&record.run.k).map(|(best, _)| *best);
        if best_per_k(best.into_iter().chain([point])) == [point] {
            self.0.insert(record.run.k, (point, labels));
        }
    }

    fn take(&mut self, run: RunId) -> Option<Vec<u32>> {
        let (point, labels) = self.0.remove(&run.k)?;
        (point.init_id == run.init_id as usize).then_some(labels)
    }
}

fn point(record: &RunRecord) -> CurvePoint {
    CurvePoint {
        k: record.run.k as usize,
        inertia: record.inertia,
        init_id: record.run.init_id as usize,
    }
}

/// What a scan comes down to.
#[derive(Debug)]
pub(crate) struct Reduced {
    pub(crate) runs: Vec<RunDocument>,
    pub(crate) best: Vec<BestRun>,
    pub(crate) elbow: ElbowDocument,
}

/// Best per k and elbow of the runs that have ended.
pub(crate) fn reduce(finished: &[RunRecord], failed: &[FailedRun]) -> Reduced {
    let mut runs: Vec<RunDocument> = finished
        .iter()
        .map(RunDocument::from)
        .chain(failed.iter().map(RunDocument::from))
        .collect();
    runs.sort_by_key(RunDocument::run);
    let curve = best_per_k(finished.iter().map(point));
    let best: Vec<BestRun> = curve.iter().map(|point| best_run(finished, point)).collect();
    let ks: Vec<usize> = curve.iter().map(|point| point.k).collect();
    let inertia: Vec<f64> = curve.iter().map(|point| point.inertia).collect();
    let elbow = elbow(&ks, &inertia);
    Reduced { runs, best, elbow }
}

/// The elbow of a curve, as scan.json has it.
fn elbow(ks: &[usize], inertia: &[f64]) -> ElbowDocument {
    match find_elbow(ks, inertia) {
        Ok(elbow) => ElbowDocument::Found(elbow),
        Err(none) => ElbowDocument::None { k: None, reason: none.to_string() },
    }
}

fn best_run(finished: &[RunRecord], point: &CurvePoint) -> BestRun {
    let run = RunId { k: point.k as u32, init_id: point.init_id as u32 };
    let record = find(finished, run);
    BestRun {
        k: run.k,
        init_id: run.init_id,
        inertia: record.inertia,
        n_iter: record.n_iter,
        digest: record.digest.clone(),
        file: RunFolder::best_model_name(run.k),
    }
}

fn find(finished: &[RunRecord], run: RunId) -> &RunRecord {
    finished.iter().find(|record| record.run == run).expect("the best runs are among the finished")
}

/// Writes the models, contingency tables and CSV files of `reduced` into `folder`.
pub(crate) fn write(
    folder: &RunFolder,
    reduced: &Reduced,
    finished: &[RunRecord],
    mut labels: BestLabels,
    prepared: &Prepared,
    simd: Simd,
) -> Result<(), Failure> {
    for best in &reduced.best {
        let run = RunId { k: best.k, init_id: best.init_id };
        let record = find(finished, run);
        let labels = match labels.take(run) {
            Some(labels) => labels,
            None => labels_again(prepared.shared.map().data(), record, simd)?,
        };
        if let Some(known) = &prepared.labels {
            let table = contingency(known.values(), &labels, best.k as usize);
            tables::write_contingency(&folder.contingency_csv(best.k), &table)?;
        }
        model(record, labels, prepared).write(&folder.path().join(&best.file))?;
    }
    tables::write_runs(&folder.runs_csv(), &reduced.runs)?;
    tables::write_curve(&folder.curve_csv(), &reduced.best)?;
    tables::write_elbow(&folder.elbow_csv(), &reduced.elbow)?;
    Ok(())
}

fn model(record: &RunRecord, labels: Vec<u32>, prepared: &Prepared) -> BestModel {
    let scaler = &prepared.scaler;
    let shape = (record.run.k as usize, scaler.mean().len());
    let centers =
        Array2::from_shape_vec(shape, record.centroids.clone()).expect("a record has k centroids");
    let raw = centers.rows().into_iter().flat_map(|row| {
        scaler.inverse(row.as_slice().expect("rows of a new array are contiguous"))
    });
    BestModel {
        centers_raw: Array2::from_shape_vec(shape, raw.collect()).expect("the same shape"),
        centers,
        labels: labels.into_iter().map(u32::cast_signed).collect(),
        init_centers: Array2::from_shape_vec(shape, record.init_centers.clone())
            .expect("a record has k first centroids"),
        scale_mean: Array1::from(scaler.mean().to_vec()),
        scale_std: Array1::from(scaler.std().to_vec()),
    }
}

/// The labels of a run that was read from the journal, which keeps none.
fn labels_again(data: Data<'_>, record: &RunRecord, simd: Simd) -> Result<Vec<u32>, Failure> {
    let k = record.run.k as usize;
    let labels = nearest_labels(simd, data.rows, &record.centroids);
    let centroids = ArrayView2::from_shape((k, data.rows.d()), &record.centroids);
    let digest =
        centroids.map(|centroids| Digest::of(&centroids, &labels, record.inertia, record.n_iter));
    if digest.is_ok_and(|digest| digest == record.digest) {
        return Ok(labels);
    }
    Err(Failure::new(
        Exit::Internal,
        format!("the journal's result of {} does not fit the data", record.run),
        "please report this; a new scan in another folder computes it again",
    ))
}

/// The nearest of `centroids`, `[k, d]`, for every row.
pub(crate) fn nearest_labels(
    simd: Simd,
    rows: kscan_kmeans::Rows<'_>,
    centroids: &[f64],
) -> Vec<u32> {
    let mut padded = Vec::with_capacity(centroids.len() / rows.d() * rows.stride());
    for centroid in centroids.chunks_exact(rows.d()) {
        padded.extend_from_slice(centroid);
        padded.resize(padded.len().next_multiple_of(rows.stride()), 0.0);
    }
    let mut found = vec![Nearest { label: 0, distance: 0.0 }; rows.n()];
    distance::nearest(simd, rows, &padded, &mut found);
    found.into_iter().map(|found| found.label).collect()
}
