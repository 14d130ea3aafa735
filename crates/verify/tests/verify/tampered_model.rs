//! `best/k04.npz`: every array, by as little as possible; and files that are none.

use crate::scan::{Plan, Scan};
use kscan_kmeans::Digest;
use kscan_results::{BestModel, ScanDocument, tables};
use ndarray::Array1;
use ndarray_npy::NpzWriter;
use std::fs::File;

const FILE: &str = "best/k04.npz";

/// A column of digits that is constant, and one that is not.
const CONSTANT: usize = 0;
const VARYING: usize = 20;

type Change = fn(&mut BestModel);

/// What verifying finds when the model is another one.
fn found(scan: &Scan, change: impl FnOnce(&mut BestModel)) -> String {
    let found = scan.verify_changed(FILE, |path| {
        let mut model = BestModel::read(path).unwrap();
        change(&mut model);
        model.write(path).unwrap();
    });
    let found = found.expect("unnoticed");
    assert_eq!(found.file(), FILE, "{found}");
    found.to_string()
}

#[test]
fn one_element_of_each_array() {
    let scan = Scan::make(Plan::default());
    let changes: [(&str, Change); 23] = [
        ("the digest", |m| {
            m.centers[[1, VARYING]] = m.centers[[1, VARYING]].next_up();
        }),
        ("centers[3][0]", |m| m.centers[[3, CONSTANT]] = 5e-324),
        ("centers[1][20]", |m| m.centers[[1, VARYING]] += 1e-12),
        ("centers[1][20] is not finite", |m| {
            m.centers[[1, VARYING]] = f64::NAN;
        }),
        ("centers_raw[1][20]", |m| {
            m.centers_raw[[1, VARYING]] *= 1.0 + 1e-14;
        }),
        ("centers_raw[3][0]", |m| {
            m.centers_raw[[3, CONSTANT]] = f64::NAN;
        }),
        ("labels[100]", |m| m.labels[100] = (m.labels[100] + 1) % 4),
        ("labels[1796] is 4", |m| m.labels[1796] = 4),
        ("labels[0] is -1", |m| m.labels[0] = -1),
        ("init_centers[2][20]", |m| {
            m.init_centers[[2, VARYING]] = m.init_centers[[2, VARYING]].next_down();
        }),
        ("init_centers[0][0]", |m| {
            m.init_centers[[0, CONSTANT]] = -0.0;
        }),
        ("nearest_rows[3][4]", |m| m.nearest.rows[[3, 4]] += 1),
        ("nearest_rows[0][0]", |m| m.nearest.rows.swap([0, 0], [0, 1])),
        ("nearest_raw[1][2][20]", |m| m.nearest.raw[[1, 2, VARYING]] += 1e-4),
        ("silhouette_rows[1796]", |m| m.silhouette_rows[1796] -= 1),
        ("silhouettes[7]", |m| m.silhouettes[7] += 1e-8),
        ("silhouettes[7]", |m| m.silhouettes[7] = f64::NAN),
        ("scale_mean[20]", |m| m.scale_mean[VARYING] *= 1.0 + 1e-8),
        ("scale_mean[20]", |m| {
            m.scale_mean[VARYING] = m.scale_mean[VARYING].next_up();
        }),
        ("scale_mean[20]", |m| m.scale_mean[VARYING] = f64::NAN),
        ("scale_std[20]", |m| m.scale_std[VARYING] *= 1.0 + 1e-8),
        ("scale_std[20]", |m| {
            m.scale_std[VARYING] = m.scale_std[VARYING].next_down();
        }),
        ("scale_std[0]", |m| {
            m.scale_std[CONSTANT] = 1.0_f64.next_up();
        }),
    ];
    for (expected, change) in changes {
        let found = found(&scan, change);
        assert!(found.contains(expected), "{expected}: {found}");
    }
    scan.verify().unwrap();
}

#[test]
fn other_shapes_types_and_arrays() {
    let scan = Scan::make(Plan::default());
    let text = found(&scan, |m| {
        m.labels = m.labels.slice(ndarray::s![1..]).to_owned();
    });
    assert!(text.contains("the length of labels is 1796"), "{text}");
    let text = found(&scan, |m| {
        m.centers = m.centers.slice(ndarray::s![1.., ..]).to_owned();
        m.centers_raw = m.centers_raw.slice(ndarray::s![1.., ..]).to_owned();
        m.init_centers = m.init_centers.slice(ndarray::s![1.., ..]).to_owned();
        m.nearest.rows = m.nearest.rows.slice(ndarray::s![1.., ..]).to_owned();
        m.nearest.raw = m.nearest.raw.slice(ndarray::s![1.., .., ..]).to_owned();
    });
    assert!(text.contains("the shape of centers is [3, 64]"), "{text}");
    let text = found(&scan, |m| m.scale_std = Array1::ones(63));
    assert_eq!(text, "best/k04.npz cannot be read");

    let model = BestModel::read(&scan.path(FILE)).unwrap();
    let wide: Array1<i64> = model.labels.mapv(i64::from);
    let found = scan.verify_changed(FILE, |path| {
        let mut npz = NpzWriter::new(File::create(path).unwrap());
        npz.add_array("centers", &model.centers).unwrap();
        npz.add_array("centers_raw", &model.centers_raw).unwrap();
        npz.add_array("labels", &wide).unwrap();
        npz.add_array("init_centers", &model.init_centers).unwrap();
        npz.add_array("scale_mean", &model.scale_mean).unwrap();
        npz.add_array("scale_std", &model.scale_std).unwrap();
        npz.add_array("nearest_rows", &model.nearest.rows).unwrap();
        npz.add_array("nearest_raw", &model.nearest.raw).unwrap();
        npz.add_array("silhouette_rows", &model.silhouette_rows).unwrap();
        npz.add_array("silhouettes", &model.silhouettes).unwrap();
        npz.finish().unwrap();
    });
    assert_eq!(found.unwrap().to_string(), "best/k04.npz cannot be read");
}

/// A flipped bit is found, or is one of the container's that says nothing of the arrays.
#[test]
fn flipped_bits_and_cuts() {
    let scan = Scan::make(Plan::default());
    let whole = std::fs::read(scan.path(FILE)).unwrap();
    let model = BestModel::read(&scan.path(FILE)).unwrap();
    let mut unnoticed = 0;
    for at in (0..200).chain((200..whole.len()).step_by(101)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let found = scan.verify_changed(FILE, |path| {
            std::fs::write(path, &bytes).unwrap();
            if BestModel::read(path).is_ok_and(|read| read == model) {
                unnoticed += 1;
                model.write(path).unwrap();
                std::fs::write(path, b"").unwrap();
            }
        });
        assert_eq!(found.unwrap().file(), FILE, "byte {at}");
    }
    assert!(unnoticed < 60, "{unnoticed}");
    for at in (0..whole.len()).step_by(1999) {
        let found = scan.verify_changed(FILE, |path| std::fs::write(path, &whole[..at]).unwrap());
        assert_eq!(found.unwrap().file(), FILE, "cut at {at}");
    }
    let other = std::fs::read(scan.path("best/k05.npz")).unwrap();
    let found = scan.verify_changed(FILE, |path| std::fs::write(path, &other).unwrap());
    assert!(found.unwrap().to_string().contains("the shape of centers is [5, 64]"));
}

/// What verifying finds when a model is another one and all of its digests say so.
fn forged(scan: &Scan, change: impl FnOnce(&mut BestModel)) -> String {
    let path = scan.path(FILE);
    let before = ["scan.json", "runs.csv", "curve.csv", FILE]
        .map(|file| (file, std::fs::read(scan.path(file)).unwrap()));
    let mut model = BestModel::read(&path).unwrap();
    change(&mut model);
    model.write(&path).unwrap();

    let mut document = ScanDocument::read(&scan.folder).unwrap();
    let best = document.best.iter_mut().find(|best| best.k == 4).unwrap();
    let labels: Vec<u32> = model.labels.iter().map(|label| label.cast_unsigned()).collect();
    best.digest = Digest::of(&model.centers.view(), &labels, best.inertia, best.n_iter);
    let is_best =
        |run: &&mut kscan_results::RunDocument| (run.k, run.init_id) == (best.k, best.init_id);
    document.runs.iter_mut().find(is_best).unwrap().digest = Some(best.digest.clone());
    document.write(&scan.folder).unwrap();
    tables::write_runs(&scan.folder.runs_csv(), &document.runs).unwrap();
    tables::write_curve(&scan.folder.curve_csv(), &document.best).unwrap();

    let found = scan.verify().expect_err("unnoticed");
    assert_eq!(found.file(), FILE, "{found}");
    for (file, bytes) in before {
        std::fs::write(scan.path(file), bytes).unwrap();
    }
    scan.verify().unwrap();
    found.to_string()
}

/// The arithmetic does not lean on the digest. In a constant column every row is 0, so moving all
/// centroids there together leaves all labels as they are.
#[test]
fn forged_with_its_digest() {
    let by_labels = Scan::make(Plan::default());
    let text = forged(&by_labels, |m| m.centers.column_mut(CONSTANT).fill(1e-12));
    assert!(text.contains("centers[0][0]"), "{text}");
    let text = forged(&by_labels, |m| m.labels[7] = (m.labels[7] + 2) % 4);
    assert!(text.contains("labels[7]"), "{text}");
    let text = forged(&by_labels, |m| {
        m.centers = m.centers.slice(ndarray::s![..;-1, ..]).to_owned();
    });
    assert!(text.contains("labels[0]"), "{text}");

    let by_shift = Scan::make(Plan { tol: 1e-2, ..Plan::default() });
    let document = ScanDocument::read(&by_shift.folder).unwrap();
    let (k, init_id) = (document.best[2].k, document.best[2].init_id);
    let run = document.runs.iter().find(|run| (run.k, run.init_id) == (k, init_id)).unwrap();
    assert_eq!((k, run.stop), (4, Some(kscan_kmeans::Stop::Shift)));
    let text = forged(&by_shift, |m| m.centers.column_mut(CONSTANT).fill(10.0));
    assert!(text.contains("away from the mean of its rows"), "{text}");
    let text = forged(&by_shift, |m| m.centers.column_mut(CONSTANT).fill(1.0));
    assert!(text.contains("centers[") || text.contains("inertia"), "{text}");

    let by_max_iter = Scan::make(Plan { max_iter: 3, ..Plan::default() });
    let text = forged(&by_max_iter, |m| m.centers.column_mut(CONSTANT).fill(1e-7));
    assert!(text.contains("centers[0][0], done again, is 1e-7"), "{text}");
}
