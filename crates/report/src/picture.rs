//! Rows as small pictures, dark where values are large.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kscan_results::ImageShape;

/// Pixels of a side that are kept at most: more cannot be seen at the size that pictures have.
const SIDE: usize = 96;

/// The values that are white and black.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Range {
    /// From the least to the largest of `values`.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a f64>) -> Self {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
                (low.min(value), high.max(value))
            });
        if low <= high { Self { low, high } } else { Self { low: 0.0, high: 0.0 } }
    }

    /// From white, 255, at the low end to black.
    fn grey(self, value: f64) -> u8 {
        let share = (value - self.low) / (self.high - self.low);
        // NaN, where all values are equal, becomes 0.
        255 - (share.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}

/// A row, `[height * width]`, as the URI of a PNG. Large pictures are made smaller, each pixel the
/// mean of those that it stands for.
pub(crate) fn picture(row: &[f64], shape: ImageShape, range: Range) -> String {
    let (height, width) = (shape.height as usize, shape.width as usize);
    let block = height.max(width).div_ceil(SIDE);
    let (rows, columns) = (height.div_ceil(block), width.div_ceil(block));
    let mean = |y: usize, x: usize| {
        let ys = y * block..((y + 1) * block).min(height);
        let xs = x * block..((x + 1) * block).min(width);
        let pixels = (ys.len() * xs.len()) as f64;
        let of_line = |y: usize| row[y * width..][xs.clone()].iter().sum::<f64>();
        ys.map(of_line).sum::<f64>() / pixels
    };
    let pixels = (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x)));
    let pixels: Vec<u8> = pixels.map(|(y, x)| range.grey(mean(y, x))).collect();
    let png = encode(&pixels, columns as u32, rows as u32).expect("memory takes all");
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png))
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(uri: &str) -> (u32, u32, Vec<u8>) {
        let png = uri.strip_prefix("data:image/png;base64,").unwrap();
        let png = BASE64_STANDARD.decode(png).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn large_values_are_dark() {
        let shape = ImageShape { height: 2, width: 3 };
        let row = [0.0, 51.0, 102.0, 153.0, 204.0, 255.0];
        let uri = picture(&row, shape, Range::of(&row));
        assert_eq!(decoded(&uri), (3, 2, vec![255, 204, 153, 102, 51, 0]));
    }

    #[test]
    fn large_pictures_are_means_of_blocks() {
        let shape = ImageShape { height: 2 * SIDE as u32, width: 3 };
        let mut row = vec![0.0; 2 * SIDE * 3];
        row[..2].fill(1.0);
        let (width, height, pixels) = decoded(&picture(&row, shape, Range { low: 0.0, high: 1.0 }));
        assert_eq!((width, height), (2, SIDE as u32));
        assert_eq!(pixels[..3], [127, 255, 255]);
    }

    #[test]
    fn values_without_a_range() {
        let shape = ImageShape { height: 1, width: 2 };
        let (_, _, pixels) = decoded(&picture(&[7.0, f64::NAN], shape, Range::of(&[7.0])));
        assert_eq!(pixels, [255, 255]);
        assert_eq!(Range::of(&[]), Range { low: 0.0, high: 0.0 });
    }
}
