//! Changes that last until the next boot, for `vesper check --fix`: what [`super::prepare`] does while the sensor runs,
//! done for good. Each needs CAP_NET_ADMIN, and can be undone with one command.

use std::io;

use super::Nic;
use super::ethtool::Ethtool;
use super::netlink::{set_promiscuous, set_up};

/// `ip link set NIC up`.
pub fn up(nic: &Nic) -> io::Result<()> {
    set_up(nic.index)
}

/// `ip link set NIC promisc on`.
pub fn promiscuous(nic: &Nic) -> io::Result<()> {
    set_promiscuous(nic.index, true)
}

/// `ethtool -K NIC OFFLOAD off`, by the offload's name in netlink.
pub fn offload_off(nic: &Nic, name: &str) -> io::Result<()> {
    Ethtool::open(nic.index)?.set_feature(name, false)
}
