//! Waiting until no program that was running can still run.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// `union bpf_attr`, the part for `BPF_MAP_CREATE` (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
pub(super) struct CreateAttr {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
}

/// `union bpf_attr`, the part for one element of a map.
#[repr(C)]
#[derive(Default)]
pub(super) struct ElementAttr {
    pub(super) map_fd: u32,
    pub(super) _pad: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

/// An RCU grace period on demand. An update of a map of maps returns only when every program that may have seen the old
/// inner map has ended (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c): that holds for all programs, so one
/// such map that no program uses will do. Some milliseconds of waiting, no work.
pub struct GracePeriod {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl GracePeriod {
    /// Makes the two maps.
    pub fn new() -> io::Result<GracePeriod> {
        let array = CreateAttr {
            map_type: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            ..CreateAttr::default()
        };
        let inner = create(&array)?;
        let inner_map_fd = inner.as_raw_fd() as u32;
        let outer = create(&CreateAttr {
            map_type: BPF_MAP_TYPE_ARRAY_OF_MAPS,
            value_size: 4,
            inner_map_fd,
            ..array
        })?;
        Ok(GracePeriod { outer, inner })
    }

    /// Returns when every program that was running at the call has ended.
    pub fn wait(&self) -> io::Result<()> {
        let (key, value) = (0u32, self.inner.as_raw_fd());
        let attr = ElementAttr {
            map_fd: self.outer.as_raw_fd() as u32,
            key: &raw const key as u64,
            value: &raw const value as u64,
            ..ElementAttr::default()
        };
        // SAFETY: the attribute names a key and a value of the map's sizes, both read during the call.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &attr) }.map(drop)
    }
}

pub(super) fn create(attr: &CreateAttr) -> io::Result<OwnedFd> {
    // SAFETY: the attribute holds no address.
    let fd = unsafe { bpf(BPF_MAP_CREATE, attr) }?;
    // SAFETY: `fd` was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `attr` is the part of `union bpf_attr` that `command` takes, and every address in it is good for the call.
pub(super) unsafe fn bpf<A>(command: libc::c_long, attr: &A) -> io::Result<libc::c_int> {
    // SAFETY: the caller's promise; the kernel takes missing bytes at the end as 0.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attr, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}
