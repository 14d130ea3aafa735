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
//! `V^T w` are cut into up to [`MAX_LEVELS`] *levels*, leading ones first, and each level is kept
//! as 16-bit integers `q` with one scale: `y = scale * q`. All of a level's rows are contiguous, so
//! that looking at leading coordinates alone reads nothing else. Beside them stands, for each row
//! (`facts`), `|w|`, the norm of what is behind each level, and the error `e` defined next.
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
//! (`gemm`); and the quantisation error, which is measured. Where the basis is whole
//! (`components = d`), `t = 0`. Else `|t|² = |w|² - |U^T w|² <= |w|² - (|y| - |e|)²`. Both norms
//! are taken in binary64 and rounded up.

mod basis;
pub(crate) mod gemm;

use crate::data::Data;
use crate::rows::RowIndex;
use crate::simd::Simd;
use crate::threads::side_by_side;
use gemm::PANEL;
use serde::{Deserialize, Serialize};

/// Most levels that coordinates are cut into.
pub const MAX_LEVELS: usize = 5;

/// Numbers that are known of each row and its first level.
pub const FACTS: usize = 4;

/// Numbers that are known of each row's later levels.
pub const DEEP_FACTS: usize = 2 * (MAX_LEVELS - 1);

/// Coordinates of a level are a multiple of this, padded with zeros.
const GRAIN: usize = 16;

/// `|q|` of a row's level: with [`CENTROID_NORM`], the product of two stays below 2³¹, so that
/// their scalar product, by Cauchy and Schwarz, and every part of it, fits 32 bits.
const ROW_NORM: f64 = 32_000.0;

/// `|q|` of a centroid's level. Rounding adds at most `sqrt(width) / 2` to either norm.
pub(crate) const CENTROID_NORM: f64 = 60_000.0;

/// Which parts an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Number of rows.
    pub n: usize,
    /// Number of columns.
    pub d: usize,
    /// Number of basis vectors: `d`, or fewer.
    pub components: usize,
    /// Number of coordinates of each level, padding included; 0 for levels that are not there.
    pub widths: [usize; MAX_LEVELS],
}

/// Below this many values, a run is over before an index pays.
const SMALLEST: usize = 1 << 16;

/// Up to this many columns, the basis is whole. Above, rotating rows would take longer than the
/// runs that it saves.
const WHOLE: usize = 1024;

impl Layout {
    /// The parts that pay for `n` rows of `d` columns; `None` where nothing does.
    #[must_use]
    pub fn choose(n: usize, d: usize) -> Option<Self> {
        (n * d >= SMALLEST && n >= 1024).then(|| Self::of(n, d))
    }

    /// The parts for `n` rows of `d` columns, whether they pay or not.
    #[must_use]
    pub fn of(n: usize, d: usize) -> Self {
        let components = if d <= WHOLE { d } else { basis::LEADING };
        Self::with_components(n, d, components)
    }

    /// As [`Self::of`], with this many `components`.
    #[must_use]
    pub fn with_components(n: usize, d: usize, components: usize) -> Self {
        let mut widths = [0; MAX_LEVELS];
        let mut left = components.next_multiple_of(GRAIN);
        for (width, most) in widths.iter_mut().zip([64, 64, 128, usize::MAX]) {
            // No level for a handful of coordinates.
            *width = if left < most.saturating_add(most / 2) { left } else { most };
            left -= *width;
        }
        Self { n, d, components, widths }
    }

    /// Most bytes that [`Index::build`] has at a time, those of the index included.
    #[must_use]
    pub fn bytes_to_build(&self) -> u64 {
        let Self { n, d, components, .. } = *self;
        let sample = n.min(basis::SAMPLE).saturating_mul(d);
        let vectors = components.saturating_mul(d);
        // First the sample, turned and packed, and its covariance, twice; then the sample, and the
        // index itself, whose coordinates take two bytes each.
        let square = d.saturating_mul(d.next_multiple_of(PANEL)).saturating_mul(2);
        let first = sample.saturating_mul(3).saturating_add(square);
        let facts = self.facts_len() + self.deep_facts_len() + self.coordinates_len().div_ceil(2);
        let then = sample.saturating_add(facts);
        let values = first.max(then).saturating_add(vectors.saturating_mul(3));
        (values as u64).saturating_mul(size_of::<f32>() as u64)
    }

    /// Number of levels.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.widths.iter().filter(|&&width| width > 0).count()
    }

    /// Coordinates of a row in all levels, padding included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.widths.iter().sum()
    }

    /// Length of [`IndexView::basis`]: as those below, `usize::MAX` where it is more than that.
    #[must_use]
    pub fn basis_len(&self) -> usize {
        self.d.saturating_mul(self.components.next_multiple_of(PANEL))
    }

    /// Length of [`IndexView::coordinates`].
    #[must_use]
    pub fn coordinates_len(&self) -> usize {
        self.n.saturating_mul(self.width())
    }

    /// Length of [`IndexView::facts`].
    #[must_use]
    pub fn facts_len(&self) -> usize {
        self.n.saturating_mul(FACTS)
    }

    /// Length of [`IndexView::deep_facts`].
    #[must_use]
    pub fn deep_facts_len(&self) -> usize {
        self.n.saturating_mul(DEEP_FACTS)
    }

    /// Whether rows have nothing outside the basis.
    pub(crate) fn is_whole(&self) -> bool {
        self.components == self.d
    }
}

/// An index that owns its sections. See [`IndexView`] for what they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Which parts there are.
    pub layout: Layout,
    /// Rows are multiplied by this power of two.
    pub unit: f64,
    /// An upper bound of `|V^T V - 1|`.
    pub defect: f64,
    /// The basis, packed.
    pub basis: Vec<f32>,
    /// All coordinates.
    pub coordinates: Vec<i16>,
    /// Of rows and their first level.
    pub facts: Vec<f32>,
    /// Of later levels.
    pub deep_facts: Vec<f32>,
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
    /// Coordinates, level by level: each `[n, width]`.
    pub coordinates: &'a [i16],
    /// Of each row, `[n, FACTS]`: scale of the first level, norm behind it, whole norm, error.
    pub facts: &'a [f32],
    /// Of each row, `[n, DEEP_FACTS]`: the scales of later levels, then their tails.
    pub deep_facts: &'a [f32],
}

/// What the index knows of one row up to some level.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub(crate) struct Facts {
    /// What the level's integers are multiples of.
    pub(crate) scale: f32,
    /// At least the norm of what is behind the level, in later levels and outside the basis.
    pub(crate) tail: f32,
    /// At least `|w|`, the row's distance to the mean in units.
    pub(crate) norm: f32,
    /// At least `|e|`: how far the coordinates are off.
    pub(crate) error: f32,
}

impl<'a> IndexView<'a> {
    /// The coordinates of all rows in `level`, `[n, width]`.
    pub(crate) fn level(&self, level: usize) -> &'a [i16] {
        let Layout { n, widths, .. } = self.layout;
        let before: usize = widths[..level].iter().sum();
        &self.coordinates[n * before..][..n * widths[level]]
    }

    /// What is known of `row` up to `level`.
    #[inline]
    pub(crate) fn facts_of(&self, row: usize, level: usize) -> Facts {
        let &[scale, tail, norm, error] = &self.facts.as_chunks::<FACTS>().0[row];
        if level == 0 {
            return Facts { scale, tail, norm, error };
        }
        let deep = &self.deep_facts.as_chunks::<DEEP_FACTS>().0[row];
        Facts { scale: deep[level - 1], tail: deep[MAX_LEVELS - 2 + level], norm, error }
    }

    /// What [`Self::facts_of`] reads for the first level.
    #[inline]
    pub(crate) fn first_facts_of(&self, row: usize) -> &'a [f32; FACTS] {
        &self.facts.as_chunks().0[row]
    }

    /// What [`Self::facts_of`] reads for later levels.
    #[inline]
    pub(crate) fn deep_facts_of(&self, row: usize) -> &'a [f32; DEEP_FACTS] {
        &self.deep_facts.as_chunks().0[row]
    }
}

impl Index {
    /// The index of `data` with the parts of `layout`, on `threads` threads; `None` where all rows
    /// are equal, or no number can be the unit.
    ///
    /// # Panics
    /// Where `layout` was made for other data.
    #[must_use]
    pub fn build(simd: Simd, data: Data<'_>, threads: usize, layout: Layout) -> Option<Self> {
        let Layout { n, d, components, .. } = layout;
        assert_eq!((n, d), (data.rows.n(), data.rows.d()), "the layout is for these rows");
        let unit = unit(data)?;
        let step = n.div_ceil(basis::SAMPLE);
        let sample: Vec<f32> =
            (0..n).step_by(step).flat_map(|row| centred(data, unit, row)).collect();
        let vectors = basis::principal(simd, &sample, d, components);
        let defect = basis::defect(simd, &vectors, d);
        let mut index = Self {
            layout,
            unit,
            defect,
            basis: gemm::pack_transposed(&vectors, d, components, d),
            coordinates: vec![0; layout.coordinates_len()],
            facts: vec![0.0; layout.facts_len()],
            deep_facts: vec![0.0; layout.deep_facts_len()],
        };
        let part = n.div_ceil(threads.max(1));
        let mut levels = Vec::new();
        let mut rest = index.coordinates.as_mut_slice();
        for width in layout.widths {
            let (level, behind) = rest.split_at_mut(n * width);
            levels.push((width, level));
            rest = behind;
        }
        let mut facts = index.facts.as_chunks_mut().0;
        let mut deep = index.deep_facts.as_chunks_mut().0;
        let basis = &index.basis;
        side_by_side((0..n).step_by(part).map(|start| {
            let count = part.min(n - start);
            let levels = levels
                .iter_mut()
                .map(|(width, level)| {
                    let (first, behind) = std::mem::take(level).split_at_mut(count * *width);
                    *level = behind;
                    first
                })
                .collect();
            let parts = Parts {
                levels,
                facts: facts.split_off_mut(..count).expect("each row has facts"),
                deep_facts: deep.split_off_mut(..count).expect("each row has facts"),
            };
            let rows = start..start + count;
            let rotation = Rotation { simd, data, unit, defect, layout, basis };
            move || rotation.rotate(rows, parts)
        }));
        (defect < 0.25).then_some(index)
    }

    /// This, borrowed.
    #[must_use]
    pub fn view(&self) -> IndexView<'_> {
        IndexView {
            layout: self.layout,
            unit: self.unit,
            defect: self.defect,
            basis: &self.basis,
            coordinates: &self.coordinates,
            facts: &self.facts,
            deep_facts: &self.deep_facts,
        }
    }
}

/// The power of two that brings every row's distance to the mean to at most 1.
pub(crate) fn unit(data: Data<'_>) -> Option<f64> {
    let largest = data.spread.iter().fold(0.0, |a: f64, &b| a.max(b)).sqrt();
    if largest == 0.0 || !largest.is_finite() {
        return None;
    }
    let exponent = (largest.to_bits() >> 52) as i64 - 1023;
    let unit = 1022 - exponent;
    // Binary32 data keep far away from this; a distance of no data can come near.
    (1..2046).contains(&unit).then(|| f64::from_bits((unit as u64) << 52))
}

/// `(x - m) * unit` of a row, rounded to binary32, without padding.
fn centred(data: Data<'_>, unit: f64, row: usize) -> impl Iterator<Item = f32> {
    let values = &data.rows.row(RowIndex::new(row))[..data.rows.d()];
    values.iter().zip(data.center).map(move |(&x, &m)| ((f64::from(x) - m) * unit) as f32)
}

/// Underflow of any step stays below this, as nothing is above 1: a product in binary32 loses less
/// than `2^-149`, and there are less than `2^40` of them.
pub(crate) const TINY: f64 = 1e-30;

/// How far `V^T w` may be from its binary32 product, for `w` of a norm of 1, rounding `w` to
/// binary32 included.
pub(crate) fn rotation_error(layout: &Layout, defect: f64) -> f64 {
    let product = (layout.components as f64).sqrt() * gemm::RELATIVE_ERROR;
    let rounding = 1.0 / f64::from(1 << 24);
    (1.0 + defect) * (product + rounding) * (1.0 + 1e-6)
}

/// The smallest binary32 that is not below `x`.
pub(crate) fn up(x: f64) -> f32 {
    let rounded = x as f32;
    if f64::from(rounded) < x { rounded.next_up() } else { rounded }
}

/// `values` as multiples of one scale with `|q|` about `norm`, into `integers`, which may be longer;
/// returns the scale and the squared error.
pub(crate) fn quantise(values: &[f32], norm: f64, integers: &mut [i16]) -> (f32, f64) {
    let square: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let largest = values.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
    let scale = up((square.sqrt() / norm).max(f64::from(largest) / 32_000.0));
    if scale < f32::MIN_POSITIVE || !scale.is_finite() {
        integers.fill(0);
        return (0.0, square);
    }
    let inverse = 1.0 / scale;
    let (integers, padding) = integers.split_at_mut(values.len());
    padding.fill(0);
    let mut error = 0.0;
    for (integer, &value) in integers.iter_mut().zip(values) {
        // Adding and subtracting 1.5 * 2^23 rounds, as 32,001 is far below it.
        let q = (value * inverse + 12_582_912.0) - 12_582_912.0;
        *integer = q as i16;
        let off = f64::from(value) - f64::from(scale) * f64::from(q);
        error += off * off;
    }
    (scale, error)
}

/// All that rotating some rows needs.
struct Rotation<'a> {
    simd: Simd,
    data: Data<'a>,
    unit: f64,
    defect: f64,
    layout: Layout,
    basis: &'a [f32],
}

/// What belongs to some rows.
struct Parts<'a> {
    levels: Vec<&'a mut [i16]>,
    facts: &'a mut [[f32; FACTS]],
    deep_facts: &'a mut [[f32; DEEP_FACTS]],
}

impl Rotation<'_> {
    /// Writes the coordinates and facts of `rows` into `parts`.
    fn rotate(&self, rows: std::ops::Range<usize>, mut parts: Parts<'_>) {
        /// Rows rotated at a time: a multiple of what the product takes at once.
        const BLOCK: usize = 96;
        let Layout { d, components, widths, .. } = self.layout;
        let width = self.basis.len() / d;
        let mut block = vec![0.0; BLOCK * d];
        let mut product = vec![0.0; BLOCK * width];
        for start in rows.clone().step_by(BLOCK) {
            let count = BLOCK.min(rows.end - start);
            for (row, values) in block.chunks_exact_mut(d).take(count).enumerate() {
                for (value, x) in values.iter_mut().zip(centred(self.data, self.unit, start + row))
                {
                    *value = x;
                }
            }
            let product = &mut product[..count * width];
            gemm::multiply(self.simd, &block[..count * d], d, d, self.basis, product);
            for (row, product) in product.chunks_exact(width).enumerate() {
                let at = start + row - rows.start;
                let mut squares = [0.0; MAX_LEVELS];
                let (mut scales, mut tails) = ([0.0; MAX_LEVELS], [0.0; MAX_LEVELS]);
                let mut error = 0.0;
                let mut first = 0;
                for (level, &width) in widths.iter().enumerate() {
                    let values = &product[first.min(components)..(first + width).min(components)];
                    let integers = &mut parts.levels[level][at * width..][..width];
                    let (scale, off) = quantise(values, ROW_NORM, integers);
                    scales[level] = scale;
                    error += off;
                    let sum: i64 = integers.iter().map(|&q| i64::from(q) * i64::from(q)).sum();
                    squares[level] = f64::from(scale) * f64::from(scale) * sum as f64;
                    first += width;
                }
                let norm = self.data.spread[start + row].sqrt() * self.unit * (1.0 + 1e-9);
                let error = error.sqrt()
                    + self.defect * (1.0 + self.defect) * norm
                    + rotation_error(&self.layout, self.defect) * norm
                    + TINY;
                let mut behind = 0.0;
                if !self.layout.is_whole() {
                    let inside =
                        (squares.iter().sum::<f64>().sqrt() * (1.0 - 1e-9) - error).max(0.0);
                    behind = (norm * norm - inside * inside).max(0.0);
                }
                for level in (0..MAX_LEVELS).rev() {
                    tails[level] = up(behind.sqrt() * (1.0 + 1e-9));
                    behind += squares[level];
                }
                parts.facts[at] = [scales[0], tails[0], up(norm), up(error * (1.0 + 1e-9))];
                let (deep_scales, deep_tails) = parts.deep_facts[at].split_at_mut(MAX_LEVELS - 1);
                deep_scales.copy_from_slice(&scales[1..]);
                deep_tails.copy_from_slice(&tails[1..]);
            }
        }
    }
}
