//! How to get the same again.

use crate::scan::Scan;
use crate::text::{Outside, visible};
use kscan_results::{Dispatch, InitMethod, Launcher, ScaleMethod, ScanConfig};
use maud::{Markup, html};

/// The command line, and what else the results depend on.
pub(crate) fn reproduce(scan: &Scan) -> Markup {
    let document = &scan.document;
    let (environment, data) = (&document.environment, &document.data);
    html! {
        section #reproduce aria-labelledby="reproduce-title" {
            h2 #reproduce-title { "How to get the same again" }
            pre tabindex="0" { code { (visible(&command_line(&document.config))) } }
            p {
                "The same data and seed give the same bits on any number of workers and any processor. "
                "Two runs agree exactly when their digests in scan.json do; "
                code { "kscan-coord verify" } " proves the results again."
            }
            dl .list {
                dt { "data" } dd { (Outside(&document.config.data)) }
                @if let Some(labels) = &document.config.labels { dt { "labels" } dd { (Outside(labels)) } }
                dt { "fingerprint" } dd { code { (Outside(&data.fingerprint)) } }
                dt { "seed" } dd { (document.config.seed) }
                dt { "version" } dd { "kscan " (Outside(&environment.kscan_version)) ", definitions " (environment.definition_version) }
                dt { "processor" } dd { (Outside(&environment.cpu)) ", " (environment.cores) @if environment.cores == 1 { " core, " } @else { " cores, " } (Outside(&environment.simd)) }
                dt { "begun" } dd { (document.timing.started_at) }
            }
        }
    }
}

/// The command that asks for `config`, with every option that is part of what is computed or how.
fn command_line(config: &ScanConfig) -> String {
    let init = match &config.init {
        InitMethod::KMeansPlusPlus => "k-means++",
        InitMethod::Random => "random",
        InitMethod::File(path) => path,
    };
    let mut words: Vec<String> = vec!["kscan-coord".into(), "run".into(), config.data.clone()];
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    if let Some(labels) = &config.labels {
        option("labels", labels.clone());
    }
    option("k-low", config.k_low.to_string());
    option("k-high", config.k_high.to_string());
    option("k-step", config.k_step.to_string());
    option("n-init", config.n_init.to_string());
    option("n-proc", config.n_proc.to_string());
    option("seed", config.seed.to_string());
    option("init", init.to_owned());
    if let Some(references) = config.gap {
        option("gap", references.to_string());
    }
    option("max-iter", config.max_iter.to_string());
    option("tol", format!("{:?}", config.tol));
    option(
        "scale",
        match config.scale {
            ScaleMethod::Standard => "standard".into(),
            ScaleMethod::None => "none".into(),
        },
    );
    option(
        "dispatch",
        match config.dispatch {
            Dispatch::Rolling => "rolling".into(),
            Dispatch::Batch => "batch".into(),
        },
    );
    option(
        "launcher",
        match config.launcher {
            Launcher::Local => "local".into(),
        },
    );
    option("retries", config.retries.to_string());
    if let Some(seconds) = config.timeout_s {
        option("timeout", format!("{seconds}s"));
    }
    option("engine", config.engine.to_string());
    if let Some(shape) = config.image_shape {
        option("image-shape", shape.to_string());
    }
    // A word with a zero byte cannot be quoted, nor be a word of a command line.
    let words: Vec<String> = words.iter().map(|word| word.replace('\0', "\u{fffd}")).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}
