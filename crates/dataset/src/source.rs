//! Where data comes from, and what it is called.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// The name of a data set whose file's name has no usable character.
const NAMELESS: &str = "data";

/// The most characters a data set's name has: it becomes part of file names, which most file
/// systems end at 255 bytes.
const NAME_MAX: usize = 64;

/// Where a data set comes from. Displays as one line, whatever the path holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A set that is part of the program.
    Builtin(Builtin),
    /// A file.
    File(PathBuf),
}

/// The sets that are part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// The MNIST training set: 60,000 images of 28 x 28, `u8`, with labels 0 to 9.
    Mnist,
    /// scikit-learn's `load_digits`: 1,797 images of 8 x 8, `u8` from 0 to 16, with labels 0 to 9.
    Digits,
}

impl Builtin {
    /// Every built-in set.
    pub const ALL: [Self; 2] = [Self::Mnist, Self::Digits];

    /// The name that stands for the set wherever a path can stand.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Digits => "digits",
        }
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Source {
    /// `mnist` and `digits` are the built-in sets, anything else is a path. A file that has one of
    /// these names is reached as `./mnist`.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        Builtin::ALL
            .into_iter()
            .find(|builtin| text == builtin.name())
            .map_or_else(|| Self::File(PathBuf::from(text)), Self::Builtin)
    }

    /// The data set's name: a built-in set's own, or the file's without `.gz`, `.npy`, `.idx` and
    /// what IDX files are usually called (`-idx3-ubyte`), in any case of letters.
    ///
    /// Only `[A-Za-z0-9._-]` remain, as the name goes into folder names: every run of other
    /// characters becomes one `-`, the name starts with a letter or digit, and has at most 64
    /// characters. What nothing remains of is called `data`.
    #[must_use]
    pub fn dataset_name(&self) -> String {
        let path = match self {
            Self::Builtin(builtin) => return builtin.name().to_owned(),
            Self::File(path) => path,
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = strip_format(strip_suffix(&file, ".gz"));

        let mut name = String::new();
        for c in stem.chars() {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                name.push(c);
            } else if !name.ends_with('-') {
                name.push('-');
            }
        }
        let name = name.trim_start_matches(['.', '_', '-']);
        let name = &name[..name.len().min(NAME_MAX)];
        let name = name.trim_end_matches(['.', '_', '-']);
        if name.is_empty() { NAMELESS.to_owned() } else { name.to_owned() }
    }
}

/// `name` without `suffix`, in any case of letters.
fn strip_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    match name.len().checked_sub(suffix.len()) {
        Some(at) if name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(suffix) => {
            &name[..at]
        }
        _ => name,
    }
}

/// `name` without `.npy`, `.idx`, or an ending like `-idx3-ubyte`, `.idx1-float`.
fn strip_format(name: &str) -> &str {
    for suffix in [".npy", ".idx"] {
        let stem = strip_suffix(name, suffix);
        if stem.len() < name.len() {
            return stem;
        }
    }
    let Some((stem, dtype)) = name.rsplit_once('-') else {
        return name;
    };
    let idx = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = stem.len() - idx.len();
    if digits == 0 || dtype.is_empty() || !dtype.bytes().all(|b| b.is_ascii_alphabetic()) {
        return name;
    }
    for suffix in ["-idx", ".idx"] {
        let bare = strip_suffix(idx, suffix);
        if bare.len() < idx.len() {
            return bare;
        }
    }
    name
}

impl From<&OsStr> for Source {
    fn from(text: &OsStr) -> Self {
        Self::parse(text)
    }
}

impl From<OsString> for Source {
    fn from(text: OsString) -> Self {
        Self::parse(&text)
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self::parse(OsStr::new(text))
    }
}

impl From<Builtin> for Source {
    fn from(builtin: Builtin) -> Self {
        Self::Builtin(builtin)
    }
}

impl From<PathBuf> for Source {
    /// A path is always a file, also where it is called `mnist`.
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(builtin) => write!(f, "built-in set {builtin}"),
            Self::File(path) => f.write_str(&one_line(&path.to_string_lossy())),
        }
    }
}

/// `text` with its control characters escaped: what comes from a path or a file may hold line
/// breaks and terminal escapes, which have no place in a message.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_names_are_built_in() {
        assert_eq!(Source::from("mnist"), Source::Builtin(Builtin::Mnist));
        assert_eq!(Source::from("digits"), Source::Builtin(Builtin::Digits));
        assert_eq!(Source::from(OsString::from("digits")), Source::Builtin(Builtin::Digits));
        for path in ["./mnist", "mnist.npy", "MNIST", "", "data/digits"] {
            assert_eq!(Source::from(path), Source::File(PathBuf::from(path)), "{path}");
        }
        assert_eq!(Source::from(PathBuf::from("mnist")), Source::File(PathBuf::from("mnist")));
    }

    #[test]
    fn names_lose_their_formats_and_what_a_folder_cannot_hold() {
        for (path, name) in [
            ("mnist", "mnist"),
            ("/data/train-images-idx3-ubyte.gz", "train-images"),
            ("train-images.idx3-ubyte", "train-images"),
            ("train-labels-IDX1-ubyte", "train-labels"),
            ("x.idx", "x"),
            ("some/iris.npy", "iris"),
            ("iris.NPY.GZ", "iris"),
            ("iris.v2.npy", "iris.v2"),
            ("iris.csv", "iris.csv"),
            ("idx3-ubyte", "idx3-ubyte"),
            ("run-idx-ubyte", "run-idx-ubyte"),
            ("my data (1).npy", "my-data-1"),
            ("größe.npy", "gr-e"),
            ("../..", "data"),
            (".npy", "data"),
            (".hidden.npy", "hidden"),
            ("-rf.npy", "rf"),
            ("日本.npy", "data"),
            ("a\n\u{1b}[31mb.npy", "a-31mb"),
            ("/dev/fd/63", "63"),
        ] {
            assert_eq!(Source::from(path).dataset_name(), name, "{path:?}");
        }
        let long = Source::File(PathBuf::from("x".repeat(250) + ".npy"));
        assert_eq!(long.dataset_name(), "x".repeat(64));
    }

    #[test]
    fn display_is_one_line() {
        let source = Source::File(PathBuf::from("a\nb\u{1b}[0m ü"));
        assert_eq!(source.to_string(), "a\\nb\\u{1b}[0m ü");
        assert_eq!(Source::Builtin(Builtin::Mnist).to_string(), "built-in set mnist");
    }
}
