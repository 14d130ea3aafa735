//! `logs DIR`: the logs of all runs, merged by time.

use super::print;
use crate::cli::{LevelArg, LogsArgs};
use crate::exit::{Exit, Failure, escape};
use kscan_protocol::{Attempt, RunId};
use kscan_results::RunFolder;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

/// How often a followed scan is looked at.
const POLL: Duration = Duration::from_millis(200);

pub(crate) fn logs(args: &LogsArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir).logs();
    let mut tails: BTreeMap<PathBuf, Tail> = BTreeMap::new();
    loop {
        let mut lines = Vec::new();
        let unreadable = |error: io::Error| {
            Failure::new(
                Exit::Data,
                format!("cannot read {}: {error}", folder.display()),
                "give the folder of a scan",
            )
        };
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(origin) = Origin::of(&path).filter(|origin| origin.is_wanted(args)) else {
                continue;
            };
            let tail = tails.entry(path.clone()).or_default();
            for line in tail.read(&path).map_err(unreadable)? {
                lines.extend(Line::parse(origin, line).filter(|line| line.level >= args.level));
            }
        }
        lines.sort_by(|a, b| (&a.timestamp, a.origin).cmp(&(&b.timestamp, b.origin)));
        let show = |line: &Line| {
            if args.json { format!("{}\n", line.text) } else { line.human() }
        };
        print(&lines.iter().map(show).collect::<String>())?;
        if !args.follow {
            return Ok(Exit::Success);
        }
        std::thread::sleep(POLL);
    }
}

/// Whose log a line is from; the coordinator's where there is no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Origin(Option<(RunId, Attempt)>);

impl Origin {
    fn of(path: &std::path::Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name == "coordinator.jsonl" {
            return Some(Self(None));
        }
        RunId::parse_log_name(name).ok().map(|run| Self(Some(run)))
    }

    fn is_wanted(self, args: &LogsArgs) -> bool {
        let unfiltered = args.k.is_none() && args.init.is_none() && args.attempt.is_none();
        self.0.map_or(unfiltered, |(run, attempt)| {
            args.k.is_none_or(|k| k == run.k)
                && args.init.is_none_or(|init_id| init_id == run.init_id)
                && args.attempt.is_none_or(|wanted| wanted == attempt.0)
        })
    }
}

/// How far a file has been read.
#[derive(Debug, Default)]
struct Tail {
    offset: u64,
}

impl Tail {
    /// The whole lines that have come since.
    fn read(&mut self, path: &std::path::Path) -> io::Result<Vec<String>> {
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

struct Line {
    origin: Origin,
    timestamp: String,
    level: LevelArg,
    fields: Map<String, Value>,
    text: String,
}

impl Line {
    /// `None` of what is no log line, as the end of a file may be after a crash.
    fn parse(origin: Origin, text: String) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(&text).ok()?;
        let mut take = |name: &str| match fields.remove(name) {
            Some(Value::String(value)) => Some(value),
            _ => None,
        };
        let timestamp = take("timestamp")?;
        let level = match take("level")?.as_str() {
            "ERROR" => LevelArg::Error,
            "WARN" => LevelArg::Warn,
            "INFO" => LevelArg::Info,
            "DEBUG" => LevelArg::Debug,
            _ => LevelArg::Trace,
        };
        take("target");
        Some(Self { origin, timestamp, level, fields, text })
    }

    /// Time, level, run, span, message, fields.
    fn human(&self) -> String {
        let time = self.timestamp.get(11..23).unwrap_or(&self.timestamp);
        let level = format!("{:?}", self.level).to_uppercase();
        let origin = self
            .origin
            .0
            .map_or_else(|| "coordinator".to_owned(), |(run, attempt)| format!("{run}.{attempt}"));
        let span = self.fields.get("span").and_then(|span| span.get("name")?.as_str());
        let span = span.map_or_else(String::new, |span| format!("{}: ", escape(span)));
        let message = self.fields.get("message").and_then(Value::as_str).unwrap_or_default();
        let mut line =
            format!("{} {level:<5} {origin:<11} {span}{}", escape(time), escape(message));
        for (name, value) in &self.fields {
            if name == "message" || name == "span" {
                continue;
            }
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let _ = write!(line, " {}={}", escape(name), escape(&value));
        }
        line.push('\n');
        line
    }
}
