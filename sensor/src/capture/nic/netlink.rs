//! Netlink messages, and one question to rtnetlink: which links are there (RTM_GETLINK dump; rtnetlink(7),
//! netlink(7)).

use std::io;

use rustix::fd::OwnedFd;
use rustix::net::Protocol;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, sendto, socket_with, sockopt};

use super::Nic;

pub(super) const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// NLM_F_REQUEST | NLM_F_DUMP.
const REQUEST_DUMP: u16 = 0x301;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
const IFF_LOOPBACK: u32 = 0x8;
/// Length of nlmsghdr and of ifinfomsg.
pub(super) const HEADER: usize = 16;
/// A machine with more interfaces than this is shown in part.
const MOST_LINKS: usize = 4096;
/// The kernel answers at once; a lost answer must not hold the start.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Sends one message (`kind`, `flags`, `body`) and returns the socket that the answer arrives at.
pub(super) fn ask(protocol: Option<Protocol>, kind: u16, flags: u16, body: &[u8]) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let length = (HEADER + body.len()) as u32;
    // Sequence number and port id are zero: one question, one socket.
    let request =
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8], body].concat();
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// All links of this network namespace.
pub(super) fn links() -> io::Result<Vec<Nic>> {
    // An ifinfomsg of zeros: every link.
    let socket = ask(None, RTM_GETLINK, REQUEST_DUMP, &[0; HEADER])?;
    let mut links = Vec::new();
    let mut answer = vec![0; 64 * 1024];
    loop {
        let (length, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = answer.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Ok(links);
        }
        while let Some((kind, message, next)) = message(rest) {
            match kind {
                NLMSG_DONE => return Ok(links),
                NLMSG_ERROR => {
                    let code = message.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return Err(io::Error::from_raw_os_error(-code));
                }
                RTM_NEWLINK if links.len() < MOST_LINKS => links.extend(link(message)),
                _ => {}
            }
            rest = next;
        }
    }
}

/// Type and body of the first message, and what follows it.
pub(super) fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, bytes.get(HEADER..length)?, next))
}

/// An ifinfomsg (family, type, index, flags, change) and its attributes.
fn link(message: &[u8]) -> Option<Nic> {
    let index = u32::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    let flags = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
    let mut nic = Nic {
        index,
        admin_up: flags & IFF_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        link_up: flags & IFF_UP != 0 && flags & IFF_RUNNING != 0,
        ..Nic::default()
    };
    let number = |value: &[u8]| value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    for (kind, value) in Attributes(message.get(HEADER..)?) {
        match kind {
            IFLA_IFNAME => nic.name = text(value),
            IFLA_ADDRESS => nic.mac = value.first_chunk().copied().unwrap_or_default(),
            IFLA_MTU => nic.mtu = number(value),
            IFLA_NUM_RX_QUEUES => nic.rx_queues = number(value),
            IFLA_LINKINFO => {
                let kind = Attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                nic.driver = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(nic)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// An attribute as it is written.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = [&(length as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Attributes: length, type, value, padding to four bytes.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk()?);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
        Some((kind & 0x3fff, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _any = link(&bytes);
            let mut rest = bytes.as_slice();
            let mut messages = 0;
            while let Some((_, _, next)) = message(rest) {
                proptest::prop_assert!(next.len() < rest.len());
                rest = next;
                messages += 1;
            }
            proptest::prop_assert!(messages <= 50);
            proptest::prop_assert!(Attributes(&bytes).count() <= 50);
        }
    }
}
