//! What is computed of the rows once to save work in every run: their coordinates along principal
//! components, as small integers.
//!
//! An index may only save work. Nothing in it can change a result, because whoever uses it takes
//! every number in it together with a bound of its error, and turns to the definition where that
//! does not decide. So it may be computed with any rounding, on any machine, or be left out.
//!
//! # What is in it
//!
//! A row `x` is centred and scaled by a power of two: `w = (x - m) * unit`, so that no `|w|` is
//! above 1. With `V` the matrix of the basis (`basis`), `[d, components]`, the row's coordinates
//! `V^T w` are cut into up to [`MAX_LEVELS`] *levels*, leading ones first, and each level is rounded
//! to 16-bit multiples `q` of a scale of its own. These are kept as two bytes, `q = 256 high + low`:
//! the high bytes alone are coordinates with an error of about 1 %, at half the bytes and, with what
//! processors have for bytes, half the work. The high bytes of the first two levels stand together, with
//! what bounds need of a row ([`Facts`]), so that looking at leading coordinates reads nothing else
//! ([`IndexView::front`](field@IndexView::front)). Then come, together, the low bytes of the first level
//! and the high ones of the third: what else a closer look reads. The other low bytes, which few rows
//! need, stand apart again. Where rows are bytes and most of these are 0 ([`crate::sparse`]), those tell
//! more by less, and there is no level behind the first. The basis is kept in two ways, for those who
//! multiply centroids with it: as numbers, and as integers (`crate::integers`), which its vectors are rounded
//! to from the start.
//!
//! # How far it is from the truth
//!
//! Let `V^T V = 1 + E` with `|E| <= defect < 1/2`. `U = V (V^T V)^(-1/2)` has exactly orthonormal
//! columns, so `w -> (U^T w, t)`, with `t` the part of `w` orthogonal to them, is an isometry, and
//! `|U^T w - V^T w| <= |(1 + E)^(-1/2) - 1| |V^T w| <= defect |V^T w|`. Therefore
//!
//! ```text
//! w  is isometric to  (y + e, t),   |e| <= defect |V^T w| + |V^T w - y|
//! ```
//!
//! and `|V^T w - y|` is at most the sum of: `(1 + defect) 2^-24 |w|`, for `w` is rounded to binary32
//! before it is multiplied; `sqrt(components) (1 + defect) RELATIVE_ERROR |w|`, for the product
//! (`gemm`), or what one of integers is off by (`crate::integers`); and the quantisation error. That is measured, level by level, for high bytes alone, and in
//! the first level for both too; in others, both are off by no more than half a unit of `q` in each
//! coordinate. A column that is the same in all rows is at the mean in all of them: it has no part in any
//! `w`, and none in the basis. Where the basis is whole (it has as many components as columns vary),
//! `t = 0`. Else `|t|² = |w|² - |U^T w|²`, and `|U^T w|` is at least the norm of the product, less the
//! errors of that. Norms are taken in binary64 and rounded up.

mod basis;
pub(crate) mod gemm;
mod layout;
mod product;
mod rotation;

pub use crate::integers::{BYTES, Block};
pub use crate::lines::Line;
pub use layout::{Layout, MAX_LEVELS};
pub(crate) use rotation::LARGEST;

use crate::data::Data;
use crate::integers;
use crate::rows::RowIndex;
use crate::simd::{LINE, Simd, prefetch, prefetch_in_order};
use crate::sparse::SparseRows;
use crate::threads::side_by_side;
use bytemuck::{Pod, Zeroable};
use product::Basis;
use rotation::{Rotation, centre};

const _: () = assert!(size_of::<Facts>() <= LINE, "facts fit a line");

/// What high bytes are stored with, so that none is negative.
pub(crate) const BIAS: i32 = 128;

/// An index that owns its sections. See [`IndexView`] for what they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// What it was made by.
    pub plan: Plan,
    /// High bytes of the first two levels, and facts.
    pub front: Vec<Line>,
    /// Low bytes of the first level, high ones of the third.
    pub deep: Vec<Line>,
    /// The low bytes of the second and the third.
    pub low: Vec<Line>,
}

/// A borrowed index: slices of plain numbers, wherever they lie.
#[derive(Debug, Clone, Copy)]
pub struct IndexView<'a> {
    /// Which parts there are.
    pub layout: Layout,
    /// Rows are multiplied by this power of two.
    pub unit: f64,
    /// An upper bound of `|V^T V - 1|`.
    pub defect: f64,
    /// `V`, in panels of 64 columns: `[components / 64, d, 64]`, padded with zeros.
    pub basis: &'a [f32],
    /// The same as signed integers of three bytes: `[components / 16, d / 64, 3, 16, 64]`, the highest
    /// first, padded with zeros,
    pub blocks: &'a [[Block; BYTES]],
    /// of these powers of two, `[components]`, padded too.
    pub units: &'a [f64],
    /// Of each row, the high bytes of the first two levels, each in whole lines, from -128 to 127, with 128
    /// added; at the end of the last line, its [`Facts`].
    pub front: &'a [Line],
    /// The low bytes of the first level, and the high ones of the third, in whole lines too.
    pub deep: &'a [Line],
    /// The low bytes of the levels behind the first, in the same lines.
    pub low: &'a [Line],
    /// Codes without zeros, where rows are coded and have many. They tell what coordinates behind the first
    /// level would.
    pub sparse: Option<SparseRows<'a>>,
}

/// What is known of a row besides its coordinates: bounds of norms, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Facts {
    /// What high bytes of each level are multiples of; low bytes, of a 256th of it.
    pub scales: [f32; MAX_LEVELS],
    /// At least the norm of the row's coordinates in each level.
    pub norms: [f32; MAX_LEVELS],
    /// At least `|e|` in each level: in the first with both bytes, in others with high bytes alone.
    pub errors: [f32; MAX_LEVELS],
    /// At least `|w|`, the row's distance to the mean.
    pub norm: f32,
    /// At least the norm of what is outside the basis.
    pub outside: f32,
    /// At least `|e|` in the first level with high bytes alone.
    pub front_error: f32,
}

impl Facts {
    /// At least `|e|` with both bytes of a level of this width, which is not the first.
    #[inline]
    pub(crate) fn fine_error(&self, level: usize, width: usize) -> f32 {
        // Rounding to multiples of the low bytes' scale, with room for what that takes itself; and what
        // coordinates are off by before, which the first level is too.
        let rounding = 0.51 / 256.0 * self.scales[level] * (width as f32).sqrt();
        if self.scales[level] > 0.0 { rounding + self.errors[0] } else { self.errors[level] }
    }

    /// At least the norm of all that is behind the first level, and outside the basis.
    pub(crate) fn tail(&self) -> f32 {
        let levels = self.norms[1..].iter().map(|norm| norm * norm).sum::<f32>();
        (levels + self.outside * self.outside).sqrt() * (1.0 + 1e-6)
    }
}

impl<'a> IndexView<'a> {
    /// The high bytes of `row` in the first two levels, and its facts.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn front(&self, row: usize) -> &'a [Line] {
        let lines = self.layout.front_lines();
        &self.front[row * lines..][..lines]
    }

    /// The high bytes of `row` in the first level.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn leading(&self, row: usize) -> &'a [Line] {
        &self.front(row)[..self.layout.lines()[0]]
    }

    /// Its low bytes in the first level, and the high ones in the third.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn deep(&self, row: usize) -> &'a [Line] {
        let lines = self.layout.deep_lines();
        &self.deep[row * lines..][..lines]
    }

    /// Its low bytes in the levels behind the first.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn low(&self, row: usize) -> &'a [Line] {
        let lines = self.layout.low_lines();
        &self.low[row * lines..][..lines]
    }

    /// What is known of `row`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn facts(&self, row: usize) -> &'a Facts {
        let line = self.front(row).last().expect("facts stand in a line");
        bytemuck::from_bytes(&line.0[LINE - size_of::<Facts>()..])
    }

    /// Asks for what is known of `row` to be in the cache soon: all of it, or all but the low bytes of
    /// levels behind the first.
    #[inline]
    pub(crate) fn prefetch(&self, row: usize, all: bool) {
        prefetch(self.front(row));
        prefetch(self.deep(row));
        if all {
            prefetch(self.low(row));
        }
    }

    /// As [`Self::prefetch`], of rows that are looked at one after the other: all but the low bytes of levels
    /// behind the first.
    #[inline]
    pub(crate) fn prefetch_in_order(&self, row: usize) {
        prefetch_in_order(self.front(row));
        prefetch_in_order(self.deep(row));
    }
}

/// What an index is made by: all but what belongs to single rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which parts there are to be.
    pub layout: Layout,
    /// As in [`IndexView`].
    pub unit: f64,
    /// As in [`IndexView`].
    pub defect: f64,
    /// As in [`IndexView`].
    pub basis: Vec<f32>,
    /// As in [`IndexView`].
    pub blocks: Vec<[Block; BYTES]>,
    /// As in [`IndexView`].
    pub units: Vec<f64>,
}

/// Where what belongs to single rows is written: as in [`IndexView`].
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// `layout.front_len()` lines.
    pub front: &'a mut [Line],
    /// `layout.deep_len()` lines.
    pub deep: &'a mut [Line],
    /// `layout.low_len()` lines.
    pub low: &'a mut [Line],
}

impl Plan {
    /// How to make an index of `data` with the parts of `layout`, on `threads` threads; `None` where all
    /// rows are equal, or no number can be the unit.
    ///
    /// # Panics
    /// Where `layout` was made for other data.
    #[must_use]
    pub fn new(simd: Simd, data: Data<'_>, threads: usize, layout: Layout) -> Option<Self> {
        let Layout { n, d, .. } = layout;
        assert_eq!((n, d), (data.rows.n(), data.rows.d()), "the layout is for these rows");
        let unit = unit(data)?;
        let columns = varying_columns(data, threads);
        let layout = layout.within(columns.len());
        let step = n.div_ceil(basis::SAMPLE);
        let mut sample = Vec::with_capacity(n.div_ceil(step) * columns.len());
        let mut values = vec![0.0; d];
        for row in (0..n).step_by(step) {
            centre(simd, data, unit, row, &mut values);
            sample.extend(columns.iter().map(|&column| values[column]));
        }
        let mut vectors =
            basis::principal(simd, &sample, columns.len(), layout.components, threads);
        // So that the basis is the same as integers.
        vectors.chunks_exact_mut(columns.len()).for_each(|vector| integers::round(simd, vector));
        let defect = basis::defect(simd, &vectors, columns.len(), threads);
        let basis = gemm::pack_transposed(&vectors, &columns, d);
        let (blocks, units) = product::blocks_of(simd, &vectors, &columns, d);
        (defect < 0.25).then_some(Self { layout, unit, defect, basis, blocks, units })
    }

    /// Writes what belongs to the rows of `data`, for which this was made.
    ///
    /// # Panics
    /// Where there is less room than that.
    pub fn write(&self, simd: Simd, data: Data<'_>, threads: usize, rows: RowsMut<'_>) {
        let Self { layout, unit, defect, ref basis, ref blocks, ref units } = *self;
        let basis = Basis::new(simd, &layout, defect, basis, (blocks, units));
        let RowsMut { mut front, mut deep, mut low } = rows;
        let part = layout.n.div_ceil(threads.max(1));
        side_by_side((0..layout.n).step_by(part).map(|start| {
            let count = part.min(layout.n - start);
            let parts = RowsMut {
                front: front.split_off_mut(..count * layout.front_lines()).expect("there is room"),
                deep: deep.split_off_mut(..count * layout.deep_lines()).expect("there is room"),
                low: low.split_off_mut(..count * layout.low_lines()).expect("there is room"),
            };
            let rotation = Rotation { simd, data, unit, defect, layout, basis: &basis };
            move || rotation.rotate(start..start + count, parts)
        }));
    }
}

impl Index {
    /// The index of `data` with the parts of `layout`, on `threads` threads, where there is a [`Plan`].
    ///
    /// # Panics
    /// Where `layout` was made for other data.
    #[must_use]
    pub fn build(simd: Simd, data: Data<'_>, threads: usize, layout: Layout) -> Option<Self> {
        let plan = Plan::new(simd, data, threads, layout)?;
        let [mut front, mut deep, mut low] =
            [plan.layout.front_len(), plan.layout.deep_len(), plan.layout.low_len()]
                .map(|lines| vec![Line::ZERO; lines]);
        let rows = RowsMut { front: &mut front, deep: &mut deep, low: &mut low };
        plan.write(simd, data, threads, rows);
        Some(Self { plan, front, deep, low })
    }

    /// This, borrowed.
    #[must_use]
    pub fn view(&self) -> IndexView<'_> {
        let Plan { layout, unit, defect, basis, blocks, units } = &self.plan;
        IndexView {
            layout: *layout,
            unit: *unit,
            defect: *defect,
            basis,
            blocks,
            units,
            front: &self.front,
            deep: &self.deep,
            low: &self.low,
            sparse: None,
        }
    }
}

/// The power of two that brings every row's distance to the mean to at most 1.
pub(crate) fn unit(data: Data<'_>) -> Option<f64> {
    let largest = data.farthest();
    if largest == 0.0 || !largest.is_finite() {
        return None;
    }
    let exponent = (largest.to_bits() >> 52) as i64 - 1023;
    let unit = 1022 - exponent;
    // Binary32 data keep far away from this; a distance of no data can come near.
    (1..2046).contains(&unit).then(|| f64::from_bits((unit as u64) << 52))
}

/// The columns, ascending, in which some row is not at the mean: nothing but zeros is left of others
/// when rows are centred.
#[expect(clippy::float_cmp, reason = "what is not exactly at the mean varies")]
fn varying_columns(data: Data<'_>, threads: usize) -> Vec<usize> {
    let (n, d) = (data.rows.n(), data.rows.d());
    let part = n.div_ceil(threads.max(1));
    let constant_in_parts = side_by_side((0..n).step_by(part).map(|start| {
        move || {
            let mut constant: Vec<usize> = (0..d).collect();
            for row in start..n.min(start + part) {
                let values = data.rows.row(RowIndex::new(row));
                constant.retain(|&column| f64::from(values[column]) == data.center[column]);
            }
            constant
        }
    }));
    (0..d)
        .filter(|column| {
            constant_in_parts.iter().any(|constant| constant.binary_search(column).is_err())
        })
        .collect()
}

/// Underflow of any step stays below this, as nothing is above 1: a product in binary32 loses less
/// than `2^-149`, and there are less than `2^40` of them.
pub(crate) const TINY: f64 = 1e-30;

/// How far `V^T w` may be from its binary32 product, for `w` of a norm of 1, rounding `w` to
/// binary32 included.
fn rotation_error(layout: &Layout, defect: f64) -> f64 {
    let product = (layout.components as f64).sqrt() * gemm::RELATIVE_ERROR;
    let rounding = 1.0 / f64::from(1 << 24);
    (1.0 + defect) * (product + rounding) * (1.0 + 1e-6)
}

/// The same of the product that is taken: of integers, whose basis is of these `units`, where they fit.
pub(crate) fn product_error(simd: Simd, layout: &Layout, defect: f64, units: &[f64]) -> f64 {
    if integers::fit(simd, layout.d) {
        integers::error(layout.d, defect, units)
    } else {
        rotation_error(layout, defect)
    }
}

/// The smallest binary32 that is not below `x`, which is not below 0.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(crate) fn up(x: f64) -> f32 {
    let rounded = x as f32;
    // Such numbers are in the order of their bits.
    f32::from_bits(rounded.to_bits() + u32::from(f64::from(rounded) < x))
}
