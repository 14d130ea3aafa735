//! `--init FILE.npz`: first centroids from elsewhere, and with them the comparison with
//! scikit-learn, end to end.

use crate::harness::{Scratch, golden};
use ndarray::{Array1, Array2, Array3, Axis, stack};
use ndarray_npy::{NpzReader, NpzWriter, WritableElement};
use serde_json::Value;
use std::fs::{self, File};

/// What scikit-learn was given, and what it found.
struct Golden {
    init: Array2<f32>,
    labels: Array1<i32>,
    centers: Array2<f64>,
    inertia: f64,
    n_iter: u64,
}

impl Golden {
    fn read(name: &str) -> Self {
        let file = File::open(golden(&format!("kmeans/{name}.npz"))).expect("a golden file");
        let mut npz = NpzReader::new(file).expect("an npz");
        let cases = fs::read(golden("kmeans/cases.json")).expect("cases.json");
        let cases: Vec<Value> = serde_json::from_slice(&cases).expect("JSON");
        let case = cases.iter().find(|case| case["name"] == name).expect("the case");
        Self {
            init: npz.by_name("init").expect("init"),
            labels: npz.by_name("labels").expect("labels"),
            centers: npz.by_name("centers").expect("centers"),
            inertia: case["inertia"].as_f64().expect("inertia"),
            n_iter: case["n_iter"].as_u64().expect("n_iter"),
        }
    }
}

fn write<T: WritableElement>(scratch: &Scratch, name: &str, arrays: &[(&str, Array3<T>)]) {
    let mut npz = NpzWriter::new(File::create(scratch.join(name)).expect("a file"));
    for (name, array) in arrays {
        match array.len_of(Axis(0)) {
            1 => npz.add_array(*name, &array.index_axis(Axis(0), 0)),
            _ => npz.add_array(*name, array),
        }
        .expect("an array");
    }
    npz.finish().expect("an npz");
}

fn one(init: &Array2<f32>) -> Array3<f32> {
    init.clone().insert_axis(Axis(0))
}

#[test]
fn from_the_same_first_centroids_the_answers_are_those_of_scikit_learn() {
    let scratch = Scratch::new();
    // An array [k, d] serves every initialisation, an array [inits, k, d] has one for each.
    let ks = [2_u64, 5, 10, 30];
    let cases = ks.map(|k| [0, 1].map(|i| Golden::read(&format!("digits_k{k:02}_i{i}"))));
    for (k, [first, second]) in ks.iter().zip(&cases) {
        let both = stack(Axis(0), &[first.init.view(), second.init.view()]).expect("one shape");
        write(&scratch, "init.npz", &[(&format!("k{k}"), both)]);
        let out = format!("scan{k}");
        let line =
            format!("run digits --k-low {k} --k-high {k} --n-init 2 --init init.npz --out {out}");
        scratch.kscan(&line).run().exits(0);
        let scan = scratch.scan(&out);
        for (init_id, case) in (0..).zip([first, second]) {
            let run = scan.run(*k, init_id);
            let inertia = run["inertia"].as_f64().expect("inertia");
            let error = (inertia - case.inertia).abs() / case.inertia;
            assert!(error < 1e-9, "k = {k}, {init_id}: {inertia}, not {}", case.inertia);
            assert_eq!(run["n_iter"], case.n_iter, "k = {k}, {init_id}");
            assert_eq!(run["stop"], "labels");
            assert_eq!(run["init_rows"], Value::Array(Vec::new()), "they are no rows");
        }
        let best = usize::from(scan.best(*k)["init_id"] == 1);
        let case = [first, second][best];
        let model = scan.model(*k);
        assert_eq!(model.labels, case.labels, "k = {k}");
        assert_eq!(model.init_centers, case.init, "k = {k}");
        let apart = (&model.centers - &case.centers).mapv(f64::abs);
        assert!(apart.iter().all(|&apart| apart < 1e-9), "k = {k}");
    }
}

#[test]
fn one_array_serves_every_initialisation_in_either_precision() {
    let scratch = Scratch::new();
    let init = one(&Golden::read("digits_k05_i0").init);
    write(&scratch, "narrow.npz", &[("k5", init.clone())]);
    write(&scratch, "wide.npz", &[("k5", init.mapv(f64::from))]);
    let mut found = Vec::new();
    for name in ["narrow", "wide"] {
        let line =
            format!("run digits --k-low 5 --k-high 5 --n-init 2 --init {name}.npz --out {name}");
        scratch.kscan(&line).run().exits(0);
        found.extend(scratch.scan(name).digests().into_values());
    }
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|digest| *digest == found[0]), "{found:?}");
}

#[test]
fn several_k_take_each_its_own_array() {
    let scratch = Scratch::new();
    let (two, five) = (Golden::read("digits_k02_i0"), Golden::read("digits_k05_i0"));
    write(&scratch, "init.npz", &[("k2", one(&two.init)), ("k5", one(&five.init))]);
    let line = "run digits --k-low 2 --k-high 5 --k-step 3 --n-init 1 --init init.npz --out scan";
    scratch.kscan(line).run().exits(0);
    let scan = scratch.scan("scan");
    assert_eq!(scan.model(2).labels, two.labels);
    assert_eq!(scan.model(5).labels, five.labels);
}

#[test]
fn first_centroids_that_do_not_fit_are_refused_and_nothing_is_left() {
    let scratch = Scratch::new();
    let right = Golden::read("digits_k05_i0").init;
    let narrow = right.slice(ndarray::s![.., ..63]).to_owned();
    let few = right.slice(ndarray::s![..4, ..]).to_owned();
    let mut broken = right.clone();
    broken[[3, 7]] = f32::NAN;
    let two = stack(Axis(0), &[right.view(), right.view()]).expect("one shape");
    write(&scratch, "narrow.npz", &[("k5", one(&narrow))]);
    write(&scratch, "few.npz", &[("k5", one(&few))]);
    write(&scratch, "broken.npz", &[("k5", one(&broken))]);
    write(&scratch, "other.npz", &[("k6", one(&right))]);
    write(&scratch, "two.npz", &[("k5", two)]);
    scratch.write("junk.npz", b"PK\x03\x04 but no more than that");
    let before = scratch.contents();
    for (name, words) in [
        ("narrow.npz", &["k = 5", "5 x 63", "5 x 64"][..]),
        ("few.npz", &["k = 5", "4 x 64", "5 x 64"]),
        ("broken.npz", &["k5", "not finite"]),
        ("other.npz", &["k5"]),
        ("two.npz", &["k = 5", "init_id = 2"]),
        ("junk.npz", &[]),
        ("missing.npz", &["No such file"]),
    ] {
        let line = format!("run digits --k-low 5 --k-high 5 --n-init 3 --init {name} --out scan");
        let refused = scratch.kscan(&line).run().exits(3);
        refused.names(&[name]);
        refused.names(words);
        assert_eq!(scratch.contents(), before, "{name}");
    }
}
