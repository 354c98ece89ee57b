//! Attacks of each kind, at a strength that is said: so many tries, so far apart.

use std::net::Ipv4Addr;

use super::benign::{shell, tls};
use super::content::{self, TXT};
use super::more;
use super::talk::Talk;
use super::wire::{SYN, Wire, mac};
use super::{DNS, ROUTER, inside};
use crate::eval::outcome::Event;

/// Whom the spoofing is aimed at.
const DECEIVED: Ipv4Addr = inside(0, 24);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Many ports of one host.
    PortScan,
    /// One port of many hosts.
    HorizontalScan,
    /// Connections that are never completed.
    SynFlood,
    /// Same, from addresses that are made up.
    SpoofedFlood,
    /// Datagrams that nobody wants.
    UdpFlood,
    /// Logins tried over SSH.
    BruteForce,
    /// Short contacts with a server outside, at intervals.
    Beacon,
    /// Data to a server outside that nobody has talked to.
    Exfiltration,
    /// Data in names that are asked for.
    DnsTunnel,
    /// Somebody says that the router is his.
    ArpSpoofing,
    /// A client uses services of other clients, which nobody did before.
    Lateral,
    /// Logins tried over SSH, several a connection, with the wait of a server after each.
    PatientLogins,
    /// Logins tried over FTP.
    FtpLogins,
    /// Logins tried by a form.
    FormLogins,
    /// Logins tried by remote desktop.
    DesktopLogins,
    /// Connections that are held open by a line now and then.
    SlowRequests,
    /// Echo requests.
    PingFlood,
    /// Answers of many hosts that nobody asked.
    Reflection,
    /// Datagrams to many ports.
    UdpScan,
    /// Pages and parameters that are tried.
    PageProbes,
    /// Logins that work, from client to client.
    Admin,
    /// Reports to a server outside, not encrypted.
    PlainBeacon,
    /// Large parts to a server outside.
    BulkExfiltration,
}

impl Kind {
    /// In the tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::PortScan => "port scan",
            Kind::HorizontalScan => "horizontal scan",
            Kind::SynFlood => "SYN flood",
            Kind::SpoofedFlood => "SYN flood, spoofed",
            Kind::UdpFlood => "UDP flood",
            Kind::BruteForce => "SSH brute force",
            Kind::Beacon => "beacon",
            Kind::Exfiltration => "exfiltration",
            Kind::DnsTunnel => "DNS tunnel",
            Kind::ArpSpoofing => "ARP spoofing",
            Kind::Lateral => "lateral movement",
            Kind::PatientLogins => "patient SSH brute force",
            Kind::FtpLogins => "FTP brute force",
            Kind::FormLogins => "form brute force",
            Kind::DesktopLogins => "RDP brute force",
            Kind::SlowRequests => "slow requests",
            Kind::PingFlood => "ping flood",
            Kind::Reflection => "reflection",
            Kind::UdpScan => "UDP scan",
            Kind::PageProbes => "page probes",
            Kind::Admin => "remote administration",
            Kind::PlainBeacon => "plain beacon",
            Kind::BulkExfiltration => "bulk exfiltration",
        }
    }

    /// Types of alerts that are right for it; none where the sensor has no word for it.
    fn types(self) -> &'static [&'static str] {
        match self {
            Kind::PortScan | Kind::HorizontalScan | Kind::UdpScan => &["PortScan"],
            Kind::SynFlood | Kind::UdpFlood | Kind::SlowRequests | Kind::PingFlood => &["DoS", "DDoS"],
            Kind::SpoofedFlood | Kind::Reflection => &["DDoS", "DoS"],
            Kind::BruteForce
            | Kind::PatientLogins
            | Kind::FtpLogins
            | Kind::FormLogins
            | Kind::DesktopLogins => &["BruteForce"],
            Kind::PageProbes => &["WebAttack"],
            Kind::Beacon | Kind::PlainBeacon => &["Bot"],
            Kind::Exfiltration | Kind::BulkExfiltration | Kind::DnsTunnel => &["Exfiltration", "Bot"],
            Kind::ArpSpoofing | Kind::Lateral | Kind::Admin => &["Infiltration", "Anomaly"],
        }
    }
}

/// How hard: the whole of an attack is `tries` times something small.
#[derive(Clone, Copy, Debug)]
pub struct Strength {
    /// In the tables.
    pub name: &'static str,
    /// Ports, hosts, packets, logins, contacts, chunks, names: whatever the kind counts.
    pub tries: u32,
    /// Seconds from one to the next on average.
    pub gap: f64,
}

/// Puts an attack by `who` on the wire.
pub fn attack(wire: &mut Wire, kind: Kind, strength: Strength, at: f64, who: Ipv4Addr) -> Event {
    aimed(wire, kind, strength, at, who).0
}

/// Whom a kind is aimed at.
enum Aim {
    Victim,
    Outside,
    Resolver,
    Many,
}

impl Kind {
    fn aim(self) -> Aim {
        match self {
            Kind::Beacon | Kind::Exfiltration | Kind::PlainBeacon | Kind::BulkExfiltration => Aim::Outside,
            Kind::DnsTunnel => Aim::Resolver,
            Kind::HorizontalScan | Kind::ArpSpoofing | Kind::Lateral | Kind::Admin => Aim::Many,
            _ => Aim::Victim,
        }
    }

    /// Whether the sources are made up, or are not the attacker.
    pub fn is_spoofed(self) -> bool {
        matches!(self, Kind::SpoofedFlood | Kind::Reflection)
    }
}

/// Same as [`attack`]; says whom it is aimed at too, where that is one host.
pub fn aimed(
    wire: &mut Wire,
    kind: Kind,
    strength: Strength,
    at: f64,
    who: Ipv4Addr,
) -> (Event, Option<Ipv4Addr>) {
    let before = wire.packets.len();
    let mut attack = Attack { wire, who, strength, now: at, target: None };
    let mut hosts: Vec<String> = attack.run(kind).into_iter().map(|host| host.to_string()).collect();
    let target = attack.target;
    hosts.push(who.to_string());
    let octets = mac(who).map(|octet| format!("{octet:02x}"));
    hosts.push(octets.join(":"));
    let times = || wire.packets[before..].iter().map(|packet| packet.time);
    let event = Event {
        start: times().min().unwrap_or(0),
        end: times().max().unwrap_or(0),
        name: format!("{}, {}", kind.name(), strength.name),
        types: kind.types().iter().map(|name| (*name).to_owned()).collect(),
        hosts,
        in_warmup: false,
    };
    (event, target)
}

struct Attack<'w> {
    wire: &'w mut Wire,
    who: Ipv4Addr,
    strength: Strength,
    now: f64,
    target: Option<Ipv4Addr>,
}

impl Attack<'_> {
    /// Returns who else an alert may name: others attack the same servers at the same time.
    fn run(&mut self, kind: Kind) -> Vec<Ipv4Addr> {
        let victim = inside(0, 2 + self.wire.random.below(7) as u8);
        let outside = Ipv4Addr::new(203, 0, 113, 1 + self.wire.random.below(250) as u8);
        let who = self.who;
        match kind {
            Kind::PortScan => self.port_scan(victim),
            Kind::HorizontalScan => self.horizontal_scan(),
            Kind::SynFlood => self.syn_flood(victim, false),
            Kind::SpoofedFlood => self.syn_flood(victim, true),
            Kind::UdpFlood => self.udp_flood(victim),
            Kind::BruteForce => self.brute_force(victim),
            Kind::Beacon => self.beacon(outside),
            Kind::Exfiltration => self.exfiltrate(outside),
            Kind::DnsTunnel => self.tunnel(),
            Kind::ArpSpoofing => self.spoof(),
            Kind::Lateral => self.lateral(),
            Kind::PatientLogins => self.each(|wire, at, _| more::patient_logins(wire, at, who, victim)),
            Kind::FtpLogins => self.each(|wire, at, _| more::ftp_login(wire, at, who, victim)),
            Kind::FormLogins => self.each(|wire, at, _| more::form_login(wire, at, who, victim)),
            Kind::DesktopLogins => self.each(|wire, at, _| more::desktop_login(wire, at, who, victim)),
            Kind::SlowRequests => self.each(|wire, at, _| more::slow_request(wire, at, who, victim, 12)),
            Kind::PingFlood => self.each(|wire, at, number| wire.ping(at, who, victim, number as u16)),
            Kind::Reflection => self.each(|wire, at, number| more::reflect(wire, at, victim, number)),
            Kind::UdpScan => {
                self.each(|wire, at, number| more::datagram_probe(wire, at, who, victim, number))
            }
            Kind::PageProbes => self.each(|wire, at, number| more::probe_page(wire, at, who, victim, number)),
            Kind::Admin => self.each(|wire, at, number| more::move_on(wire, at, who, number)),
            Kind::PlainBeacon => self.each(|wire, at, _| more::report(wire, at, who, outside)),
            Kind::BulkExfiltration => self.each(|wire, at, _| more::carry_off(wire, at, who, outside)),
        }
        self.target = match kind.aim() {
            Aim::Victim => Some(victim),
            Aim::Outside => Some(outside),
            Aim::Resolver => Some(DNS),
            Aim::Many => None,
        };
        match kind {
            Kind::SynFlood | Kind::SpoofedFlood | Kind::UdpFlood | Kind::PingFlood | Kind::Reflection => {
                vec![victim]
            }
            Kind::Beacon | Kind::Exfiltration | Kind::PlainBeacon | Kind::BulkExfiltration => vec![outside],
            Kind::ArpSpoofing => vec![ROUTER, DECEIVED],
            _ => Vec::new(),
        }
    }

    /// So often, with the number of the try; gaps are even up to a third.
    fn each(&mut self, mut one: impl FnMut(&mut Wire, f64, u32)) {
        for number in 0..self.strength.tries {
            one(self.wire, self.now, number);
            self.now += self.strength.gap * self.wire.random.between(0.67, 1.33);
        }
    }

    fn port_scan(&mut self, victim: Ipv4Addr) {
        let (who, first) = (self.who, self.wire.random.below(60_000) as u16);
        self.each(|wire, at, number| {
            let (port, target) = (wire.port(), first.wrapping_add((number * 7) as u16).max(1));
            Talk::refused(wire, at, (who, port), (victim, target));
        });
    }

    fn horizontal_scan(&mut self) {
        let (who, port) = (self.who, [445, 3389, 23, 5900][self.wire.random.below(4) as usize]);
        self.each(|wire, at, number| {
            let (own, target) = (wire.port(), inside((number / 250) as u8, 2 + (number % 250) as u8));
            match target.octets()[3] {
                // Somebody is there, and refuses.
                2..=31 if target.octets()[2] == 0 => {
                    Talk::refused(wire, at, (who, own), (target, port));
                }
                _ => Talk::unanswered(wire, at, (who, own), (target, port), 1),
            }
        });
    }

    fn syn_flood(&mut self, victim: Ipv4Addr, spoofed: bool) {
        let who = self.who;
        self.each(|wire, at, _| {
            let bits = wire.random.bits();
            let made_up = Ipv4Addr::from(0x0b00_0000 | (bits as u32 & 0x0fff_ffff));
            let from = (if spoofed { made_up } else { who }, 1024 + (bits >> 40) as u16 % 60_000);
            wire.flows += 1;
            wire.tcp(at, [from, (victim, 80)], SYN, [bits as u32, 0], &[], 0);
        });
    }

    fn udp_flood(&mut self, victim: Ipv4Addr) {
        let from = (self.who, self.wire.port());
        self.wire.flows += 1;
        self.each(|wire, at, _| {
            let bytes = wire.random.bits().to_be_bytes();
            wire.udp(at, [from, (victim, 5060)], &bytes, 900);
        });
    }

    fn brute_force(&mut self, victim: Ipv4Addr) {
        let who = self.who;
        self.each(|wire, at, _| {
            let port = wire.port();
            let mut talk = shell(wire, at, (who, port), (victim, 22));
            // Three passwords, three refusals.
            for _ in 0..3 {
                talk.ask((&[], 148), 0.05, (&[], 52));
            }
            talk.close();
        });
    }

    fn beacon(&mut self, outside: Ipv4Addr) {
        let who = self.who;
        self.each(|wire, at, _| tls(wire, at, who, (outside, 443), "cdn-metrics.example", 220, 180));
    }

    fn exfiltrate(&mut self, outside: Ipv4Addr) {
        let who = self.who;
        self.each(|wire, at, _| {
            let size = 120_000 + wire.random.below(60_000) as usize;
            tls(wire, at, who, (outside, 443), "files-share.example", size, 200);
        });
    }

    fn tunnel(&mut self) {
        let who = self.who;
        self.each(|wire, at, _| {
            let text = |length, wire: &mut Wire| content::random_text(length, &mut wire.random);
            let name = format!("{}.{}.t.evil.example", text(60, wire), text(50, wire));
            let (id, data) = (wire.random.bits() as u16, text(180, wire).into_bytes());
            let ends = [(who, wire.port()), (DNS, 53)];
            let outside = [(DNS, wire.port()), (Ipv4Addr::new(203, 0, 113, 53), 53)];
            let (ask, say) =
                (content::dns(id, &name, TXT, None), content::dns(id, &name, TXT, Some((0, &data))));
            wire.flows += 2;
            wire.udp(at, ends, &ask, 0);
            wire.udp(at + 0.0002, outside, &ask, 0);
            wire.udp(at + 0.03, [outside[1], outside[0]], &say, 0);
            wire.udp(at + 0.0303, [ends[1], ends[0]], &say, 0);
        });
    }

    /// Tells a client that the router is here, and the router that the client is.
    fn spoof(&mut self) {
        let (own, victim) = (mac(self.who), DECEIVED);
        self.each(|wire, at, _| {
            wire.arp(at, own, ROUTER, (mac(victim), victim), false);
            wire.arp(at + 0.001, own, victim, (mac(ROUTER), ROUTER), false);
        });
    }

    /// From client to client by remote desktop and file sharing, which only servers offered so far.
    fn lateral(&mut self) {
        let who = self.who;
        self.each(|wire, at, number| {
            let (victim, own) = (inside(0, 18 + (number % 6) as u8), wire.port());
            let service = if number.is_multiple_of(2) { 445 } else { 3389 };
            let mut talk = Talk::open(wire, at, (who, own), (victim, service));
            talk.ask((b"\x03\x00\x00\x13", 300), 0.01, (b"\x03\x00\x00\x13", 500));
            talk.ask((&[], 20_000), 0.2, (&[], 60_000));
            talk.close();
        });
    }
}
