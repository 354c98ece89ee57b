//! What a flow was wrapped in, as records and alerts show it.

use std::net::IpAddr;

use sensor_ebpf::flow::{FlowKey, TunnelKind};
use serde::{Deserialize, Serialize};

use super::ip;

/// The tunnel of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TunnelRecord {
    /// `vxlan`, `geneve`, `gre` or `ip`.
    pub kind: String,
    /// VNI of VXLAN and GENEVE, key of GRE; 0 where there is none.
    pub id: u32,
    /// IP protocol of the outer packets, by the name that IANA gave it.
    pub proto: String,
    /// Outer address on the initiator's side; absent if the source did not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub src_ip: Option<IpAddr>,
    /// Outer address on the other side.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dest_ip: Option<IpAddr>,
}

impl TunnelRecord {
    /// The tunnel of a flow that side `initiator` began; `None` for one in no tunnel. `outer` holds the outer
    /// addresses on the sides `a` and `b`.
    pub fn of(key: &FlowKey, outer: Option<&[[u8; 16]; 2]>, initiator: usize) -> Option<TunnelRecord> {
        let kind = key.tunnel().kind()?;
        let (name, proto) = match kind {
            TunnelKind::Vxlan => ("vxlan", "UDP"),
            TunnelKind::Geneve => ("geneve", "UDP"),
            TunnelKind::Gre => ("gre", "GRE"),
            TunnelKind::Ip if ip(&key.addr_a).is_ipv4() => ("ip", "IPv4"),
            TunnelKind::Ip => ("ip", "IPv6"),
        };
        let side = |side: usize| outer.and_then(|addresses| addresses.get(side)).map(ip);
        Some(TunnelRecord {
            kind: name.to_owned(),
            id: key.tunnel().id(),
            proto: proto.to_owned(),
            src_ip: side(initiator),
            dest_ip: side(1 - initiator),
        })
    }
}
