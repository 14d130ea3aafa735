//! The CSV files.

use crate::document::{BestRun, ElbowDocument, RunDocument};
use crate::{FileError, write_atomically};
use kscan_select::Contingency;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Writes `runs.csv`: a row per run.
///
/// # Errors
/// Where that fails.
pub fn write_runs(path: &Path, runs: &[RunDocument]) -> Result<(), FileError> {
    #[derive(Serialize)]
    struct Row<'a> {
        k: u32,
        init_id: u32,
        status: crate::RunStatus,
        inertia: Option<f64>,
        n_iter: Option<u32>,
        stop: Option<kscan_kmeans::Stop>,
        digest: Option<&'a kscan_kmeans::Digest>,
        attempts: u32,
        slot: Option<u32>,
        started_s: Option<f64>,
        wall_s: Option<f64>,
        cpu_s: Option<f64>,
        load_s: Option<f64>,
        seed_s: Option<f64>,
        iterate_s: Option<f64>,
        peak_rss_bytes: Option<u64>,
        private_bytes: Option<u64>,
        distinct_clusters: Option<u32>,
        relocated: Option<u64>,
        log: &'a str,
        error: Option<&'a str>,
    }
    write(path, |csv| {
        runs.iter().try_for_each(|run| {
            csv.serialize(Row {
                k: run.k,
                init_id: run.init_id,
                status: run.status,
                inertia: run.inertia,
                n_iter: run.n_iter,
                stop: run.stop,
                digest: run.digest.as_ref(),
                attempts: run.attempts,
                slot: run.slot,
                started_s: run.started_s,
                wall_s: run.wall_s,
                cpu_s: run.cpu_s,
                load_s: run.load_s,
                seed_s: run.seed_s,
                iterate_s: run.iterate_s,
                peak_rss_bytes: run.peak_rss_bytes,
                private_bytes: run.private_bytes,
                distinct_clusters: run.distinct_clusters,
                relocated: run.relocated,
                log: &run.log,
                error: run.error.as_deref(),
            })
        })
    })
}

/// A row of `curve.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurveRow {
    /// Number of clusters.
    pub k: usize,
    /// Its best inertia.
    pub inertia: f64,
    /// The run that has it.
    #[serde(default)]
    pub init_id: Option<u32>,
}

/// Writes `curve.csv`: the best run per k.
///
/// # Errors
/// Where that fails.
pub fn write_curve(path: &Path, best: &[BestRun]) -> Result<(), FileError> {
    write(path, |csv| {
        best.iter().try_for_each(|best| {
            csv.serialize(CurveRow {
                k: best.k as usize,
                inertia: best.inertia,
                init_id: Some(best.init_id),
            })
        })
    })
}

/// Reads a table with the columns `k` and `inertia`, in any order, among others.
///
/// # Errors
/// Where it cannot be read, or is no such table.
pub fn read_curve(path: &Path) -> Result<Vec<CurveRow>, FileError> {
    let read = || -> csv::Result<Vec<CurveRow>> {
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path)?.deserialize().collect()
    };
    read().map_err(|error| FileError::read(path, into_io(error)))
}

/// Writes `elbow.csv`: the scores of every threshold. Without an elbow, the header alone.
///
/// # Errors
/// Where that fails.
pub fn write_elbow(path: &Path, elbow: &ElbowDocument) -> Result<(), FileError> {
    write(path, |csv| {
        csv.write_record(["threshold", "score_left", "score_right", "score_mean", "k"])?;
        let ElbowDocument::Found(elbow) = elbow else {
            return Ok(());
        };
        for (i, threshold) in elbow.thresholds.iter().enumerate() {
            csv.serialize((
                threshold,
                elbow.score_left[i],
                elbow.score_right[i],
                elbow.scores[i],
                elbow.threshold_k[i],
            ))?;
        }
        Ok(())
    })
}

/// Writes a `contingency/k05.csv`: a row per label, a column per cluster.
///
/// # Errors
/// Where that fails.
pub fn write_contingency(path: &Path, table: &Contingency) -> Result<(), FileError> {
    write(path, |csv| {
        let clusters = (0..table.k).map(|cluster| cluster.to_string());
        csv.write_record(std::iter::once("label".to_owned()).chain(clusters))?;
        for (index, label) in table.labels.iter().enumerate() {
            let counts = table.row(index).iter().map(u64::to_string);
            csv.write_record(std::iter::once(label.to_string()).chain(counts))?;
        }
        Ok(())
    })
}

fn write(
    path: &Path,
    rows: impl FnOnce(&mut csv::Writer<&mut dyn io::Write>) -> csv::Result<()>,
) -> Result<(), FileError> {
    write_atomically(path, |file| {
        let mut csv = csv::Writer::from_writer(file as &mut dyn io::Write);
        rows(&mut csv).map_err(into_io)?;
        csv.flush()
    })
}

/// A full disk has to be seen as one.
fn into_io(error: csv::Error) -> io::Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::new(io::ErrorKind::InvalidData, text),
    }
}
