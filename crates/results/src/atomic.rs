//! Writing a file so that it is either the old or the new one, whatever happens meanwhile.

use crate::FileError;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes `path` through `write`: to a temporary file beside it, synced to disk, then renamed.
///
/// # Errors
/// Where any of that fails. What stood at `path` is then as it was, and the temporary file is gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), FileError> {
    replace_file(path, |file| {
        let mut buffered = BufWriter::new(file);
        write(&mut buffered)?;
        buffered.flush()
    })
}

/// The same, for writers that need the file itself, to seek in it.
///
/// # Errors
/// As [`write_atomically`].
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let replace = || {
        let mut temporary = temporary_beside(path)?;
        write(temporary.as_file_mut())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        // The rename itself is on disk only when the folder is.
        File::open(folder_of(path))?.sync_all()
    };
    replace().map_err(|source: io::Error| FileError::write(path, source))
}

/// What the names of temporary files begin with.
pub(crate) const TEMPORARY: &str = ".kscan-";

/// A temporary file in the folder of `path`: with a name nobody can guess, mode 0600, removed when
/// dropped.
pub(crate) fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    // A bare name's parent is "", which no system call takes for the current folder.
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.json");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"new, but only ha")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
