//! A run folder as the report needs it: read once, by k.

use crate::Options;
use kscan_results::{
    BestModel, BestRun, ImageShape, Nearest, RunDocument, RunFolder, RunStatus, ScanDocument,
    tables,
};
use kscan_select::{Contingency, Elbow};
use ndarray::Axis;
use std::error::Error;
use std::path::PathBuf;

/// A scan with all that is known of each k.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) document: ScanDocument,
    /// Every k that was to be done, ascending.
    pub(crate) ks: Vec<OfK>,
    /// How a row is a picture, where it is one.
    pub(crate) image_shape: Option<ImageShape>,
    /// Files of the folder that should be there and cannot be read.
    pub(crate) unreadable: Vec<Unreadable>,
}

/// What is known of one k.
#[derive(Debug)]
pub(crate) struct OfK {
    pub(crate) k: u32,
    /// Its runs that have ended, by `init_id`.
    pub(crate) runs: Vec<RunDocument>,
    /// The best of them.
    pub(crate) best: Option<BestRun>,
    /// The clusters of that, by index.
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) contingency: Option<LabelTable>,
}

/// A cluster of a best run.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The centroid in the data's own units, `[d]`.
    pub(crate) centroid: Vec<f64>,
    /// The same in the space of the normalised rows, `[d]`.
    pub(crate) normalised: Vec<f64>,
    /// Rows that it has.
    pub(crate) size: u64,
    /// The rows nearest to the centroid, nearest first.
    pub(crate) nearest: Vec<NearRow>,
}

/// A row in the middle of a cluster.
#[derive(Debug)]
pub(crate) struct NearRow {
    /// Its number, from 0.
    pub(crate) row: u64,
    /// Its values in the data's own units, `[d]`.
    pub(crate) values: Vec<f64>,
}

/// A contingency table with its labels as text.
#[derive(Debug, PartialEq)]
pub(crate) struct LabelTable {
    pub(crate) labels: Vec<String>,
    /// Its own labels are the indices of `labels`.
    pub(crate) counts: Contingency,
}

/// A file that cannot be read, and why.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) file: PathBuf,
    pub(crate) cause: String,
}

impl Scan {
    /// Reads what is beside `document`, which is `scan.json` as it stands, or as far as the scan
    /// has got.
    pub(crate) fn read(folder: &RunFolder, document: ScanDocument, options: &Options) -> Self {
        let image_shape = options.image_shape.or(document.data.image_shape);
        let image_shape = image_shape.filter(|shape| shape.pixels() == document.data.cols);
        let config = &document.config;
        let mut unreadable = Vec::new();
        let ks = (config.k_low..=config.k_high)
            .step_by(config.k_step.max(1) as usize)
            .map(|k| OfK::read(folder, &document, k, &mut unreadable))
            .collect();
        Self { document, ks, image_shape, unreadable }
    }

    /// The k of which panels are shown first: the elbow, or the least that has a result.
    pub(crate) fn first_shown(&self) -> Option<u32> {
        let elbow = self.elbow().and_then(|elbow| u32::try_from(elbow.k).ok());
        elbow.or_else(|| self.with_best().map(|(of_k, _)| of_k.k).next())
    }

    pub(crate) fn elbow(&self) -> Option<&Elbow> {
        self.document.elbow.found()
    }

    /// Every k that has a result, with its best run.
    pub(crate) fn with_best(&self) -> impl Iterator<Item = (&OfK, &BestRun)> {
        self.ks.iter().filter_map(|of_k| Some((of_k, of_k.best.as_ref()?)))
    }

    /// The runs that have ended, by k, then `init_id`.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &RunDocument> {
        self.ks.iter().flat_map(|of_k| &of_k.runs)
    }

    pub(crate) fn failed(&self) -> impl Iterator<Item = &RunDocument> {
        self.runs().filter(|run| run.status == RunStatus::Failed)
    }

    /// How many runs were to be done.
    pub(crate) fn planned(&self) -> usize {
        self.ks.len() * self.document.config.n_init as usize
    }
}

impl OfK {
    fn read(
        folder: &RunFolder,
        document: &ScanDocument,
        k: u32,
        unreadable: &mut Vec<Unreadable>,
    ) -> Self {
        let best = document.best.iter().find(|best| best.k == k).cloned();
        let mut of_k = Self {
            k,
            runs: document.runs.iter().filter(|run| run.k == k).cloned().collect(),
            best,
            clusters: Vec::new(),
            contingency: None,
        };
        if of_k.best.is_none() {
            return of_k;
        }
        // By k, and not by what scan.json calls it: no file outside of the folder is read.
        let path = folder.path().join(RunFolder::best_model_name(k));
        match BestModel::read(&path) {
            Ok(model) => of_k.clusters = clusters(&model),
            Err(error) => unreadable.push(Unreadable { file: path, cause: chain(&error) }),
        }
        let path = folder.contingency_csv(k);
        if document.data.labels.is_some() {
            match tables::read_contingency(&path) {
                Ok((labels, counts)) => of_k.contingency = Some(LabelTable { labels, counts }),
                Err(error) => unreadable.push(Unreadable { file: path, cause: chain(&error) }),
            }
        }
        of_k
    }

    /// The runs that have a result, with its inertia.
    pub(crate) fn inertias(&self) -> impl Iterator<Item = (&RunDocument, f64)> {
        self.runs.iter().filter_map(|run| Some((run, run.inertia?)))
    }
}

impl LabelTable {
    /// The most frequent label of a cluster, and its share of the cluster's rows; `None` where it
    /// has none.
    pub(crate) fn majority(&self, cluster: usize) -> Option<(&str, f64)> {
        let counts = (0..self.labels.len()).map(|label| self.counts.count(label, cluster));
        let total: u64 = counts.clone().sum();
        // The first of equally frequent ones.
        let (label, most) = counts.enumerate().rev().max_by_key(|&(_, count)| count)?;
        (total > 0).then(|| (self.labels[label].as_str(), most as f64 / total as f64))
    }
}

impl LabelTable {
    /// The clusters, those of which the first label is the most frequent first: so that a good
    /// clustering shows as a diagonal.
    pub(crate) fn by_majority(&self) -> Vec<usize> {
        let most = |cluster: &usize| {
            let counts = (0..self.labels.len()).map(|label| self.counts.count(label, *cluster));
            // The first of equally frequent ones.
            counts.enumerate().rev().max_by_key(|&(_, count)| count).map(|(label, _)| label)
        };
        let mut clusters: Vec<usize> = (0..self.counts.k).collect();
        clusters.sort_by_key(most);
        clusters
    }
}

fn clusters(model: &BestModel) -> Vec<Cluster> {
    let mut sizes = vec![0; model.centers.nrows()];
    for &label in &model.labels {
        if let Some(size) = usize::try_from(label).ok().and_then(|label| sizes.get_mut(label)) {
            *size += 1;
        }
    }
    let rows = model.centers_raw.rows().into_iter().zip(model.centers.rows());
    rows.zip(sizes)
        .enumerate()
        .map(|(cluster, ((raw, normalised), size))| Cluster {
            centroid: raw.to_vec(),
            normalised: normalised.to_vec(),
            size,
            nearest: nearest(&model.nearest, cluster),
        })
        .collect()
}

fn nearest(all: &Nearest, cluster: usize) -> Vec<NearRow> {
    let rows = all.rows.row(cluster);
    let values = all.raw.index_axis(Axis(0), cluster);
    rows.into_iter()
        .zip(values.rows())
        .filter_map(|(&row, values)| {
            let values = values.iter().map(|&value| f64::from(value)).collect();
            Some(NearRow { row: u64::try_from(row).ok()?, values })
        })
        .collect()
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
