//! The journal: every finished run, on disk before anyone is told of it.
//!
//! ```text
//! "KSCANJN2"  8 bytes
//! frame       JournalKey: what the results depend on
//! frame …     Entry: one ended run each, in the order they ended
//! ```
//!
//! Frames are those of [`kscan_protocol::wire`]: length, checksum, payload. Whatever follows the
//! last whole and undamaged frame (half a record after a crash, blocks of zeros after a power cut)
//! is dropped when the journal is opened again.

use crate::FileError;
use crate::atomic::temporary_beside;
use kscan_dataset::expect_file;
use kscan_protocol::wire::{self, Decoder};
use kscan_protocol::{Attempt, Placement, RunId, RunRecord};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Another one for each layout of the records: an older journal is refused, never cut off.
const MAGIC: &[u8; 8] = b"KSCANJN2";

/// Most bytes of one entry: centroids of all practical sizes.
const ENTRY_LIMIT: u32 = 1 << 30;

/// What a scan's results depend on: a journal goes on only where all of it is equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalKey {
    /// Version of the definitions that results follow.
    pub definition_version: u32,
    /// Hash over the raw data.
    pub fingerprint: String,
    /// Name of the scaling.
    pub scale: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Where first centroids come from: a method's name, or a hash over given centroids.
    pub init: String,
    /// Most iterations a run.
    pub max_iter: u32,
    /// Relative tolerance.
    pub tol: f64,
    /// Every k.
    pub k: Vec<u32>,
    /// Initialisations a k.
    pub n_init: u32,
}

/// One ended run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// It succeeded.
    Finished(Box<RunRecord>),
    /// All its attempts failed.
    Failed(FailedRun),
}

/// A run whose attempts have all failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedRun {
    /// Which run.
    pub run: RunId,
    /// The last attempt.
    pub attempt: Attempt,
    /// Where and when that was started.
    pub placement: Placement,
    /// Seconds that it took.
    pub wall_s: f64,
    /// Why the last attempt failed.
    pub error: String,
}

/// A journal to append to.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Where what is damaged begins: cut off before anything is appended.
    cut_at: Option<u64>,
}

/// What a journal held when it was opened again.
#[derive(Debug)]
pub struct Recovered {
    /// What its results depend on.
    pub key: JournalKey,
    /// The ended runs, in the order they ended.
    pub entries: Vec<Entry>,
    /// Bytes at its end that were no whole, undamaged entry.
    pub dropped_bytes: u64,
}

impl Recovered {
    /// The runs that have ended, with a result and without, by run. A resumed scan may have finished
    /// what had failed before: the last word counts.
    #[must_use]
    pub fn last_words(self) -> (Vec<RunRecord>, Vec<FailedRun>) {
        let mut last = BTreeMap::new();
        for entry in self.entries {
            let run = match &entry {
                Entry::Finished(record) => record.run,
                Entry::Failed(failed) => failed.run,
            };
            last.insert(run, entry);
        }
        let (mut finished, mut failed) = (Vec::new(), Vec::new());
        for entry in last.into_values() {
            match entry {
                Entry::Finished(record) => finished.push(*record),
                Entry::Failed(run) => failed.push(run),
            }
        }
        (finished, failed)
    }
}

/// Why a journal cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no journal, or its first frame is damaged.
    #[error("{0} is no journal of this version of kscan")]
    NotAJournal(PathBuf),
    /// Another process has it open.
    #[error("{0} is in use by another kscan-coord")]
    Locked(PathBuf),
    /// An entry does not fit.
    #[error("a run's result is too large for the journal")]
    TooLarge(#[from] wire::WireError),
}

impl Journal {
    /// Begins a journal at `path`, where none may be yet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn create(path: &Path, key: &JournalKey) -> Result<Self, JournalError> {
        let mut start = MAGIC.to_vec();
        start.extend(wire::encode(key)?);
        // Under another name until its beginning is on disk: a journal without one could neither
        // be gone on with nor be begun again.
        let begin = || {
            let mut temporary = temporary_beside(path)?;
            temporary.write_all(&start)?;
            temporary.as_file().sync_all()?;
            Ok(temporary.persist_noclobber(path)?)
        };
        let fail = |error: io::Error| FileError::write(path, error).of(start.len() as u64);
        let file = begin().map_err(fail)?;
        lock(&file, path)?;
        Ok(Self { file, path: path.to_owned(), cut_at: None })
    }

    /// Opens the journal at `path` to go on with it. What is damaged at its end is cut off by the
    /// first [`Self::append`], not before: whoever decides not to go on has changed nothing.
    ///
    /// # Errors
    /// Where it cannot be read, is no journal, or another process has it open.
    pub fn reopen(path: &Path) -> Result<(Self, Recovered), JournalError> {
        let fail = |error| FileError::read(path, error);
        expect_file(path).map_err(fail)?;
        let mut options = OpenOptions::new();
        // A symbolic link would lead what is written elsewhere.
        options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = options.open(path).map_err(fail)?;
        lock(&file, path)?;
        let (recovered, good) = recover(&mut file, path)?;
        file.seek(SeekFrom::Start(good)).map_err(fail)?;
        let journal = Self { file, path: path.to_owned(), cut_at: Some(good) };
        Ok((journal, recovered))
    }

    /// Reads the journal at `path` as it stands, also while a scan writes to it.
    ///
    /// # Errors
    /// Where it cannot be read, or is no journal.
    pub fn read(path: &Path) -> Result<Recovered, JournalError> {
        let file = expect_file(path).and_then(|()| File::open(path));
        let mut file = file.map_err(|error| FileError::read(path, error))?;
        Ok(recover(&mut file, path)?.0)
    }

    /// Whether some process has the journal at `path` open to write.
    #[must_use]
    pub fn is_in_use(path: &Path) -> bool {
        // Of a pipe, even the opening would wait.
        expect_file(path)
            .and_then(|()| File::open(path))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Appends an ended run. When this returns it is on disk.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let frame = wire::encode(entry)?;
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let mut write = || {
            if let Some(good) = self.cut_at.take() {
                self.file.set_len(good)?;
            }
            self.file.write_all(bytes)?;
            self.file.sync_data()
        };
        write().map_err(|error| FileError::write(&self.path, error).of(bytes.len() as u64).into())
    }
}

/// Held while the file is open, and gone with its process.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    // A coordinator that was just killed may leave the lock for a moment to a worker that it was
    // starting, which has its open files until it becomes the worker.
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(error)) => return Err(FileError::write(path, error).into()),
        }
    }
    Err(JournalError::Locked(path.to_owned()))
}

/// What is whole in the journal, and how many bytes of it that is.
fn recover(file: &mut File, path: &Path) -> Result<(Recovered, u64), JournalError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| FileError::read(path, error))?;
    let not_a_journal = || JournalError::NotAJournal(path.to_owned());
    let frames = bytes.strip_prefix(MAGIC).ok_or_else(not_a_journal)?;
    let mut decoder = Decoder::new(ENTRY_LIMIT);
    decoder.push(frames);
    let (key, length) = decoder.decode::<JournalKey>().ok().flatten().ok_or_else(not_a_journal)?;
    let mut good = (MAGIC.len() + length) as u64;
    let mut entries = Vec::new();
    while let Ok(Some((entry, length))) = decoder.decode() {
        entries.push(entry);
        good += length as u64;
    }
    let dropped_bytes = bytes.len() as u64 - good;
    Ok((Recovered { key, entries, dropped_bytes }, good))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> JournalKey {
        JournalKey {
            definition_version: 1,
            fingerprint: "ab".into(),
            scale: "standard".into(),
            seed: 7,
            init: "k-means++".into(),
            max_iter: 300,
            tol: 1e-4,
            k: vec![5, 6],
            n_init: 2,
        }
    }

    fn entry(k: u32) -> Entry {
        let run = RunId { k, init_id: 0 };
        Entry::Failed(FailedRun {
            run,
            attempt: Attempt(3),
            placement: Placement { slot: 1, started_s: 2.5 },
            wall_s: 0.5,
            error: "killed by SIGKILL".into(),
        })
    }

    /// A journal with three entries, and where each of them ends.
    fn written(folder: &Path) -> (PathBuf, Vec<u64>) {
        let path = folder.join("journal.bin");
        let mut journal = Journal::create(&path, &key()).unwrap();
        let mut ends = vec![std::fs::metadata(&path).unwrap().len()];
        for k in 5..8 {
            journal.append(&entry(k)).unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
        (path, ends)
    }

    #[test]
    fn cut_at_any_byte_it_keeps_all_whole_entries_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for cut in ends[0]..=ends[3] {
            std::fs::write(&path, &whole[..cut as usize]).unwrap();
            let (mut journal, found) = Journal::reopen(&path).unwrap();
            let kept = ends.iter().rposition(|&end| end <= cut).unwrap();
            assert_eq!(found.entries.len(), kept, "cut at {cut}");
            assert_eq!(found.dropped_bytes, cut - ends[kept]);
            journal.append(&entry(9)).unwrap();
            drop(journal);
            let again = Journal::read(&path).unwrap();
            assert_eq!(again.entries.last(), Some(&entry(9)));
            assert_eq!((again.entries.len(), again.dropped_bytes), (kept + 1, 0));
        }
    }

    #[test]
    fn zeros_and_flipped_bits_are_dropped_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut zeros = whole.clone();
        zeros.extend([0; 4096]);
        std::fs::write(&path, &zeros).unwrap();
        let found = Journal::read(&path).unwrap();
        assert_eq!((found.entries.len(), found.dropped_bytes), (3, 4096));
        for byte in ends[1]..ends[2] {
            let mut damaged = whole.clone();
            damaged[byte as usize] ^= 0x04;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(Journal::read(&path).unwrap().entries, [entry(5)], "byte {byte}");
        }
    }

    #[test]
    fn a_second_writer_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(folder.path());
        let first = Journal::reopen(&path).unwrap();
        assert!(matches!(Journal::reopen(&path), Err(JournalError::Locked(_))));
        drop(first);
        assert!(Journal::reopen(&path).is_ok());
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.bin");
        let mut older = b"KSCANJNL".to_vec();
        older.extend(wire::encode(&key()).unwrap());
        for bytes in
            [&b""[..], b"KSCANJN", MAGIC, b"KSCANJN2xxxxxxxxxxxxxxxx", b"PK\x03\x04", &older]
        {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(Journal::read(&path), Err(JournalError::NotAJournal(_))), "{bytes:?}");
        }
    }
}
