//! The product of centroids with the basis as integers, for AMX.
//!
//! The basis is whole multiples `p` of its vectors' units `s` ([`crate::index::integers`]); a centroid `v`
//! is rounded to multiples `q` of its own unit, `t`. With `h`, `m`, `l` the bytes of `q` and `H`, `M`, `L`
//! those of `p`, products of bytes are added up exactly, in four sums by their weight:
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
//! multiple `Q`, `t <= 2 |v| / Q`. Rounding the centroid, before, and the result to binary32 adds `2^-24 |V|
//! |v|` each. All of it is in proportion to `|v|`.
//!
//! Sums fit 32 bits for so many columns that three products of bytes each, of at most `2^14`, do
//! ([`fit`](Integers::fit)).

use super::kernel::{FOUR, GroupLine, LANES, Lanes, Products, multiply_signed};
use crate::index::IndexView;
use crate::index::integers::{BYTES, LARGEST, to_bytes, unit_of};
use crate::lines::Lines;
use crate::simd::{LINE, Simd, multiversion};
use std::array;

/// Centroids as integers.
#[derive(Debug, Clone)]
pub(super) struct Integers {
    d: usize,
    /// Lines that a centroid's columns take.
    steps: usize,
    /// `[3][group][step]`, and their units, `[group][16]`.
    centroids: [Lines<GroupLine>; BYTES],
    units: Vec<[f64; LANES]>,
    /// Room for the bytes of one.
    bytes: [Vec<i8>; BYTES],
}

/// Most columns for which no sum leaves 32 bits.
const MOST_COLUMNS: usize = i32::MAX as usize / (BYTES << 14);

impl Integers {
    /// Whether products with this basis can be taken so.
    pub(super) fn fit(index: &IndexView<'_>) -> bool {
        index.layout.d <= MOST_COLUMNS
    }

    /// Of so many groups of centroids.
    pub(super) fn new(index: &IndexView<'_>, groups: usize) -> Self {
        let d = index.layout.d;
        let steps = d.div_ceil(LINE);
        Self {
            d,
            steps,
            centroids: array::from_fn(|_| Lines::zeros(groups * steps)),
            units: vec![[0.0; LANES]; groups],
            bytes: array::from_fn(|_| vec![0; steps * LINE]),
        }
    }

    /// At least how far coordinates are off, together, of a centroid of a norm of 1.
    pub(super) fn error(index: &IndexView<'_>) -> f64 {
        let (d, norm) = (index.layout.d as f64, 1.0 + index.defect);
        let of_units = index.units.iter().map(|unit| unit * unit).sum::<f64>().sqrt();
        let rounding = norm * (d.sqrt() / LARGEST + 2.0 / f64::from(1 << 24));
        (rounding + 2.0 * f64::from(1 << 14) * d / LARGEST * of_units) * (1.0 + 1e-6)
    }

    /// Number of groups of centroids.
    pub(super) fn groups(&self) -> usize {
        self.units.len()
    }

    /// Takes the `centroids` that are to be multiplied, `[k, d]`.
    pub(super) fn set(&mut self, simd: Simd, centroids: &[f32]) {
        for (j, centroid) in centroids.chunks_exact(self.d).enumerate() {
            let (group, lane) = (j / LANES, j % LANES);
            let unit = unit_of(centroid);
            self.units[group][lane] = unit;
            to_bytes(simd, centroid, unit, &mut self.bytes);
            for (lines, bytes) in self.centroids.iter_mut().zip(&self.bytes) {
                let fours = lines[group * self.steps..][..self.steps].as_flattened_mut();
                for (four, bytes) in fours.iter_mut().zip(bytes.as_chunks::<FOUR>().0) {
                    four[lane] = *bytes;
                }
            }
        }
    }

    /// The coordinates of a group of the centroids along the first components, `[components][16]`.
    pub(super) fn multiply(
        &self,
        simd: Simd,
        index: &IndexView<'_>,
        group: usize,
        coordinates: &mut [Lanes],
    ) {
        let centroids =
            self.centroids.each_ref().map(|lines| &lines[group * self.steps..][..self.steps]);
        let basis = index.blocks.chunks_exact(self.steps).zip(index.units.as_chunks::<LANES>().0);
        let mut sums = [Products::ZERO; BYTES + 1];
        for ((blocks, scales), coordinates) in basis.zip(coordinates.as_chunks_mut::<LANES>().0) {
            multiply_signed(simd, blocks, &centroids, &mut sums);
            combine(simd, &sums, scales, &self.units[group], coordinates);
        }
    }
}

multiversion! {
    /// What sums by their weight come to.
    fn combine = combine_body(
        sums: &[Products; BYTES + 1], scales: &Lanes64, units: &Lanes64, coordinates: &mut [Lanes; LANES],
    )
}

/// A number for each lane, or each component of a block.
type Lanes64 = [f64; LANES];

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn combine_body<const B: usize>(
    sums: &[Products; BYTES + 1],
    scales: &Lanes64,
    units: &Lanes64,
    coordinates: &mut [Lanes; LANES],
) {
    let [a, b, c, d] = sums;
    for (row, (coordinates, scale)) in coordinates.iter_mut().zip(scales).enumerate() {
        let [a, b, c, d] = [a, b, c, d].map(|sums| &sums.0[row]);
        *coordinates = array::from_fn(|lane| {
            let [a, b, c, d] = [a, b, c, d].map(|sums| f64::from(sums[lane]));
            let sum = ((a * 256.0 + b) * 256.0 + c) * 256.0 + d;
            (sum * (256.0 * scale * units[lane])) as f32
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Block, Line};
    use crate::simd::available;

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
