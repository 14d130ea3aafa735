//! `scan.json` by itself, and against the data.

use crate::violation::{Violation, ensure, equal, equal_lists, impossible, unreadable};
use kscan_dataset::{Dataset, read_file};
use kscan_results::{
    BestRun, ElbowDocument, ImageShape, InitMethod, RunDocument, RunFolder, RunStatus, ScanConfig,
    ScanDocument, ScanStatus,
};
use serde_json::Value;
use std::error::Error;

pub(crate) const FILE: &str = "scan.json";

/// The definitions that this crate knows.
pub(crate) const DEFINITION_VERSION: u32 = 1;

/// `scan.json`, typed and as it stands.
pub(crate) struct Document {
    pub(crate) typed: ScanDocument,
    pub(crate) json: Value,
}

impl Document {
    pub(crate) fn read(folder: &RunFolder) -> Result<Self, Violation> {
        let read = || -> Result<Self, Box<dyn Error + Send + Sync>> {
            let text = read_file(&folder.scan_json())?;
            let json: Value = serde_json::from_slice(&text)?;
            if json["format"] != ScanDocument::FORMAT {
                return Err(format!("its format is {}", json["format"]).into());
            }
            let typed = serde_json::from_slice(&text)?;
            Ok(Self { typed, json })
        };
        read().map_err(|source| unreadable(FILE, source))
    }

    /// Whether the scan was killed before it could write any result: tables and models are then
    /// missing, or those of before it was resumed.
    pub(crate) fn has_no_results(&self) -> bool {
        self.typed.status == ScanStatus::Interrupted && self.typed.best.is_empty()
    }

    /// That all of it is plausible and consistent.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let version = self.typed.environment.definition_version;
        equal(FILE, "environment.definition_version", version, DEFINITION_VERSION)?;
        self.typed.config.check().map_err(|what| impossible(FILE, what))?;
        let (k_high, rows) = (self.typed.config.k_high, self.typed.data.rows);
        let fits = u64::from(k_high) <= rows;
        ensure(fits, FILE, format_args!("config.k_high is {k_high}, and data.rows {rows}"))?;
        check_planned(&self.typed)?;
        for (index, run) in self.typed.runs.iter().enumerate() {
            check_run(&self.typed.config, self.typed.data.rows, run).map_err(|what| {
                impossible(FILE, format_args!("runs[{index}] {}: {what}", name(run)))
            })?;
        }
        if !self.has_no_results() {
            check_best(&self.typed)?;
        }
        let none = matches!(&self.typed.elbow, ElbowDocument::None { k, .. } if k.is_some());
        ensure(!none, FILE, "elbow has a k, but no scores")
    }

    /// That it was made of `dataset`.
    pub(crate) fn check_data(
        &self,
        dataset: &Dataset,
        constant_cols: u64,
    ) -> Result<(), Violation> {
        let data = &self.typed.data;
        let table = &dataset.table;
        equal(FILE, "data.name", data.name.as_str(), &dataset.name)?;
        equal(FILE, "data.rows", data.rows, table.rows() as u64)?;
        equal(FILE, "data.cols", data.cols, table.cols() as u64)?;
        equal(FILE, "data.dtype", data.dtype.as_str(), table.dtype().name())?;
        let fingerprint = table.fingerprint().to_string();
        equal(FILE, "data.fingerprint", &data.fingerprint, &fingerprint)?;
        if !(self.has_no_results() && data.constant_cols == 0) {
            equal(FILE, "data.constant_cols", data.constant_cols, constant_cols)?;
        }
        let image_shape = self.typed.config.image_shape;
        let image_shape = image_shape.or_else(|| ImageShape::of_array(table.shape()));
        let pixels = image_shape.is_none_or(|shape| shape.pixels() == table.cols() as u64);
        ensure(pixels, FILE, "config.image_shape does not fit the columns")?;
        ensure(data.image_shape == image_shape, FILE, "data.image_shape is not that of the data")?;
        match (&data.labels, &dataset.labels) {
            (Some(found), Some(labels)) => {
                let classes = labels.classes();
                equal_lists(FILE, "data.labels.classes", found.classes.iter(), classes.iter())?;
                let fingerprint = labels.fingerprint().to_string();
                equal(FILE, "data.labels.fingerprint", &found.fingerprint, &fingerprint)
            }
            (None, None) => Ok(()),
            (Some(_), None) => Err(impossible(FILE, "data.labels is there, but no labels are")),
            (None, Some(_)) => Err(impossible(FILE, "data.labels is not there, but labels are")),
        }
    }
}

/// `(k = 5, init_id = 0)`
pub(crate) fn name(run: &RunDocument) -> String {
    format!("(k = {}, init_id = {})", run.k, run.init_id)
}

/// Every k that was to be done.
pub(crate) fn planned_ks(config: &ScanConfig) -> impl Iterator<Item = u32> {
    (config.k_low..=config.k_high).step_by(config.k_step as usize)
}

/// The run after `(k, init_id)`; `None` after the last.
fn next_planned(config: &ScanConfig, (k, init_id): (u32, u32)) -> Option<(u32, u32)> {
    let next_init = init_id + 1;
    if next_init < config.n_init {
        return Some((k, next_init));
    }
    let next_k = k.checked_add(config.k_step)?;
    (next_k <= config.k_high).then_some((next_k, 0))
}

/// That the runs are those that were asked for, in order, each once. Only those that are there are
/// gone through: how many were asked for is a mere number in a file.
fn check_planned(document: &ScanDocument) -> Result<(), Violation> {
    let config = &document.config;
    let mut next = Some((config.k_low, 0));
    let mut missing = None;
    for (index, run) in document.runs.iter().enumerate() {
        let this = (run.k, run.init_id);
        let in_order = next.is_some_and(|next| next <= this);
        let planned = run.k <= config.k_high
            && run.init_id < config.n_init
            && (in_order && (run.k - config.k_low).is_multiple_of(config.k_step));
        if !planned {
            let what =
                format!("runs[{index}] {} was not to be done, or stands out of order", name(run));
            return Err(impossible(FILE, what));
        }
        if next != Some(this) {
            missing = missing.or(next);
        }
        next = next_planned(config, this);
    }
    missing = missing.or(next);
    let missing = missing.map(|(k, init_id)| format!("run (k = {k}, init_id = {init_id})"));
    let references = &document.references;
    let short = references.len() < config.gap.unwrap_or(0) as usize;
    let missing = missing
        .or_else(|| short.then(|| format!("reference scan {} of config.gap", references.len())));
    let failed = document.runs.iter().position(|run| run.status == RunStatus::Failed);
    let failed = failed.map(|index| format!("runs[{index}]"));
    let failed = failed.or_else(|| {
        let index = references.iter().position(|reference| !reference.failed.is_empty())?;
        Some(format!("references[{index}].failed[0]"))
    });
    let (status, why) = match (missing, failed) {
        (Some(what), _) => (ScanStatus::Interrupted, format!("the {what} is missing")),
        (None, Some(what)) => (ScanStatus::Partial, format!("{what} failed")),
        (None, None) => (ScanStatus::Complete, "every run is there and succeeded".to_owned()),
    };
    if document.status == status {
        return Ok(());
    }
    let what = format!("status is {:?}, but {why}", document.status);
    Err(impossible(FILE, what.to_lowercase()))
}

/// That a run can be as it says; otherwise what cannot.
pub(crate) fn check_run(config: &ScanConfig, rows: u64, run: &RunDocument) -> Result<(), String> {
    let results = [
        ("inertia", run.inertia.is_some()),
        ("n_iter", run.n_iter.is_some()),
        ("stop", run.stop.is_some()),
        ("digest", run.digest.is_some()),
        ("distinct_clusters", run.distinct_clusters.is_some()),
        ("relocated", run.relocated.is_some()),
    ];
    if run.status == RunStatus::Failed {
        let kept = results.iter().find(|(_, is_there)| *is_there);
        let what = kept.map(|(name, _)| format!("it failed, but has the result {name}"));
        ensure_that(run.error.is_some(), "it failed without an error")?;
        ensure_that(run.init_rows.is_empty(), "it failed, but has init_rows")?;
        return what.map_or(Ok(()), Err);
    }
    let (Some(inertia), Some(n_iter), Some(stop), Some(digest), Some(distinct), Some(_)) =
        (run.inertia, run.n_iter, run.stop, &run.digest, run.distinct_clusters, run.relocated)
    else {
        let lacking = results.iter().find(|(_, is_there)| !is_there);
        let name = lacking.map_or("", |(name, _)| name);
        return Err(format!("it succeeded without the result {name}"));
    };
    ensure_that(run.error.is_none(), "it succeeded, but has an error")?;
    let sane = inertia.is_finite() && inertia >= 0.0;
    ensure_that(sane, &format!("inertia is {inertia}"))?;
    let max_iter = config.max_iter;
    let sane = (1..=max_iter).contains(&n_iter);
    ensure_that(sane, &format!("n_iter is {n_iter}, and max_iter {max_iter}"))?;
    let sane = match stop.to_string().as_str() {
        // Every row's label is new in the first iteration.
        "labels" => n_iter >= 2,
        "max_iter" => n_iter == max_iter,
        _ => true,
    };
    ensure_that(sane, &format!("it stopped by {stop} after {n_iter} iterations"))?;
    let digest = digest.to_string();
    let hex = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure_that(hex, "digest is not 64 hex digits")?;
    let sane = (1..=run.k).contains(&distinct);
    ensure_that(sane, &format!("distinct_clusters is {distinct}"))?;
    ensure_that(run.attempts > 0, "attempts is 0")?;
    check_init_rows(config, run, rows)
}

fn check_init_rows(config: &ScanConfig, run: &RunDocument, rows: u64) -> Result<(), String> {
    let count = match config.init {
        InitMethod::File(_) => 0,
        InitMethod::KMeansPlusPlus | InitMethod::Random => run.k as usize,
    };
    let found = run.init_rows.len();
    ensure_that(found == count, &format!("init_rows has {found} rows, not {count}"))?;
    let beyond = run.init_rows.iter().position(|row| row.0 >= rows);
    if let Some(index) = beyond {
        return Err(format!("init_rows[{index}] is beyond the {rows} rows"));
    }
    if config.init == InitMethod::Random {
        let mut distinct = run.init_rows.clone();
        distinct.sort_unstable();
        distinct.dedup();
        ensure_that(distinct.len() == count, "init_rows has a row twice")?;
    }
    Ok(())
}

fn ensure_that(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// The run with the smallest inertia of each k that has one. `runs` are by k, then `init_id`.
pub(crate) fn best_runs<'a>(
    runs: impl IntoIterator<Item = &'a RunDocument>,
) -> Vec<&'a RunDocument> {
    let mut best: Vec<&RunDocument> = Vec::new();
    for run in runs.into_iter().filter(|run| run.inertia.is_some()) {
        match best.last_mut() {
            // An equal one that comes later is no better.
            Some(best) if best.k == run.k => {
                if run.inertia < best.inertia {
                    *best = run;
                }
            }
            _ => best.push(run),
        }
    }
    best
}

/// That `best` has the run with the smallest inertia of each k, ties to the lowest `init_id`.
fn check_best(document: &ScanDocument) -> Result<(), Violation> {
    let expected = best_runs(&document.runs);
    let ks = document.best.iter().map(|best| best.k);
    let expected_ks = expected.iter().map(|run| run.k);
    equal_lists(FILE, "the k of best", ks, expected_ks)?;
    for (index, (best, run)) in document.best.iter().zip(expected).enumerate() {
        let BestRun { init_id, inertia, n_iter, digest, file, .. } = best;
        let what = |field| format!("best[{index}].{field}");
        equal(FILE, what("init_id"), *init_id, run.init_id)?;
        let expected = run.inertia.unwrap_or(f64::NAN);
        equal(FILE, what("inertia"), *inertia, expected)?;
        equal(FILE, what("n_iter"), *n_iter, run.n_iter.unwrap_or(0))?;
        let expected = run.digest.as_ref().map(ToString::to_string);
        equal(FILE, what("digest"), digest.to_string(), expected.unwrap_or_default())?;
        equal(FILE, what("file"), file, &RunFolder::best_model_name(run.k))?;
    }
    Ok(())
}
