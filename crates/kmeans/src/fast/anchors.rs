//! What is kept of rows that have been looked at, for later iterations.
//!
//! A row near a boundary has to be looked at in every iteration, though centroids hardly move. So its
//! scores are kept, with the iteration that they are of: its *anchor*. Later only what centroids have
//! moved since counts: with `delta` the movement of a centroid `v`, its score has changed by
//!
//! ```text
//! |v|² - |v'|² - 2 w·delta,    w·delta  =  y·delta_h  +  e·delta_h + w_t·delta_t
//! ```
//!
//! with `y` the row's leading coordinates, off by `e`, and `w_t`, `delta_t` all that is behind them, of
//! which only norms are known. Errors are relative to movements, which become small; so a byte for
//! each leading coordinate is enough.
//!
//! The scores that are kept are *lower bounds*. How far upper bounds may be above them is known for all
//! lanes together, and for some, the row's `sharp` ones, more closely: for the one that was nearest, which
//! a row's errors are measured from, or for all those that values were asked about. A common
//! offset of all of a row's scores means nothing, as only differences are compared, except for the row's
//! own distance, for which [`Note::square`] has room. So they are kept as what they are above the lowest
//! ([`super::record`]).
//!
//! Rows with anchors of the same iteration share a table of movements, so they are decided together.
//!
//! # Rounding
//!
//! As `|y + e| <= |w|`, with the movement `delta` known up to `r` (of the product with the basis, then
//! and now) and rounded to bytes with an error `q`, a score is off by at most
//!
//! ```text
//! 2 [ |w_t| |delta_t|  +  |e| |delta_h|  +  |w| (|q| + |r|) ]  +  rounding
//! ```
//!
//! where `|delta_t|² <= |delta|² - (|delta_h| - |r|)²`, and `|delta|` is taken from the centroids in
//! binary32, which adds a relative 2^-24 of their norms.

use super::centroids::Centroids;
use super::close::Close;
use super::judge::{BLOWN, Ranges, slack_of};
use super::kernel::{KeptScores, LANES, ROWS};
use super::movements::Table;
use super::record::{AtLeast, Note, Record, keep_all};
use crate::index::{Facts, IndexView, up};
use crate::integers::Lanes64;
use crate::lines::{Line, Lines};
use crate::simd::{LINE, Simd, prefetch};
use std::iter;
use std::ops::Range;
use std::slice;

/// Iterations that anchors can be of at a time, at most.
const SLOTS: usize = 96;

/// Bytes that the centroids of all those iterations may take, and how many there are at least.
const ROOM: usize = 8 << 20;
const FEWEST: usize = 8;

/// More than scores can differ by, as norms of centroids are bounded.
const FAR: f32 = 1e30;

/// In so many iterations the movement since an earlier one is measured once; in between, what
/// centroids have moved in each is added to it.
const MEASURE: usize = 8;

pub(super) struct Anchors {
    /// What is known of each row, in whole lines: a note, and scores of all lanes.
    records: Lines<Line>,
    /// Lines of a record.
    of_row: usize,
    /// The slot of each row's scores; that behind the last where nothing is known.
    slot_of: Vec<u8>,
    slots: Vec<Slot>,
    /// One for each slot; that behind the last says that nothing is known.
    tables: Vec<Table>,
    /// The slot of this iteration.
    now: usize,
    /// Its number, from 1.
    iteration: usize,
}

const _: () = assert!(SLOTS < u8::MAX as usize, "numbers of slots fit a byte");

/// Centroids as they were in an iteration.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// How many anchors are of it.
    count: usize,
    centroids: Option<Centroids>,
    /// At least how far each has moved since, behind the leading coordinates, for each group of lanes.
    tails: Vec<Lanes64>,
}

/// Rows sorted by the slot of what is known of them.
#[derive(Debug, Default)]
pub(super) struct BySlot {
    pub(super) rows: Vec<u32>,
    /// Where those of each slot end, of which nothing is known last.
    ends: Vec<usize>,
    slots: Vec<u8>,
}

impl BySlot {
    /// The rows of which nothing is known; they are in no batch any more.
    pub(super) fn take_unknown(&mut self) -> &[u32] {
        self.ends.pop();
        &self.rows[self.ends.last().copied().unwrap_or_default()..]
    }

    /// Up to [`ROWS`] rows with the same slot together: that, and their places among all.
    pub(super) fn batches(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let starts = iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).enumerate().flat_map(|(slot, (start, &end))| {
            (start..end).step_by(ROWS).map(move |start| (slot, start..end.min(start + ROWS)))
        })
    }
}

impl Anchors {
    /// `None` where anchors would take more than half of the memory that the rows themselves do.
    pub(super) fn new(index: &IndexView<'_>, lanes: usize) -> Option<Self> {
        let layout = index.layout;
        let groups = lanes / LANES;
        let of_row = (size_of::<Note>() + groups * size_of::<KeptScores>()).div_ceil(LINE);
        if of_row * LINE > layout.d / 2 * size_of::<f32>() {
            return None;
        }
        let records = Lines::zeros(layout.n * of_row);
        let slots = (ROOM / (lanes * layout.d * size_of::<f32>())).clamp(FEWEST, SLOTS);
        let mut tables = vec![Table::new(groups, layout.lines()[0]); slots + 1];
        for lanes in &mut tables[slots].lanes {
            lanes.rounding = [FAR; LANES];
        }
        Some(Self {
            records,
            of_row,
            slot_of: vec![slots as u8; layout.n],
            slots: vec![Slot::default(); slots],
            tables,
            now: 0,
            iteration: 0,
        })
    }

    /// A new iteration begins, with these centroids.
    pub(super) fn advance(&mut self, simd: Simd, centroids: &Centroids) {
        self.iteration += 1;
        let before = self.now;
        let mut steps = vec![[0.0; LANES]; centroids.sizes.len()];
        if let Some(last) = &self.slots[before].centroids {
            let whole = last.distances(simd, centroids);
            self.tables[before].set(simd, last, centroids, &mut steps, Some(&whole));
        }
        for (at, (slot, table)) in self.slots.iter_mut().zip(&mut self.tables).enumerate() {
            let Some(then) = slot.centroids.as_ref().filter(|_| slot.count > 0) else { continue };
            if at == before {
                slot.tails.copy_from_slice(&steps);
                continue;
            }
            let is_due = (self.iteration + at).is_multiple_of(MEASURE);
            let whole = is_due.then(|| then.distances(simd, centroids));
            let tails = slot.tails.as_flattened_mut();
            for (tail, step) in tails.iter_mut().zip(steps.as_flattened()) {
                *tail = (*tail + step) * (1.0 + 1e-12);
            }
            table.set(simd, then, centroids, &mut slot.tails, whole.as_deref());
        }
        // Where none is free, the one with the fewest anchors is given up.
        let fewest =
            (0..self.slots.len()).min_by_key(|&at| self.slots[at].count).expect("there are slots");
        self.now = fewest;
        let none = self.slots.len() as u8;
        let slot = &mut self.slots[fewest];
        if std::mem::take(&mut slot.count) > 0 {
            for slot in &mut self.slot_of {
                *slot = if *slot == fewest as u8 { none } else { *slot };
            }
        }
        slot.tails.clear();
        slot.tails.resize(centroids.sizes.len(), [0.0; LANES]);
        match &mut slot.centroids {
            Some(then) => then.clone_from(centroids),
            then => *then = Some(centroids.clone()),
        }
    }

    /// What is known so far cannot be used any more.
    pub(super) fn forget(&mut self) {
        self.slot_of.fill(self.slots.len() as u8);
        for slot in &mut self.slots {
            slot.count = 0;
        }
    }

    /// Whether nothing is known of any row.
    pub(super) fn are_none(&self) -> bool {
        self.slots.iter().enumerate().all(|(at, slot)| slot.count == 0 || at == self.now)
    }

    /// Sorts `rows` by the slot of what is known of them, and else leaves them in their order.
    pub(super) fn sort(&self, rows: &[u32], sorted: &mut BySlot) {
        let BySlot { rows: sorted, ends, slots } = sorted;
        ends.clear();
        ends.resize(self.tables.len(), 0);
        slots.clear();
        slots.extend(rows.iter().map(|&row| {
            let slot = self.slot_of[row as usize];
            ends[slot as usize] += 1;
            slot
        }));
        let mut start = 0;
        for end in &mut *ends {
            (start, *end) = (start + *end, start);
        }
        sorted.resize(rows.len(), 0);
        for (&row, &slot) in rows.iter().zip(&*slots) {
            let end = &mut ends[slot as usize];
            sorted[*end] = row;
            *end += 1;
        }
    }

    /// What is known of the iteration of a slot.
    pub(super) fn table(&self, slot: usize) -> &Table {
        &self.tables[slot]
    }

    /// What is known of `row`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn record(&self, row: u32) -> Record<'_> {
        Record(bytemuck::cast_slice(&self.records[row as usize * self.of_row..][..self.of_row]))
    }

    /// Asks for what is known of `rows` to be in the cache soon.
    pub(super) fn prefetch(&self, rows: &[u32]) {
        for &row in rows {
            // As so often; a loop would take longer.
            if self.of_row == 1 {
                prefetch(slice::from_ref(&self.records[row as usize]));
            } else {
                prefetch(&self.records[row as usize * self.of_row..][..self.of_row]);
            }
        }
    }

    /// Keeps scores of `row` in this iteration: the `ranges` that were found of it, as row `i` of them,
    /// with `best` nearest for certain.
    pub(super) fn keep(
        &mut self,
        simd: Simd,
        row: u32,
        facts: &Facts,
        ranges: &Ranges,
        i: usize,
        best: u32,
    ) {
        // The lowest of all, as no other can be as near.
        let least = ranges.low_of_rows[best as usize / LANES][i][best as usize % LANES];
        let (note, kept) = self.put(row, facts, ranges.base[i] + ranges.slack[i] + least);
        let found = ranges.low_of_rows.iter().zip(&*ranges.high_of_rows);
        let found = found.map(|(low, high)| (&low[i], &high[i]));
        let widths = keep_all(simd, found, least, &[best], kept);
        note.blur = AtLeast::new(widths.others * BLOWN);
        note.sharp_blur = AtLeast::new(widths.sharp * BLOWN);
    }

    /// Keeps what scores of `row` are at least, of which none of a centroid is below `least`; those that are
    /// known closely are `sharp`.
    pub(super) fn keep_close(
        &mut self,
        simd: Simd,
        row: u32,
        facts: &Facts,
        (scores, least): (&[f32], f32),
        sharp: &Close,
    ) {
        let square = facts.norm * facts.norm;
        let off = 2.0 * up(sharp.off);
        let (note, kept) = self.put(row, facts, square + slack_of(square) + least);
        let found = scores.as_chunks().0.iter().map(|scores| (scores, scores));
        let widths = keep_all(simd, found, least, &sharp.labels, kept);
        note.blur = AtLeast::new(f32::INFINITY);
        note.sharp_blur = AtLeast::new((widths.sharp + off) * BLOWN);
    }

    /// What is known of `row` is of this iteration from now on; its scores, and how sharp they are, are to
    /// follow.
    #[inline]
    fn put(&mut self, row: u32, facts: &Facts, square: f32) -> (&mut Note, &mut [KeptScores]) {
        let record = &mut self.records[row as usize * self.of_row..][..self.of_row];
        let record: &mut [u8] = bytemuck::cast_slice_mut(record);
        let (note, scores) = record.split_at_mut(size_of::<Note>());
        let before = std::mem::replace(&mut self.slot_of[row as usize], self.now as u8);
        if let Some(before) = self.slots.get_mut(before as usize) {
            before.count -= 1;
        }
        self.slots[self.now].count += 1;
        let note: &mut Note = bytemuck::from_bytes_mut(note);
        *note = Note {
            scale: facts.scales[0],
            norm: AtLeast::new(facts.norm),
            tail: AtLeast::new(facts.tail()),
            error: AtLeast::new(facts.front_error),
            square: AtLeast::new(square),
            ..Note::default()
        };
        (note, scores.as_chunks_mut().0)
    }
}
