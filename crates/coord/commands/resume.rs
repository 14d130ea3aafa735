//! `resume DIR`: goes on with an interrupted or partly failed scan.

use super::finish;
use super::run::given;
use crate::cli::ResumeArgs;
use crate::exit::{Exit, Failure};
use crate::limits;
use crate::scan::begin::{Earlier, Means, Order};
use crate::scan::{execute, memory, plan, prepare};
use kscan_dataset::{Source, load_within};
use kscan_results::{Journal, JournalError, JournalKey, Recovered, RunFolder, ScanDocument};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Instant;

pub(crate) fn resume(args: &ResumeArgs, started: Instant) -> Result<Exit, Failure> {
    limits::workers_with_files(1)?;
    let folder = RunFolder::at(&args.dir);
    let before = ScanDocument::read(&folder)?;
    let mut config = before.config.clone();
    if let Some(n_proc) = args.n_proc {
        config.n_proc = n_proc;
    }
    // Killed before it could begin its journal, a scan has lost nothing.
    let reopened = match Journal::reopen(&folder.journal()) {
        Err(JournalError::File(error)) if error.source.kind() == io::ErrorKind::NotFound => None,
        reopened => Some(reopened?),
    };
    let source = Source::parse(OsStr::new(&config.data));
    let memory = args.memory.map(|limit| limit.as_u64());
    let labels = config.labels.as_deref().map(Path::new);
    let dataset = load_within(&source, labels, memory::room(memory))?;
    prepare::check_size(&config, &dataset.name, dataset.table.rows())?;
    let given = given(&config, dataset.table.cols())?;
    let key = plan::journal_key(
        &config,
        dataset.table.fingerprint().to_string(),
        given.as_ref().map(|given| given.fingerprint().to_string()),
    );
    if let Some((_, recovered)) = &reopened {
        check(recovered, &key, &folder)?;
    }
    let scanned = execute::execute(Order {
        config,
        dataset,
        folder,
        given,
        key,
        earlier: reopened.map(|(journal, recovered)| {
            let (finished, failed) = recovered.last_words();
            Earlier { journal, finished, failed, before: Box::new(before) }
        }),
        means: Means {
            started,
            simd: None,
            memory,
            keep_shared: false,
            png: false,
            worker_program: args.workers.worker_program.clone(),
        },
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
