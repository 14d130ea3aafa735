//! The engine against the definition: equal bits on problems made to break bounds, and the bounds
//! themselves against distances in binary64.

use super::anchors::{Anchors, BySlot};
use super::centroids::Centroids;
use super::close::Close;
use super::judge::{Ranges, Verdicts, judge};
use super::kernel::LANES;
use super::kernel::ROWS;
use super::planes::{Depth, Planes};
use super::product::Product;
use super::seeding::kmeans_plus_plus;
use super::stages::contenders_of;
use super::weigh::{Batch, Kept, MovedProducts, Tile, by_anchors, by_planes};
use crate::data::{Data, Statistics};
use crate::distance::{self, Nearest};
use crate::exchange::Change;
use crate::fit::{Engine, Fit, Init, Parameters, fit};
use crate::index::{Facts, Index, IndexView, Layout, MAX_LEVELS};
use crate::random::RunRandom;
use crate::rows::{Magnitudes, RowIndex, Rows};
use crate::seeding;
use crate::simd::{Simd, available};
use ndarray::Array2;
use proptest::prelude::*;

/// Rows, padded, with what is computed of them.
pub(super) struct Problem {
    values: Vec<f32>,
    pub(super) n: usize,
    pub(super) d: usize,
    statistics: Statistics,
}

impl Problem {
    pub(super) fn new(n: usize, d: usize, mut value: impl FnMut(usize, usize) -> f32) -> Self {
        let stride = Rows::stride_of(d);
        let mut values = vec![0.0; n * stride];
        for (row, values) in values.chunks_exact_mut(stride).enumerate() {
            for (column, x) in values[..d].iter_mut().enumerate() {
                *x = value(row, column);
            }
        }
        let rows = Rows::new(&values, n, d);
        let magnitudes = Magnitudes::of(&values);
        let statistics = Statistics::compute(Simd::detect(), rows, magnitudes, 1);
        Self { values, n, d, statistics }
    }

    pub(super) fn data(&self) -> Data<'_> {
        self.statistics.with_rows(Rows::new(&self.values, self.n, self.d))
    }

    /// Levels as narrow as they can be, so that small problems have several.
    pub(super) fn narrow(&self, components: usize) -> Layout {
        let mut layout = Layout::with_components(self.n, self.d, components);
        let mut left = layout.width();
        for (level, width) in layout.widths.iter_mut().enumerate() {
            *width = if level + 1 < MAX_LEVELS { left.min(16) } else { left };
            left -= *width;
        }
        layout
    }
}

/// All that has to be equal, floats by their bits.
pub(super) fn bits(found: &Fit) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        found.labels.clone(),
        found.centroids.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        found.inertia.to_bits(),
        (found.n_iter, found.stop, found.relocated, found.distinct_clusters),
        found.init_rows.clone(),
    )
}

pub(super) fn run(
    data: Data<'_>,
    index: Option<IndexView<'_>>,
    parameters: &Parameters,
    engine: Engine,
    simd: Simd,
) -> Fit {
    let parameters = Parameters { engine, simd, ..parameters.clone() };
    fit(data, index, &parameters, &mut ()).expect("the problem is well posed")
}

fn assert_equal_bits(problem: &Problem, parameters: &Parameters) {
    let data = problem.data();
    let expected = bits(&run(data, None, parameters, Engine::Plain, Simd::detect()));
    for simd in available() {
        let found = bits(&run(data, None, parameters, Engine::Fast, simd));
        assert!(found == expected, "{simd:?}, no index");
        let some = problem.d.div_ceil(2);
        for layout in
            [Layout::of(problem.n, problem.d), problem.narrow(problem.d), problem.narrow(some)]
        {
            let index = Index::build(simd, data, 2, layout);
            let view = index.as_ref().map(Index::view);
            let found = bits(&run(data, view, parameters, Engine::Fast, simd));
            assert!(found == expected, "{simd:?}, {layout:?}");
        }
    }
}

pub(super) fn parameters(k: usize, init_id: u64, init: Init) -> Parameters {
    Parameters {
        k,
        init_id,
        seed: 11,
        init,
        max_iter: 40,
        tol: 0.0,
        engine: Engine::Plain,
        simd: Simd::detect(),
    }
}

/// Numbers for problems, from a seed.
#[derive(Clone)]
pub(super) struct Source(pub(super) u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    pub(super) fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.unit() - 0.5).sum::<f32>() * 1.4
    }
}

/// How many ways there are to be nasty.
const KINDS: u64 = 11;

/// A value of a problem of some `kind`.
fn nasty(kind: u64, source: &mut Source, row: usize, column: usize) -> f32 {
    match kind {
        0 => source.normal(),
        // A small lattice: many duplicates and exact ties.
        1 => source.below(3) as f32,
        // Two points and what lies exactly half way between them.
        2 => [0.0, 1.0, 2.0][row % 3] * (column + 1) as f32,
        // The same, but for the last bit.
        3 => f32::from_bits(1.0_f32.to_bits() + source.below(3) as u32) * (row % 4) as f32,
        // Columns of all magnitudes.
        4 => source.normal() * 10.0_f32.powi([-30, 0, 4, 15][column % 4]),
        // As large as numbers get, which leaves no room for squares in binary32.
        5 => source.normal().signum() * f32::MAX * (0.5 + source.unit() / 2.0),
        // Denormals.
        6 => f32::from_bits(source.below(5) as u32),
        // Clusters far from the origin: differences are lost in rounding.
        7 => 1e6 + (row % 4) as f32 + source.normal() * 1e-2,
        // One row far off.
        8 => {
            if row == 0 {
                1e30
            } else {
                source.normal()
            }
        }
        // Most columns are the same in all rows.
        9 if !column.is_multiple_of(4) => [3.25, -1e-3, 1e9][column % 4 - 1],
        // Near-ties at every scale.
        _ => (row % 2) as f32 + source.normal() * 10.0_f32.powi(-((row / 2 % 9) as i32)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(320))]

    #[test]
    fn nasty_problems_give_the_defined_bits(
        kind in 0..KINDS,
        seed in any::<u64>(),
        n in 1_usize..70,
        d in prop_oneof![1_usize..20, 30_usize..70, 96_usize..140],
        share in 0_usize..8,
        init in 0..4,
    ) {
        let mut source = Source(seed);
        let problem = Problem::new(n, d, |row, column| nasty(kind, &mut source, row, column));
        let k = match share {
            0 => 1,
            1 => n,
            2 => n.min(19),
            _ => n.min(share),
        };
        let init = match init {
            0 | 1 => Init::KMeansPlusPlus,
            2 => Init::Random,
            // Some of them far from all rows, so that clusters are empty.
            _ => Init::Centroids(Array2::from_shape_fn((k, d), |(j, i)| match j % 3 {
                0 => nasty(kind, &mut source, j, i),
                1 => problem.values[j % n * Rows::stride_of(d) + i],
                _ => 3e37 * source.normal(),
            })),
        };
        assert_equal_bits(&problem, &parameters(k, seed % 3, init));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(320))]

    #[test]
    fn seeding_chooses_the_defined_rows(
        kind in 0..KINDS,
        seed in any::<u64>(),
        n in 1_usize..80,
        d in prop_oneof![1_usize..20, 30_usize..90],
        k in 1_usize..30,
        whole in any::<bool>(),
    ) {
        let mut source = Source(seed);
        let problem = Problem::new(n, d, |row, column| nasty(kind, &mut source, row, column));
        let (data, k) = (problem.data(), k.min(n));
        let random = || RunRandom::new(seed, k as u64, 0);
        let expected = seeding::kmeans_plus_plus(Simd::detect(), data, &mut random(), k);
        for simd in available() {
            let layout = problem.narrow(if whole { d } else { d.div_ceil(2) });
            let Some(index) = Index::build(simd, data, 1, layout) else { continue };
            let found = kmeans_plus_plus(simd, data, &index.view(), &mut random(), k);
            prop_assert_eq!(&found.rows, &expected, "{:?}", simd);
            let chosen: Vec<f64> = expected
                .iter()
                .flat_map(|&row| data.rows.row(row).iter().map(|&x| f64::from(x)))
                .collect();
            let mut nearest = vec![Nearest { label: 0, distance: 0.0 }; n];
            distance::nearest(simd, data.rows, &chosen, &mut nearest);
            for (&label, nearest) in found.labels.iter().zip(&nearest) {
                prop_assert!(label == nearest.label || label == Change::NOWHERE, "{:?}", simd);
            }
        }
    }
}

/// Overlapping clusters in a few directions, with noise in all: what an index is for.
pub(super) fn embedded(n: usize, d: usize, seed: u64) -> Problem {
    let mut source = Source(seed);
    let directions: Vec<f32> = (0..6 * d).map(|_| source.normal()).collect();
    let mut weights = [0.0; 6];
    Problem::new(n, d, |row, column| {
        if column == 0 {
            for (i, weight) in weights.iter_mut().enumerate() {
                *weight = 2.0 * source.normal() + ((row * (i + 3)) % 7) as f32;
            }
        }
        let signal: f32 =
            weights.iter().enumerate().map(|(i, w)| w * directions[i * d + column]).sum();
        signal * 0.3 + source.normal() * 0.7
    })
}

#[test]
fn long_runs_give_the_defined_bits() {
    // The widest has a level whose sums have to be taken one by one.
    for (n, d, k) in
        [(3000, 100, 5), (2500, 200, 12), (1500, 130, 30), (1200, 33, 300), (1100, 540, 6)]
    {
        let problem = embedded(n, d, k as u64);
        let parameters = Parameters { max_iter: 100, ..parameters(k, 0, Init::KMeansPlusPlus) };
        assert_equal_bits(&problem, &parameters);
    }
}

#[test]
fn first_centroids_may_differ_where_all_rows_are_equal() {
    let varied = embedded(1000, 90, 1);
    let stride = Rows::stride_of(90);
    let is_constant = |column: usize| column % 3 == 1;
    let problem = Problem::new(1000, 90, |row, column| {
        if is_constant(column) { 3.25 } else { varied.values[row * stride + column] }
    });
    let layout = Layout::of(1000, 90);
    let index = Index::build(Simd::detect(), problem.data(), 2, layout).expect("rows differ");
    assert_eq!((index.plan.layout.varying, index.plan.layout.components), (60, 60));
    let mut source = Source(2);
    let first = Array2::from_shape_fn((6, 90), |(j, column)| {
        let off = if is_constant(column) { source.normal() } else { 0.0 };
        problem.values[7 * j * stride + column] + off
    });
    assert_equal_bits(&problem, &parameters(6, 0, Init::Centroids(first)));
}

#[test]
fn an_index_decides_most_rows_without_the_definition() {
    let problem = embedded(4000, 200, 3);
    let data = problem.data();
    let index = Index::build(Simd::detect(), data, 2, Layout::of(4000, 200)).expect("rows differ");
    let parameters = parameters(8, 0, Init::KMeansPlusPlus);
    let found = run(data, Some(index.view()), &parameters, Engine::Fast, Simd::detect());
    let counters = found.counters;
    let rows = u64::from(found.n_iter) * 4000;
    assert!(counters.rows_visited < rows, "{counters:?} of {rows}");
    assert!(counters.by_level[1] > 100, "{counters:?}");
    assert!(counters.by_definition * 100 < counters.by_level[1], "{counters:?}");
    assert!(counters.by_anchor > 0, "{counters:?}");
    let decided =
        counters.by_anchor + counters.by_definition + counters.by_level.iter().sum::<u64>();
    assert_eq!(decided, counters.rows_visited);
}

/// Squared distance in units, for holding bounds against.
pub(super) fn true_square(data: Data<'_>, unit: f64, row: usize, centroid: &[f64]) -> f64 {
    let row = data.rows.row(RowIndex::new(row));
    row.iter().zip(centroid).map(|(&x, c)| ((f64::from(x) - c) * unit).powi(2)).sum()
}

/// What is said of row `i` must not promise more than is true.
pub(super) fn assert_sound(
    verdicts: &Verdicts,
    i: usize,
    k: usize,
    square: impl Fn(usize) -> f64,
    context: impl std::fmt::Debug,
) {
    let best = verdicts.best[i] as usize;
    let (margin, distance) = (f64::from(verdicts.margin[i]), f64::from(verdicts.distance[i]));
    let own = square(best);
    // What binary64 may have rounded here.
    let room = |x: f64| x * 1e-12 + 1e-300;
    assert!(distance >= own.sqrt() * (1.0 - 1e-12), "{context:?}");
    for other in (0..k).filter(|&other| other != best) {
        let true_margin = square(other) - own;
        assert!(margin <= true_margin + room(square(other) + own), "{context:?} {other}");
        if margin > 0.0 {
            let lead = square(other).sqrt() - own.sqrt();
            let is_runner_up = verdicts.runner_up[i] as usize == other;
            let found = if is_runner_up { verdicts.near[i] } else { verdicts.rest[i] };
            assert!(f64::from(found) <= lead + room(own.sqrt()), "{context:?} {other}");
        }
    }
}

/// Nothing in `close` may be off by more than it says, and what it decides is so: for the true squared
/// distances of a row that is known by these `facts`; all that have no score there are farther than the
/// nearest by `others`.
fn assert_close(
    close: &Close,
    others: f32,
    k: usize,
    facts: &Facts,
    square: impl Fn(usize) -> f64,
) {
    let room = |x: f64| x * 1e-12 + 1e-300;
    let found = || close.labels.iter().map(|&j| j as usize).zip(&close.scores);
    for (a, (j, score)) in found().enumerate() {
        for (other, other_score) in found().skip(a + 1) {
            let truth = square(j) - square(other);
            let off = (score - other_score - truth).abs();
            let room = room(square(j) + square(other));
            assert!(!off.is_finite() || off <= 2.0 * close.off + room, "{j} {other}: {close:?}");
        }
    }
    let Some((label, lead)) = close.decide(others, facts) else { return };
    let own = square(label as usize).sqrt();
    for other in (0..k).filter(|&other| other != label as usize) {
        // Movements have to stay below both, and what all but the runner-up may have moved, it may too.
        let is_runner_up = lead.runner_up as usize == other;
        let found = if is_runner_up { lead.near.min(lead.rest) } else { lead.rest };
        assert!(
            f64::from(found) <= square(other).sqrt() - own + room(own),
            "{other}: {close:?} {lead:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bound_promises_too_much(
        kind in 0..KINDS,
        seed in any::<u64>(),
        d in prop_oneof![64_usize..80, 130_usize..150],
        k in 2_usize..12,
        whole in any::<bool>(),
        drift in prop_oneof![Just(0.0), Just(1e-6), Just(1e-2), Just(1.0)],
    ) {
        let n = 24;
        let mut source = Source(seed);
        let problem = Problem::new(n, d, |row, column| nasty(kind, &mut source, row, column));
        let data = problem.data();
        let layout = problem.narrow(if whole { d } else { d.div_ceil(2) });
        let stride = data.rows.stride();
        for simd in available() {
            let Some(index) = Index::build(simd, data, 1, layout) else { continue };
            let index = index.view();
            let mut source = source.clone();
            // Rows, means of two rows, and what lies a hair beside them.
            let mut centroids: Vec<f64> = (0..k)
                .flat_map(|j| {
                    let rows = [j % n, (j + j / 3) % n].map(|row| data.rows.row(RowIndex::new(row)));
                    let beside = 1.0 + f64::from(source.normal()) * 10.0_f64.powi(-(j as i32));
                    (0..stride)
                        .map(|i| f64::midpoint(rows[0][i].into(), rows[1][i].into()) * beside)
                        .collect::<Vec<_>>()
                })
                .collect();
            let mut moving = Centroids::new(data, &index, k);
            let mut product = Product::new(simd, &index, k);
            let mut planes = Planes::new(&index, k);
            let mut anchors = Anchors::new(&index, moving.lanes).expect("the problem is wide");
            let (mut tile, mut ranges) = (Tile::new(&index), Ranges::new(k));
            let mut moved = MovedProducts::new(&index, moving.lanes / LANES);
            let mut verdicts = Verdicts::default();
            let mut close = Close::default();
            for iteration in 0..12 {
                if !moving.set(simd, &index, data, &centroids, true, &mut product) {
                    break;
                }
                planes.set(simd, &index, &moving, &product);
                anchors.advance(simd, &moving);
                let square = |row: u32, j: usize| {
                    true_square(data, index.unit, row as usize, &centroids[j * stride..][..stride])
                };
                let all: Vec<u32> = (0..n as u32).collect();
                let mut check = |rows: &[u32], ranges: &Ranges, context: &str| {
                    judge(simd, ranges, &mut verdicts);
                    for (i, &row) in rows.iter().enumerate() {
                        let context = (context, simd, kind, iteration, row);
                        let best = verdicts.best[i];
                        assert_sound(&verdicts, i, k, |j| square(row, j), context);
                        let lows: Vec<f32> =
                            ranges.low_of_rows.iter().flat_map(|low| low[i]).collect();
                        let most = ranges.most(i, best);
                        let mut near = Vec::new();
                        let others = contenders_of(&lows[..k], best, most, &mut near);
                        for j in (0..k).filter(|&j| !near.contains(&(j as u32))) {
                            let truth = square(row, j) - square(row, best as usize);
                            let room = square(row, j) * 1e-12;
                            assert!(f64::from(others) <= truth + room, "{context:?} {j}");
                        }
                        assert!(near.contains(&best));
                    }
                    verdicts
                };
                // What is kept comes from different iterations, in all ways.
                let way = |row: u32| (row as usize * 5 + iteration) % 9;
                let mut sorted = BySlot::default();
                anchors.sort(&all, &mut sorted);
                let mut known = 0;
                for (slot, places) in sorted.batches() {
                    let rows = &sorted.rows[places];
                    known += rows.len();
                    let table = anchors.table(slot);
                    moved.take(simd, &index, rows);
                    moved.multiply(simd, table);
                    let kept = Kept { anchors: &anchors, table, moved: &moved };
                    by_anchors(simd, simd, &index, &kept, rows, &all, &mut ranges);
                    let found = check(rows, &ranges, "anchors");
                    for (i, &row) in rows.iter().enumerate().filter(|&(_, &row)| way(row) == 0) {
                        let best = found.best[i];
                        let most = ranges.most(i, best);
                        let mut lows: Vec<f32> =
                            ranges.low_of_rows.iter().flat_map(|low| low[i]).collect();
                        let others = contenders_of(&lows[..k], best, most, &mut close.labels);
                        let facts = index.facts(row as usize);
                        let values = data.rows.row(RowIndex::new(row as usize));
                        let unit = index.unit;
                        close.measure(simd, &moving, unit, values, facts.norm);
                        assert_close(&close, others, k, facts, |j| square(row, j));
                        let fits = close.scores.iter().all(|score| score.is_finite());
                        if iteration % 2 == 0 || !fits {
                            let distances: Vec<f64> = close
                                .labels
                                .iter()
                                .map(|&j| square(row, j as usize) / unit / unit)
                                .collect();
                            close.define(&distances, unit, facts.norm);
                        }
                        close.lower(&mut lows[..k], most, best);
                        let least = lows[..k].iter().copied().fold(f32::INFINITY, f32::min);
                        anchors.keep_close(simd, row, facts, (&lows, least), &close);
                    }
                }
                assert_eq!(known, n, "every row is known or not");
                for rows in all.chunks(ROWS) {
                    for depth in Depth::ALL {
                        // Any centroid will do to measure from, and none.
                        let nearest: Vec<u32> =
                            rows.iter().map(|row| row * 7 % (k as u32 + 1)).collect();
                        let batch = Batch { rows, nearest: &nearest, next: rows };
                        by_planes(
                            simd, simd, &index, &planes, depth, &batch, &mut tile, &mut ranges,
                        );
                        let found = check(rows, &ranges, "planes");
                        let kept = [3, 6][depth as usize];
                        for (i, &row) in rows.iter().enumerate().filter(|&(_, &row)| way(row) == kept) {
                            let facts = index.facts(row as usize);
                            anchors.keep(simd, row, facts, &ranges, i, found.best[i]);
                        }
                    }
                }
                for c in &mut centroids {
                    *c += *c * drift * f64::from(source.normal());
                }
            }
        }
    }
}
