//! The height and width of data whose rows are pictures.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the columns of a row lie in a picture: row after row of pixels, from the top left. Displays
/// as `28x28`; in `scan.json` it is `[28, 28]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u32; 2]", into = "[u32; 2]")]
pub struct ImageShape {
    /// Pixels from top to bottom.
    pub height: u32,
    /// Pixels from left to right.
    pub width: u32,
}

impl ImageShape {
    /// The one that an array of `shape` declares, where it is a set of pictures: three dimensions,
    /// none of the last two being 1.
    #[must_use]
    pub fn of_array(shape: &[usize]) -> Option<Self> {
        let &[_, height, width] = shape else {
            return None;
        };
        let size = |size: usize| u32::try_from(size).ok().filter(|&size| size > 1);
        Some(Self { height: size(height)?, width: size(width)? })
    }

    /// Columns that a row of this shape has.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.height) * u64::from(self.width)
    }
}

impl From<[u32; 2]> for ImageShape {
    fn from([height, width]: [u32; 2]) -> Self {
        Self { height, width }
    }
}

impl From<ImageShape> for [u32; 2] {
    fn from(shape: ImageShape) -> Self {
        [shape.height, shape.width]
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// A text that is no height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has to be a height and a width in pixels, as 28x28")]
pub struct ParseImageShapeError;

impl FromStr for ImageShape {
    type Err = ParseImageShapeError;

    fn from_str(text: &str) -> Result<Self, ParseImageShapeError> {
        let size = |text: &str| text.parse().ok().filter(|&size: &u32| size > 0);
        let (height, width) = text.split_once('x').ok_or(ParseImageShapeError)?;
        match (size(height), size(width)) {
            (Some(height), Some(width)) => Ok(Self { height, width }),
            _ => Err(ParseImageShapeError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_it_is_written() {
        let shape = ImageShape { height: 28, width: 14 };
        assert_eq!("28x14".parse(), Ok(shape));
        assert_eq!(shape.to_string(), "28x14");
        assert_eq!(serde_json::to_string(&shape).unwrap(), "[28,14]");
        assert_eq!(serde_json::from_str::<ImageShape>("[28,14]").unwrap(), shape);
        for wrong in ["", "28", "28x", "x28", "0x28", "28x28x3", "-1x4", "28 x 28"] {
            assert_eq!(wrong.parse::<ImageShape>(), Err(ParseImageShapeError), "{wrong}");
        }
    }

    #[test]
    fn only_sets_of_pictures_declare_one() {
        let shape = ImageShape { height: 8, width: 9 };
        assert_eq!(ImageShape::of_array(&[100, 8, 9]), Some(shape));
        assert_eq!(shape.pixels(), 72);
        for other in [&[100][..], &[100, 72], &[100, 8, 9, 3], &[100, 1, 72], &[100, 72, 1]] {
            assert_eq!(ImageShape::of_array(other), None, "{other:?}");
        }
    }
}
