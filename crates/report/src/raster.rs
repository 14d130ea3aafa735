//! Plots as bitmaps, for where SVG is not taken.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::sync::Arc;

/// Pixels to a unit of the plot: sharp in print at the size of a column.
const SCALE: f32 = 3.0;

/// The one font that there is: what a machine has changes nothing.
const FONT: &[u8] = include_bytes!("../font/NotoSans-Latin.ttf");

/// What turns SVG into PNG.
pub(crate) struct Rasteriser {
    options: Options<'static>,
}

impl Rasteriser {
    pub(crate) fn new() -> Self {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        let family = "Noto Sans".to_owned();
        fonts.set_sans_serif_family(&family);
        let options =
            Options { font_family: family, fontdb: Arc::new(fonts), ..Options::default() };
        Self { options }
    }

    /// A plot of this crate as PNG.
    ///
    /// # Panics
    /// Where `svg` is none.
    pub(crate) fn png(&self, svg: &str) -> Vec<u8> {
        // The font has spaces of one width alone.
        let svg = svg.replace('\u{202f}', "\u{a0}");
        let tree = Tree::from_str(&svg, &self.options).expect("plots are well-formed");
        let size = tree.size().to_int_size().scale_by(SCALE).expect("plots have a size");
        let mut pixels = Pixmap::new(size.width(), size.height()).expect("plots have a size");
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        pixels.encode_png().expect("memory takes all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    /// The pixels of a PNG that are not paper.
    fn inked(png: &[u8]) -> usize {
        let pixels = Pixmap::decode_png(png).unwrap();
        let paper = pixels.pixel(0, 0).unwrap();
        pixels.pixels().iter().filter(|&&pixel| pixel != paper).count()
    }

    #[test]
    fn every_plot_is_drawn_with_its_text() {
        let rasteriser = Rasteriser::new();
        for plot in crate::plots(&sample().scan()) {
            let svg = plot.standalone();
            let png = rasteriser.png(&svg);
            let size = Pixmap::decode_png(&png).unwrap();
            assert_eq!(size.width(), (plot.width * 3.0).ceil() as u32, "{}", plot.name);
            let without_text = svg.replace("<text", "<desc").replace("</text", "</desc");
            let text = inked(&png) - inked(&rasteriser.png(&without_text));
            assert!(text > 500, "{}: {text} pixels of text", plot.name);
        }
    }

    /// A picture in a plot is drawn too: black where the values are large.
    #[test]
    fn pictures_in_plots_are_drawn() {
        let scan = sample().scan();
        let plot = crate::plot::centroids(&scan.ks[3], scan.image_shape);
        let png = Rasteriser::new().png(&plot.standalone());
        let pixels = Pixmap::decode_png(&png).unwrap();
        let black = pixels.pixels().iter().filter(|pixel| pixel.red() == 0).count();
        assert!(black > 1000, "{black}");
    }
}
