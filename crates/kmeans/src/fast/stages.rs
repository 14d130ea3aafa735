//! Deciding rows: by what is kept of them, by all their coordinates, by their values, by the definition.

use super::anchors::{Anchors, BySlot};
use super::centroids::Centroids;
use super::close::Close;
use super::judge::{Ranges, Verdicts, judge, lead};
use super::kernel::{self, LANES, ROWS};
use super::looks::Looks;
use super::planes::Depth;
use super::product::Product;
use super::weigh::{Batch, Kept, MovedProducts, by_anchors};
use super::{Look, Room, Settled};
use crate::data::Data;
use crate::index::IndexView;
use crate::lloyd::Counters;
use crate::simd::{Simd, prefetch};
use std::array;
use std::ops::Range;

/// How many steps it takes to judge rows by what is kept of them.
const STEPS: usize = 3;

/// A row is worth a look at all its coordinates, which takes a product of the centroids with the
/// whole basis, where there are so many such rows that each stands for so many products of `k`
/// columns.
const WORTH: u64 = 16;

/// What deciding by the index needs.
pub(super) struct Stages {
    centroids: Centroids,
    product: Product,
    looks: Looks,
    anchors: Option<Anchors>,
    /// Whether rows can be looked at in this iteration.
    can_look: bool,
    /// Rows that this and the last iteration's anchors could not decide.
    open: u64,
    /// Those of a block.
    rows: Vec<u32>,
    by_slot: BySlot,
    /// Those with the same slot and where they are, up to [`ROWS`] together,
    batches: Vec<(usize, Range<usize>)>,
    /// and those that are on the way.
    moved: [MovedProducts; STEPS],
    ranges: Ranges,
    verdicts: Verdicts,
    pending: Pending,
    close: Close,
    room: Room,
}

/// Rows that are left to their values, in their order.
#[derive(Default)]
struct Pending {
    rows: Vec<PendingRow>,
    /// The lowest that their scores may be, `[rows, lanes]`.
    lows: Vec<f32>,
}

struct PendingRow {
    row: u32,
    /// The centroid that may be nearest, and at least its score, infinite where nothing is known.
    best: u32,
    most: f32,
    /// At least its distance.
    distance: f32,
}

/// What decisions are made from, and where they go.
pub(super) struct Task<'t, 's> {
    pub(super) look: Look<'t>,
    pub(super) index: &'t IndexView<'t>,
    pub(super) settled: &'t mut Settled<'s>,
    pub(super) counters: &'t mut Counters,
}

impl Stages {
    pub(super) fn new(simd: Simd, data: Data<'_>, index: &IndexView<'_>, k: usize) -> Self {
        let centroids = Centroids::new(data, index, k);
        let lanes = centroids.lanes;
        Self {
            product: Product::new(simd, index, k),
            looks: Looks::new(data, index, k),
            anchors: Anchors::new(index, lanes),
            can_look: false,
            open: u64::MAX,
            rows: Vec::new(),
            by_slot: BySlot::default(),
            batches: Vec::new(),
            moved: array::from_fn(|_| MovedProducts::new(index, lanes / LANES)),
            ranges: Ranges::new(k),
            verdicts: Verdicts::default(),
            pending: Pending::default(),
            close: Close::default(),
            room: Room::default(),
            centroids,
        }
    }

    /// A new iteration begins, with these centroids, `[k, stride]`. Returns whether they can be used.
    pub(super) fn set(
        &mut self,
        Look { simd, data, centroids }: Look<'_>,
        index: &IndexView<'_>,
    ) -> bool {
        let k = self.centroids.k;
        self.can_look = !self.looks.take_the_basis()
            || self.anchors.as_ref().is_none_or(Anchors::are_none)
            || self.open.saturating_mul(WORTH) > (k * index.layout.components) as u64;
        self.open = 0;
        let whole = self.can_look && self.looks.take_the_basis();
        let product = &mut self.product;
        let usable = self.centroids.set(simd, index, data, centroids, whole, product);
        if usable && self.can_look {
            self.looks.set(simd, index, &self.centroids, product);
        }
        if let Some(anchors) = &mut self.anchors {
            if usable {
                anchors.advance(simd, &self.centroids);
            } else {
                anchors.forget();
                self.open = u64::MAX;
            }
        }
        usable
    }

    /// Decides the rows of `visits`.
    pub(super) fn decide(&mut self, visits: &[u32], task: &mut Task<'_, '_>) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        if self.can_look && self.anchors.as_ref().is_none_or(Anchors::are_none) {
            rows.extend_from_slice(visits);
        } else {
            self.decide_by_anchors(visits, &mut rows, task);
        }
        self.open += (rows.len() + self.pending.rows.len()) as u64;
        if self.can_look {
            for depth in Depth::ALL {
                self.decide_by_looks(depth, &mut rows, task);
            }
        }
        self.rows = rows;
        self.decide_pending(task);
    }

    /// Settles rows that what is kept of them decides. Others are left pending or, where all
    /// coordinates can be looked at, `open`.
    fn decide_by_anchors(
        &mut self,
        visits: &[u32],
        open: &mut Vec<u32>,
        &mut Task { look, index, ref mut settled, ref mut counters }: &mut Task<'_, '_>,
    ) {
        let Self {
            anchors: Some(anchors), by_slot, batches, moved, ranges, verdicts, pending, ..
        } = self
        else {
            return;
        };
        counters.add_read(visits.len() * index.layout.widths[0], 1);
        anchors.sort(visits, by_slot);
        if self.can_look {
            open.extend_from_slice(by_slot.take_unknown());
        }
        batches.clear();
        batches.extend(by_slot.batches());
        let simd = look.simd;
        let rows_of = |batch: Option<&(usize, Range<usize>)>| -> &[u32] {
            batch.map_or(&[], |(_, places)| &by_slot.rows[places.clone()])
        };
        // While some rows are judged, those behind them are multiplied, and those behind these are asked
        // for, one by one: many requests at once would have to wait for each other.
        for at in 0..batches.len() + STEPS - 1 {
            let batch = |back: usize| at.checked_sub(back).and_then(|at| batches.get(at));
            moved[at % STEPS].take(simd, index, rows_of(batch(0)));
            if let Some((slot, _)) = batch(1) {
                moved[(at - 1) % STEPS].multiply(simd, anchors.table(*slot));
            }
            let (rows, next) = (rows_of(batch(2)), rows_of(batches.get(at + 2)));
            for &row in next.iter().skip(rows.len()) {
                prefetch(index.leading(row as usize));
            }
            anchors.prefetch(next);
            let Some((slot, _)) = batch(2) else { continue };
            let moved = &moved[(at - 2) % STEPS];
            let kept = Kept { anchors, table: anchors.table(*slot), moved };
            by_anchors(simd, simd, index, &kept, rows, next, ranges);
            judge(simd, ranges, verdicts);
            let are_settled = settled.settle_all(simd, rows, verdicts);
            for (i, &row) in rows.iter().enumerate() {
                if are_settled >> i & 1 == 1 {
                    continue;
                }
                if self.can_look {
                    open.push(row);
                } else {
                    pending.push(ranges, verdicts, i, row);
                    look.prefetch(index, row);
                }
            }
            counters.by_anchor += u64::from(are_settled.count_ones());
        }
        // Those that follow each other are looked at in place.
        open.sort_unstable();
    }

    /// Settles those of the `open` rows that a look in this `depth` decides, and keeps what is found. Others
    /// stay open or, after a fine one, are left pending.
    fn decide_by_looks(
        &mut self,
        depth: Depth,
        open: &mut Vec<u32>,
        &mut Task { look, index, ref mut settled, ref mut counters }: &mut Task<'_, '_>,
    ) {
        let Self { looks, anchors, ranges, verdicts, pending, .. } = self;
        let bytes = open.len() as f64 * looks.bytes_of_row(index, depth);
        counters.add_read(bytes as usize, size_of::<u8>());
        let mut left = 0;
        for start in (0..open.len()).step_by(ROWS) {
            let mut rows = [0; ROWS];
            let rows = &mut rows[..ROWS.min(open.len() - start)];
            rows.copy_from_slice(&open[start..start + rows.len()]);
            let mut nearest = [0; ROWS];
            for (nearest, &row) in nearest.iter_mut().zip(&*rows) {
                *nearest = settled.label(row);
            }
            let next = &open[start + rows.len()..open.len().min(start + 2 * ROWS)];
            let batch = Batch { rows, nearest: &nearest[..rows.len()], next };
            looks.look(look.simd, index, depth, &batch, ranges);
            judge(look.simd, ranges, verdicts);
            let are_settled = settled.settle_all(look.simd, rows, verdicts);
            for (i, &row) in rows.iter().enumerate() {
                if i % 4 == 0 {
                    kernel::stay_awake(look.simd);
                }
                if are_settled >> i & 1 == 0 {
                    if depth == Depth::Fine {
                        pending.push(ranges, verdicts, i, row);
                        look.prefetch(index, row);
                    } else {
                        open[left] = row;
                        left += 1;
                    }
                    continue;
                }
                // First centroids move too far for what is found of them to be of any use.
                if let Some(anchors) = anchors.as_mut().filter(|_| !settled.is_first) {
                    let facts = index.facts(row as usize);
                    anchors.keep(look.simd, row, facts, ranges, i, verdicts.best[i]);
                }
            }
            let level = usize::from(depth == Depth::Fine);
            counters.by_level[level] += u64::from(are_settled.count_ones());
        }
        open.truncate(left);
    }

    /// Settles rows that are left among the centroids that may be nearest, by close scores or else by the
    /// definition, and keeps what is found.
    fn decide_pending(
        &mut self,
        &mut Task { look, index, ref mut settled, ref mut counters }: &mut Task<'_, '_>,
    ) {
        let Self { centroids, anchors, pending, close, room, .. } = self;
        let (k, lanes) = (centroids.k, centroids.lanes);
        counters.add_read(pending.rows.len() * index.layout.d, look.data.bytes_of_value());
        let lows = pending.lows.chunks_exact_mut(lanes);
        for (&PendingRow { row, best, most, distance }, lows) in pending.rows.iter().zip(lows) {
            let facts = index.facts(row as usize);
            let others = contenders_of(&lows[..k], best, most, &mut close.labels);
            let values = look.values(row, &mut room.values);
            close.measure(look.simd, centroids, index.unit, values, facts.norm);
            if let Some((label, lead)) = close.decide(others, facts) {
                settled.settle(row, label, settled.travel.limit(label, lead));
                counters.by_level[1] += 1;
            } else {
                let others = if others < f32::INFINITY { lead(others, distance) } else { others };
                let distances = &mut room.distances;
                look.decide_among(row, values, &close.labels, others, distances, settled);
                close.define(distances, index.unit, facts.norm);
                counters.by_definition += 1;
            }
            if let Some(anchors) = anchors.as_mut().filter(|_| !settled.is_first) {
                close.lower(&mut lows[..k], most, best);
                let least = lows[..k].iter().copied().fold(f32::INFINITY, f32::min);
                anchors.keep_close(look.simd, row, facts, (lows, least), close);
            }
        }
        pending.rows.clear();
        pending.lows.clear();
    }
}

/// Writes the lanes into `contenders` that may be as near as `best`, which is one of them, where scores
/// are at least `lows` and that of `best` is at most `most`; returns at most `D_j² - D_best²` of all
/// others.
pub(super) fn contenders_of(lows: &[f32], best: u32, most: f32, contenders: &mut Vec<u32>) -> f32 {
    contenders.clear();
    let mut others = f32::INFINITY;
    for (lane, &low) in (0..).zip(lows) {
        let margin = low - most;
        if margin > 0.0 && lane != best {
            others = others.min(margin);
        } else {
            contenders.push(lane);
        }
    }
    others
}

impl Pending {
    /// Row `i` of those that `ranges` and `verdicts` are of is left.
    fn push(&mut self, ranges: &Ranges, verdicts: &Verdicts, i: usize, row: u32) {
        let (best, distance) = (ranges.lowest_high(i), verdicts.distance[i]);
        self.rows.push(PendingRow { row, best, most: ranges.most(i, best), distance });
        for low in &*ranges.low_of_rows {
            self.lows.extend_from_slice(&low[i]);
        }
    }
}
