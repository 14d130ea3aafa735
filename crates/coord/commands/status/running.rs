//! The running workers, by what their logs say.

use jiff::Timestamp;
use kscan_protocol::{Attempt, Iterated, RunId};
use kscan_results::{RunFolder, ScanDocument};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes at either end of a log that are read: more than a few lines of it.
const ENOUGH: u64 = 16 << 10;

/// A worker that has begun, and not ended.
pub(super) struct Worker {
    pub(super) run: RunId,
    /// When it was started, in seconds since 1970.
    pub(super) since: f64,
    pub(super) iterated: Option<Iterated>,
}

/// What is of use here in a line of a log.
#[derive(Deserialize)]
struct Line {
    timestamp: Timestamp,
    message: String,
    elapsed_s: Option<f64>,
    #[serde(flatten)]
    iterated: Option<Iterated>,
}

/// The workers of this session of the scan whose runs have not ended.
pub(super) fn read(
    folder: &RunFolder,
    scan: &ScanDocument,
    is_done: impl Fn(&RunId) -> bool,
) -> Vec<Worker> {
    let names = std::fs::read_dir(folder.logs()).ok().into_iter().flatten();
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut last: BTreeMap<RunId, Attempt> = BTreeMap::new();
    for (run, attempt) in names.filter_map(|name| RunId::parse_log_name(&name).ok()) {
        let last = last.entry(run).or_insert(attempt);
        *last = attempt.max(*last);
    }
    last.into_iter()
        .filter(|(run, _)| !is_done(run))
        .filter_map(|(run, attempt)| {
            let (first, end) = ends(&folder.run_log(run, attempt)).ok()?;
            let first = lines(&first).next()?;
            let is_of_now = first.timestamp >= scan.timing.started_at;
            let has_ended = lines(&end).any(|line| line.message == "attempt failed");
            (is_of_now && !has_ended).then(|| Worker {
                run,
                since: first.timestamp.as_duration().as_secs_f64() - first.elapsed_s.unwrap_or(0.0),
                iterated: lines(&end).filter_map(|line| line.iterated).last(),
            })
        })
        .collect()
}

/// The first and the last bytes of a file.
fn ends(path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut file = File::open(path)?;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    Read::by_ref(&mut file).take(ENOUGH).read_to_end(&mut first)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
    file.take(ENOUGH).read_to_end(&mut last)?;
    Ok((first, last))
}

/// The whole lines in a part of a log.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Line> {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
