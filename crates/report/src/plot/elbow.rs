//! The elbow: two straight lines through the curve, and how well they fit, for every threshold.

use super::inertia::{band_width, k_scale};
use super::scale::{Frame, Scale};
use super::{Length, Plot, points};
use crate::scan::Scan;
use kscan_select::{LineFit, fit_line};
use maud::{Markup, html};

const CURVE: Frame = Frame { left: 58.0, right: 468.0, top: 30.0, bottom: 160.0 };
const SCORES: Frame = Frame { left: 58.0, right: 468.0, top: 192.0, bottom: 296.0 };

/// The two lines of a threshold.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// The first k of the line on the right.
    pub(crate) k: u32,
    /// First and last k that each line is fitted to.
    pub(crate) spans: [(u32, u32); 2],
    /// R² of each.
    pub(crate) scores: [f64; 2],
    /// Their mean.
    pub(crate) score: f64,
    /// Whether this one is the elbow.
    pub(crate) is_elbow: bool,
    lines: [LineFit; 2],
}

/// The lines of every threshold; none where there is no elbow.
pub(crate) fn fits(scan: &Scan) -> Vec<Fit> {
    let Some(elbow) = scan.elbow() else {
        return Vec::new();
    };
    let curve = curve(scan);
    let line = |part: &[(u32, f64)]| {
        let (k, inertia): (Vec<f64>, Vec<f64>) =
            part.iter().map(|&(k, inertia)| (f64::from(k), inertia)).unzip();
        fit_line(&k, &inertia)
    };
    let span = |part: &[(u32, f64)]| (part[0].0, part[part.len() - 1].0);
    let of = |(index, &threshold): (usize, &usize)| {
        // A scan.json that was changed by hand may have thresholds that its curve has not.
        let (left, right) = curve.split_at_checked(threshold)?;
        if left.len() < 2 || right.len() < 2 {
            return None;
        }
        Some(Fit {
            k: right[0].0,
            spans: [span(left), span(right)],
            scores: [*elbow.score_left.get(index)?, *elbow.score_right.get(index)?],
            score: *elbow.scores.get(index)?,
            is_elbow: right[0].0 as usize == elbow.k,
            lines: [line(left), line(right)],
        })
    };
    elbow.thresholds.iter().enumerate().filter_map(of).collect()
}

/// The plot of `fits`.
pub(crate) fn elbow(scan: &Scan, fits: &[Fit]) -> Plot {
    let curve = curve(scan);
    let ks: Vec<u32> = scan.ks.iter().map(|of_k| of_k.k).collect();
    let x = k_scale(&ks, CURVE);
    let y = Scale::around(curve.iter().map(|point| point.1), 0.08, (CURVE.bottom, CURVE.top));
    let scores = fits.iter().flat_map(|fit| fit.scores);
    let s = Scale::around(scores, 0.08, (SCORES.bottom, SCORES.top));
    let band = band_width(&ks, x);
    let at = |k: u32| x.at(f64::from(k));
    let marks = html! {
        (CURVE.title_above("best inertia, and two straight lines"))
        (CURVE.left_axis(y, 3))
        (SCORES.title_above("R² of the lines"))
        (SCORES.left_axis(s, 3))
        (SCORES.k_axis(x, &ks, "threshold: first k of the right line"))
        @for (index, fit) in fits.iter().enumerate() {
            rect .band data-threshold=(index) x=(Length(at(fit.k) - band / 2.0)) width=(Length(band))
                y=(Length(CURVE.top)) height=(Length(SCORES.bottom - CURVE.top)) {}
        }
        @for (index, fit) in fits.iter().enumerate() {
            g .fit .on[fit.is_elbow] data-threshold=(index) {
                line .threshold x1=(Length(at(fit.k))) x2=(Length(at(fit.k)))
                    y1=(Length(CURVE.top)) y2=(Length(SCORES.bottom)) {}
                (straight(fit, 0, x, y))
                (straight(fit, 1, x, y))
            }
        }
        @for &(k, inertia) in &curve {
            circle .curve cx=(Length(at(k))) cy=(Length(y.at(inertia))) r="3" {}
        }
        polyline .score.left points=(points(fits.iter().map(|fit| (at(fit.k), s.at(fit.scores[0]))))) {}
        polyline .score.right points=(points(fits.iter().map(|fit| (at(fit.k), s.at(fit.scores[1]))))) {}
        polyline .score.mean points=(points(fits.iter().map(|fit| (at(fit.k), s.at(fit.score))))) {}
        @for (index, fit) in fits.iter().enumerate() {
            circle .score-at .on[fit.is_elbow] data-threshold=(index) cx=(Length(at(fit.k))) cy=(Length(s.at(fit.score))) r="4" {
                title { "k = " (fit.k) ": mean R² " (format!("{:.4}", fit.score)) }
            }
        }
    };
    let best = fits.iter().find(|fit| fit.is_elbow);
    Plot {
        name: "elbow".to_owned(),
        title: "Elbow score of every threshold".to_owned(),
        description: best.map_or_else(String::new, |best| {
            format!("The mean R² is largest at k = {}, with {:.4}.", best.k, best.score)
        }),
        width: 480.0,
        height: 340.0,
        marks,
    }
}

fn straight(fit: &Fit, side: usize, x: Scale, y: Scale) -> Markup {
    let (from, to) = fit.spans[side];
    let line = &fit.lines[side];
    let at = |k: u32| y.at(line.intercept + line.slope * f64::from(k));
    let name = if side == 0 { "line left" } else { "line right" };
    html! {
        line class=(name) x1=(Length(x.at(f64::from(from)))) y1=(Length(at(from)))
            x2=(Length(x.at(f64::from(to)))) y2=(Length(at(to))) {}
    }
}

/// Best inertia by k.
fn curve(scan: &Scan) -> Vec<(u32, f64)> {
    scan.with_best().map(|(of_k, best)| (of_k.k, best.inertia)).collect()
}
