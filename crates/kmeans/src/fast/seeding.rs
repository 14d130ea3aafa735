//! Greedy k-means++ that chooses the same rows as the definition without computing most distances.
//!
//! The definition ([`crate::seeding`]) asks two things of all distances: whether a proposed row is
//! taken, and which candidate leaves the smallest potential. Both are comparisons, so intervals do:
//! every row keeps one for its D², and candidates are compared by their *gain*, the potential that
//! they take away: `sum max(0, D² - d²)` over all rows.
//!
//! By [`super::judge`], with a candidate as the centroid, a row's distance is, in units,
//!
//! ```text
//! d² = |w|² + g +- 2 |(y_b, t)| |(z_b, s)| +- 2 |e| |v| +- 2 |w| |f| +- slop
//! ```
//!
//! A row whose d² is certainly not below its D² adds nothing to a gain; all others go on to the next
//! level, where intervals are tighter. Candidates that can no longer win are dropped after each.
//! Where the last level leaves more than one, the rows that are left are evaluated by the
//! definition, and where even their sums are as close as rounding of the definition's own sum could
//! matter, all rows are.
//!
//! # Rounding
//!
//! `slop` is twice that of [`super::judge`]: `|w|²` is taken from a norm rounded up to binary32, a
//! relative `2^-22`, and each end of an interval passes three more roundings. Gains are added in
//! binary64, `n` numbers of at most 4 each. The definition's potentials are binary64 sums, in which
//! the relative error is below `n 2^-53`: differences below [`Seeder::margin`] are not trusted.

use super::judge::{BLOWN, slop};
use super::kernel::{self, LANES, Products, ROWS};
use super::project::{Lanes, Projected};
use crate::data::Data;
use crate::distance;
use crate::index::{Facts, IndexView, Layout};
use crate::random::RunRandom;
use crate::rows::RowIndex;
use crate::seeding::{Proposal, as_centroid, candidates_per_round, draw_by_cumulative_sum};
use crate::simd::{Simd, multiversion};
use std::ops::Range;

/// Chunks of rows between asking for coordinates and using them.
const AHEAD: usize = 3;

/// Most clusters: more candidates a round would not fit a group.
const MOST: usize = 1 << 19;

/// Fewest coordinates that are worth it: below, a whole distance takes no longer than a look.
const NARROWEST: usize = 64;

/// Whether [`kmeans_plus_plus`] can be used, and is faster than the definition. Where rows have
/// parts outside the basis, too many of them would be left to the definition.
pub(crate) fn pays(layout: &Layout, k: usize) -> bool {
    k <= MOST && layout.is_whole() && layout.d >= NARROWEST
}

/// `k` rows by greedy k-means++, the same as [`crate::seeding::kmeans_plus_plus`] chooses; `k` is
/// at most 2¹⁹.
pub(crate) fn kmeans_plus_plus(
    simd: Simd,
    data: Data<'_>,
    index: &IndexView<'_>,
    random: &mut RunRandom,
    k: usize,
) -> Vec<RowIndex> {
    let first = RowIndex::new(random.index(data.rows.n()));
    let mut seeder = Seeder::new(simd, data, index);
    if k > 1 {
        seeder.sift(&[first]);
    }
    seeder.choose(first);
    while seeder.chosen.len() < k {
        let proposal = Proposal::new(data, &seeder.chosen);
        let drawn: Vec<RowIndex> = (0..candidates_per_round(k))
            .map(|_| {
                proposal
                    .draw(random, |row, threshold| seeder.is_above(row, threshold))
                    .unwrap_or_else(|| draw_by_cumulative_sum(random, seeder.exact()))
            })
            .collect();
        let best = seeder.best_of(&drawn);
        seeder.choose(best);
    }
    seeder.chosen
}

/// Bounds of a number.
#[derive(Debug, Clone, Copy)]
struct Interval {
    low: f32,
    high: f32,
}

/// Bounds of every candidate's gain.
#[derive(Debug, Clone, Copy, Default)]
struct Gains {
    low: [f64; LANES],
    high: [f64; LANES],
}

struct Seeder<'a> {
    simd: Simd,
    data: Data<'a>,
    index: &'a IndexView<'a>,
    chosen: Vec<RowIndex>,
    /// Those rows as centroids, `[chosen, stride]`.
    centroids: Vec<f64>,
    /// Every row's D², in units, `[n]`.
    nearest: Vec<Interval>,
    /// The same by definition, from when a draw has first asked for all of them.
    exact: Option<Vec<f64>>,
    /// What [`Self::sift`] was last given, and which rows it left, with their scores.
    candidates: Vec<RowIndex>,
    projected: Projected,
    rows: Vec<u32>,
    scores: Vec<Lanes>,
    /// The gains after the last level that was gone through.
    gains: Gains,
}

impl<'a> Seeder<'a> {
    fn new(simd: Simd, data: Data<'a>, index: &'a IndexView<'a>) -> Self {
        Self {
            simd,
            data,
            index,
            chosen: Vec::new(),
            centroids: Vec::new(),
            nearest: vec![Interval { low: f32::INFINITY, high: f32::INFINITY }; data.rows.n()],
            exact: None,
            candidates: Vec::new(),
            projected: Projected::new(index, 1),
            rows: Vec::new(),
            scores: Vec::new(),
            gains: Gains::default(),
        }
    }

    /// Whether the defined D² of `row` is above `threshold`.
    fn is_above(&self, row: RowIndex, threshold: f64) -> bool {
        if let Some(exact) = &self.exact {
            return threshold < exact[row.get()];
        }
        let Interval { low, high } = self.nearest[row.get()];
        let unit = self.index.unit;
        // Two roundings, of numbers that are nowhere near the ends of binary64.
        let scaled = threshold * unit * unit;
        if scaled < f64::from(low) * (1.0 - 1e-9) {
            return true;
        }
        if scaled > f64::from(high) * (1.0 + 1e-9) {
            return false;
        }
        threshold < self.by_definition(row)
    }

    /// The defined D² of one row.
    fn by_definition(&self, row: RowIndex) -> f64 {
        self.distance(row, &self.centroids)
    }

    /// The defined distance of a row to the nearest of `centroids`.
    fn distance(&self, row: RowIndex, centroids: &[f64]) -> f64 {
        let rows = self.data.rows;
        let (nearest, _) =
            distance::nearest_two(self.simd, rows.row(row), centroids, rows.stride());
        nearest.distance
    }

    /// The defined D² of all rows.
    fn exact(&mut self) -> &[f64] {
        self.exact.get_or_insert_with(|| {
            let n = self.data.rows.n();
            let (mut nearest, mut distances) = (vec![f64::INFINITY; n], vec![0.0; n]);
            for centroid in self.centroids.chunks_exact(self.data.rows.stride()) {
                distance::to_one(self.simd, self.data.rows, centroid, &mut distances);
                for (nearest, &distance) in nearest.iter_mut().zip(&distances) {
                    *nearest = nearest.min(distance);
                }
            }
            nearest
        })
    }

    /// Differences of potentials, in units, that rounding may hide.
    fn margin(&self) -> f64 {
        let total: f64 = self.nearest.iter().map(|nearest| f64::from(nearest.high)).sum();
        (self.nearest.len() as f64 * 1e-15).max(1e-9) * total
    }

    /// The first of the candidates that leave the smallest potential, by definition.
    fn best_of(&mut self, drawn: &[RowIndex]) -> RowIndex {
        // Equal rows have equal distances, so the first of them is the one that counts.
        let mut candidates: Vec<RowIndex> = Vec::with_capacity(drawn.len());
        for &row in drawn {
            let values = self.data.rows.row(row);
            if candidates.iter().all(|&other| self.data.rows.row(other) != values) {
                candidates.push(row);
            }
        }
        let left = self.sift(&candidates);
        match *left.as_slice() {
            [only] => candidates[only],
            _ => self.best_by_definition(&left.iter().map(|&j| candidates[j]).collect::<Vec<_>>()),
        }
    }

    /// Goes through the levels with `candidates`, until the rows are left that one of those may be
    /// nearer to than all that are chosen. Returns which candidates may have the largest gain.
    fn sift(&mut self, candidates: &[RowIndex]) -> Vec<usize> {
        let margin = self.margin();
        self.candidates = candidates.to_vec();
        if self.projected.k != candidates.len() {
            self.projected = Projected::new(self.index, candidates.len());
        }
        let centroids: Vec<f64> =
            candidates.iter().flat_map(|&row| as_centroid(self.data, row)).collect();
        // Other candidates' norms do not count.
        self.projected.norms.fill(0.0);
        let usable = self.projected.set(self.simd, self.index, self.data, &centroids);
        assert!(usable, "rows are at most one unit from the mean");
        self.rows.clear();
        self.rows.extend(0..self.data.rows.n() as u32);
        self.scores.clear();
        self.scores.resize(self.rows.len(), [0.0; LANES]);
        let mut alive: Vec<usize> = (0..candidates.len()).collect();
        let last = self.index.layout.levels() - 1;
        for level in 0..=last {
            let mut kept = 0;
            let mut from = 0;
            let mut gains = Gains::default();
            if level == last && level > 0 && alive.len() > 1 {
                // Rows of the candidate that promises most come first: often nothing else is left
                // once its gain is known.
                let promise = |&j: &usize| self.gains.low[j] + self.gains.high[j];
                let champion =
                    alive.iter().copied().max_by(|a, b| promise(a).total_cmp(&promise(b)));
                let champion = champion.expect("a candidate is alive");
                from = self.partition(level - 1, champion);
                kept = self.pass(level, &alive, 0..from, kept, &mut gains);
                let before = self.gains;
                let most = gains.low[champion];
                alive.retain(|&j| j == champion || before.high[j] + margin >= most);
            }
            if from == 0 || alive.len() > 1 {
                kept = self.pass(level, &alive, from..self.rows.len(), kept, &mut gains);
            }
            self.rows.truncate(kept);
            self.scores.truncate(kept);
            let most = alive.iter().map(|&j| gains.low[j]).fold(0.0, f64::max);
            alive.retain(|&j| gains.high[j] + margin >= most);
            self.gains = gains;
        }
        alive
    }

    /// Puts the rows first that `level` has left open for candidate `champion`; returns how many.
    fn partition(&mut self, level: usize, champion: usize) -> usize {
        let mut count = 0;
        for at in 0..self.rows.len() {
            let row = self.rows[at] as usize;
            let facts = self.index.facts_of(row, level);
            let off = off(&self.projected, level, &facts)[champion];
            let distance = facts.norm * facts.norm + self.scores[at][champion];
            if self.nearest[row].high - (distance - off) > 0.0 {
                self.rows.swap(at, count);
                self.scores.swap(at, count);
                count += 1;
            }
        }
        count
    }

    /// Adds a level to the scores of `range` of the rows that are left, and to `gains`; moves those
    /// that a candidate that is `alive` may be nearest to to `kept` and behind, and returns where
    /// they end.
    fn pass(
        &mut self,
        level: usize,
        alive: &[usize],
        range: Range<usize>,
        mut kept: usize,
        gains: &mut Gains,
    ) -> usize {
        let mut dead = [f32::INFINITY; LANES];
        for &j in alive {
            dead[j] = 0.0;
        }
        let coordinates = self.index.level(level);
        let width = self.index.layout.widths[level];
        let values = |row: u32| &coordinates[row as usize * width..][..width];
        let group = &self.projected.levels[level];
        for start in range.clone().step_by(ROWS) {
            let count = ROWS.min(range.end - start);
            if level > 0 {
                for &row in self.rows.iter().skip(start + AHEAD * ROWS).take(ROWS) {
                    kernel::prefetch(values(row));
                }
            }
            // Loops, because mapping an array is a call for each element.
            let mut rows = [0; ROWS];
            let mut facts = [Facts::default(); ROWS];
            let mut nearest = [Interval { low: 0.0, high: 0.0 }; ROWS];
            let mut coordinates: [&[i16]; ROWS] = [&[]; ROWS];
            for i in 0..ROWS {
                rows[i] = self.rows[start + i.min(count - 1)];
                coordinates[i] = values(rows[i]);
                facts[i] = self.index.facts_of(rows[i] as usize, level);
                nearest[i] = self.nearest[rows[i] as usize];
            }
            let products = kernel::products(self.simd, coordinates, group);
            let sieve = Sieve { projected: &self.projected, level, dead };
            let scores = &mut self.scores[start..start + count];
            let passed = sift_rows(self.simd, &sieve, &[products], &facts, &nearest, scores, gains);
            for (i, &row) in rows.iter().enumerate().take(count) {
                if passed & 1 << i != 0 {
                    self.rows[kept] = row;
                    self.scores[kept] = self.scores[start + i];
                    kept += 1;
                }
            }
        }
        kept
    }

    /// As [`Self::best_of`], of candidates whose gains are too close for intervals.
    fn best_by_definition(&mut self, candidates: &[RowIndex]) -> RowIndex {
        // Rows that were left out add the same to all potentials.
        let margin = self.margin() / (self.index.unit * self.index.unit);
        let potentials: Vec<f64> = candidates.iter().map(|&row| self.potential_left(row)).collect();
        let best = (0..candidates.len())
            .fold(0, |best, j| if potentials[j] < potentials[best] { j } else { best });
        let rivals = potentials.iter().filter(|&&other| other <= potentials[best] + margin).count();
        if rivals == 1 {
            return candidates[best];
        }
        self.exact();
        let nearest = self.exact.as_deref().expect("just computed");
        let mut distances = vec![0.0; nearest.len()];
        let mut best = (candidates[0], f64::INFINITY);
        for &candidate in candidates {
            let centroid = as_centroid(self.data, candidate);
            distance::to_one(self.simd, self.data.rows, &centroid, &mut distances);
            let mut potential = 0.0;
            for (distance, nearest) in distances.iter().zip(nearest) {
                potential += distance.min(*nearest);
            }
            if potential < best.1 {
                best = (candidate, potential);
            }
        }
        best.0
    }

    /// What the rows that are left add to the potential with `candidate`, by definition.
    fn potential_left(&self, candidate: RowIndex) -> f64 {
        let centroid = as_centroid(self.data, candidate);
        let rows = self.rows.iter().map(|&row| RowIndex::new(row as usize));
        rows.map(|row| {
            let nearest = match &self.exact {
                Some(exact) => exact[row.get()],
                None => self.by_definition(row),
            };
            self.distance(row, &centroid).min(nearest)
        })
        .sum()
    }

    /// Takes `row`, one of those last sifted, as a centroid.
    fn choose(&mut self, row: RowIndex) {
        let centroid = as_centroid(self.data, row);
        self.chosen.push(row);
        self.centroids.extend_from_slice(&centroid);
        let level = self.index.layout.levels() - 1;
        let Some(lane) = self.candidates.iter().position(|&candidate| candidate == row) else {
            return;
        };
        for (&at, scores) in self.rows.iter().zip(&self.scores) {
            let facts = self.index.facts_of(at as usize, level);
            let off = off(&self.projected, level, &facts)[lane];
            let nearest = &mut self.nearest[at as usize];
            let distance = facts.norm * facts.norm + scores[lane];
            nearest.low = nearest.low.min((distance - off).max(0.0));
            nearest.high = nearest.high.min(distance + off);
        }
        if let Some(mut exact) = self.exact.take() {
            for &at in &self.rows {
                let distance = self.distance(RowIndex::new(at as usize), &centroid);
                let nearest = &mut exact[at as usize];
                *nearest = nearest.min(distance);
            }
            self.exact = Some(exact);
        }
    }
}

/// What [`sift_rows`] holds rows against.
struct Sieve<'a> {
    projected: &'a Projected,
    level: usize,
    /// Infinite for lanes that do not count.
    dead: Lanes,
}

/// How far `|w|² + g` may be off, for every lane.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn off(projected: &Projected, level: usize, facts: &Facts) -> Lanes {
    let group = |values: &[f32]| -> Lanes { values.as_chunks().0[0] };
    let tails = group(&projected.tails[level]);
    let (norms, errors) = (group(&projected.norms), group(&projected.errors));
    let [by_tail, by_norm, by_error] =
        [facts.tail, facts.error, facts.norm].map(|by| 2.0 * by * BLOWN);
    let mut off = [0.0; LANES];
    for lane in 0..LANES {
        off[lane] = by_tail * tails[lane]
            + by_norm * norms[lane]
            + by_error * errors[lane]
            + 2.0 * slop(facts.norm, norms[lane]);
    }
    off
}

multiversion! {
    /// Adds a level's products to `scores`, and what follows to `gains`; returns, as bits, the rows
    /// that some lane may be nearest to.
    fn sift_rows = sift_rows_body(
        sieve: &Sieve<'_>, products: &[Products; 1], facts: &[Facts; ROWS],
        nearest: &[Interval; ROWS], scores: &mut [Lanes], gains: &mut Gains,
    ) -> u32
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn sift_rows_body<const B: usize>(
    sieve: &Sieve<'_>,
    products: &[Products; 1],
    facts: &[Facts; ROWS],
    nearest: &[Interval; ROWS],
    scores: &mut [Lanes],
    gains: &mut Gains,
) -> u32 {
    let Sieve { projected, level, dead } = sieve;
    let squares: &Lanes = &projected.squares.as_chunks().0[0];
    let factors: &Lanes = &projected.factors[*level].as_chunks().0[0];
    let mut passed = 0;
    for (row, scores) in scores.iter_mut().enumerate() {
        if *level == 0 {
            *scores = *squares;
        }
        let scale = facts[row].scale;
        for lane in 0..LANES {
            scores[lane] += scale * factors[lane] * products[0][row][lane] as f32;
        }
        let off = off(projected, *level, &facts[row]);
        let middle = facts[row].norm * facts[row].norm;
        let Interval { low, high } = nearest[row];
        let mut most = [0.0_f32; LANES];
        let mut fewest = [0.0_f32; LANES];
        for lane in 0..LANES {
            let distance = middle + scores[lane] + dead[lane];
            let above = high - (distance - off[lane]);
            let below = low - (distance + off[lane]);
            most[lane] = if above > 0.0 { above } else { 0.0 };
            fewest[lane] = if below > 0.0 { below } else { 0.0 };
        }
        passed |= u32::from(most.iter().sum::<f32>() > 0.0) << row;
        for lane in 0..LANES {
            gains.high[lane] += f64::from(most[lane]);
            gains.low[lane] += f64::from(fewest[lane]);
        }
    }
    passed
}
