//! Frame memory: huge pages where there are some, else normal ones.

use std::io;

use xdp_socket::mmap::OwnedMmap;

/// Bytes of the huge pages asked for.
pub const HUGE_PAGE: usize = 2 << 20;

/// Memory of at least `size` bytes, and whether it lies in huge pages. Those are reserved when they are mapped, so
/// that touching them cannot fail later.
pub(super) fn map(size: usize, huge: bool) -> io::Result<(OwnedMmap, bool)> {
    if huge && let Ok(memory) = OwnedMmap::mmap(size, Some(true)) {
        return Ok((memory, true));
    }
    Ok((OwnedMmap::mmap(size, Some(false))?, false))
}
