//! The report of a run folder: what a person sees of a scan.
//!
//! **What it is for.** [`write()`] turns what a scan leaves behind into `report.html`, one page that
//! needs no other file and asks for none, and into the plots of `plots/`, each an SVG for a paper.
//!
//! **What it is not.** It finds no result and changes none: whatever it shows stands in the run
//! folder, and is read through `kscan-results`. It prints nothing.
//!
//! # How data goes through
//!
//! ```text
//! scan.json, best/*.npz, contingency/*.csv ─→ Scan ─┬─→ Warning ─┐
//!                                                   ├─→ Plot ────┼─→ page ─→ report.html
//!                                                   │     └──────┼─→ plots/*.svg, *.png
//!                                                   └─→ picture ─┘
//! ```
//!
//! Markup is made by maud, which escapes all text; what comes from outside (names, paths, labels,
//! errors) goes through `text::Outside` besides, which makes control characters visible. The same
//! run folder gives the same bytes.

mod columns;
mod page;
mod palette;
mod picture;
mod plot;
mod raster;
#[cfg(test)]
mod sample;
mod scan;
pub mod text;
mod warning;

use kscan_results::{FileError, ImageShape, RunFolder, ScanDocument, write_derived};
use scan::Scan;

/// What is asked of a report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How a row is a picture, where `scan.json` does not say, or says otherwise.
    pub image_shape: Option<ImageShape>,
    /// Whether plots are written as PNG too.
    pub png: bool,
}

/// Writes `report.html` and `plots/*.svg` into `folder`, from what is there and `document`:
/// `scan.json`, or what it would be by now.
///
/// A model or table that cannot be read is told of in the report, and is no error.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(
    folder: &RunFolder,
    document: &ScanDocument,
    options: &Options,
) -> Result<(), FileError> {
    let scan = Scan::read(folder, document.clone(), options);
    folder.create()?.keep();
    let rasteriser = options.png.then(raster::Rasteriser::new);
    for plot in plots(&scan) {
        let svg = plot.standalone();
        write_derived(&folder.plot(&plot.name, "svg"), svg.as_bytes())?;
        if let Some(rasteriser) = &rasteriser {
            write_derived(&folder.plot(&plot.name, "png"), &rasteriser.png(&svg))?;
        }
    }
    write_derived(&folder.report_html(), page::page(&scan).as_bytes())
}

/// Every plot that is a file of its own.
fn plots(scan: &Scan) -> Vec<plot::Plot> {
    let mut plots = vec![plot::inertia(scan)];
    let fits = plot::fits(scan);
    if !fits.is_empty() {
        plots.push(plot::elbow(scan, &fits));
    }
    plots.extend(plot::timeline(scan));
    for of_k in &scan.ks {
        if let Some(table) = &of_k.contingency {
            plots.push(plot::contingency(of_k, table));
        }
        if !of_k.clusters.is_empty() {
            plots.push(plot::centroids(of_k, scan.image_shape));
        }
    }
    plots
}
