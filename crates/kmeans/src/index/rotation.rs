//! Rows' coordinates along the basis, and rounding them to bytes.

use super::layout::{Layout, MAX_LEVELS};
use super::product::{Basis, Room};
use super::{BIAS, Facts, RowsMut, TINY, up};
use crate::data::Data;
use crate::integers::{ROUNDER32, largest_body};
use crate::rows::RowIndex;
use crate::simd::{LINE, Simd, multiversion};

/// The largest `|q|`: its high byte, rounded, is at most 127.
pub(crate) const LARGEST: f32 = (127 * 256) as f32;

/// Some coordinates as integers.
#[derive(Debug, Clone, Copy, Default)]
struct Quantised {
    /// What high bytes are multiples of.
    scale: f32,
    /// The squared norm, and the squared errors of high bytes alone, and of both.
    square: f64,
    square_error: f64,
    fine_square_error: f64,
}

multiversion! {
    /// `values` as multiples of one scale, as `high` and `low` bytes with the bias; where all are too small for
    /// that, bytes stay what they are.
    fn quantise = quantise_body(values: &[f32], high: &mut [u8], low: &mut [u8]) -> Quantised
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn quantise_body<const B: usize>(values: &[f32], high: &mut [u8], low: &mut [u8]) -> Quantised {
    let (high, low) = (&mut high[..values.len()], &mut low[..values.len()]);
    let scale = up(f64::from(largest_body::<B>(values)) / f64::from(LARGEST));
    if scale < f32::MIN_POSITIVE * 256.0 || !scale.is_finite() {
        let square = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        return Quantised { scale: 0.0, square, square_error: square, fine_square_error: square };
    }
    let mut found = [Errors::default(); PARTS];
    let (values, rest) = values.as_chunks::<PARTS>();
    let (high, high_rest) = high.as_chunks_mut::<PARTS>();
    let (low, low_rest) = low.as_chunks_mut::<PARTS>();
    for ((values, high), low) in values.iter().zip(high).zip(low) {
        for part in 0..PARTS {
            (high[part], low[part]) = found[part].add(values[part], scale);
        }
    }
    for ((&value, high), low) in rest.iter().zip(high_rest).zip(low_rest) {
        (*high, *low) = found[0].add(value, scale);
    }
    let sum = |of: fn(&Errors) -> f64| found.iter().map(of).sum::<f64>();
    Quantised {
        scale: 256.0 * scale,
        square: sum(|part| part.square),
        square_error: sum(|part| part.coarse),
        fine_square_error: sum(|part| part.fine),
    }
}

/// Sums that are taken side by side.
const PARTS: usize = 16;

/// Sums of squares: of values, and of the errors of high bytes alone and of both.
#[derive(Clone, Copy, Default)]
struct Errors {
    square: f64,
    coarse: f64,
    fine: f64,
}

impl Errors {
    /// The bytes of a `value` in multiples of `scale`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn add(&mut self, value: f32, scale: f32) -> (u8, u8) {
        let rounded = value * (1.0 / scale) + ROUNDER32;
        let q = rounded.to_bits().cast_signed() - ROUNDER32.to_bits().cast_signed();
        let q = q.clamp(-(LARGEST as i32), LARGEST as i32);
        let high = (q + BIAS) >> 8;
        let off = |q: i32| f64::from(value) - f64::from(scale) * f64::from(q);
        let (coarse, fine) = (off(256 * high), off(q));
        self.square += f64::from(value) * f64::from(value);
        self.coarse += coarse * coarse;
        self.fine += fine * fine;
        ((high + BIAS) as u8, (q - 256 * high + BIAS) as u8)
    }
}

/// `(x - m) * unit` of a row, rounded to binary32, without padding.
pub(super) fn centre(simd: Simd, data: Data<'_>, unit: f64, row: usize, centred: &mut [f32]) {
    shift(simd, data.rows.row(RowIndex::new(row)), data.center, unit, centred);
}

multiversion! {
    fn shift = shift_body(values: &[f32], center: &[f64], unit: f64, centred: &mut [f32])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn shift_body<const B: usize>(values: &[f32], center: &[f64], unit: f64, centred: &mut [f32]) {
    for (centred, (&x, &m)) in centred.iter_mut().zip(values.iter().zip(center)) {
        *centred = ((f64::from(x) - m) * unit) as f32;
    }
}

/// All that rotating some rows needs.
pub(super) struct Rotation<'a> {
    pub(super) simd: Simd,
    pub(super) data: Data<'a>,
    pub(super) unit: f64,
    pub(super) defect: f64,
    pub(super) layout: Layout,
    pub(super) basis: &'a Basis<'a>,
}

impl Rotation<'_> {
    /// Writes the coordinates and facts of `rows` into `parts`.
    pub(super) fn rotate(&self, rows: std::ops::Range<usize>, parts: RowsMut<'_>) {
        /// Rows rotated at a time: a multiple of what the product takes at once.
        const BLOCK: usize = 96;
        let RowsMut { front, deep, low } = parts;
        let (deep_lines, low_lines) = (self.layout.deep_lines(), self.layout.low_lines());
        let front_lines = self.layout.front_lines();
        let d = self.layout.d;
        let width = self.basis.width;
        let mut room = Room::default();
        let mut block = vec![0.0; BLOCK * d];
        let mut product = vec![0.0; BLOCK * width];
        for start in rows.clone().step_by(BLOCK) {
            let count = BLOCK.min(rows.end - start);
            for (row, values) in block.chunks_exact_mut(d).take(count).enumerate() {
                centre(self.simd, self.data, self.unit, start + row, values);
            }
            let product = &mut product[..count * width];
            self.basis.multiply(self.simd, &block[..count * d], d, &mut room, product);
            for (row, product) in product.chunks_exact(width).enumerate() {
                let at = start + row - rows.start;
                let own = RowsMut {
                    front: &mut front[at * front_lines..][..front_lines],
                    deep: &mut deep[at * deep_lines..][..deep_lines],
                    low: &mut low[at * low_lines..][..low_lines],
                };
                self.write(start + row, product, own);
            }
        }
    }

    /// Writes the coordinates and facts of a `row`, of which `product` is the product with the basis.
    fn write(&self, row: usize, product: &[f32], parts: RowsMut<'_>) {
        let RowsMut { front, deep, low } = parts;
        let [front, deep, low]: [&mut [u8]; 3] = [front, deep, low].map(bytemuck::cast_slice_mut);
        let mut found = [Quantised::default(); MAX_LEVELS];
        // Where there is nothing, or too little, bytes are 0 with the bias.
        for bytes in [&mut *front, deep, low] {
            bytes.fill(BIAS as u8);
        }
        let [first, second, _] = self.layout.lines().map(|lines| lines * LINE);
        for (level, at) in self.layout.columns().into_iter().enumerate() {
            let values = &product[at];
            let (high, low) = match level {
                0 => (&mut *front, &mut *deep),
                1 => (&mut front[first..], &mut *low),
                _ => (&mut deep[first..], &mut low[second..]),
            };
            found[level] = quantise(self.simd, values, high, low);
        }
        let squares = found.map(|level| level.square);
        let norm = self.data.spread[row].sqrt() * self.unit * (1.0 + 1e-9);
        let rotation = self.defect * (1.0 + self.defect) * norm + self.basis.error * norm + TINY;
        let mut outside = 0.0;
        if !self.layout.is_whole() {
            let inside = (squares.iter().sum::<f64>().sqrt() * (1.0 - 1e-9) - rotation).max(0.0);
            outside = (norm * norm - inside * inside).max(0.0);
        }
        let bound = |square: f64| up((square.sqrt() + rotation) * (1.0 + 1e-9));
        let mut errors = found.map(|level| bound(level.square_error));
        errors[0] = bound(found[0].fine_square_error);
        let known = Facts {
            scales: found.map(|level| level.scale),
            norms: squares.map(bound),
            errors,
            norm: up(norm),
            outside: up(outside.sqrt() * (1.0 + 1e-9)),
            front_error: bound(found[0].square_error),
        };
        let (_, facts) =
            front.split_last_chunk_mut::<{ size_of::<Facts>() }>().expect("there is room");
        facts.copy_from_slice(bytemuck::bytes_of(&known));
    }
}
