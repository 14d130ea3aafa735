//! How long every kernel takes, with every instruction set that this processor has.

use divan::Bencher;
use divan::counter::ItemsCount;
use kscan_kmeans::workloads::{NAMES, rows_of, workload};
use kscan_kmeans::{Simd, SimdLevel};

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, name: &str, level: SimdLevel) {
    let Some(simd) = Simd::new(level) else {
        eprintln!("this processor has no {level}");
        return;
    };
    let work = workload(name, simd);
    bencher.counter(ItemsCount::new(rows_of(name))).bench_local(work);
}

#[divan::bench(args = NAMES)]
fn portable(bencher: Bencher<'_, '_>, work: &str) {
    measure(bencher, work, SimdLevel::Portable);
}

#[divan::bench(args = NAMES)]
fn avx2(bencher: Bencher<'_, '_>, work: &str) {
    measure(bencher, work, SimdLevel::Avx2);
}

#[divan::bench(args = NAMES)]
fn avx512(bencher: Bencher<'_, '_>, work: &str) {
    measure(bencher, work, SimdLevel::Avx512);
}

#[divan::bench(args = NAMES)]
fn amx(bencher: Bencher<'_, '_>, work: &str) {
    measure(bencher, work, SimdLevel::Amx);
}
