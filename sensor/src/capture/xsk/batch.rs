//! `bpf(2)` calls on hash maps that aya has no wrapper for: reading many entries at once, and taking one out.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya::Pod;

const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_long = 21;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// `union bpf_attr`, the part for `BPF_MAP_*_BATCH` (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// `union bpf_attr`, the part for `BPF_MAP_*_ELEM`.
#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Reads the entries of a hash map from the bucket in `cursor` on (`None`: from the first), as many as fit.
/// Returns how many, and moves `cursor`; `None` after the last bucket.
///
/// The kernel copies whole buckets, each under its lock. Where the next bucket alone is larger than the
/// buffers, the error is `ENOSPC`: call again with larger ones.
pub fn lookup_batch<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    cursor: &mut Option<u32>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<usize> {
    let from = cursor.unwrap_or(0);
    let mut next = 0u32;
    let mut attr = BatchAttr {
        in_batch: if cursor.is_some() { &raw const from as u64 } else { 0 },
        out_batch: &raw mut next as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: keys.len().min(values.len()) as u32,
        map_fd: map.as_raw_fd() as u32,
        ..BatchAttr::default()
    };
    // SAFETY: the attribute is the kernel's layout, zero where unused. It names live buffers for `count` keys and
    // values of the map's sizes (`Pod`, so any bytes are valid), and two 32-bit cursors; all outlive the call.
    let result = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &raw mut attr) };
    match result {
        Ok(()) => *cursor = Some(next),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => *cursor = None,
        Err(error) => return Err(error),
    }
    Ok(attr.count as usize)
}

/// Takes one entry out of a hash map; `None` if it was not there.
pub fn lookup_and_delete<K: Pod, V: Pod + Default>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = V::default();
    let mut attr = ElementAttr {
        map_fd: map.as_raw_fd() as u32,
        key: &raw const *key as u64,
        value: &raw mut value as u64,
        ..ElementAttr::default()
    };
    // SAFETY: as above, with one key and one value.
    match unsafe { bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &raw mut attr) } {
        Ok(()) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// # Safety
/// `attr` is the part of `union bpf_attr` that `command` takes, and every address in it is good for the call.
unsafe fn bpf<A>(command: libc::c_long, attr: *mut A) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
