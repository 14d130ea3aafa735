//! The reference scans of the gap statistic: their journals, and what follows from them.

use crate::scan::{Plan, Scan};
use kscan_protocol::RunRecord;
use kscan_results::{Entry, Journal, Recovered, ReferenceDocument, ScanDocument, tables};
use kscan_verify::{Options, Verified};

const ALL: Options = Options { every_run: true, replay: true };

fn with_references() -> Scan {
    Scan::make(Plan { ks: (2, 4), gap: Some(2), ..Plan::default() })
}

#[test]
fn references_hold() {
    let scan = with_references();
    let expected = Verified {
        ks: 3,
        runs: 6,
        models: 3,
        references: 2,
        reference_runs: 6,
        ..Verified::default()
    };
    assert_eq!(scan.verify().unwrap(), expected);
    let all = Verified { other_runs: 3, reference_runs: 12, replayed: 18, ..expected };
    assert_eq!(scan.verify_with(ALL).unwrap(), all);
}

/// Writes the journal of the first reference again after a change, and `scan.json` so that it fits.
fn forge(scan: &Scan, change: impl FnOnce(&mut Recovered)) -> String {
    let path = scan.folder.reference(0).journal();
    let before = std::fs::read(&path).unwrap();
    let mut recovered = Journal::read(&path).unwrap();
    change(&mut recovered);
    std::fs::remove_file(&path).unwrap();
    let mut journal = Journal::create(&path, &recovered.key).unwrap();
    recovered.entries.iter().for_each(|entry| journal.append(entry).unwrap());
    let found = scan.verify_changed("scan.json", |_| {
        let mut document = ScanDocument::read(&scan.folder).unwrap();
        let best = &mut document.references[0].best[1];
        let record = recovered.entries.iter().find_map(|entry| match entry {
            Entry::Finished(record)
                if (record.run.k, record.run.init_id) == (best.k, best.init_id) =>
            {
                Some(record)
            }
            _ => None,
        });
        *best = record.unwrap().as_ref().into();
        document.write(&scan.folder).unwrap();
    });
    std::fs::write(&path, before).unwrap();
    found.map_or_else(String::new, |found| found.to_string())
}

/// The record of the best run of k = 3 of the first reference.
fn best(scan: &Scan, recovered: &mut Recovered) -> usize {
    let document = ScanDocument::read(&scan.folder).unwrap();
    let init_id = document.references[0].best[1].init_id;
    recovered
        .entries
        .iter()
        .position(|entry| match entry {
            Entry::Finished(record) => (record.run.k, record.run.init_id) == (3, init_id),
            Entry::Failed(_) => false,
        })
        .unwrap()
}

type Change = fn(&mut RunRecord);

#[test]
fn what_journal_and_scan_json_agree_on_is_held_against_the_data_drawn_again() {
    let scan = with_references();
    let changes: [(&str, Change); 6] = [
        // Smaller, so that it stays the best.
        ("inertia", |record| record.inertia *= 1.0 - 1e-8),
        ("digest", |record| record.inertia = record.inertia.next_down()),
        ("centroids", |record| record.centroids[70] += 1e-9),
        ("init_centers", |record| record.init_centers[9] = record.init_centers[9].next_up()),
        ("init_centers", |record| record.init_rows[1].0 ^= 1),
        ("init_rows", |record| record.init_rows[1].0 = 1797),
    ];
    for (name, change) in changes {
        let found = forge(&scan, |recovered| {
            let index = best(&scan, recovered);
            let Entry::Finished(record) = &mut recovered.entries[index] else { unreachable!() };
            change(record);
        });
        let named = found.starts_with("gap/r00/journal.bin") && found.contains(name);
        assert!(named, "{name}: {found}");
    }
    assert_eq!(forge(&scan, |recovered| recovered.entries.reverse()), "");
}

#[test]
fn journals_that_are_of_something_else_torn_or_gone() {
    let scan = with_references();
    let found = forge(&scan, |recovered| recovered.key.seed += 1);
    assert!(found.contains("the key's seed"), "{found}");
    let found = forge(&scan, |recovered| drop(recovered.entries.remove(0)));
    assert!(found.contains("number of runs"), "{found}");
    let verify_with = |change: &dyn Fn(&std::path::Path)| {
        scan.verify_changed("gap/r00/journal.bin", change).expect("it is wrong").to_string()
    };
    let other = scan.folder.reference(1).journal();
    let found = verify_with(&|path| {
        std::fs::copy(&other, path).unwrap();
    });
    assert!(found.contains("the key's fingerprint is reference 1 of"), "{found}");
    let found = verify_with(&|path| std::fs::remove_file(path).unwrap());
    assert_eq!(found, "gap/r00/journal.bin cannot be read");
    let found = verify_with(&|path| {
        let whole = std::fs::read(path).unwrap();
        std::fs::write(path, [&whole[..], &[7; 9]].concat()).unwrap();
    });
    assert!(found.contains("its last 9 bytes"), "{found}");
}

type Forge = fn(&mut ScanDocument);

/// Also where the tables say the same.
#[test]
fn gaps_and_what_is_chosen_by_them_follow() {
    let scan = with_references();
    let whole = ScanDocument::read(&scan.folder).unwrap();
    let forges: [(&str, Forge); 6] = [
        ("criteria[1].gap.gap", |d| d.criteria[1].gap.as_mut().unwrap().gap += 1e-7),
        ("criteria[1].gap.s", |d| d.criteria[1].gap.as_mut().unwrap().s += 1e-7),
        ("criteria[0].gap is null", |d| d.criteria[0].gap = None),
        ("choices[5].k", |d| {
            let choice = &mut d.choices[5];
            choice.k = if choice.k == Some(2) { Some(3) } else { Some(2) };
            choice.reason = None;
        }),
        ("choices", |d| drop(d.choices.pop())),
        ("references[0].best[0].inertia", |d| d.references[0].best[0].inertia *= 1.1),
    ];
    for (name, forge) in forges {
        let mut document = whole.clone();
        forge(&mut document);
        document.write(&scan.folder).unwrap();
        tables::write_criteria(&scan.folder.criteria_csv(), &document.criteria).unwrap();
        let found = scan.verify().expect_err(name).to_string();
        assert!(found.contains(name), "{name}: {found}");
    }
}

#[test]
fn a_failed_run_on_reference_data_leaves_its_k_without_a_gap() {
    let fails = Some(kscan_protocol::RunId { k: 3, init_id: 1 });
    let scan = Scan::make(Plan { ks: (2, 4), gap: Some(2), fails, ..Plan::default() });
    let document = ScanDocument::read(&scan.folder).unwrap();
    let has_gap: Vec<bool> = document.criteria.iter().map(|of| of.gap.is_some()).collect();
    assert_eq!(has_gap, [true, false, true]);
    let failed = |reference: &ReferenceDocument| reference.failed.len();
    assert_eq!(document.references.iter().map(failed).collect::<Vec<_>>(), [1, 0]);
    let choice = document.choices.last().unwrap();
    assert_eq!(choice.k, None);
    assert!(choice.reason.as_ref().unwrap().starts_with("k = 3 has no gap: "), "{choice:?}");
    scan.verify_with(ALL).unwrap();
}
