//! Files as they are opened: what has an end, and whether it is still what it was.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

/// What a file was when it was opened.
pub(crate) struct Opened {
    file: File,
    before: Metadata,
}

impl Opened {
    /// Of `file`, which has not been read yet; `None` for what is no file on a disk.
    pub(crate) fn of(file: &File) -> io::Result<Option<Self>> {
        let before = file.metadata()?;
        // The files of /proc say that they have 0 bytes.
        if !before.is_file() || before.len() == 0 {
            return Ok(None);
        }
        Ok(Some(Self { file: file.try_clone()?, before }))
    }

    /// Its bytes.
    pub(crate) fn len(&self) -> u64 {
        self.before.len()
    }

    /// Whether it was written to since.
    pub(crate) fn has_changed(&self) -> io::Result<bool> {
        let now = self.file.metadata()?;
        Ok(now.len() != self.before.len() || now.modified()? != self.before.modified()?)
    }
}

/// Makes sure that `path` is a file, with an end, rather than a folder, a pipe or a device.
///
/// # Errors
///
/// What the system says of it, or that it is none.
pub fn expect_file(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is a pipe or a device, not a file"));
    }
    Ok(())
}

/// All bytes of the file at `path`, as they were at one moment.
///
/// # Errors
///
/// Where it is no file, cannot be read, or was changed meanwhile.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    expect_file(path)?;
    let mut file = File::open(path)?;
    let opened = Opened::of(&file)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(opened.as_ref().map_or(0, Opened::len) as usize)?;
    file.read_to_end(&mut bytes)?;
    if opened.map_or(Ok(false), |opened| opened.has_changed())? {
        return Err(io::Error::other("it was changed while it was read"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_to_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, b"1234").unwrap();
        let opened = || Opened::of(&File::open(&path).unwrap()).unwrap().unwrap();
        let write = || OpenOptions::new().write(true).open(&path).unwrap();

        let before = opened();
        assert!(!before.has_changed().unwrap());
        assert_eq!(before.len(), 4);
        write().set_len(3).unwrap();
        assert!(before.has_changed().unwrap(), "it is shorter");

        // As many bytes, others. The clock of files ticks a few times in a hundredth of a second.
        let before = opened();
        let changed = || {
            write().write_all(b"abc").unwrap();
            before.has_changed().unwrap()
        };
        assert!((0..1_000_000).any(|_| changed()), "it is as long, and not the same");
    }

    #[test]
    fn only_files_have_an_end() {
        let folder = tempfile::tempdir().unwrap();
        for (path, words) in [
            (folder.path(), "directory"),
            (Path::new("/dev/zero"), "device"),
            (Path::new("/nowhere"), "No such file"),
        ] {
            let error = read_file(path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(!read_file(Path::new("/proc/self/stat")).unwrap().is_empty());
    }
}
