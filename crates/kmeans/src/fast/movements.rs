//! How centroids have moved since an iteration, for rows whose scores are kept from it ([`super::anchors`]):
//! their leading coordinates rounded to bytes, and what bounds are made of.

use super::centroids::{Centroids, Sizes, UNDERFLOW};
use super::judge::{BLOWN, ROUNDING};
use super::kernel::{FOUR, GroupLine, LANES, Lanes, Sums32};
use crate::index::{BIAS, up};
use crate::integers::{Lanes64, ROUNDER32};
use crate::lines::Lines;
use crate::simd::{Simd, multiversion};
use std::array;

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
    pub(super) fn new(groups: usize, lines: usize) -> Self {
        Self { bytes: Lines::zeros(groups * lines), lanes: vec![Movements::default(); groups] }
    }

    /// The bytes of each group.
    #[inline]
    pub(super) fn groups(&self) -> impl Iterator<Item = &[GroupLine]> {
        self.bytes.chunks_exact(self.bytes.len() / self.lanes.len())
    }

    /// Measures how centroids have moved from `then` to `now`: behind the leading coordinates by no more
    /// than `tails`, which are set where it is known how far each has moved on the `whole`.
    pub(super) fn set(
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
    let [mut a, mut b, mut c, mut d] = [Span::default(); FOUR];
    let [then, now] = heads.map(|heads| heads.as_chunks::<FOUR>().0);
    for (then, now) in then.iter().zip(now) {
        a.add(&then[0], &now[0]);
        b.add(&then[1], &now[1]);
        c.add(&then[2], &now[2]);
        d.add(&then[3], &now[3]);
    }
    let spans = [a, b, c, d];
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
