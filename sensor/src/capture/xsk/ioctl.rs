//! What ethtool knows only by `ioctl` (include/uapi/linux/ethtool.h): a driver's own counters, and the hash that
//! spreads packets over queues (netlink can set that from Linux 6.17 on only).
//!
//! The kernel writes as many values as the driver has at that moment, whatever the caller made room for. So every
//! buffer ends at a page that cannot be written: a driver that grew meanwhile gets EFAULT, and nothing is harmed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

use xdp_socket::mmap::OwnedMmap;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GSSET_INFO: u32 = 0x37;
const GRSSH: u32 = 0x46;
const SRSSH: u32 = 0x47;
/// Set of the names of statistics.
const SS_STATS: u32 = 1;
/// Bytes of a name in a string set.
const NAME: usize = 32;
/// Keep the indirection table.
const INDIR_NO_CHANGE: u32 = 0xffff_ffff;
/// `size_of::<ethtool_rxfh>()` without its tail.
const RXFH: usize = 24;
/// Counters of one driver beyond this are not read: mlx5 has about 3,000 at 64 queues.
const MOST_COUNTERS: usize = 32_768;

/// How packets are spread over receive queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RssHash {
    /// Key of the hash.
    pub key: Vec<u8>,
    /// RXH_XFRM_*: 1 symmetric-xor, 2 symmetric-or-xor; 0 none, and on kernels before 6.8.
    pub input_xfrm: u8,
}

/// The hash of an interface; an error where the driver has none or does not tell.
pub fn rss_hash(interface: &str) -> io::Result<RssHash> {
    let mut sizes = Command::new(RXFH)?;
    sizes.put(0, GRSSH);
    sizes.call(interface)?;
    let (table, key) = (sizes.get(8) as usize, sizes.get(12) as usize);
    let mut command = Command::new(RXFH + table.min(MOST_COUNTERS) * 4 + key.min(1024))?;
    command.put(0, GRSSH);
    command.put(8, table as u32);
    command.put(12, key as u32);
    command.call(interface)?;
    let at = RXFH + table * 4;
    let bytes = command.bytes();
    Ok(RssHash {
        key: bytes.get(at..at + key).ok_or(io::ErrorKind::InvalidData)?.to_vec(),
        input_xfrm: bytes[17],
    })
}

/// Sets key and transformation; the indirection table stays. An empty key stays too.
pub fn set_rss_hash(interface: &str, hash: &RssHash) -> io::Result<()> {
    let mut command = Command::new(RXFH + hash.key.len())?;
    command.put(0, SRSSH);
    command.put(8, INDIR_NO_CHANGE);
    command.put(12, hash.key.len() as u32);
    let bytes = command.bytes_mut();
    bytes[17] = hash.input_xfrm;
    bytes[RXFH..RXFH + hash.key.len()].copy_from_slice(&hash.key);
    command.call(interface)
}

/// Names of the driver's own counters, in order.
pub fn counter_names(interface: &str) -> io::Result<Vec<String>> {
    let mut info = Command::new(20)?;
    info.put(0, GSSET_INFO);
    info.put(8, 1 << SS_STATS);
    info.call(interface)?;
    // The mask that comes back has the bit only where the set exists.
    let count = if info.get(8) == 0 { 0 } else { (info.get(16) as usize).min(MOST_COUNTERS) };
    let mut command = Command::new(12 + count * NAME)?;
    command.put(0, GSTRINGS);
    command.put(4, SS_STATS);
    command.put(8, count as u32);
    command.call(interface)?;
    let names = command.bytes().get(12..12 + count * NAME).unwrap_or_default();
    Ok(names
        .chunks(NAME)
        .map(|name| {
            String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
        })
        .collect())
}

/// Values of the driver's own counters, as many as there are names.
pub fn counter_values(interface: &str, count: usize) -> io::Result<Vec<u64>> {
    let count = count.min(MOST_COUNTERS);
    let mut command = Command::new(8 + count * 8)?;
    command.put(0, GSTATS);
    command.put(4, count as u32);
    command.call(interface)?;
    // Another number of counters than there are names: the queues have changed, ask for the names again.
    if command.get(4) as usize != count {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let values = command.bytes().get(8..8 + count * 8).unwrap_or_default();
    Ok(values.as_chunks().0.iter().map(|value| u64::from_ne_bytes(*value)).collect())
}

/// One command's structure, with room behind it up to a page that cannot be written.
struct Command {
    memory: OwnedMmap,
    usable: usize,
}

impl Command {
    fn new(bytes: usize) -> io::Result<Command> {
        let page = rustix::param::page_size();
        let usable = bytes.next_multiple_of(page);
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                null_mut(),
                usable + page,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = OwnedMmap(memory, usable + page);
        // SAFETY: the first part of the mapping just made.
        let result =
            unsafe { libc::mprotect(memory.as_void_ptr(), usable, libc::PROT_READ | libc::PROT_WRITE) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Command { memory, usable }) }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `usable` bytes of the mapping are readable, zero at first, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.memory.as_void_ptr().cast::<u8>(), self.usable) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and writable; `&mut self` is the only way in.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_void_ptr().cast::<u8>(), self.usable) }
    }

    fn put(&mut self, at: usize, value: u32) {
        self.bytes_mut()[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn get(&self, at: usize) -> u32 {
        self.bytes()[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn call(&mut self, interface: &str) -> io::Result<()> {
        if interface.len() >= libc::IFNAMSIZ {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: a system call without pointers.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: self.memory.as_void_ptr().cast() },
        };
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *to = from as libc::c_char;
        }
        // SAFETY: the request names a zero-terminated interface and the command's memory, which outlives the call.
        // Whatever the kernel writes from its start on stays inside the mapping or fails at its last page.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
