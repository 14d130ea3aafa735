//! The command line, as clap parses it. What options mean together is decided in `commands`.
#![expect(
    clippy::doc_markdown,
    rustdoc::invalid_html_tags,
    reason = "these comments are the help text, shown as they stand"
)]

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use kscan_kmeans::{Engine, SimdLevel};
use kscan_results::{ImageShape, ScanConfig, TableFormat};
use std::ffi::OsString;
use std::path::PathBuf;

/// Exact, reproducible K-means over many k: one process a run, as many at a time as you say.
///
/// 'kscan-coord run' does the whole job of the notebook: it normalises the data, clusters it for
/// every k from 5 to 15 with ten initialisations each, keeps the best of each k, and finds the
/// elbow of the curve. Without DATA it takes the MNIST training set that is built in.
#[derive(Debug, Parser)]
#[command(name = "kscan-coord", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do a whole scan
    Run(Box<RunArgs>),
    /// Go on with an interrupted or partly failed scan
    Resume(ResumeArgs),
    /// Write a scan's report, plots and tables again, and show its summary; also of a scan that was
    /// interrupted or still runs
    Report(ReportArgs),
    /// Read the logs of a scan's runs, merged by time
    Logs(LogsArgs),
    /// Show how far a scan is, also while it runs
    Status(StatusArgs),
    /// Prove a scan's saved results again, with a slow, plain, independent implementation
    Verify(VerifyArgs),
    /// Find the nearest centroid of new rows, with the scan's own scaling
    Predict(PredictArgs),
    /// Find the elbow of a table with the columns k and inertia
    Elbow(ElbowArgs),
    /// Look at a data file as kscan reads it
    #[command(subcommand)]
    Data(DataCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// One run in one process, for a coordinator
    #[command(hide = true)]
    Worker {
        /// Process id of the coordinator
        #[arg(long)]
        coordinator: u32,
    },
}

const DATA_HELP: &str = "A data set: 'mnist' or 'digits', which are built in, or an IDX or .npy \
                         file, also gzip-compressed";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What to cluster: 'mnist' or 'digits', which are built in, or an IDX or .npy file, also
    /// gzip-compressed
    #[arg(default_value = "mnist", value_hint = ValueHint::FilePath)]
    pub(crate) data: OsString,

    /// A file with the known label of every row, for contingency tables
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) labels: Option<PathBuf>,

    /// Smallest number of clusters [notebook: N_CLUSTER_LOW]
    #[arg(long, default_value_t = 5, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k_low: u32,

    /// Largest number of clusters, included [notebook: N_CLUSTER_HIGH]
    #[arg(long, default_value_t = 15, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k_high: u32,

    /// Step from one number of clusters to the next
    #[arg(long, default_value_t = 1, value_name = "STEP", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k_step: u32,

    /// Initialisations of each k; the best is kept [notebook: N_INIT_TOTAL]
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) n_init: u32,

    /// Processes at a time; by default the cores that this process may use [notebook: N_PROC]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) n_proc: Option<u32>,

    /// Seed of all random numbers: the same seed gives the same bits
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,

    /// First centroids: 'k-means++', 'random', or an .npz file with arrays named k5, k6, ... of
    /// shape [k, columns] or [n_init, k, columns], in normalised units
    #[arg(long, default_value = "k-means++", value_name = "METHOD|FILE.npz")]
    pub(crate) init: OsString,

    /// Take the gap statistic too: cluster this many sets of uniform reference data of the same size
    /// in the same way, each of them a whole scan more [default: none]
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u32)
        .range(1..=i64::from(ScanConfig::MOST_REFERENCES)))]
    pub(crate) gap: Option<u32>,

    /// Most iterations of a run
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_iter: u32,

    /// Stop when the centroids move less than this, relative to the columns' mean variance
    #[arg(long, default_value = "1e-4", value_parser = non_negative)]
    pub(crate) tol: f64,

    /// How columns are scaled before clustering
    #[arg(long, value_enum, default_value_t = ScaleArg::Standard)]
    pub(crate) scale: ScaleArg,

    /// The run folder [default: kscan-runs/<UTC time>-<data name>]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,

    /// Start the next run in a free slot at once, or wait for a whole batch as the notebook does
    #[arg(long, value_enum, default_value_t = DispatchArg::Rolling)]
    pub(crate) dispatch: DispatchArg,

    /// What starts workers
    #[arg(long, value_enum, default_value_t = LauncherArg::Local)]
    pub(crate) launcher: LauncherArg,

    /// How many times a run that failed is tried again
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100))]
    pub(crate) retries: u32,

    /// Wall time that a run may take, as '90s' or '1h 30m' [default: none]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<std::time::Duration>,

    /// Memory that the scan may take, as '8GiB'; fewer processes run where all would take more
    /// [default: what is free, to the machine and its cgroup]
    #[arg(long, value_name = "LIMIT")]
    pub(crate) memory: Option<ByteSize>,

    /// Keep the normalised data that the workers share, as shared.bin in the run folder
    #[arg(long)]
    pub(crate) keep_shared: bool,

    /// How labels are found; every engine gives the same bits
    #[arg(long, default_value_t = Engine::Fast)]
    pub(crate) engine: Engine,

    /// Rows are pictures of this height and width in pixels, as '28x28', and are shown as such
    /// [default: what a file of three dimensions says]
    #[arg(long, value_name = "HxW")]
    pub(crate) image_shape: Option<ImageShape>,

    /// Write the plots as PNG too
    #[arg(long)]
    pub(crate) png: bool,

    /// Vector instructions to use instead of the best there are; every level gives the same bits
    #[arg(long, hide = true)]
    pub(crate) simd: Option<SimdLevel>,

    #[command(flatten)]
    pub(crate) workers: WorkerArgs,

    /// How tables are written; 'parquet' writes runs, curve and criteria as Parquet too
    #[arg(long, value_enum, default_value_t = TableArg::Csv, value_name = "FORMAT")]
    pub(crate) table: TableArg,

    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Start this program, with the arguments of a worker, instead of this executable: for what has
    /// to stand between the two, as a debugger or another machine's shell
    #[arg(long, hide = true, value_name = "PATH", default_value = "/proc/self/exe")]
    pub(crate) worker_program: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DisplayArgs {
    /// How progress is shown on stderr; 'json' prints one event a line on stdout instead
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto)]
    pub(crate) progress: ProgressArg,

    /// Log more; twice for even more. RUST_LOG overrides it
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Show no progress
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Processes at a time; by default as many as the scan was started with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) n_proc: Option<u32>,

    /// Memory that the scan may take, as '8GiB'
    #[arg(long, value_name = "LIMIT")]
    pub(crate) memory: Option<ByteSize>,

    #[command(flatten)]
    pub(crate) workers: WorkerArgs,

    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Look again and again, until the scan ends
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Rows are pictures of this height and width in pixels, as '28x28'
    #[arg(long, value_name = "HxW")]
    pub(crate) image_shape: Option<ImageShape>,

    /// Write the plots as PNG too
    #[arg(long)]
    pub(crate) png: bool,

    /// How tables are written; by default as the scan was told to
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) table: Option<TableArg>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Every run, not only the best of each k
    #[arg(long)]
    pub(crate) every_run: bool,

    /// Iterate each run again from its first centroids: slow
    #[arg(long)]
    pub(crate) replay: bool,

    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Only runs with this number of clusters
    #[arg(long)]
    pub(crate) k: Option<u32>,

    /// Only runs with this initialisation
    #[arg(long, value_name = "INIT_ID")]
    pub(crate) init: Option<u32>,

    /// Only this attempt at a run
    #[arg(long)]
    pub(crate) attempt: Option<u32>,

    /// Only lines of this level or above
    #[arg(long, value_enum, default_value_t = LevelArg::Trace)]
    pub(crate) level: LevelArg,

    /// Only lines from these phases of runs and of the scan: run, prepare, seed, iterate, write
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) span: Vec<String>,

    /// Wait for more lines, until the scan ends
    #[arg(long)]
    pub(crate) follow: bool,

    /// Whether lines have colours; 'auto' heeds NO_COLOR, CLICOLOR and CLICOLOR_FORCE
    #[arg(long, value_enum, default_value_t = ColorArg::Auto, value_name = "WHEN")]
    pub(crate) color: ColorArg,

    /// Pass the JSON lines through as they are
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// The run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// The rows to find centroids for
    #[arg(help = DATA_HELP, value_hint = ValueHint::FilePath)]
    pub(crate) data: OsString,

    /// Which best model
    #[arg(long)]
    pub(crate) k: u32,

    /// Write the labels to this .npy file (int32) instead of one a line to stdout
    #[arg(long, value_name = "FILE.npy", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ElbowArgs {
    /// A CSV table with the columns k and inertia
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) curve: PathBuf,

    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Show what a data set holds
    Info {
        /// What to look at
        #[arg(default_value = "mnist", help = DATA_HELP, value_hint = ValueHint::FilePath)]
        data: OsString,
    },
    /// Write a data set's raw values as .npy
    Export {
        /// What to write
        #[arg(help = DATA_HELP, value_hint = ValueHint::FilePath)]
        data: OsString,
        /// Where to
        #[arg(long, value_name = "FILE.npy", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScaleArg {
    /// To mean 0 and variance 1, as scikit-learn's StandardScaler
    Standard,
    /// Not at all
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DispatchArg {
    /// A free slot starts the next run at once
    Rolling,
    /// N_PROC runs are started, all are waited for, then the next
    Batch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableArg {
    /// As CSV
    Csv,
    /// As CSV, and as Parquet too
    Parquet,
}

impl From<TableArg> for TableFormat {
    fn from(table: TableArg) -> Self {
        match table {
            TableArg::Csv => Self::Csv,
            TableArg::Parquet => Self::Parquet,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LauncherArg {
    /// Processes on this machine
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    /// A bar on a terminal, plain lines elsewhere, on a dumb terminal, and where CI is set
    Auto,
    /// A bar, and a line for every running worker
    Bar,
    /// A line every few seconds
    Plain,
    /// One JSON event a line, on stdout, in place of the summary
    Json,
    /// Nothing
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal that can show them
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LevelArg {
    /// Everything
    Trace,
    /// Details for finding errors in kscan
    Debug,
    /// What happens
    Info,
    /// What may need a look
    Warn,
    /// What failed
    Error,
}

fn non_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) => Err("it has to be a finite number of at least 0".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|error: jiff::Error| error.to_string())?;
    match std::time::Duration::try_from(span) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("it has to be longer than nothing".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s").unwrap().as_secs(), 90);
        assert_eq!(duration("1h 30m").unwrap().as_secs(), 5400);
        assert!(duration("0s").is_err());
        assert!(duration("-5s").is_err());
        assert!(duration("soon").is_err());
    }
}
