//! The reference scans of the gap statistic: that their journals are those of `scan.json`, that their
//! best runs hold against the data, drawn again, and that the gaps follow.

use crate::document::{FILE, best_runs, check_run, name, planned_ks};
use crate::fit::{self, Claim, Replay};
use crate::journal::check_key;
use crate::model;
use crate::scaling::Rows;
use crate::violation::{Violation, ensure, equal, impossible, near, unreadable};
use kscan_results::{
    FailedReferenceRun, FailedRun, Gap, InitMethod, Journal, Recovered, ReferenceDocument,
    ReferenceRun, RunDocument, RunFolder, ScanConfig, ScanDocument,
};
use std::collections::BTreeSet;

/// Of gaps, which are sums of logarithms.
const TOLERANCE: f64 = 1e-9;

/// A reference whose journal says what `scan.json` does.
pub(crate) struct Reference {
    number: u32,
    /// Its journal, relative to the folder.
    file: String,
    /// What is to be held against the rows, with how the scan would list it.
    runs: Vec<Done>,
}

/// A run that has a result, as its journal has it.
struct Done {
    /// What `scan.json` would say of it.
    run: RunDocument,
    centroids: Vec<f64>,
    init_centers: Vec<f32>,
}

/// How the runs of references were done: as those of the scan, but that centroids that are given are
/// those of the data.
fn config_of_references(config: &ScanConfig) -> ScanConfig {
    let init = match config.init {
        InitMethod::Random => InitMethod::Random,
        InitMethod::KMeansPlusPlus | InitMethod::File(_) => InitMethod::KMeansPlusPlus,
    };
    ScanConfig { init, ..config.clone() }
}

/// That the journals say what `scan.json` says of every reference, which have all ended. Returns the
/// best runs, or all of them.
pub(crate) fn check_journals(
    folder: &RunFolder,
    document: &ScanDocument,
    every_run: bool,
) -> Result<Vec<Reference>, Violation> {
    let count = document.config.gap.unwrap_or(0);
    let found = document.references.len();
    let too_many = found > count as usize;
    let what = format_args!("references has {found}, and config.gap is {count}");
    ensure(!too_many, FILE, what)?;
    let config = config_of_references(&document.config);
    let check = |(number, reference): (u32, &ReferenceDocument)| {
        let what = format_args!("references[{number}].folder");
        let folder_name = RunFolder::reference_name(number);
        equal(FILE, what, &reference.folder, &folder_name)?;
        let file = format!("{folder_name}/journal.bin");
        let journal = Journal::read(&folder.reference(number).journal());
        let recovered = journal.map_err(|source| unreadable(&file, source))?;
        let fingerprint = format!("reference {number} of {}", document.data.fingerprint);
        check_key(&file, &recovered.key, &config, &fingerprint)?;
        let runs = check_journal(&file, &config, number, reference, recovered)?;
        let is_best = |run: &RunDocument| {
            reference.best.iter().any(|best| (best.k, best.init_id) == (run.k, run.init_id))
        };
        let runs: Vec<Done> =
            runs.into_iter().filter(|done| every_run || is_best(&done.run)).collect();
        for Done { run, .. } in &runs {
            let checked = check_run(&config, document.data.rows, run);
            checked.map_err(|what| impossible(&file, format_args!("{}: {what}", name(run))))?;
        }
        Ok(Reference { number, file, runs })
    };
    (0..).zip(&document.references).map(check).collect()
}

/// That every run of a reference has ended, and the best and the failed ones are those of
/// `scan.json`. Returns those that have a result.
fn check_journal(
    file: &str,
    config: &ScanConfig,
    number: u32,
    reference: &ReferenceDocument,
    recovered: Recovered,
) -> Result<Vec<Done>, Violation> {
    let dropped = recovered.dropped_bytes;
    let what = format_args!("its last {dropped} bytes are no whole, undamaged record");
    ensure(dropped == 0, file, what)?;
    let (finished, failed) = recovered.last_words();
    let of_failed = failed.iter().map(|failed| failed.run);
    let ended: BTreeSet<_> = finished.iter().map(|record| record.run).chain(of_failed).collect();
    let ks: Vec<u32> = planned_ks(config).collect();
    let stray = ended.iter().find(|run| !ks.contains(&run.k) || run.init_id >= config.n_init);
    if let Some(run) = stray {
        return Err(impossible(file, format_args!("the run {run} was not to be done")));
    }
    let planned = ks.len() * config.n_init as usize;
    equal(file, "the number of runs in it", ended.len(), planned)?;

    let done = finished.into_iter().map(|record| Done {
        run: RunDocument::from(&record),
        centroids: record.centroids,
        init_centers: record.init_centers,
    });
    let done: Vec<Done> = done.collect();
    let best = best_runs(done.iter().map(|done| &done.run));
    let list = |field: &str| format!("references[{number}].{field}");
    equal(FILE, list("best: their number"), reference.best.len(), best.len())?;
    for (index, (found, run)) in reference.best.iter().zip(best).enumerate() {
        let ReferenceRun { k, init_id, inertia, n_iter, digest } = found;
        let what = |field: &str| list(&format!("best[{index}].{field}"));
        equal(FILE, what("k"), *k, run.k)?;
        equal(FILE, what("init_id"), *init_id, run.init_id)?;
        near(FILE, what("inertia"), *inertia, run.inertia.unwrap_or(f64::NAN), 0.0)?;
        equal(FILE, what("n_iter"), *n_iter, run.n_iter.unwrap_or(0))?;
        let expected = run.digest.as_ref().map(ToString::to_string);
        equal(FILE, what("digest"), digest.to_string(), expected.unwrap_or_default())?;
    }
    check_failed(&list("failed"), reference, &failed)?;
    Ok(done)
}

fn check_failed(
    list: &str,
    reference: &ReferenceDocument,
    failed: &[FailedRun],
) -> Result<(), Violation> {
    equal(FILE, format_args!("{list}: their number"), reference.failed.len(), failed.len())?;
    for (index, (found, expected)) in reference.failed.iter().zip(failed).enumerate() {
        let FailedReferenceRun { k, init_id, attempts, log, error } = found;
        let what = |field: &str| format!("{list}[{index}].{field}");
        equal(FILE, what("k"), *k, expected.run.k)?;
        equal(FILE, what("init_id"), *init_id, expected.run.init_id)?;
        equal(FILE, what("attempts"), *attempts, expected.attempt.0)?;
        let expected_log = format!("logs/{}", expected.run.log_name(expected.attempt));
        equal(FILE, what("log"), log, &expected_log)?;
        equal(FILE, what("error"), error, &expected.error)?;
    }
    Ok(())
}

impl Reference {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// That its runs hold against its data, drawn again from the ranges of `rows`. Returns how many
    /// there were, and how many of them were done again.
    pub(crate) fn check_runs(
        &self,
        rows: &Rows,
        config: &ScanConfig,
        replay: Replay,
    ) -> Result<(usize, usize), Violation> {
        let config = config_of_references(config);
        let rows = rows.reference(config.seed, self.number);
        let file = self.file.as_str();
        let mut replayed = 0;
        for Done { run, centroids, init_centers } in &self.runs {
            let size = run.k as usize * rows.d();
            if centroids.len() != size || init_centers.len() != size {
                let what = format!("the run {} has not {size} values", name(run));
                return Err(impossible(file, what));
            }
            let what = format!("init_centers of the run {}", name(run));
            model::check_init(&rows, &config, file, &what, init_centers, run)?;
            let what = format!("centroids of the run {}", name(run));
            let claim = Claim {
                file,
                centers_name: &what,
                run,
                centers: centroids,
                init_centers,
                labels: None,
            };
            replayed += usize::from(fit::check(&rows, &config, &claim, replay)?);
        }
        Ok((self.runs.len(), replayed))
    }
}

/// That the gaps are those of the best inertias.
pub(crate) fn check_gaps(document: &ScanDocument) -> Result<(), Violation> {
    for (index, (of, best)) in document.criteria.iter().zip(&document.best).enumerate() {
        let name = |field: &str| format!("criteria[{index}].{field}");
        match (of.gap, expected(document, best.k, best.inertia)) {
            (Some(found), Some(expected)) => {
                let size = best.inertia.ln().abs().max(1.0);
                near(FILE, name("gap.gap"), found.gap, expected.gap, TOLERANCE * size)?;
                near(FILE, name("gap.s"), found.s, expected.s, TOLERANCE * size)?;
            }
            (None, None) => {}
            (None, Some(expected)) => {
                let what = format!("{} is null, but should be {:e}", name("gap"), expected.gap);
                return Err(impossible(FILE, what));
            }
            (Some(_), None) => {
                return Err(impossible(FILE, format!("{} is there, but not defined", name("gap"))));
            }
        }
    }
    Ok(())
}

/// The gap of a k, by equations 3 and 4 of Tibshirani, Walther and Hastie (2001).
fn expected(document: &ScanDocument, k: u32, inertia: f64) -> Option<Gap> {
    let references = &document.references;
    let count = document.config.gap? as usize;
    if references.len() < count || inertia <= 0.0 {
        return None;
    }
    let mut ratios = Vec::new();
    for reference in references {
        let best = reference.best.iter().find(|best| best.k == k)?;
        let has_failures = reference.failed.iter().any(|run| run.k == k);
        if has_failures || best.inertia <= 0.0 {
            return None;
        }
        ratios.push(best.inertia.ln() - inertia.ln());
    }
    let b = ratios.len() as f64;
    let gap = ratios.iter().sum::<f64>() / b;
    let variance = ratios.iter().map(|ratio| (ratio - gap).powi(2)).sum::<f64>() / b;
    Some(Gap { gap, s: (variance * (1.0 + 1.0 / b)).sqrt() })
}
