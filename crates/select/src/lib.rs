//! What a finished scan says about the data: which k, and which cluster holds what.
//!
//! A scan leaves one inertia for every (k, initialisation). This crate turns
//! those numbers into the answers a user came for:
//!
//! ```text
//! (k, init_id, inertia) … → best_per_k → find_elbow, kneedle, elbow_confidence ─┐
//! rows, labels, centroids → survey, silhouettes ─→ Criteria ────────────────────┼→ choose → Chosen
//! labels, clusters        → contingency → Contingency ─→ agreement ─┘           │
//! best inertias, those of reference data → gap ─────────────────────────────────┘
//! ```
//!
//! - [`best_per_k`] keeps the best initialisation of every k.
//! - [`find_elbow`] looks for the k where the curve of best inertias bends, by
//!   fitting one straight line left and one right of every possible bend
//!   ([`fit_line`]).
//! - [`elbow_confidence`] finds the elbow again of resampled runs.
//! - [`kneedle()`] is another rule of the same curve.
//! - [`survey()`] looks at all rows once and measures the clusters of the best
//!   runs; [`silhouettes`] looks at the distances between rows.
//! - [`ColumnRanges`] draws reference data without clusters, and [`gap()`] says
//!   how much less compact its clusters are.
//! - [`contingency()`] counts how the known labels of the rows fall into the
//!   clusters, and [`Contingency::agreement`] says how well they agree.
//! - [`choose()`] applies every rule and says whether they agree.
//!
//! It is not where anything is clustered, read, printed or plotted: all input
//! is slices in memory, all output is plain data that serialises with serde.
//! Every function is deterministic: the same input gives the same bits, on any
//! number of threads. Distances, exact sums and random streams are those of
//! `kscan-kmeans`.
//!
//! ```
//! use kscan_select::{CurvePoint, best_per_k, find_elbow};
//!
//! let runs = [(2, 90.0), (3, 50.0), (4, 10.0), (5, 9.0), (6, 8.5), (4, 10.5)];
//! let best = best_per_k(runs.iter().enumerate().map(|(init_id, &(k, inertia))| CurvePoint {
//!     k,
//!     inertia,
//!     init_id,
//! }));
//! let k: Vec<usize> = best.iter().map(|point| point.k).collect();
//! let inertia: Vec<f64> = best.iter().map(|point| point.inertia).collect();
//! assert_eq!(find_elbow(&k, &inertia)?.k, 5);
//! # Ok::<(), kscan_select::NoElbow>(())
//! ```

mod agreement;
mod choose;
mod confidence;
mod contingency;
mod criteria;
mod curve;
mod dispersion;
mod elbow;
mod gap;
mod kneedle;
mod line;
mod look;
mod silhouette;
mod survey;
mod threads;
mod verdict;

pub use choose::{Chosen, choose};
pub use confidence::{Confidence, RESAMPLES, elbow_confidence};
pub use contingency::{Contingency, contingency};
pub use criteria::{Cluster, Criteria, Gap, LabelAgreement, Silhouette};
pub use curve::{CurvePoint, best_per_k};
pub use elbow::{Elbow, NoElbow, find_elbow};
pub use gap::{ColumnRanges, NoGap, gap};
pub use kneedle::{NoKnee, kneedle};
pub use line::{LineFit, fit_line};
pub use silhouette::{SILHOUETTE_ROWS, Silhouettes, silhouettes};
pub use survey::{Partition, Survey, survey};
pub use verdict::{
    Choice, ENOUGH_BEND, ENOUGH_RESAMPLES, Rule, Verdict, VerdictKind, choices, verdict,
};
