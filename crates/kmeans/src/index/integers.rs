//! Numbers as integers of three bytes, for products that are exact.
//!
//! They become whole multiples of a power of two, `q = 2^16 high + 2^8 middle + low`, with signed bytes.

use super::Line;
use super::gemm::PANEL;
use crate::simd::{LINE, multiversion};

/// Bytes of a number.
pub const BYTES: usize = 3;

/// Basis vectors to a block.
pub(crate) const VECTORS: usize = 16;

/// The same byte of the same columns of some basis vectors, a line of each.
pub type Block = [Line; VECTORS];

/// The largest `|q|`.
pub(crate) const LARGEST: f64 = (127 * 65536 + 127 * 256 + 127) as f64;

/// Adding this rounds a number far below it, and leaves the integer in the lowest bits.
const ROUNDER: f64 = 1.5 * (1_u64 << 52) as f64;

/// The power of two that `values` become multiples of: so small that the largest of them is about the
/// largest multiple, and 0 where there are none but zeros.
pub(crate) fn unit_of(values: &[f32]) -> f64 {
    let largest = values.iter().fold(0.0_f32, |a, x| if x.abs() > a { x.abs() } else { a });
    let unit = f64::from(largest) / LARGEST;
    // As a binary64, it is normal; one that is no power of two itself goes to the next.
    let power = f64::from_bits(unit.to_bits() & (0x7ff << 52));
    if power < unit { 2.0 * power } else { power }
}

/// Makes `values` whole multiples of their unit.
pub(super) fn round(values: &mut [f32]) {
    let unit = unit_of(values);
    for value in values {
        let rounded = if unit > 0.0 { (f64::from(*value) / unit + ROUNDER) - ROUNDER } else { 0.0 };
        *value = (rounded * unit) as f32;
    }
}

multiversion! {
    /// `values` as multiples of this `unit`, in bytes, the highest first, as many of each as there are
    /// values. What follows from it is off by at most half a unit, times what it is multiplied with.
    pub(crate) fn to_bytes = to_bytes_body(values: &[f32], unit: f64, bytes: &mut [Vec<i8>; BYTES])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_bytes_body<const B: usize>(values: &[f32], unit: f64, bytes: &mut [Vec<i8>; BYTES]) {
    let inverse = if unit > 0.0 { 1.0 / unit } else { 0.0 };
    let [high, middle, low] = bytes;
    let places = values.iter().zip(high).zip(middle.iter_mut().zip(low));
    for ((&value, high), (middle, low)) in places {
        let q = (f64::from(value) * inverse + ROUNDER).to_bits() as i32;
        *low = q as i8;
        let rest = (q - i32::from(*low)) >> 8;
        *middle = rest as i8;
        *high = ((rest - i32::from(*middle)) >> 8) as i8;
    }
}

/// The basis in bytes, `[component / 16][line of columns][3]`, and the units of its vectors.
pub(super) struct Integers {
    pub(super) blocks: Vec<[Block; BYTES]>,
    pub(super) units: Vec<f64>,
}

impl Integers {
    /// Of `vectors`, `[components, columns]`, which are multiples of their units, and whose columns are
    /// these of `d`.
    pub(super) fn new(
        simd: crate::simd::Simd,
        vectors: &[f32],
        columns: &[usize],
        d: usize,
    ) -> Self {
        let components = (vectors.len() / columns.len()).next_multiple_of(PANEL);
        let lines = d.div_ceil(LINE);
        let empty = [[Line::ZERO; VECTORS]; BYTES];
        let mut blocks = vec![empty; components / VECTORS * lines];
        let mut units = vec![0.0; components];
        let mut bytes = [(); BYTES].map(|()| vec![0; columns.len()]);
        let vectors = vectors.chunks_exact(columns.len());
        for (component, (vector, unit)) in vectors.zip(&mut units).enumerate() {
            *unit = unit_of(vector);
            to_bytes(simd, vector, *unit, &mut bytes);
            let blocks = &mut blocks[component / VECTORS * lines..][..lines];
            for (place, bytes) in bytes.iter().enumerate() {
                for (&column, byte) in columns.iter().zip(bytes) {
                    let line = &mut blocks[column / LINE][place][component % VECTORS];
                    line.0[column % LINE] = byte.cast_unsigned();
                }
            }
        }
        Self { blocks, units }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_the_numbers_to_half_a_unit(
            mut values in prop::collection::vec(
                prop_oneof![-1.0_f32..1.0, -1e-3_f32..1e-3, Just(0.0), Just(1.0), Just(-1.0), Just(3e30_f32)],
                0..70,
            ),
            shrink in -40_i32..=0,
        ) {
            for value in &mut values {
                *value *= 10.0_f32.powi(shrink);
            }
            let unit = unit_of(&values);
            let mut rounded = values.clone();
            round(&mut rounded);
            for simd in available() {
                let mut bytes = [(); BYTES].map(|()| vec![0; values.len()]);
                to_bytes(simd, &values, unit, &mut bytes);
                for (at, (&value, &rounded)) in values.iter().zip(&rounded).enumerate() {
                    let [high, middle, low] = [0, 1, 2].map(|place| i32::from(bytes[place][at]));
                    let found = f64::from((high * 256 + middle) * 256 + low) * unit;
                    prop_assert!((found - f64::from(value)).abs() <= unit / 2.0);
                    prop_assert_eq!(found.to_bits(), f64::from(rounded).to_bits());
                }
            }
        }
    }
}
