//! Community ID v1, seed 0: the same flow has the same id in Zeek, Suricata, Arkime and here.
//!
//! <https://github.com/corelight/community-id-spec>: SHA-1 over seed, addresses, protocol, a zero byte and
//! ports, the lower (address, port) first, in network byte order. The canonical key already holds that order, and
//! for ICMP the mapped ports, so little is left to do. Of a flow in a tunnel it is the id of the inner five-tuple.

use base64::{Engine, engine::general_purpose::STANDARD};
use sensor_ebpf::flow::{FlowKey, proto};
use sha1::{Digest, Sha1};

/// `1:` and the base64 of the hash.
pub fn community_id(key: &FlowKey) -> String {
    let mut hash = Sha1::new();
    hash.update([0u8; 2]);
    // One-way ICMP (no reply type) keeps the direction of the packet in the specification, which the canonical
    // key no longer knows; type and code in key order is what is left.
    let (first, second) = ((&key.addr_a, key.port_a), (&key.addr_b, key.port_b));
    for (address, _) in [first, second] {
        match std::net::Ipv6Addr::from(*address).to_ipv4_mapped() {
            Some(v4) => hash.update(v4.octets()),
            None => hash.update(address),
        }
    }
    hash.update([key.proto, 0]);
    if matches!(key.proto, proto::TCP | proto::UDP | proto::SCTP | proto::ICMP | proto::ICMPV6) {
        hash.update(first.1.to_be_bytes());
        hash.update(second.1.to_be_bytes());
    }
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensor_ebpf::parse::mapped;

    #[test]
    fn agrees_with_the_specifications_examples() {
        let v4 = |a: [u8; 4], p: u16, b: [u8; 4], q: u16, proto: u8| {
            community_id(&FlowKey::canonical((mapped(a), p), (mapped(b), q), [0; 3], proto).0)
        };
        // From the baseline of the specification (seed 0, base64).
        let tcp = v4([128, 232, 110, 120], 34855, [66, 35, 250, 204], 80, proto::TCP);
        assert_eq!(tcp, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(tcp, v4([66, 35, 250, 204], 80, [128, 232, 110, 120], 34855, proto::TCP));
        assert_eq!(
            v4([192, 168, 1, 52], 54585, [8, 8, 8, 8], 53, proto::UDP),
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ="
        );
        assert_eq!(
            v4([192, 168, 0, 89], 8, [192, 168, 0, 1], 0, proto::ICMP),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="
        );
    }
}
