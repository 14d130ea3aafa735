//! What micro-benchmarks measure: every kernel, on made-up numbers of the sizes that MNIST has.

use super::bounds::Limit;
use super::close;
use super::judge::{Ranges, Verdicts, judge};
use super::kernel::{
    self, FOUR, GroupLine, KeptScores, LANES, Lanes, Part, Plane, Products, ROWS, RowLines,
    SparseBatch, Sums, Widths,
};
use super::movements::Movements;
use super::record::Numbers;
use crate::coded::{self, CodedRows};
use crate::coded_sum::CodedSums;
use crate::data::Statistics;
use crate::distance::{self, Nearest};
use crate::exact_sum::{ExactSums, SumGrid};
use crate::exchange::Change;
use crate::index::gemm::{self, PANEL};
use crate::integers::{BYTES, multiply_signed};
use crate::lines::{Line, Lines};
use crate::rows::{Magnitudes, Rows};
use crate::simd::{LINE, Simd};
use crate::sparse::{Four, SparseRow};
use std::hint::black_box;

/// Columns, rows and centroids of every workload.
const WIDTH: usize = 640;
const COUNT: usize = 4096;
const K: usize = 10;

/// The names that [`workload`] knows.
pub const NAMES: [&str; 13] = [
    "bytes of 16 rows x 16 centroids",
    "codes of 16 rows x 16 centroids",
    "range of a kept score",
    "keeping scores",
    "turn a square",
    "judge ranges",
    "limits that are reached",
    "product with the basis",
    "the same as integers",
    "exact sums",
    "exact sums of codes",
    "close products",
    "defined distances",
];

/// How many rows each call of a workload goes through.
#[must_use]
pub fn rows_of(name: &str) -> usize {
    match name {
        "range of a kept score" | "keeping scores" => 1,
        "limits that are reached" | "exact sums" | "exact sums of codes" | "defined distances" => {
            COUNT
        }
        _ => ROWS,
    }
}

/// A number that looks like any other.
fn noise(at: usize) -> u64 {
    (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ (at as u64)
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|at| (noise(at) % 2001) as f32 / 500.0 - 2.0).collect()
}

/// All rows go to another sum,
fn changes() -> Vec<Change> {
    (0..COUNT as u32).map(|row| Change { row, from: row % 5, to: 5 + row % 5 }).collect()
}

/// and back again.
fn turn_back(changes: &mut [Change]) {
    for change in changes {
        std::mem::swap(&mut change.from, &mut change.to);
    }
}

/// As many fours as a row of MNIST has, and both bytes of a rough look.
fn codes_of_rows(simd: Simd) -> Box<dyn FnMut()> {
    const FOURS: usize = 58;
    let four = |at: usize| std::array::from_fn(|i| noise(at * FOUR + i) as u8);
    let fours: Vec<Four> = (0..ROWS * FOURS).map(four).collect();
    let places: Vec<u8> = (0..ROWS * FOURS).map(|at| (at % FOURS * 3) as u8).collect();
    let mut planes: Lines<Plane> = Lines::zeros(2);
    let bytes = planes.as_flattened_mut().as_flattened_mut().as_flattened_mut();
    bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = noise(at) as i8);
    let mut sums = [Products::ZERO; 2];
    Box::new(move || {
        let fours = black_box(&fours);
        let rows = std::array::from_fn(|row| SparseRow {
            fours: &fours[row * FOURS..][..FOURS],
            places: &places[row * FOURS..][..FOURS],
        });
        let batch = SparseBatch { rows, ahead: [&[]; ROWS] };
        kernel::multiply_sparse(simd, &batch, &planes, &mut sums);
        black_box(&sums);
    })
}

/// The work that is called `name`, one of [`NAMES`].
///
/// # Panics
/// Where there is no such name.
#[must_use]
pub fn workload(name: &str, simd: Simd) -> Box<dyn FnMut()> {
    let values = numbers(COUNT * WIDTH);
    let squares: [[f32; LANES]; ROWS] =
        std::array::from_fn(|row| std::array::from_fn(|lane| values[row * LANES + lane]));
    match name {
        "bytes of 16 rows x 16 centroids" => {
            let lines = |first: usize| -> Vec<u8> {
                (0..WIDTH * ROWS).map(|at| noise(first + at) as u8).collect()
            };
            let (rows, group) = (lines(0), lines(7));
            let group: Vec<GroupLine> = bytemuck::pod_collect_to_vec(&group);
            Box::new(move || {
                let mut products = Products::ZERO;
                let rows = RowLines { bytes: black_box(&rows), stride: WIDTH, in_order: false };
                kernel::multiply(simd, &[Part { rows, group: &group }], &mut products);
                black_box(&products);
            })
        }
        "codes of 16 rows x 16 centroids" => codes_of_rows(simd),
        "range of a kept score" | "keeping scores" => kept_scores(name, simd, squares[0]),
        "turn a square" => {
            let mut turned = squares;
            Box::new(move || {
                kernel::transpose(simd, black_box(&squares), &mut turned);
                black_box(&turned);
            })
        }
        "judge ranges" => {
            let mut ranges = Ranges::new(K);
            ranges.low[0] = squares;
            ranges.high_of_rows[0] = squares;
            let mut verdicts = Verdicts::default();
            Box::new(move || {
                judge(simd, black_box(&ranges), &mut verdicts);
                black_box(&verdicts);
            })
        }
        "limits that are reached" => {
            let labels: Vec<u32> = (0..COUNT).map(|at| (noise(at) % K as u64) as u32).collect();
            let mut found = Vec::new();
            Box::new(move || {
                let sums = Sums { own: &squares[0], travelled: &squares[1] };
                let limits: &[Limit] = bytemuck::cast_slice(&values[..2 * COUNT]);
                found.clear();
                kernel::reached(simd, &sums, limits, &labels, 0, &mut found);
                black_box(&found);
            })
        }
        "product with the basis" => {
            let mut product = vec![0.0; ROWS * PANEL];
            Box::new(move || {
                let (rows, basis) = (&values[..ROWS * WIDTH], &values[..WIDTH * PANEL]);
                gemm::multiply(simd, rows, WIDTH, WIDTH, basis, &mut product);
                black_box(&product);
            })
        }
        "the same as integers" => {
            let byte = |at: usize| noise(at) as u8;
            let blocks = vec![[[Line([byte(1); LINE]); ROWS]; BYTES]; WIDTH / LINE];
            let bytes: Vec<u8> = (0..WIDTH * LANES).map(byte).collect();
            let group: Vec<GroupLine> = bytemuck::pod_collect_to_vec(&bytes);
            let mut sums = [Products::ZERO; BYTES + 1];
            Box::new(move || {
                multiply_signed(simd, black_box(&blocks), &[&group; BYTES], &mut sums);
                black_box(&sums);
            })
        }
        "exact sums" => {
            let grid = SumGrid::for_rows(COUNT, Magnitudes::of(&values));
            let mut sums = ExactSums::new(grid, K, WIDTH);
            let mut changes = changes();
            Box::new(move || {
                sums.exchange_all(simd, Rows::new(&values, COUNT, WIDTH), &mut changes);
                turn_back(&mut changes);
            })
        }
        "exact sums of codes" => sums_of_codes(simd),
        "close products" => {
            let mut found = [0.0; ROWS];
            Box::new(move || {
                let rows = black_box(&values).chunks_exact(WIDTH);
                for (found, row) in found.iter_mut().zip(rows) {
                    *found = close::product(simd, row, &values[..WIDTH]);
                }
                black_box(&found);
            })
        }
        "defined distances" => {
            let centroids: Vec<f64> = (0..K * WIDTH).map(|at| f64::from(values[at])).collect();
            let mut found = vec![Nearest { label: 0, distance: 0.0 }; COUNT];
            Box::new(move || {
                distance::nearest(simd, Rows::new(&values, COUNT, WIDTH), &centroids, &mut found);
                black_box(&found);
            })
        }
        _ => panic!("there is no work called {name}"),
    }
}

fn kept_scores(name: &str, simd: Simd, scores: Lanes) -> Box<dyn FnMut()> {
    if name == "keeping scores" {
        let mut kept = [0; size_of::<KeptScores>()];
        return Box::new(move || {
            let (mut widths, scores) = (Widths::default(), black_box(&scores));
            kernel::keep(simd, (scores, scores), -2.0, 5, &mut kept, &mut widths);
            black_box((&kept, widths));
        });
    }
    let (moved, note, sums) = (Movements::default(), Numbers::default(), [1_000; LANES]);
    let mut found = ([0.0; LANES], [0.0; LANES]);
    Box::new(move || {
        let (moved, kept) = (black_box(&moved), bytemuck::cast_ref(&scores));
        kernel::range(simd, &sums, moved, kept, &note, (&mut found.0, &mut found.1));
        black_box(&found);
    })
}

fn sums_of_codes(simd: Simd) -> Box<dyn FnMut()> {
    // Two of five are not the common one, and neighbours are alike.
    let codes: Vec<u8> = (0..COUNT * WIDTH)
        .map(|at| if noise(at / 32) % 5 < 2 { noise(at) as u8 } else { 0 })
        .collect();
    let columns = CodedRows::columns_of(&[33.3; WIDTH], &[78.5; WIDTH]);
    let coded = CodedRows::new(&codes, &columns);
    let mut values = vec![0.0; COUNT * WIDTH];
    for (row, values) in values.chunks_exact_mut(WIDTH).enumerate() {
        coded::decode(simd, &coded, coded.codes(row), values);
    }
    let rows = Rows::new(&values, COUNT, WIDTH);
    let statistics = Statistics::compute(simd, rows, Magnitudes::of(&values), 1);
    let data = statistics.with_rows(rows);
    let mut sums = CodedSums::new(simd, data, &coded, K).expect("they fit");
    let mut changes = changes();
    Box::new(move || {
        sums.exchange_all(simd, &CodedRows::new(&codes, &columns), &mut changes);
        turn_back(&mut changes);
    })
}
