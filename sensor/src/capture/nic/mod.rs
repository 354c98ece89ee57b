//! Network interfaces: facts, asked of the kernel without any privilege; what they count; and [`prepare`] and
//! [`lasting`], the only parts that change anything.
//!
//! Names and states come over rtnetlink, which knows the namespace the process is in; `/sys` shows the namespace
//! it was mounted in, which `nsenter --net` leaves behind, so it is believed only about the very same interface.

pub mod counters;

mod ethtool;

pub mod lasting;

pub mod mtu;

mod netlink;

mod numa;

pub mod owners;

pub mod prepare;

pub mod rss;

mod saved;

pub mod watch;

pub use ethtool::Rings;
pub use numa::Numa;

use std::path::PathBuf;

use super::program::XdpAttached;
use ethtool::Ethtool;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// Its index in this network namespace.
    pub index: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Whether it was set up (`ip link set up`).
    pub admin_up: bool,
    /// Whether it is a loopback: this machine's own talk.
    pub loopback: bool,
    /// Whether it has a carrier too: the link is up.
    pub link_up: bool,
    /// MTU, bytes.
    pub mtu: u32,
    /// Driver or kind: `ixgbe`, `veth`, `bridge`; empty when the kernel does not say.
    pub driver: String,
    /// Receive queues in use. Where the driver does not say: queues there are.
    pub rx_queues: u32,
    /// Whether a default route leaves through it.
    pub holds_default_route: bool,
    /// Whether an administrator made it promiscuous.
    pub promiscuous: bool,
    /// How many want it promiscuous; 0 is nobody.
    pub promiscuity: u32,
    /// The XDP program on it, in the driver or in the network stack, and its id.
    pub program: Option<(XdpAttached, u32)>,
    /// Index of the interface under it, or at the other end of a veth; 0 for none, or one in another namespace.
    pub lower: u32,
    /// MTU of the other end of a veth; 0 where it cannot be seen.
    pub peer_mtu: u32,
    /// Where it is plugged in.
    pub numa: Numa,
}

/// Why there are no facts.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// No interface has this name.
    #[error("there is no interface {name}; {hint}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// The nearest name, or those there are.
        hint: String,
    },
    /// The kernel did not answer.
    #[error(
        "cannot list interfaces over rtnetlink: {0}; is AF_NETLINK allowed (systemd RestrictAddressFamilies)?"
    )]
    Netlink(#[source] std::io::Error),
}

/// All interfaces of this network namespace, by index.
pub fn list() -> Result<Vec<Nic>, NicError> {
    let mut nics = netlink::links().map_err(NicError::Netlink)?;
    let routes = default_route_interfaces();
    let mtus: Vec<(u32, u32)> = nics.iter().map(|nic| (nic.index, nic.mtu)).collect();
    for nic in &mut nics {
        nic.holds_default_route = routes.contains(&nic.name);
        if nic.driver == "veth" {
            nic.peer_mtu = mtus.iter().find(|(index, _)| *index == nic.lower).map_or(0, |(_, mtu)| *mtu);
        }
        if let Some(queues) = Ethtool::open(nic.index).ok().and_then(Ethtool::rx_queues) {
            nic.rx_queues = queues;
        }
        let Some(folder) = sys_folder(nic) else { continue };
        if let Ok(driver) = std::fs::read_link(folder.join("device/driver"))
            && let Some(name) = driver.file_name()
        {
            nic.driver = name.to_string_lossy().into_owned();
        }
        nic.numa = Numa::of(&folder);
        let queues = std::fs::read_dir(folder.join("queues")).map_or(0, |entries| {
            entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-")).count()
        });
        if queues > 0 {
            nic.rx_queues = queues as u32;
        }
    }
    Ok(nics)
}

/// The interface `name`.
pub fn find(name: &str) -> Result<Nic, NicError> {
    let mut nics = list()?;
    if let Some(at) = nics.iter().position(|nic| nic.name == name) {
        return Ok(nics.swap_remove(at));
    }
    let names: Vec<&str> = nics.iter().map(|nic| nic.name.as_str()).collect();
    let there = format!("there are: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") });
    let hint = match crate::config::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}? {there}"),
        None => there,
    };
    Err(NicError::NotFound { name: crate::telemetry::printable(name, 40), hint })
}

/// What a driver's XDP can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpSupport {
    /// XDP programs in the driver, with redirects to sockets.
    pub native: bool,
    /// AF_XDP without a copy.
    pub zero_copy: bool,
    /// Packets of several buffers.
    pub frags: bool,
}

impl Nic {
    /// What its driver's XDP can do; `None` where the kernel does not say (before 6.3).
    pub fn xdp(&self) -> Option<XdpSupport> {
        /// `enum netdev_xdp_act`: NETDEV_XDP_ACT_BASIC and _REDIRECT.
        const NATIVE: u64 = 1 | 2;
        const XSK_ZEROCOPY: u64 = 8;
        const RX_SG: u64 = 32;
        ethtool::xdp_features(self.index).map(|features| XdpSupport {
            native: features & NATIVE == NATIVE,
            zero_copy: features & XSK_ZEROCOPY != 0,
            frags: features & RX_SG != 0,
        })
    }

    /// Size of its receive ring, where the driver has one to speak of.
    pub fn rings(&self) -> Option<Rings> {
        Ethtool::open(self.index).and_then(Ethtool::rings).ok()
    }
}

/// The folder of this interface, unless `/sys` shows another namespace.
pub(crate) fn sys_folder(nic: &Nic) -> Option<PathBuf> {
    let folder = PathBuf::from("/sys/class/net").join(&nic.name);
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let mac = nic.mac.map(|byte| format!("{byte:02x}")).join(":");
    (read("ifindex").trim() == nic.index.to_string() && read("address").trim() == mac).then_some(folder)
}

/// `/proc/net` is the namespace of the process, always.
fn default_route_interfaces() -> Vec<String> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let mut names = default_routes_v4(&read("/proc/net/route"));
    names.extend(default_routes_v6(&read("/proc/net/ipv6_route")));
    names
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, numbers in hexadecimal.
fn default_routes_v4(table: &str) -> Vec<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [name, destination, _, flags, _, _, _, mask, ..] = columns.as_slice() else {
                return None;
            };
            let default = *destination == "00000000" && *mask == "00000000" && is_usable(flags);
            default.then(|| (*name).to_owned())
        })
        .collect()
}

/// `destination length source length next-hop metric refcnt use flags name`, numbers in hexadecimal.
fn default_routes_v6(table: &str) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [destination, length, _, _, _, _, _, _, flags, name] = columns.as_slice() else {
                return None;
            };
            let zero = destination.bytes().all(|digit| digit == b'0') && *length == "00";
            (zero && is_usable(flags) && *name != "lo").then(|| (*name).to_owned())
        })
        .collect()
}

/// RTF_UP without RTF_REJECT (linux/route.h).
fn is_usable(flags: &str) -> bool {
    const UP: u32 = 0x1;
    const REJECT: u32 = 0x200;
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0 && flags & REJECT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\nbroken\n";
        assert_eq!(default_routes_v4(v4), ["eth0"]);
        let zero = "00000000000000000000000000000000";
        let v6 = format!(
            "{zero} 00 {zero} 00 fe80000000000000 00000400 00000001 00000000 00000003 eth2\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n\
             fe800000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth3\nbroken\n"
        );
        assert_eq!(default_routes_v6(&v6), ["eth2"]);
    }

    #[test]
    fn every_machine_has_a_loopback() {
        let lo = find("lo").unwrap();
        assert_eq!((lo.name.as_str(), lo.mac, lo.holds_default_route), ("lo", [0; 6], false));
        assert!(lo.mtu > 0 && lo.index > 0 && lo.rx_queues > 0, "{lo:?}");
    }

    #[test]
    fn a_missing_one_names_those_there_are() {
        let error = find("lp").unwrap_err().to_string();
        assert!(error.starts_with("there is no interface lp; ") && error.contains("lo"), "{error}");
    }
}
