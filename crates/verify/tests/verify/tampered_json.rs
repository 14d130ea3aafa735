//! `scan.json`, one value at a time.

use crate::scan::{Plan, Scan};
use kscan_results::{RunStatus, ScanDocument, VerdictKind, tables};
use serde_json::{Value, json};

/// What can be changed without notice, and why.
const UNCHECKED: &[(&str, &str)] = &[
    ("config.data", "the caller reads the data that it names"),
    ("config.labels", "the caller reads the labels that it names"),
    ("config.n_proc", "no result depends on it"),
    ("config.dispatch", "no result depends on it"),
    ("config.launcher", "no result depends on it"),
    ("config.retries", "no result depends on it"),
    ("config.timeout_s", "no result depends on it"),
    ("config.engine", "no result depends on it"),
    ("config.table", "it is of the tables that are written beside those checked"),
    ("environment.kscan_version", "no result depends on it"),
    ("environment.cpu", "no result depends on it"),
    ("environment.cores", "no result depends on it"),
    ("environment.simd", "no result depends on it"),
    ("timing", "nothing else tells it"),
    ("elbow.reason", "a text"),
    ("elbow.confidence.reason", "a text"),
    ("choices.reason", "a text"),
    ("verdict.reasons", "texts"),
];

fn is_unchecked(path: &str) -> bool {
    // Whichever element of a list.
    let mut index = false;
    let path: String = path
        .chars()
        .filter(|&c| {
            index = index && c != ']' || c == '[';
            !index && c != ']'
        })
        .collect();
    UNCHECKED.iter().any(|(prefix, _)| path == *prefix || path.starts_with(&format!("{prefix}.")))
}

/// What a message has when a field is changed, where that is not the field's name.
const NAMED_OTHERWISE: &[(&str, &str)] = &[
    ("k", "k"),
    ("k_low", "k = "),
    ("k_high", "k"),
    ("k_step", "k"),
    ("n_init", "init_id"),
    ("status", "is"),
    // Of a best run: the first centroids are not these rows.
    ("init_rows", "init_"),
    ("thresholds", "threshold"),
    ("threshold_k", "k of row"),
    ("scores", "score_mean of row"),
    ("mean", "silhouette"),
];

/// Every place in `value`: `path` for the reader, and a JSON pointer.
fn places(value: &Value, path: &str, pointer: &str, into: &mut Vec<(String, String)>) {
    into.push((path.to_owned(), pointer.to_owned()));
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{name}");
                places(value, &path, &format!("{pointer}/{name}"), into);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                let path = format!("{path}[{index}]");
                places(value, &path, &format!("{pointer}/{index}"), into);
            }
        }
        _ => {}
    }
}

/// Other values than `value`, as near to it as can be.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!(1), json!("x")],
        Value::Bool(truth) => vec![json!(!truth)],
        Value::String(text) => vec![json!(format!("{text}x")), json!(""), Value::Null],
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(number), _) => {
                vec![json!(number + 1), json!(number.wrapping_sub(1)), Value::Null]
            }
            (_, Some(number)) => vec![json!(number.next_up()), json!(-number), Value::Null],
            _ => vec![Value::Null],
        },
        Value::Array(elements) if elements.is_empty() => vec![json!([0]), Value::Null],
        Value::Array(elements) => {
            let without = |index: usize| {
                let mut elements = elements.clone();
                elements.remove(index);
                Value::Array(elements)
            };
            let mut doubled = elements.clone();
            doubled.push(elements[0].clone());
            vec![without(0), without(elements.len() - 1), Value::Array(doubled), Value::Null]
        }
        Value::Object(_) => vec![Value::Null, json!({})],
    }
}

const UNREADABLE: &str = "scan.json cannot be read";

/// The name of the field that a path leads to.
fn field(path: &str) -> &str {
    let last = path.rsplit('.').next().unwrap_or(path);
    last.split('[').next().unwrap_or(last)
}

fn every_value(scan: &Scan) {
    let text = std::fs::read_to_string(scan.folder.scan_json()).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    places(&whole, "", "", &mut all);
    let mut changed = 0;
    for (path, pointer) in all.iter().filter(|(path, _)| !is_unchecked(path)) {
        for other in others(whole.pointer(pointer).unwrap()) {
            let mut document = whole.clone();
            let place = document.pointer_mut(pointer).unwrap();
            if *place == other {
                continue;
            }
            *place = other.clone();
            let found = scan.verify_changed("scan.json", |path| {
                std::fs::write(path, document.to_string()).unwrap();
            });
            let found = found.unwrap_or_else(|| panic!("{path} -> {other} went unnoticed"));
            let found = found.to_string();
            let field = field(path);
            let named = NAMED_OTHERWISE.iter().find(|(name, _)| *name == field);
            let name = named.map_or(field, |(_, name)| name);
            // A value of another type, or a run without one of its values, says so.
            let same_type = (other.is_number() || other.is_string()) && found != UNREADABLE;
            assert!(!same_type || found.contains(name), "{path} -> {other}: {found}");
            changed += 1;
        }
    }
    assert!(changed > 500, "{changed}");
    scan.verify().unwrap();
}

#[test]
fn every_value_of_a_complete_scan() {
    every_value(&Scan::make(Plan::default()));
}

#[test]
fn every_value_of_a_partial_scan_without_an_elbow() {
    let scan = Scan::make(Plan {
        ks: (2, 4),
        fails: Some(kscan_protocol::RunId { k: 3, init_id: 0 }),
        gap: Some(1),
        tol: 1e-2,
        ..Plan::default()
    });
    every_value(&scan);
}

#[test]
fn every_value_of_a_scan_with_references() {
    let scan = Scan::make(Plan { ks: (2, 4), gap: Some(2), tol: 1e-2, ..Plan::default() });
    let document = ScanDocument::read(&scan.folder).unwrap();
    assert!(document.criteria.iter().all(|of| of.gap.is_some()), "{:?}", document.criteria);
    every_value(&scan);
}

type Change = fn(&mut ScanDocument);

/// Criteria changed in `scan.json` and in their table alike, and conclusions that do not follow:
/// the rows still know.
#[test]
fn forged_criteria_and_verdicts() {
    let scan = Scan::make(Plan::default());
    let whole = ScanDocument::read(&scan.folder).unwrap();
    let forges: [(&str, Change); 14] = [
        ("calinski_harabasz", |d| change(&mut d.criteria[1].calinski_harabasz)),
        ("davies_bouldin", |d| change(&mut d.criteria[1].davies_bouldin)),
        ("davies_bouldin", |d| d.criteria[1].davies_bouldin = None),
        ("silhouette.mean", |d| d.criteria[2].silhouette.as_mut().unwrap().mean += 1e-8),
        ("silhouette.standard_error", |d| {
            d.criteria[2].silhouette.as_mut().unwrap().standard_error = Some(0.01);
        }),
        ("labels.adjusted_rand", |d| d.criteria[2].labels.as_mut().unwrap().adjusted_rand += 1e-8),
        ("labels.homogeneity", |d| d.criteria[2].labels.as_mut().unwrap().homogeneity += 1e-8),
        ("labels.purity", |d| d.criteria[0].labels.as_mut().unwrap().purity += 1e-8),
        ("labels is null", |d| d.criteria[0].labels = None),
        ("clusters[1].inertia", |d| {
            let inertia = &mut d.criteria[0].clusters[1].inertia;
            *inertia = inertia.next_up();
        }),
        ("clusters: their number", |d| {
            d.criteria[3].clusters.pop();
        }),
        ("verdict.kind", |d| {
            let verdict = d.verdict.as_mut().unwrap();
            verdict.kind = match verdict.kind {
                VerdictKind::Agree => VerdictKind::Disagree,
                VerdictKind::Disagree | VerdictKind::NoElbow => VerdictKind::Agree,
            };
        }),
        ("verdict.reasons", |d| {
            let reasons = &mut d.verdict.as_mut().unwrap().reasons;
            *reasons = if reasons.is_empty() { vec!["x".to_owned()] } else { Vec::new() };
        }),
        ("elbow.confidence.shares", |d| {
            let kscan_results::ElbowDocument::Found(found) = &mut d.elbow else { unreachable!() };
            let shares = &mut found.confidence.as_mut().unwrap().shares;
            shares[0] -= 0.25;
            shares[1] += 0.25;
        }),
    ];
    for (field, forge) in forges {
        let mut document = whole.clone();
        forge(&mut document);
        document.write(&scan.folder).unwrap();
        tables::write_criteria(&scan.folder.criteria_csv(), &document.criteria).unwrap();
        let found = scan.verify().expect_err(field);
        assert!(found.to_string().contains(field), "{field}: {found}");
    }
}

fn change(index: &mut Option<f64>) {
    *index = index.map(|index| index * (1.0 + 1e-8));
}

/// Every value that is gone, unless it was null: that is the same.
#[test]
fn keys_that_are_gone() {
    let scan = Scan::make(Plan::default());
    let text = std::fs::read_to_string(scan.folder.scan_json()).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    places(&whole, "", "", &mut all);
    for (path, pointer) in &all {
        let Some((parent, name)) = pointer.rsplit_once('/') else {
            continue;
        };
        // A scan without references may say so by leaving them out.
        let value = whole.pointer(pointer).unwrap();
        let is_same = value.is_null() || (path == "references" && *value == json!([]));
        let mut document = whole.clone();
        let Some(Value::Object(fields)) = document.pointer_mut(parent) else {
            continue;
        };
        if is_same || is_unchecked(path) {
            continue;
        }
        fields.remove(name);
        let found = scan.verify_changed("scan.json", |path| {
            std::fs::write(path, document.to_string()).unwrap();
        });
        assert!(found.is_some(), "{path}");
    }
}

#[test]
fn what_is_no_json() {
    let scan = Scan::make(Plan::default());
    let text = std::fs::read(scan.folder.scan_json()).unwrap();
    for bytes in [&b""[..], b"{}", b"[]", b"\xff", &text[..text.len() / 2]] {
        let found = scan.verify_changed("scan.json", |path| std::fs::write(path, bytes).unwrap());
        assert_eq!(found.unwrap().to_string(), UNREADABLE);
    }
}

type Forge = fn(&mut kscan_results::RunDocument);

/// Fields changed in `scan.json` and in the tables alike: the models and the journal still know.
#[test]
fn forged_with_its_tables() {
    let scan = Scan::make(Plan::default());
    let whole = ScanDocument::read(&scan.folder).unwrap();
    let is_best = |index: usize| {
        let run = whole.runs[index].run();
        whole.best.iter().any(|best| (best.k, best.init_id) == (run.k, run.init_id))
    };
    let best = (0..10).find(|&index| is_best(index)).unwrap();
    let other = (0..10).find(|&index| !is_best(index)).unwrap();
    let forges: [(&str, Forge); 16] = [
        ("inertia", |run| run.inertia = run.inertia.map(f64::next_up)),
        ("n_iter", |run| run.n_iter = run.n_iter.map(|n| n + 1)),
        ("stop", |run| run.stop = Some(kscan_kmeans::Stop::Shift)),
        ("init_rows", |run| run.init_rows[0].0 += 1),
        ("digest", |run| {
            let digest = run.digest.as_ref().unwrap().to_string();
            let digest: String = digest.chars().rev().collect();
            run.digest = serde_json::from_value(json!(digest)).unwrap();
        }),
        ("attempts", |run| run.attempts += 1),
        ("slot", |run| run.slot = Some(7)),
        ("started_s", |run| run.started_s = Some(1.0)),
        ("wall_s", |run| run.wall_s = Some(1.0)),
        ("cpu_s", |run| run.cpu_s = Some(1.0)),
        ("seed_s", |run| run.seed_s = Some(1.0)),
        ("peak_rss_bytes", |run| run.peak_rss_bytes = Some(1)),
        ("private_bytes", |run| run.private_bytes = Some(1)),
        ("distinct_clusters", |run| run.distinct_clusters = Some(1)),
        ("relocated", |run| run.relocated = Some(1)),
        ("log", |run| run.log.push('x')),
    ];
    for (field, forge) in forges {
        for index in [best, other] {
            let mut document = whole.clone();
            forge(&mut document.runs[index]);
            let run = document.runs[index].clone();
            if index == best {
                let best = document.best.iter_mut().find(|best| best.k == run.k).unwrap();
                best.inertia = run.inertia.unwrap();
                best.n_iter = run.n_iter.unwrap();
                best.digest = run.digest.unwrap();
            }
            document.write(&scan.folder).unwrap();
            tables::write_runs(&scan.folder.runs_csv(), &document.runs).unwrap();
            tables::write_curve(&scan.folder.curve_csv(), &document.best).unwrap();
            let found = scan.verify().expect_err(field);
            if index == other {
                assert_eq!(found.file(), "journal.bin", "{field}");
                assert!(found.to_string().contains(field), "{field}: {found}");
            } else {
                assert!(["best/k02.npz", "journal.bin"].contains(&found.file()), "{found}");
            }
        }
    }
    // A run that failed, and is said to have been missing.
    let mut document = whole.clone();
    document.runs[other].status = RunStatus::Failed;
    document.write(&scan.folder).unwrap();
    let found = scan.verify().unwrap_err().to_string();
    assert!(found.contains("status is complete"), "{found}");
}
