//! What a frame's link layer says: addresses, protocol, and for ARP (RFC 826) who claims what.

use crate::capture::{Link, Sample};
use crate::flow::index::{Key, Seed};
use sensor_ebpf::frame::Frame;
use sensor_ebpf::parse::ethernet;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it names one interface: neither a group nor nothing (IEEE 802, 8.2).
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// The link-local address that an interface makes of it (RFC 4291, appendix A).
    pub fn link_local(self) -> [u8; 16] {
        let [a, b, c, d, e, f] = self.0;
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]
    }

    /// As a number.
    pub fn number(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl Key for Mac {
    fn hash(&self, seed: &Seed) -> u64 {
        seed.words(&[], self.number())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// A request; else a reply.
    pub request: bool,
    /// Whose address is told.
    pub sender: Mac,
    /// The address that is told; 0.0.0.0 in a probe (RFC 5227), which tells none.
    pub sender_ip: [u8; 4],
    /// Who is told; in a request usually nobody.
    pub target: Mac,
    /// The address asked for, or that of who is told.
    pub target_ip: [u8; 4],
}

/// A frame's link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFrame {
    /// Who sent it.
    pub source: Mac,
    /// To whom.
    pub destination: Mac,
    /// EtherType; of LLC (IEEE 802.2) both service access points and [`LLC`].
    pub kind: u32,
    /// Both VLAN ids, 12 bits each.
    pub vlan: u32,
    /// What an ARP packet says, where it is one and whole.
    pub arp: Option<Arp>,
    /// The source address of an IPv4 packet.
    pub source_ip: Option<[u8; 4]>,
}

/// Marks the kind of a frame with a length instead of an EtherType.
pub const LLC: u32 = 0x1_0000;
/// The kind of a frame with more VLAN tags than are looked through.
pub const TAGGED: u32 = 0x8100;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// EtherTypes begin here; what is below is a length (IEEE 802.3, 3.2.6).
const ETHERTYPES: u16 = 0x0600;

/// Reads the link layer of a sample; `None` where it has no Ethernet addresses or ends inside of them.
pub fn read(sample: &Sample) -> Option<LinkFrame> {
    let frame: &[u8] = &sample.frame;
    if let Link::Network { ethertype: ARP, at } = sample.link {
        return without_ethernet(frame, usize::from(at));
    }
    if sample.link != Link::Ethernet {
        return None;
    }
    let (destination, source) = (Mac(frame.read(0)?), Mac(frame.read(6)?));
    frame.read::<2>(12)?;
    let mut read = LinkFrame { source, destination, kind: TAGGED, vlan: 0, arp: None, source_ip: None };
    // An error is a frame with too many tags, or one that ends inside of them: its addresses hold.
    if let Ok(network) = ethernet(frame, 0) {
        read.vlan = network.vlan;
        read.kind = match network.kind {
            kind if kind < ETHERTYPES => {
                LLC | u32::from(u16::from_be_bytes(frame.read(network.at).unwrap_or_default()))
            }
            kind => u32::from(kind),
        };
        match network.kind {
            ARP => read.arp = arp(frame, network.at),
            IPV4 => read.source_ip = frame.read(network.at + 12),
            _ => {}
        }
    }
    Some(read)
}

/// ARP in a capture whose link layer is not Ethernet, but which was: the packet says who sent it.
fn without_ethernet(frame: &[u8], at: usize) -> Option<LinkFrame> {
    let arp = arp(frame, at)?;
    Some(LinkFrame {
        source: arp.sender,
        destination: arp.target,
        kind: u32::from(ARP),
        vlan: 0,
        arp: Some(arp),
        source_ip: None,
    })
}

/// Requests and replies only: RARP and its kind claim nothing.
fn arp(frame: &[u8], at: usize) -> Option<Arp> {
    // Ethernet, IPv4, and the lengths of their addresses.
    if frame.read::<6>(at)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let request = match frame.read::<2>(at + 6)? {
        [0, 1] => true,
        [0, 2] => false,
        _ => return None,
    };
    Some(Arp {
        request,
        sender: Mac(frame.read(at + 8)?),
        sender_ip: frame.read(at + 14)?,
        target: Mac(frame.read(at + 18)?),
        target_ip: frame.read(at + 24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(link: Link, frame: &[u8]) -> Sample {
        Sample { time: 0, wire_len: frame.len() as u32, weight: 1, link, frame: frame.to_vec().into() }
    }

    #[test]
    fn arp_is_read_behind_tags_and_nothing_of_it_when_cut_off() {
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 6]);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        let whole = read(&sample(Link::Ethernet, &frame)).unwrap();
        let arp = whole.arp.unwrap();
        assert_eq!((whole.vlan, whole.kind, arp.request), (7, 0x0806, true));
        assert_eq!((arp.sender.to_string().as_str(), arp.sender_ip), ("02:00:00:00:00:01", [10, 0, 0, 1]));
        assert_eq!((arp.target_ip, whole.destination.is_station()), ([10, 0, 0, 2], false));
        for len in 0..frame.len() {
            let cut = read(&sample(Link::Ethernet, &frame[..len]));
            assert_eq!(cut.is_some(), len >= 14, "{len}");
            assert!(cut.is_none_or(|cut| cut.arp.is_none()));
        }
        let cooked = read(&sample(Link::Network { ethertype: 0x0806, at: 18 }, &frame)).unwrap();
        assert_eq!((cooked.source, cooked.arp), (arp.sender, Some(arp)));
        assert!(read(&sample(Link::Unknown, &frame)).is_none());
    }
}
