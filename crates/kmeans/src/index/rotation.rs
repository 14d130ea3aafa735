//! Rows' coordinates along the basis, and rounding them to bytes.

use super::gemm;
use super::layout::{Layout, MAX_LEVELS};
use super::{BIAS, Facts, RowsMut, TINY, rotation_error, up};
use crate::data::Data;
use crate::rows::RowIndex;
use crate::simd::{LINE, Simd};

/// The largest `|q|`: its high byte, rounded, is at most 127.
pub(crate) const LARGEST: f32 = (127 * 256) as f32;

/// Some coordinates as integers.
#[derive(Debug, Clone, Copy, Default)]
struct Quantised {
    /// What high bytes are multiples of.
    scale: f32,
    /// The squared errors of high bytes alone, and of both.
    square_error: f64,
    fine_square_error: f64,
}

/// `values` as multiples of one scale, in a high and a low byte each, of which `write` gets the
/// place, the high, and the low.
fn quantise(values: &[f32], mut write: impl FnMut(usize, i32, i32)) -> Quantised {
    let largest = values.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
    let scale = up(f64::from(largest) / f64::from(LARGEST));
    if scale < f32::MIN_POSITIVE * 256.0 || !scale.is_finite() {
        let square = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        (0..values.len()).for_each(|at| write(at, 0, 0));
        return Quantised { scale: 0.0, square_error: square, fine_square_error: square };
    }
    let inverse = 1.0 / scale;
    let (mut errors, mut fine_errors) = (0.0, 0.0);
    for (at, &value) in values.iter().enumerate() {
        // Adding and subtracting 1.5 * 2^23 rounds, as the number is far below it.
        let q = ((value * inverse + 12_582_912.0) - 12_582_912.0) as i32;
        let q = q.clamp(-(LARGEST as i32), LARGEST as i32);
        let high = (q + BIAS) >> 8;
        write(at, high, q - 256 * high);
        let off = |q: i32| (f64::from(value) - f64::from(scale) * f64::from(q)).powi(2);
        errors += off(256 * high);
        fine_errors += off(q);
    }
    Quantised { scale: 256.0 * scale, square_error: errors, fine_square_error: fine_errors }
}

/// `(x - m) * unit` of a row, rounded to binary32, without padding.
pub(super) fn centre(data: Data<'_>, unit: f64, row: usize, centred: &mut [f32]) {
    let values = data.rows.row(RowIndex::new(row));
    for (centred, (&x, &m)) in centred.iter_mut().zip(values.iter().zip(data.center)) {
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
    pub(super) basis: &'a [f32],
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
        let width = self.basis.len() / d;
        let mut block = vec![0.0; BLOCK * d];
        let mut product = vec![0.0; BLOCK * width];
        for start in rows.clone().step_by(BLOCK) {
            let count = BLOCK.min(rows.end - start);
            for (row, values) in block.chunks_exact_mut(d).take(count).enumerate() {
                centre(self.data, self.unit, start + row, values);
            }
            let product = &mut product[..count * width];
            gemm::multiply(self.simd, &block[..count * d], d, d, self.basis, product);
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
        let mut squares = [0.0; MAX_LEVELS];
        // Where there is nothing, bytes are 0 with the bias.
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
            found[level] = quantise(values, |at, value, rest| {
                high[at] = (value + BIAS) as u8;
                low[at] = (rest + BIAS) as u8;
            });
            squares[level] = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        }
        let norm = self.data.spread[row].sqrt() * self.unit * (1.0 + 1e-9);
        let rotation = self.defect * (1.0 + self.defect) * norm
            + rotation_error(&self.layout, self.defect) * norm
            + TINY;
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
