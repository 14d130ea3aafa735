//! `resume DIR`: goes on with an interrupted or partly failed scan.

use super::finish;
use super::run::given;
use crate::cli::ResumeArgs;
use crate::exit::{Exit, Failure};
use crate::scan::execute::{self, Order};
use crate::scan::plan;
use kscan_dataset::{Source, load};
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{Entry, Journal, JournalError, JournalKey, Recovered, RunFolder, ScanDocument};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Instant;

pub(crate) fn resume(args: &ResumeArgs, started: Instant) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let mut config = ScanDocument::read(&folder)?.config;
    if let Some(n_proc) = args.n_proc {
        config.n_proc = n_proc;
    }
    // Killed before it could begin its journal, a scan has lost nothing.
    let reopened = match Journal::reopen(&folder.journal()) {
        Err(JournalError::File(error)) if error.source.kind() == io::ErrorKind::NotFound => None,
        reopened => Some(reopened?),
    };
    let source = Source::parse(OsStr::new(&config.data));
    let dataset = load(&source, config.labels.as_deref().map(Path::new))?;
    let given = given(&config, dataset.table.cols())?;
    let key = plan::journal_key(
        &config,
        dataset.table.fingerprint().to_string(),
        given.as_ref().map(|given| given.hash().to_owned()),
    );
    let (journal, recovered) = reopened.unzip();
    if let Some(recovered) = &recovered {
        check(recovered, &key, &folder)?;
    }
    let scanned = execute::execute(Order {
        done: recovered.map_or_else(Vec::new, finished),
        config,
        dataset,
        folder,
        given,
        key,
        journal,
        started,
        simd: None,
        memory: args.memory.map(|limit| limit.as_u64()),
        keep_shared: false,
        worker_program: args.workers.worker_program.clone(),
        display: &args.display,
    })?;
    finish(&scanned, &args.display)
}

/// Refuses to go on with the results of another scan, and tells of those that are lost.
fn check(recovered: &Recovered, key: &JournalKey, folder: &RunFolder) -> Result<(), Failure> {
    if let Some(difference) = plan::difference(&recovered.key, key) {
        let folder = folder.path().display();
        return Err(Failure::new(
            Exit::Usage,
            format!("this is not the scan that {folder} began: {difference}"),
            "bring back what was changed, or start a new scan in another folder",
        ));
    }
    if recovered.dropped_bytes > 0 {
        eprintln!(
            "the journal ends in {} bytes that are no whole record: dropped, that run is done again",
            recovered.dropped_bytes
        );
    }
    Ok(())
}

/// The results that the journal holds. Runs that had failed are tried again.
fn finished(recovered: Recovered) -> Vec<RunRecord> {
    let mut finished: BTreeMap<RunId, RunRecord> = BTreeMap::new();
    for entry in recovered.entries {
        if let Entry::Finished(record) = entry {
            finished.insert(record.run, *record);
        }
    }
    finished.into_values().collect()
}
