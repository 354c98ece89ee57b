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

/// Whether frames may arrive that do not fit into one buffer: the program must then know frags.
pub fn needs_frags(nic: &Nic) -> bool {
    deciding(nic) > native_limit(&nic.driver)
}

/// The MTU that the driver looks at: a veth looks at the end that sends, if that can be seen.
fn deciding(nic: &Nic) -> u32 {
    if nic.driver == "veth" && nic.peer_mtu > 0 { nic.peer_mtu } else { nic.mtu }
}

/// Why the driver refuses native XDP because of the MTU, if that may be so, and what to do.
pub fn refused(nic: &Nic) -> Option<(String, String)> {
    let (name, limit) = (&nic.name, native_limit(&nic.driver));
    if nic.driver == "veth" && nic.peer_mtu == 0 {
        return Some((
            format!("the other end of {name} may have an MTU above {limit}, which veth refuses"),
            format!("set that end to {limit}, or {name} to the same MTU, or capture.xdp = \"generic\""),
        ));
    }
    needs_frags(nic).then(|| {
        let driver = if nic.driver.is_empty() { "the driver" } else { &nic.driver };
        (
            format!(
                "MTU {} on {name}: {driver} has room for {limit} in one buffer of native XDP",
                deciding(nic)
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
        assert_eq!((needs_frags(&nic("ixgbe", 3050, 0)), refused(&nic("ixgbe", 3050, 0))), (false, None));
        assert!(
            refused(&nic("ixgbe", 3051, 0)).unwrap().0.contains("MTU 3051 on eth1: ixgbe has room for 3050")
        );
        assert!(refused(&nic("", 9000, 0)).unwrap().0.contains("the driver"));
        assert!(!needs_frags(&nic("veth", 9000, 1500)), "the sending end decides");
        assert!(needs_frags(&nic("veth", 1500, 9000)));
        assert!(needs_frags(&nic("veth", 9000, 0)), "it lives elsewhere: likely the same");
        assert!(refused(&nic("veth", 1500, 0)).unwrap().0.contains("other end"));
    }
}
