//! From a raw table to the shared file.

use crate::exit::{Exit, Failure};
use crate::scan::plan;
use kscan_dataset::{Dtype, Labels, Table};
use kscan_kmeans::{Engine, Layout, Simd};
use kscan_results::{RunFolder, ScaleMethod, ScanConfig};
use kscan_shared::{Place, Scaler, Scaling, SharedFile};

/// What a scan has when its runs can start.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) shared: SharedFile,
    pub(crate) scaler: Scaler,
    pub(crate) labels: Option<Labels>,
    /// Whether the table holds integers.
    pub(crate) whole_numbers: bool,
}

/// More runs than anybody waits for, few enough to be listed in memory.
const MOST_RUNS: u64 = 10_000_000;

/// Refuses data that has too few rows for the largest k, and more runs than can be listed.
pub(crate) fn check_size(config: &ScanConfig, name: &str, rows: usize) -> Result<(), Failure> {
    if config.k_high as usize > rows {
        return Err(Failure::new(
            Exit::Data,
            format!("{name} has {rows} rows, too few for k = {}", config.k_high),
            format!("choose a --k-high of at most {rows}"),
        ));
    }
    let scans = 1 + u64::from(config.gap.unwrap_or(0));
    let runs = (plan::ks(config).count() as u64 * u64::from(config.n_init)).saturating_mul(scans);
    if runs > MOST_RUNS {
        return Err(Failure::new(
            Exit::Usage,
            format!("{runs} runs are more than the {MOST_RUNS} that a scan can have"),
            "choose a smaller --n-init or --gap, or fewer values of k",
        ));
    }
    Ok(())
}

/// Scales `table` into the shared file, on `threads` threads.
pub(crate) fn prepare(
    config: &ScanConfig,
    table: &Table,
    labels: Option<Labels>,
    folder: &RunFolder,
    keep_shared: bool,
    simd: Simd,
    threads: usize,
) -> Result<Prepared, Failure> {
    let scaling = match config.scale {
        ScaleMethod::Standard => Scaling::Standard,
        ScaleMethod::None => Scaling::None,
    };
    let scaler = Scaler::fit(table, scaling, threads);
    let index = index(config, table);
    let named = folder.shared();
    let place = if keep_shared { Place::Named(&named) } else { Place::Anonymous };
    let shared = SharedFile::create(place, table, &scaler, index, simd, threads)
        .map_err(|error| Failure::of_data(&config.data, error))?;
    let whole_numbers = !matches!(table.dtype(), Dtype::F32 | Dtype::F64);
    Ok(Prepared { shared, scaler, labels, whole_numbers })
}

/// The parts of an index that pay for `table`; `None` where none does.
pub(crate) fn index(config: &ScanConfig, table: &Table) -> Option<Layout> {
    match config.engine {
        Engine::Fast => Layout::choose(table.rows(), table.cols()),
        Engine::Plain => None,
    }
}

/// The cores that this process may use, by affinity and cgroup quota.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
