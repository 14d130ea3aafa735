//! Each loop's twins against each other.

use super::super::record::{AtLeast, Note};
use super::*;
use crate::simd::available;
use proptest::prelude::*;

/// Centroids of a group.
const K: usize = 13;

/// A row of so many fours.
fn row_of(count: usize, byte: impl Fn(usize) -> u8) -> (Vec<[u8; FOUR]>, Vec<u8>) {
    let four = |i: usize| std::array::from_fn(|c| byte(i * 11 + c));
    ((0..count).map(four).collect(), (0..count).map(|i| byte(i * 3 + 1)).collect())
}

proptest! {
    #[test]
    fn every_level_multiplies_fours_of_a_row(
        counts in prop::array::uniform16(0_usize..PLACES + 1),
        seed in prop::collection::vec(any::<u8>(), 30..60),
        count in 2_usize..4,
    ) {
        let byte = |i: usize| seed[i % seed.len()];
        let planes: Vec<Plane> = (0..count)
            .map(|plane| {
                std::array::from_fn(|place| {
                    std::array::from_fn(|lane| {
                        std::array::from_fn(|i| {
                            byte(plane * 5 + place * 3 + lane * 17 + i).cast_signed()
                        })
                    })
                })
            })
            .collect();
        let rows: Vec<_> = counts.iter().enumerate().map(|(row, &count)| {
            row_of(count, |i| byte(i + 29 * row))
        }).collect();
        let lines = [Line::ZERO; 5];
        let batch = SparseBatch {
            rows: std::array::from_fn(|i| SparseRow { fours: &rows[i].0, places: &rows[i].1 }),
            ahead: [&lines; ROWS],
        };
        for simd in available() {
            let mut sums = vec![Products::ZERO; count];
            multiply_sparse(simd, &batch, &planes, &mut sums);
            for (plane, sums) in planes.iter().zip(&sums) {
                for ((fours, places), sums) in rows.iter().zip(&sums.0) {
                    for (lane, &sum) in sums.iter().enumerate() {
                        let products = fours.iter().zip(places).flat_map(|(four, &place)| {
                            let c = plane[usize::from(place)][lane];
                            four.iter().zip(c).map(|(&x, c)| i64::from(x) * i64::from(c))
                        });
                        prop_assert_eq!(i64::from(sum), products.sum::<i64>(), "{:?}", simd);
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_adds_the_same_products_to_scores(
        count in 1_usize..12,
        seed in prop::collection::vec((any::<i8>(), -1e3_f32..1e3), 30..60),
    ) {
        let byte = |i: usize| seed[i % seed.len()].0;
        let lanes = |first: usize| -> Lanes {
            std::array::from_fn(|i| seed[(first * 7 + i) % seed.len()].1)
        };
        let integers = |first: usize| -> Sums32 {
            std::array::from_fn(|i| i32::from(byte(first * 7 + i)).wrapping_mul(0x0011_2233))
        };
        // Rows at other distances in each source.
        let lines = |source: usize| 2 * count + source;
        let bytes: [Vec<u8>; Source::COUNT] = std::array::from_fn(|source| {
            let all = ROWS * lines(source) * LINE;
            (0..all).map(|i| byte(i * 7 + i / 61 + source).cast_unsigned()).collect()
        });
        let rows: [RowLines<'_>; Source::COUNT] = std::array::from_fn(|source| {
            RowLines { bytes: &bytes[source], stride: lines(source) * LINE, in_order: source == 0 }
        });
        let group: Vec<GroupLine> = (0..2 * count)
            .map(|line| {
                std::array::from_fn(|four| {
                    std::array::from_fn(|lane| {
                        std::array::from_fn(|i| byte(line * 5 + four * 3 + lane * 17 + i))
                    })
                })
            })
            .collect();
        // Sums of one stretch and of two.
        let stretch = |source, row_line, centroid_line, then| {
            Stretch { source, row_line, centroid_line, lines: count, then }
        };
        let stretches = [
            stretch(Source::Front, 0, 0, Then::Take),
            stretch(Source::Deep, 0, count, Then::GoOn),
            stretch(Source::Low, count, 0, Then::Take),
            stretch(Source::Low, count, count, Then::Take),
        ];
        let taken: [Taken; 3] = std::array::from_fn(|i| Taken {
            start: integers(i),
            factors: lanes(9 + i),
            level: [1, 0, 1][i],
        });
        let scales = [lanes(1), lanes(2)];
        let scores: [Lanes; ROWS] = std::array::from_fn(|row| lanes(3 + row));
        let dot = |source: Source, row_line, centroid_line: usize, row: usize, lane: usize| {
            (0..count * LINE).fold(0_i32, |sum, i| {
                let (line, i): (usize, usize) = (i / LINE, i % LINE);
                let start = row * lines(source as usize) + row_line + line;
                let x = bytes[source as usize][start * LINE + i];
                let c = group[centroid_line + line][i / FOUR][lane][i % FOUR];
                sum + i32::from(x) * i32::from(c)
            })
        };
        let expected: [Lanes; ROWS] = std::array::from_fn(|row| {
            std::array::from_fn(|lane| {
                let dot = |at: usize| {
                    let Stretch { source, row_line, centroid_line, .. } = stretches[at];
                    dot(source, row_line, centroid_line, row, lane)
                };
                let sums = [
                    (dot(0), 1),
                    (dot(1) + dot(2), 0),
                    (dot(3), 1),
                ];
                sums.iter().zip(&taken).fold(scores[row][lane], |score, (&(sum, level), taken)| {
                    let product = sum.wrapping_add(taken.start[lane]) as f32;
                    score + scales[level][row] * taken.factors[lane] * product
                })
            })
        });
        for simd in available() {
            let (mut found, mut sums) = (scores, [Products([[7; LANES]; ROWS]); SUMS]);
            let group = GroupView {
                bytes: &group,
                stretches: &stretches,
                taken: &taken,
                squares: &lanes(0),
            };
            add_stretches(simd, &group, &rows, &scales, &mut sums, &mut found);
            for (found, expected) in found.iter().zip(&expected) {
                let (found, expected) = (found.map(f32::to_bits), expected.map(f32::to_bits));
                prop_assert_eq!(found, expected, "{:?}", simd);
            }
        }
    }

    #[test]
    fn every_level_spreads_scores_alike(
        seed in prop::collection::vec(-1e3_f32..1e3, 30..60),
    ) {
        let at = |i: usize| seed[i % seed.len()];
        let lanes = |first: usize| -> Lanes { std::array::from_fn(|lane| at(first + lane)) };
        let levels = |first: usize| -> PerLevel { std::array::from_fn(|l| lanes(first + 5 * l)) };
        let of_row = |first: usize| std::array::from_fn(|level| at(first + 3 * level));
        let parts = Parts {
            errors: levels(1),
            lows: levels(2),
            outside: lanes(3),
            rounding: lanes(4),
        };
        let off =
            Off { norms: of_row(5), errors: of_row(6), lows: of_row(7), outside: at(8) };
        let (mut low, mut high) = (lanes(9), lanes(0));
        spread_portable(&mut low, &parts, &levels(10), &off, &mut high);
        for simd in available() {
            let (mut found, mut found_high) = (lanes(9), lanes(0));
            spread(simd, &mut found, &parts, &levels(10), &off, &mut found_high);
            prop_assert_eq!(found.map(f32::to_bits), low.map(f32::to_bits), "{:?}", simd);
            prop_assert_eq!(found_high.map(f32::to_bits), high.map(f32::to_bits));
        }
    }

    #[test]
    fn every_level_finds_the_same_ranges(
        seed in prop::collection::vec((any::<i32>(), -1e3_f32..1e3), 30..60),
        kept in prop::array::uniform32(any::<[u8; 2]>()),
    ) {
        let at = |i: usize| seed[i % seed.len()];
        let lanes = |first: usize| -> Lanes { std::array::from_fn(|lane| at(first + lane).1) };
        let sums: Sums32 = std::array::from_fn(|lane| at(lane).0);
        let moved = Movements {
            start: std::array::from_fn(|lane| at(3 * lane + 1).0),
            squares: lanes(1),
            factors: lanes(2),
            errors: lanes(3),
            tails: lanes(4),
            norms: lanes(5),
            rounding: lanes(6),
        };
        let [norm, tail, error, blur, sharp_blur] =
            std::array::from_fn(|i| AtLeast::new(at(i * 7).1.abs()));
        let note = Note { scale: at(3).1, norm, tail, error, blur, sharp_blur, ..Note::default() };
        let note = note.numbers();
        let mut kept: [u8; LINE] = bytemuck::cast(kept);
        // Kept scores are numbers.
        for kept in kept[LINE - LANES * KEPT..].as_chunks_mut::<KEPT>().0 {
            kept[2] &= 0xbf;
        }
        let (mut low, mut high) = (lanes(0), lanes(0));
        range_portable(&sums, &moved, &kept, &note, (&mut low, &mut high));
        for simd in available() {
            let mut found = (lanes(0), lanes(0));
            range(simd, &sums, &moved, &kept, &note, (&mut found.0, &mut found.1));
            prop_assert_eq!(found.0.map(f32::to_bits), low.map(f32::to_bits));
            prop_assert_eq!(found.1.map(f32::to_bits), high.map(f32::to_bits));
        }
    }

    #[test]
    fn every_level_finds_the_same_rows_that_reach_their_limits(
        rows in prop::collection::vec((any::<u32>(), -1_f32..3.0, 0..K as u32), 0..100),
        sums in prop::array::uniform32(0_f32..1.0),
    ) {
        let near = |bits: u32| ((bits & 0xff) % K as u32) | ((bits % 3 * 0x1f80_0000) & !0xff);
        let limits: Vec<[u32; 2]> =
            rows.iter().map(|&(bits, rest, label)| [near(bits), rest.to_bits() & !0xff | label]).collect();
        let limits: &[Limit] = bytemuck::cast_slice(&limits);
        let labels: Vec<u32> = rows.iter().map(|&(.., label)| label).collect();
        let (own, travelled) = sums.split_at(LANES);
        let sums = Sums { own, travelled };
        let expected: Vec<u32> = (0..rows.len())
            .filter(|&row| {
                let (label, (near, runner_up)) = (labels[row] as usize, limits[row].near());
                let stays = near > own[label] + own[runner_up as usize]
                    && limits[row].rest() > travelled[label];
                !stays
            })
            .map(|row| 7 + row as u32)
            .collect();
        for simd in available() {
            let mut found = vec![3];
            reached(simd, &sums, limits, &labels, 7, &mut found);
            prop_assert_eq!(&found[1..], &expected, "{:?}", simd);
        }
    }

    #[test]
    fn every_level_keeps_bounds_of_scores(
        least in -1_f32..1.0,
        above in prop::array::uniform16(prop_oneof![
            Just(0.0_f32), 0.0..1e-38_f32, 0.0..1e-3_f32, 0.0..4_f32,
        ]),
        width in prop::array::uniform16(prop_oneof![Just(0.0_f32), 0.0..1e-3_f32]),
        sharp in any::<u16>(),
    ) {
        let low = above.map(|above| least + above);
        let high: Lanes = std::array::from_fn(|lane| low[lane] + width[lane]);
        let mut expected = None;
        for simd in available() {
            let (mut bytes, mut widths) = ([7; LINE], Widths { sharp: 1e-9, others: 0.0 });
            let kept = bytes.last_chunk_mut().expect("a line is longer");
            keep(simd, (&low, &high), least, sharp, kept, &mut widths);
            prop_assert_eq!(*expected.get_or_insert((bytes, widths)), (bytes, widths));
            // As they are read, where nothing has moved.
            let blurs = [widths.others, widths.sharp].map(|width| AtLeast::new(width * 1.00001));
            let note = Note { blur: blurs[0], sharp_blur: blurs[1], ..Note::default() };
            let note = note.numbers();
            let mut found = ([0.0; LANES], [0.0; LANES]);
            let places = (&mut found.0, &mut found.1);
            range(simd, &[0; LANES], &Movements::default(), &bytes, &note, places);
            for lane in 0..LANES {
                let at = |score: f32| f64::from(score) - f64::from(least);
                let (lowest, highest) = (f64::from(found.0[lane]), f64::from(found.1[lane]));
                prop_assert!(lowest <= at(low[lane]) + 1e-35, "{lane}: {lowest}");
                prop_assert!(highest >= at(high[lane]), "{lane}: {highest}");
                prop_assert!(lowest >= at(low[lane]) * (1.0 - 1e-4) - 1e-35, "{lane}: {lowest}");
            }
        }
    }
}

#[test]
fn a_square_is_turned() {
    let square: [Lanes; LANES] =
        std::array::from_fn(|row| std::array::from_fn(|lane| (row * LANES + lane) as f32));
    let mut expected = [[0.0; LANES]; LANES];
    transpose_portable(&square, &mut expected);
    for simd in available() {
        let mut turned = [[0.0; LANES]; LANES];
        transpose(simd, &square, &mut turned);
        assert_eq!(turned, expected, "{simd:?}");
        assert_eq!((turned[3][5], turned[15][0]), (square[5][3], square[0][15]));
    }
}
