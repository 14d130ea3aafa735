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
//! to 16-bit multiples `q` of a scale of its own. These are kept as two *planes* of bytes, `q = 256
//! high + low`: the high bytes alone are coordinates with an error of about 1 %, at half the bytes
//! and, with what processors have for bytes, half the work. The high bytes of the first level stand
//! apart ([`IndexView::front`](field@IndexView::front)), so that looking at leading coordinates alone
//! reads nothing else; so do all low bytes, which few rows need. With the other high bytes stands what
//! bounds need of a row (`facts`).
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
//! (`gemm`); and the quantisation error, which is measured, for both planes and for the high one
//! alone. A column that is the same in all rows is at the mean in all of them: it has no part in any
//! `w`, and none in the basis. Where the basis is whole (it has as many components as columns vary),
//! `t = 0`. Else `|t|² = |w|² - |U^T w|²`, and `|U^T w|` is at least the norm of the product, less the
//! errors of that. Norms are taken in binary64 and rounded up.

mod basis;
pub(crate) mod gemm;

use crate::data::Data;
use crate::rows::RowIndex;
use crate::simd::{LINE, Simd, prefetch};
use crate::threads::side_by_side;
use bytemuck::{Pod, Zeroable};
use gemm::PANEL;
use serde::{Deserialize, Serialize};

/// Most levels that coordinates are cut into.
pub const MAX_LEVELS: usize = 3;

const _: () = assert!(size_of::<Facts>() <= LINE, "facts fit a line");

/// Coordinates of a level are a multiple of this, padded with zeros.
const GRAIN: usize = 16;

/// What high bytes are stored with, so that none is negative.
pub(crate) const BIAS: i32 = 128;

/// The largest `|q|`: its high byte, rounded, is at most 127.
const LARGEST: f32 = (127 * 256) as f32;

/// Which parts an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Number of rows.
    pub n: usize,
    /// Number of columns.
    pub d: usize,
    /// At least how many of them are not the same in all rows.
    pub varying: usize,
    /// Number of basis vectors: `varying`, or fewer.
    pub components: usize,
    /// Number of coordinates of each level, padding included; 0 for levels that are not there.
    pub widths: [usize; MAX_LEVELS],
}

/// Below this many values, a run is over before an index pays.
const SMALLEST: usize = 1 << 17;

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
        for (width, most) in widths.iter_mut().zip([64, 192, usize::MAX]) {
            // No level for a handful of coordinates.
            *width = if left < most.saturating_add(most / 2) { left } else { most };
            left -= *width;
        }
        Self { n, d, varying: d, components, widths }
    }

    /// Whether an index can have these parts: not every header is to be believed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Self { d, varying, components, widths, .. } = *self;
        let width = widths.iter().try_fold(0_usize, |sum, &width| sum.checked_add(width));
        (1..=varying).contains(&components)
            && varying <= d
            && width.is_some()
            && width == components.checked_next_multiple_of(GRAIN)
            && widths.iter().all(|width| width.is_multiple_of(GRAIN))
            && widths[0] > 0
            && widths.is_sorted_by_key(|&width| width == 0)
    }

    /// The same for rows of which only so many columns vary, which is one at least.
    fn within(self, varying: usize) -> Self {
        let components = self.components.min(varying);
        let mut left = components.next_multiple_of(GRAIN);
        let widths = self.widths.map(|width| {
            let width = width.min(left);
            left -= width;
            width
        });
        Self { varying, components, widths, ..self }
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
        let bytes = self.front_len().saturating_add(self.low_len());
        let index = self.deep_len().saturating_mul(LINE).saturating_add(bytes);
        let then = sample.saturating_add(index.div_ceil(size_of::<f32>()));
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

    /// Length of [`IndexView::front`](field@IndexView::front).
    #[must_use]
    pub fn front_len(&self) -> usize {
        self.n.saturating_mul(self.widths[0])
    }

    /// Lines that bytes of each level take.
    pub(crate) fn lines(&self) -> [usize; MAX_LEVELS] {
        self.widths.map(|width| width.div_ceil(LINE))
    }

    /// Lines that bytes of all levels take.
    pub(crate) fn all_lines(&self) -> usize {
        self.lines().iter().sum()
    }

    /// Lines that a row takes in [`IndexView::deep`](field@IndexView::deep): high bytes of levels behind
    /// the first, and facts.
    #[must_use]
    pub fn deep_lines(&self) -> usize {
        let [_, levels @ ..] = self.lines();
        let [_, widths @ ..] = self.widths;
        // Facts have room behind the last bytes, or in a line of their own.
        let last = widths.into_iter().rfind(|&width| width > 0).unwrap_or(LINE);
        let is_room = last.next_multiple_of(LINE) - last >= size_of::<Facts>();
        levels.iter().sum::<usize>() + usize::from(!is_room)
    }

    /// Length of [`IndexView::deep`](field@IndexView::deep).
    #[must_use]
    pub fn deep_len(&self) -> usize {
        self.n.saturating_mul(self.deep_lines())
    }

    /// Bytes that a row takes in [`IndexView::low`](field@IndexView::low): whole lines, or less than one.
    #[must_use]
    pub fn low_width(&self) -> usize {
        let all = self.all_lines() * LINE;
        if all > LINE { all } else { self.widths[0] }
    }

    /// Length of [`IndexView::low`](field@IndexView::low).
    #[must_use]
    pub fn low_len(&self) -> usize {
        self.n.saturating_mul(self.low_width())
    }

    /// Whether rows have nothing outside the basis.
    pub(crate) fn is_whole(&self) -> bool {
        self.components == self.varying
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
    /// High bytes of the first level.
    pub front: Vec<u8>,
    /// Facts, and high bytes of the levels behind it.
    pub deep: Vec<Line>,
    /// Low bytes.
    pub low: Vec<u8>,
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
    /// High bytes of rows' first level, `[n, widths[0]]`, each with 128 added.
    pub front: &'a [u8],
    /// Of each row, the high bytes of all levels behind the first, each level in whole lines; at the
    /// end of the last line, its [`Facts`].
    pub deep: &'a [Line],
    /// Low bytes of all levels, from -128 to 127, each with 128 added, in whole lines too, but for rows
    /// that have less than one.
    pub low: &'a [u8],
}

/// A cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub(crate) [u8; LINE]);

/// What is known of a row besides its coordinates: bounds of norms, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Facts {
    /// What high bytes of each level are multiples of; low bytes, of a 256th of it.
    pub scales: [f32; MAX_LEVELS],
    /// At least `|w|`, the row's distance to the mean.
    pub norm: f32,
    /// At least the norm of all that is behind the first level, and outside the basis.
    pub tail: f32,
    /// At least the norm of what is outside the basis.
    pub outside: f32,
    /// At least `|e|` in the first level with high bytes alone;
    pub front_error: f32,
    /// in all levels with high bytes alone;
    pub error: f32,
    /// and with both.
    pub fine_error: f32,
}

impl<'a> IndexView<'a> {
    /// The high bytes of `row` in the first level.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn front(&self, row: usize) -> &'a [u8] {
        let width = self.layout.widths[0];
        &self.front[row * width..][..width]
    }

    /// Those in the levels behind it, in whole lines, and what stands behind them.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn deep(&self, row: usize) -> &'a [Line] {
        let lines = self.layout.deep_lines();
        &self.deep[row * lines..][..lines]
    }

    /// The low bytes of `row` in all levels, each in whole lines where there is more than one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn low(&self, row: usize) -> &'a [u8] {
        let width = self.layout.low_width();
        &self.low[row * width..][..width]
    }

    /// What is known of `row`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn facts(&self, row: usize) -> &'a Facts {
        let last = &self.deep[(row + 1) * self.layout.deep_lines() - 1];
        bytemuck::from_bytes(&last.0[LINE - size_of::<Facts>()..])
    }

    /// Asks for what is known of `row` to be in the cache soon: all of it, or all but low bytes.
    #[inline]
    pub(crate) fn prefetch(&self, row: usize, all: bool) {
        prefetch(self.front(row));
        prefetch(self.deep(row));
        if all {
            prefetch(self.low(row));
        }
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
        let Layout { n, d, .. } = layout;
        assert_eq!((n, d), (data.rows.n(), data.rows.d()), "the layout is for these rows");
        let unit = unit(data)?;
        let columns = varying_columns(data, threads);
        let layout = layout.within(columns.len());
        let step = n.div_ceil(basis::SAMPLE);
        let mut sample = Vec::with_capacity(n.div_ceil(step) * columns.len());
        let mut values = vec![0.0; d];
        for row in (0..n).step_by(step) {
            centre(data, unit, row, &mut values);
            sample.extend(columns.iter().map(|&column| values[column]));
        }
        let vectors = basis::principal(simd, &sample, columns.len(), layout.components);
        let defect = basis::defect(simd, &vectors, columns.len());
        let mut index = Self {
            layout,
            unit,
            defect,
            basis: gemm::pack_transposed(&vectors, &columns, d),
            front: vec![0; layout.front_len()],
            deep: vec![Line([0; LINE]); layout.deep_len()],
            low: vec![0; layout.low_len()],
        };
        let part = n.div_ceil(threads.max(1));
        let Index { basis, front, deep, low, .. } = &mut index;
        let (mut front, mut low) = (front.as_mut_slice(), low.as_mut_slice());
        let mut deep = deep.as_mut_slice();
        let basis = &*basis;
        side_by_side((0..n).step_by(part).map(|start| {
            let count = part.min(n - start);
            let parts = Parts {
                front: front
                    .split_off_mut(..count * layout.widths[0])
                    .expect("each row has coordinates"),
                deep: deep
                    .split_off_mut(..count * layout.deep_lines())
                    .expect("each row has facts"),
                low: low
                    .split_off_mut(..count * layout.low_width())
                    .expect("each row has low bytes"),
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
            front: &self.front,
            deep: &self.deep,
            low: &self.low,
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
fn centre(data: Data<'_>, unit: f64, row: usize, centred: &mut [f32]) {
    let values = data.rows.row(RowIndex::new(row));
    for (centred, (&x, &m)) in centred.iter_mut().zip(values.iter().zip(data.center)) {
        *centred = ((f64::from(x) - m) * unit) as f32;
    }
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

/// Some coordinates as integers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quantised {
    /// What high bytes are multiples of.
    pub(crate) scale: f32,
    /// The squared errors of high bytes alone, and of both.
    pub(crate) square_error: f64,
    pub(crate) fine_square_error: f64,
}

/// `values` as multiples of one scale, in a high and a low byte each, of which `write` gets the
/// place, the high, and the low.
pub(crate) fn quantise(values: &[f32], mut write: impl FnMut(usize, i32, i32)) -> Quantised {
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
    front: &'a mut [u8],
    deep: &'a mut [Line],
    low: &'a mut [u8],
}

impl Rotation<'_> {
    /// Writes the coordinates and facts of `rows` into `parts`.
    fn rotate(&self, rows: std::ops::Range<usize>, parts: Parts<'_>) {
        /// Rows rotated at a time: a multiple of what the product takes at once.
        const BLOCK: usize = 96;
        let Parts { front, deep, low } = parts;
        let (deep_lines, low_width) = (self.layout.deep_lines(), self.layout.low_width());
        let Layout { d, widths, .. } = self.layout;
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
                let own = Parts {
                    front: &mut front[at * widths[0]..][..widths[0]],
                    deep: &mut deep[at * deep_lines..][..deep_lines],
                    low: &mut low[at * low_width..][..low_width],
                };
                self.write(start + row, product, own);
            }
        }
    }

    /// Writes the coordinates and facts of a `row`, of which `product` is the product with the basis.
    fn write(&self, row: usize, product: &[f32], parts: Parts<'_>) {
        let Layout { components, widths, .. } = self.layout;
        let Parts { front, deep, low } = parts;
        let deep: &mut [u8] = bytemuck::cast_slice_mut(deep);
        let mut found = [Quantised::default(); MAX_LEVELS];
        let mut squares = [0.0; MAX_LEVELS];
        // Where there is nothing, bytes are 0 with the bias.
        front.fill(BIAS as u8);
        deep.fill(BIAS as u8);
        low.fill(BIAS as u8);
        let lines = self.layout.lines();
        let (mut first, mut first_line) = (0, 0);
        for (level, &width) in widths.iter().enumerate().take(self.layout.levels()) {
            let values = &product[first.min(components)..(first + width).min(components)];
            let low = &mut low[first_line * LINE..];
            let high =
                if level == 0 { &mut *front } else { &mut deep[(first_line - lines[0]) * LINE..] };
            found[level] = quantise(values, |at, value, rest| {
                high[at] = (value + BIAS) as u8;
                low[at] = (rest + BIAS) as u8;
            });
            squares[level] = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            first += width;
            first_line += lines[level];
        }
        let norm = self.data.spread[row].sqrt() * self.unit * (1.0 + 1e-9);
        let rotation = self.defect * (1.0 + self.defect) * norm
            + rotation_error(&self.layout, self.defect) * norm
            + TINY;
        let errors =
            |of: fn(&Quantised) -> f64| found.iter().map(of).sum::<f64>().sqrt() + rotation;
        let fine_error = errors(|level| level.fine_square_error);
        let mut outside = 0.0;
        if !self.layout.is_whole() {
            let inside = (squares.iter().sum::<f64>().sqrt() * (1.0 - 1e-9) - rotation).max(0.0);
            outside = (norm * norm - inside * inside).max(0.0);
        }
        let tail = (outside + squares[1..].iter().sum::<f64>()).sqrt() + rotation;
        let known = Facts {
            scales: found.map(|level| level.scale),
            norm: up(norm),
            tail: up(tail * (1.0 + 1e-9)),
            outside: up(outside.sqrt() * (1.0 + 1e-9)),
            front_error: up((found[0].square_error.sqrt() + rotation) * (1.0 + 1e-9)),
            error: up(errors(|level| level.square_error) * (1.0 + 1e-9)),
            fine_error: up(fine_error * (1.0 + 1e-9)),
        };
        let facts = deep.len() - size_of::<Facts>();
        deep[facts..].copy_from_slice(bytemuck::bytes_of(&known));
    }
}
