//! Numbers as integers of three bytes, and their products, which are exact but for what is least.
//!
//! Processors multiply bytes many times as fast as binary32, and sums of such products have no rounding. So
//! the basis ([`crate::index`]) is made of whole multiples `p` of a power of two `s` for each of its vectors, and
//! what is multiplied with it, a row or a centroid `v`, is rounded to multiples `q` of one of its own, `t`.
//! Integers are `2^16 high + 2^8 middle + low`, with signed bytes. With `h`, `m`, `l` the bytes of `q` and
//! `H`, `M`, `L` those of `p`, products of bytes are added up in four sums by their weight:
//!
//! ```text
//! q·p  =  2^32 h·H  +  2^24 (h·M + m·H)  +  2^16 (h·L + m·M + l·H)  +  2^8 (m·L + l·M)  [ + l·L ]
//! ```
//!
//! # How far it is from the truth
//!
//! A column of `v` is off by at most `t / 2`, so with `V` the basis, `|V| <= 1 + defect`, all coordinates
//! of `d` columns are off by at most `|V| sqrt(d) t / 2`. What is left out, `l·L`, is at most `2^14 d` for a
//! component, `2^14 d t |s|` for all of them. As a unit is less than twice a largest number over the largest
//! multiple `Q`, `t <= 2 |v| / Q`. Rounding `v`, before, and the result to binary32 adds `2^-24 |V| |v|` each.
//! All of it is in proportion to `|v|` ([`error`]).
//!
//! Sums fit 32 bits for so many columns that three products of bytes each, of at most `2^14`, do ([`fit`]).

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;

use crate::lines::Line;
use crate::simd::{LINE, Simd, SimdLevel, multiversion};
use std::array;

/// Bytes of a number.
pub const BYTES: usize = 3;

/// Vectors to a block, and to a group of lanes.
pub(crate) const LANES: usize = 16;

/// Columns that lie side by side in lanes.
pub(crate) const FOUR: usize = 4;

/// The same byte of the same columns of some vectors, a line of each.
pub type Block = [Line; LANES];

/// The same of a group of vectors in lanes, `[four][lane][4]`.
pub(crate) type GroupLine = [[[i8; FOUR]; LANES]; LINE / FOUR];

/// Sums for the vectors of a group.
pub(crate) type Sums32 = [i32; LANES];

/// Those of each line of a block. They begin with a cache line, so that no register is loaded from two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Products(pub(crate) [Sums32; LANES]);

impl Products {
    pub(crate) const ZERO: Self = Self([[0; LANES]; LANES]);
}

/// A number for each lane, or for each line of a block.
pub(crate) type Lanes64 = [f64; LANES];

/// The largest `|q|`.
pub(crate) const LARGEST: f64 = (127 * 65536 + 127 * 256 + 127) as f64;

/// Added to a number far below, these round it, and leave the integer in the lowest bits: their own are
/// those of `2^52` or `2^23` and more.
pub(crate) const ROUNDER: f64 = 1.5 * (1_u64 << 52) as f64;
pub(crate) const ROUNDER32: f32 = 1.5 * (1_u32 << 23) as f32;

/// The power of two that `values` become multiples of: so small that the largest of them is about the
/// largest multiple, and 0 where there are none but zeros.
pub(crate) fn unit_of(simd: Simd, values: &[f32]) -> f64 {
    let unit = f64::from(largest(simd, values)) / LARGEST;
    // As a binary64, it is normal; one that is no power of two itself goes to the next.
    let power = f64::from_bits(unit.to_bits() & (0x7ff << 52));
    if power < unit { 2.0 * power } else { power }
}

multiversion! {
    /// The largest `|x|` of `values`.
    fn largest = largest_body(values: &[f32]) -> f32
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(crate) fn largest_body<const B: usize>(values: &[f32]) -> f32 {
    // Without a sign, numbers are in the order of their bits.
    let bits = values.iter().fold(0, |largest: u32, x| largest.max(x.abs().to_bits()));
    f32::from_bits(bits)
}

/// Makes `values` whole multiples of their unit.
pub(crate) fn round(simd: Simd, values: &mut [f32]) {
    let unit = unit_of(simd, values);
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

/// Puts the `bytes` of a vector into a lane of `lines`.
pub(crate) fn put_in_lane(lines: &mut [GroupLine], lane: usize, bytes: &[i8]) {
    for (four, bytes) in lines.as_flattened_mut().iter_mut().zip(bytes.as_chunks::<FOUR>().0) {
        four[lane] = *bytes;
    }
}

/// Most columns for which no sum leaves 32 bits.
const MOST_COLUMNS: usize = i32::MAX as usize / (BYTES << 14);

/// Whether products of vectors of `d` columns can be taken so, and are worth it.
pub(crate) fn fit(simd: Simd, d: usize) -> bool {
    simd.level() >= SimdLevel::Amx && d <= MOST_COLUMNS
}

/// At least how far coordinates of a vector of a norm of 1 and `d` columns are off, together, along a basis
/// of these `units`.
pub(crate) fn error(d: usize, defect: f64, units: &[f64]) -> f64 {
    let (d, norm) = (d as f64, 1.0 + defect);
    let of_units = units.iter().map(|unit| unit * unit).sum::<f64>().sqrt();
    let rounding = norm * (d.sqrt() / LARGEST + 2.0 / f64::from(1 << 24));
    (rounding + 2.0 * f64::from(1 << 14) * d / LARGEST * of_units) * (1.0 + 1e-6)
}

/// Makes `sums` the products of the 16 vectors of blocks, `[line][lane]`, with those of a group of lanes, in
/// all columns of both, by how many bytes stand behind those that are multiplied: of both numbers none, one,
/// two, or three. They must fit 32 bits.
///
/// # Panics
/// Where there are not as many lines of the group as blocks.
pub(crate) fn multiply_signed(
    simd: Simd,
    blocks: &[[Block; BYTES]],
    group: &[&[GroupLine]; BYTES],
    sums: &mut [Products; BYTES + 1],
) {
    let fit = group.iter().all(|lines| lines.len() == blocks.len());
    assert!(fit, "every block has a line of the group");
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Amx {
        return amx::multiply_signed(blocks, group, sums);
    }
    let _ = simd;
    multiply_signed_portable(blocks, group, sums);
}

fn multiply_signed_portable(
    blocks: &[[Block; BYTES]],
    group: &[&[GroupLine]; BYTES],
    sums: &mut [Products; BYTES + 1],
) {
    *sums = [Products::ZERO; BYTES + 1];
    for (line, blocks) in blocks.iter().enumerate() {
        for (plane, block) in blocks.iter().enumerate() {
            for (of_group, sums) in group.iter().zip(&mut sums[plane..]) {
                for (Line(bytes), sums) in block.iter().zip(&mut sums.0) {
                    for (x, lanes) in bytes.as_chunks::<FOUR>().0.iter().zip(&of_group[line]) {
                        for (sum, c) in sums.iter_mut().zip(lanes) {
                            let products = x
                                .iter()
                                .zip(c)
                                .map(|(x, &c)| i32::from(x.cast_signed()) * i32::from(c));
                            *sum += products.sum::<i32>();
                        }
                    }
                }
            }
        }
    }
}

multiversion! {
    /// What sums by their weight come to, for lines' units and those of lanes.
    pub(crate) fn combine = combine_body(
        sums: &[Products; BYTES + 1], lines: &Lanes64, lanes: &Lanes64, found: &mut [[f32; LANES]; LANES],
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn combine_body<const B: usize>(
    sums: &[Products; BYTES + 1],
    lines: &Lanes64,
    lanes: &Lanes64,
    found: &mut [[f32; LANES]; LANES],
) {
    let [a, b, c, d] = sums;
    for (at, (found, unit)) in found.iter_mut().zip(lines).enumerate() {
        let [a, b, c, d] = [a, b, c, d].map(|sums| &sums.0[at]);
        *found = array::from_fn(|lane| {
            let [a, b, c, d] = [a, b, c, d].map(|sums| f64::from(sums[lane]));
            let sum = ((a * 256.0 + b) * 256.0 + c) * 256.0 + d;
            (sum * (256.0 * unit * lanes[lane])) as f32
        });
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
            let unit = unit_of(Simd::detect(), &values);
            let mut rounded = values.clone();
            round(Simd::detect(), &mut rounded);
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

        #[test]
        fn every_level_multiplies_integers_by_their_bytes(
            steps in 0_usize..5,
            seed in prop::collection::vec(prop_oneof![4 => any::<i8>(), 1 => Just(i8::MIN)], 30..60),
        ) {
            let byte = |i: usize| seed[i % seed.len()];
            let basis: Vec<[Block; BYTES]> = (0..steps)
                .map(|step| {
                    std::array::from_fn(|place| {
                        std::array::from_fn(|vector| {
                            let at = step * 11 + place * 5 + vector * 13;
                            Line(std::array::from_fn(|i| byte(at + i).cast_unsigned()))
                        })
                    })
                })
                .collect();
            let groups: [Vec<GroupLine>; BYTES] = std::array::from_fn(|place| {
                (0..steps)
                    .map(|step| {
                        std::array::from_fn(|four| {
                            std::array::from_fn(|lane| {
                                std::array::from_fn(|i| byte(step * 5 + place * 7 + four * 3 + lane * 17 + i))
                            })
                        })
                    })
                    .collect()
            });
            let groups = groups.each_ref().map(Vec::as_slice);
            let expected = |behind: usize, vector: usize, lane: usize| -> i32 {
                let places = (0..=behind).map(|place| (place, behind - place));
                places.filter(|&(a, b)| a < BYTES && b < BYTES).map(|(a, b)| {
                    (0..steps * LINE).map(|column| {
                        let (step, i) = (column / LINE, column % LINE);
                        let p = basis[step][a][vector].0[i].cast_signed();
                        i32::from(p) * i32::from(groups[b][step][i / FOUR][lane][i % FOUR])
                    }).sum::<i32>()
                }).sum()
            };
            for simd in available() {
                let mut sums = [Products([[7; LANES]; LANES]); BYTES + 1];
                multiply_signed(simd, &basis, &groups, &mut sums);
                for (behind, sums) in sums.iter().enumerate() {
                    for (vector, sums) in sums.0.iter().enumerate() {
                        for (lane, &sum) in sums.iter().enumerate() {
                            prop_assert_eq!(sum, expected(behind, vector, lane), "{:?}", simd);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        let steps = MOST_COLUMNS / LINE;
        let least = i8::MIN.cast_unsigned();
        let basis = vec![[[Line([least; LINE]); LANES] as Block; BYTES]; steps];
        let group: Vec<GroupLine> = vec![[[[i8::MIN; FOUR]; LANES]; LINE / FOUR]; steps];
        for simd in available() {
            let mut sums = [Products::ZERO; BYTES + 1];
            multiply_signed(simd, &basis, &[&group; BYTES], &mut sums);
            for (sums, products) in sums.iter().zip([1, 2, 3, 2]) {
                let expected = products * (steps * LINE) as i64 * (1 << 14);
                assert!(sums.0.as_flattened().iter().all(|&sum| i64::from(sum) == expected));
            }
        }
    }
}
