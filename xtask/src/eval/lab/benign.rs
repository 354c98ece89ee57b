//! An office and a plant at work: thirty hosts, what they ask of each other and of the world outside.
//!
//! Some of it is new on purpose: sites nobody has visited, a client that joins, an update from a server never
//! seen before, a backup. None of it is an attack.

use std::net::Ipv4Addr;

use super::content::{self, A, PTR};
use super::talk::Talk;
use super::wire::{End, Wire};
use super::{DNS, FILES, ROUTER, inside};

const WEB: Ipv4Addr = inside(0, 4);
const BACKUP: Ipv4Addr = inside(0, 5);
const MONITOR: Ipv4Addr = inside(0, 6);
const DATABASE: Ipv4Addr = inside(0, 7);
const MAIL: Ipv4Addr = inside(0, 8);
const TIME: Ipv4Addr = inside(0, 9);
const PANEL: Ipv4Addr = inside(1, 5);
const SERVERS: [Ipv4Addr; 7] = [DNS, FILES, WEB, BACKUP, DATABASE, MAIL, TIME];
/// Joins in the second half.
const LATE: Ipv4Addr = inside(0, 31);
const CONTROLLERS: u8 = 6;
const SITES: u64 = 4000;
const UPDATES: End = (Ipv4Addr::new(198, 19, 7, 7), 443);

/// How much happens, and when.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Seconds in all.
    pub duration: f64,
    /// Everything takes so many times as long between one and the next.
    pub calm: f64,
    /// Nights are quiet; the beginning is at six in the morning.
    pub daily: bool,
    /// When the late client joins and when the update comes.
    pub news: [f64; 2],
}

/// Clients of the office.
pub fn clients() -> impl Iterator<Item = Ipv4Addr> {
    (11..=30).map(|host| inside(0, host))
}

/// Puts everything that happens on the wire.
pub fn work(wire: &mut Wire, work: &Work) {
    for (number, client) in clients().enumerate() {
        office(wire, work, client, number as u64, 0.0);
    }
    office(wire, work, LATE, 20, work.news[0]);
    join(wire, work.news[0] - 5.0);
    servers(wire, work);
    plant(wire, work);
    for client in clients() {
        let at = work.news[1] + wire.random.between(0.0, 600.0);
        let size = wire.random.heavy_tailed(200_000.0, 1_500_000.0) as usize;
        tls(wire, at, client, UPDATES, "updates.vendor.example", 900, size);
    }
}

impl Work {
    /// Times of something that people do, on average every `mean` seconds while the office is busy.
    fn by_chance(&self, wire: &mut Wire, from: f64, mean: f64) -> Vec<f64> {
        let (mut times, mut now) = (Vec::new(), from);
        loop {
            now += wire.random.exponential(mean * self.calm);
            if now >= self.duration {
                return times;
            }
            if wire.random.unit() < self.activity(now) {
                times.push(now);
            }
        }
    }

    /// Times of something that programs do every `interval` seconds, give or take this part of it.
    fn regular(&self, wire: &mut Wire, from: f64, interval: f64, jitter: f64) -> Vec<f64> {
        let interval = interval * self.calm;
        let first = from + wire.random.between(0.0, interval);
        let count = ((self.duration - first) / interval).max(0.0) as u64;
        let jitter = jitter * interval;
        (0..count).map(|n| first + n as f64 * interval + wire.random.between(-jitter, jitter)).collect()
    }

    fn activity(&self, time: f64) -> f64 {
        if !self.daily {
            return 1.0;
        }
        let hour = (6.0 + time / 3600.0) % 24.0;
        // Most at one in the afternoon.
        0.1 + 0.9 * (-((hour - 13.0) / 3.5).powi(2)).exp()
    }
}

fn office(wire: &mut Wire, work: &Work, client: Ipv4Addr, number: u64, from: f64) {
    for at in work.by_chance(wire, from, 45.0) {
        page(wire, at, client, number);
    }
    for at in work.by_chance(wire, from, 240.0) {
        let port = wire.port();
        let path = format!("/page/{}", wire.random.below(200));
        let size = wire.random.heavy_tailed(2_000.0, 300_000.0) as usize;
        let mut talk = Talk::open(wire, at, (client, port), (WEB, 80));
        talk.ask((&content::get("intranet", &path), 0), 0.02, (&content::ok(size), size));
        talk.close();
    }
    for at in work.by_chance(wire, from, 900.0) {
        copy(wire, at, client);
    }
    for at in work.regular(wire, from, 300.0, 0.02) {
        tls(wire, at, client, (MAIL, 993), "mail", 400, 1_800);
    }
    if number.is_multiple_of(3) {
        let cloud = (Ipv4Addr::new(198, 18, 200, 10), 443);
        for at in work.regular(wire, from, 60.0, 0.05) {
            tls(wire, at, client, cloud, "push.cloud.example", 150, 300);
        }
    }
    for at in work.regular(wire, from, 256.0, 0.1) {
        time(wire, at, client);
    }
    for at in work.regular(wire, from, 150.0, 0.3) {
        chatter(wire, at, client, number);
    }
    if number == 0 {
        for at in work.by_chance(wire, from, 1200.0) {
            administer(wire, at, client);
        }
    }
    if number == 7 {
        // A printer that is no more.
        for at in work.regular(wire, from, 600.0, 0.1) {
            let port = wire.port();
            Talk::unanswered(wire, at, (client, port), (inside(0, 99), 9100), 4);
        }
    }
}

/// A page of some site: its name, then connections to it.
fn page(wire: &mut Wire, at: f64, client: Ipv4Addr, number: u64) {
    // Few sites are popular; the tail is long.
    let site = (SITES as f64 * wire.random.unit().powi(5)) as u64;
    let (name, server) =
        (content::site(site), Ipv4Addr::new(198, 18, (site / 200) as u8, 1 + (site % 200) as u8));
    let mut now = lookup(wire, at, client, &name, A, Some(server));
    if wire.random.unit() < 0.05 {
        let misspelt = name.replace("www.", "wwww.");
        lookup(wire, now, client, &misspelt, A, None);
    }
    for _ in 0..1 + wire.random.below(3) {
        let size = wire.random.heavy_tailed(3_000.0, 400_000.0) as usize;
        tls(wire, now, client, (server, 443), &name, 500 + number as usize, size);
        now += wire.random.exponential(0.3);
    }
}

/// Asks the resolver, which sometimes asks outside; returns when the answer came.
fn lookup(wire: &mut Wire, at: f64, client: Ipv4Addr, name: &str, kind: u16, found: Option<Ipv4Addr>) -> f64 {
    let id = wire.random.bits() as u16;
    let octets = found.map(|address| address.octets());
    let answer = match &octets {
        Some(address) => (0, &address[..]),
        None => (3, &[][..]),
    };
    let (ask, say) = (content::dns(id, name, kind, None), content::dns(id, name, kind, Some(answer)));
    let mut now = at;
    let asked_outside = wire.random.unit() < 0.3;
    let ends = [(client, wire.port()), (DNS, 53)];
    wire.flows += 1;
    wire.udp(now, ends, &ask, 0);
    if asked_outside {
        let outside = [(DNS, wire.port()), (Ipv4Addr::new(198, 19, 0, 53), 53)];
        let wait = wire.random.between(0.01, 0.06);
        wire.flows += 1;
        wire.udp(now + 0.0002, outside, &ask, 0);
        wire.udp(now + 0.0002 + wait, [outside[1], outside[0]], &say, 0);
        now += wait + 0.0002;
    }
    wire.udp(now + 0.0005, [ends[1], ends[0]], &say, 0);
    now + 0.001
}

/// A connection over TLS: hello, some bytes there, some back.
pub fn tls(wire: &mut Wire, at: f64, client: Ipv4Addr, server: End, name: &str, up: usize, down: usize) {
    let hello = content::client_hello(name, u64::from(client.octets()[3]), &mut wire.random);
    let answer = content::server_hello(&mut wire.random);
    let (port, think) = (wire.port(), wire.random.exponential(0.03));
    let mut talk = Talk::open(wire, at, (client, port), server);
    talk.ask((&hello, 0), 0.002, (&answer, 2_900));
    talk.ask((&[0x14, 3, 3, 0, 1, 1], 80), 0.001, (&[0x17, 3, 3], 250));
    talk.ask((&[0x17, 3, 3], up), think, (&[0x17, 3, 3], down));
    talk.close();
}

/// A file to or from the file server.
fn copy(wire: &mut Wire, at: f64, client: Ipv4Addr) {
    let (size, up, port) =
        (wire.random.heavy_tailed(30_000.0, 1_500_000.0) as usize, wire.random.unit() < 0.3, wire.port());
    let mut talk = Talk::open(wire, at, (client, port), (FILES, 445));
    for _ in 0..4 {
        talk.ask((b"\x00\x00\x00\xb0\xfeSMB@\x00", 180), 0.001, (b"\x00\x00\x00\xf0\xfeSMB@\x00", 240));
    }
    let (there, back) = if up { (size, 100) } else { (120, size) };
    talk.ask((b"\x00\x00\x00\x70\xfeSMB@\x00", there), 0.002, (b"\x00\x00\x00\x70\xfeSMB@\x00", back));
    talk.close();
}

fn time(wire: &mut Wire, at: f64, client: Ipv4Addr) {
    let ends = [(client, 123), (TIME, 123)];
    wire.flows += 1;
    for (ends, first, time) in [(ends, 0x23, at), ([ends[1], ends[0]], 0x24, at + 0.0004)] {
        let mut message = [0_u8; 48];
        message[0] = first;
        wire.udp(time, ends, &message, 0);
    }
}

/// Who has the router, and who is here: ARP and mDNS.
fn chatter(wire: &mut Wire, at: f64, client: Ipv4Addr, number: u64) {
    let (own, router) = (super::wire::mac(client), super::wire::mac(ROUTER));
    wire.arp(at, own, client, ([0; 6], ROUTER), true);
    wire.arp(at + 0.0003, router, ROUTER, (own, client), false);
    if number.is_multiple_of(2) {
        let group = (Ipv4Addr::new(224, 0, 0, 251), 5353);
        wire.flows += 1;
        wire.udp(at + 1.0, [(client, 5353), group], &content::dns(0, "_ipp._tcp.local", PTR, None), 0);
    }
}

/// A session at a server's shell: keys one by one, and what they bring.
fn administer(wire: &mut Wire, at: f64, client: Ipv4Addr) {
    let server = SERVERS[wire.random.below(SERVERS.len() as u64) as usize];
    let (port, keys) = (wire.port(), 20 + wire.random.below(120));
    let gaps: Vec<(f64, usize)> = (0..keys)
        .map(|_| (wire.random.exponential(0.8), wire.random.heavy_tailed(48.0, 3_000.0) as usize))
        .collect();
    let mut talk = shell(wire, at, (client, port), (server, 22));
    for (gap, size) in gaps {
        talk.pause(gap);
        talk.ask((&[], 36), 0.001, (&[], size));
    }
    talk.close();
}

/// SSH up to the login.
pub fn shell(wire: &mut Wire, at: f64, client: End, server: End) -> Talk<'_> {
    let mut talk = Talk::open(wire, at, client, server);
    talk.ask((b"SSH-2.0-OpenSSH_9.2\r\n", 0), 0.01, (b"SSH-2.0-OpenSSH_9.2\r\n", 0));
    talk.ask((&[], 1_500), 0.004, (&[], 1_100));
    talk.ask((&[], 64), 0.01, (&[], 64));
    talk
}

fn servers(wire: &mut Wire, work: &Work) {
    for server in SERVERS {
        let mut number = 0;
        for at in work.regular(wire, 0.0, 60.0, 0.001) {
            number += 1;
            wire.flows += 1;
            wire.ping(at, MONITOR, server, number);
            let port = wire.port();
            let mut talk = Talk::open(wire, at + 0.1, (MONITOR, port), (server, 9100));
            talk.ask((&content::get("node", "/metrics"), 0), 0.01, (&content::ok(9_000), 9_000));
            talk.close();
        }
    }
    for at in work.regular(wire, 0.0, 30.0, 0.001) {
        let (ends, query) = ([(MONITOR, wire.port()), (ROUTER, 161)], b"0\x29\x02\x01\x01\x04\x06public");
        wire.flows += 1;
        wire.udp(at, ends, query, 43);
        wire.udp(at + 0.002, [ends[1], ends[0]], query, 120);
    }
    for at in work.by_chance(wire, 0.0, 12.0) {
        let (port, size) = (wire.port(), wire.random.heavy_tailed(200.0, 40_000.0) as usize);
        let mut talk = Talk::open(wire, at, (WEB, port), (DATABASE, 5432));
        talk.ask((b"Q\x00\x00\x00\x30SELECT", 80), 0.003, (b"T\x00\x00", size));
        talk.close();
    }
    // Twice a day, or once in an hour of a short run.
    let every = if work.daily { 43_200.0 } else { 3600.0 };
    let mut at = every * 0.4;
    while at < work.duration {
        let port = wire.port();
        let mut talk = Talk::open(wire, at, (BACKUP, port), (FILES, 873));
        talk.ask((b"@RSYNCD: 31.0\n", 0), 0.01, (b"@RSYNCD: 31.0\n", 12_000_000));
        talk.close();
        at += every;
    }
}

/// A panel reads its controllers over connections that stay open.
fn plant(wire: &mut Wire, work: &Work) {
    for controller in 0..CONTROLLERS {
        let (port, server) = (wire.port(), (inside(1, 11 + controller), 502));
        let mut talk = Talk::open(wire, 1.0 + f64::from(controller) * 0.3, (PANEL, port), server);
        let mut number = 0;
        while talk.now < work.duration - 10.0 {
            let (ask, say) = (content::modbus(number, false), content::modbus(number, true));
            talk.ask((&ask, 0), 0.004, (&say, 0));
            talk.pause(3.0 * work.calm);
            number = number.wrapping_add(1);
        }
    }
}

/// A host that was not there before asks for an address (RFC 2131) and says that it has it.
fn join(wire: &mut Wire, at: f64) {
    let own = super::wire::mac(LATE);
    let all = (Ipv4Addr::BROADCAST, 67);
    let mut message = vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78];
    message.resize(300, 0);
    message[28..34].copy_from_slice(&own);
    wire.flows += 1;
    wire.udp(at, [(Ipv4Addr::UNSPECIFIED, 68), all], &message, 0);
    message[0] = 2;
    wire.udp(at + 0.01, [(ROUTER, 67), (Ipv4Addr::BROADCAST, 68)], &message, 0);
    wire.arp(at + 0.1, own, LATE, ([0; 6], LATE), true);
    wire.arp(at + 0.2, own, LATE, ([0; 6], ROUTER), true);
    wire.arp(at + 0.2003, super::wire::mac(ROUTER), ROUTER, (own, LATE), false);
}
