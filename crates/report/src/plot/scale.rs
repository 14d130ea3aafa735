//! From values to places, and the axes that say how.

use super::Length;
use maud::{Markup, html};

/// A linear scale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The values at its ends.
    domain: (f64, f64),
    /// The places of those.
    range: (f64, f64),
}

impl Scale {
    /// From `domain` to `range`. A domain of a single value is widened: that value is then in the
    /// middle.
    pub(crate) fn new(domain: (f64, f64), range: (f64, f64)) -> Self {
        let (low, high) = domain;
        if low < high {
            return Self { domain, range };
        }
        let room = if low == 0.0 { 1.0 } else { low.abs() * 0.01 };
        Self { domain: (low - room, high + room), range }
    }

    /// Over all `values`, with a margin of this share on both sides.
    pub(crate) fn around(
        values: impl IntoIterator<Item = f64>,
        margin: f64,
        range: (f64, f64),
    ) -> Self {
        let ends = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = if ends.0 <= ends.1 { ends } else { (0.0, 1.0) };
        let room = (high - low) * margin;
        Self::new((low - room, high + room), range)
    }

    /// The place of a value.
    pub(crate) fn at(self, value: f64) -> f64 {
        let share = (value - self.domain.0) / (self.domain.1 - self.domain.0);
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// Round values in the domain, about `wanted` of them, and the digits they need.
    pub(crate) fn ticks(self, wanted: u32) -> (Vec<f64>, usize) {
        let (low, high) = self.domain;
        let raw = (high - low) / f64::from(wanted);
        let power = 10_f64.powf(raw.log10().floor());
        let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= 0.75 * raw);
        let step = factor.unwrap_or(10.0) * power;
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let digits = (0..12).find(|&digits| {
            let scaled = step * 10_f64.powi(digits);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        });
        let ticks = (first..=last).map(|i| i as f64 * step).collect();
        (ticks, digits.unwrap_or(12) as usize)
    }
}

/// The frame that marks are drawn in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Frame {
    /// The axis on the left, with a line across for every tick. Large values are in units of a
    /// thousand, a million or a billion, which the ticks name.
    pub(crate) fn left_axis(self, scale: Scale, wanted: u32) -> Markup {
        let (ticks, _) = scale.ticks(wanted);
        let largest = ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs()));
        let (unit, suffix) = match largest {
            1e9..1e15 => (1e9, "\u{202f}G"),
            1e6..1e9 => (1e6, "\u{202f}M"),
            1e4..1e6 => (1e3, "\u{202f}k"),
            _ => (1.0, ""),
        };
        let in_unit = |value: f64| value / unit;
        let digits = {
            let ends = (in_unit(scale.domain.0), in_unit(scale.domain.1));
            Scale { domain: ends, ..scale }.ticks(wanted).1
        };
        html! {
            @for tick in ticks {
                @let y = Length(scale.at(tick));
                line .grid x1=(Length(self.left)) x2=(Length(self.right)) y1=(y) y2=(y) {}
                text .tick x=(Length(self.left - 7.0)) y=(y) dy="0.32em" text-anchor="end" {
                    @if (1e-6..1e15).contains(&largest) || largest == 0.0 {
                        (format!("{:.digits$}", in_unit(tick))) (suffix)
                    } @else { (format!("{tick:.2e}")) }
                }
            }
        }
    }

    /// The axis below, for values of k: as many of them as have room.
    pub(crate) fn k_axis(self, scale: Scale, ks: &[u32], title: &str) -> Markup {
        let room = ((self.right - self.left) / 34.0).max(1.0) as usize;
        let each = ks.len().div_ceil(room).max(1);
        html! {
            line .axis x1=(Length(self.left)) x2=(Length(self.right)) y1=(Length(self.bottom)) y2=(Length(self.bottom)) {}
            @for &k in ks.iter().step_by(each) {
                text .tick x=(Length(scale.at(f64::from(k)))) y=(Length(self.bottom + 18.0)) text-anchor="middle" { (k) }
            }
            (self.title_below(title))
        }
    }

    /// The axis below, for other values.
    pub(crate) fn bottom_axis(self, scale: Scale, wanted: u32, title: &str) -> Markup {
        let (ticks, digits) = scale.ticks(wanted);
        html! {
            line .axis x1=(Length(self.left)) x2=(Length(self.right)) y1=(Length(self.bottom)) y2=(Length(self.bottom)) {}
            @for tick in ticks {
                @let x = Length(scale.at(tick));
                line .axis x1=(x) x2=(x) y1=(Length(self.bottom)) y2=(Length(self.bottom + 4.0)) {}
                text .tick x=(x) y=(Length(self.bottom + 18.0)) text-anchor="middle" { (format!("{tick:.digits$}")) }
            }
            (self.title_below(title))
        }
    }

    fn title_below(self, title: &str) -> Markup {
        html! {
            text .axis-title x=(Length(self.right)) y=(Length(self.bottom + 36.0)) text-anchor="end" { (title) }
        }
    }

    /// What the axis on the left is of.
    pub(crate) fn title_above(self, title: &str) -> Markup {
        html! { text .axis-title x="2" y=(Length(self.top - 9.0)) { (title) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        for (domain, expected) in [
            ((0.0, 10.0), vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
            ((34.9e6, 38.8e6), vec![35e6, 36e6, 37e6, 38e6]),
            ((0.991, 0.9965), vec![0.991, 0.992, 0.993, 0.994, 0.995, 0.996]),
        ] {
            let (ticks, digits) = Scale::new(domain, (0.0, 100.0)).ticks(5);
            assert_eq!(ticks.len(), expected.len(), "{ticks:?}");
            for (tick, expected) in ticks.iter().zip(expected) {
                assert!((tick - expected).abs() < 1e-9 * expected.abs().max(1.0), "{ticks:?}");
            }
            assert_eq!(digits, if domain.1 < 1.0 { 3 } else { 0 });
        }
    }

    #[test]
    fn a_single_value_is_in_the_middle() {
        for value in [0.0, 5.0, -3e9] {
            assert!((Scale::new((value, value), (10.0, 30.0)).at(value) - 20.0).abs() < 1e-9);
        }
        let none = Scale::around([f64::NAN], 0.1, (0.0, 1.0));
        assert!(none.at(0.5).is_finite());
    }
}
