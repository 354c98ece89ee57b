//! The rule on DNS against traffic that is made here: tunnels of each kind, and what looks like them and is none.

use super::app_rules::judge_app;
use super::config::AlertConfig;
use super::rules::Verdict;
use crate::features::app::App;
use crate::features::app::dns::kind;
use crate::features::app::dns::made::{question, response};
use crate::features::config::FeaturesConfig;
use crate::features::facts::{FlowFacts, Outcome, PairFacts};
use crate::flow::SECOND;
use crate::flow::table::Carried;
use crate::score::random::Random;
use sensor_ebpf::flow::{FlowKey, proto};
use sensor_ebpf::parse::Packet;

const CLIENT: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2];
const SERVER: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 53];
const MINUTES: u64 = 12;

/// What a question is answered with.
enum Answer {
    NoSuchName,
    Is(Vec<u8>),
}
use Answer::{Is, NoSuchName};

/// Asks, and gives what the rule says of the strongest verdicts in each minute.
struct Lab {
    app: App,
    random: Random,
    port: u16,
}

impl Lab {
    fn new(seed: u64) -> Lab {
        Lab { app: App::new(&FeaturesConfig::default()), random: Random::new(seed), port: 1024 }
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> Vec<u8> {
        (0..length).map(|_| alphabet[self.random.below(alphabet.len())]).collect()
    }

    fn key(&self) -> FlowKey {
        FlowKey {
            addr_a: CLIENT,
            addr_b: SERVER,
            port_a: self.port,
            port_b: 53,
            proto: proto::UDP,
            ..FlowKey::from_words([0; 6])
        }
    }

    fn send(&mut self, payload: &[u8], reverse: bool, now: u64, weight: u32) {
        let packet = Packet {
            key: self.key(),
            reverse,
            tcp_flags: 0,
            payload_at: 42,
            outer_at: 0,
            later_fragment: false,
        };
        self.app.sample(&packet, payload, now, weight);
    }

    /// One question and its answer on ports of their own.
    fn ask(&mut self, name: &[u8], kind: u16, answer: &Answer, now: u64) -> Option<Verdict> {
        self.port = self.port.wrapping_add(1).max(1024);
        self.send(&question(name, kind), false, now, 1);
        let records: &[(u16, &[u8])] = match answer {
            NoSuchName => &[],
            Is(content) => &[(kind, content)],
        };
        self.send(&response(name, kind, records), true, now + SECOND / 50, 1);
        self.judge(now + SECOND / 2)
    }

    fn seen(&self, now: u64) -> f32 {
        self.app.facts(&self.key(), now).dns.seen
    }

    fn judge(&self, now: u64) -> Option<Verdict> {
        let facts = FlowFacts {
            key: self.key(),
            src: CLIENT,
            src_port: self.port,
            dst: SERVER,
            dst_port: 53,
            start: now,
            last: now,
            seconds: 1.0,
            window: Carried::default(),
            total: Carried::default(),
            outcome: Outcome::None,
            awaited: false,
            entropy: None,
            pair: PairFacts::default(),
            app: self.app.facts(&self.key(), now),
        };
        judge_app(&facts, &lenient())
    }
}

/// With every strength told.
fn lenient() -> AlertConfig {
    AlertConfig { dns_tunnel_bytes: 1, dns_tunnel_names: 1, ..AlertConfig::default() }
}

const HEX: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz012345";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const WORDS: [&str; 16] = [
    "shop", "mail", "static", "images", "blog", "news", "media", "photo", "travel", "garden", "music",
    "login", "assets", "video", "cloud", "data",
];

type Traffic = fn(&mut Lab, u64) -> (Vec<u8>, u16, Answer);

/// Strongest verdict of each minute, over what the rule asks for, at so many questions a minute.
fn strengths(per_minute: u64, traffic: Traffic) -> Vec<f64> {
    let asked = AlertConfig::default().dns_tunnel_bytes as f64;
    let mut lab = Lab::new(7);
    let mut minutes = vec![0.0f64; MINUTES as usize];
    for n in 0..per_minute * MINUTES {
        let now = 1_000 * SECOND + n * 60 * SECOND / per_minute;
        let (name, kind, answer) = traffic(&mut lab, n);
        let strength = lab.ask(&name, kind, &answer, now).map_or(0.0, |verdict| verdict.strength / asked);
        let minute = &mut minutes[(n / per_minute) as usize];
        *minute = minute.max(strength);
    }
    minutes
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&b'.')
}

fn words(lab: &mut Lab, count: usize) -> Vec<u8> {
    let words: Vec<&[u8]> = (0..count).map(|_| WORDS[lab.random.below(WORDS.len())].as_bytes()).collect();
    words.join(&b'-')
}

fn octets(lab: &mut Lab) -> Vec<u8> {
    let octets: Vec<String> = (0..4).map(|_| lab.random.below(256).to_string()).collect();
    octets.join(".").into_bytes()
}

/// An address: one of so many.
fn one_of(lab: &mut Lab, many: usize) -> Answer {
    Is(vec![127, 0, 0, lab.random.below(many) as u8])
}

fn address(lab: &mut Lab) -> Answer {
    Is((0..4).map(|_| lab.random.below(256) as u8).collect())
}

fn bytes(lab: &mut Lab, length: usize) -> Answer {
    Is((0..length).map(|_| lab.random.below(256) as u8).collect())
}

const HARMLESS: [(&str, u64, Traffic); 19] = [
    ("browsing", 60, |lab, _| {
        let (host, domain) = (words(lab, 1), [words(lab, 2), lab.text(BASE32, 3)].concat());
        (join(&[&host, &domain, b"com"]), kind::A, address(lab))
    }),
    ("a resolver for many", 3000, |lab, n| match n % 10 {
        0 => {
            let name = [&b"internal-"[..], &words(lab, 2), b"-", &lab.text(b"0123456789", 9)].concat();
            (join(&[&name, b"us-east-1.elb.amazonaws.com"]), kind::A, address(lab))
        }
        1 => {
            (join(&[&[&b"d"[..], &lab.text(BASE32, 13)].concat(), b"cloudfront.net"]), kind::A, address(lab))
        }
        _ => (join(&[&words(lab, 1), &words(lab, 3), b"de"]), kind::A, address(lab)),
    }),
    ("reverse lookups", 300, |lab, _| (join(&[&octets(lab), b"in-addr.arpa"]), kind::PTR, bytes(lab, 30))),
    ("reverse lookups of IPv6", 100, |lab, _| {
        let nibbles: Vec<Vec<u8>> = (0..32).map(|_| lab.text(HEX, 1)).collect();
        (join(&[&nibbles.join(&b'.'), b"ip6.arpa"]), kind::PTR, bytes(lab, 30))
    }),
    ("block lists of addresses", 300, |lab, n| {
        let name = join(&[&octets(lab), b"zen.spamhaus.org"]);
        if n % 8 == 0 { (name, kind::TXT, bytes(lab, 50)) } else { (name, kind::A, NoSuchName) }
    }),
    ("block lists of domains", 200, |lab, n| {
        let name = join(&[&words(lab, 2), &lab.text(BASE32, 6), b"com.dbl.spamhaus.org"]);
        (name, kind::A, if n % 10 == 0 { one_of(lab, 8) } else { NoSuchName })
    }),
    ("block lists of hashes", 60, |lab, n| {
        let answer = if n % 10 == 0 { one_of(lab, 8) } else { NoSuchName };
        (join(&[&lab.text(HEX, 40), b"ebl.msbl.org"]), kind::A, answer)
    }),
    ("origins of addresses", 200, |lab, _| {
        (join(&[&octets(lab), b"origin.asn.cymru.com"]), kind::TXT, bytes(lab, 45))
    }),
    ("keys of senders of mail", 60, |lab, n| {
        let tenant = [words(lab, 2), lab.text(BASE32, 3)].concat();
        let selector =
            [&b"selector"[..], if n % 2 == 0 { b"1-" } else { b"2-" }, &tenant, b"-onmicrosoft-com"].concat();
        (join(&[&selector, b"_domainkey", &tenant, b"onmicrosoft.com"]), kind::TXT, bytes(lab, 400))
    }),
    ("policies of senders of mail", 120, |lab, n| {
        let domain = [words(lab, 1), lab.text(BASE32, 4)].concat();
        let labels: [&[u8]; 3] = [b"_dmarc", b"_spf", b"spf1"];
        (join(&[labels[n as usize % 3], &domain, b"com"]), kind::TXT, bytes(lab, 120))
    }),
    ("mail servers", 120, |lab, _| {
        let domain = [words(lab, 1), lab.text(BASE32, 4)].concat();
        (join(&[&domain, b"co.uk"]), kind::MX, bytes(lab, 20))
    }),
    ("a virus scanner's hashes", 120, |lab, _| {
        let name = join(&[b"0.0.0.0.1.0.0.4e", &lab.text(BASE32, 26), b"avqs.mcafee.com"]);
        (name, kind::A, one_of(lab, 8))
    }),
    ("a virus scanner's long names", 40, |lab, _| {
        let name = join(&[&lab.text(BASE32, 50), &lab.text(BASE32, 40), b"h.00.s.sophosxl.net"]);
        (name, kind::A, one_of(lab, 4))
    }),
    ("a virus scanner's texts", 60, |lab, _| {
        let answer = Is(format!("\u{4}v={}", lab.random.below(6)).into_bytes());
        (join(&[&lab.text(BASE32, 40), b"a.e5.sk"]), kind::TXT, answer)
    }),
    ("telemetry", 30, |lab, _| {
        let name = join(&[&lab.text(HEX, 32), b"client.telemetry.example.com"]);
        (name, kind::A, one_of(lab, 4))
    }),
    ("content networks", 60, |lab, _| {
        (
            join(&[&[&b"e"[..], &lab.text(b"0123456789", 6)].concat(), b"dscx.akamaiedge.net"]),
            kind::A,
            address(lab),
        )
    }),
    ("a crawler of blogs", 1000, |lab, _| {
        (join(&[&[words(lab, 2), lab.text(BASE32, 3)].concat(), b"wordpress.com"]), kind::A, one_of(lab, 6))
    }),
    ("a cluster's search list", 300, |lab, _| {
        let name = join(&[&words(lab, 2), b"example.com.default.svc.cluster.local"]);
        (name, kind::A, NoSuchName)
    }),
    ("a resolver that varies case", 200, |lab, _| {
        let mut name = join(&[&words(lab, 2), &words(lab, 1), b"example.com"]);
        name.iter_mut().for_each(|byte| {
            if lab.random.below(2) == 0 {
                byte.make_ascii_uppercase();
            }
        });
        (name, kind::A, one_of(lab, 100))
    }),
];

#[test]
fn what_looks_like_a_tunnel_and_is_none_stays_below() {
    let mut failed = Vec::new();
    for (name, per_minute, traffic) in HARMLESS {
        let strengths = strengths(per_minute, traffic);
        let most = strengths.iter().copied().fold(0.0, f64::max);
        println!("{name:32} {per_minute:>5}/min  {most:.3}");
        if most >= 1.0 {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

fn labels(lab: &mut Lab, alphabet: &[u8], length: usize, domain: &[u8]) -> Vec<u8> {
    let data = lab.text(alphabet, length);
    let labels: Vec<&[u8]> = data.chunks(57).chain([domain]).filter(|label| !label.is_empty()).collect();
    labels.join(&b'.')
}

/// Name, questions a minute, minutes until it must be found, traffic.
const TUNNELS: [(&str, u64, usize, Traffic); 18] = [
    ("NULL, in use", 600, 0, |lab, _| {
        (labels(lab, BASE32, 150, b"t.example.com"), kind::NULL, bytes(lab, 800))
    }),
    ("NULL, idle", 15, 1, |lab, _| (labels(lab, BASE32, 9, b"t.example.com"), kind::NULL, bytes(lab, 4))),
    ("private type, in use", 600, 0, |lab, _| {
        (labels(lab, BASE64, 150, b"t.example.com"), 65_399, bytes(lab, 800))
    }),
    ("TXT, in use", 300, 0, |lab, _| {
        (labels(lab, BASE32, 120, b"t.example.com"), kind::TXT, bytes(lab, 200))
    }),
    ("CNAME, in use", 300, 0, |lab, _| {
        (labels(lab, BASE32, 120, b"t.example.com"), kind::CNAME, bytes(lab, 120))
    }),
    ("MX, in use", 300, 0, |lab, _| (labels(lab, BASE32, 120, b"t.example.com"), kind::MX, bytes(lab, 120))),
    ("SRV, in use", 300, 0, |lab, _| {
        (labels(lab, BASE32, 120, b"t.example.com"), kind::SRV, bytes(lab, 120))
    }),
    ("A, in use", 300, 0, |lab, _| (labels(lab, HEX, 120, b"t.example.com"), kind::A, address(lab))),
    ("AAAA, in use", 300, 0, |lab, _| (labels(lab, HEX, 120, b"t.example.com"), 28, bytes(lab, 16))),
    ("A, idle, fast", 105, 1, |lab, _| (labels(lab, HEX, 34, b"www.example.tk"), kind::A, address(lab))),
    ("TXT, idle, fast", 105, 1, |lab, _| {
        (labels(lab, HEX, 34, b"www.example.tk"), kind::TXT, bytes(lab, 40))
    }),
    ("MX, idle, fast", 105, 1, |lab, _| (labels(lab, HEX, 34, b"www.example.tk"), kind::MX, bytes(lab, 40))),
    ("TXT, idle, short names", 88, 1, |lab, _| {
        (labels(lab, BASE64, 10, b"www.example.tk"), kind::TXT, bytes(lab, 11))
    }),
    ("KEY, idle, short names", 88, 1, |lab, _| {
        (labels(lab, BASE64, 10, b"www.example.tk"), kind::KEY, bytes(lab, 11))
    }),
    ("without a domain", 100, 1, |lab, _| {
        (join(&[b"dnscat", &labels(lab, HEX, 60, b"1f")]), kind::TXT, bytes(lab, 40))
    }),
    ("bytes of eight bits", 300, 0, |lab, _| {
        let data: Vec<u8> = (0..60).map(|_| 0x80 | lab.random.below(128) as u8).collect();
        (join(&[&data, b"t.example.com"]), kind::A, address(lab))
    }),
    ("a file goes out, answers are one", 60, 1, |lab, _| {
        (labels(lab, BASE64, 180, b"t.example.com"), kind::TXT, Is(b"\x02OK".to_vec()))
    }),
    ("a file comes in by numbered names", 60, 1, |lab, n| {
        (format!("{n}.dl.example.com").into_bytes(), kind::TXT, bytes(lab, 250))
    }),
];

#[test]
fn tunnels_of_each_kind_are_found_and_stay_found() {
    let mut failed = Vec::new();
    for (name, per_minute, after, traffic) in TUNNELS {
        let strengths = strengths(per_minute, traffic);
        let least = strengths[after..].iter().copied().fold(f64::MAX, f64::min);
        println!("{name:34} {per_minute:>5}/min  first {:.2}, least {least:.2}", strengths[0]);
        if least < 1.0 {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// As [`strengths`], but all on one flow, of which the first 8 packets are samples and then one in 64.
fn thinned(seed: u64, per_minute: u64, traffic: Traffic) -> Vec<f64> {
    let asked = AlertConfig::default().dns_tunnel_bytes as f64;
    let mut lab = Lab::new(seed);
    let mut minutes = vec![0.0f64; MINUTES as usize];
    let mut packets = 0;
    for n in 0..per_minute * MINUTES {
        let now = 1_000 * SECOND + n * 60 * SECOND / per_minute;
        let (name, kind, answer) = traffic(&mut lab, n);
        let records: &[(u16, &[u8])] = match &answer {
            NoSuchName => &[],
            Is(content) => &[(kind, content)],
        };
        for (payload, reverse) in [(question(&name, kind), false), (response(&name, kind, records), true)] {
            packets += 1;
            if packets <= 8 {
                lab.send(&payload, reverse, now, 1);
            } else if lab.random.below(64) == 0 {
                lab.send(&payload, reverse, now, 64);
            }
        }
        let strength =
            lab.judge(now).filter(|_| lab.seen(now) >= 4.0).map_or(0.0, |verdict| verdict.strength / asked);
        let minute = &mut minutes[(n / per_minute) as usize];
        *minute = minute.max(strength);
    }
    minutes
}

#[test]
fn few_samples_of_one_flow_suffice_and_do_not_mislead() {
    let share = |per_minute: u64, traffic: Traffic| {
        let all: Vec<f64> = (0..20).flat_map(|seed| thinned(seed, per_minute, traffic)).collect();
        all.iter().filter(|strength| **strength >= 1.0).count() as f64 / all.len() as f64
    };
    let (mut missed, mut misled) = (Vec::new(), Vec::new());
    for (name, per_minute, _, traffic) in TUNNELS.iter().filter(|tunnel| tunnel.1 > 100) {
        let share = share(*per_minute, *traffic);
        println!("{name:34} {per_minute:>5}/min  {:.1} % of minutes", share * 100.0);
        // Idle ones take some minutes until there are samples enough, and the weakest of them is not found at all.
        let asked = match *per_minute {
            300.. => 0.9,
            _ if name.starts_with('A') => 0.0,
            _ => 0.6,
        };
        if share < asked {
            missed.push(name);
        }
    }
    for (name, per_minute, traffic) in HARMLESS {
        let share = share(per_minute, traffic);
        println!("{name:34} {per_minute:>5}/min  {:.1} % of minutes", share * 100.0);
        if share > 0.15 {
            misled.push(name);
        }
    }
    assert!(missed.is_empty() && misled.is_empty(), "{missed:?} {misled:?}");
}
