//! Mapping a file: the only `unsafe` of this crate.
//!
//! A mapping starts at a multiple of [`HUGE_PAGE`], which no crate for memory maps can ask for:
//! only there can the system map a file's huge pages as such. A worker then takes one fault in
//! 2 MiB instead of one in 64 KiB, and hardly ever waits for an address to be translated when it
//! looks at rows here and there. Where the system has no huge pages nothing else changes.
#![expect(unsafe_code, reason = "a memory map is a borrow of a file that others could change")]

use kscan_kmeans::side_by_side;
use rustix::fs::{FallocateFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

/// What makes a mapping of a file safe: nobody can write to it, nor shorten it under its readers.
pub(crate) const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// Bytes in a huge page, on `x86_64` and on `aarch64` with pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// A file that has [`SEALS`], mapped to read.
#[derive(Debug)]
pub(crate) struct Mapping(Mapped);

impl Mapping {
    /// `None` where the file is not sealed: it could change under its readers.
    pub(crate) fn of_sealed(file: &File) -> io::Result<Option<Self>> {
        if !rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS)) {
            return Ok(None);
        }
        Ok(Some(Self(Mapped::new(file, ProtFlags::READ)?)))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the file is sealed.
        unsafe { self.0.bytes() }
    }
}

/// A new file of the given size, mapped to write.
#[derive(Debug)]
pub(crate) struct NewMapping(Mapped);

impl NewMapping {
    /// Gives `file`, which is empty and known to nobody else, `bytes` bytes of memory, in huge pages
    /// where the system has some, and maps it.
    ///
    /// Memory is taken now, where its want is an error: in the middle of writing it were a signal. All
    /// of it is cleared, on `threads` threads.
    pub(crate) fn allocate(file: &File, bytes: u64, threads: usize) -> io::Result<Self> {
        file.set_len(bytes)?;
        let mapped = Mapped::new(file, ProtFlags::READ | ProtFlags::WRITE)?;
        let part = mapped.len.div_ceil(threads.max(1)).next_multiple_of(HUGE_PAGE);
        let parts = (0..mapped.len).step_by(part).map(|start| {
            let mapped = &mapped;
            move || mapped.fill(file, start..mapped.len.min(start + part))
        });
        side_by_side(parts).into_iter().collect::<io::Result<()>>()?;
        Ok(Self(mapped))
    }
}

impl Deref for NewMapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the file was made by this process a moment ago and is known to nobody else.
        unsafe { self.0.bytes() }
    }
}

impl DerefMut for NewMapping {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; it is mapped to write, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.as_ptr(), self.0.len) }
    }
}

/// Addresses of this process at which all of a file is mapped.
#[derive(Debug)]
struct Mapped {
    /// What was reserved to find an address that will do: [`HUGE_PAGE`] longer than the file.
    reserved: NonNull<c_void>,
    reserved_len: usize,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: addresses are those of the process, not of a thread, and access to what is there goes
// through borrows of the owner.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(file: &File, access: ProtFlags) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| too_large())?;
        let reserved_len = len.checked_add(HUGE_PAGE).ok_or_else(too_large)?;
        // SAFETY: a fresh mapping at an address of the system's choice, with no access at all.
        let reserved = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                reserved_len,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )?
        };
        let offset = reserved.cast::<u8>().align_offset(HUGE_PAGE);
        let reserved = NonNull::new(reserved).expect("the system maps nothing at zero");
        // SAFETY: `align_offset` is less than HUGE_PAGE here, as what is aligned are bytes.
        let start = unsafe { reserved.cast::<u8>().add(offset) };
        let mapped = Self { reserved, reserved_len, start, len };
        // SAFETY: replaces pages that were reserved above and that nobody has a reference to;
        // offset + len is at most reserved_len. Where it fails, `mapped` is dropped unused.
        unsafe {
            rustix::mm::mmap(
                start.as_ptr().cast(),
                // A file of no bytes can be mapped too, if nothing of it is read.
                len.max(1),
                access,
                MapFlags::SHARED | MapFlags::FIXED,
                file.as_fd(),
                0,
            )?;
        }
        Ok(mapped)
    }

    /// The bytes of the file, which are there for as long as `self` is.
    ///
    /// # Safety
    /// Nobody shortens the file meanwhile, or writes to it.
    unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: all of the file is mapped there; the caller answers for the rest.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Takes memory for a `range` of the file, which begins at a huge page, in such pages where there
    /// are some.
    fn fill(&self, file: &File, range: Range<usize>) -> io::Result<()> {
        let allocate = |start: usize, len: usize| {
            rustix::fs::fallocate(file, FallocateFlags::empty(), start as u64, len as u64)
        };
        // Asking for huge pages is to collapse small ones, of which one has to be there.
        for start in range.clone().step_by(HUGE_PAGE) {
            allocate(start, 1)?;
        }
        // SAFETY: the range is in the mapping, and contents stay as they are. Nobody needs huge pages,
        // so that a refusal is no failure.
        unsafe {
            let start = self.start.add(range.start);
            libc::madvise(start.as_ptr().cast(), range.len(), libc::MADV_COLLAPSE);
        }
        Ok(allocate(range.start, range.len())?)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: reserved by `new`, all of it still mapped, and nothing borrows from it any more.
        // Nothing is to be done where it fails.
        let _ = unsafe { rustix::mm::munmap(self.reserved.as_ptr(), self.reserved_len) };
    }
}

fn too_large() -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_file() -> File {
        let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
        File::from(rustix::fs::memfd_create("mapping", flags).unwrap())
    }

    #[test]
    fn mappings_start_at_huge_pages_and_show_the_whole_file() {
        for len in [1, 4096, HUGE_PAGE - 1, HUGE_PAGE, 2 * HUGE_PAGE + 4097] {
            let file = memory_file();
            let mut new = NewMapping::allocate(&file, len as u64, 2).unwrap();
            assert_eq!(new.as_ptr().align_offset(HUGE_PAGE), 0);
            assert!(new.len() == len && new.iter().all(|&byte| byte == 0));
            for (index, byte) in new.iter_mut().enumerate() {
                *byte = (index % 251) as u8;
            }
            drop(new);
            rustix::fs::fcntl_add_seals(&file, SEALS).unwrap();
            let sealed = Mapping::of_sealed(&file).unwrap().expect("it is sealed");
            assert_eq!(sealed.as_ptr().align_offset(HUGE_PAGE), 0);
            assert!(sealed.len() == len);
            assert!(sealed.iter().enumerate().all(|(index, &byte)| byte == (index % 251) as u8));
        }
    }

    #[test]
    fn a_file_that_could_change_is_not_mapped_to_read() {
        let file = memory_file();
        assert!(Mapping::of_sealed(&file).unwrap().is_none());
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).unwrap();
        assert!(Mapping::of_sealed(&file).unwrap().is_none());
    }
}
