//! How much memory a scan takes, and how much there is: worked out before it is taken.

use crate::exit::{Exit, Failure};
use crate::scan::cgroup::MemoryGroup;
use indicatif::HumanBytes;
use kscan_dataset::{Dtype, Table};
use kscan_kmeans::{Layout, Rows};
use kscan_results::ScanConfig;
use kscan_shared::{Shape, SharedFile};
use procfs::process::Process;
use procfs::{Current, Meminfo};
use rustix::process::{Resource, getrlimit};

/// What a worker has before it has looked at any data: its stack, its heap's first pages, and the
/// parts of the executable that it writes to.
const WORKER_BASE: u64 = 16 << 20;

/// What preparing takes beside what grows with the data.
const PREPARING_BASE: u64 = 8 << 20;

/// Address space that a thread takes: its stack, and what glibc's allocator sets aside for it.
const THREAD: u64 = 72 << 20;

/// Bytes that a scan takes, by what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The raw table, until the shared file is there.
    raw: u64,
    /// The shared file with its index, as long as the scan lasts.
    shared: u64,
    /// Statistics and index once more, while they are made.
    made: u64,
    /// The private memory of a worker with the largest k.
    worker: u64,
    /// The raw table of a reference scan, where there are some: until its shared file is there, which
    /// is as large as that of the scan, and beside it.
    reference: Option<u64>,
}

impl Need {
    /// Of a scan of `table`, with this index.
    pub(crate) fn of(config: &ScanConfig, table: &Table, index: Option<Layout>) -> Self {
        let (n, d) = (table.rows(), table.cols());
        let value = match table.dtype() {
            Dtype::U8 => 1,
            Dtype::I16 => 2,
            Dtype::I32 | Dtype::F32 => 4,
            Dtype::I64 | Dtype::F64 => 8,
        };
        let shape = Shape { n, d };
        // What a few columns take while they are looked at, and statistics of 16 bytes a row.
        let statistics = PREPARING_BASE.saturating_add((n as u64).saturating_mul(16));
        let plan = index.map_or(0, |index| index.bytes_to_plan());
        // Per row labels, distances, bounds, what seeding knows of candidates and, for lanes of sixteen
        // centroids, kept scores; per centroid its sums, means and what the engine makes of it.
        let lanes = u64::from(config.k_high.next_multiple_of(16));
        let per_row = 160 + 4 * lanes;
        let per_centroid = 16 * 8 * Rows::stride_of(d) as u64;
        let worker = WORKER_BASE
            .saturating_add(per_row.saturating_mul(n as u64))
            .saturating_add(per_centroid.saturating_mul(lanes));
        Self {
            raw: (n as u64).saturating_mul(d as u64).saturating_mul(value),
            shared: SharedFile::size(shape, table.dtype(), index).unwrap_or(u64::MAX),
            made: statistics.saturating_add(plan),
            worker,
            reference: config.gap.map(|_| (n as u64).saturating_mul(d as u64).saturating_mul(4)),
        }
    }

    /// The most that is taken at a time with `n_proc` workers.
    fn peak(self, n_proc: u32) -> u64 {
        let running = self.worker.saturating_mul(n_proc.into());
        let with = |raw: u64| {
            let preparing = raw.saturating_add(self.made);
            self.shared.saturating_add(preparing.max(running))
        };
        // Of a reference, while the data of the scan is still there.
        let reference = self.reference.map_or(0, |raw| with(raw).saturating_add(self.shared));
        with(self.raw).max(reference)
    }

    /// How many of `n_proc` workers fit `limit`, and what is free now beside the raw table, which
    /// is already there.
    pub(crate) fn workers_that_fit(self, n_proc: u32, limit: Option<u64>) -> Result<u32, Failure> {
        self.check_address_space(address_space())?;
        let free = free().saturating_add(self.raw);
        let most = limit.map_or(free, |limit| limit.min(free));
        if let Some(fits) = (1..=n_proc).rev().find(|&n_proc| self.peak(n_proc) <= most) {
            return Ok(fits);
        }
        let files =
            if self.reference.is_some() { "each of two shared files" } else { "shared file" };
        Err(Failure::new(
            Exit::Environment,
            format!(
                "the scan takes {} of memory (data {}, {files} {}, a worker {}), and there is {}",
                HumanBytes(self.peak(1)),
                HumanBytes(self.raw),
                HumanBytes(self.shared),
                HumanBytes(self.worker),
                HumanBytes(most),
            ),
            "free some memory, raise --memory or the cgroup's limit, or cluster fewer rows",
        ))
    }

    /// Address space that the process which takes most takes more: this one while it prepares, or a
    /// worker. With one thread beside the main one.
    fn address_space(self) -> u64 {
        // The scan's table has gone when a reference's comes.
        let reference = self.reference.map_or(0, |raw| {
            raw.saturating_add(self.shared).saturating_add(self.made).saturating_sub(self.raw)
        });
        let most = self.made.max(self.worker).max(reference);
        self.shared.saturating_add(most).saturating_add(THREAD)
    }

    fn check_address_space(self, room: u64) -> Result<(), Failure> {
        if self.address_space() <= room {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Environment,
            format!(
                "a process of the scan takes {} of memory by its addresses (shared file {}, a worker \
                 {}), and the limit on them (ulimit -v) leaves {}",
                HumanBytes(self.address_space()),
                HumanBytes(self.shared),
                HumanBytes(self.worker),
                HumanBytes(room),
            ),
            "raise it, with ulimit -v unlimited, or cluster fewer rows",
        ))
    }

    /// On how many threads, at most `cores`, the data can be prepared.
    pub(crate) fn threads(self, cores: usize) -> usize {
        let more = address_space().saturating_sub(self.address_space()) / THREAD;
        cores.min(usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1))
    }
}

/// Bytes of addresses that this process may still take: the limit is a process's own, and workers
/// inherit it.
fn address_space() -> u64 {
    let Some(limit) = getrlimit(Resource::As).current else { return u64::MAX };
    let taken = Process::myself().and_then(|process| process.status()).ok();
    let taken = taken.and_then(|status| status.vmsize).unwrap_or(0) * 1024;
    limit.saturating_sub(taken)
}

/// Bytes that data may take where the scan may take `limit`.
pub(crate) fn room(limit: Option<u64>) -> u64 {
    free().min(address_space()).min(limit.unwrap_or(u64::MAX))
}

/// Bytes that can still be taken, by the machine and by the cgroups that this process is in.
/// Where neither can be read, everything.
fn free() -> u64 {
    let machine = Meminfo::current().ok().and_then(|memory| memory.mem_available);
    let groups = MemoryGroup::own().into_iter().filter_map(|group| group.free());
    machine.into_iter().chain(groups).min().unwrap_or(u64::MAX)
}

/// How many processes of its cgroups the kernel has killed for want of memory.
pub(crate) fn oom_kills() -> u64 {
    MemoryGroup::own().iter().map(MemoryGroup::oom_kills).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need {
        raw: 50 << 20,
        shared: 200 << 20,
        made: 100 << 20,
        worker: 30 << 20,
        reference: None,
    };

    #[test]
    fn as_many_workers_as_fit_the_limit_are_left() {
        assert_eq!(NEED.workers_that_fit(4, None).unwrap(), 4);
        // Preparing takes 350 MB, as five workers do.
        assert_eq!(NEED.workers_that_fit(8, Some(350 << 20)).unwrap(), 5);
        assert_eq!(NEED.workers_that_fit(8, Some(385 << 20)).unwrap(), 6);
    }

    #[test]
    fn where_not_even_one_fits_the_figures_are_told() {
        let failure = NEED.workers_that_fit(8, Some(349 << 20)).unwrap_err();
        assert_eq!(failure.exit(), Exit::Environment);
        let text = failure.to_string();
        for figure in ["350.00 MiB", "200.00 MiB", "30.00 MiB", "349.00 MiB"] {
            assert!(text.contains(figure), "{text}");
        }
    }

    #[test]
    fn addresses_are_a_limit_for_each_process_alone() {
        // The shared file, what is made of it, and a thread.
        let most = (200 + 100 + 72) << 20;
        NEED.check_address_space(most).unwrap();
        let text = NEED.check_address_space(most - 1).unwrap_err().to_string();
        for figure in ["372.00 MiB", "200.00 MiB", "30.00 MiB"] {
            assert!(text.contains(figure), "{text}");
        }
        // Many workers take no more each.
        let wide = Need { worker: 150 << 20, ..NEED };
        wide.check_address_space((200 + 150 + 72) << 20).unwrap();
        wide.check_address_space(most).unwrap_err();
    }

    #[test]
    fn reference_data_takes_a_shared_file_more() {
        let with = Need { reference: Some(200 << 20), ..NEED };
        // Two shared files, and what preparing the second takes.
        assert_eq!(with.peak(1), (2 * 200 + 200 + 100) << 20);
        assert_eq!(with.peak(20), (2 * 200 + 20 * 30) << 20);
        assert_eq!(with.workers_that_fit(20, Some(730 << 20)).unwrap(), 11);
        with.check_address_space((2 * 200 + 200 - 50 + 100 + 72) << 20).unwrap();
        with.check_address_space((2 * 200 + 200 - 50 + 100 + 71) << 20).unwrap_err();
    }

    #[test]
    fn some_memory_is_free() {
        assert!((1 << 20..1 << 50).contains(&free()));
    }
}
