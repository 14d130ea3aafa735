//! The squared Euclidean distance of a row to a centroid, as this crate defines it, and the loops
//! that need it for many rows.
//!
//! The definition is [`squared_distance`]; all else here calls the same inlined body, compiled for
//! wider registers and, in [`nearest`], for several centroids at a time, which changes the order of
//! work between distances but never inside one.

use crate::coded::CodedRows;
use crate::exchange::AHEAD;
use crate::rows::{LANES, RowIndex, Rows};
use crate::simd::{multiversion, prefetch};

/// A distance together with the centroid that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// The centroid's index.
    pub label: u32,
    /// The squared distance to it.
    pub distance: f64,
}

/// The squared distance of `row` to `centroid`, both padded to the same multiple of [`LANES`].
///
/// This is the definition: see the crate's front page.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
#[must_use]
pub fn squared_distance(row: &[f32], centroid: &[f64]) -> f64 {
    let [distance] = squared_distances(row, [centroid]);
    distance
}

/// The squared distances of `row` to `B` centroids.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn squared_distances<T: Copy + Into<f64>, const B: usize>(
    row: &[T],
    centroids: [&[f64]; B],
) -> [f64; B] {
    let row = row.as_chunks::<LANES>().0;
    let centroids = centroids.map(|centroid| &centroid.as_chunks::<LANES>().0[..row.len()]);
    let mut lanes = [[0.0_f64; LANES]; B];
    for (chunk, x) in row.iter().enumerate() {
        let x = x.map(Into::into);
        for (lanes, centroid) in lanes.iter_mut().zip(&centroids) {
            let c = &centroid[chunk];
            for lane in 0..LANES {
                let difference = x[lane] - c[lane];
                lanes[lane] += difference * difference;
            }
        }
    }
    if B == 1 { lanes.map(add_lanes_apart) } else { lanes.map(add_lanes) }
}

/// [`add_lanes`] as a call: for a single centroid the compiler fills no registers where it sees pairs of
/// lanes being added at last.
#[inline(never)]
fn add_lanes_apart(lanes: [f64; LANES]) -> f64 {
    add_lanes(lanes)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn add_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn between_body<const B: usize>(a: &[f64], b: &[f64]) -> f64 {
    let [distance] = squared_distances(a, [b]);
    distance
}

multiversion! {
    /// The squared distance between two centroids, or lists of them, added up as [`squared_distance`] does.
    pub(crate) fn between = between_body(a: &[f64], b: &[f64]) -> f64
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn nearest_body<const B: usize>(rows: Rows<'_>, centroids: &[f64], found: &mut [Nearest]) {
    let stride = rows.stride();
    let (blocks, rest) = {
        let whole = centroids.len() / (B * stride) * (B * stride);
        centroids.split_at(whole)
    };
    for (row, found) in rows.iter().zip(found) {
        let mut best = Nearest { label: 0, distance: f64::INFINITY };
        let mut label = 0;
        let mut consider = |distance: f64| {
            // Strictly smaller: of equal distances the lowest index stays.
            if distance < best.distance {
                best = Nearest { label, distance };
            }
            label += 1;
        };
        for block in blocks.chunks_exact(B * stride) {
            let centroids = std::array::from_fn(|b| &block[b * stride..(b + 1) * stride]);
            squared_distances::<_, B>(row, centroids).into_iter().for_each(&mut consider);
        }
        if !rest.is_empty() {
            // As many at a time here too, the last one again in the place of those that are
            // missing: the compiler does not fill registers for fewer.
            let count = rest.len() / stride;
            let centroids = std::array::from_fn(|b| &rest[b.min(count - 1) * stride..][..stride]);
            squared_distances::<_, B>(row, centroids)
                .into_iter()
                .take(count)
                .for_each(&mut consider);
        }
        *found = best;
    }
}

multiversion! {
    /// The nearest of `centroids`, of shape `[k, stride]`, for every row, into `found`, `[n]`.
    /// Of equally near ones the lowest index wins.
    pub fn nearest = nearest_body(rows: Rows<'_>, centroids: &[f64], found: &mut [Nearest])
}

/// Of the centroids that `labels` yields, in their order: the first of the nearest, and the
/// distance of the next nearest, infinite where there is none.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn two_nearest_by<const B: usize>(
    row: &[f32],
    centroids: &[f64],
    stride: usize,
    count: usize,
    label_of: impl Fn(usize) -> u32,
) -> (Nearest, f64) {
    let centroid = |label: u32| &centroids[label as usize * stride..][..stride];
    let mut best = Nearest { label: label_of(0), distance: f64::INFINITY };
    let mut second = f64::INFINITY;
    let mut consider = |label: u32, distance: f64| {
        // Without branches: which one is nearer cannot be foreseen.
        let nearer = distance < best.distance;
        let other = if nearer { best.distance } else { distance };
        second = if other < second { other } else { second };
        best.label = if nearer { label } else { best.label };
        best.distance = if nearer { distance } else { best.distance };
    };
    for first in (0..count).step_by(B) {
        // As in `nearest`, the last one stands in for those that are missing.
        let labels: [u32; B] = std::array::from_fn(|b| label_of((first + b).min(count - 1)));
        let distances = squared_distances::<_, B>(row, labels.map(centroid));
        for (label, distance) in labels.into_iter().zip(distances).take(count - first) {
            consider(label, distance);
        }
    }
    (best, second)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn nearest_two_body<const B: usize>(
    row: &[f32],
    centroids: &[f64],
    stride: usize,
) -> (Nearest, f64) {
    two_nearest_by::<B>(row, centroids, stride, centroids.len() / stride, |j| j as u32)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn nearest_two_each_body<const B: usize>(
    rows: Rows<'_>,
    numbers: &[u32],
    centroids: &[f64],
    found: &mut Vec<(Nearest, f64)>,
) {
    found.clear();
    found.resize(numbers.len(), (Nearest { label: 0, distance: 0.0 }, 0.0));
    // A loop: closures do not take the instruction set of the caller.
    for (found, &row) in found.iter_mut().zip(numbers) {
        let row = rows.row(RowIndex::new(row as usize));
        *found = nearest_two_body::<B>(row, centroids, rows.stride());
    }
}

multiversion! {
    /// As [`nearest_two`], for each of the `rows` that `numbers` names, into `found`.
    pub(crate) fn nearest_two_each = nearest_two_each_body(
        rows: Rows<'_>, numbers: &[u32], centroids: &[f64], found: &mut Vec<(Nearest, f64)>,
    )
}

multiversion! {
    /// The nearest of `centroids`, `[k, stride]`, to one `row`, the lowest of equals, and the
    /// distance to the nearest of all others, infinite where there are none.
    pub fn nearest_two =
        nearest_two_body(row: &[f32], centroids: &[f64], stride: usize) -> (Nearest, f64)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_some_body<const B: usize>(
    row: &[f32],
    centroids: &[f64],
    stride: usize,
    labels: &[u32],
    distances: &mut Vec<f64>,
) {
    distances.clear();
    for labels in labels.chunks(B) {
        // As in `nearest`, the last one stands in for those that are missing.
        let block = std::array::from_fn(|b| {
            &centroids[labels[b.min(labels.len() - 1)] as usize * stride..][..stride]
        });
        distances.extend_from_slice(&squared_distances::<_, B>(row, block)[..labels.len()]);
    }
}

multiversion! {
    /// The squared distances of one `row` to those of `centroids`, `[k, stride]`, that `labels` names.
    pub(crate) fn to_some = to_some_body(
        row: &[f32], centroids: &[f64], stride: usize, labels: &[u32], distances: &mut Vec<f64>,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_one_body<const B: usize>(rows: Rows<'_>, centroid: &[f64], distances: &mut [f64]) {
    for (row, distance) in rows.iter().zip(distances) {
        *distance = squared_distance(row, centroid);
    }
}

multiversion! {
    /// The squared distance of every row to one `centroid`, `[stride]`, into `distances`, `[n]`.
    pub fn to_one = to_one_body(rows: Rows<'_>, centroid: &[f64], distances: &mut [f64])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_all_body<const B: usize>(rows: Rows<'_>, centroids: &[f64], distances: &mut [f64]) {
    let stride = rows.stride();
    let count = centroids.len() / stride;
    for first in (0..count).step_by(B) {
        // As in `nearest`, the last one stands in for those that are missing.
        let block =
            std::array::from_fn(|b| &centroids[(first + b).min(count - 1) * stride..][..stride]);
        for (row, distances) in rows.iter().zip(distances.chunks_exact_mut(count)) {
            let found = squared_distances::<_, B>(row, block);
            distances[first..]
                .iter_mut()
                .zip(found)
                .for_each(|(distance, found)| *distance = found);
        }
    }
}

multiversion! {
    /// The squared distance of every row to each of `centroids`, `[k, stride]`, into `distances`,
    /// `[n, k]`: of all rows to a few centroids at a time, so these stay in the first cache. Rows should fit
    /// the second one.
    pub fn to_all = to_all_body(rows: Rows<'_>, centroids: &[f64], distances: &mut [f64])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_own_body<const B: usize>(
    rows: Rows<'_>,
    centroids: &[f64],
    labels: &[u32],
    distances: &mut [f64],
) {
    let stride = rows.stride();
    for ((row, &label), distance) in rows.iter().zip(labels).zip(distances) {
        *distance = squared_distance(row, &centroids[label as usize * stride..][..stride]);
    }
}

multiversion! {
    /// The squared distance of every row to the centroid that its label names, into `distances`.
    pub fn to_own =
        to_own_body(rows: Rows<'_>, centroids: &[f64], labels: &[u32], distances: &mut [f64])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn to_own_coded_body<const B: usize>(
    coded: &CodedRows<'_>,
    first: usize,
    centroids: &[f64],
    labels: &[u32],
    distances: &mut [f64],
) {
    let stride = coded.codes(first).len();
    let mut row = vec![0.0; stride];
    for ((place, &label), distance) in (first..).zip(labels).zip(distances) {
        if place + AHEAD < coded.n() {
            prefetch(coded.codes(place + AHEAD));
        }
        coded.decode(coded.codes(place), &mut row);
        *distance = squared_distance(&row, &centroids[label as usize * stride..][..stride]);
    }
}

multiversion! {
    /// As [`to_own`], of coded rows from the `first` on.
    pub(crate) fn to_own_coded = to_own_coded_body(
        coded: &CodedRows<'_>, first: usize, centroids: &[f64], labels: &[u32], distances: &mut [f64],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    /// The definition once more, written from the front page and nothing else.
    fn by_the_book(row: &[f32], centroid: &[f64]) -> f64 {
        let mut lanes = [0.0_f64; 16];
        for i in 0..row.len() {
            let difference = f64::from(row[i]) - centroid[i];
            let square = difference * difference;
            lanes[i % 16] += square;
        }
        for width in [8, 4, 2, 1] {
            for l in 0..width {
                lanes[l] += lanes[l + width];
            }
        }
        lanes[0]
    }

    fn padded_f32(values: &[f32], n: usize, d: usize) -> Vec<f32> {
        let stride = Rows::stride_of(d);
        let mut padded = vec![0.0; n * stride];
        for row in 0..n {
            padded[row * stride..row * stride + d].copy_from_slice(&values[row * d..(row + 1) * d]);
        }
        padded
    }

    proptest! {
        #[test]
        fn every_level_gives_the_defined_bits(
            d in 1_usize..70,
            k in 1_usize..11,
            seed in prop::collection::vec(prop_oneof![
                any::<f32>().prop_filter("finite", |x| x.is_finite()),
                Just(0.0), Just(-0.0), Just(1.0), -4.0_f32..4.0,
            ], 1..40),
        ) {
            let n = 5;
            let values: Vec<f32> = (0..n * d).map(|i| seed[(i * 31) % seed.len()]).collect();
            let padded = padded_f32(&values, n, d);
            let rows = Rows::new(&padded, n, d);
            let stride = rows.stride();
            let mut centroids = vec![0.0_f64; k * stride];
            for j in 0..k {
                for i in 0..d {
                    centroids[j * stride + i] = f64::from(seed[(i * 17 + j * 7) % seed.len()]) / 3.0;
                }
            }
            for simd in available() {
                let mut found = vec![Nearest { label: 0, distance: 0.0 }; n];
                nearest(simd, rows, &centroids, &mut found);
                let mut own = vec![0.0; n];
                let labels: Vec<u32> = found.iter().map(|found| found.label).collect();
                to_own(simd, rows, &centroids, &labels, &mut own);
                let mut one = vec![0.0; n];
                to_one(simd, rows, &centroids[..stride], &mut one);
                let mut each = vec![0.0; n * k];
                to_all(simd, rows, &centroids, &mut each);
                for (i, row) in rows.iter().enumerate() {
                    let all: Vec<f64> =
                        centroids.chunks(stride).map(|centroid| by_the_book(row, centroid)).collect();
                    let best = (0..k).fold(0, |best, j| if all[j] < all[best] { j } else { best });
                    prop_assert_eq!(found[i].label as usize, best, "{:?}", simd);
                    prop_assert_eq!(found[i].distance.to_bits(), all[best].to_bits());
                    prop_assert_eq!(own[i].to_bits(), all[best].to_bits());
                    prop_assert_eq!(one[i].to_bits(), all[0].to_bits());
                    for (j, distance) in all.iter().enumerate() {
                        prop_assert_eq!(each[i * k + j].to_bits(), distance.to_bits());
                    }
                }
            }
        }
    }

    #[test]
    fn of_equal_distances_the_lowest_index_wins() {
        let values = padded_f32(&[1.0, 2.0], 1, 2);
        let rows = Rows::new(&values, 1, 2);
        let mut centroids = vec![0.0; 5 * rows.stride()];
        for (j, x) in [9.0, 3.0, -1.0, 3.0, -1.0].into_iter().enumerate() {
            centroids[j * rows.stride()] = x;
            centroids[j * rows.stride() + 1] = 2.0;
        }
        for simd in available() {
            let mut found = [Nearest { label: 7, distance: 0.0 }];
            nearest(simd, rows, &centroids, &mut found);
            assert_eq!(found[0], Nearest { label: 1, distance: 4.0 });
        }
    }
}
