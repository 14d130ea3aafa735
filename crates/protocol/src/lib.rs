//! What coordinator and worker say to each other, and how it looks on the wire.
//!
//! **What it is for.** The coordinator sends one [`Job`] to a worker's standard input; the worker
//! answers with [`Report`]s: a greeting, progress, and in the end a [`RunRecord`] or the reason why
//! there is none. The journal keeps finished runs in the same frames.
//!
//! **What it is not.** It opens no pipes and waits for nothing: [`wire`] turns messages into bytes
//! and back, whoever reads and writes them.
//!
//! ```text
//! coordinator ── Job ──→ frame ──→ worker
//! coordinator ←─ frame ←── Report (Hello, Seeded, Iterated …, Finished | Failed) ── worker
//! ```

mod messages;
pub mod wire;

pub use messages::{
    Attempt, FailureKind, FirstCentroids, Hello, Iterated, Job, PROTOCOL_VERSION, ParseRunIdError,
    Placement, Report, RunFailure, RunId, RunRecord, Usage,
};
