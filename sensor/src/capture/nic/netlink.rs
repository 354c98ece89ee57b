//! Netlink messages, and what rtnetlink knows of links: which there are, what they counted, and when one changes
//! (RTM_GETLINK, RTMGRP_LINK; rtnetlink(7), netlink(7)).

use std::io;

use rustix::fd::OwnedFd;
use rustix::net::Protocol;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, sendto, socket_with, sockopt};

use super::super::program::XdpAttached;
use super::Nic;

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const REQUEST: u16 = 1;
/// NLM_F_REQUEST | NLM_F_DUMP.
pub(super) const REQUEST_DUMP: u16 = 0x301;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_NUM_RX_QUEUES: u16 = 32;
/// The peer lives in another namespace: its index means nothing here.
const IFLA_LINK_NETNSID: u16 = 37;
pub(super) const IFLA_XDP: u16 = 43;
pub(super) const IFLA_XDP_ATTACHED: u16 = 2;
pub(super) const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_INFO_KIND: u16 = 1;
/// NLM_F_REQUEST | NLM_F_ACK.
const REQUEST_ACK: u16 = 0x5;
const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
const IFF_LOOPBACK: u32 = 0x8;
/// As an administrator sets it: what packet sockets ask for does not show here.
const IFF_PROMISC: u32 = 0x100;
/// Length of nlmsghdr and of ifinfomsg.
pub(super) const HEADER: usize = 16;
/// A machine with more interfaces than this is shown in part.
const MOST_LINKS: usize = 4096;
/// The kernel answers at once; a lost answer must not hold the start.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// One datagram of the answer.
pub(super) fn answer(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; 64 * 1024];
    let (length, _) = recv(socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

/// Waits until the kernel says that it did what it was asked to, or why not.
pub(super) fn acknowledged(socket: &OwnedFd) -> io::Result<()> {
    loop {
        let datagram = answer(socket)?;
        let mut rest = datagram.as_slice();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, next)) = message(rest) {
            if kind == NLMSG_ERROR {
                return settle(body);
            }
            rest = next;
        }
    }
}

/// The code of an NLMSG_ERROR; 0 is "done".
pub(super) fn settle(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map_or(-libc::EBADMSG, |code| i32::from_ne_bytes(*code)) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

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
    loop {
        let datagram = answer(&socket)?;
        let mut rest = datagram.as_slice();
        if rest.is_empty() {
            return Ok(links);
        }
        while let Some((kind, message, next)) = message(rest) {
            match kind {
                NLMSG_DONE => return Ok(links),
                NLMSG_ERROR => return settle(message).map(|()| links),
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
        promiscuous: flags & IFF_PROMISC != 0,
        link_up: flags & IFF_UP != 0 && flags & IFF_RUNNING != 0,
        ..Nic::default()
    };
    let (mut lower, mut elsewhere) = (0, false);
    for (kind, value) in Attributes(message.get(HEADER..)?) {
        match kind {
            IFLA_IFNAME => nic.name = text(value),
            IFLA_ADDRESS => nic.mac = value.first_chunk().copied().unwrap_or_default(),
            IFLA_MTU => nic.mtu = number(value),
            IFLA_NUM_RX_QUEUES => nic.rx_queues = number(value),
            IFLA_PROMISCUITY => nic.promiscuity = number(value),
            IFLA_XDP => nic.program = program(value),
            IFLA_LINK => lower = number(value),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_LINKINFO => {
                let kind = Attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                nic.driver = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    nic.lower = if elsewhere { 0 } else { lower };
    Some(nic)
}

/// Sets promiscuous mode as an administrator does: it stays until somebody takes it back.
pub(super) fn set_promiscuous(ifindex: u32, on: bool) -> io::Result<()> {
    set_flag(ifindex, IFF_PROMISC, on)
}

/// Sets the interface up.
pub(super) fn set_up(ifindex: u32) -> io::Result<()> {
    set_flag(ifindex, IFF_UP, true)
}

fn set_flag(ifindex: u32, flag: u32, on: bool) -> io::Result<()> {
    let flags = if on { flag } else { 0 };
    // An ifinfomsg: family and type, index, flags, and which of them are meant.
    let body = [[0; 4], ifindex.to_ne_bytes(), flags.to_ne_bytes(), flag.to_ne_bytes()].concat();
    acknowledged(&ask(None, RTM_NEWLINK, REQUEST_ACK, &body)?)
}

/// Where a program is, and its id.
fn program(value: &[u8]) -> Option<(XdpAttached, u32)> {
    let of = |wanted: u16| Attributes(value).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let attached = match of(IFLA_XDP_ATTACHED)?.first()? {
        1 => XdpAttached::Native,
        2 => XdpAttached::Generic,
        _ => return None,
    };
    Some((attached, number(of(IFLA_XDP_PROG_ID)?)))
}

/// What an interface counted (struct rtnl_link_stats64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats64 {
    pub(super) rx_packets: u64,
    pub(super) rx_bytes: u64,
    pub(super) rx_dropped: u64,
    pub(super) rx_fifo: u64,
    pub(super) rx_missed: u64,
}

/// The counters of one interface.
pub(super) fn stats64(ifindex: u32) -> io::Result<Stats64> {
    stats_of(&one_link(ifindex)?).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// What the kernel says about one interface: an ifinfomsg and its attributes.
pub(super) fn one_link(ifindex: u32) -> io::Result<Vec<u8>> {
    let mut request = [0; HEADER];
    request[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    let datagram = answer(&ask(None, RTM_GETLINK, REQUEST, &request)?)?;
    match message(&datagram) {
        Some((RTM_NEWLINK, body, _)) => Ok(body.to_vec()),
        Some((NLMSG_ERROR, body, _)) => Err(settle(body).err().unwrap_or(io::ErrorKind::Unsupported.into())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn stats_of(message: &[u8]) -> Option<Stats64> {
    let (_, stats) = Attributes(message.get(HEADER..)?).find(|(kind, _)| *kind == IFLA_STATS64)?;
    let field = |at: usize| {
        stats.get(at * 8..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_ne_bytes(*bytes))
    };
    Some(Stats64 {
        rx_packets: field(0)?,
        rx_bytes: field(2)?,
        rx_dropped: field(6)?,
        rx_fifo: field(14)?,
        rx_missed: field(15)?,
    })
}

/// A socket that hears of every change of a link (RTMGRP_LINK).
pub(super) fn listen() -> io::Result<OwnedFd> {
    const RTMGRP_LINK: u32 = 1;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
    Ok(socket)
}

/// Reads what has been heard; whether any of it is about this interface. A flood of news that did not fit counts too.
pub(super) fn heard_of(socket: &OwnedFd, ifindex: u32) -> bool {
    let mut about = false;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((length, _)) if length > 0 => {
                let mut rest = buffer.get(..length).unwrap_or_default();
                while let Some((_, body, next)) = message(rest) {
                    about |= body.get(4..8) == Some(&ifindex.to_ne_bytes());
                    rest = next;
                }
            }
            Err(rustix::io::Errno::NOBUFS) => about = true,
            _ => return about,
        }
    }
}

/// A 32-bit attribute; 0 where it is cut short.
pub(super) fn number(value: &[u8]) -> u32 {
    value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// A string attribute without its final zero.
pub(super) fn text(value: &[u8]) -> String {
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
            let _any = (link(&bytes), stats_of(&bytes));
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
