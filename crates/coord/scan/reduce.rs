//! From ended runs to the files of the run folder: best per k, criteria, elbow, models, tables.

use crate::exit::{Exit, Failure};
use crate::scan::prepare::{self, Prepared};
use kscan_kmeans::distance::{self, Nearest as NearestCentroid};
use kscan_kmeans::{Data, Digest, RowIndex, Simd};
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{
    BestModel, BestRun, ElbowDocument, FailedRun, Nearest, ReferenceDocument, RunDocument,
    RunFolder, ScanConfig, ScanDocument, TableFormat, tables,
};
use kscan_select::{
    Choice, Chosen, Contingency, Criteria, CurvePoint, Gap, NoGap, Partition, Silhouettes, Survey,
    Verdict, best_per_k, choose, contingency, gap, silhouettes, survey,
};
use ndarray::{Array1, Array2, Array3, ArrayView2};
use std::collections::BTreeMap;

/// How many of the rows nearest to its centroid are kept of every cluster.
const NEAREST_ROWS: usize = 5;

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

/// The best run of a k.
#[derive(Debug)]
pub(crate) struct BestFit<'a> {
    record: &'a RunRecord,
    labels: Vec<u32>,
    /// How the known labels fall into its clusters.
    table: Option<Contingency>,
}

/// What a scan comes down to.
#[derive(Debug)]
pub(crate) struct Reduced<'a> {
    pub(crate) runs: Vec<RunDocument>,
    pub(crate) best: Vec<BestRun>,
    pub(crate) elbow: ElbowDocument,
    pub(crate) criteria: Vec<Criteria>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) verdict: Verdict,
    /// Of `best`, in its order.
    fits: Vec<BestFit<'a>>,
    nearest: Vec<Nearest>,
    silhouettes: Silhouettes,
}

/// What has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'a> {
    pub(crate) finished: &'a [RunRecord],
    pub(crate) failed: &'a [FailedRun],
    /// Reference scans of the gap statistic.
    pub(crate) references: &'a [ReferenceDocument],
}

/// Best per k of the runs that have ended, measured, and what that says of k.
pub(crate) fn reduce<'a>(
    &Ended { finished, failed, references }: &Ended<'a>,
    labels: BestLabels,
    prepared: &Prepared,
    config: &ScanConfig,
    simd: Simd,
) -> Result<Reduced<'a>, Failure> {
    let seed = config.seed;
    let runs = run_documents(finished, failed);
    let points: Vec<CurvePoint> = finished.iter().map(point).collect();
    let fits = best_fits(finished, &points, labels, prepared, simd)?;
    let (surveys, silhouettes) = measure(&fits, prepared, seed, simd);
    let gaps: Option<Vec<Result<Gap, NoGap>>> = config
        .gap
        .map(|count| fits.iter().map(|fit| gap_of(fit.record, references, count)).collect());
    let criteria: Vec<Criteria> = fits
        .iter()
        .zip(&surveys)
        .enumerate()
        .map(|(index, (fit, survey))| Criteria {
            k: fit.record.run.k as usize,
            calinski_harabasz: survey.calinski_harabasz,
            davies_bouldin: survey.davies_bouldin,
            silhouette: silhouettes.summary(index),
            gap: gaps.as_ref().and_then(|gaps| gaps[index].ok()),
            labels: fit.table.as_ref().map(Contingency::agreement),
            clusters: survey.clusters.clone(),
        })
        .collect();
    let Chosen { elbow, confidence, choices, verdict } =
        choose(&points, &criteria, gaps.as_deref(), seed);
    Ok(Reduced {
        runs,
        best: fits.iter().map(|fit| BestRun::from(fit.record)).collect(),
        elbow: ElbowDocument::new(elbow, confidence),
        criteria,
        choices,
        verdict,
        nearest: surveys.iter().map(|survey| nearest(&survey.nearest, prepared)).collect(),
        fits,
        silhouettes,
    })
}

/// How much more compact the clusters of a best run are than those of `count` references.
fn gap_of(best: &RunRecord, references: &[ReferenceDocument], count: u32) -> Result<Gap, NoGap> {
    let k = best.run.k;
    let inertias: Vec<Option<f64>> = (0..count as usize)
        .map(|index| {
            let reference = references.get(index)?;
            // The best of fewer initialisations would be no match.
            let is_whole = reference.failed.iter().all(|run| run.k != k);
            let best = reference.best.iter().find(|best| best.k == k).filter(|_| is_whole)?;
            Some(best.inertia)
        })
        .collect();
    gap(best.inertia, &inertias)
}

/// Fills in what the runs of a scan come down to that has not ended: all that can be told without
/// its data.
pub(crate) fn fill_in(scan: &mut ScanDocument, finished: &[RunRecord], failed: &[FailedRun]) {
    let points: Vec<CurvePoint> = finished.iter().map(point).collect();
    scan.runs = run_documents(finished, failed);
    scan.best = best_records(finished).into_iter().map(BestRun::from).collect();
    if !scan.best.is_empty() {
        let Chosen { elbow, confidence, .. } = choose(&points, &[], None, scan.config.seed);
        scan.elbow = ElbowDocument::new(elbow, confidence);
    }
}

/// Every run that has ended, in order.
pub(crate) fn run_documents(finished: &[RunRecord], failed: &[FailedRun]) -> Vec<RunDocument> {
    let finished = finished.iter().map(RunDocument::from);
    let mut runs: Vec<RunDocument> = finished.chain(failed.iter().map(RunDocument::from)).collect();
    runs.sort_by_key(RunDocument::run);
    runs
}

/// The best run of every k that has one, ascending.
pub(crate) fn best_records(finished: &[RunRecord]) -> Vec<&RunRecord> {
    let best = best_per_k(finished.iter().map(point));
    best.iter().map(|best| record_of(finished, best)).collect()
}

fn record_of<'a>(finished: &'a [RunRecord], best: &CurvePoint) -> &'a RunRecord {
    let run = RunId { k: best.k as u32, init_id: best.init_id as u32 };
    let record = finished.iter().find(|record| record.run == run);
    record.expect("the best runs are among the finished")
}

/// The best run of every k that has one, with its labels.
fn best_fits<'a>(
    finished: &'a [RunRecord],
    points: &[CurvePoint],
    mut labels: BestLabels,
    prepared: &Prepared,
    simd: Simd,
) -> Result<Vec<BestFit<'a>>, Failure> {
    let best = best_per_k(points.iter().copied()).into_iter().map(|best| {
        let record = record_of(finished, &best);
        let labels = match labels.take(record.run) {
            Some(labels) => labels,
            None => labels_again(prepared.shared.map().data(), record, simd)?,
        };
        let known = prepared.labels.as_ref();
        let table = known.map(|known| contingency(known.values(), &labels, best.k));
        Ok(BestFit { record, labels, table })
    });
    best.collect()
}

/// What there is to know of the best runs, on all cores: the workers are gone.
fn measure(
    fits: &[BestFit<'_>],
    prepared: &Prepared,
    seed: u64,
    simd: Simd,
) -> (Vec<Survey>, Silhouettes) {
    let (data, threads) = (prepared.shared.map().data(), prepare::cores());
    let partitions: Vec<Partition<'_>> = fits
        .iter()
        .map(|fit| Partition { labels: &fit.labels, centroids: &fit.record.centroids })
        .collect();
    let silhouettes = silhouettes(simd, data.rows, &partitions, seed, threads);
    (survey(simd, data, &partitions, NEAREST_ROWS, threads), silhouettes)
}

/// The nearest rows of every cluster, with their values.
///
/// The table is gone by now, so scaling is undone: to the digits of float32, and exactly where
/// values are whole numbers that those digits can tell apart.
fn nearest(clusters: &[Vec<RowIndex>], prepared: &Prepared) -> Nearest {
    let rows = prepared.shared.map().data().rows;
    let mut numbers = Array2::from_elem((clusters.len(), NEAREST_ROWS), -1);
    let mut raw = Array3::from_elem((clusters.len(), NEAREST_ROWS, rows.d()), f32::NAN);
    for (j, cluster) in clusters.iter().enumerate() {
        for (m, &row) in cluster.iter().enumerate() {
            numbers[(j, m)] = row.0.cast_signed();
            let scaled: Vec<f64> =
                rows.row(row)[..rows.d()].iter().map(|&x| f64::from(x)).collect();
            for (i, value) in prepared.scaler.inverse(&scaled).into_iter().enumerate() {
                let value = if prepared.whole_numbers { value.round() } else { value };
                raw[(j, m, i)] = value as f32;
            }
        }
    }
    Nearest { rows: numbers, raw }
}

/// Writes the models, contingency tables and other tables of `reduced` into `folder`.
pub(crate) fn write(
    folder: &RunFolder,
    reduced: Reduced<'_>,
    prepared: &Prepared,
    table: TableFormat,
) -> Result<(), Failure> {
    let Silhouettes { rows, values, .. } = reduced.silhouettes;
    let rows: Array1<i64> = rows.iter().map(|row| row.0.cast_signed()).collect();
    for ((fit, nearest), silhouettes) in reduced.fits.into_iter().zip(reduced.nearest).zip(values) {
        let silhouettes =
            silhouettes.map_or_else(|| Array1::from_elem(rows.len(), f64::NAN), Array1::from);
        let k = fit.record.run.k;
        if let Some(table) = &fit.table {
            tables::write_contingency(&folder.contingency_csv(k), table)?;
        }
        let file = folder.path().join(RunFolder::best_model_name(k));
        model(fit, nearest, (rows.clone(), silhouettes), prepared).write(&file)?;
    }
    tables::write_runs(&folder.runs_csv(), &reduced.runs)?;
    tables::write_curve(&folder.curve_csv(), &reduced.best)?;
    tables::write_elbow(&folder.elbow_csv(), &reduced.elbow)?;
    tables::write_criteria(&folder.criteria_csv(), &reduced.criteria)?;
    if table == TableFormat::Parquet {
        tables::write_parquet(folder)?;
    }
    Ok(())
}

fn model(
    fit: BestFit<'_>,
    nearest: Nearest,
    (silhouette_rows, silhouettes): (Array1<i64>, Array1<f64>),
    prepared: &Prepared,
) -> BestModel {
    let BestFit { record, labels, .. } = fit;
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
        nearest,
        silhouette_rows,
        silhouettes,
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
    let mut found = vec![NearestCentroid { label: 0, distance: 0.0 }; rows.n()];
    distance::nearest(simd, rows, &padded, &mut found);
    found.into_iter().map(|found| found.label).collect()
}
