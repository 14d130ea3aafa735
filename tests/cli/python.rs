//! Results in Python: with numpy and pandas alone, and as a `sklearn.cluster.KMeans`.
//!
//! `KSCAN_PYTHON` names a Python that has the packages of `scripts/python/requirements.txt`;
//! `.ci/run` makes one.

use crate::harness::Scratch;
use std::process::Command;

/// The Python lines of the README.
fn readme() -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, lines) = readme.split_once("```python\n").expect("the README has lines of Python");
    lines.split_once("```").expect("they end").0
}

/// Runs `script` in the scratch folder, with warnings as errors.
#[track_caller]
fn python(scratch: &Scratch, script: &str) -> String {
    let python = std::env::var_os("KSCAN_PYTHON").expect("KSCAN_PYTHON names a Python");
    let python = Command::new(python)
        .args(["-W", "error", "-c", script])
        .current_dir(scratch.path())
        .output()
        .expect("KSCAN_PYTHON can be run");
    let (out, err) =
        (String::from_utf8_lossy(&python.stdout), String::from_utf8_lossy(&python.stderr));
    assert!(python.status.success(), "{script}\n{out}{err}");
    out.into_owned()
}

#[test]
#[ignore = "it takes a Python with scikit-learn: .ci/run makes one and sets KSCAN_PYTHON"]
fn the_lines_of_the_readme_make_a_fitted_scikit_learn_model() {
    for scale in ["standard", "none"] {
        let scratch = Scratch::new();
        let line = "run digits --k-low 9 --k-high 10 --n-init 2 --out DIR --scale";
        scratch.kscan(&format!("{line} {scale}")).run().exits(0);
        scratch.kscan("data export digits --out data.npy").run().exits(0);
        let script = format!(
            "{}
assert kmeans.cluster_centers_.shape == (10, 64)
assert (labels == kmeans.labels_).all(), (labels != kmeans.labels_).sum()
assert len(set(labels)) == 10
rows = np.float64(rows)
assert np.isclose(-kmeans.score(rows), kmeans.inertia_, rtol=1e-12)
assert kmeans.transform(rows).shape == (1797, 10)
# The fit is at rest: another one from there changes nothing.
again = KMeans(n_clusters=10, init=kmeans.cluster_centers_, n_init=1).fit(rows)
assert np.isclose(again.inertia_, kmeans.inertia_, rtol=1e-3)
assert kmeans.n_iter_ > 1",
            readme()
        );
        python(&scratch, &script);
    }
}

#[test]
#[ignore = "it takes a Python with pandas: .ci/run makes one and sets KSCAN_PYTHON"]
fn every_file_loads_with_numpy_and_pandas_alone() {
    let scratch = Scratch::new();
    scratch
        .kscan("run digits --k-low 2 --k-high 7 --n-init 2 --out DIR --table parquet")
        .run()
        .exits(0);
    let script = "
import json, pathlib, sys
# None of these can be imported.
sys.modules.update(dict.fromkeys(['pyarrow', 'sklearn', 'scipy']))
import numpy as np, pandas as pd
folder = pathlib.Path('DIR')
scan = json.loads((folder / 'scan.json').read_text())
runs = pd.read_csv(folder / 'runs.csv')
assert len(runs) == 12 and list(runs.inertia) == [run['inertia'] for run in scan['runs']]
curve = pd.read_csv(folder / 'curve.csv', index_col='k')
assert list(curve.inertia) == [best['inertia'] for best in scan['best']]
elbow = pd.read_csv(folder / 'elbow.csv')
assert list(elbow.score_mean) == scan['elbow']['scores']
for best in scan['best']:
    with np.load(folder / best['file'], allow_pickle=False) as model:
        shapes = {name: model[name].shape for name in model.files}
        labels = model['labels']
    k = best['k']
    assert shapes['centers'] == shapes['centers_raw'] == shapes['init_centers'] == (k, 64)
    assert shapes['scale_mean'] == shapes['scale_std'] == (64,)
    table = pd.read_csv(folder / f'contingency/k{k:02}.csv', index_col='label')
    assert (table.sum(axis=0).to_numpy() == np.bincount(labels, minlength=k)).all()
logs = pd.concat(pd.read_json(log, lines=True) for log in sorted((folder / 'logs').glob('k*.jsonl')))
assert (logs.message == 'iteration').sum() == runs.n_iter.sum()
assert len(json.loads((folder / 'trace.json').read_text())['traceEvents']) > 12
print('all of it')
";
    assert_eq!(python(&scratch, script), "all of it\n");
}

#[test]
#[ignore = "it takes a Python with pyarrow: .ci/run makes one and sets KSCAN_PYTHON"]
fn parquet_tables_have_the_columns_and_the_types_of_the_csv_tables() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 7 --n-init 2 --out DIR";
    scratch.kscan(&format!("{line} --table parquet")).run().exits(0);
    let script = "
import pandas as pd
for name in ['runs', 'curve', 'criteria']:
    table, same = pd.read_csv(f'DIR/{name}.csv'), pd.read_parquet(f'DIR/{name}.parquet')
    assert list(table.columns) == list(same.columns), name
    assert len(table) == len(same) > 5, name
    for column in table.columns:
        of, found = table[column], same[column]
        assert (of.isna() == found.isna()).all() and (of.dropna() == found.dropna()).all(), column
        assert of.isna().all() or of.dtype.kind == found.dtype.kind, (column, of.dtype, found.dtype)
print('all of it')
";
    assert_eq!(python(&scratch, script), "all of it\n");
}
