//! One whole number per row: the class the row is known to belong to.

use std::path::Path;

use crate::content::Content;
use crate::fingerprint::HashValues as _;
use crate::{DatasetError, Fingerprint, Values, body};

/// Starts every hash of labels, and changes with what is hashed.
const DOMAIN: &[u8] = b"kscan labels 1\0";

/// The labels of n rows.
///
/// Their file has one of the formats that data has, with one column: the shape (n,) or (n, 1).
/// Its dtype is any that is read, also floating point where every value is a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    values: Vec<i64>,
}

impl Labels {
    /// Labels that are in memory already, in the order of the rows.
    #[must_use]
    pub fn new(values: Vec<i64>) -> Self {
        Self { values }
    }

    pub(crate) fn read_file(path: &Path, room: u64) -> Result<Self, DatasetError> {
        Self::read(Content::open(path)?.within(room))
    }

    pub(crate) fn read(mut content: Content<'_>) -> Result<Self, DatasetError> {
        let (values, shape) = body::read(&mut content)?;
        let origin = || content.origin().clone();
        if shape.len() > 2 || shape.get(1).is_some_and(|&cols| cols != 1) {
            return Err(DatasetError::LabelsShape { origin: origin(), shape });
        }
        let whole = |(row, value)| {
            whole(value).ok_or_else(|| DatasetError::LabelNotWhole { origin: origin(), value, row })
        };
        let values = match values {
            Values::U8(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Values::I16(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Values::I32(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Values::I64(values) => values.into_raw_vec_and_offset().0,
            Values::F32(values) => {
                let values = values.iter().map(|&v| f64::from(v)).enumerate();
                values.map(whole).collect::<Result<_, _>>()?
            }
            Values::F64(values) => {
                values.iter().copied().enumerate().map(whole).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { values })
    }

    /// The labels, in the order of the rows.
    #[must_use]
    pub fn values(&self) -> &[i64] {
        &self.values
    }

    /// The distinct labels, ascending.
    #[must_use]
    pub fn classes(&self) -> Vec<i64> {
        let mut classes = self.values.clone();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// The hash of the labels as numbers: the dtype they were stored in does not matter.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        i64::hash(&self.values, &mut hasher);
        hasher.finalize().into()
    }
}

/// The integer that `value` is, if it is one of 64 bits.
fn whole(value: f64) -> Option<i64> {
    // Both bounds are powers of 2, hence exact; i64::MAX itself has no f64.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    let fits = (-BOUND..BOUND).contains(&value) && value.fract() == 0.0;
    fits.then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_told_from_others() {
        assert_eq!(whole(3.0), Some(3));
        assert_eq!(whole(-0.0), Some(0));
        assert_eq!(whole(-9_223_372_036_854_775_808.0), Some(i64::MIN));
        assert_eq!(whole(9_223_372_036_854_774_784.0), Some(9_223_372_036_854_774_784));
        for value in [0.5, 9_223_372_036_854_775_808.0, 1e300, f64::NAN, f64::INFINITY] {
            assert_eq!(whole(value), None, "{value}");
        }
    }

    #[test]
    fn classes_are_sorted_and_distinct() {
        assert_eq!(Labels::new(vec![3, -1, 3, 0, 3]).classes(), [-1, 0, 3]);
        assert_eq!(Labels::new(vec![]).classes(), [0_i64; 0]);
    }

    #[test]
    fn fingerprints_depend_on_values_and_order() {
        let fingerprint = |values: &[i64]| Labels::new(values.to_vec()).fingerprint();
        assert_eq!(fingerprint(&[1, 2]), fingerprint(&[1, 2]));
        assert_ne!(fingerprint(&[1, 2]), fingerprint(&[2, 1]));
        assert_ne!(fingerprint(&[1]), fingerprint(&[1, 0]));
    }
}
