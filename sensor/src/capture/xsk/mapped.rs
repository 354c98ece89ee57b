//! A kernel array that user space reads and writes without system calls.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use sensor_ebpf::SharedLayout;

/// The elements of a `BPF_MAP_TYPE_ARRAY` made with `BPF_F_MMAPABLE`. They are [`sensor_ebpf::shared::Shared`] words
/// through and through, so a plain slice of them is safe to hand out while the program changes them.
pub struct Mapped<T: SharedLayout> {
    elements: NonNull<T>,
    count: usize,
}

// SAFETY: the memory is shared with the kernel anyway, and `T` is made of words that any thread may load and store.
unsafe impl<T: SharedLayout> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: SharedLayout> Sync for Mapped<T> {}

impl<T: SharedLayout> Mapped<T> {
    /// Maps the `count` elements of the array `map`.
    pub fn new(map: BorrowedFd<'_>, count: usize) -> io::Result<Mapped<T>> {
        const { assert!(size_of::<T>().is_multiple_of(8), "the kernel pads elements to 8 bytes") };
        let length = count * size_of::<T>();
        // SAFETY: a new mapping at an address of the kernel's choice; it refuses a length beyond the array.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(address.cast()) {
            Some(elements) if address != libc::MAP_FAILED => Ok(Mapped { elements, count }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl<T: SharedLayout> Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds `count` elements and lives as long as `self`; it begins at a page, so it is
        // aligned; any bytes are a valid `T`, and all its fields allow writers elsewhere (`SharedLayout`).
        unsafe { std::slice::from_raw_parts(self.elements.as_ptr(), self.count) }
    }
}

impl<T: SharedLayout> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, and no slice of it outlives `self`.
        unsafe { libc::munmap(self.elements.as_ptr().cast(), self.count * size_of::<T>()) };
    }
}
