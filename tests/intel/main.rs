//! Listed addresses in the kernel: the trie says what user space says, and while sets are swapped no flow slips through.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "durations are measured by the real clock")]

mod million;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use aya::TestRun;
use aya::maps::Array;
use aya::programs::TestRunOptions;
use sensor::analyze::{AnalyzeOptions, analyze};
use sensor::capture::replay::ReplayConfig;
use sensor::capture::{
    CaptureConfig, Drain, Event, Frames, Listed, Lister, Live, Program, SampleConfig, TICK_ROOM, TableSize,
    Turning, nic,
};
use sensor::config::Config;
use sensor::intel::{FeedConfig, FeedItems, IntelConfig, Item, Set, Value};
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::flow::FlowKey;
use sensor_tests::capture::{self, Order, Packet};
use sensor_tests::frames;
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::outcome::replay;
use sensor_tests::traffic::{self, SECOND, Traffic};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;
const PATIENCE: Duration = Duration::from_secs(10);

/// Draws numbers, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

/// The program, and what the drain thread does for it.
struct Kernel {
    program: Program,
    drain: Drain,
    turning: Turning,
}

impl Kernel {
    fn new(program: Program) -> (Kernel, Lister) {
        let mut kernel = Kernel {
            drain: Drain::new(&program.table, Duration::from_secs(3600)),
            program,
            turning: Turning::default(),
        };
        let lister = kernel.program.take_lister(kernel.turning.clone()).unwrap();
        (kernel, lister)
    }

    fn small() -> (Kernel, Lister) {
        Kernel::new(Program::load(TableSize::new(65_536, 1, false), Frames::Single).unwrap())
    }

    fn run(&mut self, frame: &[u8]) {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        self.program.xdp().unwrap().test_run(options).unwrap();
    }

    fn listed(&mut self) -> Vec<Listed> {
        let wish = self.turning.wish();
        if let Some((trie, _)) = &wish {
            self.program.set_listed(*trie).unwrap();
        }
        self.drain.drain(&mut self.program, 0, 0, true, |_| ()).unwrap();
        if let Some((trie, _)) = wish {
            self.turning.turned(trie);
        }
        std::mem::take(&mut self.drain.listed)
    }

    /// Does what the drain thread does until the set is in use.
    fn list(&mut self, lister: &mut Lister, set: &Arc<Set>) {
        thread::scope(|scope| {
            let filling = scope.spawn(|| lister.list(set, PATIENCE).unwrap());
            while !filling.is_finished() {
                self.listed();
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

fn item(text: &str) -> Item {
    Item {
        value: Value::guess(text).unwrap(),
        confidence: None,
        description: "".into(),
        until: 0,
        part: None,
    }
}

fn set_of(config: &IntelConfig, lists: &[(bool, Vec<String>)]) -> Arc<Set> {
    let configs: Vec<FeedConfig> =
        lists.iter().map(|(allow, _)| FeedConfig { allow: *allow, ..FeedConfig::default() }).collect();
    let items = |texts: &Vec<String>| texts.iter().map(|text| item(text)).collect();
    let lists =
        configs.iter().zip(lists).map(|(config, (_, texts))| FeedItems { config, items: items(texts) });
    Arc::new(Set::build(config, lists.collect()))
}

fn nothing_own() -> IntelConfig {
    IntelConfig { own_networks: Vec::new(), max_prefixes: 2_000_000, ..IntelConfig::default() }
}

fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

/// A small part of the address space, so that networks hold each other and addresses are in them.
fn address(random: &mut Random) -> IpAddr {
    let bits = random.next();
    if bits & 1 == 0 {
        Ipv4Addr::new(198, 18 + (bits >> 8 & 1) as u8, (bits >> 16) as u8 & 7, (bits >> 24) as u8).into()
    } else {
        let low = (bits >> 16 & 0xff) as u16;
        Ipv6Addr::new(0x2001, 0xdb8, (bits >> 8 & 3) as u16, 0, 0, 0, (bits >> 32 & 3) as u16, low).into()
    }
}

fn network(random: &mut Random) -> String {
    let address = address(random);
    let cut = (random.next() % 9) as usize;
    let len = if address.is_ipv4() { 32 - cut } else { [128, 127, 126, 125, 124, 121, 120, 112, 48][cut] };
    format!("{address}/{len}")
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_trie_says_what_user_space_says() {
    let (mut kernel, mut lister) = Kernel::small();
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut found = 0;
    for round in 0..20 {
        let mut networks = |count| (0..count).map(|_| network(&mut random)).collect::<Vec<_>>();
        let lists = [(false, networks(40)), (true, networks(6)), (false, networks(40))];
        let config = IntelConfig {
            own_networks: networks(2).iter().map(|text| text.parse().unwrap()).collect(),
            allow: networks(2),
            ..IntelConfig::default()
        };
        let set = set_of(&config, &lists);
        kernel.list(&mut lister, &set);
        let (mut expected, mut packets) = (HashMap::new(), Vec::new());
        for flow in 0..1000u16 {
            let (a, b) = (address(&mut random), address(&mut random));
            if a.is_ipv4() != b.is_ipv4() {
                continue;
            }
            let (from, to) = ((a, 1000 + flow), (b, 2000 + round));
            let frame = frames::udp(from, to, b"x");
            kernel.run(&frame);
            packets.push(Packet { time: START + u64::from(flow), frame });
            let key = FlowKey::canonical((bytes(a), from.1), (bytes(b), to.1), [0; 3], 17).0;
            expected.insert(key, [set.list(&key.addr_a), set.list(&key.addr_b)]);
        }
        expected.retain(|_, lists| *lists != [0, 0]);
        found += expected.len();
        let said: HashMap<_, _> = kernel.listed().into_iter().map(|flow| (flow.key, flow.lists)).collect();
        assert_eq!(said, expected, "round {round}");
        let file = capture::pcapng(&packets, Order::Little, capture::ETHERNET);
        let replayed = replay(&file, ReplayConfig { lists: Some(set), ..ReplayConfig::default() }).unwrap();
        assert_eq!(replayed.listed, expected, "a replay says the same, round {round}");
    }
    assert!(found > 3000, "{found} of 10,000 flows: the test looks at something");
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn no_first_packet_slips_through_while_sets_are_swapped() {
    if !inside() {
        return Namespace::new("intel").run_test("no_first_packet_slips_through_while_sets_are_swapped");
    }
    const SWAPS: usize = 100;
    let config = CaptureConfig {
        drain_interval: Duration::from_millis(10),
        new_flows_per_second: 100_000_000,
        sample: SampleConfig {
            first_packets: 0,
            one_in: 0,
            flagged_per_second: 0,
            ..SampleConfig::default()
        },
        ..CaptureConfig::default()
    };
    let (sender, events) = sync_channel(config.queue_batches as usize + TICK_ROOM);
    let mut live = Live::start(&config, &nic::find("rx0").unwrap(), sender).unwrap();
    let reader = thread::spawn(move || {
        let (mut flows, mut listed, mut lists) = (HashSet::new(), HashMap::new(), 0);
        for queued in events {
            match queued.event {
                Event::Flows(deltas) => flows.extend(deltas.iter().map(|delta| delta.key)),
                Event::Listed(some) => listed.extend(some.iter().map(|flow| (flow.key, flow.lists))),
                Event::Lists(_) => lists += 1,
                _ => {}
            }
        }
        (flows, listed, lists)
    });
    // In both sets, among networks that come and go: every source of the generator.
    let with = |others: std::ops::Range<u32>| {
        let others = others.map(|n| Ipv4Addr::from(0xc633_0000 + 7 * n).to_string());
        set_of(&nothing_own(), &[(false, others.chain(["10.0.0.0/8".to_owned()]).collect())])
    };
    let sets = [with(0..3000), with(1500..4500)];
    let mut lister = live.lister.take().unwrap();
    lister.list(&sets[0], PATIENCE).unwrap();
    // Packets go on meanwhile, on the other core: each of a new flow, until all were there.
    const FLOWS: u64 = 200_000;
    let done = Arc::new(AtomicBool::new(false));
    let sending = thread::spawn({
        let done = done.clone();
        move || {
            let mut generator = Generator::new("tx0", FLOWS);
            let (from, to) = (([10, 0, 0, 1], 40_000), ([192, 0, 2, 1], 53));
            let end = |(address, port): ([u8; 4], u16)| (IpAddr::from(address), port);
            let frame = frames::udp(end(from), end(to), &[0; 18]);
            let mut sent = 0;
            while !done.load(Relaxed) && sent < FLOWS {
                generator.send(&frame, 256);
                sent += 256;
                thread::sleep(Duration::from_millis(2));
            }
            sent
        }
    });
    for swap in 1..=SWAPS {
        lister.list(&sets[swap % 2], PATIENCE).unwrap();
    }
    done.store(true, Relaxed);
    let sent = sending.join().unwrap();
    live.stop();
    let (mut flows, mut listed, lists) = reader.join().unwrap();
    let generated =
        |key: &FlowKey| key.addr_a[10..13] == [0xff, 0xff, 10] || key.addr_b[10..13] == [0xff, 0xff, 10];
    flows.retain(generated);
    listed.retain(|key, _| generated(key));
    println!(
        "{} new flows of listed addresses of {sent} sent during {SWAPS} swaps, {} told",
        flows.len(),
        listed.len()
    );
    assert_eq!(lists, SWAPS + 1);
    assert!(flows.len() > 10_000, "{} flows while sets were swapped", flows.len());
    assert!(flows.iter().all(|key| listed.contains_key(key)), "{} of {}", listed.len(), flows.len());
}

/// A question for a name, as a packet.
fn question(client: IpAddr, name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    frames::udp((client, 50_000), traffic::RESOLVER, &message)
}

#[test]
fn a_capture_with_listed_addresses_and_names_gives_typed_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let mut traffic = Traffic::new(3);
    traffic.benign(START, 20 * SECOND, 4);
    let bot = traffic::client(7);
    traffic.beacon(START + 3 * SECOND, bot, traffic::OUTSIDE, 2 * SECOND, 5);
    let mut packets = traffic.into_packets();
    let frame = question(bot, "Www.C2.Example");
    packets.push(Packet { time: packets[packets.len() - 1].time, frame });
    let path = folder.path().join("capture.pcapng");
    std::fs::write(&path, capture::pcapng(&packets, Order::Little, capture::ETHERNET)).unwrap();
    // The resolver is one's own: no list may name it.
    let list = format!("203.0.113.0/24 # botnet C2\nc2.example # its name\n{}\n", traffic::RESOLVER.0);
    let file = folder.path().join("list.txt");
    std::fs::write(&file, list).unwrap();
    let feed = FeedConfig { name: "ours".to_owned(), path: Some(file), ..FeedConfig::default() };
    let mut config = Config { state_dir: folder.path().join("state"), ..Config::default() };
    config.intel.feed.push(feed);
    let run = |name: &str, config: &Config| -> Vec<serde_json::Value> {
        let alerts = folder.path().join(name);
        let options = AnalyzeOptions {
            files: vec![path.clone()],
            alerts: Some(alerts.clone()),
            json: true,
            ..AnalyzeOptions::default()
        };
        let summary = analyze(&options, config).unwrap();
        assert!(summary.residue.values().all(|residue| *residue == 0), "{:?}", summary.residue);
        let text = std::fs::read_to_string(alerts).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let alerts = run("alerts.jsonl", &config);
    assert_eq!(alerts, run("again.jsonl", &config), "a replay repeats itself");
    let find = |kind: &str| {
        let mut found = alerts.iter().filter(|alert| alert["details"]["intel"]["kind"] == kind);
        (found.next().unwrap_or_else(|| panic!("no {kind} in {alerts:?}")), found.count())
    };
    let (address, more) = find("ip");
    assert_eq!(more, 0, "one attack is one alert");
    assert_eq!((&address["threat_type"], &address["severity"]), (&"Bot".into(), &"high".into()));
    assert_eq!(address["source_ip"], bot.to_string());
    assert_eq!(address["destination_ip"], "203.0.113.7");
    let intel = &address["details"]["intel"];
    assert_eq!((&intel["feed"], &intel["indicator"]), (&"ours".into(), &"203.0.113.0/24".into()));
    assert_eq!((&intel["description"], &intel["confidence"]), (&"botnet C2".into(), &75.into()));
    assert!(address["details"]["count"].as_u64().unwrap() >= 3, "{address}");
    let narrative = address["details"]["narrative"].as_str().unwrap();
    assert!(narrative.contains("is on the list ours as 203.0.113.0/24: botnet C2."), "{narrative}");
    let (name, _) = find("domain");
    assert_eq!(name["details"]["intel"]["indicator"], "c2.example");
    let narrative = name["details"]["narrative"].as_str().unwrap();
    assert!(narrative.contains("for Www.C2.Example, which is on the list ours as c2.example"), "{narrative}");
    config.intel.allow = vec!["203.0.113.7".to_owned(), "c2.example".to_owned()];
    let intel =
        run("allowed.jsonl", &config).iter().filter(|alert| alert["details"]["intel"].is_object()).count();
    assert_eq!(intel, 0, "what is allowed wins");
}
