//! The journal on a thread of its own: waiting for the disk must not keep a slot empty.

use kscan_results::{Entry, Journal, JournalError};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;

/// Appends entries in the order given, and tells of each when it is on disk.
pub(crate) struct JournalThread {
    entries: mpsc::Sender<Entry>,
    thread: JoinHandle<Journal>,
}

/// An entry on disk, or why it could not be put there.
pub(crate) type Written = Result<Entry, JournalError>;

impl JournalThread {
    /// Starts it; `written` is where it tells of entries.
    pub(crate) fn start(
        mut journal: Journal,
        written: UnboundedSender<Written>,
    ) -> std::io::Result<Self> {
        let (entries, receiver) = mpsc::channel();
        let append = move || {
            for entry in receiver {
                let outcome = journal.append(&entry).map(|()| entry);
                let failed = outcome.is_err();
                if written.send(outcome).is_err() || failed {
                    break;
                }
            }
            journal
        };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(append)?;
        Ok(Self { entries, thread })
    }

    /// Hands over an ended run. After a failure, which was told of, this does nothing.
    pub(crate) fn append(&self, entry: Entry) {
        let _ = self.entries.send(entry);
    }

    /// Waits until all entries are on disk, and gives the journal back: as long as someone has it,
    /// the scan counts as running.
    pub(crate) fn finish(self) -> Option<Journal> {
        drop(self.entries);
        // A panic there was reported by its hook, and has lost no acknowledged entry.
        self.thread.join().ok()
    }
}
