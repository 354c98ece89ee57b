//! Many elements of a map in one system call.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::MapData;

const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;

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

/// `union bpf_attr`, the part for `BPF_MAP_GET_NEXT_KEY`.
#[repr(C)]
struct NextAttr {
    map_fd: u32,
    _pad: u32,
    key: u64,
    next: u64,
}

/// A map with keys of `K` bytes and values of 4. The kernel has batches for tries from Linux 5.7 on.
pub struct Batched<const K: usize> {
    map: MapData,
}

impl<const K: usize> Batched<K> {
    /// Takes a map of these sizes; another one is refused.
    pub fn new(map: MapData) -> io::Result<Batched<K>> {
        let info = map.info().map_err(io::Error::other)?;
        if (info.key_size() as usize, info.value_size()) != (K, 4) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok(Batched { map })
    }

    /// Sets elements.
    pub fn update(&self, keys: &[[u8; K]], values: &[u32]) -> io::Result<()> {
        let count = keys.len().min(values.len()) as u32;
        let (keys, values) = (keys.as_ptr() as u64, values.as_ptr() as u64);
        let attr = BatchAttr { keys, values, count, ..self.attr() };
        // SAFETY: the attribute names `count` keys and values of the map's sizes, alive and only read during the call.
        unsafe { bpf(BPF_MAP_UPDATE_BATCH, attr) }
    }

    /// Removes elements that are there.
    pub fn delete(&self, keys: &[[u8; K]]) -> io::Result<()> {
        let attr = BatchAttr { keys: keys.as_ptr() as u64, count: keys.len() as u32, ..self.attr() };
        // SAFETY: the attribute names `count` keys of the map's size, alive and only read during the call.
        unsafe { bpf(BPF_MAP_DELETE_BATCH, attr) }
    }

    /// Removes all elements, one by one.
    pub fn clear(&self) -> io::Result<()> {
        let mut key = [0u8; K];
        loop {
            let map_fd = self.map.fd().as_fd().as_raw_fd() as u32;
            let attr = NextAttr { map_fd, _pad: 0, key: 0, next: key.as_mut_ptr() as u64 };
            // SAFETY: without a key the kernel writes the first one, of the map's size, to `next`.
            match unsafe { bpf(BPF_MAP_GET_NEXT_KEY, attr) } {
                Ok(()) => self.delete(&[key])?,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn attr(&self) -> BatchAttr {
        BatchAttr { map_fd: self.map.fd().as_fd().as_raw_fd() as u32, ..BatchAttr::default() }
    }
}

/// # Safety
/// `attr` is the part of `union bpf_attr` that `command` takes, and every address in it is good for the call.
unsafe fn bpf<A>(command: libc::c_long, mut attr: A) -> io::Result<()> {
    // SAFETY: the caller's promise; the kernel may write a count back into the attribute, which is ours.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
