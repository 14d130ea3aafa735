//! `run [DATA]`: a new scan.

use super::finish;
use crate::cli::{DispatchArg, LauncherArg, RunArgs, ScaleArg};
use crate::exit::{Exit, Failure};
use crate::limits;
use crate::scan::begin::{Means, Order};
use crate::scan::{execute, first_centroids, memory, plan, prepare};
use jiff::Timestamp;
use kscan_dataset::{GivenCentroids, Source, load_within};
use kscan_results::{
    Dispatch, ImageShape, InitMethod, Launcher, RunFolder, ScaleMethod, ScanConfig,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) fn run(args: &RunArgs, started: Instant) -> Result<Exit, Failure> {
    limits::workers_with_files(1)?;
    let source = Source::parse(&args.data);
    let config = resolve(args, &source)?;
    let folder = RunFolder::at(args.out.clone().unwrap_or_else(|| default_folder(&source)));
    if folder.has_scan() {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} holds a scan already", folder.path().display()),
            format!(
                "go on with it: kscan-coord resume {}; or choose another --out",
                folder.path().display()
            ),
        ));
    }

    // Everything that can be wrong with the data is found before anything is written.
    let memory = args.memory.map(|limit| limit.as_u64());
    let dataset = load_within(&source, args.labels.as_deref(), memory::room(memory))?;
    prepare::check_size(&config, &dataset.name, dataset.table.rows())?;
    if let Some(shape) = config.image_shape {
        check_image_shape(shape, dataset.table.cols() as u64)?;
    }
    let given = given(&config, dataset.table.cols())?;
    let key = plan::journal_key(
        &config,
        dataset.table.fingerprint().to_string(),
        given.as_ref().map(|given| given.fingerprint().to_string()),
    );
    let scanned = execute::execute(Order {
        config,
        dataset,
        folder,
        given,
        key,
        earlier: None,
        means: Means {
            started,
            simd: args.simd,
            memory,
            keep_shared: args.keep_shared,
            png: args.png,
            worker_program: args.workers.worker_program.clone(),
        },
        display: &args.display,
    })?;
    finish(&scanned, &args.display)
}

/// Refuses a shape of pictures that rows of `cols` columns do not have.
pub(super) fn check_image_shape(shape: ImageShape, cols: u64) -> Result<(), Failure> {
    if shape.pixels() == cols {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!("--image-shape {shape} is {} pixels, and rows have {cols} columns", shape.pixels()),
        "give a height and a width whose product is the number of columns",
    ))
}

/// The file of first centroids, where there is one.
pub(super) fn given(config: &ScanConfig, d: usize) -> Result<Option<GivenCentroids>, Failure> {
    match &config.init {
        InitMethod::File(path) => {
            first_centroids::read(Path::new(path), &plan::runs(config), d).map(Some)
        }
        InitMethod::KMeansPlusPlus | InitMethod::Random => Ok(None),
    }
}

/// What the options mean.
fn resolve(args: &RunArgs, source: &Source) -> Result<ScanConfig, Failure> {
    if args.k_low > args.k_high {
        return Err(Failure::new(
            Exit::Usage,
            format!("--k-low {} is above --k-high {}", args.k_low, args.k_high),
            "give a range that goes up",
        ));
    }
    let n_proc = args.n_proc.unwrap_or_else(|| prepare::cores() as u32);
    Ok(ScanConfig {
        data: match source {
            Source::Builtin(builtin) => builtin.to_string(),
            Source::File(path) => absolute(path)?,
        },
        labels: args.labels.as_deref().map(absolute).transpose()?,
        k_low: args.k_low,
        k_high: args.k_high,
        k_step: args.k_step,
        n_init: args.n_init,
        n_proc,
        seed: args.seed,
        init: init(&args.init)?,
        max_iter: args.max_iter,
        tol: args.tol,
        scale: match args.scale {
            ScaleArg::Standard => ScaleMethod::Standard,
            ScaleArg::None => ScaleMethod::None,
        },
        dispatch: match args.dispatch {
            DispatchArg::Rolling => Dispatch::Rolling,
            DispatchArg::Batch => Dispatch::Batch,
        },
        launcher: match args.launcher {
            LauncherArg::Local => Launcher::Local,
        },
        retries: args.retries,
        timeout_s: args.timeout.map(|timeout| timeout.as_secs_f64()),
        engine: args.engine,
        table: args.table.into(),
        image_shape: args.image_shape,
        gap: args.gap,
    })
}

fn init(text: &OsStr) -> Result<InitMethod, Failure> {
    match text.to_str() {
        Some("k-means++") => Ok(InitMethod::KMeansPlusPlus),
        Some("random") => Ok(InitMethod::Random),
        _ if Path::new(text).extension().is_some_and(|extension| extension == "npz") => {
            absolute(Path::new(text)).map(InitMethod::File)
        }
        _ => Err(Failure::new(
            Exit::Usage,
            format!("--init {} is no way to choose first centroids", text.display()),
            "choose k-means++, random, or an .npz file",
        )),
    }
}

/// A path that still holds when a scan is resumed from another folder, as text for scan.json.
fn absolute(path: &Path) -> Result<String, Failure> {
    std::path::absolute(path)?.into_os_string().into_string().map_err(|path| {
        Failure::new(
            Exit::Usage,
            format!("the path {} is not UTF-8, and cannot stand in scan.json", path.display()),
            "give the file a name in UTF-8",
        )
    })
}

/// `kscan-runs/<UTC time>-<data name>`
fn default_folder(source: &Source) -> PathBuf {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    Path::new("kscan-runs").join(format!("{now}-{}", source.dataset_name()))
}
