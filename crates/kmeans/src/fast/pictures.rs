//! Rows of bytes against the definition: made to break what is made of codes, and most of them background.

use super::centroids::Centroids;
use super::codes::{BYTES, Codes, by_codes, spread};
use super::judge::{Ranges, Verdicts, judge};
use super::kernel::{LANES, Products, ROWS};
use super::planes::Depth;
use super::product::Product;
use super::seeding::kmeans_plus_plus;
use super::tests::{Problem, Source, assert_sound, bits, parameters, run, true_square};
use super::weigh::Batch;
use crate::coded::CodedRows;
use crate::data::Data;
use crate::fit::{Engine, Init, Observer, Parameters, fit};
use crate::index::{Index, IndexView, Layout};
use crate::lines::Line;
use crate::lloyd::{Counters, Iteration};
use crate::random::RunRandom;
use crate::rows::{RowIndex, Rows};
use crate::seeding;
use crate::simd::{LINE, Simd, available};
use crate::sparse::{Fours, SparseRows};
use proptest::prelude::*;

/// Rows of bytes, scaled as the scaler does it.
struct Pictures {
    problem: Problem,
    codes: Vec<u8>,
    columns: Vec<f32>,
    fours: Fours,
    starts: Vec<u32>,
    lines: Vec<Line>,
}

impl Pictures {
    fn new(n: usize, d: usize, mut code: impl FnMut(usize, usize) -> u8) -> Self {
        let stride = Rows::stride_of(d);
        let mut codes = vec![0; n * stride];
        for (row, codes) in codes.chunks_exact_mut(stride).enumerate() {
            codes[..d].iter_mut().enumerate().for_each(|(column, x)| *x = code(row, column));
        }
        let column = |i: usize| codes.iter().skip(i).step_by(stride).map(|&code| f64::from(code));
        let mean: Vec<f64> = (0..d).map(|i| column(i).sum::<f64>() / n as f64).collect();
        let std = |i: usize| {
            let square = column(i).map(|x| (x - mean[i]).powi(2)).sum::<f64>() / n as f64;
            if square == 0.0 { 1.0 } else { square.sqrt() }
        };
        let std: Vec<f64> = (0..d).map(std).collect();
        let problem = Problem::new(n, d, |row, i| {
            (f32::from(codes[row * stride + i]) - mean[i] as f32) / std[i] as f32
        });
        // The widest squares that there can be.
        let widths = (0..=d).rev().map(|width| Fours { width });
        let fours = widths.into_iter().find(|fours| fours.fit(d)).expect("there are some");
        let (mut starts, mut lines, mut arranged) = (vec![0], Vec::new(), Vec::new());
        for codes in codes.chunks_exact(stride) {
            let start = lines.len();
            fours.arrange(&codes[..d], &mut arranged);
            lines.resize(start + SparseRows::lines_of(&arranged) as usize, Line([0; LINE]));
            SparseRows::keep(&arranged, &mut lines[start..]);
            starts.push(lines.len() as u32);
        }
        let columns = CodedRows::columns_of(&mean, &std);
        Self { problem, codes, columns, fours, starts, lines }
    }

    fn nasty(kind: u64, source: &mut Source, n: usize, d: usize) -> Self {
        Self::new(n, d, |row, column| nasty(kind, source, row, column))
    }

    fn data(&self) -> Data<'_> {
        let coded = CodedRows::new(&self.codes, &self.columns);
        Data { coded: Some(coded), ..self.problem.data() }
    }

    /// An index, with these rows without zeros.
    fn view<'a>(&'a self, index: &'a Index) -> IndexView<'a> {
        IndexView {
            sparse: Some(SparseRows::new(self.fours, &self.starts, &self.lines)),
            ..index.view()
        }
    }

    /// Leading coordinates alone, few of them, and more than a look needs.
    fn layouts(&self) -> [Layout; 3] {
        let (n, d) = (self.problem.n, self.problem.d);
        let leading = Layout::of(n, d).leading();
        [leading, self.problem.narrow(d.min(16)), self.problem.narrow(d)]
    }
}

/// How many ways there are to be nasty.
const KINDS: u64 = 7;

/// A code of a problem of some `kind`.
fn nasty(kind: u64, source: &mut Source, row: usize, column: usize) -> u8 {
    let any = |source: &mut Source| source.below(256) as u8;
    match kind {
        // A stroke on a background.
        0 => {
            let is_stroke = (column + 7 * row) % 50 < 9;
            if is_stroke { 200 + source.below(56) as u8 } else { 0 }
        }
        // Columns in which few rows have anything, of all deviations: down to that of a single 1.
        1 => {
            let share = [1, 2, 7, 40][column % 4];
            if source.below(40) < share { [1, 255, 3, 90][column / 4 % 4] } else { 0 }
        }
        2 => any(source),
        // Many duplicates and exact ties.
        3 => source.below(2) as u8,
        // Two points, and what lies half way.
        4 => [0, 100, 200][row % 3],
        // Nearly saturated: the mean is far from 0.
        5 => 255 - (source.below(4) / 3) as u8,
        // Rows of nothing, rows of everything, and one that is unlike all others.
        _ => match row % 5 {
            0 => 0,
            1 => any(source) | 1,
            _ if row == 7 && column < 2 => 255,
            _ => u8::from(column > 2) * (source.below(8) / 7) as u8 * any(source),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pictures_give_the_defined_bits(
        kind in 0..KINDS,
        seed in any::<u64>(),
        n in 2_usize..70,
        d in prop_oneof![3_usize..20, 60_usize..150],
        k in 1_usize..24,
    ) {
        let pictures = Pictures::nasty(kind, &mut Source(seed), n, d);
        let parameters = parameters(k.min(n), seed % 3, Init::KMeansPlusPlus);
        let plain = run(pictures.problem.data(), None, &parameters, Engine::Plain, Simd::detect());
        let random = || RunRandom::new(seed, k as u64, 0);
        let data = pictures.data();
        let rows = seeding::kmeans_plus_plus(Simd::detect(), data, &mut random(), k.min(n));
        for simd in available() {
            for layout in pictures.layouts() {
                let Some(index) = Index::build(simd, data, 1, layout) else { continue };
                let found = run(data, Some(pictures.view(&index)), &parameters, Engine::Fast, simd);
                prop_assert!(bits(&found) == bits(&plain), "{:?} {:?}", simd, layout);
                let seeded =
                    kmeans_plus_plus(simd, data, &pictures.view(&index), &mut random(), k.min(n));
                prop_assert_eq!(&seeded.rows, &rows, "{:?} {:?}", simd, layout);
            }
        }
    }

    #[test]
    fn no_look_at_codes_promises_too_much(
        kind in 0..KINDS,
        seed in any::<u64>(),
        d in prop_oneof![3_usize..20, 60_usize..150],
        k in 2_usize..20,
    ) {
        let n = 24;
        let mut source = Source(seed);
        let pictures = Pictures::nasty(kind, &mut source, n, d);
        let data = pictures.data();
        let stride = data.rows.stride();
        for simd in available() {
            let [layout, ..] = pictures.layouts();
            let Some(index) = Index::build(simd, data, 1, layout) else { continue };
            let index = pictures.view(&index);
            // Rows, means of two rows, and what lies a hair beside them.
            let mut source = source.clone();
            let centroids: Vec<f64> = (0..k)
                .flat_map(|j| {
                    let rows = [j % n, (j + j / 3) % n].map(|row| data.rows.row(RowIndex::new(row)));
                    let beside = 1.0 + f64::from(source.normal()) * 10.0_f64.powi(-(j as i32));
                    (0..stride)
                        .map(|i| f64::midpoint(rows[0][i].into(), rows[1][i].into()) * beside)
                        .collect::<Vec<_>>()
                })
                .collect();
            let mut whole = Centroids::new(data, &index, k);
            let mut product = Product::new(simd, &index, k);
            if !whole.set(simd, &index, data, &centroids, false, &mut product) {
                continue;
            }
            let mut codes = Codes::new(data, &index, k).expect("there are codes without zeros");
            codes.set(simd, &whole, index.unit);
            let mut sums = [Products::ZERO; BYTES];
            let (mut ranges, mut verdicts) = (Ranges::new(k), Verdicts::default());
            let all: Vec<u32> = (0..n as u32).collect();
            for (depth, rows) in Depth::ALL.into_iter().flat_map(|depth| {
                all.chunks(ROWS).map(move |rows| (depth, rows))
            }) {
                let batch = Batch { rows, nearest: rows, next: rows };
                let sparse = index.sparse.expect("codes without zeros");
                by_codes(
                    simd, &sparse, &codes, depth, &batch, &mut sums, &mut ranges.low_of_rows,
                );
                let scores = ranges.low_of_rows.to_vec();
                spread(simd, simd, &index, &codes, depth, rows, &mut ranges);
                judge(simd, &ranges, &mut verdicts);
                for (i, &row) in rows.iter().enumerate() {
                    let square = |j: usize| {
                        true_square(data, index.unit, row as usize, &centroids[j * stride..][..stride])
                    };
                    let zero = vec![0.0; stride];
                    let mean: Vec<f64> = zero.iter().zip(data.center).map(|(x, m)| x + m).collect();
                    let own = true_square(data, index.unit, row as usize, &mean);
                    for j in 0..k {
                        let place = |of_rows: &[[[f32; LANES]; ROWS]]| {
                            f64::from(of_rows[j / LANES][i][j % LANES])
                        };
                        let (low, high) = (place(&ranges.low_of_rows), place(&ranges.high_of_rows));
                        let (score, slack) = (square(j) - own, f64::from(ranges.slack[i]));
                        let room = 1e-12 * (square(j) + own);
                        prop_assert!(
                            low - slack - room <= score && score <= high + slack + room,
                            "{:?} {:?} {} {}: {} {} {}", simd, depth, row, j, low, score, high
                        );
                        let off_by = codes.off_by(depth).nth(j).expect("there are so many");
                        let off = off_by.off(index.facts(row as usize).norm);
                        prop_assert!(
                            (place(&scores) - score).abs() <= f64::from(off) + room,
                            "{:?} {:?} {} {}: {} {} {}", simd, depth, row, j, score, off, low
                        );
                    }
                    assert_sound(&verdicts, i, k, square, (simd, kind, depth, row));
                }
            }
        }
    }
}

/// What a run says of what it has read: for first centroids, and in iterations.
#[derive(Default)]
struct Read {
    seeding: Counters,
    iterations: Counters,
}

impl Observer for Read {
    fn seeded(&mut self, _: &[RowIndex], counters: &Counters) {
        self.seeding = *counters;
    }

    fn iterated(&mut self, iteration: &Iteration) {
        self.iterations += iteration.counters;
    }
}

#[test]
fn looks_at_pictures_decide_most_rows() {
    let (n, d, k) = (3000, 300, 7);
    let mut source = Source(5);
    let pictures = Pictures::new(n, d, |row, column| {
        let is_stroke = (column + 40 * (row % 9)) % d < 60;
        if is_stroke && source.below(3) > 0 { source.below(256) as u8 } else { 0 }
    });
    let data = pictures.data();
    let [layout, ..] = pictures.layouts();
    let index = Index::build(Simd::detect(), data, 1, layout).expect("rows differ");
    let index = pictures.view(&index);
    let reads = [Engine::Fast, Engine::Plain].map(|engine| {
        let parameters = Parameters { engine, ..parameters(k, 1, Init::KMeansPlusPlus) };
        let mut read = Read::default();
        let fit =
            fit(data, Some(index), &parameters, &mut read).expect("the problem is well posed");
        let Read { seeding, iterations } = read;
        assert!(fit.counters.bytes_read >= seeding.bytes_read + iterations.bytes_read);
        (fit.counters, seeding)
    });
    let [(counters, seeding), (_, defined)] = reads;
    assert!(counters.by_level[0] > n as u64, "{counters:?}");
    assert!(counters.by_level[1] * 10 < counters.by_level[0], "{counters:?}");
    assert!(counters.by_definition * 100 < counters.by_level[0], "{counters:?}");
    // The first row, and three candidates in each round.
    assert_eq!(defined.bytes_read, (n * d * (1 + 3 * (k - 1)) * size_of::<f32>()) as u64);
    assert!(0 < seeding.bytes_read && seeding.bytes_read < defined.bytes_read / 10, "{seeding:?}");
}
