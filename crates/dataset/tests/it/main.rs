//! What the crate promises, seen from outside. One test binary, a file per subject.

#![expect(
    clippy::float_cmp,
    reason = "values are read and rounded, never computed: they are exact"
)]

mod builtin;
mod errors;
mod formats;
mod hostile;
mod labels;
mod table;
mod util;
