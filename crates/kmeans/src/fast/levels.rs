//! Deciding rows level by level of the index.

use super::anchors::Anchors;
use super::judge::{self, Behind, Verdict};
use super::kernel::{self, LANES, Products, ROWS};
use super::project::Projected;
use super::{Look, Settled};
use crate::data::Data;
use crate::index::{Facts, IndexView};
use crate::lloyd::Counters;
use crate::simd::Simd;
use std::ops::Range;

/// Chunks of rows between asking for coordinates and using them.
const AHEAD: usize = 3;

/// A row that the first level decides gets an anchor all the same, where it would have to be looked
/// at again within so many iterations.
const PATIENCE: f32 = 3.0;

/// Bytes of scores that are worked on at a time.
const CACHE: usize = 1 << 16;

/// What deciding by the index needs.
pub(super) struct Levels {
    projected: Projected,
    anchors: Option<Anchors>,
    /// Whether centroids move so little that an anchor pays for every row that the first level does
    /// not decide for a while.
    pub(super) eager: bool,
    /// Rows that are decided together. Each has a *slot*.
    pub(super) capacity: usize,
    facts: Vec<Facts>,
    /// `[capacity, lanes]` each: scores so far, and their parts from behind the first level, which
    /// only anchors need.
    scores: Vec<f32>,
    tails: Vec<f32>,
    /// Of the rows at hand with each group of centroids.
    products: Vec<Products>,
    /// Slots that this level has to decide, and that it has left to the next.
    todo: Vec<u32>,
    left: Vec<u32>,
    contenders: Vec<u32>,
}

impl Levels {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let projected = Projected::new(index, k);
        let lanes = projected.lanes;
        let capacity = (CACHE / (lanes * size_of::<f32>())).clamp(ROWS, 512);
        let anchors = Anchors::new(index, lanes);
        let with_tails = if anchors.is_some() { capacity } else { 0 };
        Self {
            projected,
            anchors,
            eager: false,
            capacity,
            facts: vec![Facts::default(); capacity],
            scores: vec![0.0; capacity * lanes],
            tails: vec![0.0; with_tails * lanes],
            products: vec![Products::default(); lanes / LANES],
            todo: Vec::with_capacity(capacity),
            left: Vec::with_capacity(capacity),
            contenders: Vec::with_capacity(k),
        }
    }

    /// A new iteration begins, with these centroids. Returns whether they can be used.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        data: Data<'_>,
        centroids: &[f64],
    ) -> bool {
        let usable = self.projected.set(simd, index, data, centroids);
        if let Some(anchors) = &mut self.anchors {
            if !usable || self.projected.reach_fell {
                anchors.forget();
            }
            if usable {
                anchors.advance(simd, &self.projected);
            }
        }
        usable
    }

    /// Decides the rows of `visits`, at most `capacity` of them; a row's slot is its place there.
    pub(super) fn decide(
        &mut self,
        look: Look<'_>,
        index: &IndexView<'_>,
        visits: &[u32],
        settled: &mut Settled<'_>,
        counters: &mut Counters,
    ) {
        let last = index.layout.levels() - 1;
        self.todo.clear();
        self.todo.extend(0..visits.len() as u32);
        for level in 0..=last {
            let todo = std::mem::take(&mut self.todo);
            self.left.clear();
            for start in (0..todo.len()).step_by(ROWS) {
                let soon = todo.iter().skip(start + AHEAD * ROWS).take(ROWS);
                self.prefetch(index, level, soon.map(|&slot| visits[slot as usize]));
                let slots = &todo[start..todo.len().min(start + ROWS)];
                self.add(look.simd, index, level, slots, visits);
                if self.anchors.is_some() && self.eager && (1..last).contains(&level) {
                    self.left.extend_from_slice(slots);
                } else {
                    self.judge(look.simd, (level, last), slots, visits, settled, counters);
                }
            }
            counters.add_read(todo.len() * index.layout.widths[level], size_of::<i16>());
            self.todo = std::mem::replace(&mut self.left, todo);
        }
        let todo = std::mem::take(&mut self.todo);
        for &slot in &todo {
            self.decide_by_definition(look, last, slot as usize, visits, settled);
        }
        counters.by_definition += todo.len() as u64;
        counters.add_read(todo.len() * index.layout.d, size_of::<f32>());
        self.todo = todo;
    }

    fn prefetch(&self, index: &IndexView<'_>, level: usize, rows: impl Iterator<Item = u32>) {
        let (coordinates, width) = (index.level(level), index.layout.widths[level]);
        for row in rows {
            kernel::prefetch(&coordinates[row as usize * width..][..width]);
            if level < 2 {
                kernel::prefetch(index.stored_facts(row as usize, level == 1));
            }
            if level == 0
                && let Some(anchors) = &self.anchors
            {
                anchors.prefetch(row);
            }
        }
    }

    fn of_slot(&self, slot: u32) -> Range<usize> {
        let lanes = self.projected.lanes;
        slot as usize * lanes..(slot as usize + 1) * lanes
    }

    /// Adds what `level` gives to the scores of `slots`, at most [`ROWS`].
    fn add(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        level: usize,
        slots: &[u32],
        visits: &[u32],
    ) {
        let row_of = |slot: u32| visits[slot as usize] as usize;
        for &slot in slots {
            let facts = &mut self.facts[slot as usize];
            match level {
                0 => *facts = index.facts_of(row_of(slot)),
                1 => index.add_deep_facts(row_of(slot), facts),
                _ => {}
            }
        }
        let (coordinates, width) = (index.level(level), index.layout.widths[level]);
        let rows = std::array::from_fn(|i| {
            // Where there are fewer, the last stands in for those that are missing.
            let row = row_of(slots[i.min(slots.len() - 1)]);
            &coordinates[row * width..][..width]
        });
        let groups = self.projected.levels[level].chunks_exact(width * LANES);
        for (products, group) in self.products.iter_mut().zip(groups) {
            *products = kernel::products(simd, rows, group);
        }
        let (products, factors) = (&self.products, &self.projected.factors[level]);
        for (i, &slot) in slots.iter().enumerate() {
            let scale = self.facts[slot as usize].scales[level];
            let at = self.of_slot(slot);
            let scores = &mut self.scores[at.clone()];
            if level == 0 {
                scores.copy_from_slice(&self.projected.squares);
            } else if self.anchors.is_some() {
                let tails = &mut self.tails[at];
                if level == 1 {
                    tails.fill(0.0);
                }
                judge::add_products(simd, products, i, scale, factors, tails);
            }
            judge::add_products(simd, products, i, scale, factors, scores);
        }
    }

    /// Settles those of `slots`, at most [`ROWS`], that `level` decides.
    fn judge(
        &mut self,
        simd: Simd,
        (level, last): (usize, usize),
        slots: &[u32],
        visits: &[u32],
        settled: &mut Settled<'_>,
        counters: &mut Counters,
    ) {
        let row_of = |slot: u32| visits[slot as usize];
        if level == last
            && level > 0
            && let Some(anchors) = &mut self.anchors
        {
            let lanes = self.projected.lanes;
            for &slot in slots {
                anchors.put(row_of(slot), &self.tails[slot as usize * lanes..][..lanes]);
            }
        }
        let mut facts = [Facts::default(); ROWS];
        let mut scores: [&[f32]; ROWS] = [&[]; ROWS];
        let mut behind = [Behind::Level(level); ROWS];
        for (i, &slot) in slots.iter().enumerate() {
            facts[i] = self.facts[slot as usize];
            scores[i] = &self.scores[self.of_slot(slot)];
            if level == 0
                && let Some(anchors) = &self.anchors
                && let Some((products, drift)) = anchors.get(row_of(slot))
            {
                behind[i] = Behind::Anchor(products, drift);
            }
        }
        let count = slots.len();
        let verdicts =
            judge::judge(simd, &self.projected, &facts, &scores[..count], &behind[..count]);
        for (i, &slot) in slots.iter().enumerate() {
            let verdict = verdicts[i];
            let anchored = matches!(behind[i], Behind::Anchor(..));
            let hasty = self.eager
                && self.anchors.is_some()
                && level == 0
                && !anchored
                && settled.travel.outlook(verdict.best, &verdict.lead) < PATIENCE;
            if !verdict.is_certain() || hasty {
                self.left.push(slot);
                continue;
            }
            settled.settle(row_of(slot), verdict.best, &verdict.lead);
            if anchored {
                counters.by_anchor += 1;
            } else {
                counters.by_level[level] += 1;
            }
        }
    }

    /// Decides the row of a slot that `level`, the last, has left open.
    fn decide_by_definition(
        &mut self,
        look: Look<'_>,
        level: usize,
        slot: usize,
        visits: &[u32],
        settled: &mut Settled<'_>,
    ) {
        let scores = &self.scores[self.of_slot(slot as u32)];
        let (projected, facts) = (&self.projected, &self.facts[slot]);
        let behind = [Behind::Level(level)];
        let verdicts = judge::judge(look.simd, projected, &[*facts], &[scores], &behind);
        let Verdict { best, distance, .. } = verdicts[0];
        let contenders = &mut self.contenders;
        let margin = judge::contenders(projected, facts, scores, level, best as usize, contenders);
        look.decide_among(visits[slot], contenders, judge::lead(margin, distance), settled);
    }
}
