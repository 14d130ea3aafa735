//! K-means whose result is defined to the bit.
//!
//! **What it is for.** One run: choose `k` first centroids ([`seeding`]), iterate Lloyd's algorithm
//! ([`lloyd`]), return centroids, labels and inertia ([`Fit`]). The algorithm is scikit-learn's
//! (`sklearn.cluster.KMeans(algorithm="lloyd")`); what is added is that every number has one
//! definition that does not depend on processor, threads, or the engine that computes it.
//!
//! **What it is not.** It reads no files, prints nothing, and scales no data: it is given normalised
//! rows as a [`Data`] view. A run is one thread; only what is computed once for all runs
//! ([`Statistics`], [`Index`]) takes several.
//!
//! # The definitions
//!
//! Everything below is IEEE 754 binary64 with round-to-nearest, no fused multiply-add, and no
//! reordering, so any machine computes the same bits. Rows `x` are binary32, centroids `c` binary64.
//!
//! * **Distance** ([`distance`]): 16 lanes; lane `l` adds `(x[i] - c[i])²` for `i = l, l+16, …` in
//!   this order; the lanes are then added as a binary tree (`l` and `l+8`, then `+4`, `+2`, `+1`).
//! * **Label**: the centroid with the smallest distance; of equal ones, the lowest index.
//! * **Centroid** ([`exact_sum`]): the sum of its rows is exact, whatever the order of additions
//!   and subtractions, is rounded once to binary64, and divided once by the number of rows.
//! * **An empty cluster** takes the row farthest from its own centroid of the assignment just made,
//!   the next one the next farthest, the lowest row of equals first; a row at distance 0 is not
//!   taken. One that takes none, or whose only row is taken, goes to the mean of the largest cluster.
//! * **Shift**: the squared distance of all centroids, one behind the other, to those before.
//! * **Inertia**: the distances of all rows to their returned centroids, added in row order.
//! * **Random numbers** ([`random`]): `ChaCha8`, keyed by (seed, k, `init_id`) and nothing else.
//!
//! An engine ([`Engine`]) may find a label in any way that provably gives the defined one.
//! [`Engine::Plain`] evaluates the definitions as they stand, and is what others are held against.
//! [`Engine::Fast`] decides by bounds (documented where they are: `fast`, [`index`]), with the help
//! of an [`Index`] where there is one, which may be computed with any rounding.
//!
//! # How data goes through
//!
//! ```text
//! Data (rows + Statistics), Index ─→ seeding ─→ first centroids ─→ lloyd: assign ⇄ sum, until it stops ─→ Fit ─→ digest
//! ```

mod clusters;
pub mod coded;
mod coded_sum;
pub mod data;
pub mod digest;
pub mod distance;
pub mod exact_sum;
mod exchange;
mod fast;
pub mod fit;
pub mod index;
mod integers;
mod lines;
pub mod lloyd;
mod plain;
pub mod random;
pub mod rows;
pub mod seeding;
pub mod simd;
pub mod sparse;
mod threads;

pub use clusters::Clusters;
pub use coded::CodedRows;
pub use data::{Data, Statistics};
pub use digest::Digest;
#[doc(hidden)]
pub use fast::workloads;
pub use fit::{Engine, Fit, FitError, Init, Observer, Parameters, fit};
pub use index::{Index, IndexView, Layout};
pub use lloyd::{Counters, Iteration, Stop};
pub use rows::{Magnitudes, RowIndex, Rows};
pub use simd::{Simd, SimdLevel};
pub use sparse::{Fours, SparseRows};
pub use threads::side_by_side;

/// Version of the definitions on this page. Results of different versions are never mixed:
/// it goes into the digest's domain and into what a resumed scan compares.
pub const DEFINITION_VERSION: u32 = 1;
