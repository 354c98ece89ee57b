//! A packet in one line, from what the sensor's own parser says of its headers. No text of the packet is in it.

use std::net::SocketAddr;

use sensor_ebpf::counter::Reason;
use sensor_ebpf::flow::{TunnelKind, proto, tcp};
use sensor_ebpf::parse::{Packet, parse_ethernet};

use super::alerts::rfc3339;
use super::evidence::{EvidencePacket, PacketSummary};
use crate::alert::report::protocol;
use crate::flow::ip;

const FLAGS: [(u8, &str); 8] = [
    (tcp::SYN, "SYN"),
    (tcp::ACK, "ACK"),
    (tcp::FIN, "FIN"),
    (tcp::RST, "RST"),
    (tcp::PSH, "PSH"),
    (tcp::URG, "URG"),
    (tcp::ECE, "ECE"),
    (tcp::CWR, "CWR"),
];

/// The line about a packet.
pub(super) fn of(packet: &EvidencePacket) -> PacketSummary {
    let (source, destination, protocol, summary) = match parse_ethernet(packet.data.as_slice()) {
        Ok(parsed) => flow(&parsed, packet),
        Err(reason) => {
            let (name, summary) = other(reason);
            (mac(&packet.data, 6), mac(&packet.data, 0), name.to_owned(), summary)
        }
    };
    PacketSummary {
        time: rfc3339(packet.time.cast_signed()),
        length: packet.length,
        captured: packet.data.len() as u32,
        source,
        destination,
        protocol,
        summary,
    }
}

fn flow(parsed: &Packet, packet: &EvidencePacket) -> (String, String, String, String) {
    let key = &parsed.key;
    let ported = matches!(key.proto, proto::TCP | proto::UDP | proto::SCTP);
    let end = |address: &[u8; 16], port: u16| {
        let address = ip(address);
        if ported { SocketAddr::new(address, port).to_string() } else { address.to_string() }
    };
    let (a, b) = (end(&key.addr_a, key.port_a), end(&key.addr_b, key.port_b));
    let (source, destination) = if parsed.reverse { (b, a) } else { (a, b) };
    let mut said = Vec::new();
    if key.proto == proto::TCP && !parsed.later_fragment {
        let flags: Vec<&str> =
            FLAGS.iter().filter(|(bit, _)| parsed.tcp_flags & bit != 0).map(|(_, name)| *name).collect();
        said.push(if flags.is_empty() { "no flags".to_owned() } else { flags.join(" ") });
    }
    if matches!(key.proto, proto::ICMP | proto::ICMPV6) {
        let (kind, code) = if parsed.reverse { (key.port_b, key.port_a) } else { (key.port_a, key.port_b) };
        said.push(format!("type {kind}, code or reply {code}"));
    }
    if parsed.later_fragment {
        said.push("later fragment".to_owned());
    } else {
        let payload = packet.length.saturating_sub(u32::from(parsed.payload_at));
        said.push(format!("payload up to {payload} bytes"));
    }
    if key.vlan_outer() != 0 {
        said.push(format!("VLAN {}", key.vlan_outer()));
    }
    if let Some(kind) = key.tunnel().kind() {
        let name = match kind {
            TunnelKind::Vxlan => "VXLAN",
            TunnelKind::Geneve => "GENEVE",
            TunnelKind::Gre => "GRE",
            TunnelKind::Ip => "IP in IP",
        };
        said.push(format!("in {name} {}", key.tunnel().id()));
    }
    (source, destination, protocol(key.proto), said.join(", "))
}

fn other(reason: Reason) -> (&'static str, String) {
    let label = Reason::ALL.iter().find(|(other, _)| *other == reason).map_or("", |(_, label)| *label);
    match reason {
        Reason::Arp => ("ARP", "ARP or RARP".to_owned()),
        Reason::Llc => ("LLC", "IEEE 802.2".to_owned()),
        _ => ("other", label.to_owned()),
    }
}

fn mac(data: &[u8], at: usize) -> String {
    let bytes = data.get(at..at + 6).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
