//! One criterion by k, small.

use super::inertia::{band_width, k_scale};
use super::scale::{Frame, Scale};
use super::{Length, Plot, points};
use crate::text;
use maud::html;

const FRAME: Frame = Frame { left: 48.0, right: 316.0, top: 10.0, bottom: 112.0 };

/// A criterion, as it is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Criterion {
    /// Part of a file's name and of ids.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// Which values are good, where one follows a rule.
    pub(crate) better: &'static str,
    /// By k: the value, and how far it may be off.
    pub(crate) values: Vec<(u32, f64, Option<f64>)>,
    /// The k that the rule of the criterion chooses, where it has one.
    pub(crate) chosen: Option<u32>,
}

/// The plot of `criterion`, on the axis of all `ks`.
pub(crate) fn criterion(ks: &[u32], criterion: &Criterion) -> Plot {
    let x = k_scale(ks, FRAME);
    let band = band_width(ks, x);
    let ends = criterion.values.iter().flat_map(|&(_, value, error)| {
        let error = error.unwrap_or(0.0);
        [value - error, value + error]
    });
    let y = Scale::around(ends, 0.1, (FRAME.bottom, FRAME.top));
    let at = |k: u32| x.at(f64::from(k));
    let marks = html! {
        (FRAME.left_axis(y, 3))
        (FRAME.k_axis(x, ks, ""))
        @for &k in ks {
            rect .band data-k=(k) x=(Length(at(k) - band / 2.0)) width=(Length(band))
                y=(Length(FRAME.top)) height=(Length(FRAME.bottom - FRAME.top)) {}
        }
        polyline .criterion-line points=(points(criterion.values.iter().map(|&(k, value, _)| (at(k), y.at(value))))) {}
        @for &(k, value, error) in &criterion.values {
            @if let Some(error) = error {
                line .error x1=(Length(at(k))) x2=(Length(at(k)))
                    y1=(Length(y.at(value - error))) y2=(Length(y.at(value + error))) {}
            }
            circle .value.best[criterion.chosen == Some(k)] cx=(Length(at(k))) cy=(Length(y.at(value)))
                r=(if criterion.chosen == Some(k) { "4.5" } else { "2.5" }) {
                title {
                    "k = " (k) ": " (text::value(value))
                    @if let Some(error) = error { " ± " (text::value(error)) }
                }
            }
        }
    };
    Plot {
        name: format!("criterion-{}", criterion.id),
        title: format!("{} by k", criterion.name),
        description: criterion.chosen.map_or_else(String::new, |k| format!("It chooses k = {k}.")),
        width: 320.0,
        height: 138.0,
        marks,
    }
}
