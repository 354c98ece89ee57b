//! The plan of the lab's network, and the `ip` and `tc` commands that make it.
//!
//! ```text
//!   client1..8   web  login  files  infra      outside (203.0.113.0/24, 198.51.100.0/24)
//!       |         |     |      |      |           |
//!   ----+---------+-----+------+------+-----------+----  switch: a bridge; every frame that enters a port
//!                          |                              is copied to `mirror`, so each is seen once
//!                        sensor: mon0
//! ```

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use anyhow::Result;

use super::Lab;
use crate::program;

/// A machine on the switch.
pub struct Host {
    /// Name of its namespace in the lab, and of its port on the switch.
    pub name: &'static str,
    /// Last part of its addresses: 10.77.0.N and fd77::N (N in decimal digits).
    number: u8,
}

/// The sensor's namespace; its interface is `mon0`.
pub const SENSOR: &str = "sensor";
/// The namespace that plays the rest of the world, and routes to it.
pub const OUTSIDE: &str = "outside";
const SWITCH: &str = "switch";

/// Every machine on the switch.
pub const HOSTS: [Host; 13] = [
    Host { name: OUTSIDE, number: 1 },
    Host { name: "web", number: 11 },
    Host { name: "login", number: 12 },
    Host { name: "files", number: 13 },
    Host { name: "infra", number: 14 },
    Host { name: "client1", number: 101 },
    Host { name: "client2", number: 102 },
    Host { name: "client3", number: 103 },
    Host { name: "client4", number: 104 },
    Host { name: "client5", number: 105 },
    Host { name: "client6", number: 106 },
    Host { name: "client7", number: 107 },
    Host { name: "client8", number: 108 },
];

impl Host {
    /// Its IPv4 address.
    pub const fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number)
    }

    /// Its IPv6 address.
    pub const fn v6(&self) -> Ipv6Addr {
        let [hundreds, tens, ones] = [self.number / 100, self.number / 10 % 10, self.number % 10];
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, ((hundreds as u16) << 8) | ((tens as u16) << 4) | ones as u16)
    }
}

/// The host of this name; the names are those of [`HOSTS`].
pub fn host(name: &str) -> &'static Host {
    HOSTS.iter().find(|host| host.name == name).unwrap_or(&HOSTS[0])
}

/// Makes namespaces, links, addresses, routes and the mirror.
pub fn build(lab: &Lab) -> Result<()> {
    let names = HOSTS.iter().map(|host| host.name).chain([SWITCH, SENSOR]);
    ip(None, &names.map(|name| format!("netns add {}\n", lab.namespace(name))).collect::<String>())?;
    // No address of its own may add frames to what is mirrored.
    for name in [SWITCH, SENSOR] {
        set(lab, name, "net/ipv6/conf/default/disable_ipv6", "1")?;
    }
    switch(lab)?;
    ip(Some((lab, SENSOR)), "link set lo up\nlink set mon0 up promisc on\n")?;
    for host in &HOSTS {
        attach(lab, host)?;
    }
    mirror(lab)
}

fn switch(lab: &Lab) -> Result<()> {
    let mut batch = String::from("link add br0 type bridge stp_state 0 mcast_snooping 0\nlink set br0 up\n");
    for Host { name, .. } in &HOSTS {
        let namespace = lab.namespace(name);
        let _ = writeln!(batch, "link add {name} type veth peer name eth0 netns {namespace}");
        let _ = writeln!(batch, "link set {name} master br0 up");
    }
    let sensor = lab.namespace(SENSOR);
    let _ = writeln!(batch, "link add mirror type veth peer name mon0 netns {sensor}");
    // Inside a machine TCP hands on segments of up to 64 KiB; on a wire, and so at the mirror, they are split.
    let _ = writeln!(batch, "link set mirror gso_max_segs 1\nlink set mirror up");
    ip(Some((lab, SWITCH)), &batch)
}

fn attach(lab: &Lab, host: &Host) -> Result<()> {
    let (v4, v6) = (host.v4(), host.v6());
    let mut batch = String::from("link set lo up\nlink set eth0 up\n");
    let _ = writeln!(batch, "addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad");
    if host.name == OUTSIDE {
        // Every address of these networks is this machine; nobody answers for the third.
        batch.push_str("route add local 203.0.113.0/24 dev lo\nroute add local 198.51.100.0/24 dev lo\n");
        batch.push_str("route add blackhole 192.0.2.0/24\n");
    } else {
        let outside = super::host(OUTSIDE);
        let _ =
            writeln!(batch, "route add default via {}\nroute add ::/0 via {}", outside.v4(), outside.v6());
    }
    // Not /proc/sys of the lab's maker: each namespace has its own.
    set(lab, host.name, "net/ipv4/conf/all/rp_filter", "0")?;
    // Half-open connections of the SYN flood are given up after 3 s, not after a minute.
    set(lab, host.name, "net/ipv4/tcp_synack_retries", "1")?;
    ip(Some((lab, host.name)), &batch)
}

/// Copies what enters each port, so that each frame on the switch is seen once.
fn mirror(lab: &Lab) -> Result<()> {
    let mut batch = String::new();
    for Host { name, .. } in &HOSTS {
        let _ = writeln!(batch, "qdisc add dev {name} clsact");
        let _ = writeln!(
            batch,
            "filter add dev {name} ingress protocol all u32 match u32 0 0 action mirred egress mirror dev mirror"
        );
    }
    let switch = lab.namespace(SWITCH);
    program::feed(Command::new("tc").args(["-n", &switch, "-batch", "-"]), &batch)
}

fn ip(inside: Option<(&Lab, &str)>, batch: &str) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some((lab, name)) = inside {
        command.args(["-n", &lab.namespace(name)]);
    }
    program::feed(command.args(["-batch", "-"]), batch)
}

fn set(lab: &Lab, name: &str, key: &str, value: &str) -> Result<()> {
    let script = format!("echo {value} > /proc/sys/{key}");
    program::run_quietly(lab.inside(name, "sh").args(["-c", &script]))
}

/// The lab in words.
pub fn described(lab: &Lab) -> String {
    let mut text = format!("lab {} is up; its namespaces:\n", lab.namespace("*"));
    for host in &HOSTS {
        let _ =
            writeln!(text, "  {:32} {:14} {}", lab.namespace(host.name), host.v4().to_string(), host.v6());
    }
    let _ = writeln!(text, "  {:32} mon0: a copy of every frame on the switch", lab.namespace(SENSOR));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_both_addresses_are_the_same() {
        assert_eq!(host("web").v4().to_string(), "10.77.0.11");
        assert_eq!(host("web").v6().to_string(), "fd77::11");
        assert_eq!(host("client8").v6().to_string(), "fd77::108");
    }

    #[test]
    fn no_two_hosts_share_a_name_or_an_address() {
        for (at, one) in HOSTS.iter().enumerate() {
            for other in &HOSTS[at + 1..] {
                assert!(one.name != other.name && one.number != other.number, "{} {}", one.name, other.name);
            }
        }
    }
}
