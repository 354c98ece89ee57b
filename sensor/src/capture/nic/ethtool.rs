//! One question to the ethtool family of generic netlink: how many receive queues are in use
//! (Documentation/networking/ethtool-netlink.rst). It needs no privilege and, unlike `/sys`, cannot show
//! another network namespace.

use std::io;

use rustix::net::netlink;

use super::Nic;
use super::netlink::{Attributes, NLMSG_ERROR, ask, attribute, message};

/// Family of the families.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
/// With NLA_F_NESTED, which this family insists on.
const ETHTOOL_A_CHANNELS_HEADER: u16 = 1 | 0x8000;
const ETHTOOL_A_CHANNELS_RX_COUNT: u16 = 6;
const ETHTOOL_A_CHANNELS_COMBINED_COUNT: u16 = 9;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
/// Length of genlmsghdr.
const GENERIC_HEADER: usize = 4;

/// Receive queues in use; `None` where the driver does not say.
pub(super) fn rx_queues(nic: &Nic) -> Option<u32> {
    let family =
        one_answer(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0")).ok()?;
    let (_, id) = attributes(&family).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?;
    let id = u16::from_ne_bytes(*id.first_chunk()?);
    let device = attribute(ETHTOOL_A_HEADER_DEV_INDEX, &nic.index.to_ne_bytes());
    let header = attribute(ETHTOOL_A_CHANNELS_HEADER, &device);
    let channels = one_answer(id, ETHTOOL_MSG_CHANNELS_GET, &header).ok()?;
    let queues = attributes(&channels)
        .filter(|(kind, _)| matches!(*kind, ETHTOOL_A_CHANNELS_RX_COUNT | ETHTOOL_A_CHANNELS_COMBINED_COUNT))
        .filter_map(|(_, value)| value.first_chunk().map(|count| u32::from_ne_bytes(*count)))
        .fold(0, u32::saturating_add);
    (queues > 0).then_some(queues)
}

fn attributes(body: &[u8]) -> Attributes<'_> {
    Attributes(body.get(GENERIC_HEADER..).unwrap_or_default())
}

/// The body of the answer to one command.
fn one_answer(family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    const REQUEST: u16 = 1;
    let body = [&[command, 1, 0, 0], attributes].concat();
    let socket = ask(Some(netlink::GENERIC), family, REQUEST, &body)?;
    let mut answer = vec![0; 16 * 1024];
    let (length, _) = rustix::net::recv(&socket, answer.as_mut_slice(), rustix::net::RecvFlags::empty())?;
    match message(answer.get(..length).unwrap_or_default()) {
        Some((kind, body, _)) if kind != NLMSG_ERROR => Ok(body.to_vec()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}
