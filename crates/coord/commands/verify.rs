//! `verify DIR`: proves saved results again.

use super::print;
use crate::cli::VerifyArgs;
use crate::exit::{Exit, Failure, escape};
use kscan_dataset::{Source, load};
use kscan_results::RunFolder;
use kscan_verify::{Options, Verified, verify as prove};
use std::ffi::OsStr;
use std::path::Path;

pub(crate) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let config = kscan_verify::read(&folder)?.config;
    let source = Source::parse(OsStr::new(&config.data));
    let dataset = load(&source, config.labels.as_deref().map(Path::new))?;
    let options = Options { every_run: args.every_run, replay: args.replay };
    let Verified { ks, runs, models, other_runs, references, reference_runs, replayed, .. } =
        prove(&folder, &dataset, options, &mut |step| {
            if !args.quiet {
                eprintln!("checking {}", escape(&step.to_string()));
            }
        })?;
    let references = match references {
        0 => String::new(),
        _ => format!("{reference_runs} runs of {references} reference scans proved, "),
    };
    print(&format!(
        "all of it holds: {models} best models of {ks} k, {runs} runs listed, {other_runs} more \
         proved from the journal, {references}{replayed} iterated again\n"
    ))?;
    Ok(Exit::Success)
}
