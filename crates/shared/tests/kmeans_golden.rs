//! Holds K-means runs against scikit-learn's (made by `scripts/golden/make_golden.py`).
//!
//! It stands here and not with `kscan-kmeans` because the rows of real data are scaled first.

mod common;

use common::{Npz, builtin, golden, table};
use kscan_dataset::{Builtin, Table, Values};
use kscan_kmeans::Magnitudes;
use kscan_kmeans::{
    Counters, Data, Engine, Fit, Index, Init, Iteration, Layout, Observer, Parameters, RowIndex,
    Rows, Simd, SimdLevel, Statistics, fit,
};
use kscan_shared::{Scaler, Scaling};
use ndarray::{Array1, Array2, s};
use serde::Deserialize;
use std::sync::LazyLock;

/// How far numbers may lie apart that scikit-learn rounds where kscan does not. Its own rounding is
/// all there is: they lie within 2e-14.
const TOLERANCE: f64 = 1e-12;

/// One object of `cases.json`.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    data: Option<String>,
    n: usize,
    d: usize,
    k: usize,
    max_iter: u32,
    tol: f64,
    inertia: f64,
    n_iter: u32,
    stop: Option<String>,
    compare: String,
    scatter: f64,
    distinct_clusters: usize,
    relocated: Option<Vec<Relocated>>,
}

/// An iteration that found clusters empty.
#[derive(Debug, Deserialize)]
struct Relocated {
    iteration: u32,
    empty: Vec<u32>,
}

/// One object of `quirks.json`: what scikit-learn was asked where its answer is no rule.
#[derive(Debug, Deserialize)]
struct Quirk {
    z: Vec<Vec<f32>>,
    init: Vec<Vec<f32>>,
    max_iter: u32,
    tol: f64,
}

/// What kscan's rules answer to a [`Quirk`].
struct Answer {
    name: &'static str,
    labels: &'static [u32],
    centers: &'static [f64],
    inertia: f64,
    relocated: u64,
}

/// Rows in the layout that K-means reads.
struct Padded {
    values: Vec<f32>,
    n: usize,
    d: usize,
    statistics: Statistics,
}

impl Padded {
    fn new(values: Vec<f32>, n: usize, d: usize) -> Self {
        let rows = Rows::new(&values, n, d);
        let statistics = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&values), 2);
        Self { values, n, d, statistics }
    }

    fn of(z: &Array2<f32>) -> Self {
        let (n, d) = z.dim();
        let stride = Rows::stride_of(d);
        let mut values = vec![0.0; n * stride];
        for (padded, row) in values.chunks_exact_mut(stride).zip(z.rows()) {
            for (padded, &x) in padded.iter_mut().zip(row) {
                *padded = x;
            }
        }
        Self::new(values, n, d)
    }

    fn scaled(table: &Table) -> Self {
        let (n, d) = (table.rows(), table.cols());
        let mut values = vec![0.0; n * Rows::stride_of(d)];
        let scaler = Scaler::fit(table, Scaling::Standard, 2);
        scaler.transform(table, 0..n, &mut values, Rows::stride_of(d));
        Self::new(values, n, d)
    }

    fn data(&self) -> Data<'_> {
        self.statistics.with_rows(Rows::new(&self.values, self.n, self.d))
    }
}

static DIGITS: LazyLock<Padded> = LazyLock::new(|| Padded::scaled(&builtin(Builtin::Digits)));

static MNIST3000: LazyLock<Padded> = LazyLock::new(|| {
    let whole = builtin(Builtin::Mnist);
    let Values::U8(values) = whole.values() else { panic!("MNIST is bytes") };
    let first = values.slice(s![..3000, ..]).to_owned();
    Padded::scaled(&table(Values::U8(first)))
});

/// Notes every iteration.
#[derive(Debug, Default, PartialEq)]
struct Noted(Vec<Iteration>);

impl Observer for Noted {
    fn seeded(&mut self, _: &[RowIndex], _: &Counters) {}

    fn iterated(&mut self, iteration: &Iteration) {
        // How much was looked at is the engine's own affair.
        self.0.push(Iteration { counters: Counters::default(), ..*iteration });
    }
}

/// What is wrong, all of it, so that one look at a failed test tells how far it goes.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn unless(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.0.push(text());
        }
    }
}

/// Runs by definition and by bounds, with and without an index, at every SIMD level of this
/// processor: all have to agree to the bit.
fn run(
    data: Data<'_>,
    init: &Array2<f32>,
    max_iter: u32,
    tol: f64,
    wrong: &mut Complaints,
) -> (Fit, Noted) {
    let layout = Layout::of(data.rows.n(), data.rows.d());
    let index = Index::build(Simd::detect(), data, 2, layout);
    let ways = SimdLevel::ALL.into_iter().filter_map(Simd::new).flat_map(|simd| {
        [(Engine::Plain, false), (Engine::Fast, false), (Engine::Fast, true)]
            .map(|(engine, indexed)| (simd, engine, indexed))
    });
    let mut runs = ways.map(|(simd, engine, indexed)| {
        let parameters = Parameters {
            k: init.nrows(),
            init_id: 0,
            seed: 0,
            init: Init::Centroids(init.clone()),
            max_iter,
            tol,
            engine,
            simd,
        };
        let mut noted = Noted::default();
        let index = index.as_ref().filter(|_| indexed).map(Index::view);
        let fit = fit(data, index, &parameters, &mut noted).expect("the case is a possible run");
        (format!("{engine} at {}, indexed: {indexed}", simd.level()), fit, noted)
    });
    let (_, portable, noted) = runs.next().expect("every processor has a level");
    for (way, fit, noted_there) in runs {
        wrong.unless(fit.digest() == portable.digest() && noted_there == noted, || {
            format!("{way} differs from plain and portable")
        });
    }
    (portable, noted)
}

/// Every label is that of the nearest returned centroid, the lowest of equals. Distances are taken
/// here as plainly as can be, so what is nearer by less than their rounding counts as equal.
fn check_labels_belong(data: Data<'_>, fit: &Fit, wrong: &mut Complaints) {
    for (row, &label) in fit.labels.iter().enumerate() {
        let x = &data.rows.row(RowIndex::new(row))[..data.rows.d()];
        let distances: Vec<f64> = fit
            .centroids
            .rows()
            .into_iter()
            .map(|c| x.iter().zip(c).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum())
            .collect();
        let own = distances[label as usize];
        let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
        wrong.unless(own <= nearest * (1.0 + 1e-12), || {
            format!("row {row}: its centroid {label} is {own} away, another {nearest}")
        });
        let equal_below = (0..label as usize)
            .find(|&j| fit.centroids.row(j) == fit.centroids.row(label as usize));
        wrong.unless(equal_below.is_none(), || {
            format!("row {row}: label {label}, but {equal_below:?} is the same centroid")
        });
    }
    let mut used = fit.labels.clone();
    used.sort_unstable();
    used.dedup();
    wrong.unless(used.len() == fit.distinct_clusters, || {
        format!("{} clusters have rows, not {}", used.len(), fit.distinct_clusters)
    });
}

fn check(case: &Case) -> Vec<String> {
    let mut wrong = Complaints::default();
    let mut npz = Npz::open(&format!("kmeans/{}.npz", case.name));
    let init: Array2<f32> = npz.array("init");
    let own;
    let padded: &Padded = match case.data.as_deref() {
        None => {
            own = Padded::of(&npz.array("z"));
            &own
        }
        Some("digits") => &DIGITS,
        Some("mnist3000") => &MNIST3000,
        Some(other) => panic!("{}: unknown data {other}", case.name),
    };
    assert_eq!((padded.n, padded.d), (case.n, case.d), "{}", case.name);
    assert_eq!(init.dim(), (case.k, case.d), "{}", case.name);
    let data = padded.data();
    if case.data.is_some() {
        let rows: Array1<i64> = npz.array("init_rows");
        for (center, &row) in init.rows().into_iter().zip(&rows) {
            let scaled = data.rows.row(RowIndex(row.cast_unsigned()));
            let equal = center.iter().zip(scaled).all(|(a, b)| a.to_bits() == b.to_bits());
            wrong.unless(equal, || format!("row {row} is scaled to other bits"));
        }
    }

    let (fit, noted) = run(data, &init, case.max_iter, case.tol, &mut wrong);

    // An inertia that is 0 but for rounding is 0 here: means of equal rows are exact.
    if case.inertia <= 1e-12 * case.scatter {
        wrong.unless(fit.inertia == 0.0, || format!("inertia {}, not 0", fit.inertia));
    } else {
        let off = (fit.inertia - case.inertia).abs() / case.inertia;
        wrong.unless(off <= TOLERANCE, || {
            format!("inertia {}, not {}: off by {off:e}", fit.inertia, case.inertia)
        });
    }
    wrong.unless(fit.distinct_clusters == case.distinct_clusters, || {
        format!("{} clusters, not {}", fit.distinct_clusters, case.distinct_clusters)
    });
    check_labels_belong(data, &fit, &mut wrong);
    match case.compare.as_str() {
        "all" => check_all(case, &mut npz, padded, &fit, &noted, &mut wrong),
        "inertia" => {}
        other => panic!("{}: unknown comparison {other}", case.name),
    }
    wrong.0
}

/// What is to be met where nothing is left to chance.
fn check_all(
    case: &Case,
    npz: &mut Npz,
    padded: &Padded,
    fit: &Fit,
    noted: &Noted,
    wrong: &mut Complaints,
) {
    let labels: Array1<i32> = npz.array("labels");
    assert_eq!(labels.len(), case.n, "{}", case.name);
    let differing = labels
        .iter()
        .zip(&fit.labels)
        .filter(|&(&theirs, &ours)| i64::from(theirs) != i64::from(ours))
        .count();
    wrong.unless(differing == 0, || format!("{differing} of {} labels differ", case.n));
    wrong.unless(fit.n_iter == case.n_iter, || {
        format!("{} iterations, not {}", fit.n_iter, case.n_iter)
    });
    if let Some(stop) = &case.stop {
        wrong.unless(fit.stop.to_string() == *stop, || {
            format!("stopped by {}, not {stop}", fit.stop)
        });
    }
    if let Some(relocated) = &case.relocated {
        let ours: Vec<(u32, u32)> = noted
            .0
            .iter()
            .filter(|iteration| iteration.relocated > 0)
            .map(|iteration| (iteration.number, iteration.relocated))
            .collect();
        let theirs: Vec<(u32, u32)> =
            relocated.iter().map(|moved| (moved.iteration, moved.empty.len() as u32)).collect();
        wrong
            .unless(ours == theirs, || format!("(iteration, rows moved) {ours:?}, not {theirs:?}"));
        let total: u64 = theirs.iter().map(|&(_, count)| u64::from(count)).sum();
        wrong.unless(fit.relocated == total, || {
            format!("{} rows moved in all, not {total}", fit.relocated)
        });
    }
    let centers: Array2<f64> = npz.array("centers");
    assert_eq!(centers.dim(), (case.k, case.d), "{}", case.name);
    let scale = f64::from(Magnitudes::of(&padded.values).largest);
    let off = centers
        .iter()
        .zip(&fit.centroids)
        .map(|(theirs, ours)| (theirs - ours).abs() / scale)
        .fold(0.0, f64::max);
    wrong.unless(off <= TOLERANCE, || format!("centers are off by {off:e} of the largest value"));
}

/// The groups that the tests below go through; every case is in one.
const GROUPS: [(&str, &[&str]); 7] = [
    ("digits", &["digits_"]),
    ("mnist3000", &["mnist3000_"]),
    ("sizes", &["duplicates", "one_feature", "constant_columns", "k_", "one_row", "odd_"]),
    ("empty clusters", &["empty_", "donor_"]),
    ("stopping", &["max_iter_", "tol_"]),
    ("magnitudes", &["offset_", "huge_", "tiny_"]),
    ("ties", &["ties_", "fewer_distinct", "all_equal"]),
];

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(golden("kmeans/cases.json")).expect("golden cases");
    serde_json::from_str(&text).expect("golden cases parse")
}

fn group_of(case: &Case) -> Option<&'static str> {
    let mut groups = GROUPS
        .iter()
        .filter(|(_, prefixes)| prefixes.iter().any(|prefix| case.name.starts_with(prefix)));
    let group = groups.next().map(|(group, _)| *group);
    assert!(groups.next().is_none(), "{} is in two groups", case.name);
    group
}

fn check_group(group: &str) {
    let mut failures = Vec::new();
    for case in cases().iter().filter(|case| group_of(case) == Some(group)) {
        let wrong = check(case);
        if !wrong.is_empty() {
            let shown = wrong.len().min(8);
            failures.push(format!("{}:\n    {}", case.name, wrong[..shown].join("\n    ")));
        }
    }
    assert!(failures.is_empty(), "{group}\n{}", failures.join("\n"));
}

#[test]
fn every_case_is_in_a_group() {
    let cases = cases();
    assert!(cases.len() >= 55, "only {} cases", cases.len());
    for case in &cases {
        assert!(group_of(case).is_some(), "{} is tested nowhere", case.name);
    }
    for (group, _) in GROUPS {
        assert!(cases.iter().any(|case| group_of(case) == Some(group)), "no case of {group}");
    }
    let decided = cases.iter().filter(|case| case.compare == "all").count();
    assert!(decided >= 45, "only {decided} cases compare everything");
}

#[test]
fn digits_are_clustered_as_scikit_learn_does() {
    check_group("digits");
}

#[test]
fn mnist_is_clustered_as_scikit_learn_does() {
    check_group("mnist3000");
}

#[test]
fn odd_sizes_are_clustered_as_scikit_learn_does() {
    check_group("sizes");
}

#[test]
fn empty_clusters_take_the_rows_that_scikit_learn_gives_them() {
    check_group("empty clusters");
}

#[test]
fn runs_stop_when_and_where_scikit_learn_stops() {
    check_group("stopping");
}

#[test]
fn offset_huge_and_tiny_data_is_clustered_as_scikit_learn_does() {
    check_group("magnitudes");
}

#[test]
fn ties_and_fewer_distinct_rows_than_clusters_end_at_the_same_inertia() {
    check_group("ties");
}

/// Where scikit-learn's answer follows from no rule, kscan's follows from its own.
#[test]
fn quirks_of_scikit_learn_are_answered_by_rule() {
    let text = std::fs::read_to_string(golden("kmeans/quirks.json")).expect("golden quirks");
    let quirks: Vec<serde_json::Value> = serde_json::from_str(&text).expect("quirks parse");
    let answers = [
        // The emptied donor goes to the largest cluster's mean, whose rows go to the lower index.
        Answer {
            name: "donor_at_the_sum",
            labels: &[0, 0, 0, 0, 2],
            centers: &[1.5, 1.5, 100.0],
            inertia: 5.0,
            relocated: 1,
        },
        // Every distance is 0, so nothing moves, and the empty cluster is at that mean again.
        Answer {
            name: "empty_at_the_sum",
            labels: &[0, 0, 0, 2, 2],
            centers: &[0.0, 0.0, 4.0],
            inertia: 0.0,
            relocated: 0,
        },
        Answer {
            name: "empty_at_the_mean",
            labels: &[0, 0, 0, 1, 1],
            centers: &[0.0, 4.0, 0.0],
            inertia: 0.0,
            relocated: 0,
        },
        // One row is away from its centroid, so one of the two empty clusters takes it.
        Answer {
            name: "zero_distance_is_relocated",
            labels: &[0, 0, 0, 0, 1, 1, 1, 2],
            centers: &[0.0, 4.0, 5.0, 0.0],
            inertia: 0.0,
            relocated: 1,
        },
        // Row 6 is on centroid 2, and labels belong to the returned centroids.
        Answer {
            name: "labels_do_not_belong",
            labels: &[1, 1, 1, 1, 0, 0, 2, 0],
            centers: &[0.5, 10.0, 2.5],
            inertia: 0.5,
            relocated: 2,
        },
    ];
    assert_eq!(quirks.len(), answers.len());
    for (quirk, answer) in quirks.into_iter().zip(answers) {
        let name = answer.name;
        assert_eq!(quirk["name"], name);
        let quirk: Quirk = serde_json::from_value(quirk).expect("a quirk parses");
        let matrix = |rows: &[Vec<f32>]| {
            Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).expect("a matrix")
        };
        let padded = Padded::of(&matrix(&quirk.z));
        let mut wrong = Complaints::default();
        let (fit, _) =
            run(padded.data(), &matrix(&quirk.init), quirk.max_iter, quirk.tol, &mut wrong);
        check_labels_belong(padded.data(), &fit, &mut wrong);
        assert!(wrong.0.is_empty(), "{name}: {:?}", wrong.0);
        assert_eq!(fit.labels, answer.labels, "{name}");
        assert_eq!(fit.centroids.as_slice(), Some(answer.centers), "{name}");
        assert_eq!(fit.inertia.to_bits(), answer.inertia.to_bits(), "{name}");
        assert_eq!(fit.relocated, answer.relocated, "{name}");
    }
}

#[test]
fn a_cluster_that_stays_empty_goes_to_the_first_of_equally_large_ones() {
    let z = Array2::from_shape_vec((5, 1), vec![2.0, 0.0, 0.0, 4.0, 4.0]).unwrap();
    let init = Array2::from_shape_vec((4, 1), vec![2.0, 4.0, 0.0, 9.0]).unwrap();
    let padded = Padded::of(&z);
    let mut wrong = Complaints::default();
    let (fit, _) = run(padded.data(), &init, 1, 0.0, &mut wrong);
    assert!(wrong.0.is_empty(), "{:?}", wrong.0);
    assert_eq!(fit.centroids.as_slice(), Some(&[2.0, 4.0, 0.0, 4.0][..]));
    assert_eq!(fit.distinct_clusters, 3);
}

#[test]
fn equal_rows_have_themselves_as_centroid_and_inertia_0() {
    // 49 times 1/49 is not 1: a mean that multiplies by a reciprocal is seen here, and one that
    // adds with rounding too.
    let z = Array2::from_shape_fn((98, 3), |(row, column)| {
        (0.1 + column as f32) * if row % 2 == 0 { 1.0 } else { -7.0 }
    });
    let init = z.slice(s![..2, ..]).to_owned() + 0.01;
    let padded = Padded::of(&z);
    let mut wrong = Complaints::default();
    let (fit, _) = run(padded.data(), &init, 300, 1e-4, &mut wrong);
    assert!(wrong.0.is_empty(), "{:?}", wrong.0);
    assert_eq!(fit.centroids, z.slice(s![..2, ..]).mapv(f64::from));
    assert_eq!(fit.inertia.to_bits(), 0.0_f64.to_bits());
}
