//! `journal.bin`: bytes, and whole journals that say something else.

use crate::scan::{Plan, Scan};
use kscan_protocol::{RunId, RunRecord};
use kscan_results::{Entry, FailedRun, Journal, JournalKey, Recovered, ScanDocument};
use kscan_verify::Options;

#[test]
fn flipped_cut_and_appended_bytes() {
    let scan = Scan::make(Plan::default());
    let whole = std::fs::read(scan.folder.journal()).unwrap();
    let check = |bytes: &[u8], case: &str| {
        let found = scan.verify_changed("journal.bin", |path| std::fs::write(path, bytes).unwrap());
        let found = found.unwrap_or_else(|| panic!("{case}: unnoticed"));
        assert_eq!(found.file(), "journal.bin", "{case}");
    };
    for at in (0..300).chain((300..whole.len()).step_by(151)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        check(&bytes, &format!("byte {at}"));
    }
    for at in (0..whole.len()).step_by(997) {
        check(&whole[..at], &format!("cut at {at}"));
    }
    check(&[&whole[..], &[0; 64]].concat(), "zeros at the end");
}

type ChangeKey = fn(&mut JournalKey);

/// What verifying finds when the journal is another one.
fn found(scan: &Scan, options: Options, change: impl FnOnce(&mut Recovered)) -> Option<String> {
    let found = scan.verify_changed_with("journal.bin", options, |path| {
        let mut recovered = Journal::read(path).unwrap();
        change(&mut recovered);
        std::fs::remove_file(path).unwrap();
        let mut journal = Journal::create(path, &recovered.key).unwrap();
        for entry in &recovered.entries {
            journal.append(entry).unwrap();
        }
    });
    found.map(|found| {
        assert_eq!(found.file(), "journal.bin", "{found}");
        found.to_string()
    })
}

#[test]
fn another_key() {
    let scan = Scan::make(Plan::default());
    assert_eq!(found(&scan, Options::default(), |_| ()), None);
    let changes: [(&str, ChangeKey); 9] = [
        ("version", |key| key.definition_version += 1),
        ("fingerprint", |key| key.fingerprint.push('0')),
        ("scale", |key| key.scale = "none".to_owned()),
        ("seed", |key| key.seed += 1),
        ("init", |key| key.init = "random".to_owned()),
        ("max_iter", |key| key.max_iter += 1),
        ("tol", |key| key.tol = 1e-300),
        ("the key's k", |key| key.k.truncate(4)),
        ("n_init", |key| key.n_init += 1),
    ];
    for (name, change) in changes {
        let found = found(&scan, Options::default(), |journal| {
            change(&mut journal.key);
        });
        assert!(found.as_ref().is_some_and(|text| text.contains(name)), "{name}: {found:?}");
    }
}

type Change = fn(&mut RunRecord);

fn record(entry: &mut Entry) -> &mut RunRecord {
    match entry {
        Entry::Finished(record) => record,
        Entry::Failed(_) => panic!("no run failed"),
    }
}

/// The index of a run that is, or is not, the best of its k.
fn index(scan: &Scan, is_best: bool) -> usize {
    let document = ScanDocument::read(&scan.folder).unwrap();
    let best = document.best[2].init_id;
    // Two runs a k, in order.
    4 + if is_best { best } else { 1 - best } as usize
}

#[test]
fn other_records() {
    let scan = Scan::make(Plan::default());
    let changes: [(&str, Change); 17] = [
        ("inertia", |record| {
            record.inertia = record.inertia.next_down();
        }),
        ("n_iter", |record| record.n_iter -= 1),
        ("stop", |record| record.stop = kscan_kmeans::Stop::MaxIter),
        ("digest", |record| {
            record.digest = kscan_kmeans::Digest::of(&ndarray::array![[0.0]].view(), &[], 0.0, 0);
        }),
        ("init_rows", |record| record.init_rows.swap(0, 1)),
        ("attempts", |record| record.attempt.0 += 1),
        ("slot", |record| record.placement.slot += 1),
        ("started_s", |record| record.placement.started_s += 1.0),
        ("wall_s", |record| record.usage.wall_s += 1.0),
        ("cpu_s", |record| record.usage.cpu_s += 1.0),
        ("load_s", |record| record.usage.load_s += 1.0),
        ("seed_s", |record| record.usage.seed_s += 1.0),
        ("iterate_s", |record| record.usage.iterate_s += 1.0),
        ("peak_rss_bytes", |record| record.usage.peak_rss_bytes += 1),
        ("private_bytes", |record| record.usage.private_bytes += 1),
        ("distinct_clusters", |record| record.distinct_clusters -= 1),
        ("relocated", |record| record.relocated += 1),
    ];
    for (name, change) in changes {
        for index in [index(&scan, true), index(&scan, false)] {
            let found = found(&scan, Options::default(), |journal| {
                change(record(&mut journal.entries[index]));
            });
            assert!(found.as_ref().is_some_and(|text| text.contains(name)), "{name}: {found:?}");
        }
    }
}

#[test]
fn other_centroids() {
    let scan = Scan::make(Plan::default());
    let changes: [(&str, Change); 4] = [
        ("digest", |record| {
            record.centroids[70] = record.centroids[70].next_up();
        }),
        ("centroids", |record| record.centroids[70] += 1e-9),
        ("init_centers", |record| {
            record.init_centers[9] = record.init_centers[9].next_up();
        }),
        ("values", |record| record.centroids.truncate(9)),
    ];
    let every_run = Options { every_run: true, ..Options::default() };
    let is_best = index(&scan, true);
    let other = index(&scan, false);
    for (name, change) in changes {
        let changed = |index: usize, options| {
            found(&scan, options, |journal| {
                change(record(&mut journal.entries[index]));
            })
        };
        let text = changed(is_best, Options::default()).expect(name);
        assert!(text.contains("cent"), "{name}: {text}");
        // A run that is not the best has its centroids nowhere else.
        assert_eq!(changed(other, Options::default()), None, "{name}");
        let text = changed(other, every_run).expect(name);
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn other_entries() {
    let scan = Scan::make(Plan::default());
    let failed = |k| {
        Entry::Failed(FailedRun {
            run: RunId { k, init_id: 1 },
            attempt: kscan_protocol::Attempt(3),
            placement: kscan_protocol::Placement::default(),
            wall_s: 1.5,
            error: "x".to_owned(),
        })
    };
    let find = |change: &dyn Fn(&mut Recovered)| found(&scan, Options::default(), change);
    let text = find(&|journal| drop(journal.entries.remove(3))).unwrap();
    assert!(text.contains("(k = 3, init_id = 1) of scan.json is not in it"), "{text}");
    let text = find(&|journal| journal.entries.push(failed(9))).unwrap();
    assert!(text.contains("k09-i01 was not to be done"), "{text}");
    let text = find(&|journal| journal.entries[3] = failed(3)).unwrap();
    assert!(text.contains("status of the run (k = 3, init_id = 1)"), "{text}");
    // Any order will do, and a run that failed before it succeeded.
    assert_eq!(find(&|journal| journal.entries.reverse()), None);
    assert_eq!(find(&|journal| journal.entries.insert(0, failed(3))), None);
}
