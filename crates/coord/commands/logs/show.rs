//! A log line as a person reads it.

use super::line::Line;
use crate::cli::LevelArg;
use crate::exit::escape;
use anstyle::{AnsiColor, Style};
use serde_json::Value;
use std::fmt::Write as _;

const FAINT: Style = Style::new().dimmed();
const RUN: Style = AnsiColor::Cyan.on_default();
const SPAN: Style = AnsiColor::Blue.on_default();
const STDERR: Style = AnsiColor::Red.on_default();

fn style_of(level: LevelArg) -> Style {
    match level {
        LevelArg::Error => AnsiColor::Red.on_default().bold(),
        LevelArg::Warn => AnsiColor::Yellow.on_default(),
        LevelArg::Info => AnsiColor::Green.on_default(),
        LevelArg::Debug | LevelArg::Trace => FAINT,
    }
}

/// Time, level, run, span, message, fields; what a worker wrote to standard error as it wrote it.
pub(super) fn human(line: &Line) -> String {
    let time = line.timestamp.get(11..23).unwrap_or(&line.timestamp);
    let level = format!("{:?}", line.level).to_uppercase();
    let about = line
        .about
        .map_or_else(|| "coordinator".to_owned(), |(run, attempt)| format!("{run}.{attempt}"));
    let mut text = format!(
        "{} {} ",
        painted(FAINT, &escape(time)),
        painted(style_of(line.level), &format!("{level:<5}"))
    );
    let _ = write!(text, "{} ", painted(RUN, &format!("{about:<11}")));

    let message = field(line, "message").unwrap_or_default();
    if line.origin.is_coordinator() && message == "stderr" {
        let said = field(line, "line").unwrap_or_default();
        let _ =
            writeln!(text, "{} {}", painted(STDERR, "stderr |"), painted(STDERR, &escape(said)));
        return text;
    }
    if line.origin.is_coordinator() && line.about.is_some() {
        let _ = write!(text, "{} ", painted(SPAN, "coordinator:"));
    } else if let Some(span) = line.span() {
        let _ = write!(text, "{} ", painted(SPAN, &format!("{}:", escape(span))));
    }
    // What tracing calls the end of a span.
    if let (true, Some(busy)) = (message == "close", field(line, "time.busy")) {
        let _ = writeln!(text, "done in {}", escape(busy));
        return text;
    }
    text.push_str(&escape(message));
    for (name, value) in &line.fields {
        if ["message", "span"].contains(&name.as_str()) || value.is_null() {
            continue;
        }
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let _ =
            write!(text, " {}{}", painted(FAINT, &format!("{}=", escape(name))), escape(&value));
    }
    text.push('\n');
    text
}

fn field<'a>(line: &'a Line, name: &str) -> Option<&'a str> {
    line.fields.get(name).and_then(Value::as_str)
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
