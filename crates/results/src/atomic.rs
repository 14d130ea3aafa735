//! Writing a file so that it is either the old or the new one, whatever happens meanwhile.

use crate::FileError;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes `path` through `write`: to a temporary file beside it, synced to disk, then renamed.
///
/// # Errors
/// Where any of that fails. What stood at `path` is then as it was, and the temporary file is gone;
/// the error tells how many bytes there were to be written.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let temporary = temporary_beside(path);
    let file = temporary.as_ref().ok().map(NamedTempFile::as_file);
    let mut measured = BufWriter::new(Measured { file, bytes: 0, failure: None });
    let written = write(&mut measured).and_then(|()| measured.flush());
    let (Measured { bytes, failure, .. }, _) = measured.into_parts();
    let replace = || {
        written?;
        let temporary = temporary?;
        failure.map_or(Ok(()), Err)?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        // The rename itself is on disk only when the folder is.
        File::open(folder_of(path))?.sync_all()
    };
    replace().map_err(|source: io::Error| FileError::write(path, source).of(bytes))
}

/// Writes a file that can be made again from others in the same way, but for the syncing: after a
/// power cut it may be missing or empty, which is cheaper than to wait for the disk each time.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_derived(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let replace = || {
        let mut temporary = temporary_beside(path)?;
        temporary.write_all(bytes)?;
        temporary.persist(path)?;
        Ok(())
    };
    replace().map_err(|source: io::Error| FileError::write(path, source).of(bytes.len() as u64))
}

/// Writes until that fails, and from then on only counts: how much room is lacking is worth knowing.
struct Measured<'a> {
    file: Option<&'a File>,
    bytes: u64,
    failure: Option<io::Error>,
}

impl Write for Measured<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if self.failure.is_none() {
            self.failure = self.file.and_then(|mut file| file.write_all(bytes).err());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        let failed = failed.unwrap_err();
        assert_eq!(failed.source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_tells_how_much_there_was_to_write() {
        let failed = write_atomically(Path::new("/dev/null/table"), |file| {
            file.write_all(&vec![1; 70_000])?;
            file.write_all(&[2; 7])
        });
        let text = failed.unwrap_err().to_string();
        assert_eq!(text, "cannot write 70007 bytes to /dev/null/table");
    }
}
