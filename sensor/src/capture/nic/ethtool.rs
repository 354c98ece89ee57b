//! Questions and orders to the ethtool family of generic netlink (Documentation/networking/ethtool-netlink.rst):
//! channels, ring sizes, offloads; and one question to its neighbour `netdev`. Asking needs no privilege; changing needs CAP_NET_ADMIN. Unlike `/sys`, it cannot
//! show another network namespace.

use std::io;

use rustix::net::netlink;

use super::netlink::{
    Attributes, NLMSG_ERROR, acknowledged, answer, ask, attribute, message, number, settle, text,
};

/// Family of the families.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;
const RINGS_GET: u8 = 15;
const RINGS_SET: u8 = 16;
const CHANNELS_GET: u8 = 17;
/// NLA_F_NESTED, which this family insists on.
const NESTED: u16 = 0x8000;
/// The header is attribute 1 of every message.
const HEADER: u16 = 1 | NESTED;
const HEADER_DEV_INDEX: u16 = 1;
const HEADER_FLAGS: u16 = 3;
/// ETHTOOL_FLAG_OMIT_REPLY: a change is acknowledged and nothing more.
const OMIT_REPLY: u32 = 2;
const CHANNELS_RX_COUNT: u16 = 6;
const CHANNELS_COMBINED_COUNT: u16 = 9;
const RINGS_RX_MAX: u16 = 2;
const RINGS_RX: u16 = 6;
const FEATURES_HW: u16 = 2;
const FEATURES_WANTED: u16 = 3;
const FEATURES_ACTIVE: u16 = 4;
const FEATURES_NOCHANGE: u16 = 5;
const BITSET_BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;
/// Length of genlmsghdr.
const GENERIC_HEADER: usize = 4;
const REQUEST: u16 = 1;
/// NLM_F_ACK.
const ACKNOWLEDGE: u16 = 4;

/// The family, for one interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ethtool {
    family: u16,
    ifindex: u32,
}

/// Sizes of the receive ring, descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// As it is.
    pub now: u32,
    /// As the driver allows it.
    pub max: u32,
}

/// Offloads by their `ethtool -k` names.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    /// Those that are on.
    pub(super) active: Vec<String>,
    /// Those that can be switched.
    pub(super) changeable: Vec<String>,
}

impl Ethtool {
    /// Finds the family; an error where the kernel has none or the sandbox forbids it.
    pub(super) fn open(ifindex: u32) -> io::Result<Ethtool> {
        Ok(Ethtool { family: family("ethtool")?, ifindex })
    }

    /// Receive queues in use; `None` where the driver does not say.
    pub(super) fn rx_queues(self) -> Option<u32> {
        let channels = self.get(CHANNELS_GET).ok()?;
        let queues = attributes(&channels)
            .filter(|(kind, _)| matches!(*kind, CHANNELS_RX_COUNT | CHANNELS_COMBINED_COUNT))
            .fold(0, |sum: u32, (_, value)| sum.saturating_add(number(value)));
        (queues > 0).then_some(queues)
    }

    /// Size of the receive ring; an error where the driver has none to speak of.
    pub(super) fn rings(self) -> io::Result<Rings> {
        let rings = self.get(RINGS_GET)?;
        let of =
            |wanted| attributes(&rings).find(|(kind, _)| *kind == wanted).map(|(_, value)| number(value));
        match (of(RINGS_RX), of(RINGS_RX_MAX)) {
            (Some(now), Some(max)) => Ok(Rings { now, max }),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Changes the size of the receive ring. Many drivers restart the interface for it.
    pub(super) fn set_rings(self, descriptors: u32) -> io::Result<()> {
        self.set(RINGS_SET, &attribute(RINGS_RX, &descriptors.to_ne_bytes()))
    }

    /// What the interface does to packets on their way.
    pub(super) fn features(self) -> io::Result<Features> {
        let answer = self.get(FEATURES_GET)?;
        let mut features = Features::default();
        let mut fixed = Vec::new();
        for (kind, value) in attributes(&answer) {
            match kind {
                FEATURES_HW => features.changeable = set_bits(value, false),
                FEATURES_ACTIVE => features.active = set_bits(value, true),
                FEATURES_NOCHANGE => fixed = set_bits(value, true),
                _ => {}
            }
        }
        features.changeable.retain(|name| !fixed.contains(name));
        Ok(features)
    }

    /// Switches one offload, and says whether the driver really did.
    pub(super) fn set_feature(self, name: &str, on: bool) -> io::Result<()> {
        let mut bit = attribute(BIT_NAME, format!("{name}\0").as_bytes());
        if on {
            bit.extend(attribute(BIT_VALUE, &[]));
        }
        let bits = attribute(BITSET_BITS | NESTED, &attribute(BIT | NESTED, &bit));
        self.set(FEATURES_SET, &attribute(FEATURES_WANTED | NESTED, &bits))?;
        // The kernel takes a wish and may not fulfil it.
        if self.features()?.active.iter().any(|active| active == name) == on {
            Ok(())
        } else {
            Err(io::Error::other("the driver left it as it was"))
        }
    }

    fn get(self, command: u8) -> io::Result<Vec<u8>> {
        one_answer(self.family, command, &self.header(0))
    }

    fn set(self, command: u8, change: &[u8]) -> io::Result<()> {
        let body = [&[command, 1, 0, 0][..], &self.header(OMIT_REPLY), change].concat();
        acknowledged(&ask(Some(netlink::GENERIC), self.family, REQUEST | ACKNOWLEDGE, &body)?)
    }

    fn header(self, flags: u32) -> Vec<u8> {
        let mut header = attribute(HEADER_DEV_INDEX, &self.ifindex.to_ne_bytes());
        if flags != 0 {
            header.extend(attribute(HEADER_FLAGS, &flags.to_ne_bytes()));
        }
        attribute(HEADER, &header)
    }
}

/// Names in a verbose bit set. A list (`all`) has those that are set; a set with a mask marks them.
fn set_bits(bitset: &[u8], all: bool) -> Vec<String> {
    let bits = Attributes(bitset).find(|(kind, _)| *kind == BITSET_BITS).map_or(&[][..], |(_, bits)| bits);
    Attributes(bits)
        .filter(|(kind, bit)| *kind == BIT && (all || Attributes(bit).any(|(kind, _)| kind == BIT_VALUE)))
        .filter_map(|(_, bit)| Attributes(bit).find(|(kind, _)| *kind == BIT_NAME))
        .map(|(_, name)| text(name))
        .collect()
}

/// What the driver's XDP can do (`enum netdev_xdp_act`), from the family `netdev`; `None` before Linux 6.3.
pub(super) fn xdp_features(ifindex: u32) -> Option<u64> {
    const DEV_GET: u8 = 1;
    const DEV_IFINDEX: u16 = 1;
    const DEV_XDP_FEATURES: u16 = 3;
    let answer = one_answer(family("netdev").ok()?, DEV_GET, &attribute(DEV_IFINDEX, &ifindex.to_ne_bytes()));
    let features =
        attributes(&answer.ok()?).find(|(kind, _)| *kind == DEV_XDP_FEATURES)?.1.first_chunk().copied();
    features.map(u64::from_ne_bytes)
}

/// The number of a family of generic netlink.
fn family(name: &str) -> io::Result<u16> {
    let name = attribute(CTRL_ATTR_FAMILY_NAME, format!("{name}\0").as_bytes());
    let found = one_answer(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name)?;
    let id = attributes(&found).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
    let number = id.and_then(|(_, id)| id.first_chunk()).ok_or(io::ErrorKind::Unsupported)?;
    Ok(u16::from_ne_bytes(*number))
}

fn attributes(body: &[u8]) -> Attributes<'_> {
    Attributes(body.get(GENERIC_HEADER..).unwrap_or_default())
}

/// The body of the answer to one command.
fn one_answer(family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    let body = [&[command, 1, 0, 0], attributes].concat();
    let answer = answer(&ask(Some(netlink::GENERIC), family, REQUEST, &body)?)?;
    match message(&answer) {
        Some((NLMSG_ERROR, body, _)) => Err(settle(body).err().unwrap_or(io::ErrorKind::Unsupported.into())),
        Some((_, body, _)) => Ok(body.to_vec()),
        None => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_features() {
        let lo = super::super::find("lo").unwrap();
        let ethtool = Ethtool::open(lo.index).unwrap();
        let features = ethtool.features().unwrap();
        assert!(features.active.iter().any(|name| name == "rx-gro"), "{features:?}");
        assert!(features.changeable.iter().any(|name| name == "rx-gro"), "{features:?}");
        assert!(!features.changeable.iter().any(|name| name == "loopback"), "{features:?}");
        assert!(ethtool.rings().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bit_set_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _any = (set_bits(&bytes, true), set_bits(&bytes, false));
        }
    }
}
