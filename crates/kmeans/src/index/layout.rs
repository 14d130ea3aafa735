//! Which parts an index ([`super::Index`], [`super::IndexView`]) has, and how large they are.

use super::gemm::PANEL;
use super::{Facts, basis};
use crate::integers;
use crate::simd::LINE;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Most levels that coordinates are cut into.
pub const MAX_LEVELS: usize = 3;

/// Coordinates of a level are a multiple of this, padded with zeros.
const GRAIN: usize = 16;

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

/// Coordinates of the first level, which is all that most rows are decided by.
const FIRST: usize = 2 * LINE;

/// Coordinates of the second level: with facts, they fill three lines.
const SECOND: usize = 3 * LINE - size_of::<Facts>();

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

    /// The same without what takes more than leading coordinates, for rows that are looked at otherwise.
    #[must_use]
    pub fn leading(self) -> Self {
        Self::with_components(self.n, self.d, self.components.min(FIRST))
    }

    /// As [`Self::of`], with this many `components`.
    #[must_use]
    pub fn with_components(n: usize, d: usize, components: usize) -> Self {
        let mut widths = [0; MAX_LEVELS];
        let mut left = components.next_multiple_of(GRAIN);
        for (width, most) in widths.iter_mut().zip([FIRST, SECOND, usize::MAX]) {
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
    pub(super) fn within(self, varying: usize) -> Self {
        let components = self.components.min(varying);
        let mut left = components.next_multiple_of(GRAIN);
        let widths = self.widths.map(|width| {
            let width = width.min(left);
            left -= width;
            width
        });
        Self { varying, components, widths, ..self }
    }

    /// Most bytes that making a plan has at a time.
    #[must_use]
    pub fn bytes_to_plan(&self) -> u64 {
        let Self { n, d, components, .. } = *self;
        let sample = n.min(basis::SAMPLE).saturating_mul(d);
        let vectors = components.next_multiple_of(PANEL).saturating_mul(d);
        // The sample, turned and packed, and its covariance, twice.
        let square = d.saturating_mul(d.next_multiple_of(PANEL)).saturating_mul(2);
        let values = [sample.saturating_mul(3), square, vectors.saturating_mul(4)];
        let values = values.into_iter().fold(0, usize::saturating_add);
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

    /// Where coordinates of each level are in a product with the basis, without padding.
    pub(crate) fn columns(&self) -> [Range<usize>; MAX_LEVELS] {
        let mut first = 0;
        self.widths.map(|width| {
            let start = first;
            first = (first + width).min(self.components);
            start..first
        })
    }

    /// Length of `IndexView::basis`: as those below, `usize::MAX` where it is more than that.
    #[must_use]
    pub fn basis_len(&self) -> usize {
        self.d.saturating_mul(self.components.next_multiple_of(PANEL))
    }

    /// Length of `IndexView::units`.
    #[must_use]
    pub fn units_len(&self) -> usize {
        self.components.next_multiple_of(PANEL)
    }

    /// Length of `IndexView::blocks`.
    #[must_use]
    pub fn blocks_len(&self) -> usize {
        (self.units_len() / integers::LANES).saturating_mul(self.d.div_ceil(LINE))
    }

    /// Lines that bytes of each level take; in the second, with facts.
    pub(crate) fn lines(&self) -> [usize; MAX_LEVELS] {
        let mut lines = self.widths.map(|width| width.div_ceil(LINE));
        if self.widths[1] > 0 {
            lines[1] = (self.widths[1] + size_of::<Facts>()).div_ceil(LINE);
        }
        lines
    }

    /// Lines that high bytes of all levels take.
    pub(crate) fn all_lines(&self) -> usize {
        self.lines().iter().sum()
    }

    /// Lines that a row takes in `IndexView::front`: high bytes of the first two levels, and facts at the
    /// end of the last line.
    #[must_use]
    pub fn front_lines(&self) -> usize {
        match self.widths[1] {
            0 => (self.widths[0] + size_of::<Facts>()).div_ceil(LINE),
            _ => self.lines()[..2].iter().sum(),
        }
    }

    /// Length of `IndexView::front`.
    #[must_use]
    pub fn front_len(&self) -> usize {
        self.n.saturating_mul(self.front_lines())
    }

    /// Lines that a row takes in `IndexView::deep`: low bytes of the first level, and high ones of the
    /// third.
    #[must_use]
    pub fn deep_lines(&self) -> usize {
        self.lines()[0] + self.lines()[2]
    }

    /// Length of `IndexView::deep`.
    #[must_use]
    pub fn deep_len(&self) -> usize {
        self.n.saturating_mul(self.deep_lines())
    }

    /// Lines that a row takes in `IndexView::low`: low bytes of levels behind the first.
    #[must_use]
    pub fn low_lines(&self) -> usize {
        self.lines()[1..].iter().sum()
    }

    /// Length of `IndexView::low`.
    #[must_use]
    pub fn low_len(&self) -> usize {
        self.n.saturating_mul(self.low_lines())
    }

    /// Whether rows have nothing outside the basis.
    pub(crate) fn is_whole(&self) -> bool {
        self.components == self.varying
    }
}
