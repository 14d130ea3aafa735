//! What does not hold.

use std::error::Error;
use std::fmt::Display;

/// The first thing in a run folder that does not hold. Files are named relative to the folder.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A file is missing, cannot be read, or is not of its format.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something that is to be equal to something else is not.
    #[error("{file}: {what} is {found}, but should be {expected}")]
    Differs {
        /// Which file.
        file: String,
        /// What in it: a field, a row, an element.
        what: String,
        /// What it says.
        found: String,
        /// What follows from elsewhere.
        expected: String,
    },
    /// A number is further from what it should be than rounding explains.
    #[error("{file}: {what} is {found:e}, but should be {expected:e}, give or take {tolerance:e}")]
    Off {
        /// Which file.
        file: String,
        /// What in it.
        what: String,
        /// What it says.
        found: f64,
        /// What it was computed to be.
        expected: f64,
        /// How far apart they may be.
        tolerance: f64,
    },
    /// A row's label is not its nearest centroid, or not the first of equally near ones.
    #[error(
        "{file}: labels[{row}] is {label}, at a squared distance of {distance:e}, \
         but centroid {nearest} is at {smallest:e}"
    )]
    NotNearest {
        /// Which file.
        file: String,
        /// Which row of the data, from 0.
        row: usize,
        /// Its label.
        label: usize,
        /// The centroid that it should be.
        nearest: usize,
        /// The squared distance to its label's centroid.
        distance: f64,
        /// The squared distance to the nearest.
        smallest: f64,
    },
    /// A centroid lies further from the mean of its rows than the stopping rule allows.
    #[error(
        "{file}: centers[{cluster}] is {distance:e} away from the mean of its rows, \
         and a run that stopped by shift leaves at most {bound:e}"
    )]
    FarFromMean {
        /// Which file.
        file: String,
        /// Which cluster, from 0.
        cluster: usize,
        /// How far it is.
        distance: f64,
        /// How far it may be.
        bound: f64,
    },
    /// Something cannot be, whatever the data are.
    #[error("{file}: {what}")]
    Impossible {
        /// Which file.
        file: String,
        /// What.
        what: String,
    },
}

impl Violation {
    /// The file in which it was found, relative to the run folder.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Unreadable { file, .. }
            | Self::Differs { file, .. }
            | Self::Off { file, .. }
            | Self::NotNearest { file, .. }
            | Self::FarFromMean { file, .. }
            | Self::Impossible { file, .. } => file,
        }
    }
}

pub(crate) fn unreadable(file: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Violation {
    Violation::Unreadable { file: file.to_owned(), source: source.into() }
}

pub(crate) fn impossible(file: &str, what: impl Display) -> Violation {
    Violation::Impossible { file: file.to_owned(), what: what.to_string() }
}

/// That `found`, which `file` has as `what`, is `expected`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "mostly numbers, which would all need an ampersand"
)]
pub(crate) fn equal<T: PartialEq + Display>(
    file: &str,
    what: impl Display,
    found: T,
    expected: T,
) -> Result<(), Violation> {
    if found == expected {
        return Ok(());
    }
    Err(Violation::Differs {
        file: file.to_owned(),
        what: what.to_string(),
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

/// That two lists are equal: names the first element that is not. Elements are to be shown as they
/// are compared: numbers as their bits where bits count.
pub(crate) fn equal_lists<T: PartialEq + Display>(
    file: &str,
    what: impl Display,
    found: impl ExactSizeIterator<Item = T>,
    expected: impl ExactSizeIterator<Item = T>,
) -> Result<(), Violation> {
    equal(file, format_args!("the length of {what}"), found.len(), expected.len())?;
    for (index, (found, expected)) in found.zip(expected).enumerate() {
        if found != expected {
            return equal(file, format_args!("{what}[{index}]"), found, expected);
        }
    }
    Ok(())
}

/// That `found` is `expected`, give or take `tolerance`. A NaN is not.
pub(crate) fn near(
    file: &str,
    what: impl Display,
    found: f64,
    expected: f64,
    tolerance: f64,
) -> Result<(), Violation> {
    if (found - expected).abs() <= tolerance {
        return Ok(());
    }
    Err(Violation::Off {
        file: file.to_owned(),
        what: what.to_string(),
        found,
        expected,
        tolerance,
    })
}

/// That `holds`; otherwise `what` cannot be.
pub(crate) fn ensure(holds: bool, file: &str, what: impl Display) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(impossible(file, what)) }
}
