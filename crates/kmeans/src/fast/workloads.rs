//! What micro-benchmarks measure: every kernel, on made-up numbers of the sizes that MNIST has.

use super::anchors::{Movements, Note};
use super::judge::{Ranges, Verdicts, judge};
use super::kernel::{self, GroupLine, LANES, Part, Products, ROWS, Reach, RowLines, Sums};
use crate::distance::{self, Nearest};
use crate::exact_sum::{ExactSums, SumGrid};
use crate::exchange::Change;
use crate::index::gemm::{self, PANEL};
use crate::rows::{Magnitudes, Rows};
use crate::simd::Simd;
use std::hint::black_box;

/// Columns, rows and centroids of every workload.
const WIDTH: usize = 640;
const COUNT: usize = 4096;
const K: usize = 10;

/// The names that [`workload`] knows.
pub const NAMES: [&str; 8] = [
    "bytes of 16 rows x 16 centroids",
    "range of a kept score",
    "turn a square",
    "judge ranges",
    "limits that are reached",
    "product with the basis",
    "exact sums",
    "defined distances",
];

/// How many rows each call of a workload goes through.
#[must_use]
pub fn rows_of(name: &str) -> usize {
    match name {
        "range of a kept score" => 1,
        "limits that are reached" | "exact sums" | "defined distances" => COUNT,
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

/// The work that is called `name`, one of [`NAMES`].
///
/// # Panics
/// Where there is no such name.
#[must_use]
pub fn workload(name: &str, simd: Simd) -> Box<dyn FnMut()> {
    let values = numbers(COUNT * WIDTH);
    let squares: [[f32; LANES]; ROWS] =
        std::array::from_fn(|row| std::array::from_fn(|lane| values[row * LANES + lane]));
    let sums = [1_000; LANES];
    match name {
        "bytes of 16 rows x 16 centroids" => {
            let lines = |first: usize| -> Vec<u8> {
                (0..WIDTH * ROWS).map(|at| noise(first + at) as u8).collect()
            };
            let (rows, group) = (lines(0), lines(7));
            let group: Vec<GroupLine> = bytemuck::pod_collect_to_vec(&group);
            Box::new(move || {
                let mut products = Products::ZERO;
                let rows = RowLines { bytes: black_box(&rows), stride: WIDTH };
                kernel::multiply(simd, &[Part { rows, group: &group }], &mut products);
                black_box(&products);
            })
        }
        "range of a kept score" => {
            let (moved, note) = (Movements::default(), Note::default());
            let mut found = ([0.0; LANES], [0.0; LANES]);
            Box::new(move || {
                let moved = black_box(&moved);
                let places = (&mut found.0, &mut found.1);
                kernel::range(simd, &sums, moved, &squares[0], &note, 5, places);
                black_box(&found);
            })
        }
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
            ranges.high[0] = squares;
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
                let (near, rest) = (&values[..COUNT], &values[COUNT..2 * COUNT]);
                let limits = Reach { near, runner_up: &labels, rest, labels: &labels };
                found.clear();
                kernel::reached(simd, &sums, &limits, 0, &mut found);
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
        "exact sums" => {
            let grid = SumGrid::for_rows(COUNT, Magnitudes::of(&values));
            let mut sums = ExactSums::new(grid, K, WIDTH);
            let mut changes: Vec<Change> = (0..COUNT as u32)
                .map(|row| Change { row, from: row % 5, to: 5 + row % 5 })
                .collect();
            Box::new(move || {
                sums.exchange_all(simd, Rows::new(&values, COUNT, WIDTH), None, &mut changes);
                for change in &mut changes {
                    std::mem::swap(&mut change.from, &mut change.to);
                }
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
