//! Coded rows without most of their zeros.
//!
//! A product of codes needs only those that are not 0, and most of a picture is background. Processors
//! multiply four codes at a time, so what a row keeps are its *fours* of which any code is not 0, each with
//! its place. They begin with how many there are, and fill whole cache lines. What is not background lies
//! together, so the fewest are left where fours are squares of the picture ([`Fours`]). Of MNIST that is a
//! third of all codes, to be read and to be multiplied.

use crate::integers::FOUR;
use crate::lines::Line;
use crate::simd::LINE;
use bytemuck::bytes_of;

/// Places that a byte can tell apart.
pub(crate) const PLACES: usize = 1 << u8::BITS;

/// Codes of four columns that follow each other.
pub(crate) type Four = [u8; FOUR];

/// Which columns make a four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fours {
    /// Squares of two by two in pictures so wide; 0 where they are columns that follow each other.
    pub width: usize,
}

impl Fours {
    /// Of columns that follow each other.
    pub const IN_ORDER: Self = Self { width: 0 };

    /// Whether `d` columns can be put together so.
    #[must_use]
    pub fn fit(self, d: usize) -> bool {
        let Self { width } = self;
        width == 0 || (width.is_multiple_of(2) && d > 0 && d.is_multiple_of(2 * width))
    }

    /// Those of which these `rows`, of `d` codes each, have the fewest.
    #[must_use]
    pub fn fewest(rows: &[Vec<u8>], d: usize) -> Self {
        let squares = (2..=d / 2).step_by(2).map(|width| Self { width });
        let mut arranged = Vec::new();
        let mut count = |fours: Self| -> usize {
            let of_rows = rows.iter().map(|codes| {
                fours.arrange(codes, &mut arranged);
                fours_of(&arranged).count()
            });
            of_rows.sum()
        };
        let in_order = (count(Self::IN_ORDER), Self::IN_ORDER);
        let squares = squares.filter(|fours| fours.fit(d)).map(|fours| (count(fours), fours));
        squares.fold(in_order, |least, found| if found.0 < least.0 { found } else { least }).1
    }

    /// What belongs to columns, put into the order of their fours.
    ///
    /// # Panics
    /// Where so many [do not fit](Self::fit).
    pub fn arrange<T: Copy>(self, columns: &[T], arranged: &mut Vec<T>) {
        assert!(self.fit(columns.len()), "fours are whole");
        arranged.clear();
        if self.width == 0 {
            return arranged.extend_from_slice(columns);
        }
        for rows in columns.chunks_exact(2 * self.width) {
            let (upper, lower) = rows.split_at(self.width);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            arranged.extend(pairs.flat_map(|(&[a, b], &[c, d])| [a, b, c, d]));
        }
    }
}

/// Rows of which fours are kept.
#[derive(Debug, Clone, Copy)]
pub struct SparseRows<'a> {
    fours: Fours,
    starts: &'a [u32],
    lines: &'a [Line],
}

/// What is kept of a row: its fours, ascending, and as many places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SparseRow<'a> {
    pub(crate) fours: &'a [Four],
    pub(crate) places: &'a [u8],
}

impl SparseRow<'_> {
    /// One of which nothing is kept.
    pub(crate) const EMPTY: Self = Self { fours: &[], places: &[] };
}

impl<'a> SparseRows<'a> {
    /// Rows that have been [kept](Self::keep) in `lines`, of which row `i` begins with `starts[i]` and ends
    /// before `starts[i + 1]`, all [arranged](Fours::arrange) so.
    #[must_use]
    pub fn new(fours: Fours, starts: &'a [u32], lines: &'a [Line]) -> Self {
        Self { fours, starts, lines }
    }

    /// How they are arranged.
    pub(crate) fn fours(&self) -> Fours {
        self.fours
    }

    /// Bytes that are read of a row, on average.
    pub(crate) fn bytes_of_row(&self) -> f64 {
        (self.lines.len() * LINE) as f64 / (self.starts.len() - 1).max(1) as f64
    }

    /// Where each of some rows would begin, and where the last ends, from the lines that each
    /// [takes](Self::lines_of). `None` where that would be no less than half of what their codes take, `d` of
    /// each, or their places no bytes.
    #[must_use]
    pub fn starts(lines_of_rows: &[u32], d: usize) -> Option<Vec<u32>> {
        let mut end = 0_u32;
        let mut starts = Vec::with_capacity(lines_of_rows.len() + 1);
        starts.push(0);
        for &lines in lines_of_rows {
            end = end.checked_add(lines)?;
            starts.push(end);
        }
        let pays = end as usize <= lines_of_rows.len() * d / (2 * LINE);
        (pays && d <= PLACES * FOUR).then_some(starts)
    }

    /// How many lines a row of these arranged `codes` takes.
    #[must_use]
    pub fn lines_of(codes: &[u8]) -> u32 {
        (size_of::<u32>() + fours_of(codes).count() * (FOUR + 1)).div_ceil(LINE) as u32
    }

    /// Keeps a row of these arranged `codes` in `lines`, as many as it takes.
    ///
    /// # Panics
    /// Where there are fewer, or more places than a byte has.
    pub fn keep(codes: &[u8], lines: &mut [Line]) {
        let count = fours_of(codes).count();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(lines);
        bytes.fill(0);
        let (head, bytes) = bytes.split_at_mut(size_of::<u32>());
        head.copy_from_slice(bytes_of(&(count as u32)));
        let (fours, places) = bytes.split_at_mut(FOUR * count);
        let kept_places = fours.as_chunks_mut::<FOUR>().0.iter_mut().zip(places);
        for ((place, four), (kept, kept_place)) in fours_of(codes).zip(kept_places) {
            *kept = four;
            *kept_place = u8::try_from(place).expect("places are bytes");
        }
    }

    /// The lines of a row.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn lines(&self, row: usize) -> &'a [Line] {
        &self.lines[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// What is kept of a row.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn row(&self, row: usize) -> SparseRow<'a> {
        let bytes: &[u8] = bytemuck::cast_slice(self.lines(row));
        let (count, bytes) = bytes.split_first_chunk().expect("a row has a line");
        let count = u32::from_ne_bytes(*count) as usize;
        let (fours, places) = bytes.split_at(FOUR * count);
        SparseRow { fours: fours.as_chunks().0, places: &places[..count] }
    }
}

/// The fours of a row that are kept, with their places.
fn fours_of(codes: &[u8]) -> impl Iterator<Item = (usize, Four)> {
    let fours = codes.chunks(FOUR).map(|codes| {
        let mut four = [0; FOUR];
        four[..codes.len()].copy_from_slice(codes);
        four
    });
    fours.enumerate().filter(|(_, four)| *four != [0; FOUR])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(codes: &[u8]) -> Vec<Line> {
        let mut lines = vec![Line([7; LINE]); SparseRows::lines_of(codes) as usize];
        SparseRows::keep(codes, &mut lines);
        lines
    }

    #[test]
    fn a_row_is_given_back() {
        for d in [1, 3, 4, 64, 719, PLACES * FOUR] {
            for share in [0, 1, 5, 97, 100] {
                let code = |at: usize| if at * 37 % 100 < share { (at % 255) as u8 + 1 } else { 0 };
                let codes: Vec<u8> = (0..d).map(code).collect();
                let lines = kept(&codes);
                let starts = [0, lines.len() as u32];
                let row = SparseRows::new(Fours::IN_ORDER, &starts, &lines).row(0);
                let mut found = vec![0; d.next_multiple_of(FOUR)];
                for (four, &place) in row.fours.iter().zip(row.places) {
                    assert_ne!(*four, [0; FOUR], "there is something in each");
                    found[usize::from(place) * FOUR..][..FOUR].copy_from_slice(four);
                }
                assert_eq!(row.fours.len(), row.places.len());
                assert_eq!(found[..d], codes, "{d} columns, {share} % of them");
            }
        }
    }

    #[test]
    fn fours_are_squares_where_pictures_are_wide() {
        // A picture of 6 x 8 with two dots of 2 x 2, and one of lines.
        let picture = |dots: &[(usize, usize)]| -> Vec<u8> {
            let is_near = |row: usize, column: usize| {
                dots.iter().any(|&(r, c)| row / 2 == r && column / 2 == c)
            };
            (0..48).map(|at| u8::from(is_near(at / 8, at % 8))).collect()
        };
        let dots = [picture(&[(0, 1), (2, 3)]), picture(&[(1, 0)])];
        let fours = Fours::fewest(&dots, 48);
        assert_eq!(fours, Fours { width: 8 });
        let columns: Vec<usize> = (0..48).collect();
        let mut arranged = Vec::new();
        fours.arrange(&columns, &mut arranged);
        assert_eq!(arranged[..8], [0, 1, 8, 9, 2, 3, 10, 11]);
        assert_eq!(arranged[16..20], [16, 17, 24, 25]);
        let lines: Vec<u8> = (0..48).map(|at| u8::from(at / 4 == 5)).collect();
        assert_eq!(Fours::fewest(&[lines], 48), Fours::IN_ORDER);
        assert_eq!(Fours::fewest(&[vec![1; 49]], 49), Fours::IN_ORDER, "nothing else fits");
        for (width, d, fits) in [(0, 7, true), (7, 49, false), (8, 48, true), (8, 40, false)] {
            assert_eq!(Fours { width }.fit(d), fits, "{width} {d}");
        }
        assert!(!Fours { width: 2 }.fit(0));
    }

    #[test]
    fn rows_are_kept_where_that_is_less_than_half_of_them() {
        let d = 640;
        let starts = |lines: &[u32]| SparseRows::starts(lines, d);
        assert_eq!(starts(&[4, 1, 9, 6]), Some(vec![0, 4, 5, 14, 20]));
        assert_eq!(starts(&[4, 1, 9, 7]), None);
        assert_eq!(starts(&[u32::MAX, 1]), None);
        assert_eq!(SparseRows::starts(&[1], PLACES * FOUR + 1), None, "places would be no bytes");
    }
}
