//! `kscan-coord`: exact, reproducible K-means scans over many k, one process a run.
//!
//! This is the coordinator: the command line, the plan of a scan, the dispatcher, what the person
//! sees, and exit codes. Started as `kscan-coord worker` it is one run (the crate `kscan-worker`).
//! It computes nothing of a result itself: the libraries in the folders beside this one do.

mod cli;
mod commands;
mod events;
mod exit;
mod limits;
mod logging;
mod progress;
mod scan;
mod summary;

use clap::Parser;
use cli::{Cli, Command};
use exit::{Exit, Failure, escape_lines};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let started = Instant::now();
    let Cli { command } = Cli::try_parse().unwrap_or_else(|error| misunderstood(&error));
    if let Err(error) = limits::outlive_file_size_limit() {
        return report(&error.into()).into();
    }
    let outcome = match command {
        Command::Worker { coordinator } => return worker(coordinator, started),
        Command::Run(args) => commands::run::run(&args, started),
        Command::Resume(args) => commands::resume::resume(&args, started),
        Command::Report(args) => commands::report::report(&args),
        Command::Logs(args) => commands::logs::logs(&args),
        Command::Status(args) => commands::status::status(&args),
        Command::Verify(args) => commands::verify::verify(&args),
        Command::Predict(args) => commands::predict::predict(&args),
        Command::Elbow(args) => commands::elbow::elbow(&args),
        Command::Data(command) => commands::data::data(&command),
        Command::Completions { shell } => commands::packaging::completions(shell),
        Command::Man => commands::packaging::man(),
    };
    outcome.unwrap_or_else(|failure| report(&failure)).into()
}

/// Ends with 2 on a wrong command line, and 0 after --help.
fn misunderstood(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    let escaped = escape_lines(&text);
    if escaped != text {
        // What the shell put in place of a wildcard, perhaps.
        eprint!("{escaped}");
        std::process::exit(error.exit_code());
    }
    error.exit()
}

fn report(failure: &Failure) -> Exit {
    eprintln!("error: {failure}");
    failure.exit()
}

fn worker(coordinator: u32, started: Instant) -> ExitCode {
    kscan_worker::work(coordinator, started).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        Exit::Internal.into()
    })
}
