//! How a captured frame begins, by the LINKTYPE number of its file (www.tcpdump.org/linktypes.html).
//!
//! In: the number and the frame. Out: a [`Link`], which says where the network layer is. What is not understood,
//! encrypted or not data is [`Link::Unknown`]: counted, not looked into.

use crate::capture::Link;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Whether frames of this link type are looked into at all.
pub(super) fn supported(link_type: u32) -> bool {
    matches!(
        link_type,
        0 | 1
            | 9
            | 12
            | 14
            | 50
            | 51
            | 101
            | 104
            | 105
            | 108
            | 109
            | 113
            | 119
            | 127
            | 138
            | 163
            | 166
            | 192
            | 228
            | 229
            | 276
    )
}

/// How the frame begins.
#[inline]
pub(super) fn link(link_type: u32, frame: &[u8]) -> Link {
    if link_type == 1 {
        return Link::Ethernet;
    }
    other_link(link_type, frame).unwrap_or(Link::Unknown)
}

/// `None` where the frame is too short for its link layer, or not data.
fn other_link(link_type: u32, frame: &[u8]) -> Option<Link> {
    match link_type {
        0 | 108 => family(frame, 0, 4),
        109 => family(frame, 0, 12),
        9 | 50 => ppp(frame, 0),
        // PPP over Ethernet: version, code, session, length. In the PPPD type 0xff is replaced by a direction.
        51 => ppp(frame, 6),
        166 => ppp_protocol(frame, 2),
        12 | 14 | 101 => Some(ip(frame)),
        228 => network(IPV4, 0),
        229 => network(IPV6, 0),
        104 => network(big16(frame, 2)?, 4),
        113 => network(big16(frame, 14)?, 16),
        276 => network(big16(frame, 0)?, 20),
        138 => network(big16(frame, 16)?, 18),
        105 => wireless(frame, 0),
        // Radiotap and PPI say their length; the old Prism header is fixed, AVS counts in big endian.
        127 => wireless(frame, usize::from(little16(frame, 2)?)),
        192 if little16(frame, 4)? == 105 => wireless(frame, usize::from(little16(frame, 2)?)),
        119 if frame.first_chunk::<3>() == Some(&[0x80, 0x21, 0x10]) => {
            wireless(frame, usize::from(big16(frame, 6)?))
        }
        119 => wireless(frame, 144),
        163 => wireless(frame, usize::from(big16(frame, 6)?)),
        _ => None,
    }
}

fn network(ethertype: u16, at: usize) -> Option<Link> {
    Some(Link::Network { ethertype, at: u16::try_from(at).ok()? })
}

/// A bare IP packet says its version itself.
fn ip(frame: &[u8]) -> Link {
    let six = frame.first().is_some_and(|first| first >> 4 == 6);
    Link::Network { ethertype: if six { IPV6 } else { IPV4 }, at: 0 }
}

/// BSD's address family, in the byte order of whoever wrote the file: the small reading of the two is meant.
fn family(frame: &[u8], at: usize, header: usize) -> Option<Link> {
    let four = *frame.get(at..)?.first_chunk::<4>()?;
    match u32::from_le_bytes(four).min(u32::from_be_bytes(four)) {
        2 => network(IPV4, header),
        // NetBSD and Linux, FreeBSD, macOS.
        10 | 24 | 28 | 30 => network(IPV6, header),
        _ => None,
    }
}

/// PPP, with or without address and control field (RFC 1662, 3.1).
fn ppp(frame: &[u8], at: usize) -> Option<Link> {
    let skipped = if frame.get(at..)?.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
    ppp_protocol(frame, at + skipped)
}

fn ppp_protocol(frame: &[u8], at: usize) -> Option<Link> {
    // A first byte that is odd is the whole protocol (RFC 1661, 6.5).
    let (protocol, len) = match *frame.get(at)? {
        odd if odd & 1 == 1 => (u16::from(odd), 1),
        _ => (big16(frame, at)?, 2),
    };
    match protocol {
        0x0021 => network(IPV4, at + len),
        0x0057 => network(IPV6, at + len),
        _ => None,
    }
}

/// IEEE 802.11 data frames that carry LLC and SNAP in the clear.
fn wireless(frame: &[u8], at: usize) -> Option<Link> {
    let [control, flags] = *frame.get(at..)?.first_chunk::<2>()?;
    let (data, carries_none, encrypted) = (control & 0x0c == 0x08, control & 0x40 != 0, flags & 0x40 != 0);
    if !data || carries_none || encrypted {
        return None;
    }
    let four_addresses = if flags & 0x03 == 0x03 { 6 } else { 0 };
    let qos = control & 0x80 != 0;
    let qos_control = if qos { 2 } else { 0 };
    let ht_control = if qos && flags & 0x80 != 0 { 4 } else { 0 };
    let header = 24 + four_addresses + qos_control + ht_control;
    // Some drivers pad the header to 4 bytes.
    [at + header, at + header.next_multiple_of(4)].into_iter().find_map(|llc| {
        let [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, high, low] = *frame.get(llc..)?.first_chunk::<8>()? else {
            return None;
        };
        network(u16::from_be_bytes([high, low]), llc + 8)
    })
}

fn big16(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn little16(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_layer_is_found() {
        let snap = [0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00];
        let wifi = |control: u8, flags: u8, header: usize| {
            let mut frame = vec![0u8; header];
            frame[0] = control;
            frame[1] = flags;
            frame.extend(snap);
            frame
        };
        let radiotap = [vec![0, 0, 8, 0, 0, 0, 0, 0], wifi(0x08, 0x01, 24)].concat();
        let some = |ethertype, at| Link::Network { ethertype, at };
        for (name, link_type, frame, expected) in [
            ("ethernet", 1, vec![], Link::Ethernet),
            ("raw ipv4", 101, vec![0x45], some(IPV4, 0)),
            ("raw ipv6", 12, vec![0x60], some(IPV6, 0)),
            ("null, little endian", 0, vec![2, 0, 0, 0], some(IPV4, 4)),
            ("null, big endian", 0, vec![0, 0, 0, 30], some(IPV6, 4)),
            ("loop", 108, vec![0, 0, 0, 24], some(IPV6, 4)),
            ("null, netbios", 0, vec![0, 0, 0, 17], Link::Unknown),
            ("null, short", 0, vec![0, 0], Link::Unknown),
            ("ppp with address", 9, vec![0xff, 3, 0, 0x21], some(IPV4, 4)),
            ("ppp, compressed protocol", 9, vec![0x57], some(IPV6, 1)),
            ("ppp, lcp", 50, vec![0xff, 3, 0xc0, 0x21], Link::Unknown),
            ("sll", 113, [vec![0; 14], vec![0x86, 0xdd]].concat(), some(IPV6, 16)),
            ("sll, short", 113, vec![0; 15], Link::Unknown),
            ("sll2", 276, vec![0x08, 0x06], some(0x0806, 20)),
            ("802.11 data", 105, wifi(0x08, 0x01, 24), some(IPV4, 32)),
            ("802.11 qos data", 105, wifi(0x88, 0x01, 26), some(IPV4, 34)),
            ("802.11 qos data, padded", 105, wifi(0x88, 0x01, 28), some(IPV4, 36)),
            ("802.11 four addresses", 105, wifi(0x08, 0x03, 30), some(IPV4, 38)),
            ("802.11 beacon", 105, wifi(0x80, 0x00, 24), Link::Unknown),
            ("802.11 encrypted", 105, wifi(0x08, 0x41, 24), Link::Unknown),
            ("radiotap", 127, radiotap, some(IPV4, 40)),
            ("usb", 189, vec![0; 64], Link::Unknown),
        ] {
            assert_eq!(link(link_type, &frame), expected, "{name}");
        }
    }

    #[test]
    fn every_length_of_every_type_is_safe() {
        for link_type in 0..300 {
            for len in 0..80 {
                for fill in [0x00, 0x08, 0x88, 0xff] {
                    link(link_type, &vec![fill; len]);
                }
            }
        }
    }
}
