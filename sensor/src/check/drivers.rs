//! What drivers could do and when they learnt it, for kernels that cannot be asked (before 6.3), and to say that a newer
//! one would help. From the kernel's history; a driver that is not here is tried.

use super::kernel::Version;

/// Driver, first kernel with native XDP and redirects, first one with AF_XDP zero-copy.
const DRIVERS: [(&str, Version, Option<Version>); 26] = [
    ("bnxt_en", (4, 11), None),
    ("ena", (5, 6), None),
    ("fsl_dpaa2_eth", (5, 0), Some((6, 2))),
    ("fsl_enetc", (5, 13), None),
    ("gve", (6, 4), Some((6, 4))),
    ("hv_netvsc", (5, 6), None),
    ("i40e", (4, 13), Some((4, 20))),
    ("ice", (5, 5), Some((5, 5))),
    ("igb", (5, 10), Some((6, 14))),
    ("igc", (5, 13), Some((5, 14))),
    ("ionic", (6, 9), None),
    ("ixgbe", (4, 12), Some((4, 20))),
    ("ixgbevf", (4, 17), None),
    ("mana", (5, 17), None),
    ("mlx4_core", (4, 8), None),
    ("mlx5_core", (4, 9), Some((5, 3))),
    ("mvneta", (5, 5), None),
    ("mvpp2", (5, 9), None),
    ("nfp", (4, 10), Some((5, 18))),
    ("qede", (4, 10), None),
    ("sfc", (5, 5), None),
    ("stmmac", (5, 13), Some((5, 13))),
    ("tun", (4, 14), None),
    ("veth", (4, 19), None),
    ("virtio_net", (4, 10), None),
    ("vmxnet3", (6, 6), None),
];

/// The first kernel whose driver of this name has native XDP.
pub(super) fn native_since(driver: &str) -> Option<Version> {
    DRIVERS.iter().find(|(name, ..)| *name == driver).map(|(_, native, _)| *native)
}

/// The first kernel whose driver of this name has AF_XDP without copies.
pub(super) fn zero_copy_since(driver: &str) -> Option<Version> {
    DRIVERS.iter().find(|(name, ..)| *name == driver).and_then(|(.., zero_copy)| *zero_copy)
}
