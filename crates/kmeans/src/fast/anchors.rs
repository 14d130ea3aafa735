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
//! a row's errors are measured from, or for all those that the definition was asked about. A common
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

use super::centroids::{Centroids, Sizes, UNDERFLOW};
use super::judge::{BLOWN, ROUNDING, Ranges};
use super::kernel::{FOUR, GroupLine, LANES, Lanes, Sums32};
use super::record::{AtLeast, KeptScores, Note, Record, keep_all};
use crate::index::{BIAS, Facts, IndexView};
use crate::integers::{Lanes64, ROUNDER32};
use crate::lines::{Line, Lines};
use crate::simd::{LINE, Simd, multiversion, prefetch};
use std::array;

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
    /// The iteration that each row's scores are of, from 1; 0 where nothing is known.
    iterations: Vec<u32>,
    slots: Vec<Slot>,
    /// The slot of every iteration so far; that behind the last where it has none any more.
    slot_of: Vec<u8>,
    /// One for each slot; that behind the last says that nothing is known.
    tables: Vec<Table>,
    /// The slot of this iteration.
    now: usize,
}

const _: () = assert!(SLOTS < u8::MAX as usize, "numbers of slots fit a byte");

/// Centroids as they were in an iteration.
#[derive(Debug, Clone, Default)]
struct Slot {
    iteration: usize,
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
    /// Where each was before.
    pub(super) places: Vec<u32>,
    /// Where those of each slot end, of which nothing is known last.
    pub(super) ends: Vec<usize>,
    slots: Vec<u8>,
}

/// How centroids have moved since an iteration.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Movements of leading coordinates, for each group of lanes.
    bytes: Lines<GroupLine>,
    pub(super) lanes: Vec<Movements>,
}

/// For a group of lanes:
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Movements {
    /// what sums of products start with, as rows' bytes have 128 added;
    pub(super) start: Sums32,
    /// what scores have changed by, but for the product;
    pub(super) squares: Lanes,
    /// -2 times what the bytes are multiples of;
    pub(super) factors: Lanes,
    /// and what a row's error, tail, and norm are multiplied by, as its bounds.
    pub(super) errors: Lanes,
    pub(super) tails: Lanes,
    pub(super) norms: Lanes,
    /// What rounding may amount to.
    pub(super) rounding: Lanes,
}

impl Table {
    fn new(groups: usize, lines: usize) -> Self {
        Self { bytes: Lines::zeros(groups * lines), lanes: vec![Movements::default(); groups] }
    }

    /// The bytes of each group.
    #[inline]
    pub(super) fn groups(&self) -> impl Iterator<Item = &[GroupLine]> {
        self.bytes.chunks_exact(self.bytes.len() / self.lanes.len())
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
            iterations: vec![0; layout.n],
            slots: vec![Slot::default(); slots],
            slot_of: vec![slots as u8],
            tables,
            now: 0,
        })
    }

    /// A new iteration begins, with these centroids.
    pub(super) fn advance(&mut self, simd: Simd, centroids: &Centroids) {
        let iteration = self.slot_of.len();
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
            let is_due = (iteration + at).is_multiple_of(MEASURE);
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
        self.slot_of[slot.iteration] = none;
        self.slot_of.push(fewest as u8);
        slot.iteration = iteration;
        slot.count = 0;
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
        let slot = |row: u32| self.slot_of[self.iterations[row as usize] as usize];
        sorted.slots.clear();
        sorted.slots.extend(rows.iter().map(|&row| slot(row)));
        sorted.ends.clear();
        sorted.ends.resize(self.tables.len(), 0);
        for &slot in &sorted.slots {
            sorted.ends[slot as usize] += 1;
        }
        let mut start = 0;
        for end in &mut sorted.ends {
            (start, *end) = (start + *end, start);
        }
        sorted.rows.resize(rows.len(), 0);
        sorted.places.resize(rows.len(), 0);
        for ((place, &row), &slot) in (0..).zip(rows).zip(&sorted.slots) {
            let end = &mut sorted.ends[slot as usize];
            (sorted.rows[*end], sorted.places[*end]) = (row, place);
            *end += 1;
        }
    }

    /// What is known of the iteration of a slot.
    pub(super) fn table(&self, slot: usize) -> &Table {
        &self.tables[slot]
    }

    /// Whether this says that nothing is known.
    pub(super) fn is_none(&self, slot: usize) -> bool {
        slot == self.slots.len()
    }

    /// What is known of `row`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn record(&self, row: u32) -> Record<'_> {
        Record(bytemuck::cast_slice(&self.records[row as usize * self.of_row..][..self.of_row]))
    }

    /// Asks for what is known of `row` to be in the cache soon.
    #[inline]
    pub(super) fn prefetch(&self, row: u32) {
        prefetch(&self.records[row as usize * self.of_row..][..self.of_row]);
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

    /// Keeps `scores` of `row`, of which none of a centroid is below `least`, those of the `sharp` lanes by
    /// the definition.
    pub(super) fn keep_defined(
        &mut self,
        simd: Simd,
        row: u32,
        facts: &Facts,
        (scores, least): (&[f32], f32),
        sharp: &[u32],
    ) {
        let square = facts.norm * facts.norm;
        let slack = 2.0 * ROUNDING * BLOWN * square;
        let (note, kept) = self.put(row, facts, square + slack + least);
        let found = scores.as_chunks().0.iter().map(|scores| (scores, scores));
        let widths = keep_all(simd, found, least, sharp, kept);
        note.blur = AtLeast::new(f32::INFINITY);
        note.sharp_blur = AtLeast::new(widths.sharp * BLOWN);
    }

    /// What is known of `row` is of this iteration from now on; its scores, and how sharp they are, are to
    /// follow.
    #[inline]
    fn put(&mut self, row: u32, facts: &Facts, square: f32) -> (&mut Note, &mut [KeptScores]) {
        let record = &mut self.records[row as usize * self.of_row..][..self.of_row];
        let record: &mut [u8] = bytemuck::cast_slice_mut(record);
        let (note, scores) = record.split_at_mut(size_of::<Note>());
        let iteration = &mut self.iterations[row as usize];
        if let Some(before) = self.slots.get_mut(self.slot_of[*iteration as usize] as usize) {
            before.count -= 1;
        }
        let slot = &mut self.slots[self.now];
        slot.count += 1;
        *iteration = slot.iteration as u32;
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

impl Table {
    /// Measures how centroids have moved from `then` to `now`: behind the leading coordinates by no more
    /// than `tails`, which are set where it is known how far each has moved on the `whole`.
    fn set(
        &mut self,
        simd: Simd,
        then: &Centroids,
        now: &Centroids,
        tails: &mut [Lanes64],
        whole: Option<&[Lanes64]>,
    ) {
        let front = now.front;
        let lines = self.bytes.len() / self.lanes.len();
        for (group, (lanes, tails)) in self.lanes.iter_mut().zip(tails).enumerate() {
            let heads =
                [then, now].map(|centroids| &centroids.heads[group * front..(group + 1) * front]);
            let bytes = self.bytes[group * lines..][..lines].as_flattened_mut();
            let mut moved = Moved::default();
            to_bytes(simd, heads, bytes, &mut moved);
            let sizes = [then, now].map(|centroids| &centroids.sizes[group]);
            bound(simd, &moved, sizes, tails, whole.map(|whole| &whole[group]), lanes);
        }
    }
}

/// Movements of a group's leading coordinates.
#[derive(Debug, Default)]
struct Moved {
    /// What bytes are multiples of, and what sums with them start with.
    scales: Lanes,
    start: Sums32,
    /// Squared norms, and squared errors of the bytes.
    squares: Lanes,
    errors: Lanes,
}

multiversion! {
    /// The differences of heads as they are now, the second, from those then, `[front]`, in the first of
    /// `bytes`, `[front / 4]`.
    fn to_bytes = to_bytes_body(
        heads: [&[Lanes]; 2], bytes: &mut [[[i8; FOUR]; LANES]], moved: &mut Moved,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_bytes_body<const B: usize>(
    heads: [&[Lanes]; 2],
    bytes: &mut [[[i8; FOUR]; LANES]],
    moved: &mut Moved,
) {
    // Four sums side by side, by name, as each addition takes longer than all else.
    let mut spans = [Span::default(); FOUR];
    let [then, now] = heads.map(|heads| heads.as_chunks::<FOUR>().0);
    let [mut a, mut b, mut c, mut d] = spans;
    for (then, now) in then.iter().zip(now) {
        a.add(&then[0], &now[0]);
        b.add(&then[1], &now[1]);
        c.add(&then[2], &now[2]);
        d.add(&then[3], &now[3]);
    }
    spans = [a, b, c, d];
    let mut steps = Steps::default();
    for (lane, (scales, inverses)) in steps.scales.iter_mut().zip(&mut steps.inverses).enumerate() {
        let of = |part: usize| spans[part].largest[lane];
        let higher = |a: f32, b: f32| if a > b { a } else { b };
        let scale = higher(higher(of(0), of(1)), higher(of(2), of(3))) / 127.0;
        // What is too small to be divided by is left out as a whole.
        let counts = scale > f32::MIN_POSITIVE;
        *scales = if counts { scale } else { 0.0 };
        *inverses = if counts { 1.0 / scale } else { 0.0 };
    }
    let squares = array::from_fn(|lane| {
        let of = |part: usize| spans[part].squares[lane];
        (of(0) + of(1)) + (of(2) + of(3))
    });
    let mut start = [0_i32; LANES];
    let [mut a, mut b, mut c, mut d] = [[0.0_f32; LANES]; FOUR];
    for ((then, now), bytes) in then.iter().zip(now).zip(bytes) {
        let [first, second, third, fourth] = [
            steps.round(&then[0], &now[0], &mut start, &mut a),
            steps.round(&then[1], &now[1], &mut start, &mut b),
            steps.round(&then[2], &now[2], &mut start, &mut c),
            steps.round(&then[3], &now[3], &mut start, &mut d),
        ];
        let words: [u32; LANES] = array::from_fn(|lane| {
            first[lane] | second[lane] << 8 | third[lane] << 16 | fourth[lane] << 24
        });
        *bytes = bytemuck::cast(words);
    }
    let errors = array::from_fn(|lane| (a[lane] + b[lane]) + (c[lane] + d[lane]));
    *moved = Moved { scales: steps.scales, start, squares, errors };
}

/// Of some coordinates of each lane, the largest, and the sum of squares.
#[derive(Clone, Copy, Default)]
struct Span {
    largest: Lanes,
    squares: Lanes,
}

impl Span {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn add(&mut self, then: &Lanes, now: &Lanes) {
        for lane in 0..LANES {
            let difference = (now[lane] - then[lane]).abs();
            let largest = self.largest[lane];
            self.largest[lane] = if largest > difference { largest } else { difference };
            self.squares[lane] += difference * difference;
        }
    }
}

/// What differences become multiples of, and the inverses of that.
#[derive(Default)]
struct Steps {
    scales: Lanes,
    inverses: Lanes,
}

impl Steps {
    /// The bytes of differences. Adds up what sums with them start with, and squared `errors`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn round(
        &self,
        then: &Lanes,
        now: &Lanes,
        start: &mut Sums32,
        errors: &mut Lanes,
    ) -> [u32; LANES] {
        let mut bytes = [0; LANES];
        for lane in 0..LANES {
            let difference = now[lane] - then[lane];
            let rounded = difference * self.inverses[lane] + ROUNDER32;
            let off = difference - self.scales[lane] * (rounded - ROUNDER32);
            errors[lane] += off * off;
            let byte = rounded.to_bits() & 0xff;
            start[lane] -= BIAS * i32::from(byte as i8);
            bytes[lane] = byte;
        }
        bytes
    }
}

multiversion! {
    /// What follows from leading coordinates that have `moved`, for centroids of these sizes, then and now:
    /// see [`Table::set`].
    fn bound = bound_body(
        moved: &Moved, sizes: [&Sizes; 2], tails: &mut Lanes64, whole: Option<&Lanes64>,
        found: &mut Movements,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn bound_body<const B: usize>(
    moved: &Moved,
    [then, now]: [&Sizes; 2],
    tails: &mut Lanes64,
    whole: Option<&Lanes64>,
    found: &mut Movements,
) {
    let higher = |a: f64, b: f64| if a > b { a } else { b };
    // As `up`, of a number that is not below 0.
    let up = |x: f64| {
        let rounded = x as f32;
        f32::from_bits(rounded.to_bits() + u32::from(f64::from(rounded) < x))
    };
    let by = |norm: f64| up(2.0 * f64::from(BLOWN) * norm);
    let mut bounds = Movements { start: moved.start, ..Movements::default() };
    for lane in 0..LANES {
        let norms = then.norms[lane] + now.norms[lane];
        let rounding = norms / f64::from(1 << 23);
        // Sums of few squares in binary32 are off by less than a relative 1e-4.
        let known = f64::from(moved.squares[lane]).sqrt();
        let at_most = known * (1.0 + 1e-4) + UNDERFLOW;
        // Of the products, and of the difference in binary32.
        let error = then.head_errors[lane] + now.head_errors[lane] + rounding;
        let inside = higher(known * (1.0 - 1e-4) - error, 0.0);
        if let Some(whole) = whole {
            tails[lane] = higher(whole[lane] * whole[lane] - inside * inside, 0.0).sqrt();
        }
        let off = f64::from(moved.errors[lane]).sqrt() + known * 1e-6 + UNDERFLOW;
        bounds.squares[lane] = (now.squares[lane] - then.squares[lane]) as f32;
        bounds.factors[lane] = -2.0 * moved.scales[lane];
        bounds.errors[lane] = by(at_most);
        bounds.tails[lane] = by(tails[lane]);
        bounds.norms[lane] = by(off * (1.0 + 1e-4) + error);
        bounds.rounding[lane] = by(f64::from(ROUNDING) * norms * norms);
    }
    *found = bounds;
}
