use super::super::{drivers, fitness, interface, interrupts, owners};
use super::*;
use crate::capture::nic::{Nic, Numa, XdpSupport};
use crate::capture::{CaptureConfig, HugePages, Mode, XdpMode, ZeroCopy};

const NOW: (u32, u32) = (6, 18);
const OLD: (u32, u32) = (5, 18);

fn nic() -> Nic {
    Nic { name: "eth1".to_owned(), driver: "ixgbe".to_owned(), rx_queues: 4, ..Nic::default() }
}

#[test]
fn xdp_of_drivers() {
    let whole = XdpSupport { native: true, zero_copy: true, frags: true };
    let none = XdpSupport::default();
    let require = CaptureConfig { zero_copy: ZeroCopy::Require, ..CaptureConfig::default() };
    let auto = CaptureConfig::default();
    let native = fitness::native;
    let zero_copy = fitness::zero_copy;
    expect([
        (native("ixgbe", Some(whole), XdpMode::Auto, NOW), Status::Ok, "has it"),
        (native("e1000e", Some(none), XdpMode::Auto, NOW), Status::Warn, "use a NIC whose driver has it"),
        (native("veth", Some(none), XdpMode::Auto, NOW), Status::Warn, "ethtool -L"),
        (native("ionic", Some(none), XdpMode::Auto, (6, 6)), Status::Warn, "from Linux 6.9 on: boot a newer"),
        (native("e1000e", Some(none), XdpMode::Native, NOW), Status::Fail, "capture.xdp = \"auto\""),
        (native("e1000e", Some(none), XdpMode::Generic, NOW), Status::Ok, "not asked for"),
        (native("i40e", None, XdpMode::Native, OLD), Status::Ok, "i40e has it since Linux 4.13"),
        (native("gve", None, XdpMode::Auto, OLD), Status::Warn, "from Linux 6.4 on"),
        (native("new", None, XdpMode::Auto, OLD), Status::Ok, "it will be tried"),
        (zero_copy("ixgbe", Some(whole), &require, NOW), Status::Ok, "has it"),
        (zero_copy("igb", Some(none), &require, (6, 6)), Status::Fail, "it has from Linux 6.14 on"),
        (zero_copy("veth", Some(none), &auto, NOW), Status::Ok, "copied"),
        (zero_copy("new", None, &auto, OLD), Status::Ok, "6.3"),
    ]);
    assert_eq!(
        (drivers::native_since("mlx5_core"), drivers::zero_copy_since("mlx5_core")),
        (Some((4, 9)), Some((5, 3)))
    );
    assert_eq!((drivers::native_since("e1000e"), drivers::zero_copy_since("veth")), (None, None));
}

#[test]
fn fitness_of_an_interface() {
    let nic = nic();
    let at =
        |node, cpus: &[usize]| Nic { numa: Numa { node: Some(node), cpus: cpus.to_vec() }, ..nic.clone() };
    let served = |cpus: &[&str]| cpus.iter().map(|cpu| format!("{cpu}\n")).collect::<Vec<_>>();
    expect([
        (fitness::queue_count(&nic, 4), Status::Ok, "4 in use, one thread each, 4 CPUs"),
        (fitness::queue_count(&nic, 2), Status::Warn, "ethtool -L eth1 combined 2"),
        (fitness::queue_count(&Nic { rx_queues: 300, ..nic.clone() }, 400), Status::Fail, "256 at most"),
        (fitness::symmetry(&nic, Some(true), false), Status::Ok, "symmetric"),
        (fitness::symmetry(&nic, Some(false), true), Status::Ok, "made so"),
        (fitness::symmetry(&nic, Some(false), false), Status::Warn, "ethtool -X eth1 xfrm symmetric-xor"),
        (fitness::symmetry(&nic, None, true), Status::Ok, "does not tell"),
        (fitness::offloads(&nic, &[], true), Status::Ok, "none"),
        (fitness::offloads(&nic, &[("rx-gro", "merges", true)], true), Status::Ok, "rx-gro will be off"),
        (
            fitness::offloads(&nic, &[("rx-gro", "merges", true), ("rx-lro", "merges", true)], false),
            Status::Warn,
            "ethtool -K eth1 rx-gro off rx-lro off",
        ),
        (fitness::offloads(&nic, &[("rx-lro", "merges", false)], true), Status::Warn, "rx-lro cannot"),
        (fitness::promiscuous(&nic, true), Status::Ok, "will be on"),
        (fitness::promiscuous(&nic, false), Status::Warn, "ip link set eth1 promisc on"),
        (fitness::promiscuous(&Nic { promiscuity: 1, ..nic.clone() }, false), Status::Ok, "on"),
        (fitness::huge_pages(8, 8, HugePages::Auto), Status::Ok, "8 of 8 free"),
        (fitness::huge_pages(8, 7, HugePages::Auto), Status::Ok, "sysctl -w vm.nr_hugepages=8"),
        (fitness::huge_pages(8, 8, HugePages::Off), Status::Ok, "not asked for"),
        (fitness::numa(&nic, &[0, 1]), Status::Ok, "no node"),
        (fitness::numa(&at(1, &[4, 5, 6, 7]), &[0, 1, 4, 5, 6, 7]), Status::Ok, "node 1"),
        (fitness::numa(&at(1, &[4, 5, 6, 7]), &[0, 1, 2, 3]), Status::Warn, "CPUAffinity="),
        (fitness::numa(&at(1, &[4, 5]), &[4, 5]), Status::Warn, "ethtool -L eth1 combined 2"),
        (
            interrupts::judge(&nic, &served(&["0", "1", "2", "3"]), true),
            Status::Ok,
            "4 on 4 CPUs; irqbalance",
        ),
        (
            interrupts::judge(&nic, &served(&["0", "0", "0", "0"]), false),
            Status::Warn,
            "systemctl start irqbalance",
        ),
        (interrupts::judge(&nic, &served(&["0", "0"]), true), Status::Warn, "2 on 1 CPU; irqbalance moves"),
        (
            interrupts::judge(&Nic { rx_queues: 1, ..nic.clone() }, &served(&["0", "0"]), false),
            Status::Ok,
            "2 on 1 CPU",
        ),
        (interrupts::judge(&nic, &[], false), Status::Ok, "does not tell"),
    ]);
}

#[test]
fn owners_of_xdp() {
    let named = |id, name: &str| (id, Some(name.to_owned()));
    let other = owners::other_xdp;
    expect([
        (other("eth1", &[]), Status::Ok, "none"),
        (other("eth1", &[named(7, "vesper_frags")]), Status::Ok, "a sensor runs"),
        (other("eth1", &[named(7, "xdp_dispatcher")]), Status::Fail, "ip link set dev eth1 xdp off"),
        (other("eth1", &[named(7, "vesper"), named(8, "xdp_pass")]), Status::Fail, "program 8 (xdp_pass)"),
        (other("eth1", &[(7, None)]), Status::Warn, "bpftool prog show id 7"),
        (owners::af_xdp_users(None, false), Status::Ok, "CONFIG_XDP_SOCKETS_DIAG"),
        (owners::af_xdp_users(Some(&[]), false), Status::Ok, "no sockets"),
        (owners::af_xdp_users(Some(&[0, 1]), true), Status::Ok, "the sensor's, on queue 0, 1"),
        (owners::af_xdp_users(Some(&[3]), false), Status::Warn, "sockets on queue 3"),
    ]);
}

#[test]
fn interfaces() {
    let good = Nic { admin_up: true, link_up: true, mtu: 1500, ..nic() };
    let mirror = CaptureConfig::default();
    let host = CaptureConfig { mode: Mode::Host, ..CaptureConfig::default() };
    let generic = CaptureConfig { xdp: XdpMode::Generic, ..CaptureConfig::default() };
    let down = Nic { admin_up: false, link_up: false, ..good.clone() };
    for (nic, config, status, found) in [
        (good.clone(), &mirror, Status::Ok, "eth1: ixgbe, 4 receive queues"),
        (Nic { driver: "bond".to_owned(), ..good.clone() }, &mirror, Status::Warn, "no NIC of its own"),
        (down.clone(), &mirror, Status::Warn, "eth1 is set down"),
        (Nic { link_up: false, ..good.clone() }, &mirror, Status::Warn, "no carrier"),
        (Nic { mtu: 9000, ..good.clone() }, &mirror, Status::Warn, "room for 3050"),
        (Nic { mtu: 9000, ..good.clone() }, &generic, Status::Ok, "9000"),
        (Nic { holds_default_route: true, ..good.clone() }, &mirror, Status::Fail, "would cut it"),
        (Nic { loopback: true, ..good.clone() }, &mirror, Status::Fail, "would cut this machine's own"),
        (Nic { holds_default_route: true, ..good.clone() }, &host, Status::Ok, "pass"),
    ] {
        let lines = interface::facts(&nic, config);
        assert_eq!(lines.iter().map(|line| line.status).max(), Some(status), "{lines:?}");
        assert!(lines.iter().any(|line| line.says.contains(found)), "{found} in {lines:?}");
    }
    let fixed = |nic: &Nic, config| interface::facts(nic, config).iter().any(|line| line.fix.is_some());
    assert!(fixed(&down, &mirror));
    assert!(!fixed(&down, &host), "a host's own interface may be down for a reason");
    assert!(!fixed(&Nic { holds_default_route: true, ..down }, &mirror));
}
