//! Who else has XDP on an interface: programs that are attached to it (rtnetlink, IFLA_XDP) and AF_XDP sockets
//! (sock_diag(7), linux/xdp_diag.h). Asking needs no privilege.

use std::io;

use rustix::net::netlink;

use super::Nic;
use super::netlink::{
    Attributes, HEADER, IFLA_XDP, IFLA_XDP_ATTACHED, IFLA_XDP_PROG_ID, NLMSG_DONE, NLMSG_ERROR, REQUEST_DUMP,
    answer, ask, message, number, one_link, settle,
};

const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
/// XDP_ATTACHED_SKB.
const ATTACHED_SKB: u8 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_XDP: u8 = 44;
/// XDP_SHOW_INFO.
const SHOW_INFO: u32 = 1;
const XDP_DIAG_INFO: u16 = 1;
/// Length of xdp_diag_msg.
const DIAG_HEADER: usize = 16;
/// No interface has more queues, and no answer is longer.
const MOST_SOCKETS: usize = 4096;

/// An XDP program that is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The kernel's number of it, as in `bpftool prog show id N`.
    pub id: u32,
    /// Whether it runs in the network stack instead of the driver.
    pub generic: bool,
}

/// The XDP programs on an interface: none, one, or one in the driver and one in the stack.
pub fn programs(nic: &Nic) -> io::Result<Vec<Attached>> {
    let link = one_link(nic.index)?;
    let xdp = Attributes(link.get(HEADER..).unwrap_or_default()).find(|(kind, _)| *kind == IFLA_XDP);
    Ok(xdp.map(|(_, xdp)| attached(xdp)).unwrap_or_default())
}

fn attached(xdp: &[u8]) -> Vec<Attached> {
    let of = |wanted| Attributes(xdp).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let skb = of(IFLA_XDP_ATTACHED).is_some_and(|value| value.first() == Some(&ATTACHED_SKB));
    let mut found: Vec<Attached> = [
        (IFLA_XDP_DRV_PROG_ID, false),
        (IFLA_XDP_SKB_PROG_ID, true),
        (IFLA_XDP_HW_PROG_ID, false),
        (IFLA_XDP_PROG_ID, skb),
    ]
    .into_iter()
    .filter_map(|(kind, generic)| Some(Attached { id: number(of(kind)?), generic }))
    .filter(|program| program.id != 0)
    .collect();
    // The plain id repeats the only program's.
    found.dedup_by_key(|program| program.id);
    found
}

/// Queues of the interface that AF_XDP sockets of this network namespace are bound to, in order.
pub fn sockets(nic: &Nic) -> io::Result<Vec<u32>> {
    let mut request = [0; 20];
    request[0] = AF_XDP;
    request[8..12].copy_from_slice(&SHOW_INFO.to_ne_bytes());
    let socket = ask(Some(netlink::SOCK_DIAG), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, &request)?;
    let mut queues = Vec::new();
    loop {
        let datagram = answer(&socket)?;
        let mut rest = datagram.as_slice();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                NLMSG_DONE => {
                    queues.sort_unstable();
                    return Ok(queues);
                }
                NLMSG_ERROR => return settle(body).map(|()| queues),
                _ if queues.len() < MOST_SOCKETS => queues.extend(queue(body, nic.index)),
                _ => {}
            }
            rest = next;
        }
    }
}

/// The queue that a socket of this interface is bound to.
fn queue(body: &[u8], ifindex: u32) -> Option<u32> {
    let (_, info) = Attributes(body.get(DIAG_HEADER..)?).find(|(kind, _)| *kind == XDP_DIAG_INFO)?;
    (number(info) == ifindex).then(|| number(info.get(4..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    #[test]
    fn programs_are_told_apart() {
        let ids = |pairs: &[(u16, u32)], mode: u8| {
            let mut xdp = attribute(IFLA_XDP_ATTACHED, &[mode]);
            for (kind, id) in pairs {
                xdp.extend(attribute(*kind, &id.to_ne_bytes()));
            }
            attached(&xdp)
        };
        assert_eq!(ids(&[], 0), []);
        let one = Attached { id: 7, generic: false };
        assert_eq!(ids(&[(IFLA_XDP_PROG_ID, 7), (IFLA_XDP_DRV_PROG_ID, 7)], 1), [one]);
        assert_eq!(ids(&[(IFLA_XDP_PROG_ID, 7)], 2), [Attached { id: 7, generic: true }], "an old kernel");
        let both = ids(&[(IFLA_XDP_DRV_PROG_ID, 7), (IFLA_XDP_SKB_PROG_ID, 8)], 4);
        assert_eq!(both, [one, Attached { id: 8, generic: true }]);
    }

    #[test]
    fn the_loopback_has_neither() {
        let lo = super::super::find("lo").unwrap();
        assert_eq!((programs(&lo).unwrap(), sockets(&lo).unwrap_or_default()), (vec![], vec![]));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _any = (attached(&bytes), queue(&bytes, 1));
        }
    }
}
