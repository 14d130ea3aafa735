//! Holds scaling against scikit-learn's `StandardScaler` (made by `scripts/golden/make_golden.py`).

mod common;

use common::{Npz, builtin, golden, table};
use kscan_dataset::{Builtin, Table, Values};
use kscan_kmeans::Rows;
use kscan_shared::{Scaler, Scaling};
use ndarray::{Array1, Array2};

/// How far mean and standard deviation may lie from scikit-learn's, which adds in another order.
const TOLERANCE: f64 = 1e-12;

/// The same for all of MNIST: adding 60,000 rows one after another, scikit-learn itself is up to
/// 2e-12 from the exact deviations.
const MNIST_TOLERANCE: f64 = 3e-12;

/// What padding holds before and after: nothing is to be written there.
const UNTOUCHED: f32 = 7.5;

/// The names of all cases that have rows.
fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(golden("scaler"))
        .expect("golden scaler cases")
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "npz"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    assert!(names.len() >= 19, "only {} cases", names.len());
    names
}

fn raw(name: &str, npz: &mut Npz) -> Table {
    let (_, dtype) = name.rsplit_once('_').expect("a name ends in its dtype");
    table(match dtype {
        "u8" => Values::U8(npz.array("x")),
        "i64" => Values::I64(npz.array("x")),
        "f32" => Values::F32(npz.array("x")),
        "f64" => Values::F64(npz.array("x")),
        other => panic!("{name}: unknown dtype {other}"),
    })
}

/// All rows scaled, `[n, stride]`.
fn transformed(scaler: &Scaler, table: &Table) -> Vec<f32> {
    let stride = Rows::stride_of(table.cols());
    let mut scaled = vec![UNTOUCHED; table.rows() * stride];
    scaler.transform(table, 0..table.rows(), &mut scaled, stride);
    scaled
}

/// Mean, standard deviation and constant columns are scikit-learn's.
fn check_statistics(name: &str, npz: &mut Npz, scaler: &Scaler, tolerance: f64) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mean, scale): (Array1<f64>, Array1<f64>) = (npz.array("mean"), npz.array("scale"));
    let constant: Array1<bool> = npz.array("constant");
    for (column, (&mean, &scale)) in mean.iter().zip(&scale).enumerate() {
        let (ours, std) = (scaler.mean()[column], scaler.std()[column]);
        // A mean near 0 is the difference of large sums: its column's deviation is the unit then.
        let unit = if constant[column] { mean.abs() } else { mean.abs().max(scale) };
        let off = (ours - mean).abs();
        if off > tolerance * unit {
            wrong.push(format!("{name}, mean {column}: {ours:e}, not {mean:e}"));
        }
        if (std - scale).abs() > tolerance * scale {
            wrong.push(format!("{name}, std {column}: {std:e}, not {scale:e}"));
        }
    }
    let theirs: Vec<usize> = (0..constant.len()).filter(|&column| constant[column]).collect();
    if scaler.constant_columns() != theirs {
        wrong.push(format!(
            "{name}, constant columns: {:?}, not {theirs:?}",
            scaler.constant_columns()
        ));
    }
    wrong
}

#[test]
fn columns_are_scaled_by_the_values_that_scikit_learn_finds() {
    let mut wrong = Vec::new();
    for name in names() {
        let mut npz = Npz::open(&format!("scaler/{name}.npz"));
        let scaler = Scaler::fit(&raw(&name, &mut npz), Scaling::Standard, 2);
        wrong.extend(check_statistics(&name, &mut npz, &scaler, TOLERANCE));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_of_mnist_has_scikit_learns_mean_deviation_and_67_constant_columns() {
    let mut npz = Npz::open("scaler/stats_only/mnist.npz");
    let scaler = Scaler::fit(&builtin(Builtin::Mnist), Scaling::Standard, 2);
    let wrong = check_statistics("mnist", &mut npz, &scaler, MNIST_TOLERANCE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(scaler.constant_columns().len(), 67);
    // Rows are scaled by the values rounded to binary32, where the difference is gone.
    let narrow = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<_>>();
    let (mean, scale): (Array1<f64>, Array1<f64>) = (npz.array("mean"), npz.array("scale"));
    assert_eq!(narrow(scaler.mean()), narrow(mean.as_slice().unwrap()));
    assert_eq!(narrow(scaler.std()), narrow(scale.as_slice().unwrap()));
}

#[test]
fn all_of_mnist_has_the_mean_and_deviation_that_whole_numbers_give() {
    let table = builtin(Builtin::Mnist);
    let scaler = Scaler::fit(&table, Scaling::Standard, 2);
    let Values::U8(x) = table.values() else { panic!("MNIST is bytes") };
    let n = x.nrows() as u64;
    let mut sums = vec![(0_u64, 0_u64); x.ncols()];
    for row in x.rows() {
        for ((sum, squares), &x) in sums.iter_mut().zip(row) {
            *sum += u64::from(x);
            *squares += u64::from(x).pow(2);
        }
    }
    for (column, (sum, squares)) in sums.into_iter().enumerate() {
        let mean = sum as f64 / n as f64;
        // n² times the variance; below 2^64 for 60,000 bytes, so nothing is rounded before this.
        let variance = (n * squares - sum * sum) as f64 / (n * n) as f64;
        let std = if variance == 0.0 { 1.0 } else { variance.sqrt() };
        for (what, ours, exact) in
            [("mean", scaler.mean()[column], mean), ("std", scaler.std()[column], std)]
        {
            let off = (ours - exact).abs();
            assert!(off <= 1e-13 * exact, "{what} {column}: {ours}, not {exact}");
        }
    }
}

#[test]
fn scaled_values_are_scikit_learns_to_the_bit() {
    let mut wrong = Vec::new();
    for name in names() {
        let mut npz = Npz::open(&format!("scaler/{name}.npz"));
        let table = raw(&name, &mut npz);
        let scaler = Scaler::fit(&table, Scaling::Standard, 2);
        let scaled = transformed(&scaler, &table);
        let z: Array2<f32> = npz.array("z");
        assert_eq!(z.dim(), (table.rows(), table.cols()), "{name}");
        let stride = Rows::stride_of(table.cols());
        let differing: Vec<_> = z
            .indexed_iter()
            .filter(|((row, column), theirs)| {
                scaled[row * stride + column].to_bits() != theirs.to_bits()
            })
            .collect();
        if let Some(&((row, column), theirs)) = differing.first() {
            wrong.push(format!(
                "{name}: {} of {} differ, first row {row}, column {column}: {:e}, not {theirs:e}",
                differing.len(),
                z.len(),
                scaled[row * stride + column]
            ));
        }
        let padding = scaled.chunks_exact(stride).flat_map(|row| &row[table.cols()..]);
        assert!(
            padding.into_iter().all(|x| x.to_bits() == UNTOUCHED.to_bits()),
            "{name}: padding is written to"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let check = |name: &str, table: &Table| {
        let one = Scaler::fit(table, Scaling::Standard, 1);
        for threads in [2, 3, 7] {
            let several = Scaler::fit(table, Scaling::Standard, threads);
            assert_eq!(bits(several.mean()), bits(one.mean()), "{name}, {threads}");
            assert_eq!(bits(several.std()), bits(one.std()), "{name}, {threads}");
            assert_eq!(several.constant_columns(), one.constant_columns(), "{name}");
        }
    };
    for name in names() {
        let mut npz = Npz::open(&format!("scaler/{name}.npz"));
        check(&name, &raw(&name, &mut npz));
    }
    // The cases fit one block of rows. This takes several, of which the last is short, and has
    // sums that round differently in any other order.
    let values = Array2::from_shape_fn((5000, 3), |(row, column)| {
        (((row * 7919 + column * 104_729) % 10_007) as f32 / 331.0).exp2()
    });
    check("several blocks", &table(Values::F32(values)));
}

#[test]
fn a_column_is_constant_up_to_the_rounding_that_its_length_allows() {
    // One row differs, by the smallest step below 1. scikit-learn's bound on the variance grows
    // with the number of rows, and passes what such a row leaves at about 420,000 of them.
    for (n, constant) in [(100_000, vec![]), (600_000, vec![0])] {
        let mut values = Array2::from_elem((n, 1), 1.0_f32);
        values[(n / 3, 0)] = 1.0_f32.next_down();
        let scaler = Scaler::fit(&table(Values::F32(values)), Scaling::Standard, 2);
        assert_eq!(scaler.constant_columns(), constant, "{n} rows");
        let scaled = scaler.std()[0].to_bits() != 1.0_f64.to_bits();
        assert_eq!(scaled, constant.is_empty(), "{n} rows");
    }
}

#[test]
fn rows_are_scaled_alike_in_any_part_and_at_any_stride() {
    let mut npz = Npz::open("scaler/digits500_u8.npz");
    let table = raw("digits500_u8", &mut npz);
    let scaler = Scaler::fit(&table, Scaling::Standard, 2);
    let whole = transformed(&scaler, &table);
    for (rows, stride) in [(0..1, 64), (499..500, 64), (17..300, 80), (250..250, 64)] {
        let mut part = vec![UNTOUCHED; rows.len() * stride];
        scaler.transform(&table, rows.clone(), &mut part, stride);
        for (row, part) in rows.clone().zip(part.chunks_exact(stride)) {
            assert_eq!(part[..64], whole[row * 64..][..64], "row {row}");
            assert_eq!(part[64..], vec![UNTOUCHED; stride - 64], "row {row}");
        }
    }
}

#[test]
fn unscaled_rows_are_the_tables_own() {
    for name in names() {
        let mut npz = Npz::open(&format!("scaler/{name}.npz"));
        let table = raw(&name, &mut npz);
        let scaler = Scaler::fit(&table, Scaling::None, 2);
        let (n, d) = (table.rows(), table.cols());
        let mut expected = vec![UNTOUCHED; n * Rows::stride_of(d)];
        table.copy_rows_f32(0..n, &mut expected, Rows::stride_of(d));
        assert_eq!(transformed(&scaler, &table), expected, "{name}");
        assert_eq!(scaler.mean(), vec![0.0; d], "{name}");
        assert_eq!(scaler.std(), vec![1.0; d], "{name}");
        let scaled = Scaler::fit(&table, Scaling::Standard, 2);
        assert_eq!(
            scaler.constant_columns(),
            scaled.constant_columns(),
            "{name}: what is constant does not depend on scaling"
        );
    }
}

#[test]
fn scaled_centroids_go_back_to_the_datas_own_units() {
    let mut npz = Npz::open("scaler/digits500_u8.npz");
    let table = raw("digits500_u8", &mut npz);
    let scaler = Scaler::fit(&table, Scaling::Standard, 2);
    let Values::U8(x) = table.values() else { panic!("digits are bytes") };
    let z: Array2<f32> = npz.array("z");
    for (x, z) in x.rows().into_iter().zip(z.rows()) {
        let scaled: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        for (&x, back) in x.iter().zip(scaler.inverse(&scaled)) {
            assert!((back - f64::from(x)).abs() < 1e-5, "{back} is not {x}");
        }
    }
}

#[test]
fn a_scaler_made_of_its_parts_scales_alike() {
    let mut npz = Npz::open("scaler/plain_f32.npz");
    let table = raw("plain_f32", &mut npz);
    let fitted = Scaler::fit(&table, Scaling::Standard, 2);
    let made = Scaler::from_parts(Scaling::Standard, fitted.mean().to_vec(), fitted.std().to_vec());
    assert_eq!(transformed(&made, &table), transformed(&fitted, &table));
}

#[test]
fn scalings_are_known_by_name() {
    assert_eq!("standard".parse(), Ok(Scaling::Standard));
    assert_eq!("none".parse(), Ok(Scaling::None));
    assert_eq!("Standard".parse::<Scaling>(), Err("unknown scaling 'Standard'".to_owned()));
}
