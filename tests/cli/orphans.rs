//! Workers whose coordinator is gone: here the test is the coordinator, and speaks to them itself.

use crate::harness::Scratch;
use kscan_kmeans::Engine;
use kscan_protocol::wire::{Decoder, encode};
use kscan_protocol::{Attempt, FirstCentroids, Job, PROTOCOL_VERSION, Placement, Report, RunId};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

fn worker(coordinator: u32) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kscan-coord"))
        .args(["worker", "--coordinator", &coordinator.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a worker starts")
}

/// These bytes as a coordinator shares them: in memory, and never to change.
fn sealed(bytes: &[u8]) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("shared", flags).expect("a file in memory"));
    file.write_all(bytes).expect("room");
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).expect("it can be sealed");
    file
}

#[test]
fn a_worker_whose_coordinator_died_before_it_could_ask_for_its_signal_does_not_start() {
    // It has a parent, but another one than it was started for, as after a death in between.
    let gone = std::os::unix::process::parent_id();
    let mut child = worker(gone);
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("it speaks UTF-8");
    // Standard input is open all the time: its end is not what ends the worker.
    let status = child.wait().expect("it ends");
    assert!(!status.success(), "{status:?}");
    assert!(said.contains(&format!("process {gone}, is gone")), "{said}");
}

#[test]
fn a_worker_ends_in_the_middle_of_a_run_when_its_standard_input_does() {
    let scratch = Scratch::new();
    scratch.slow_data();
    let line = "run slow.npy --k-low 2 --k-high 2 --n-init 1 --max-iter 1 --keep-shared --out scan";
    scratch.kscan(line).run().exits(0);
    let shared = sealed(&fs::read(scratch.join("scan/shared.bin")).expect("it was to be kept"));

    // A run that takes as long as it is let.
    let job = Job {
        protocol: PROTOCOL_VERSION,
        run: RunId { k: 200, init_id: 0 },
        attempt: Attempt::FIRST,
        placement: Placement::default(),
        seed: 0,
        init: FirstCentroids::Random,
        max_iter: u32::MAX,
        tol: 0.0,
        engine: Engine::Plain,
        simd: Some("portable".into()),
        shared: format!("/proc/{}/fd/{}", std::process::id(), shared.as_raw_fd()).into(),
        shape: (8_000, 24),
        log: scratch.join("worker.jsonl"),
        log_filter: "info".into(),
    };
    let mut child = worker(std::process::id());
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    stdin.write_all(&encode(&job).expect("a frame")).expect("the worker reads its job");

    let mut decoder = Decoder::new(1 << 24);
    let mut reports = |until: fn(&Report) -> bool| {
        let mut seen = Vec::new();
        let mut buffer = [0; 1 << 12];
        loop {
            while let Some((report, _)) = decoder.decode::<Report>().expect("a report") {
                let last = until(&report);
                seen.push(report);
                if last {
                    return seen;
                }
            }
            match stdout.read(&mut buffer).expect("the pipe works") {
                0 => return seen,
                length => decoder.push(&buffer[..length]),
            }
        }
    };
    let before = reports(|report| matches!(report, Report::Iterated(_)));
    assert!(matches!(before.last(), Some(Report::Iterated(_))), "{before:?}");
    drop(stdin);
    let after = reports(|_| false);
    let finished = after.iter().any(|report| matches!(report, Report::Finished { .. }));
    assert!(!finished, "it went on to the end of its run");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "{status:?}");
}
