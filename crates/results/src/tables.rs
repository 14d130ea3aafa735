//! The tables: CSV files, and Parquet files of the same contents.

use crate::document::{BestRun, ElbowDocument, RunDocument};
use crate::{FileError, RunFolder, write_atomically};
use kscan_select::{Contingency, Criteria};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
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
    let read = || -> io::Result<Vec<CurveRow>> {
        // It may be a pipe, or a device without an end.
        let mut file = File::open(path)?.take(LONGEST_CURVE);
        let rows = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(&mut file)
            .deserialize()
            .collect::<csv::Result<_>>();
        if file.limit() == 0 {
            let what = "it does not end within 64 MiB, as any curve does";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        rows.map_err(into_io)
    };
    read().map_err(|error| FileError::read(path, error))
}

/// Bytes that no curve has.
const LONGEST_CURVE: u64 = 64 << 20;

/// Writes `elbow.csv`: the scores of every threshold. Without an elbow, the header alone.
///
/// # Errors
/// Where that fails.
pub fn write_elbow(path: &Path, elbow: &ElbowDocument) -> Result<(), FileError> {
    write(path, |csv| {
        csv.write_record(["threshold", "score_left", "score_right", "score_mean", "k"])?;
        let Some(elbow) = elbow.found() else {
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

/// Writes `criteria.csv`: a row per k.
///
/// # Errors
/// Where that fails.
pub fn write_criteria(path: &Path, criteria: &[Criteria]) -> Result<(), FileError> {
    #[derive(Serialize)]
    struct Row {
        k: usize,
        calinski_harabasz: Option<f64>,
        davies_bouldin: Option<f64>,
        silhouette: Option<f64>,
        silhouette_standard_error: Option<f64>,
        gap: Option<f64>,
        gap_s: Option<f64>,
        adjusted_rand: Option<f64>,
        normalized_mutual_information: Option<f64>,
        homogeneity: Option<f64>,
        completeness: Option<f64>,
        v_measure: Option<f64>,
        purity: Option<f64>,
    }
    write(path, |csv| {
        criteria.iter().try_for_each(|of| {
            csv.serialize(Row {
                k: of.k,
                calinski_harabasz: of.calinski_harabasz,
                davies_bouldin: of.davies_bouldin,
                silhouette: of.silhouette.map(|silhouette| silhouette.mean),
                silhouette_standard_error: of
                    .silhouette
                    .and_then(|silhouette| silhouette.standard_error),
                gap: of.gap.map(|gap| gap.gap),
                gap_s: of.gap.map(|gap| gap.s),
                adjusted_rand: of.labels.map(|labels| labels.adjusted_rand),
                normalized_mutual_information: of
                    .labels
                    .map(|labels| labels.normalized_mutual_information),
                homogeneity: of.labels.map(|labels| labels.homogeneity),
                completeness: of.labels.map(|labels| labels.completeness),
                v_measure: of.labels.map(|labels| labels.v_measure),
                purity: of.labels.map(|labels| labels.purity),
            })
        })
    })
}

/// Writes what stands in `runs.csv`, `curve.csv` and `criteria.csv` of `folder` as Parquet, with
/// types, beside them.
///
/// # Errors
/// Where that fails.
pub fn write_parquet(folder: &RunFolder) -> Result<(), FileError> {
    [folder.runs_csv(), folder.curve_csv(), folder.criteria_csv()]
        .iter()
        .try_for_each(|csv| crate::parquet::write_beside(csv))
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

/// Reads a `contingency/k05.csv`: the labels as they stand there, and the counts, whose labels are
/// the indices of those.
///
/// # Errors
/// Where it cannot be read, or is no such table.
pub fn read_contingency(path: &Path) -> Result<(Vec<String>, Contingency), FileError> {
    let read = || -> csv::Result<(Vec<String>, Contingency)> {
        let mut csv = csv::Reader::from_path(path)?;
        let k = csv.headers()?.len().saturating_sub(1);
        let (mut labels, mut counts) = (Vec::new(), Vec::new());
        for row in csv.deserialize() {
            let (label, row): (String, Vec<u64>) = row?;
            labels.push(label);
            counts.extend(row);
        }
        let table = Contingency { labels: (0..labels.len() as i64).collect(), k, counts };
        Ok((labels, table))
    };
    read().map_err(|error| FileError::read(path, into_io(error)))
}

fn write(
    path: &Path,
    rows: impl FnOnce(&mut csv::Writer<&mut dyn io::Write>) -> csv::Result<()>,
) -> Result<(), FileError> {
    write_atomically(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contingency_table_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k02.csv");
        let table = Contingency { labels: vec![-3, 0, 7], k: 2, counts: vec![1, 2, 3, 4, 5, 6] };
        write_contingency(&path, &table).unwrap();
        let (labels, read) = read_contingency(&path).unwrap();
        assert_eq!(labels, ["-3", "0", "7"]);
        assert_eq!(read, Contingency { labels: vec![0, 1, 2], ..table });
        for damaged in ["label,0,1\n3,4\n", "label,0\n3,x\n", "label,0\n3,-1\n"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(read_contingency(&path).is_err(), "{damaged}");
        }
    }
}
