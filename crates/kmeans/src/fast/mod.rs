//! The engine that looks at as little data as it can prove to be enough.
//!
//! In an iteration, a row is decided by the first of these that is certain:
//!
//! 1. not looked at: no centroid has moved far enough since the last look ([`bounds`]);
//! 2. its scores of an earlier iteration, and its leading coordinates times what centroids have moved
//!    since ([`anchors`]);
//! 3. its codes, where it is coded and most of them are 0 ([`codes`]); else all its coordinates, two bytes
//!    each of the leading ones, and a byte of the others, then two bytes of all ([`planes`], [`weigh`]);
//! 4. its values, among the centroids that are left, in binary32 ([`close`]);
//! 5. the definition, among those.
//!
//! [`judge`] says when that is certain, and [`stages`] goes through them. Coordinates of rows come from
//! the index ([`crate::index`]), as bytes; centroids are rotated as rows were ([`centroids`],
//! [`product`]) and rounded to bytes too ([`level`]), and bytes are multiplied as such ([`kernel`]). Without an
//! index, a row that has to be looked at is decided by the definition among all centroids. Sums
//! follow the labels: rows whose label changed are taken out of one and added to another, which is
//! exact.

mod anchors;
mod bounds;
mod centroids;
mod close;
mod codes;
mod integers;
mod judge;
mod kernel;
mod level;
mod looks;
mod movements;
mod planes;
mod product;
mod record;
pub(crate) mod seeding;
mod stages;
mod weigh;
pub mod workloads;

use crate::clusters::Clusters;
use crate::coded;
use crate::data::Data;
use crate::distance::{self, Nearest};
use crate::exchange::Change;
use crate::index::{self, IndexView};
use crate::lloyd::{Assign, Counters};
use crate::rows::RowIndex;
use crate::simd::{Simd, prefetch};
use bounds::{Lead, Limit, Travel};
use judge::Verdicts;
use stages::{Stages, Task};
use std::slice;

/// Rows whose limits are looked at together, and of which so many are decided together.
const BLOCK: usize = 16384;
const TOGETHER: usize = 4096;

pub(crate) struct Fast<'a> {
    simd: Simd,
    data: Data<'a>,
    index: Option<IndexView<'a>>,
    /// The labels of the first iteration, as far as they are known; empty where none is.
    known: Vec<u32>,
    state: Option<State>,
    counters: Counters,
}

/// What is kept from iteration to iteration; made in the first.
struct State {
    travel: Travel,
    /// When each row has to be looked at again.
    limits: Vec<Limit>,
    stages: Option<Stages>,
    visits: Vec<u32>,
    /// What the definition found of those.
    found: Vec<(Nearest, f64)>,
    is_first: bool,
    changes: Vec<Change>,
}

impl<'a> Fast<'a> {
    /// `known` are the labels by the first centroids, [`Change::NOWHERE`] where they are not known, or
    /// none at all.
    ///
    /// # Panics
    /// Where `index` was made for other data.
    pub(crate) fn new(
        simd: Simd,
        data: Data<'a>,
        index: Option<IndexView<'a>>,
        known: Vec<u32>,
    ) -> Self {
        if let Some(index) = &index {
            let shape = (index.layout.n, index.layout.d);
            assert_eq!(shape, (data.rows.n(), data.rows.d()), "the index is of these rows");
        }
        Self { simd, data, index, known, state: None, counters: Counters::default() }
    }
}

impl Assign for Fast<'_> {
    fn assign(&mut self, centroids: &[f64], labels: &mut [u32], clusters: &mut Clusters) -> u64 {
        let Self { simd, data, index, ref mut counters, .. } = *self;
        let known = std::mem::take(&mut self.known);
        let look = Look { simd, data, centroids };
        let k = centroids.len() / data.rows.stride();
        let state = self.state.get_or_insert_with(|| State::new(simd, data, index.as_ref(), k));
        state.travel.advance(simd, centroids);
        let usable = match (&mut state.stages, &index) {
            (Some(stages), Some(index)) => stages.set(look, index),
            _ => false,
        };
        for (block, labels) in labels.chunks_mut(BLOCK).enumerate() {
            let start = block * BLOCK;
            let rows = start..start + labels.len();
            state.visits.clear();
            if known.is_empty() {
                state.travel.reached(simd, &state.limits, rows, labels, &mut state.visits);
            }
            let mut settled = Settled {
                start,
                labels,
                limits: &mut state.limits,
                travel: &state.travel,
                changes: &mut state.changes,
                is_first: state.is_first,
            };
            for (row, &label) in (start as u32..).zip(known.iter().skip(start).take(BLOCK)) {
                if label == Change::NOWHERE {
                    state.visits.push(row);
                } else {
                    // First centroids move too far for any lead to last.
                    settled.settle(row, label, Limit::NONE);
                    counters.rows_visited += 1;
                    counters.by_level[0] += 1;
                }
            }
            counters.rows_visited += state.visits.len() as u64;
            match (&mut state.stages, &index) {
                (Some(stages), Some(index)) if usable => {
                    let mut task = Task { look, index, settled: &mut settled, counters };
                    for visits in state.visits.chunks(TOGETHER) {
                        stages.decide(visits, &mut task);
                    }
                }
                _ => {
                    look.decide_among_all(&state.visits, &mut state.found, &mut settled);
                    counters.by_definition += state.visits.len() as u64;
                    counters.add_read(state.visits.len() * data.rows.d(), size_of::<f32>());
                }
            }
        }
        clusters.exchange_all(data, &mut state.changes);
        let changed = state.changes.len() as u64;
        state.changes.clear();
        counters.add_read(changed as usize * data.rows.d(), data.bytes_of_value());
        state.is_first = false;
        changed
    }

    fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }
}

impl State {
    fn new(simd: Simd, data: Data<'_>, index: Option<&IndexView<'_>>, k: usize) -> Self {
        let n = data.rows.n();
        let unit = index.map(|index| index.unit).or_else(|| index::unit(data)).unwrap_or(1.0);
        Self {
            travel: Travel::new(unit, k, data.rows.stride()),
            limits: vec![Limit::NONE; n],
            // A single centroid needs no telling apart.
            stages: index.filter(|_| k > 1).map(|index| Stages::new(simd, data, index, k)),
            visits: Vec::with_capacity(BLOCK),
            found: Vec::new(),
            is_first: true,
            changes: Vec::new(),
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
    changes: &'s mut Vec<Change>,
    /// Whether no row has a label yet.
    is_first: bool,
}

impl Settled<'_> {
    /// The label of `row` so far.
    #[inline]
    fn label(&self, row: u32) -> u32 {
        self.labels[row as usize - self.start]
    }

    /// Settles those of up to [`kernel::ROWS`] rows that `verdicts` decide: the bits that are set in what is
    /// returned.
    fn settle_all(&mut self, simd: Simd, rows: &[u32], verdicts: &Verdicts) -> u32 {
        let limits = self.travel.limits(simd, verdicts);
        let mut are_settled = 0;
        let found = verdicts.best.iter().zip(&verdicts.margin).zip(limits);
        for (i, (&row, ((&best, &margin), limit))) in rows.iter().zip(found).enumerate() {
            if margin > 0.0 {
                self.settle(row, best, limit);
                are_settled |= 1 << i;
            }
        }
        are_settled
    }

    /// `row` belongs to `to`, up to this limit.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "there are millions a run, and a call takes as long")]
    fn settle(&mut self, row: u32, to: u32, limit: Limit) {
        self.limits[row as usize] = limit;
        let label = &mut self.labels[row as usize - self.start];
        if *label != to {
            self.changes.push(Change { row, from: *label, to });
            *label = to;
        }
    }
}

/// What decisions are about; the definition looks at nothing else.
#[derive(Clone, Copy)]
struct Look<'l> {
    simd: Simd,
    data: Data<'l>,
    centroids: &'l [f64],
}

/// What the definition takes.
#[derive(Debug, Default)]
struct Room {
    /// Of a row that is coded.
    values: Vec<f32>,
    distances: Vec<f64>,
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
            let limit = settled.travel.limit(best.label, Lead::over_all(lead));
            settled.settle(row, best.label, limit);
        }
    }

    /// Asks for what a row's values are made of, and its facts, to be in the cache soon.
    fn prefetch(&self, index: &IndexView<'_>, row: u32) {
        let at = RowIndex::new(row as usize);
        match &self.data.coded {
            Some(coded) => prefetch(coded.codes(at.get())),
            None => prefetch(self.data.rows.row(at)),
        }
        prefetch(slice::from_ref(index.facts(at.get())));
    }

    /// The values of a row, in `room` where it is coded.
    fn values<'r>(&'r self, row: u32, room: &'r mut Vec<f32>) -> &'r [f32] {
        let at = RowIndex::new(row as usize);
        match &self.data.coded {
            Some(coded) => {
                room.resize(self.data.rows.stride(), 0.0);
                coded::decode(self.simd, coded, coded.codes(at.get()), room);
                room
            }
            None => self.data.rows.row(at),
        }
    }

    /// Decides a row of these `values` among `contenders`, ascending; any other centroid is farther than the
    /// nearest by at least `others`. Leaves their `distances`.
    fn decide_among(
        self,
        row: u32,
        values: &[f32],
        contenders: &[u32],
        others: f32,
        distances: &mut Vec<f64>,
        settled: &mut Settled<'_>,
    ) {
        let stride = self.data.rows.stride();
        distance::to_some(self.simd, values, self.centroids, stride, contenders, distances);
        let [first, second, third] = close::lowest_three(contenders, distances);
        let lead = |other| Self::lead(first.0, other, settled.travel);
        let rest = lead(third.0).min(others);
        let lead = Lead { near: lead(second.0), runner_up: second.1, rest };
        settled.settle(row, first.1, settled.travel.limit(first.1, lead));
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
mod pictures;
#[cfg(test)]
mod tests;
