//! Numbers and texts as people read them.

use indicatif::HumanCount;
use maud::{Markup, Render, html};
use std::fmt;

/// An inertia as people compare it: one digit behind the point, groups of three before it; as it is
/// where that would show nothing.
#[must_use]
pub fn inertia(inertia: f64) -> String {
    let tenths = (inertia * 10.0).round();
    if !(1000.0..1e16).contains(&tenths) {
        return format!("{inertia:.6e}");
    }
    format!("{}.{}", HumanCount((tenths / 10.0).trunc() as u64), tenths as u64 % 10)
}

/// A count, in groups of three.
pub(crate) fn count(count: impl TryInto<u64>) -> String {
    // What is no u64 is no count of anything in memory.
    HumanCount(count.try_into().unwrap_or(u64::MAX)).to_string()
}

/// A share, in per cent with one digit.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}\u{202f}%", share * 100.0)
}

/// Seconds, with as many digits as tell them apart.
pub(crate) fn seconds(seconds: f64) -> String {
    let digits = match seconds {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{seconds:.digits$}\u{202f}s")
}

/// A value in the data's own units: four figures, without zeros that say nothing.
pub(crate) fn value(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        // Without the sign of a zero.
        return (value + 0.0).to_string();
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..9.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let digits = (3 - magnitude as i32).max(0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The same of a value among others that span `span`: what is nothing beside that is nothing.
pub(crate) fn value_within(number: f64, span: f64) -> String {
    let step = span * 1e-4;
    value(if step > 0.0 { (number / step).round() * step } else { number })
}

/// `1 run`, `2 runs`.
pub(crate) fn plural(number: usize, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {one}{s}", count(number))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<T: fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

/// Text from outside, with whatever would be obeyed or hide something made visible: control
/// characters, and those that turn the direction of writing around. Markup is escaped as all text
/// is.
pub(crate) struct Outside<'a>(pub(crate) &'a str);

impl Render for Outside<'_> {
    fn render(&self) -> Markup {
        html! { bdi { (visible(self.0)) } }
    }
}

/// The text of an [`Outside`].
pub(crate) fn visible(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().fold(String::with_capacity(text.len()), |mut visible, character| {
        if character.is_control() || turns(character) {
            visible.extend(character.escape_unicode());
        } else {
            visible.push(character);
        }
        visible
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(inertia(38_781_658.704), "38,781,658.7");
        assert_eq!(inertia(0.25), "2.500000e-1");
        assert_eq!(inertia(f64::NAN), "NaN");
        assert_eq!(count(1_234_567_u64), "1,234,567");
        assert_eq!(percent(0.12345), "12.3\u{202f}%");
        assert_eq!(seconds(0.123), "0.12\u{202f}s");
        assert_eq!(seconds(1234.5), "1234\u{202f}s");
        for (number, text) in [
            (0.0, "0"),
            (255.0, "255"),
            (0.5, "0.5"),
            (-12.3456, "-12.35"),
            (123_456.7, "123457"),
            (1e-7, "1.000e-7"),
            (3e12, "3.000e12"),
        ] {
            assert_eq!(value(number), text);
        }
        assert_eq!(value_within(-1.5e-6, 215.0), "0");
        assert_eq!(value_within(215.2347, 215.0), "215.2");
        assert_eq!(list(&[5, 6, 7]), "5, 6 and 7");
        assert_eq!(list::<u32>(&[]), "");
        assert_eq!((plural(1, "run"), plural(2, "run")), ("1 run".into(), "2 runs".into()));
    }

    #[test]
    fn hostile_text_is_shown_and_not_obeyed() {
        let text = Outside("<script>\u{1b}[2J\u{202e}&\"").render().into_string();
        assert_eq!(text, "<bdi>&lt;script&gt;\\u{1b}[2J\\u{202e}&amp;&quot;</bdi>");
    }
}
