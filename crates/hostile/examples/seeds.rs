//! Writes good examples for the doors whose format is kscan's own into `corpus/`: to be run again
//! when such a format changes. `scan.json` and a model come from the run folder that it is given, of
//! a scan from k = 2 of a few rows.

use kscan_dataset::{Source, Table, Values};
use kscan_kmeans::{Counters, Digest, Engine, Layout, RowIndex, Simd, Stop};
use kscan_protocol::{
    Attempt, FailureKind, FirstCentroids, Hello, Iterated, Job, PROTOCOL_VERSION, Placement,
    Report, RunFailure, RunId, RunRecord, Usage, wire,
};
use kscan_results::{Entry, FailedRun, Journal, JournalKey, RunFolder};
use kscan_shared::{Place, Scaler, Scaling, SharedFile};
use ndarray::{Array2, array};
use serde::Serialize;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

type Written = Result<(), Box<dyn Error>>;

fn main() -> Written {
    frames()?;
    journal()?;
    shared()?;
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from).map(RunFolder::at) else {
        return Ok(());
    };
    write("scan/complete", &fs::read(folder.scan_json())?)?;
    let model = folder.path().join(RunFolder::best_model_name(2));
    write("model/stored", &fs::read(model)?)
}

fn write(name: &str, bytes: &[u8]) -> Written {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    fs::create_dir_all(path.parent().expect("a folder"))?;
    Ok(fs::write(path, bytes)?)
}

fn stream<M: Serialize>(messages: &[M]) -> Result<Vec<u8>, wire::WireError> {
    messages.iter().map(wire::encode).collect::<Result<Vec<_>, _>>().map(|frames| frames.concat())
}

const RUN: RunId = RunId { k: 2, init_id: 0 };

fn record() -> Box<RunRecord> {
    let centroids = array![[1.5, -0.5], [f64::MIN_POSITIVE, 3e300]];
    Box::new(RunRecord {
        run: RUN,
        attempt: Attempt::FIRST,
        placement: Placement { slot: 1, started_s: 0.5 },
        digest: Digest::of(&centroids.view(), &[0, 1, 1], 0.25, 3),
        centroids: centroids.into_iter().collect(),
        init_centers: vec![1.0, -1.0, 0.5, 2.0],
        init_rows: vec![RowIndex(0), RowIndex(70_000)],
        inertia: 0.25,
        n_iter: 3,
        stop: Stop::Labels,
        distinct_clusters: 2,
        relocated: 0,
        counters: Counters::default(),
        usage: Usage { wall_s: 0.5, peak_rss_bytes: 1 << 33, ..Usage::default() },
    })
}

fn frames() -> Written {
    let iterated = |iteration, inertia| {
        Report::Iterated(Iterated { iteration, inertia, rows_changed: 60_000, rows_visited: 9 })
    };
    let hello = Hello { protocol: PROTOCOL_VERSION, pid: 4711, simd: "avx2".into() };
    let failure = RunFailure { kind: FailureKind::Panic, message: "index out of bounds".into() };
    write(
        "frames/reports",
        &stream(&[
            Report::Hello(hello),
            Report::Seeded,
            iterated(1, f64::NAN),
            iterated(300, 1.5e7),
            Report::Finished { record: record(), labels: vec![0, 1, 1] },
            Report::Failed(failure),
        ])?,
    )?;
    let job = |init| Job {
        protocol: PROTOCOL_VERSION,
        run: RUN,
        attempt: Attempt::FIRST,
        placement: Placement::default(),
        seed: u64::MAX,
        init,
        max_iter: 300,
        tol: 1e-4,
        engine: Engine::Fast,
        simd: Some("scalar".into()),
        shared: "/proc/4711/fd/5".into(),
        shape: (3, 2),
        log: "scan/logs/k02-i00.a1.jsonl".into(),
        log_filter: "info".into(),
    };
    let inits = [
        FirstCentroids::KMeansPlusPlus,
        FirstCentroids::Random,
        FirstCentroids::Given(vec![1.0, -1.0, 0.5, 2.0]),
    ];
    write("frames/jobs", &stream(&inits.map(job))?)
}

fn journal() -> Written {
    let key = JournalKey {
        definition_version: 1,
        fingerprint: "3a".repeat(32),
        scale: "standard".into(),
        seed: 7,
        init: "k-means++".into(),
        max_iter: 300,
        tol: 1e-4,
        k: vec![2, 3],
        n_init: 2,
    };
    let failed = FailedRun {
        run: RUN,
        attempt: Attempt(3),
        placement: Placement::default(),
        wall_s: 1.5,
        error: "killed by SIGKILL".into(),
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.bin");
    let mut journal = Journal::create(&path, &key)?;
    journal.append(&Entry::Finished(record()))?;
    journal.append(&Entry::Failed(failed))?;
    write("journal/two-entries", &fs::read(path)?)
}

/// The fields of the header and the first bytes behind it: what the door makes a file of.
fn shared() -> Written {
    let number = |row: usize, column: usize| (row * 7919 + column * 104_729) % 1009;
    let numbers = |n, d| Values::F32(Array2::from_shape_fn((n, d), |(i, j)| number(i, j) as f32));
    // Mostly background.
    let pictures = |n, d| {
        Values::U8(Array2::from_shape_fn((n, d), |(i, j)| {
            if number(i, j / 4) < 60 { number(i, j) as u8 } else { 0 }
        }))
    };
    for (name, values, with_index) in [
        ("plain", numbers(3, 2), false),
        ("index", numbers(5, 19), true),
        ("codes", pictures(5, 200), true),
    ] {
        let table = Table::from_values(&Source::from("example"), values)?;
        let scaler = Scaler::fit(&table, Scaling::Standard, 1);
        let index = with_index.then(|| Layout::of(table.rows(), table.cols()));
        let file = SharedFile::create(Place::Anonymous, &table, &scaler, index, Simd::detect(), 1)?;
        let mut bytes = fs::read(file.path())?;
        bytes.drain(368..4096);
        bytes.truncate(1024);
        write(&format!("shared/{name}"), &bytes)?;
        if name == "plain" {
            shared_but_for(&bytes)?;
        }
    }
    Ok(())
}

/// A good one, with one field of the header that cannot be.
fn shared_but_for(good: &[u8]) -> Written {
    write("shared/header-cut", &good[..100])?;
    for (name, at, field) in [
        ("no-rows", 16, 0_u64.to_le_bytes().as_slice()),
        ("rows-2-to-60", 16, (1_u64 << 60).to_le_bytes().as_slice()),
        ("columns-2-to-64", 24, u64::MAX.to_le_bytes().as_slice()),
        ("longer", 32, (1_u64 << 30).to_le_bytes().as_slice()),
        ("limbs-beyond", 40, u32::MAX.to_le_bytes().as_slice()),
        ("codes-beyond", 56, (1_u64 << 58).to_le_bytes().as_slice()),
        ("components-beyond", 312, 4096_u64.to_le_bytes().as_slice()),
        ("components-overflow", 312, u64::MAX.to_le_bytes().as_slice()),
    ] {
        let mut bytes = good.to_vec();
        bytes[at..][..field.len()].copy_from_slice(field);
        write(&format!("shared/{name}"), &bytes)?;
    }
    Ok(())
}
