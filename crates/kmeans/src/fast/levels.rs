//! Deciding rows level by level of the index.

use super::anchors::Anchors;
use super::judge::{self, Verdict};
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
    /// Rows that are decided together.
    pub(super) capacity: usize,
    /// Those of them that are left to decide, and, `[capacity, lanes]` each in the same order, their
    /// scores so far and the parts of those from behind the first level, which only anchors need.
    rows: Vec<u32>,
    scores: Vec<f32>,
    tails: Vec<f32>,
    /// Of the rows at hand with each group of centroids.
    products: Vec<Products>,
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
            rows: Vec::with_capacity(capacity),
            scores: vec![0.0; capacity * lanes],
            tails: vec![0.0; with_tails * lanes],
            products: vec![Products::default(); lanes / LANES],
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

    /// Decides the rows of `visits`, at most `capacity` of them.
    pub(super) fn decide(
        &mut self,
        look: Look<'_>,
        index: &IndexView<'_>,
        visits: &[u32],
        settled: &mut Settled<'_>,
        counters: &mut Counters,
    ) {
        let last = index.layout.levels() - 1;
        self.rows.clear();
        self.rows.extend_from_slice(visits);
        for level in 0..=last {
            let count = self.rows.len();
            counters.add_read(count * index.layout.widths[level], size_of::<i16>());
            let mut kept = 0;
            for start in (0..count).step_by(ROWS) {
                let chunk = start..count.min(start + ROWS);
                self.prefetch(index, level, start + AHEAD * ROWS);
                let facts = self.add(look.simd, index, level, chunk.clone());
                if level == last && level > 0 {
                    self.anchor(chunk.clone());
                }
                if self.anchors.is_some() && self.eager && (1..last).contains(&level) {
                    kept = chunk.end;
                } else {
                    kept = self.judge(look.simd, level, &facts, chunk, kept, settled, counters);
                }
            }
            self.rows.truncate(kept);
        }
        for place in 0..self.rows.len() {
            self.decide_by_definition(look, index, last, place, settled);
        }
        counters.by_definition += self.rows.len() as u64;
        counters.add_read(self.rows.len() * index.layout.d, size_of::<f32>());
    }

    /// Asks for what `level` reads of the rows from `place` on.
    #[inline]
    fn prefetch(&self, index: &IndexView<'_>, level: usize, place: usize) {
        let (coordinates, width) = (index.level(level), index.layout.widths[level]);
        for &row in self.rows.iter().skip(place).take(ROWS) {
            kernel::prefetch(&coordinates[row as usize * width..][..width]);
            match level {
                0 => {
                    kernel::prefetch(index.first_facts_of(row as usize));
                    if let Some(anchors) = &self.anchors {
                        anchors.prefetch(row);
                    }
                }
                1 => kernel::prefetch(index.deep_facts_of(row as usize)),
                _ => {}
            }
        }
    }

    /// The scores of the row at `place`.
    fn scores_at(&self, place: usize) -> &[f32] {
        let lanes = self.projected.lanes;
        &self.scores[place * lanes..][..lanes]
    }

    /// Adds what `level` gives to the scores of a `chunk` of at most [`ROWS`] rows, of which it
    /// returns the facts; where there are fewer, the last stands in for those that are missing.
    #[inline]
    fn add(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        level: usize,
        chunk: Range<usize>,
    ) -> [Facts; ROWS] {
        let Self { projected, rows, products, scores, tails, .. } = self;
        let (coordinates, width) = (index.level(level), index.layout.widths[level]);
        // Loops, because mapping an array is a call for each element.
        let mut facts = [Facts::default(); ROWS];
        let mut values: [&[i16]; ROWS] = [&[]; ROWS];
        for i in 0..ROWS {
            let row = rows[(chunk.start + i).min(chunk.end - 1)] as usize;
            values[i] = &coordinates[row * width..][..width];
            facts[i] = index.facts_of(row, level);
        }
        let groups = projected.levels[level].chunks_exact(width * LANES);
        for (products, group) in products.iter_mut().zip(groups) {
            *products = kernel::products(simd, values, group);
        }
        let lanes = projected.lanes;
        let at = chunk.start * lanes..chunk.end * lanes;
        let scores = &mut scores[at.clone()];
        let mut behind: &mut [f32] = &mut [];
        if level == 0 {
            for scores in scores.chunks_exact_mut(lanes) {
                scores.copy_from_slice(&projected.squares);
            }
        } else if self.anchors.is_some() {
            behind = &mut tails[at];
            if level == 1 {
                behind.fill(0.0);
            }
        }
        judge::add_products(simd, products, &facts, &projected.factors[level], scores, behind);
        facts
    }

    /// Gives a `chunk` of rows that have gone through all levels anchors.
    fn anchor(&mut self, chunk: Range<usize>) {
        let lanes = self.projected.lanes;
        if let Some(anchors) = &mut self.anchors {
            for place in chunk {
                anchors.put(self.rows[place], &self.tails[place * lanes..][..lanes]);
            }
        }
    }

    /// Settles those of a `chunk` of at most [`ROWS`] rows that `level` decides, and moves the others
    /// to `kept` and behind. Returns where these end.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "where from and where to")]
    fn judge(
        &mut self,
        simd: Simd,
        level: usize,
        facts: &[Facts; ROWS],
        chunk: Range<usize>,
        mut kept: usize,
        settled: &mut Settled<'_>,
        counters: &mut Counters,
    ) -> usize {
        let lanes = self.projected.lanes;
        let anchors = self.anchors.as_ref().filter(|_| level == 0);
        let plain = self.projected.behind(level);
        let mut sides = [judge::sides(facts[0], self.scores_at(chunk.start), plain); ROWS];
        let mut is_anchored = [false; ROWS];
        for (i, place) in chunk.clone().enumerate() {
            let anchor = anchors.and_then(|anchors| anchors.get(self.rows[place]));
            is_anchored[i] = anchor.is_some();
            let behind = anchor.unwrap_or(plain);
            sides[i] = judge::sides(facts[i], self.scores_at(place), behind);
        }
        let verdicts = judge::judge(simd, &self.projected, &sides);
        for (i, place) in chunk.enumerate() {
            let verdict = &verdicts[i];
            let hasty = self.eager
                && self.anchors.is_some()
                && level == 0
                && !is_anchored[i]
                && settled.travel.outlook(verdict.best, &verdict.lead) < PATIENCE;
            if !verdict.is_certain() || hasty {
                self.rows[kept] = self.rows[place];
                self.scores.copy_within(place * lanes..(place + 1) * lanes, kept * lanes);
                if level > 0 && self.anchors.is_some() {
                    self.tails.copy_within(place * lanes..(place + 1) * lanes, kept * lanes);
                }
                kept += 1;
                continue;
            }
            settled.settle(self.rows[place], verdict.best, &verdict.lead);
            if is_anchored[i] {
                counters.by_anchor += 1;
            } else {
                counters.by_level[level] += 1;
            }
        }
        kept
    }

    /// Decides the row at `place`, which `level`, the last, has left open.
    fn decide_by_definition(
        &mut self,
        look: Look<'_>,
        index: &IndexView<'_>,
        level: usize,
        place: usize,
        settled: &mut Settled<'_>,
    ) {
        let (row, lanes) = (self.rows[place], self.projected.lanes);
        let scores = &self.scores[place * lanes..][..lanes];
        let projected = &self.projected;
        let facts = index.facts_of(row as usize, level);
        let sides = judge::sides(facts, scores, projected.behind(level));
        let verdicts = judge::judge(look.simd, projected, &[sides; ROWS]);
        let Verdict { best, distance, .. } = verdicts[0];
        let contenders = &mut self.contenders;
        let margin = judge::contenders(projected, &facts, scores, level, best as usize, contenders);
        look.decide_among(row, contenders, judge::lead(margin, distance), settled);
    }
}
