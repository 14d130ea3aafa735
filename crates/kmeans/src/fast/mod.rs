//! The engine that looks at as little data as it can prove to be enough.
//!
//! In an iteration, a row is decided by the first of these that is certain:
//!
//! 1. not looked at: no centroid has moved far enough since the last look ([`bounds`]);
//! 2. its leading coordinates, with what its other coordinates gave some iterations ago where that
//!    is known: its *anchor* ([`anchors`]);
//! 3. its leading coordinates alone, then those of the next level, and so on ([`levels`], [`judge`]);
//! 4. the definition, among the centroids that are left.
//!
//! Coordinates come from the index ([`crate::index`]), as integers that are multiplied with 16
//! centroids at a time ([`kernel`], [`project`]). Without an index, a row that has to be looked at
//! is decided by the definition among all centroids. Sums follow the labels: rows whose label
//! changed are taken out of one and added to another, which is exact.

mod anchors;
mod bounds;
mod judge;
mod kernel;
mod levels;
mod project;
pub(crate) mod seeding;
mod weigh;

use crate::data::Data;
use crate::distance::{self, Nearest};
use crate::index::{self, IndexView, MAX_LEVELS};
use crate::lloyd::{Assign, Clusters, Counters};
use crate::rows::RowIndex;
use crate::simd::Simd;
use bounds::{Lead, Limit, Travel};
use levels::Levels;

/// Rows whose limits are looked at together.
const BLOCK: usize = 4096;

/// Per cent of rows that may change for anchors to be made eagerly.
const EAGER: u64 = 10;

pub(crate) struct Fast<'a> {
    simd: Simd,
    data: Data<'a>,
    index: Option<IndexView<'a>>,
    state: Option<State>,
    counters: Counters,
}

/// What is kept from iteration to iteration; made in the first.
struct State {
    travel: Travel,
    /// When each row has to be looked at again, `[n]`.
    limits: Vec<Limit>,
    levels: Option<Levels>,
    visits: Vec<u32>,
    /// What the definition found of those.
    found: Vec<(Nearest, f64)>,
    moves: Vec<Move>,
}

/// A row that changes its label.
#[derive(Debug, Clone, Copy)]
struct Move {
    row: u32,
    from: u32,
    to: u32,
}

impl<'a> Fast<'a> {
    /// # Panics
    /// Where `index` was made for other data.
    pub(crate) fn new(simd: Simd, data: Data<'a>, index: Option<IndexView<'a>>) -> Self {
        if let Some(index) = &index {
            let shape = (index.layout.n, index.layout.d);
            assert_eq!(shape, (data.rows.n(), data.rows.d()), "the index is of these rows");
        }
        Self { simd, data, index, state: None, counters: Counters::default() }
    }
}

impl Assign for Fast<'_> {
    fn assign(&mut self, centroids: &[f64], labels: &mut [u32], clusters: &mut Clusters) -> u64 {
        let Self { simd, data, index, ref mut counters, .. } = *self;
        let k = centroids.len() / data.rows.stride();
        let first = self.state.is_none();
        let state = self.state.get_or_insert_with(|| State::new(data, index.as_ref(), k));
        state.travel.advance(simd, centroids);
        let usable = match (&mut state.levels, &index) {
            (Some(levels), Some(index)) => levels.set(simd, index, data, centroids),
            _ => false,
        };
        let mut changed = 0;
        for (block, labels) in labels.chunks_mut(BLOCK).enumerate() {
            let start = block * BLOCK;
            let limits = &state.limits[start..][..labels.len()];
            state.visits.clear();
            state.travel.reached(simd, start, limits, labels, &mut state.visits);
            counters.rows_visited += state.visits.len() as u64;
            let look = Look { simd, data, centroids };
            let mut settled = Settled {
                start,
                labels,
                limits: &mut state.limits,
                travel: &state.travel,
                moves: &mut state.moves,
            };
            match (&mut state.levels, &index) {
                (Some(levels), Some(index)) if usable => {
                    for visits in state.visits.chunks(levels.capacity) {
                        levels.decide(look, index, visits, &mut settled, counters);
                    }
                }
                _ => {
                    look.decide_among_all(&state.visits, &mut state.found, &mut settled);
                    counters.by_definition += state.visits.len() as u64;
                    counters.add_read(state.visits.len() * data.rows.d(), size_of::<f32>());
                }
            }
            changed += state.moves.len() as u64;
            for (index, &Move { row, from, to }) in state.moves.iter().enumerate() {
                if let Some(next) = state.moves.get(index + 2) {
                    kernel::prefetch(data.rows.row(RowIndex::new(next.row as usize)));
                }
                let row = data.rows.row(RowIndex::new(row as usize));
                if first {
                    clusters.add(row, to);
                } else {
                    clusters.exchange(row, from, to);
                }
            }
            counters.add_read(state.moves.len() * data.rows.d(), size_of::<f32>());
            state.moves.clear();
        }
        if let Some(levels) = &mut state.levels {
            levels.eager = changed < EAGER * data.rows.n() as u64 / 100;
        }
        changed
    }

    fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }
}

impl State {
    fn new(data: Data<'_>, index: Option<&IndexView<'_>>, k: usize) -> Self {
        let n = data.rows.n();
        let unit = index.map(|index| index.unit).or_else(|| index::unit(data)).unwrap_or(1.0);
        Self {
            travel: Travel::new(unit, k, data.rows.stride()),
            limits: vec![Limit::NONE; n],
            // A single centroid needs no telling apart.
            levels: index.filter(|_| k > 1).map(|index| Levels::new(index, k)),
            visits: Vec::with_capacity(BLOCK),
            found: Vec::new(),
            moves: Vec::new(),
        }
    }
}

/// Where decisions go.
struct Settled<'s> {
    /// The row that `labels` start with.
    start: usize,
    labels: &'s mut [u32],
    /// Of all rows.
    limits: &'s mut [Limit],
    travel: &'s Travel,
    moves: &'s mut Vec<Move>,
}

impl Settled<'_> {
    /// `row` belongs to `to`, and leads by `lead`.
    #[inline]
    fn settle(&mut self, row: u32, to: u32, lead: &Lead) {
        self.limits[row as usize] = self.travel.limit(to, lead);
        let label = &mut self.labels[row as usize - self.start];
        if *label != to {
            self.moves.push(Move { row, from: *label, to });
            *label = to;
        }
    }
}

/// What a decision by the definition looks at.
#[derive(Clone, Copy)]
struct Look<'l> {
    simd: Simd,
    data: Data<'l>,
    centroids: &'l [f64],
}

impl Look<'_> {
    /// Decides all of `visits` by the definition, with room in `found`.
    fn decide_among_all(
        self,
        visits: &[u32],
        found: &mut Vec<(Nearest, f64)>,
        settled: &mut Settled<'_>,
    ) {
        distance::nearest_two_each(self.simd, self.data.rows, visits, self.centroids, found);
        for (&row, &(best, second)) in visits.iter().zip(&*found) {
            let lead = Self::lead(best.distance, second, settled.travel);
            settled.settle(row, best.label, &Lead::over_all(lead));
        }
    }

    /// Among `contenders`, ascending; any other centroid is farther than the nearest by at least
    /// `lead`.
    fn decide_among(self, row: u32, contenders: &[u32], lead: f32, settled: &mut Settled<'_>) {
        let stride = self.data.rows.stride();
        let values = self.data.rows.row(RowIndex::new(row as usize));
        let (best, second) =
            distance::nearest_two_of(self.simd, values, self.centroids, stride, contenders);
        let lead = lead.min(Self::lead(best.distance, second, settled.travel));
        settled.settle(row, best.label, &Lead::over_all(lead));
    }

    /// The lead, in units, of a row whose two smallest defined distances are these. Each is within
    /// a relative 1e-9 of the true one (see [`bounds`]).
    fn lead(nearest: f64, second: f64, travel: &Travel) -> f32 {
        let lead = (second.sqrt() * (1.0 - 1e-9) - nearest.sqrt() * (1.0 + 2e-9)) * travel.unit();
        // Rounded down: binary32 rounds by less than this.
        (lead * (1.0 - 1e-7)) as f32
    }
}

#[cfg(test)]
mod tests;

const _: () = assert!(MAX_LEVELS == Counters::LEVELS, "a counter for each level");
