//! What a worker says: reports over one pipe, whatever else over the other.

use super::error::{AttemptError, is_about_memory};
use super::{Ended, Message, Voice};
use kscan_protocol::wire::Decoder;
use kscan_protocol::{Hello, Job, PROTOCOL_VERSION, Report, RunRecord};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout};

/// Lines of standard error that are kept of a worker, and bytes of each.
const STDERR_LINES: usize = 1000;
const STDERR_LINE_LEN: u64 = 4096;

/// Reads reports until the last one; `None` where the pipe ends before it.
pub(super) async fn read_reports(
    mut stdout: ChildStdout,
    limit: u32,
    job: &Job,
    voice: &Voice,
) -> Result<Option<Ended>, AttemptError> {
    let mut decoder = Decoder::new(limit);
    let mut buffer = vec![0; 1 << 16];
    loop {
        while let Some((report, _)) = decoder.decode()? {
            match report {
                Report::Hello(Hello { protocol, .. }) if protocol != PROTOCOL_VERSION => {
                    return Err(AttemptError::Version { found: protocol });
                }
                Report::Hello(_) | Report::Seeded => {}
                Report::Iterated(iterated) => voice.say(Message::Iterated(iterated)),
                Report::Finished { record, .. } if record.run != job.run => {
                    return Err(AttemptError::WrongRun(record.run));
                }
                Report::Finished { record, labels } if !fits(job, &record, &labels) => {
                    return Err(AttemptError::Malformed);
                }
                Report::Finished { record, labels } => {
                    return Ok(Some(Ended::Finished { record, labels }));
                }
                Report::Failed(failure) => {
                    return Ok(Some(Ended::Failed(AttemptError::Reported(failure))));
                }
            }
        }
        match stdout.read(&mut buffer).await.map_err(AttemptError::Pipe)? {
            0 if decoder.pending() > 0 => return Err(AttemptError::Torn(decoder.pending())),
            0 => return Ok(None),
            length => decoder.push(&buffer[..length]),
        }
    }
}

/// Whether a result has the sizes that its job asks for: all that comes later relies on them.
fn fits(job: &Job, record: &RunRecord, labels: &[u32]) -> bool {
    let (n, d) = job.shape;
    let k = job.run.k;
    let centroids = Some(record.centroids.len() as u64);
    centroids == d.checked_mul(k.into())
        && record.init_centers.len() == record.centroids.len()
        && labels.len() as u64 == n
        && labels.iter().all(|&label| label < k)
        && record.distinct_clusters <= k
}

/// Passes on what comes on standard error until that ends, and returns the worker's last words:
/// its last line, or the one that tells of want of memory.
pub(super) async fn read_stderr(stderr: ChildStderr, voice: Voice) -> Option<String> {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let mut lines = 0;
    let mut last: Option<String> = None;
    // Lines of bounded length, and whatever is no text shown as such.
    while let Ok(1..) = (&mut reader).take(STDERR_LINE_LEN).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        lines += 1;
        if lines <= STDERR_LINES {
            voice.say(Message::Stderr(text.clone()));
        } else if lines == STDERR_LINES + 1 {
            voice.say(Message::Stderr("(what follows is not kept)".to_owned()));
        }
        if !text.is_empty() && !last.as_deref().is_some_and(is_about_memory) {
            last = Some(text);
        }
        line.clear();
    }
    last
}
