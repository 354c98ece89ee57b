//! Frames of the least size with right lengths and checksums.

/// The two ends of a flow; index 0 is the client, 1 the server.
pub struct Endpoints {
    /// IPv6 instead of IPv4.
    pub six: bool,
    /// TCP instead of UDP.
    pub tcp: bool,
    /// VLAN id; 0 is untagged.
    pub vlan: u16,
    /// Numbers of the hosts, below 2^22: the low bits of their addresses.
    pub hosts: [u32; 2],
    /// Ports.
    pub ports: [u16; 2],
}

/// What one packet of a flow says.
pub struct Segment {
    /// Who sends: 0 the client, 1 the server.
    pub side: usize,
    /// TCP flags.
    pub flags: u8,
    /// Whether there is payload.
    pub data: bool,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
}

/// A frame, in a buffer that is used again.
#[derive(Default)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// Bytes of data in a TCP segment: over IPv4 they fill the least frame.
    pub const TCP_DATA: usize = 6;
    /// And in a datagram.
    const UDP_DATA: usize = 18;
    /// An Ethernet frame has so many bytes at least, without FCS.
    const LEAST: usize = 60;

    /// As it stands on the wire, without FCS.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Fills the buffer with this packet; `ident` is the IPv4 identification.
    pub fn build(&mut self, ends: &Endpoints, segment: &Segment, ident: u16) {
        let Segment { side, flags, data, seq, ack } = *segment;
        let data = match (data, ends.tcp) {
            (false, _) => 0,
            (true, true) => Self::TCP_DATA,
            (true, false) => Self::UDP_DATA,
        };
        let (header, protocol) = if ends.tcp { (20, 6) } else { (8, 17) };
        let length = (header + data) as u16;
        self.0.clear();
        self.ethernet(ends, side);
        let addresses = self.network(ends, side, length, protocol, ident);

        let at = self.0.len();
        self.put(&ends.ports[side].to_be_bytes());
        self.put(&ends.ports[1 - side].to_be_bytes());
        if ends.tcp {
            self.put(&seq.to_be_bytes());
            self.put(&ack.to_be_bytes());
            // Header of five words, flags, window, room for the checksum, no urgent data.
            self.put(&[0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        } else {
            self.put(&length.to_be_bytes());
            self.put(&[0, 0]);
        }
        self.0.extend((0..data).map(|byte| byte as u8));
        // With the pseudo-header: addresses, protocol, length (RFC 9293, 3.1).
        let checksum = match folded(addresses + protocol + u32::from(length) + sum(&self.0[at..])) {
            // 0 would mean that there is none (RFC 768).
            0 if !ends.tcp => 0xffff,
            checksum => checksum,
        };
        self.set(at + if ends.tcp { 16 } else { 6 }, checksum);
        self.0.resize(self.0.len().max(Self::LEAST), 0);
    }

    fn ethernet(&mut self, ends: &Endpoints, side: usize) {
        let address = |side: usize| [2, 0, 0, 0, 0, 1 + side as u8];
        self.put(&address(1 - side));
        self.put(&address(side));
        if ends.vlan != 0 {
            self.put(&[0x81, 0x00]);
            self.put(&ends.vlan.to_be_bytes());
        }
        self.put(if ends.six { &[0x86, 0xdd] } else { &[0x08, 0x00] });
    }

    /// The IP header; returns the sum over the addresses.
    fn network(&mut self, ends: &Endpoints, side: usize, length: u16, protocol: u32, ident: u16) -> u32 {
        let at = self.0.len();
        if ends.six {
            self.put(&[0x60, 0, 0, 0]);
            self.put(&length.to_be_bytes());
            self.put(&[protocol as u8, 64]);
            self.put(&six(ends, side));
            self.put(&six(ends, 1 - side));
            return sum(&self.0[at + 8..]);
        }
        self.put(&[0x45, 0]);
        self.put(&(20 + length).to_be_bytes());
        self.put(&ident.to_be_bytes());
        // Do not fragment; time to live; room for the checksum.
        self.put(&[0x40, 0, 64, protocol as u8, 0, 0]);
        self.put(&four(ends, side));
        self.put(&four(ends, 1 - side));
        let checksum = folded(sum(&self.0[at..]));
        self.set(at + 10, checksum);
        sum(&self.0[at + 12..])
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn set(&mut self, at: usize, word: u16) {
        self.0[at..at + 2].copy_from_slice(&word.to_be_bytes());
    }
}

/// Clients are in 10.0.0.0/10, servers in 192.168.0.0/16.
fn four(ends: &Endpoints, side: usize) -> [u8; 4] {
    let network = if side == 0 { 0x0a00_0000 } else { 0xc0a8_0000 };
    (network | ends.hosts[side]).to_be_bytes()
}

/// Clients are in 2001:db8::/64, servers in 2001:db8:ffff::/64.
fn six(ends: &Endpoints, side: usize) -> [u8; 16] {
    let network = if side == 0 { 0x2001_0db8_0000_0000_u64 } else { 0x2001_0db8_ffff_0000 };
    ((u128::from(network) << 64) | u128::from(ends.hosts[side])).to_be_bytes()
}

/// The sum of 16-bit words, an odd byte padded with 0 (RFC 1071).
pub fn sum(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

/// The checksum of a sum: carries folded in, complemented.
pub fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_verify_and_lengths_are_right() {
        for (six, tcp, vlan) in [
            (false, true, 0),
            (false, false, 0),
            (true, true, 0),
            (true, false, 0),
            (false, true, 20),
            (false, false, 10),
        ] {
            let ends = Endpoints { six, tcp, vlan, hosts: [77, 5], ports: [40_000, 443] };
            for (side, data) in [(0, false), (0, true), (1, true)] {
                let mut frame = Frame::default();
                frame.build(&ends, &Segment { side, flags: 0x18, data, seq: 7, ack: 9 }, 3);
                let bytes = frame.bytes();
                assert!(bytes.len() >= Frame::LEAST);
                let ip = if vlan == 0 { 14 } else { 18 };
                let (addresses, start, length, protocol) = if six {
                    let length = u16::from_be_bytes([bytes[ip + 4], bytes[ip + 5]]);
                    (&bytes[ip + 8..ip + 40], ip + 40, length, bytes[ip + 6])
                } else {
                    assert_eq!(folded(sum(&bytes[ip..ip + 20])), 0);
                    let length = u16::from_be_bytes([bytes[ip + 2], bytes[ip + 3]]) - 20;
                    (&bytes[ip + 12..ip + 20], ip + 20, length, bytes[ip + 9])
                };
                assert_eq!(protocol, if tcp { 6 } else { 17 });
                let segment = &bytes[start..start + usize::from(length)];
                let total = sum(addresses) + u32::from(protocol) + u32::from(length) + sum(segment);
                assert_eq!(folded(total), 0, "six {six}, tcp {tcp}, side {side}");
            }
        }
    }
}
