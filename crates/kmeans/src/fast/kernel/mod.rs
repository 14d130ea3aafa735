//! The few loops that are worth explicit vector instructions, each beside its portable twin.
//!
//! Scalar products of rows with centroids are taken of bytes, because their sums are exact: whatever
//! instructions compute them, they give the same numbers, and bounds need not account for them. They
//! are taken *in lanes*: four coordinates of each of 16 centroids side by side fill a register, and a
//! row's four are broadcast against it, so that no sum is ever taken across one; 16 rows at a time, so
//! that what is loaded of centroids serves them all. AMX multiplies the same blocks as a whole.
//!
//! Rows' bytes have 128 added, as processors multiply unsigned bytes with signed ones; what takes that
//! out again is added to the sums at last.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::bounds::Limit;
use super::judge::Verdicts;
use super::movements::Movements;
use super::planes::{GroupView, Parts, PerLevel};
use super::record::Numbers;
use crate::index::MAX_LEVELS;
pub(super) use crate::integers::{FOUR, GroupLine, LANES, Products, Sums32};
use crate::lines::Line;
use crate::simd::{LINE, Simd, SimdLevel, multiversion};
use crate::sparse::{PLACES, SparseRow};

/// Rows that are looked at together.
pub(super) const ROWS: usize = LANES;

/// A number for each centroid of a group.
pub(super) type Lanes = [f32; LANES];

/// A number for each of [`ROWS`] rows.
pub(super) type OfRows = [f32; ROWS];

/// Lines of [`ROWS`] rows, which begin at equal distances in these bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLines<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    /// Whether those that lie behind them are multiplied next.
    pub(super) in_order: bool,
}

impl RowLines<'_> {
    /// One of the lines of a row.
    fn line(&self, row: usize, line: usize) -> &[u8; LINE] {
        self.bytes[row * self.stride..].as_chunks().0.get(line).expect("there are so many lines")
    }
}

/// Lines of rows, and those of a group that they are multiplied with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) rows: RowLines<'a>,
    pub(super) group: &'a [GroupLine],
}

/// Makes `sums` the scalar products of [`ROWS`] rows with the centroids of a group, in all lines of all
/// `parts` together. They must fit 32 bits.
///
/// # Panics
/// Where rows have fewer lines than the group.
#[inline]
pub(super) fn multiply(simd: Simd, parts: &[Part<'_>], sums: &mut Products) {
    for Part { rows, group } in parts {
        let end = (ROWS - 1) * rows.stride + group.len() * LINE;
        assert!(end <= rows.bytes.len(), "every line of centroids has one of every row");
    }
    match simd.level() {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Amx => amx::multiply(parts, sums),
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx512 => x86::multiply_512(parts, sums),
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx2 => x86::multiply_256(parts, sums),
        _ => multiply_portable(parts, sums),
    }
}

/// Whether products with rows [in order](RowLines::in_order) ask for the lines of those behind them, one
/// with each step: so they come from memory while others are multiplied. AMX takes steps that are too
/// large for that.
#[inline]
pub(super) fn asks_ahead(simd: Simd) -> bool {
    simd.level() == SimdLevel::Avx512
}

/// To be called every few hundred nanoseconds between products: AMX falls asleep after some 500 of them
/// without one, and takes 300 to wake up. Nothing depends on it.
#[inline]
pub(super) fn stay_awake(simd: Simd) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() == SimdLevel::Amx {
        amx::stay_awake();
    }
    let _ = simd;
}

fn multiply_portable(parts: &[Part<'_>], sums: &mut Products) {
    *sums = Products::ZERO;
    for Part { rows, group } in parts {
        for (line, group) in group.iter().enumerate() {
            for (row, sums) in sums.0.iter_mut().enumerate() {
                for (x, centroids) in rows.line(row, line).as_chunks::<FOUR>().0.iter().zip(group) {
                    for (sum, c) in sums.iter_mut().zip(centroids) {
                        let products = x.iter().zip(c).map(|(&x, &c)| i32::from(x) * i32::from(c));
                        *sum = sum.wrapping_add(products.sum());
                    }
                }
            }
        }
    }
}

/// A byte of each column of a group of centroids, by the place of the four that it is of.
pub(super) type Plane = [[[i8; FOUR]; LANES]; PLACES];

/// Rows that are multiplied together, and the lines of those behind them, which are asked for meanwhile, one
/// after the other: many requests at once would have to wait for each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct SparseBatch<'a> {
    pub(super) rows: [SparseRow<'a>; ROWS],
    pub(super) ahead: [&'a [Line]; ROWS],
}

/// Makes `sums` the scalar products of a batch with two or three `planes`, one for each. They must fit 32
/// bits.
///
/// # Panics
/// Where there are other numbers of them.
#[inline]
pub(super) fn multiply_sparse(
    simd: Simd,
    batch: &SparseBatch<'_>,
    planes: &[Plane],
    sums: &mut [Products],
) {
    match (planes, sums) {
        ([a, b], [of_a, of_b]) => multiply_by_planes(simd, batch, [a, b], [of_a, of_b]),
        ([a, b, c], [of_a, of_b, of_c]) => {
            multiply_by_planes(simd, batch, [a, b, c], [of_a, of_b, of_c]);
        }
        _ => panic!("two or three planes, and sums of each"),
    }
}

fn multiply_by_planes<const N: usize>(
    simd: Simd,
    batch: &SparseBatch<'_>,
    planes: [&Plane; N],
    sums: [&mut Products; N],
) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 {
        return x86::multiply_sparse(batch, planes, sums);
    }
    let _ = simd;
    for (plane, sums) in planes.into_iter().zip(sums) {
        for (row, sums) in batch.rows.iter().zip(&mut sums.0) {
            *sums = [0; LANES];
            for (four, &place) in row.fours.iter().zip(row.places) {
                for (sum, c) in sums.iter_mut().zip(&plane[usize::from(place)]) {
                    let products = four.iter().zip(c).map(|(&x, &c)| i32::from(x) * i32::from(c));
                    *sum = sum.wrapping_add(products.sum());
                }
            }
        }
    }
}

/// Which bytes of rows are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// High ones of the first two levels.
    Front,
    /// Low ones of the first, high ones of the third.
    Deep,
    /// Low ones of the second and the third.
    Low,
}

impl Source {
    pub(super) const COUNT: usize = 3;
}

/// Lines of rows and of centroids whose products are added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) source: Source,
    /// The first line of what is multiplied, and that of centroids.
    pub(super) row_line: usize,
    pub(super) centroid_line: usize,
    pub(super) lines: usize,
    pub(super) then: Then,
}

/// What becomes of a sum of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next stretch is added to it.
    GoOn,
    /// It is whole.
    Take,
}

/// What is known of whole sums with a group of centroids beforehand.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Taken {
    /// What takes out that rows' bytes have 128 added.
    pub(super) start: Sums32,
    /// What the sums count for in scores, but for a row's scale
    pub(super) factors: Lanes,
    /// in this level.
    pub(super) level: usize,
}

/// Most stretches that are added up.
const MOST: usize = 2;

/// Most whole sums: of high bytes in each level, and with low ones.
pub(super) const SUMS: usize = 2 * MAX_LEVELS;

/// Adds to the `scores` of [`ROWS`] rows, `[row][lane]`, what products with a `group` come to; `scales`
/// are rows' scales in each level. All are multiplied before any is used, in `sums`, so that none has
/// to be waited for.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(super) fn add_stretches(
    simd: Simd,
    group: &GroupView<'_>,
    rows: &[RowLines<'_>; Source::COUNT],
    scales: &[OfRows],
    sums: &mut [Products; SUMS],
    scores: &mut [Lanes; ROWS],
) {
    let &GroupView { bytes: group, stretches, taken, .. } = group;
    let part = |stretch: &Stretch| {
        let rows = rows[stretch.source as usize];
        let rows = RowLines { bytes: &rows.bytes[stretch.row_line * LINE..], ..rows };
        Part { rows, group: &group[stretch.centroid_line..][..stretch.lines] }
    };
    let whole = stretches.chunk_by(|stretch, _| stretch.then == Then::GoOn);
    for (stretches, sums) in whole.zip(&mut *sums) {
        let last = &stretches[stretches.len() - 1];
        let parts: [Part<'_>; MOST] =
            std::array::from_fn(|at| part(stretches.get(at).unwrap_or(last)));
        multiply(simd, &parts[..stretches.len()], sums);
    }
    take(simd, &sums[..taken.len()], taken, scales, scores);
}

/// Adds to `scores`, `[row][lane]`, what whole `sums` count for.
#[inline]
pub(super) fn take(
    simd: Simd,
    sums: &[Products],
    taken: &[Taken],
    scales: &[OfRows],
    scores: &mut [Lanes; ROWS],
) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 {
        return x86::take(sums, taken, scales, scores);
    }
    let _ = simd;
    for (row, scores) in scores.iter_mut().enumerate() {
        for (sums, taken) in sums.iter().zip(taken) {
            let scale = scales[taken.level][row];
            for (lane, score) in scores.iter_mut().enumerate() {
                let product = sums.0[row][lane].wrapping_add(taken.start[lane]) as f32;
                *score += scale * taken.factors[lane] * product;
            }
        }
    }
}

/// Bytes that a score is kept in: the upper ones of a binary32, of which the last bit says whether it is
/// known less closely than sharp ones.
pub(super) const KEPT: usize = 3;

/// Scores of a group.
pub(super) type KeptScores = [u8; LANES * KEPT];

/// That bit of a number.
const BLURRED: u32 = 1 << (32 - 8 * KEPT);

/// The lowest and the highest that the scores of a row may be, into `found`, from those that were `kept`
/// of it, at the end of these bytes, and its products (`sums`) with what centroids have moved since.
#[inline]
pub(super) fn range(
    simd: Simd,
    sums: &Sums32,
    moved: &Movements,
    kept: &[u8; LINE],
    note: &Numbers,
    found: (&mut Lanes, &mut Lanes),
) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 {
        return x86::range(sums, moved, kept, note, found);
    }
    let _ = simd;
    range_portable(sums, moved, kept, note, found);
}

/// At least how far a row's highest scores are above what is kept of the lowest: those of sharp lanes, and
/// of others.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Widths {
    pub(super) sharp: f32,
    pub(super) others: f32,
}

/// Keeps at most the lowest scores of a group, less the `least` of a row, with a bit of `sharp` for each.
/// `widths` grow to how far the highest ones are above. Lanes of which the score is below `least` are
/// without a centroid.
#[inline]
pub(super) fn keep(
    simd: Simd,
    scores: (&Lanes, &Lanes),
    least: f32,
    sharp: u16,
    kept: &mut KeptScores,
    widths: &mut Widths,
) {
    let mut bits = [0; LANES];
    round_down(simd, scores, least, sharp, &mut bits, widths);
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 {
        return x86::pack(&bits, kept);
    }
    pack_portable(&bits, kept);
}

fn pack_portable(bits: &[u32; LANES], kept: &mut KeptScores) {
    for (kept, bits) in kept.as_chunks_mut::<KEPT>().0.iter_mut().zip(bits) {
        let [_, bytes @ ..] = bits.to_le_bytes();
        *kept = bytes;
    }
}

multiversion! {
    /// As [`keep`]: the `bits` of what is to be kept.
    fn round_down = round_down_body(
        scores: (&Lanes, &Lanes), least: f32, sharp: u16, bits: &mut [u32; LANES], widths: &mut Widths,
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn round_down_body<const B: usize>(
    (low, high): (&Lanes, &Lanes),
    least: f32,
    sharp: u16,
    bits: &mut [u32; LANES],
    widths: &mut Widths,
) {
    let mut rounded = [0; LANES];
    // Numbers that are not below 0 are in the order of their bits.
    let (mut sharp_width, mut other_width) = (widths.sharp.to_bits(), widths.others.to_bits());
    for lane in 0..LANES {
        let score = low[lane] - least;
        let score = if score > 0.0 { score } else { 0.0 };
        // The difference has been rounded, by no more than half of this.
        let rounding = score * (1.0 / 8_388_608.0);
        let lowest = (score - 2.0 * rounding).to_bits();
        let is_sharp = sharp >> lane & 1 == 1;
        let wanted = if is_sharp { 0 } else { BLURRED };
        // What is too small for that is above by less than `judge::LEAST`.
        let below = lowest.saturating_sub(wanted);
        rounded[lane] = (below & !(2 * BLURRED - 1)) | wanted;
        let off = score - f32::from_bits(rounded[lane]) + 2.0 * rounding;
        let off = if off > 0.0 { off } else { 0.0 };
        let width = ((high[lane] - low[lane]) + off).to_bits();
        let (of_sharp, of_others) = if is_sharp { (width, 0) } else { (0, width) };
        sharp_width = if of_sharp > sharp_width { of_sharp } else { sharp_width };
        other_width = if of_others > other_width { of_others } else { other_width };
    }
    *bits = rounded;
    *widths = Widths { sharp: f32::from_bits(sharp_width), others: f32::from_bits(other_width) };
}

/// What a row's coordinates are off by, times 2 and blown up, in each level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Off {
    pub(super) norms: [f32; MAX_LEVELS],
    pub(super) errors: [f32; MAX_LEVELS],
    /// What norms of centroids' low bytes are multiplied by.
    pub(super) lows: [f32; MAX_LEVELS],
    pub(super) outside: f32,
}

/// Makes the scores of a row the lowest that they may be; `high` are then the highest.
#[inline]
pub(super) fn spread(
    simd: Simd,
    scores: &mut Lanes,
    parts: &Parts,
    apart: &PerLevel,
    off: &Off,
    high: &mut Lanes,
) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 {
        return x86::spread(scores, parts, apart, off, high);
    }
    let _ = simd;
    spread_portable(scores, parts, apart, off, high);
}

fn spread_portable(
    scores: &mut Lanes,
    parts: &Parts,
    apart: &PerLevel,
    off: &Off,
    high: &mut Lanes,
) {
    let mut bounds = parts.rounding;
    let mut add = |off: f32, by: &Lanes| {
        for (bound, by) in bounds.iter_mut().zip(by) {
            *bound += off * by;
        }
    };
    add(off.outside, &parts.outside);
    for (level, apart) in apart.iter().enumerate() {
        add(off.norms[level], &parts.errors[level]);
        add(off.errors[level], apart);
        add(off.lows[level], &parts.lows[level]);
    }
    for ((score, bound), high) in scores.iter_mut().zip(bounds).zip(high) {
        (*score, *high) = (*score - bound, *score + bound);
    }
}

/// Turns `[row][lane]` into `[lane][row]`.
#[inline]
pub(super) fn transpose(simd: Simd, square: &[Lanes; LANES], turned: &mut [Lanes; LANES]) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 {
        return x86::transpose(square, turned);
    }
    let _ = simd;
    transpose_portable(square, turned);
}

fn range_portable(
    sums: &Sums32,
    moved: &Movements,
    kept: &[u8; LINE],
    note: &Numbers,
    (low, high): (&mut Lanes, &mut Lanes),
) {
    let (_, kept) = kept.split_at(LINE - size_of::<KeptScores>());
    for (lane, &[a, b, c]) in kept.as_chunks::<KEPT>().0.iter().enumerate() {
        let bits = u32::from_le_bytes([0, a, b, c]);
        let sum = sums[lane].wrapping_add(moved.start[lane]) as f32;
        let product = note.scale * moved.factors[lane] * sum;
        let score = f32::from_bits(bits) + (moved.squares[lane] + product);
        let mut bound = moved.rounding[lane];
        bound += note.error * moved.errors[lane];
        bound += note.tail * moved.tails[lane];
        bound += note.norm * moved.norms[lane];
        low[lane] = score - bound;
        let blur = if bits & BLURRED == 0 { note.sharp_blur } else { note.blur };
        high[lane] = score + (bound + blur);
    }
}

fn transpose_portable(square: &[Lanes; LANES], turned: &mut [Lanes; LANES]) {
    for (row, values) in square.iter().enumerate() {
        for (lane, &value) in values.iter().enumerate() {
            turned[lane][row] = value;
        }
    }
}

/// What centroids have moved, in all: their own ways, and those with the fastest other's. Padded to
/// whole groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums<'a> {
    pub(super) own: &'a [f32],
    pub(super) travelled: &'a [f32],
}

/// The limits of rows that `verdicts` decide.
#[inline]
pub(super) fn limits(simd: Simd, sums: &Sums<'_>, verdicts: &Verdicts, limits: &mut [Limit; ROWS]) {
    #[cfg(target_arch = "x86_64")]
    if simd.level() >= SimdLevel::Avx512 && sums.own.len() == LANES {
        return x86::limits(sums, verdicts, limits);
    }
    let _ = simd;
    for (row, limit) in limits.iter_mut().enumerate() {
        let [best, next] = [verdicts.best[row], verdicts.runner_up[row]].map(|j| j as usize);
        let (own, travelled) = (sums.own[best], sums.travelled[best]);
        let lead = verdicts.lead(row);
        *limit = Limit::new(lead, verdicts.best[row], own, sums.own[next], travelled);
    }
}

/// Appends to `found` the rows, counted from `first`, of these labels that have reached their limits.
pub(super) fn reached(
    simd: Simd,
    sums: &Sums<'_>,
    limits: &[Limit],
    labels: &[u32],
    first: u32,
    found: &mut Vec<u32>,
) {
    let rows = labels.len();
    let start = found.len();
    // Whole registers are written.
    found.resize(start + rows + LANES, 0);
    let (done, mut count) = match simd.level() {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx512 | SimdLevel::Amx if sums.own.len() == LANES => {
            let whole = rows / LANES * LANES;
            (whole, x86::reached(sums, &limits[..whole], first, &mut found[start..]))
        }
        _ => (0, 0),
    };
    for row in done..rows {
        found[start + count] = first + row as u32;
        // A row without a label yet has no limit either.
        let at = |sums: &[f32], label: u32| sums.get(label as usize).copied().unwrap_or_default();
        let (label, (near, runner_up)) = (labels[row], limits[row].near());
        let stays = near > at(sums.own, label) + at(sums.own, runner_up)
            && limits[row].rest() > at(sums.travelled, label);
        count += usize::from(!stays);
    }
    found.truncate(start + count);
}

#[cfg(test)]
mod tests;
