//! A scan, from its plan to its files.
//!
//! ```text
//! plan ─→ begin (folder, journal) ─→ prepare (shared file) ─→ dispatch ⇄ attempt (a worker process each)
//!                                     │ journal thread: on disk before anyone is told
//!                                     ├─→ references: the same of each reference table, where asked for
//!                                     └─→ reduce (best per k, elbow, contingency) ─→ run folder
//! ```

pub(crate) mod attempt;
pub(crate) mod attempt_log;
pub(crate) mod begin;
pub(crate) mod cgroup;
pub(crate) mod dispatch;
pub(crate) mod execute;
pub(crate) mod first_centroids;
pub(crate) mod journal_thread;
pub(crate) mod memory;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod reduce;
pub(crate) mod references;
pub(crate) mod running;
pub(crate) mod signals;
