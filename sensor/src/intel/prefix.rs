//! A network as the kernel's trie and the flow keys have it: 16 bytes, IPv4 mapped, and the length of its prefix.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Where the IPv4-mapped addresses are (RFC 4291, 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;
/// Bits in front of a mapped address.
pub const MAPPED_BITS: u8 = 96;

/// A network; host bits are 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Its first address.
    pub bits: u128,
    /// Leading bits that count; an IPv4 network's plus 96.
    pub len: u8,
}

/// Why a text is no network that can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPrefix {
    /// Neither an address nor a network.
    #[error("is neither an address nor a network")]
    Malformed,
    /// An IPv6 network around the mapped addresses would list all of IPv4.
    #[error("holds the IPv4-mapped addresses; list IPv4 networks as such")]
    HoldsMapped,
}

impl Prefix {
    /// The network of `len` bits around an address.
    pub fn new(bits: u128, len: u8) -> Prefix {
        Prefix { bits: bits & mask(len), len }
    }

    /// A network; its host bits do not count.
    pub fn of(net: IpNet) -> Result<Prefix, NotAPrefix> {
        let (bits, len) = match net.addr() {
            IpAddr::V4(four) => (u128::from(four.to_ipv6_mapped()), MAPPED_BITS + net.prefix_len()),
            IpAddr::V6(six) => (u128::from(six), net.prefix_len()),
        };
        let prefix = Prefix::new(bits, len);
        if len < MAPPED_BITS && prefix.holds(&Prefix::new(MAPPED, MAPPED_BITS)) {
            return Err(NotAPrefix::HoldsMapped);
        }
        Ok(prefix)
    }

    /// Its last address.
    pub fn last(&self) -> u128 {
        self.bits | !mask(self.len)
    }

    /// Whether it holds all of `other`.
    pub fn holds(&self, other: &Prefix) -> bool {
        self.len <= other.len && other.bits & mask(self.len) == self.bits
    }

    /// The same in IPv4's own numbers, first and last address; `None` for IPv6.
    pub fn four(&self) -> Option<(u32, u32)> {
        let mapped = Prefix::new(MAPPED, MAPPED_BITS).holds(self);
        mapped.then(|| (self.bits as u32, self.last() as u32))
    }
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(128 - len.min(128))).unwrap_or(0)
}

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Prefix, NotAPrefix> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_neither| NotAPrefix::Malformed)?,
        };
        Prefix::of(net)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let six = Ipv6Addr::from(self.bits);
        match six.to_ipv4_mapped().filter(|_| self.len >= MAPPED_BITS) {
            Some(four) if self.len == 128 => write!(f, "{four}"),
            Some(four) => write!(f, "{four}/{}", self.len - MAPPED_BITS),
            None if self.len == 128 => write!(f, "{six}"),
            None => write!(f, "{six}/{}", self.len),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_shown() {
        for (text, shown) in [
            ("192.0.2.7", Ok("192.0.2.7")),
            ("192.0.2.7/24", Ok("192.0.2.0/24")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("2001:db8::1", Ok("2001:db8::1")),
            ("2001:db8::1/32", Ok("2001:db8::/32")),
            ("::ffff:192.0.2.7", Ok("192.0.2.7")),
            ("::/0", Err(NotAPrefix::HoldsMapped)),
            ("::/80", Err(NotAPrefix::HoldsMapped)),
            ("192.0.2.7/33", Err(NotAPrefix::Malformed)),
            ("192.0.2", Err(NotAPrefix::Malformed)),
            ("", Err(NotAPrefix::Malformed)),
        ] {
            let found = text.parse::<Prefix>().map(|prefix| prefix.to_string());
            assert_eq!(found, shown.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn what_a_network_holds() {
        let net: Prefix = "10.1.0.0/16".parse().unwrap();
        assert!(net.holds(&net) && net.holds(&"10.1.2.3".parse().unwrap()));
        assert!(!net.holds(&"10.0.0.0/8".parse().unwrap()) && !net.holds(&"10.2.0.0".parse().unwrap()));
        assert_eq!(net.four(), Some((0x0a01_0000, 0x0a01_ffff)));
        assert_eq!("2001:db8::/32".parse::<Prefix>().unwrap().four(), None);
    }
}
