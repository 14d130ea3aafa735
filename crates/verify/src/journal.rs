//! `journal.bin` against `scan.json` and the models.

use crate::document::{DEFINITION_VERSION, Document, name, planned_ks};
use crate::violation::{Violation, ensure, equal, equal_lists, impossible, unreadable};
use kscan_dataset::Npz;
use kscan_results::{
    BestModel, Entry, InitMethod, Journal, JournalKey, Recovered, RunDocument, RunFolder,
    RunStatus, ScaleMethod, ScanConfig, ScanStatus,
};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) const FILE: &str = "journal.bin";

/// The last entry of every run: that is the one that counts.
pub(crate) type Entries<'a> = BTreeMap<(u32, u32), &'a Entry>;

pub(crate) fn read(folder: &RunFolder) -> Result<Recovered, Violation> {
    Journal::read(&folder.journal()).map_err(|source| unreadable(FILE, source))
}

/// That the journal says what `scan.json` says, where both do.
pub(crate) fn check<'a>(
    document: &Document,
    recovered: &'a Recovered,
) -> Result<Entries<'a>, Violation> {
    let typed = &document.typed;
    check_key(FILE, &recovered.key, &typed.config, &typed.data.fingerprint)?;
    // A scan that was killed in the middle of a record may well have one that is torn.
    if !document.has_no_results() && recovered.dropped_bytes > 0 {
        let dropped = recovered.dropped_bytes;
        let what = format_args!("its last {dropped} bytes are no whole, undamaged record");
        return Err(impossible(FILE, what));
    }
    let mut entries = Entries::new();
    for entry in &recovered.entries {
        let run = match entry {
            Entry::Finished(record) => record.run,
            Entry::Failed(failed) => failed.run,
        };
        let planned = recovered.key.k.contains(&run.k) && run.init_id < typed.config.n_init;
        ensure(planned, FILE, format_args!("the run {run} was not to be done"))?;
        entries.insert((run.k, run.init_id), entry);
    }
    for run in &typed.runs {
        let Some(entry) = entries.get(&(run.k, run.init_id)) else {
            let what = format_args!("the run {} of scan.json is not in it", name(run));
            return Err(impossible(FILE, what));
        };
        check_entry(entry, run)?;
    }
    if typed.status != ScanStatus::Interrupted {
        // Entries are of planned runs, and all planned ones are in scan.json.
        equal(FILE, "the number of runs in it", entries.len(), typed.runs.len())?;
    }
    Ok(entries)
}

/// That the results in `file` depend on what `config` says, and data of this fingerprint.
pub(crate) fn check_key(
    file: &str,
    key: &JournalKey,
    config: &ScanConfig,
    fingerprint: &str,
) -> Result<(), Violation> {
    let (init, is_init) = match &config.init {
        InitMethod::KMeansPlusPlus => ("k-means++".to_owned(), key.init == "k-means++"),
        InitMethod::Random => ("random".to_owned(), key.init == "random"),
        // The file may have gone since; where it is there, it is the same.
        InitMethod::File(path) => match Npz::read(Path::new(path)) {
            Ok(npz) => {
                let init = format!("given {}", npz.fingerprint());
                let is_init = key.init == init;
                (init, is_init)
            }
            Err(_) => ("that of given centroids".to_owned(), key.init.starts_with("given ")),
        },
    };
    let scale = match config.scale {
        ScaleMethod::Standard => "standard",
        ScaleMethod::None => "none",
    };
    let version = key.definition_version;
    equal(file, "the key's version of definitions", version, DEFINITION_VERSION)?;
    equal(file, "the key's fingerprint", key.fingerprint.as_str(), fingerprint)?;
    equal(file, "the key's scale", key.scale.as_str(), scale)?;
    equal(file, "the key's seed", key.seed, config.seed)?;
    if !is_init {
        equal(file, "the key's init", &key.init, &init)?;
    }
    equal(file, "the key's max_iter", key.max_iter, config.max_iter)?;
    equal(file, "the key's tol", key.tol, config.tol)?;
    let ks: Vec<u32> = planned_ks(config).collect();
    equal_lists(file, "the key's k", key.k.iter(), ks.iter())?;
    equal(file, "the key's n_init", key.n_init, config.n_init)
}

/// That a run in `scan.json` is as its entry has it.
fn check_entry(entry: &Entry, run: &RunDocument) -> Result<(), Violation> {
    let log = |log: String| format!("logs/{log}");
    match entry {
        Entry::Finished(record) => {
            let usage = &record.usage;
            same("status", RunStatus::Ok, (run, run.status))?;
            same("inertia", Some(record.inertia), (run, run.inertia))?;
            same("n_iter", Some(record.n_iter), (run, run.n_iter))?;
            same("stop", Some(record.stop), (run, run.stop))?;
            same("init_rows", &record.init_rows, (run, &run.init_rows))?;
            same("digest", Some(&record.digest), (run, run.digest.as_ref()))?;
            same("attempts", record.attempt.0, (run, run.attempts))?;
            check_placement((record.placement.slot, record.placement.started_s), run)?;
            // What it cost. An earlier version may not have kept all of it.
            for (field, found, expected) in [
                ("wall_s", usage.wall_s, run.wall_s),
                ("cpu_s", usage.cpu_s, run.cpu_s),
                ("load_s", usage.load_s, run.load_s),
                ("seed_s", usage.seed_s, run.seed_s),
                ("iterate_s", usage.iterate_s, run.iterate_s),
            ] {
                same(field, found, (run, expected.unwrap_or(found)))?;
            }
            for (field, found, expected) in [
                ("peak_rss_bytes", usage.peak_rss_bytes, run.peak_rss_bytes),
                ("private_bytes", usage.private_bytes, run.private_bytes),
            ] {
                same(field, found, (run, expected.unwrap_or(found)))?;
            }
            let distinct = Some(record.distinct_clusters);
            same("distinct_clusters", distinct, (run, run.distinct_clusters))?;
            same("relocated", Some(record.relocated), (run, run.relocated))?;
            same("counters", Some(record.counters), (run, run.counters))?;
            same("log", &log(record.run.log_name(record.attempt)), (run, &run.log))
        }
        Entry::Failed(failed) => {
            same("status", RunStatus::Failed, (run, run.status))?;
            same("attempts", failed.attempt.0, (run, run.attempts))?;
            check_placement((failed.placement.slot, failed.placement.started_s), run)?;
            same("wall_s", failed.wall_s, (run, run.wall_s.unwrap_or(failed.wall_s)))?;
            same("log", &log(failed.run.log_name(failed.attempt)), (run, &run.log))?;
            same("error", Some(&failed.error), (run, run.error.as_ref()))
        }
    }
}

/// That `field` of a run is the same here and there. Debug texts of floats tell all of them apart.
fn same<T: std::fmt::Debug>(
    field: &str,
    found: T,
    run: (&RunDocument, T),
) -> Result<(), Violation> {
    let (run, expected) = run;
    let what = format_args!("{field} of the run {}", name(run));
    equal(FILE, what, format!("{found:?}"), format!("{expected:?}"))
}

/// That a run in `scan.json` had the slot, and was started in the second, that its entry says.
fn check_placement((slot, started_s): (u32, f64), run: &RunDocument) -> Result<(), Violation> {
    same("slot", slot, (run, run.slot.unwrap_or(slot)))?;
    same("started_s", started_s, (run, run.started_s.unwrap_or(started_s)))
}

/// That the journal's centroids of a best run are those of its `model`, to the bit.
pub(crate) fn check_model(
    entries: &Entries<'_>,
    run: &RunDocument,
    model: &BestModel,
) -> Result<(), Violation> {
    let Some(Entry::Finished(record)) = entries.get(&(run.k, run.init_id)) else {
        return Err(impossible(FILE, format_args!("the run {} is not in it", name(run))));
    };
    let what = format!("centroids of the run {}", name(run));
    let bits = |x: &f64| format!("{x:e} ({:#x})", x.to_bits());
    equal_lists(FILE, what, record.centroids.iter().map(bits), model.centers.iter().map(bits))?;
    let what = format!("init_centers of the run {}", name(run));
    let bits = |x: &f32| format!("{x:e} ({:#x})", x.to_bits());
    let found = record.init_centers.iter().map(bits);
    equal_lists(FILE, what, found, model.init_centers.iter().map(bits))
}
