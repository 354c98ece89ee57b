//! Creating, sizing and binding an AF_XDP socket, and what the kernel counts about it.
//! Kernel document: Documentation/networking/af_xdp.rst.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use xdp_socket::mmap::OwnedMmap;

/// `XDP_STATISTICS`: what was lost between the program's redirect and the RX ring, and misuse of the rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Frames dropped by the socket: longer than a UMEM frame, or no free frame.
    pub rx_dropped: u64,
    /// Fill ring entries that were not valid frame addresses.
    pub rx_invalid_descs: u64,
    /// TX ring entries that were not valid; the sensor does not send.
    pub tx_invalid_descs: u64,
    /// Frames dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times the kernel found the fill ring empty.
    pub rx_fill_ring_empty_descs: u64,
    /// Times the kernel found the TX ring empty.
    pub tx_ring_empty_descs: u64,
}

/// A new AF_XDP socket.
pub(super) fn create() -> io::Result<OwnedFd> {
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Registers frame memory with the socket.
pub(super) fn register_umem(socket: &OwnedFd, umem: &OwnedMmap, frame_size: u32) -> io::Result<()> {
    let registration = libc::xdp_umem_reg {
        addr: umem.as_void_ptr() as u64,
        len: umem.len() as u64,
        chunk_size: frame_size,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    // SAFETY: the option takes an `xdp_umem_reg` of this size and reads it during the call. The memory it names
    // outlives the socket: `XskQueue` drops the socket first.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_UMEM_REG,
            (&raw const registration).cast(),
            size_of::<libc::xdp_umem_reg>() as libc::socklen_t,
        )
    })
}

/// Whether the driver writes into our frames itself, or the kernel copies into them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZeroCopy {
    /// Without a copy where the driver can, else with one; which it became is reported.
    #[default]
    Auto,
    /// Always with a copy.
    Off,
    /// Without a copy, or not at all.
    Require,
}

/// Binds the socket to a queue, with wake-ups only when the kernel asks for them. `multi` lets a packet take several
/// frames (Linux 6.6).
pub(super) fn bind(
    socket: &OwnedFd,
    ifindex: u32,
    queue: u32,
    zero_copy: ZeroCopy,
    multi: bool,
) -> io::Result<()> {
    // Without either flag the kernel tries zero-copy first and falls back by itself.
    let copy = match zero_copy {
        ZeroCopy::Auto => 0,
        ZeroCopy::Off => libc::XDP_COPY,
        ZeroCopy::Require => libc::XDP_ZEROCOPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as libc::sa_family_t,
        sxdp_flags: libc::XDP_USE_NEED_WAKEUP | copy | if multi { libc::XDP_USE_SG } else { 0 },
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the address is a `sockaddr_xdp` of the size given, read during the call.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_xdp>() as libc::socklen_t,
        )
    })
}

/// Whether a bound socket receives without a copy.
pub(super) fn is_zero_copy(socket: &OwnedFd) -> io::Result<bool> {
    let mut options = libc::xdp_options { flags: 0 };
    let mut len = size_of::<libc::xdp_options>() as libc::socklen_t;
    // SAFETY: the option writes at most `len` bytes of an `xdp_options`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_OPTIONS,
            (&raw mut options).cast(),
            &raw mut len,
        )
    })?;
    Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// Lets the reader drive the driver's receive loop from its own thread instead of an interrupt's
/// (Documentation/networking/napi.rst). A CPU is busy for it.
pub(super) fn busy_poll(socket: &OwnedFd) -> io::Result<()> {
    /// Not in the libc crate: include/uapi/asm-generic/socket.h.
    const SO_PREFER_BUSY_POLL: libc::c_int = 69;
    const SO_BUSY_POLL_BUDGET: libc::c_int = 70;
    /// Microseconds that a call may poll.
    const MICROSECONDS: libc::c_int = 20;
    /// Packets of one poll.
    const BUDGET: libc::c_int = 64;
    for (option, value) in
        [(SO_PREFER_BUSY_POLL, 1), (libc::SO_BUSY_POLL, MICROSECONDS), (SO_BUSY_POLL_BUDGET, BUDGET)]
    {
        // SAFETY: each of the options takes an int, read during the call.
        check(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        })?;
    }
    Ok(())
}

/// Wakes the kernel's receive side of the queue. Needed only when the fill ring's flag asks for it.
pub(super) fn wake(socket: &OwnedFd) {
    // SAFETY: a receive of zero bytes into no buffer; AF_XDP takes it as a wake-up.
    unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
    }
}

/// Reads the socket's counters.
pub(super) fn statistics(socket: &OwnedFd) -> io::Result<Statistics> {
    let mut raw = libc::xdp_statistics {
        rx_dropped: 0,
        rx_invalid_descs: 0,
        tx_invalid_descs: 0,
        rx_ring_full: 0,
        rx_fill_ring_empty_descs: 0,
        tx_ring_empty_descs: 0,
    };
    let mut len = size_of::<libc::xdp_statistics>() as libc::socklen_t;
    // SAFETY: the option writes at most `len` bytes of an `xdp_statistics`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_STATISTICS,
            (&raw mut raw).cast(),
            &raw mut len,
        )
    })?;
    Ok(Statistics {
        rx_dropped: raw.rx_dropped,
        rx_invalid_descs: raw.rx_invalid_descs,
        tx_invalid_descs: raw.tx_invalid_descs,
        rx_ring_full: raw.rx_ring_full,
        rx_fill_ring_empty_descs: raw.rx_fill_ring_empty_descs,
        tx_ring_empty_descs: raw.tx_ring_empty_descs,
    })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
