//! Greedy k-means++ that chooses the same rows as the definition without computing most distances.
//!
//! The definition ([`crate::seeding`]) asks two things of all distances: whether a proposed row is
//! taken, which takes the distances of that row alone, and which candidate leaves the smallest
//! potential. The latter is a comparison, so intervals do: candidates are compared by their *gain*,
//! the potential that they take away, `sum max(0, D² - d²)` over all rows. For that, every row's D²
//! is kept as an interval (of its score, see [`super::judge`], with errors measured from the mean, so
//! that rounds can be compared), and the candidates' distances are known within bounds too: first by a
//! rough look at all rows; where that does not tell the best, by a closer look at those rows that may gain
//! something, block by block, until it does; at last by the definition. What a rough look's scores are off by
//! follows from a number of each row and one or two of each candidate
//! ([`OffBy`]), so a score is all that is kept of both together.
//!
//! A rough look at all rows reads most of the index, and takes no longer with as many centroids as a
//! register has lanes. But a round has only a few candidates. So the look takes those of later rounds with
//! it, as far as they can be [foreseen](Seeder::foresee): that no row is chosen until then which changes
//! what is drawn. A candidate that was not foreseen costs another look, and nothing else.
//!
//! # Rounding
//!
//! Gains are added in binary64. The definition's potentials are binary64 sums, in which the relative
//! error is below `n 2^-53`, of distances with relative errors below `1e-9`: differences below
//! [`Seeder::margin`] are not trusted, and left to the definition.

mod intervals;
mod round;

use super::kernel::{LANES, ROWS};
use super::looks::OffBy;
use super::planes::Depth;
use crate::data::Data;
use crate::distance;
use crate::index::{IndexView, up};
use crate::lloyd::Counters;
use crate::random::RunRandom;
use crate::rows::RowIndex;
use crate::seeding::{Proposal, as_centroid, candidates_per_round, draw_by_cumulative_sum};
use crate::simd::Simd;
use intervals::{Gain, Intervals, Scores, add_gain, take_nearest};
use round::Round;
use std::array;
use std::cell::Cell;

/// Most clusters: more candidates a round, and the first centroid, would not fit a group.
const MOST: usize = 1 << 19;

/// Fewest coordinates that are worth it: below, a whole distance takes no longer than a look.
const NARROWEST: usize = 64;

/// Rows to a block, which stays in the cache for all candidates, and between two comparisons.
const BLOCK: usize = 1024;

/// Whether [`kmeans_plus_plus`] can be used, and is faster than the definition. Where rows have
/// parts outside the basis, and no codes tell those, too many of them would be left to the definition.
pub(crate) fn pays(index: &IndexView<'_>, k: usize) -> bool {
    let is_whole = index.layout.is_whole() || index.sparse.is_some();
    k <= MOST && is_whole && index.layout.d >= NARROWEST
}

/// What seeding finds.
pub(crate) struct Seeded {
    /// The chosen rows.
    pub(crate) rows: Vec<RowIndex>,
    /// Which of them is nearest to every row, by the definition, or [`crate::exchange::Change::NOWHERE`] where
    /// that is not known.
    pub(crate) labels: Vec<u32>,
    /// What was read for it; it decides nothing that the others count.
    pub(crate) counters: Counters,
}

/// `k` rows by greedy k-means++, the same as [`crate::seeding::kmeans_plus_plus`] chooses; `k` is
/// at most 2¹⁹.
pub(crate) fn kmeans_plus_plus(
    simd: Simd,
    data: Data<'_>,
    index: &IndexView<'_>,
    random: &mut RunRandom,
    k: usize,
) -> Seeded {
    let first = RowIndex::new(random.index(data.rows.n()));
    let mut seeder = Seeder::new(simd, data, index, first);
    while seeder.chosen.len() < k {
        seeder.choose_next(random, k);
    }
    Seeded { counters: seeder.counters(), rows: seeder.chosen, labels: seeder.labels }
}

/// Equal rows have equal distances, so the first of them is the one that counts: `drawn` without the
/// others.
fn distinct(data: Data<'_>, drawn: &[RowIndex]) -> Vec<RowIndex> {
    let mut candidates: Vec<RowIndex> = Vec::with_capacity(drawn.len());
    for &row in drawn {
        let values = data.rows.row(row);
        if candidates.iter().all(|&other| data.rows.row(other) != values) {
            candidates.push(row);
        }
    }
    candidates
}

struct Seeder<'a> {
    simd: Simd,
    data: Data<'a>,
    index: &'a IndexView<'a>,
    chosen: Vec<RowIndex>,
    /// Those rows as centroids, `[chosen, stride]`.
    centroids: Vec<f64>,
    /// At least the potential, in units².
    potential: f64,
    /// Every row's interval of the score of the nearest chosen row, from the first look on.
    nearest: Intervals,
    /// Which of the chosen rows that is, where their intervals tell.
    labels: Vec<u32>,
    /// The candidates that have been looked at, of this round and of later ones,
    candidates: Vec<Candidate>,
    /// and the sizes of all rows, which tell what their scores are off by.
    sizes: Vec<f32>,
    /// At least how far each row is from the mean, in units.
    norms: Vec<f32>,
    /// Every row's defined D², from when all of them were first asked for.
    defined: Option<Vec<f64>>,
    /// Bytes that looks have read, and rows whose values the definition has.
    looked_at: f64,
    defined_rows: Cell<usize>,
}

/// A row that has been drawn, or may be, and the scores of all rows with it as a centroid.
struct Candidate {
    row: RowIndex,
    scores: Vec<f32>,
    off_by: OffBy,
}

impl Candidate {
    /// What is known of its scores, with rows of these `sizes`.
    fn scores<'s>(&'s self, sizes: &'s [f32]) -> Scores<'s> {
        Scores { values: &self.scores, sizes, off_by: self.off_by }
    }
}

impl<'a> Seeder<'a> {
    fn new(simd: Simd, data: Data<'a>, index: &'a IndexView<'a>, first: RowIndex) -> Self {
        let n = data.rows.n();
        // |w - v|² <= 2 |w|² + 2 |v|², and no |v| is above 1.
        let spread = data.total_spread() * index.unit * index.unit;
        let norm = |spread: &f64| up(spread.sqrt() * index.unit * (1.0 + 1e-9));
        Self {
            simd,
            data,
            index,
            chosen: vec![first],
            centroids: as_centroid(data, first),
            potential: 2.0 * (spread + n as f64) * (1.0 + 1e-9),
            nearest: Intervals::new(n),
            labels: vec![0; n],
            candidates: Vec::new(),
            sizes: vec![0.0; n],
            norms: data.spread.iter().map(norm).collect(),
            defined: None,
            looked_at: 0.0,
            defined_rows: Cell::new(0),
        }
    }

    /// What was read up to now.
    fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        counters.add_read(self.looked_at as usize, size_of::<u8>());
        counters.add_read(self.defined_rows.get() * self.data.rows.d(), size_of::<f32>());
        counters
    }

    /// The values of so many rows are read.
    fn count(&self, rows: usize) {
        self.defined_rows.update(|count| count + rows);
    }

    /// The defined distance of a row to the nearest of `centroids`.
    fn distance(&self, row: RowIndex, centroids: &[f64]) -> f64 {
        let rows = self.data.rows;
        self.count(1);
        let (nearest, _) =
            distance::nearest_two(self.simd, rows.row(row), centroids, rows.stride());
        nearest.distance
    }

    /// The defined D² of `row`.
    fn defined(&self, row: RowIndex) -> f64 {
        match &self.defined {
            Some(defined) => defined[row.get()],
            None => self.distance(row, &self.centroids),
        }
    }

    /// The defined D² of all rows.
    fn all_defined(&mut self) -> &[f64] {
        if self.defined.is_none() {
            let mut all = vec![f64::INFINITY; self.data.rows.n()];
            for centroid in self.centroids.chunks_exact(self.data.rows.stride()) {
                self.count(all.len());
                take_nearer(self.simd, self.data, centroid, &mut all);
            }
            self.defined = Some(all);
        }
        self.defined.as_deref().expect("just computed")
    }

    /// Differences of gains that rounding may hide.
    fn margin(&self) -> f64 {
        (self.data.rows.n() as f64 * 1e-15).max(1e-9) * self.potential
    }

    /// A round for `k` clusters: draws candidates, and takes the best of them.
    fn choose_next(&mut self, random: &mut RunRandom, k: usize) {
        let count = candidates_per_round(k);
        let proposal = Proposal::new(self.data, &self.chosen);
        let drawn: Vec<RowIndex> = (0..count)
            .map(|_| {
                proposal
                    .draw(random, |row, threshold| threshold < self.defined(row))
                    .unwrap_or_else(|| draw_by_cumulative_sum(random, self.all_defined()))
            })
            .collect();
        let drawn = distinct(self.data, &drawn);
        if drawn.iter().any(|&row| self.place(row).is_none()) {
            let is_last = self.chosen.len() + 1 == k;
            let rows = if is_last { drawn.clone() } else { self.foresee(proposal, random, &drawn) };
            self.look_at_all(&rows);
        }
        self.choose_best_of(&drawn);
    }

    /// What is known of a candidate's scores.
    fn scores(&self, candidate: usize) -> Scores<'_> {
        self.candidates[candidate].scores(&self.sizes)
    }

    /// Where the candidate that is `row` stands, if it has been looked at.
    fn place(&self, row: RowIndex) -> Option<usize> {
        self.candidates.iter().position(|candidate| candidate.row == row)
    }

    /// The `drawn` rows, and those that may be drawn next: as many as there are lanes for, as some will not
    /// be taken. What is proposed depends on the chosen row closest to the mean, which the one that is
    /// chosen of the `drawn` ones may become: one after another for each that may be.
    fn foresee(
        &self,
        proposal: Proposal<'_>,
        random: &RunRandom,
        drawn: &[RowIndex],
    ) -> Vec<RowIndex> {
        let others = drawn.iter().filter_map(|&row| proposal.with(row));
        let mut streams: Vec<(Proposal<'_>, RunRandom)> = std::iter::once(proposal)
            .chain(others)
            .map(|proposal| (proposal, random.clone()))
            .collect();
        let room = LANES - self.unknown();
        let mut rows = drawn.to_vec();
        // Of few rows with a distance, the same ones are drawn again and again.
        for _ in 0..2 * LANES {
            streams.retain_mut(|(proposal, random)| {
                let next = proposal.draw(random, |row, threshold| threshold < self.defined(row));
                if let Some(row) = next.filter(|row| rows.len() < room && !rows.contains(row)) {
                    rows.push(row);
                }
                next.is_some()
            });
            if rows.len() >= room || streams.is_empty() {
                break;
            }
        }
        rows
    }

    /// How many of the chosen rows have not been looked at: the first, before the first round.
    fn unknown(&self) -> usize {
        usize::from(self.chosen.len() == 1)
    }

    /// Takes the first of the `drawn` rows, no two of them equal, that leave the smallest potential. All
    /// have been looked at.
    fn choose_best_of(&mut self, drawn: &[RowIndex]) {
        let places: Vec<usize> =
            drawn.iter().map(|&row| self.place(row).expect("it has been looked at")).collect();
        let mut gains = vec![Gain::default(); self.candidates.len()];
        let n = self.data.rows.n();
        for start in (0..n).step_by(BLOCK) {
            for &j in &places {
                let block = start..n.min(start + BLOCK);
                add_gain(self.simd, &self.nearest, self.scores(j), block, &mut gains[j]);
            }
        }
        let mut alive = places;
        self.drop_losers(&gains, &mut alive);
        if alive.len() > 1 {
            self.look_closer(gains, &mut alive);
        }
        let best = match *alive.as_slice() {
            [only] => only,
            _ => self.best_by_definition(&alive),
        };
        let row = self.candidates[best].row;
        let centroid = as_centroid(self.data, row);
        if let Some(defined) = &mut self.defined {
            take_nearer(self.simd, self.data, &centroid, defined);
            self.count(self.data.rows.n());
        }
        let label = self.chosen.len() as u32;
        self.chosen.push(row);
        self.centroids.extend_from_slice(&centroid);
        let scores = self.candidates[best].scores(&self.sizes);
        take_nearest(self.simd, scores, label, &mut self.nearest, &mut self.labels);
    }

    /// Drops candidates that can no longer have the largest gain.
    fn drop_losers(&self, gains: &[Gain], alive: &mut Vec<usize>) {
        let most = alive.iter().map(|&j| gains[j].low).fold(0.0, f64::max);
        let margin = self.margin();
        alive.retain(|&j| gains[j].high + margin >= most);
    }

    /// Makes these `rows` the candidates that have been looked at.
    fn look_at_all(&mut self, rows: &[RowIndex]) {
        let n = self.data.rows.n();
        let unknown = self.unknown();
        let mut centroids = self.centroids[..unknown * self.data.rows.stride()].to_vec();
        let (mut candidates, mut spare): (Vec<_>, Vec<_>) = std::mem::take(&mut self.candidates)
            .into_iter()
            .partition(|candidate| rows.contains(&candidate.row));
        let known = candidates.len();
        for &row in rows {
            if candidates[..known].iter().any(|candidate| candidate.row == row) {
                continue;
            }
            let scores = spare.pop().map_or_else(|| vec![0.0; n], |spare| spare.scores);
            candidates.push(Candidate { row, scores, off_by: OffBy::SIZE });
            centroids.extend(as_centroid(self.data, row));
        }
        let mut round = Round::new(self.simd, self.data, self.index, &centroids, Depth::Rough);
        self.looked_at += n as f64 * round.bytes_of_row();
        for (candidate, &off_by) in candidates[known..].iter_mut().zip(&round.off_by()[unknown..]) {
            candidate.off_by = off_by;
        }
        for first in (0..n).step_by(ROWS) {
            let numbers: [u32; 2 * ROWS] = array::from_fn(|i| (first + i) as u32);
            let (rows, next) = numbers[..(n - first).min(2 * ROWS)].split_at(ROWS.min(n - first));
            let seen = round.look(rows, next, &self.norms);
            if unknown > 0 {
                seen.take_into(0, first, &mut self.nearest);
            }
            for (lane, candidate) in (unknown..).zip(&mut candidates[known..]) {
                seen.take_scores(lane, first, &mut candidate.scores);
            }
            seen.take_sizes(first, &mut self.sizes);
        }
        self.candidates = candidates;
    }

    /// Whether `row` may be nearer to one of these candidates than to what is chosen.
    #[inline]
    fn may_gain(&self, row: u32, mut candidates: impl Iterator<Item = usize>) -> bool {
        let row = row as usize;
        candidates.any(|j| self.nearest.high[row] > self.scores(j).range(row).0)
    }

    /// Looks closer at rows that candidates may gain something from, until only one candidate
    /// is `alive`, or all rows are done.
    fn look_closer(&mut self, mut gains: Vec<Gain>, alive: &mut Vec<usize>) {
        let (n, simd) = (self.data.rows.n(), self.simd);
        let mut centroids = self.centroids.clone();
        for &j in &*alive {
            centroids.extend(as_centroid(self.data, self.candidates[j].row));
        }
        let chosen = self.chosen.len();
        let mut round = Round::new(self.simd, self.data, self.index, &centroids, Depth::Fine);
        let lanes: Vec<usize> = alive.clone();
        let mut open = Vec::with_capacity(BLOCK);
        for start in (0..n).step_by(BLOCK) {
            let block = start..n.min(start + BLOCK);
            open.clear();
            let rows = block.clone().map(|row| row as u32);
            open.extend(rows.filter(|&row| self.may_gain(row, alive.iter().copied())));
            for &j in &*alive {
                let mut gain = Gain::default();
                add_gain(simd, &self.nearest, self.scores(j), block.clone(), &mut gain);
                gains[j].low -= gain.low;
                gains[j].high -= gain.high;
            }
            for first in (0..open.len()).step_by(ROWS) {
                let rows = &open[first..open.len().min(first + ROWS)];
                let next = &open[first + rows.len()..open.len().min(first + 2 * ROWS)];
                self.looked_at += rows.len() as f64 * round.bytes_of_row();
                let seen = round.look(rows, next, &self.norms);
                for (i, &row) in rows.iter().enumerate() {
                    let row = row as usize;
                    let [mut low, mut high] = [f32::INFINITY; 2];
                    for lane in 0..chosen {
                        let range = seen.range(lane, i);
                        (low, high) = (low.min(range.0), high.min(range.1));
                    }
                    let nearest = self.nearest.narrow(row, low, high);
                    for (lane, &j) in (chosen..).zip(&lanes) {
                        let (fine, rough) = (seen.range(lane, i), self.scores(j).range(row));
                        let (low, high) = (fine.0.max(rough.0), fine.1.min(rough.1));
                        gains[j].low += f64::from((nearest.0 - high).max(0.0));
                        gains[j].high += f64::from((nearest.1 - low).max(0.0));
                    }
                }
            }
            self.drop_losers(&gains, alive);
            if alive.len() == 1 {
                return;
            }
        }
    }

    /// The first of the candidates that are `alive` with the smallest potential.
    fn best_by_definition(&mut self, alive: &[usize]) -> usize {
        // Rows that none of them can be nearer to add the same to all potentials.
        let margin = self.margin() / (self.index.unit * self.index.unit);
        let mut potentials = vec![0.0; alive.len()];
        let centroids: Vec<Vec<f64>> =
            alive.iter().map(|&j| as_centroid(self.data, self.candidates[j].row)).collect();
        for row in 0..self.data.rows.n() {
            if !self.may_gain(row as u32, alive.iter().copied()) {
                continue;
            }
            let row = RowIndex::new(row);
            let nearest = self.defined(row);
            for (potential, centroid) in potentials.iter_mut().zip(&centroids) {
                *potential += self.distance(row, centroid).min(nearest);
            }
        }
        let best = (0..alive.len())
            .fold(0, |best, j| if potentials[j] < potentials[best] { j } else { best });
        let rivals = potentials.iter().filter(|&&other| other <= potentials[best] + margin).count();
        if rivals == 1 {
            return alive[best];
        }
        let (simd, data) = (self.simd, self.data);
        let nearest = self.all_defined();
        let mut distances = vec![0.0; nearest.len()];
        let (mut best, mut read) = ((alive[0], f64::INFINITY), 0);
        for (&candidate, centroid) in alive.iter().zip(&centroids) {
            distance::to_one(simd, data.rows, centroid, &mut distances);
            read += distances.len();
            let mut potential = 0.0;
            for (distance, nearest) in distances.iter().zip(nearest) {
                potential += distance.min(*nearest);
            }
            if potential < best.1 {
                best = (candidate, potential);
            }
        }
        self.count(read);
        best.0
    }
}

/// Makes each of `all` defined D² no larger than the distance to `centroid`.
fn take_nearer(simd: Simd, data: Data<'_>, centroid: &[f64], all: &mut [f64]) {
    let mut distances = vec![0.0; all.len()];
    distance::to_one(simd, data.rows, centroid, &mut distances);
    for (nearest, &distance) in all.iter_mut().zip(&distances) {
        *nearest = nearest.min(distance);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::embedded;
    use super::*;
    use crate::index::{Index, Layout};

    #[test]
    fn most_rounds_find_their_candidates_looked_at() {
        const K: usize = 16;
        let problem = embedded(4000, 200, 5);
        let (simd, data) = (Simd::detect(), problem.data());
        let index = Index::build(simd, data, 1, Layout::of(4000, 200)).expect("rows differ");
        let index = index.view();
        let looks_of = |init_id: u64| {
            let mut random = RunRandom::new(0, K as u64, init_id);
            let first = RowIndex::new(random.index(4000));
            let mut seeder = Seeder::new(simd, data, &index, first);
            let rows = |seeder: &Seeder<'_>| -> Vec<RowIndex> {
                seeder.candidates.iter().map(|candidate| candidate.row).collect()
            };
            let mut looks = 0;
            while seeder.chosen.len() < K {
                let before = rows(&seeder);
                seeder.choose_next(&mut random, K);
                looks += usize::from(rows(&seeder) != before);
            }
            looks
        };
        // 15 rounds of 4 candidates: four looks at the least.
        let all: usize = (0..10).map(looks_of).sum();
        assert!((40..80).contains(&all), "{all} looks for 150 rounds");
    }
}
