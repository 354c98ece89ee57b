//! Changes that last until the next boot, for `vesper check --fix`: what [`super::prepare`] does while the sensor runs,
//! done for good. Each needs CAP_NET_ADMIN, and can be undone with one command.

use std::io;

use super::Nic;
use super::ethtool::Ethtool;
use super::netlink::set_flags;

const IFF_UP: u32 = 0x1;
const IFF_PROMISC: u32 = 0x100;

/// `ip link set NIC up`.
pub fn up(nic: &Nic) -> io::Result<()> {
    set_flags(nic.index, IFF_UP)
}

/// `ip link set NIC promisc on`.
pub fn promiscuous(nic: &Nic) -> io::Result<()> {
    set_flags(nic.index, IFF_PROMISC)
}

/// `ethtool -K NIC OFFLOAD off`, by the offload's name in netlink.
pub fn offload_off(nic: &Nic, name: &str) -> io::Result<()> {
    Ethtool::open(nic.index)?.set_feature(name, false)
}
