//! How long a frame may be for native XDP without frags: one page, less what the kernel keeps around the packet.

use super::Nic;

/// Room in front of a packet (XDP_PACKET_HEADROOM).
const HEADROOM: u32 = 256;
/// `struct skb_shared_info` behind it, aligned.
const SHARED_INFO: u32 = 320;
/// An Ethernet header.
const ETHERNET: u32 = 14;
/// One VLAN tag, or the checksum at the end of a frame.
const TAG: u32 = 4;
/// Receive buffer of Intel's drivers.
const BUFFER_3K: u32 = 3072;

/// Largest MTU with which the driver takes an XDP program that knows no frags, as its source has it on kernels of
/// today; a cautious guess for drivers that are not listed. In bytes.
pub fn native_limit(driver: &str) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    let in_page = page - HEADROOM - SHARED_INFO - ETHERNET;
    match driver {
        "veth" | "virtio_net" | "hv_netvsc" | "mana" => in_page,
        "bnxt_en" | "ionic" => in_page - TAG,
        "i40e" | "ice" | "igb" => BUFFER_3K - ETHERNET - 3 * TAG,
        "ixgbe" | "ixgbevf" => BUFFER_3K - ETHERNET - 2 * TAG,
        "gve" => 2032,
        "igc" | "stmmac" => 1500,
        // mlx4, mlx5, ena: two tags, or a tag and the checksum.
        _ => in_page - 2 * TAG,
    }
}

/// Why native XDP without frags would be refused, and what to do; `None` if the MTU fits.
pub fn too_long(nic: &Nic) -> Option<(String, String)> {
    let limit = native_limit(&nic.driver);
    let (name, driver) = (&nic.name, if nic.driver.is_empty() { "the driver" } else { &nic.driver });
    // A veth looks at the end that sends.
    if nic.driver == "veth" && nic.peer_mtu > limit {
        return Some((
            format!(
                "the other end of {name} has MTU {}: veth takes a native XDP program up to {limit}",
                nic.peer_mtu
            ),
            format!("ip link set PEER mtu {limit}, or capture.xdp = \"generic\""),
        ));
    }
    let judged = if nic.driver == "veth" && nic.peer_mtu > 0 { 0 } else { nic.mtu };
    (judged > limit).then(|| {
        (
            format!(
                "{judged} on {name}: {driver} takes a native XDP program up to {limit} (a packet in one page)"
            ),
            format!(
                "ip link set {name} mtu {limit}, unless longer frames arrive: then capture.xdp = \"generic\""
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let nic = |driver: &str, mtu, peer_mtu| Nic {
            name: "eth1".to_owned(),
            driver: driver.to_owned(),
            mtu,
            peer_mtu,
            ..Nic::default()
        };
        assert_eq!(too_long(&nic("ixgbe", 3050, 0)), None);
        assert!(too_long(&nic("ixgbe", 3051, 0)).unwrap().0.contains("3051 on eth1: ixgbe takes"));
        assert!(too_long(&nic("", 9000, 0)).unwrap().0.contains("the driver"));
        assert_eq!(too_long(&nic("veth", 9000, 1500)), None, "the sending end decides");
        assert!(too_long(&nic("veth", 1500, 9000)).unwrap().0.contains("other end"));
        assert!(too_long(&nic("veth", 9000, 0)).is_some(), "it lives elsewhere: likely the same");
    }
}
