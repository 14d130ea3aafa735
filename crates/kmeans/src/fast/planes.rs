//! Coordinates of centroids, rounded to bytes, and how they are multiplied with rows'.

use super::centroids::{Centroids, UNDERFLOW};
use super::judge::{BLOWN, ROUNDING};
use super::kernel::{GroupLine, LANES, Lanes, Source, Stretch, Sums32, Taken, Then};
use super::level::{Level, POINTS, slack, squares_apart};
use super::product::Product;
use crate::index::{BIAS, IndexView, Layout, MAX_LEVELS, up};
use crate::lines::Lines;
use crate::simd::Simd;

/// Up to this many lanes, distances are kept for every pair of centroids.
const PAIRWISE: usize = 256;

/// How closely rows are looked at. Of coordinates:
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Both bytes of the first level, in which most of a centroid lies, and so does most of what a score
    /// is off by; high bytes of the others.
    Rough,
    /// Both bytes of all levels, but never low ones with low ones.
    Fine,
}

impl Depth {
    pub(super) const ALL: [Self; 2] = [Self::Rough, Self::Fine];
}

/// All coordinates of centroids, as bytes.
#[derive(Debug, Clone)]
pub(super) struct Planes {
    pub(super) k: usize,
    /// For each group of lanes, high bytes of all levels, and low ones, each level in whole lines that
    /// are padded with zeros.
    bytes: Lines<GroupLine>,
    /// How they are multiplied, by [`Depth`].
    products: [Products; Depth::ALL.len()],
    /// `|v|²` of every lane.
    squares: Lines<Lanes>,
    /// What bounds are made of, for each group of lanes; and where all low bytes count.
    parts: Vec<Parts>,
    fine_parts: Vec<Parts>,
    /// Points that errors are measured from: all centroids, or only the mean of the data, which comes
    /// last.
    points: usize,
    /// At least how far lanes are from them in each level, `[points, groups]`.
    apart: Vec<PerLevel>,
    /// At least how far those are from the mean, in each level and outside the basis.
    lengths: Vec<[f32; MAX_LEVELS]>,
    outside: Vec<f32>,
}

/// A number for each lane of a group, in each level.
pub(super) type PerLevel = [Lanes; MAX_LEVELS];

/// What errors of a row are multiplied by to bound what they do to the scores of a group of lanes.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Parts {
    /// At least `|f|` in each level.
    pub(super) errors: PerLevel,
    /// At least the norm of low bytes in each level.
    pub(super) lows: PerLevel,
    /// At least `|s|`.
    pub(super) outside: Lanes,
    /// What rounding may amount to, as far as that is the centroid's own.
    pub(super) rounding: Lanes,
}

/// Products that make up scores.
#[derive(Debug, Clone)]
struct Products {
    stretches: Vec<Stretch>,
    /// Of each group, those that are taken.
    taken: Vec<Taken>,
}

impl Products {
    fn new(layout: &Layout, groups: usize, depth: Depth) -> Self {
        let all_lines = layout.lines();
        let all = layout.all_lines();
        let (mut stretches, mut taken) = (Vec::new(), Vec::new());
        let mut first = 0;
        for (level, &lines) in all_lines.iter().enumerate().take(layout.levels()) {
            let [high, low] = match level {
                0 => [(Source::Front, 0), (Source::Deep, 0)],
                1 => [(Source::Front, all_lines[0]), (Source::Low, 0)],
                _ => [(Source::Deep, all_lines[0]), (Source::Low, all_lines[1])],
            };
            let mut add = |(source, row_line), centroid_low: bool, then| {
                let centroid_line = first + usize::from(centroid_low) * all;
                stretches.push(Stretch { source, row_line, centroid_line, lines, then });
                if then == Then::Take {
                    taken.push(Taken { level, ..Taken::default() });
                }
            };
            add(high, false, Then::Take);
            if level == 0 || depth == Depth::Fine {
                add(high, true, Then::GoOn);
                add(low, false, Then::Take);
            }
            first += lines;
        }
        Self { taken: taken.repeat(groups), stretches }
    }

    /// What is known of the sums with one of so many groups.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    fn taken(&self, group: usize, groups: usize) -> &[Taken] {
        let count = self.taken.len() / groups;
        &self.taken[group * count..][..count]
    }

    /// Takes one of so many `groups`, of which these are the sums of each line's bytes, and -2 times what
    /// its high bytes are multiples of in each level.
    fn set(&mut self, group: usize, groups: usize, line_sums: &[Sums32], factors: &PerLevel) {
        let count = self.taken.len() / groups;
        let mut taken = self.taken[group * count..][..count].iter_mut();
        let (mut start, mut is_coarse) = ([0_i32; LANES], true);
        for stretch in &self.stretches {
            for sums in &line_sums[stretch.centroid_line..][..stretch.lines] {
                for (start, sum) in start.iter_mut().zip(sums) {
                    *start = start.wrapping_sub(BIAS * sum);
                }
            }
            match stretch.then {
                Then::GoOn => is_coarse = false,
                Then::Take => {
                    is_coarse &= stretch.centroid_line < line_sums.len() / 2;
                    let taken = taken.next().expect("there is room for all");
                    let share = if is_coarse { 1.0 } else { 1.0 / 256.0 };
                    taken.start = start;
                    taken.factors = factors[taken.level].map(|factor| factor * share);
                    (start, is_coarse) = ([0; LANES], true);
                }
            }
        }
    }
}

/// A point that errors are measured from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference(u32);

/// What scores of a group of lanes are made of, looked at in some [`Depth`].
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupView<'p> {
    pub(super) bytes: &'p [GroupLine],
    pub(super) stretches: &'p [Stretch],
    pub(super) taken: &'p [Taken],
    pub(super) squares: &'p Lanes,
}

impl Planes {
    pub(super) fn new(index: &IndexView<'_>, k: usize) -> Self {
        let layout = index.layout;
        let groups = k.div_ceil(LANES);
        let points = if groups * LANES <= PAIRWISE { k + 1 } else { 1 };
        Self {
            k,
            bytes: Lines::zeros(2 * groups * layout.all_lines()),
            products: Depth::ALL.map(|depth| Products::new(&layout, groups, depth)),
            squares: Lines::zeros(groups),
            parts: vec![Parts::default(); groups],
            fine_parts: vec![Parts::default(); groups],
            points,
            apart: vec![PerLevel::default(); points * groups],
            lengths: vec![[0.0; MAX_LEVELS]; points],
            outside: vec![0.0; points],
        }
    }

    /// Number of groups of lanes.
    fn groups(&self) -> usize {
        self.squares.len()
    }

    /// Takes `centroids` and their `product` with the whole basis.
    pub(super) fn set(
        &mut self,
        simd: Simd,
        index: &IndexView<'_>,
        centroids: &Centroids,
        product: &Product,
    ) {
        let layout = index.layout;
        let groups = self.groups();
        let (lines, all) = (layout.lines(), layout.all_lines());
        let mean = (self.points - 1) * groups;
        let mut line_sums = vec![[0; LANES]; 2 * all];
        for group in 0..groups {
            let lanes = group * LANES..self.k.min((group + 1) * LANES);
            let sizes = &centroids.sizes[group];
            let (high, low) = self.bytes[2 * all * group..][..2 * all].split_at_mut(all);
            let (high_sums, low_sums) = line_sums.split_at_mut(all);
            let (parts, fine_parts) = (&mut self.parts[group], &mut self.fine_parts[group]);
            let mut factors = PerLevel::default();
            let mut inside = [0.0; LANES];
            let mut first = 0;
            for (level, at) in layout.columns().into_iter().enumerate() {
                let place = first..first + lines[level];
                let values = &product.group(group)[at];
                let found = Level::new(
                    simd,
                    values,
                    (&mut high[place.clone()], &mut high_sums[place.clone()]),
                    (&mut low[place.clone()], &mut low_sums[place]),
                );
                first += lines[level];
                factors[level] = found.scales.map(|scale| -2.0 * scale);
                for (lane, j) in lanes.clone().enumerate() {
                    let norm = found.squares[lane].sqrt() * (1.0 + 1e-9);
                    let error = |square: f32| {
                        let known = f64::from(square).sqrt() * slack(values.len());
                        up(known + norm * 2.5e-7 + UNDERFLOW + sizes.head_errors[lane])
                    };
                    let (fine, coarse) =
                        (error(found.fine_square_errors[lane]), error(found.square_errors[lane]));
                    fine_parts.errors[level][lane] = fine;
                    parts.errors[level][lane] = if level == 0 { fine } else { coarse };
                    // Low bytes are what high ones are off by, but for what both are.
                    parts.lows[level][lane] = fine + coarse;
                    inside[lane] += found.squares[lane];
                    self.apart[mean + group][level][lane] = up(norm) + coarse;
                    if self.points > 1 {
                        self.lengths[j][level] = up(norm);
                    }
                }
            }
            for products in &mut self.products {
                products.set(group, groups, &line_sums, &factors);
            }
            for (lane, j) in lanes.enumerate() {
                let norm = sizes.norms[lane];
                self.squares[group][lane] = sizes.squares[lane] as f32;
                let inside =
                    (inside[lane].sqrt() * (1.0 - 1e-9) - sizes.head_errors[lane]).max(0.0);
                let outside = (norm * norm - inside * inside).max(0.0).sqrt();
                parts.outside[lane] = if layout.is_whole() { 0.0 } else { up(outside) };
                parts.rounding[lane] = 2.0 * ROUNDING * BLOWN * up(norm) * up(norm);
                if self.points > 1 {
                    self.outside[j] = parts.outside[lane];
                }
            }
            *fine_parts = Parts { errors: fine_parts.errors, ..*parts };
        }
        self.measure(simd, &layout, product);
    }

    /// Measures how far centroids, of this `product` with the basis, are apart.
    fn measure(&mut self, simd: Simd, layout: &Layout, product: &Product) {
        let groups = self.groups();
        for (level, at) in layout.columns().into_iter().enumerate() {
            for first in (0..self.points - 1).step_by(POINTS) {
                let points = &product.group(first / LANES)[at.clone()];
                for group in 0..groups {
                    let mut squares = [[0.0; LANES]; POINTS];
                    let others = &product.group(group)[at.clone()];
                    squares_apart(simd, points, first % LANES, others, &mut squares);
                    for (point, squares) in (first..self.points - 1).zip(squares) {
                        let apart = &mut self.apart[point * groups + group][level];
                        let errors = &self.parts[group].errors[level];
                        for ((apart, square), error) in apart.iter_mut().zip(squares).zip(errors) {
                            let known = f64::from(square).sqrt() * slack(others.len());
                            // A centroid as it is looked at is off by its own error.
                            *apart = up(known + UNDERFLOW) + error;
                        }
                    }
                }
            }
        }
    }

    /// A group of lanes, to be looked at in this `depth`.
    #[inline]
    pub(super) fn group(&self, group: usize, depth: Depth) -> GroupView<'_> {
        let lines = self.bytes.len() / self.groups();
        let products = &self.products[depth as usize];
        GroupView {
            bytes: &self.bytes[group * lines..][..lines],
            stretches: &products.stretches,
            taken: products.taken(group, self.groups()),
            squares: &self.squares[group],
        }
    }

    /// What bounds of each group's scores are made of in this `depth`.
    #[inline]
    pub(super) fn parts(&self, depth: Depth) -> &[Parts] {
        if depth == Depth::Fine { &self.fine_parts } else { &self.parts }
    }

    /// The point to measure errors of a row from that belongs to `label`, if there is such a
    /// centroid.
    #[inline]
    pub(super) fn reference(&self, label: u32) -> Reference {
        Reference(label.min(self.points as u32 - 1))
    }

    /// At least how far lanes are from `point` in each level, for each group.
    #[inline]
    pub(super) fn apart(&self, point: Reference) -> &[PerLevel] {
        let groups = self.groups();
        &self.apart[point.0 as usize * groups..][..groups]
    }

    /// At least how far `point` is from the mean in each level.
    #[inline]
    pub(super) fn lengths(&self, point: Reference) -> &[f32; MAX_LEVELS] {
        &self.lengths[point.0 as usize]
    }

    /// The same outside the basis.
    #[inline]
    pub(super) fn length_outside(&self, point: Reference) -> f32 {
        self.outside[point.0 as usize]
    }
}
