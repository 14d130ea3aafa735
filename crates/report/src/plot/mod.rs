//! The plots: SVG with a class on every mark, so that the page colours them by its own style sheet,
//! and each by itself carries one.
//!
//! Every plot is 480 or 960 units wide; its text is set in the style sheet, larger on a narrow
//! screen.

mod centroids;
mod contingency;
mod criterion;
mod elbow;
mod inertia;
mod scale;
mod spread;
#[cfg(test)]
mod tests;
mod timeline;

pub(crate) use centroids::centroids;
pub(crate) use contingency::contingency;
pub(crate) use criterion::{Criterion, criterion};
pub(crate) use elbow::{Fit, elbow, fits};
pub(crate) use inertia::inertia;
pub(crate) use spread::spread;
pub(crate) use timeline::timeline;

use crate::palette;
use maud::{Markup, PreEscaped, Render, html};

/// A drawn plot.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// What its file is called, without an extension; the prefix of ids in it.
    pub(crate) name: String,
    /// What it shows: a few words.
    pub(crate) title: String,
    /// What is seen in it, for who does not see it.
    pub(crate) description: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) marks: Markup,
}

/// The style sheet of all plots.
pub(crate) const CSS: &str = include_str!("plot.css");

impl Plot {
    /// As an element of the page.
    pub(crate) fn inline(&self) -> Markup {
        let id = |part: &str| format!("{}-{part}", self.name);
        html! {
            svg .plot id=(self.name) role="img" viewBox=(format!("0 0 {} {}", self.width, self.height))
                aria-labelledby=(format!("{} {}", id("title"), id("desc"))) {
                title id=(id("title")) { (self.title) }
                desc id=(id("desc")) { (self.description) }
                (self.marks)
            }
        }
    }

    /// As a file of its own: on light paper, with sizes and colours in it.
    pub(crate) fn standalone(&self) -> String {
        let Self { title, description, width, height, marks, .. } = self;
        html! {
            svg .plot xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}"))
                width=(width) height=(height) role="img" {
                title { (title) }
                desc { (description) }
                style { (PreEscaped(palette::resolve(CSS))) }
                rect .sheet width="100%" height="100%" {}
                (marks)
            }
        }
        .into_string()
    }
}

/// A length in a plot, with as many digits as can be seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(pub(crate) f64);

impl Render for Length {
    fn render_to(&self, buffer: &mut String) {
        let text = format!("{:.2}", self.0);
        buffer.push_str(text.trim_end_matches('0').trim_end_matches('.'));
    }
}

/// The points of a polyline.
fn points(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    for (x, y) in points {
        if !text.is_empty() {
            text.push(' ');
        }
        Length(x).render_to(&mut text);
        text.push(',');
        Length(y).render_to(&mut text);
    }
    text
}
