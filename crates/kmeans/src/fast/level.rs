//! A level of coordinates, of a group of centroids: rounded to bytes, and how far they are apart in it.

use super::kernel::{FOUR, GroupLine, LANES, Lanes, Sums32};
use crate::index::{BIAS, LARGEST};
use crate::integers::ROUNDER32;
use crate::simd::{LINE, Simd, multiversion};

/// More than a sum of so many squares in binary32 is off by, in its root: each passes a rounding or two of
/// its own, and one for each term that is added.
pub(super) fn slack(terms: usize) -> f64 {
    1.0 + (terms + 4) as f64 / f64::from(1 << 24)
}

/// A level of a group of centroids, rounded to bytes.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// What high bytes are multiples of.
    pub(super) scales: Lanes,
    /// The squared errors of high bytes alone, and of both.
    pub(super) square_errors: Lanes,
    pub(super) fine_square_errors: Lanes,
    /// Squared norms, before rounding.
    pub(super) squares: [f64; LANES],
}

/// Bytes of a level, and the sums of those of each line.
pub(super) type Bytes<'a> = (&'a mut [GroupLine], &'a mut [Sums32]);

impl Level {
    /// Rounds `values` to `high` and `low` bytes.
    pub(super) fn new(simd: Simd, values: &[Lanes], high: Bytes<'_>, low: Bytes<'_>) -> Self {
        let mut found = Self::default();
        to_bytes(simd, values, high, low, &mut found);
        found
    }
}

multiversion! {
    /// `values` as multiples of one scale for each lane, in high and low bytes.
    fn to_bytes = to_bytes_body(
        values: &[Lanes], high: Bytes<'_>, low: Bytes<'_>, found: &mut Level,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_bytes_body<const B: usize>(
    values: &[Lanes],
    (high, high_sums): Bytes<'_>,
    (low, low_sums): Bytes<'_>,
    found: &mut Level,
) {
    let (mut largest, mut squares) = ([0.0_f32; LANES], [0.0_f64; LANES]);
    for value in values {
        for lane in 0..LANES {
            let size = value[lane].abs();
            largest[lane] = if size > largest[lane] { size } else { largest[lane] };
            squares[lane] += f64::from(value[lane]) * f64::from(value[lane]);
        }
    }
    let (mut scales, mut inverses) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for lane in 0..LANES {
        // A little larger, so that none is rounded to more than the largest.
        let scale = largest[lane] / LARGEST * (1.0 + 4.0 * f32::EPSILON);
        // What is too small to be divided by is left out as a whole.
        let counts = scale >= f32::MIN_POSITIVE * 256.0;
        scales[lane] = if counts { scale } else { 0.0 };
        inverses[lane] = if counts { 1.0 / scale } else { 0.0 };
    }
    let (mut errors, mut fine_errors) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let lines = high.iter_mut().zip(high_sums).zip(low.iter_mut().zip(low_sums));
    for (values, ((high, high_sums), (low, low_sums))) in values.chunks(LINE).zip(lines) {
        // Numbers of the loop's own stay in registers.
        let (mut sums, mut rest_sums) = ([0; LANES], [0; LANES]);
        for (values, (high, low)) in values.chunks(FOUR).zip(high.iter_mut().zip(low)) {
            let (mut word, mut rest_word) = ([0_u32; LANES], [0_u32; LANES]);
            for value in values.iter().rev() {
                for lane in 0..LANES {
                    let rounded = value[lane] * inverses[lane] + ROUNDER32;
                    let q = rounded.to_bits().cast_signed() - ROUNDER32.to_bits().cast_signed();
                    let coarse = (q + BIAS) >> 8;
                    let rest = q - 256 * coarse;
                    let off = value[lane] - scales[lane] * (256 * coarse) as f32;
                    let fine_off = value[lane] - scales[lane] * q as f32;
                    errors[lane] += off * off;
                    fine_errors[lane] += fine_off * fine_off;
                    sums[lane] += coarse;
                    rest_sums[lane] += rest;
                    word[lane] = word[lane] << 8 | coarse.cast_unsigned() & 0xff;
                    rest_word[lane] = rest_word[lane] << 8 | rest.cast_unsigned() & 0xff;
                }
            }
            (*high, *low) = (bytemuck::cast(word), bytemuck::cast(rest_word));
        }
        (*high_sums, *low_sums) = (sums, rest_sums);
    }
    let scales = scales.map(|scale| 256.0 * scale);
    *found = Level { scales, square_errors: errors, fine_square_errors: fine_errors, squares };
}

/// Points whose distances are taken at a time.
pub(super) const POINTS: usize = 4;

multiversion! {
    /// Squared distances of some lanes of `points`, from the `first` on, to all lanes of `others`, in
    /// binary32.
    pub(super) fn squares_apart = squares_apart_body(
        points: &[Lanes], first: usize, others: &[Lanes], squares: &mut [Lanes; POINTS],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn squares_apart_body<const B: usize>(
    points: &[Lanes],
    first: usize,
    others: &[Lanes],
    squares: &mut [Lanes; POINTS],
) {
    let [mut a, mut b, mut c, mut d] = [[0.0_f32; LANES]; POINTS];
    for (points, others) in points.iter().zip(others) {
        let points: &[f32; POINTS] = points[first..].first_chunk().expect("groups are whole");
        // One by one, or the compiler gathers the same lane of all.
        add_square(&mut a, points[0], others);
        add_square(&mut b, points[1], others);
        add_square(&mut c, points[2], others);
        add_square(&mut d, points[3], others);
    }
    *squares = [a, b, c, d];
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_square(sums: &mut Lanes, point: f32, others: &Lanes) {
    for lane in 0..LANES {
        let difference = point - others[lane];
        sums[lane] += difference * difference;
    }
}
