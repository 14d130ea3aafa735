//! `data info` and `data export`.

use super::print;
use crate::cli::DataCommand;
use crate::exit::{Exit, Failure};
use kscan_dataset::{Source, load, write_npy};
use kscan_results::write_atomically;
use kscan_shared::{Scaler, Scaling};
use std::fmt::Write as _;

pub(crate) fn data(command: &DataCommand) -> Result<Exit, Failure> {
    match command {
        DataCommand::Info { data } => info(&Source::parse(data)),
        DataCommand::Export { data, out } => {
            let dataset = load(&Source::parse(data), None)?;
            write_atomically(out, |mut file| write_npy(&dataset.table, &mut file))?;
            Ok(Exit::Success)
        }
    }
}

fn info(source: &Source) -> Result<Exit, Failure> {
    let dataset = load(source, None)?;
    let table = &dataset.table;
    let threads = crate::scan::prepare::cores();
    let scaler = Scaler::fit(table, Scaling::Standard, threads);
    let shape: Vec<String> = table.shape().iter().map(ToString::to_string).collect();
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<17} {value}");
    };
    line("name", dataset.name.clone());
    line("rows x columns", format!("{} x {}", table.rows(), table.cols()));
    line("shape", shape.join(" x "));
    line("dtype", table.dtype().to_string());
    line("constant columns", scaler.constant_columns().len().to_string());
    if let Some(labels) = &dataset.labels {
        let classes = labels.classes();
        let shown: Vec<String> = classes.iter().take(20).map(ToString::to_string).collect();
        let more = if classes.len() > shown.len() { ", ..." } else { "" };
        line("labels", format!("{} classes: {}{more}", classes.len(), shown.join(", ")));
    }
    line("fingerprint", table.fingerprint().to_string());
    print(&text)?;
    Ok(Exit::Success)
}
