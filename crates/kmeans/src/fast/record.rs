//! What is kept of a row that has been looked at: a note, and scores. With up to 16 centroids they are one
//! cache line.
//!
//! Scores are kept as what they are above the lowest, so numbers are small where it is close, and three bytes
//! tell them closely. What rounding takes from them is added to how far upper bounds are above.

use super::kernel::{self, KeptScores, LANES, Lanes, Widths};
use crate::simd::{LINE, Simd};
use bytemuck::{Pod, Zeroable};

/// At least a number that is not below 0: the upper half of a binary32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(super) struct AtLeast(u16);

impl AtLeast {
    pub(super) fn new(number: f32) -> Self {
        let bits = if number > 0.0 { number.to_bits() } else { 0 };
        Self(bits.div_ceil(1 << 16) as u16)
    }
}

/// What is known of a row before its scores are looked at.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Note {
    /// As in [`crate::index::Facts`]: the scale and error of the first level, and norms.
    pub(super) scale: f32,
    pub(super) norm: AtLeast,
    pub(super) tail: AtLeast,
    pub(super) error: AtLeast,
    /// What the score that others are kept relative to makes of the squared distance.
    pub(super) square: AtLeast,
    /// How far upper bounds of scores may be above lower ones;
    pub(super) blur: AtLeast,
    /// and those of sharp lanes.
    pub(super) sharp_blur: AtLeast,
}

/// The numbers of a note. Where each is in memory, instructions that take one for all lanes read it from
/// there, which is less than to make it out of its half each time.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C, align(32))]
pub(super) struct Numbers {
    pub(super) scale: f32,
    unused: f32,
    pub(super) norm: f32,
    pub(super) tail: f32,
    pub(super) error: f32,
    pub(super) square: f32,
    pub(super) blur: f32,
    pub(super) sharp_blur: f32,
}

impl Note {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn numbers(&self) -> Numbers {
        let halves: &[u16; size_of::<Note>() / 2] = bytemuck::cast_ref(self);
        let numbers: Numbers = bytemuck::cast(halves.map(|half| u32::from(half) << 16));
        Numbers { scale: self.scale, ..numbers }
    }
}

const _: () = assert!(size_of::<Note>() + size_of::<KeptScores>() == LINE, "a line for one group");

/// What is known of a row, as it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a>(pub(super) &'a [u8]);

impl<'a> Record<'a> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn note(self) -> &'a Note {
        bytemuck::from_bytes(&self.0[..size_of::<Note>()])
    }

    /// The scores of a group, behind what stands before them: so many bytes as a note has.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(super) fn scores(self, group: usize) -> &'a [u8; LINE] {
        let start = group * size_of::<KeptScores>();
        self.0[start..].first_chunk().expect("a record has scores of every group")
    }
}

/// Keeps the lowest and highest scores that are `found` of each group, less `least`.
pub(super) fn keep_all<'a>(
    simd: Simd,
    found: impl Iterator<Item = (&'a Lanes, &'a Lanes)>,
    least: f32,
    sharp: &[u32],
    kept: &mut [KeptScores],
) -> Widths {
    let mut widths = Widths::default();
    for (group, (kept, (low, high))) in (0..).zip(kept.iter_mut().zip(found)) {
        let of_group = sharp.iter().filter(|&&lane| lane / LANES as u32 == group);
        let sharp = of_group.fold(0, |sharp, lane| sharp | 1 << (lane % LANES as u32));
        kernel::keep(simd, (low, high), least, sharp, kept, &mut widths);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_number_is_no_less() {
        for number in [0.0, 1e-44, 1e-30, 0.1, 1.0, 1.003_906_3, 255.5, 3e38, f32::INFINITY] {
            let note = Note { blur: AtLeast::new(number), ..Note::default() };
            let kept = note.numbers().blur;
            assert!(kept >= number && kept <= number * 1.008 + 1e-38, "{number} {kept}");
        }
        assert_eq!(AtLeast::new(-1.0), AtLeast::default());
    }

    #[test]
    fn numbers_of_a_note_are_its_own() {
        let half = |number: f32| AtLeast::new(number);
        let note = Note {
            scale: 0.1,
            norm: half(1.0),
            tail: half(2.0),
            error: half(3.0),
            square: half(4.0),
            blur: half(5.0),
            sharp_blur: half(f32::INFINITY),
        };
        let Numbers { scale, norm, tail, error, square, blur, sharp_blur, .. } = note.numbers();
        let found = [scale, norm, tail, error, square, blur, sharp_blur].map(f32::to_bits);
        assert_eq!(found, [0.1, 1.0, 2.0, 3.0, 4.0, 5.0, f32::INFINITY].map(f32::to_bits));
    }
}
