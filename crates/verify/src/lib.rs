//! Re-proving the saved results of a scan.
//!
//! **What it is for.** `kscan-coord verify DIR`: whoever gets a run folder and the data can convince
//! themselves that every number in it holds. [`verify`] checks file by file and stops at the first
//! thing that does not hold, which it names ([`Violation`]).
//!
//! **What it is not.** It shares no code with the engine: not `kscan-kmeans`, not `kscan-shared`, not
//! `kscan-select`. It reads files with `kscan-results` and `kscan-dataset`, and does all arithmetic
//! itself, the plain way: one thread, every distance of every row, no index and no bound. What it
//! shares is the definitions, as the front page of `kscan-kmeans` states them in words.
//! It prints nothing and changes nothing.
//!
//! # How data goes through
//!
//! ```text
//! scan.json ─→ plausible? planned runs? best of each k? the data's fingerprint?
//!     │
//!     ├─→ runs.csv, curve.csv, elbow.csv, criteria.csv: the same values?
//!     ├─→ best/kNN.npz + data ─→ scaling again ─→ normalised rows ─→ labels, centroids, inertia, digest?
//!     │                                              ├─→ contingency/kNN.csv: the same counts?
//!     │                                              └─→ criteria, nearest rows, silhouettes: the same?
//!     ├─→ elbow, its resamples, choices, verdict: the same from best inertias and criteria?
//!     ├─→ gap/rNN/journal.bin: the same reference runs? their data, drawn again ─→ labels, centroids, inertia, digest?
//!     │                                                  └─→ the gaps: the same from best inertias?
//!     └─→ journal.bin: the same runs? (all of them against the rows: Options::every_run)
//! ```
//!
//! # What is exact, and what has a tolerance
//!
//! | what | holds when | why |
//! | --- | --- | --- |
//! | labels | equal to the first of the smallest distances | a distance's order of additions is part of its definition |
//! | init centers | equal to the bit to the normalised rows `init_rows` | two roundings in binary32, both defined |
//! | digest | equal | so not a bit of labels, centers, inertia, `n_iter` can differ |
//! | counts, fingerprints, CSV cells | equal | |
//! | `scale_mean`, `scale_std` | 1e-9 relative to the column's mean + deviation | their sums may be added in any order: n additions lose at most n ε, in practice √n ε; constant columns exactly 1 |
//! | `centers_raw` | 4 ε relative to its two terms | one multiplication and one addition |
//! | centers as means | 8 ε relative to the mean absolute value of the rows | both sides are an exact sum, rounded and divided |
//! | inertia | 1e-9 relative | then the digest, to the bit |
//! | clusters' sizes, inertias, mean distances; nearest and sampled rows | equal | their order of additions, and the streams, are defined |
//! | reference data | equal to the bit | the stream and what is made of it are defined |
//! | indices, silhouettes, gaps, agreement with labels | 1e-9 | sums in any order; what CSV cells repeat is equal to the bit |
//! | `nearest_raw` | 4 ε of binary32 relative to value and mean | scaled, and scaled back |
//! | shares of resamples | equal, but for resamples whose best scores are less than 1e-9 apart | rounding parts those |
//! | elbow's R² | 1e-9 absolute | two ways to add a few numbers; the elbow itself by the stored scores, as rounding may part ties |
//!
//! The normalised rows are made with the stored scaling, once that has been found right: a mean that
//! is off by a rounding in f64 may be another number in f32. All models of a scan have to have the
//! same scaling, to the bit.
//!
//! # Centroids that are not the means of their rows
//!
//! Only a run that stopped by `labels` has centroids that are the means of its labels. The others
//! end with one more assignment, so their centroids are the means of labels that are nowhere kept.
//!
//! *Stopped by `shift`.* The last move of all centroids was at most S = tol * (mean variance), as a
//! sum of squares, so two of them together moved at most r = √(2 S). A row whose nearest centroid
//! was a before that move and is b after it has |x - b| <= |x - a| after, and the opposite before,
//! so after the move the two distances differ by at most r. Call such rows *swinging* for both. Now
//! sum x - c over the rows that a cluster had before the last assignment: it is 0, c being their
//! mean. Over those it has now, it is n (m - c), m being their mean. The sums differ only in rows
//! that joined or left, all of them swinging. Therefore, and this is what is checked,
//!
//! ```text
//! |m - c| <= (1 / n) * sum of |x - c| over the rows that swing for the cluster
//! ```
//!
//! It holds as well for a cluster that took a far row (the row is at distance 0, so it stays) and for
//! one that was put where the largest is (all its rows are then as near to the other).
//!
//! *Stopped by `max_iter`*, or by `labels` in an iteration in which an empty cluster took a far row:
//! nothing bounds the last move. Such a run is done again from its first centroids, by the definition,
//! and has to come to the same `n_iter`, stop and centroids (1e-9 relative to the columns' deviation).
//! [`Options::replay`] does so for every run that is checked, whatever stopped it.
//!
//! # What cannot be verified
//!
//! * That the seed gives these `init_rows`: that would take the random stream and the seeding.
//! * `timing`, `environment` but for `definition_version`, and how the scan was to be done
//!   (`config.n_proc`, `dispatch`, `launcher`, `retries`, `timeout_s`, `engine`): no result depends
//!   on them. A run's own cost is held against the journal.
//! * Reasons: texts. Only that there is one where there has to be. Logs, plots, the report and the trace: made from what is verified.
//! * Reference scans that have not ended: `scan.json` tells nothing of them.
//! * Runs that are not the best of their k, of the scan and of references: without [`Options::every_run`] only that `scan.json` and
//!   the journal, whose records have checksums, say the same of them.

mod arithmetic;
mod choices;
mod criteria;
mod document;
mod elbow;
mod fit;
mod journal;
mod model;
mod random;
mod references;
mod replay;
mod scaling;
mod silhouettes;
mod tables;
mod violation;

pub use violation::Violation;

use crate::criteria::Subject;
use crate::document::Document;
use crate::fit::{Claim, Replay};
use crate::scaling::{Moments, Rows};
use crate::silhouettes::Sample;
use crate::violation::impossible;
use kscan_dataset::{Dataset, Labels};
use kscan_results::{BestModel, Entry, RunDocument, RunFolder, RunStatus, ScanDocument};
use std::fmt;

/// How much is verified beyond what is always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Also holds the runs that are not the best of their k against the rows, by the centroids that
    /// the journal keeps.
    pub every_run: bool,
    /// Does every run that is checked again from its first centroids: as slow as the plain engine.
    pub replay: bool,
}

/// What is being verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `scan.json`, and the data.
    Document,
    /// `runs.csv`, `curve.csv` and `elbow.csv`.
    Tables,
    /// The best model of this k, and its contingency table.
    Model {
        /// Number of clusters.
        k: u32,
    },
    /// The elbow.
    Elbow,
    /// The journal.
    Journal,
    /// The criteria, and what is chosen by them.
    Criteria,
    /// A reference scan of the gap statistic, its data drawn again.
    Reference {
        /// Which, from 0.
        number: u32,
    },
    /// This run, by what the journal keeps of it.
    Run {
        /// Number of clusters.
        k: u32,
        /// Which initialisation.
        init_id: u32,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("scan.json and the data"),
            Self::Tables => f.write_str("the tables"),
            Self::Model { k } => write!(f, "the best model of k = {k}"),
            Self::Elbow => f.write_str("the elbow"),
            Self::Journal => f.write_str("the journal"),
            Self::Criteria => f.write_str("the criteria"),
            Self::Reference { number } => write!(f, "the reference scan {number}"),
            Self::Run { k, init_id } => write!(f, "the run k = {k}, init_id = {init_id}"),
        }
    }
}

/// How much was found to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Values of k that have a result.
    pub ks: usize,
    /// Runs in `scan.json`, failed ones among them.
    pub runs: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Models held against the data.
    pub models: usize,
    /// Runs beside those of the models that were held against the data.
    pub other_runs: usize,
    /// Reference scans whose journals were checked.
    pub references: usize,
    /// Runs of theirs that were held against their data.
    pub reference_runs: usize,
    /// Runs that were done again from their first centroids.
    pub replayed: usize,
}

/// Reads `scan.json`: what it names as data and labels is what [`verify`] needs.
///
/// # Errors
/// Where it is missing, no JSON, or of another format.
pub fn read(folder: &RunFolder) -> Result<ScanDocument, Violation> {
    Document::read(folder).map(|document| document.typed)
}

/// Verifies all that is in `folder` against `dataset`, the data and labels that its `scan.json`
/// names. Tells `on` what it turns to.
///
/// # Errors
/// The first thing that does not hold. Where a file is missing that should be there, that is one.
pub fn verify(
    folder: &RunFolder,
    dataset: &Dataset,
    options: Options,
    on: &mut dyn FnMut(Step),
) -> Result<Verified, Violation> {
    on(Step::Document);
    let document = Document::read(folder)?;
    document.check()?;
    let moments = Moments::of(&dataset.table);
    document.check_data(dataset, moments.constant_columns())?;
    let scan = Scan {
        folder,
        dataset,
        document: &document.typed,
        replay: if options.replay { Replay::Always } else { Replay::WhereNeeded },
    };
    let ScanDocument { runs, best, .. } = scan.document;
    let mut verified = Verified {
        ks: best.len(),
        runs: runs.len(),
        failed: runs.iter().filter(|run| run.status == RunStatus::Failed).count(),
        ..Verified::default()
    };

    let mut models = Vec::new();
    let mut rows = None;
    if !document.has_no_results() {
        on(Step::Tables);
        tables::check(folder, &document)?;
        tables::check_criteria(folder, &document)?;
        models = scan.read_models(&moments)?;
        rows = models.first().map(|(_, model)| Rows::new(&dataset.table, model));
    }
    let mut labels = Vec::new();
    if let Some(rows) = &rows {
        for (run, model) in &models {
            on(Step::Model { k: run.k });
            let (of_model, replayed) = scan.check_model(rows, run, model)?;
            labels.push(of_model);
            verified.replayed += usize::from(replayed);
            verified.models += 1;
        }
    }
    on(Step::Elbow);
    elbow::check(scan.document)?;

    on(Step::Journal);
    let recovered = journal::read(folder)?;
    let entries = journal::check(&document, &recovered)?;
    for (run, model) in &models {
        journal::check_model(&entries, run, model)?;
    }
    let references = references::check_journals(folder, scan.document, options.every_run)?;
    verified.references = references.len();
    on(Step::Criteria);
    let count = scan.document.criteria.len();
    violation::equal(document::FILE, "the length of criteria", count, best.len())?;
    if !document.has_no_results() {
        references::check_gaps(scan.document)?;
        choices::check(scan.document)?;
    }
    if let Some(rows) = &rows {
        let models: Vec<&BestModel> = models.iter().map(|(_, model)| model).collect();
        scan.check_criteria(rows, &models, &labels)?;
    }
    // Without a model nothing tells how the data was scaled.
    if let Some(rows) = &rows {
        for reference in &references {
            on(Step::Reference { number: reference.number() });
            let config = &scan.document.config;
            let (checked, replayed) = reference.check_runs(rows, config, scan.replay)?;
            verified.reference_runs += checked;
            verified.replayed += replayed;
        }
    }
    let is_model = |run: &RunDocument| models.iter().any(|&(model, _)| std::ptr::eq(model, run));
    if let Some(rows) = rows.filter(|_| options.every_run) {
        for run in runs.iter().filter(|&run| !is_model(run)) {
            if let Some(Entry::Finished(record)) = entries.get(&(run.k, run.init_id)) {
                on(Step::Run { k: run.k, init_id: run.init_id });
                let replayed =
                    scan.check_run(&rows, run, &record.centroids, &record.init_centers)?;
                verified.replayed += usize::from(replayed);
                verified.other_runs += 1;
            }
        }
    }
    Ok(verified)
}

/// A scan whose `scan.json` is consistent and made of the data.
struct Scan<'a> {
    folder: &'a RunFolder,
    dataset: &'a Dataset,
    document: &'a ScanDocument,
    replay: Replay,
}

impl<'a> Scan<'a> {
    /// The model of every k with its run, their scaling checked.
    fn read_models(
        &self,
        moments: &Moments,
    ) -> Result<Vec<(&'a RunDocument, BestModel)>, Violation> {
        let table = &self.dataset.table;
        let mut models = Vec::new();
        for best in &self.document.best {
            let model = model::read(self.folder, best, (table.rows(), table.cols()))?;
            moments.check(&best.file, &model, self.document.config.scale)?;
            let mut runs = self.document.runs.iter();
            let run = runs.find(|run| (run.k, run.init_id) == (best.k, best.init_id));
            models.push((run.expect("the best runs are among the runs"), model));
        }
        Ok(models)
    }

    /// Checks a model and its contingency table; returns its labels, and whether the run was done
    /// again.
    fn check_model(
        &self,
        rows: &Rows,
        run: &RunDocument,
        model: &BestModel,
    ) -> Result<(Vec<usize>, bool), Violation> {
        let file = RunFolder::best_model_name(run.k);
        let config = &self.document.config;
        let (labels, replayed) = model::check(rows, config, &file, model, run, self.replay)?;
        if let Some(known) = &self.dataset.labels {
            tables::check_contingency(self.folder, run.k, known.values(), &labels)?;
        }
        Ok((labels, replayed))
    }

    /// Checks what is said of the models beside what their runs found.
    fn check_criteria(
        &self,
        rows: &Rows,
        models: &[&BestModel],
        labels: &[Vec<usize>],
    ) -> Result<(), Violation> {
        let ScanDocument { best, criteria, config, .. } = self.document;
        let sample = Sample::new(rows, config.seed);
        let known = self.dataset.labels.as_ref().map(Labels::values);
        for (index, (model, labels)) in models.iter().zip(labels).enumerate() {
            let subject = Subject {
                file: &best[index].file,
                model,
                labels,
                index,
                criteria: &criteria[index],
            };
            criteria::check(rows, &self.dataset.table, &subject)?;
            sample.check(&subject)?;
            criteria::check_agreement(&subject, known)?;
        }
        Ok(())
    }

    /// Checks a run by what the journal keeps of it; tells whether it was done again.
    fn check_run(
        &self,
        rows: &Rows,
        run: &RunDocument,
        centers: &[f64],
        init_centers: &[f32],
    ) -> Result<bool, Violation> {
        let size = run.k as usize * rows.d();
        if centers.len() != size || init_centers.len() != size {
            let what = format!("the run {} has not {size} values", document::name(run));
            return Err(impossible(journal::FILE, what));
        }
        let config = &self.document.config;
        let name = format!("init_centers of the run {}", document::name(run));
        model::check_init(rows, config, journal::FILE, &name, init_centers, run)?;
        let name = format!("centroids of the run {}", document::name(run));
        let claim = Claim {
            file: journal::FILE,
            centers_name: &name,
            run,
            centers,
            init_centers,
            labels: None,
        };
        fit::check(rows, config, &claim, self.replay)
    }
}
