//! Files without a name, and how much memory reading one takes.

use peak_alloc::PeakAlloc;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What `read` gives.
///
/// # Panics
/// Where that takes more than `allowed` bytes at a time, beside what there was before.
pub(crate) fn within<T>(allowed: usize, read: impl FnOnce() -> T) -> T {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let value = read();
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(taken <= allowed, "{taken} bytes were taken, and {allowed} are allowed");
    value
}

/// A file in memory, as long as this lives.
pub(crate) struct MemoryFile {
    file: File,
}

impl MemoryFile {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("hostile", flags).expect("a file in memory");
        let mut file = File::from(file);
        file.write_all(bytes).expect("memory for it");
        Self { file }
    }

    /// One that nobody can change.
    pub(crate) fn sealed(bytes: &[u8]) -> Self {
        let sealed = Self::of(bytes);
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&sealed.file, seals).expect("it is not mapped yet");
        sealed
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}
