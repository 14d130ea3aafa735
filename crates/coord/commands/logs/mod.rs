//! `logs DIR`: the logs of all runs and of the coordinator, merged by time.

mod line;
mod show;

use super::print_or_end;
use crate::cli::{ColorArg, LogsArgs};
use crate::exit::{Exit, Failure, escape_json};
use anstream::{AutoStream, ColorChoice};
use kscan_results::{Journal, RunFolder};
use line::{Line, Origin};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a followed scan is looked at.
const POLL: Duration = Duration::from_millis(200);

pub(crate) fn logs(args: &LogsArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let mut tails = BTreeMap::new();
    loop {
        // Looked at first: what the scan writes before it ends is still read.
        let goes_on = args.follow && Journal::is_in_use(&folder.journal());
        let lines = new_lines(&folder.logs(), &mut tails, args).map_err(|error| {
            Failure::new(
                Exit::Data,
                format!("cannot read {}: {error}", folder.logs().display()),
                "give the folder of a scan",
            )
        })?;
        let show = |line: &Line| {
            if args.json { format!("{}\n", escape_json(&line.text)) } else { show::human(line) }
        };
        let is_read = print_or_end(&painted(&lines.iter().map(show).collect::<String>(), args))?;
        if !goes_on || !is_read {
            return Ok(Exit::Success);
        }
        std::thread::sleep(POLL);
    }
}

/// With its colours where they are wanted and can be shown.
fn painted(text: &str, args: &LogsArgs) -> String {
    let choice = match args.color {
        _ if args.json => ColorChoice::Never,
        ColorArg::Auto => AutoStream::choice(&io::stdout()),
        ColorArg::Always => ColorChoice::Always,
        ColorArg::Never => ColorChoice::Never,
    };
    match choice {
        ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

/// The lines that are wanted and have come since, by time.
fn new_lines(
    logs: &Path,
    tails: &mut BTreeMap<PathBuf, Tail>,
    args: &LogsArgs,
) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(logs)? {
        let path = entry?.path();
        let Some(origin) = Origin::of(&path) else {
            continue;
        };
        let tail = tails.entry(path.clone()).or_default();
        let new = tail.read(&path)?.into_iter().filter_map(|line| Line::parse(origin, line));
        lines.extend(new.filter(|line| is_wanted(line, args)));
    }
    lines.sort_by(|a, b| (&a.timestamp, a.origin).cmp(&(&b.timestamp, b.origin)));
    Ok(lines)
}

fn is_wanted(line: &Line, args: &LogsArgs) -> bool {
    let any_run = args.k.is_none() && args.init.is_none() && args.attempt.is_none();
    line.level >= args.level
        && (args.span.is_empty()
            || line.span().is_some_and(|span| args.span.iter().any(|wanted| wanted == span)))
        && line.about.map_or(any_run, |(run, attempt)| {
            args.k.is_none_or(|k| k == run.k)
                && args.init.is_none_or(|init_id| init_id == run.init_id)
                && args.attempt.is_none_or(|wanted| wanted == attempt.0)
        })
}

/// How far a file has been read.
#[derive(Debug, Default)]
struct Tail {
    offset: u64,
}

impl Tail {
    /// The whole lines that have come since.
    fn read(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line that is still being written is for the next time.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).lines().map(ToOwned::to_owned).collect())
    }
}
