//! Which side of a flow began it.

use super::flags::FlagCounts;
use sensor_ebpf::flow::{FlowKey, FlowStats, proto};

/// The side (0 is `a`, 1 is `b`) that began the flow, from what is known when it is first seen.
///
/// TCP: a SYN without ACK decides. A SYN with ACK is an answer. Without SYN the flow was joined in the middle,
/// and the higher port is the client's. UDP and SCTP: a well-known port on one side only is the server's, for
/// a late answer looks like a beginning. Else the first packet seen decides.
pub fn initiator(key: &FlowKey, stats: &FlowStats) -> usize {
    let first = (stats.initiator & 1) as usize;
    match key.proto {
        proto::TCP => {
            let flags = [FlagCounts::of(&stats.flags[0]), FlagCounts::of(&stats.flags[1])];
            // A SYN on a side with fewer ACKs than packets was sent without ACK (a lone RST aside).
            let opened =
                |side: usize| flags[side].syn > 0 && u64::from(flags[side].ack) < stats.packets[side];
            match (opened(0), opened(1)) {
                (true, false) => 0,
                (false, true) => 1,
                (true, true) => first,
                (false, false) if flags[0].syn > 0 => 1,
                (false, false) if flags[1].syn > 0 => 0,
                (false, false) => higher_port(key, first),
            }
        }
        proto::UDP | proto::SCTP if (key.port_a < 1024) != (key.port_b < 1024) => higher_port(key, first),
        _ => first,
    }
}

fn higher_port(key: &FlowKey, tie: usize) -> usize {
    match key.port_a.cmp(&key.port_b) {
        std::cmp::Ordering::Greater => 0,
        std::cmp::Ordering::Less => 1,
        std::cmp::Ordering::Equal => tie,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensor_ebpf::flow::tcp;

    #[test]
    fn table() {
        // protocol, port a, port b, packets as (direction, flags), expected initiator
        type Case = (u8, u16, u16, &'static [(usize, u8)], usize);
        let cases: &[Case] = &[
            (proto::TCP, 50000, 80, &[(0, tcp::SYN), (1, tcp::SYN | tcp::ACK), (0, tcp::ACK)], 0),
            (proto::TCP, 80, 50000, &[(1, tcp::SYN)], 1),
            (proto::TCP, 80, 50000, &[(0, tcp::SYN | tcp::ACK)], 1),
            (proto::TCP, 80, 50000, &[(0, tcp::ACK)], 1),
            (proto::TCP, 50000, 80, &[(1, tcp::ACK | tcp::PSH)], 0),
            (proto::TCP, 80, 50000, &[(0, tcp::SYN), (1, tcp::RST | tcp::ACK)], 0),
            (proto::UDP, 53, 40000, &[(0, 0)], 1),
            (proto::UDP, 123, 123, &[(1, 0)], 1),
            (proto::UDP, 5000, 6000, &[(0, 0)], 0),
            (proto::ICMP, 8, 0, &[(0, 0)], 0),
        ];
        for (proto, port_a, port_b, packets, expected) in cases {
            let key = FlowKey {
                addr_a: [1; 16],
                addr_b: [2; 16],
                port_a: *port_a,
                port_b: *port_b,
                vlan: [0; 3],
                proto: *proto,
                tunnel: 0,
            };
            let mut stats = FlowStats::default();
            stats.set_first_packet(packets[0].0, 60, packets[0].1, 0);
            for (side, flags) in &packets[1..] {
                stats.add_packet(*side, 60, *flags, 0);
            }
            assert_eq!(initiator(&key, &stats), *expected, "{proto} {port_a} {port_b} {packets:?}");
        }
    }
}
