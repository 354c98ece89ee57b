//! The traffic: conversations that bring out every column, packet by packet.

use std::net::IpAddr;

use sensor_tests::capture;
use sensor_tests::frames::{self, Tcp, ethertype, flag, proto};

/// 2026-01-01T00:00:00Z, nanoseconds.
const START: u64 = 1_767_225_600_000_000_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// What is known of a packet before it is one.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Nanoseconds, whole microseconds.
    pub time: u64,
    pub src: (IpAddr, u16),
    pub dst: (IpAddr, u16),
    pub proto: u8,
    pub flags: u8,
    pub window: u16,
    pub payload: usize,
    /// Bytes of TCP options.
    pub tcp_options: usize,
    /// Bytes of IP options.
    pub ip_options: usize,
}

impl Packet {
    /// Transport header, bytes.
    pub fn header(&self) -> usize {
        if self.proto == proto::TCP { 20 + self.tcp_options } else { 8 }
    }

    /// IP header, bytes.
    pub fn ip_header(&self) -> usize {
        if self.src.0.is_ipv4() { 20 + self.ip_options } else { 40 }
    }

    /// Bytes that fill up the frame to Ethernet's least: this capture is of a receiver.
    pub fn padding(&self) -> usize {
        60usize.saturating_sub(14 + self.ip_header() + self.header() + self.payload)
    }

    /// Bytes of the frame.
    pub fn frame(&self) -> usize {
        14 + self.ip_header() + self.header() + self.payload + self.padding()
    }

    /// As the capture holds it.
    pub fn recorded(&self) -> capture::Packet {
        let (src, dst) = (self.src.0, self.dst.0);
        let payload = vec![0x5a; self.payload];
        let transport = match self.proto {
            proto::TCP => {
                let header = Tcp { src: self.src.1, dst: self.dst.1, flags: self.flags, seq: 1, ack: 1 };
                // No-operations for options.
                let body = [vec![1; self.tcp_options], payload].concat();
                let mut segment = frames::tcp_segment(src, dst, header, &body);
                segment[12] = ((20 + self.tcp_options) * 4) as u8;
                segment[14..16].copy_from_slice(&self.window.to_be_bytes());
                segment
            }
            _ => frames::udp_datagram(self.src, self.dst, &payload),
        };
        let mut frame = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let options = vec![1; self.ip_options];
                frames::ethernet(
                    ethertype::IPV4,
                    &frames::ipv4(src, dst, self.proto, &options, 0, &transport),
                )
            }
            _ => frames::ip(src, dst, self.proto, &transport),
        };
        frame.resize(frame.len() + self.padding(), 0);
        assert_eq!(frame.len(), self.frame());
        capture::Packet { time: self.time, frame }
    }
}

/// Two who talk.
struct Conversation<'a> {
    packets: &'a mut Vec<Packet>,
    client: (IpAddr, u16),
    server: (IpAddr, u16),
    proto: u8,
}

impl Conversation<'_> {
    /// A packet of the client, or of the server, `at` nanoseconds after the capture begins.
    fn say(&mut self, at: u64, forward: bool, flags: u8, payload: usize) -> &mut Packet {
        let (src, dst) = if forward { (self.client, self.server) } else { (self.server, self.client) };
        let (tcp, said) = (self.proto == proto::TCP, self.packets.len() as u16);
        self.packets.push(Packet {
            time: START + at,
            src,
            dst,
            proto: self.proto,
            flags: if tcp { flags } else { 0 },
            window: if tcp { 1000 + said } else { 0 },
            payload,
            tcp_options: 0,
            ip_options: 0,
        });
        self.packets.last_mut().unwrap()
    }

    /// A handshake, whose SYNs carry options.
    fn open(&mut self, at: u64) {
        self.say(at, true, flag::S, 0).tcp_options = 20;
        self.say(at + 3 * MS, false, flag::S | flag::A, 0).tcp_options = 20;
        self.say(at + 5 * MS, true, flag::A, 0);
    }

    /// Both say that they are done.
    fn close(&mut self, at: u64) {
        self.say(at, true, flag::F | flag::A, 0);
        self.say(at + 2 * MS, false, flag::F | flag::A, 0);
        self.say(at + 4 * MS, true, flag::A, 0);
    }
}

/// All of it, in the order of time.
pub fn all() -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut port = 20_000;
    let mut conversation = |proto: u8, talk: &mut dyn FnMut(&mut Conversation<'_>)| {
        port += 1;
        let (client, server) = ((IpAddr::from([10, 0, 1, 9]), port), (IpAddr::from([10, 0, 0, 1]), 10_080));
        talk(&mut Conversation { packets: &mut packets, client, server, proto });
    };
    conversation(proto::TCP, &mut request_and_answer);
    conversation(proto::TCP, &mut retransmission_and_reset);
    conversation(proto::TCP, &mut port_used_again);
    conversation(proto::TCP, &mut idle_stretches);
    conversation(proto::TCP, &mut bulk_transfers);
    conversation(proto::TCP, &mut every_flag);
    conversation(proto::TCP, &mut longer_than_the_timeout);
    conversation(proto::TCP, &mut silent_for_five_minutes);
    conversation(proto::UDP, &mut datagrams);
    conversation(proto::UDP, &mut |talk| {
        talk.say(7 * SECOND, true, 0, 100);
    });
    conversation(proto::UDP, &mut |talk| {
        talk.say(8 * SECOND, true, 0, 50);
        talk.say(8 * SECOND + 20 * MS, false, 0, 150);
        talk.say(8 * SECOND + 70 * MS, true, 0, 60);
    });
    conversation(proto::TCP, &mut |talk| {
        let last = |mut address: [u16; 8], last| {
            address[7] = last;
            IpAddr::from(address)
        };
        talk.client.0 = last([0xfd00, 0, 0, 0, 0, 0, 0, 0], 9);
        talk.server.0 = last([0xfd00, 0, 0, 0, 0, 0, 0, 0], 1);
        request_and_answer(talk);
    });
    let mut random = 1u64;
    for number in 0..20 {
        let proto = if number % 3 == 0 { proto::UDP } else { proto::TCP };
        conversation(proto, &mut |talk| at_random(talk, &mut random));
    }
    packets.sort_by_key(|packet| packet.time);
    packets
}

fn request_and_answer(talk: &mut Conversation<'_>) {
    talk.open(0);
    talk.say(10 * MS, true, flag::P | flag::A, 300);
    talk.say(40 * MS, false, flag::A, 1400).ip_options = 4;
    talk.say(41 * MS, false, flag::P | flag::A, 700);
    talk.say(60 * MS, true, flag::A, 0);
    talk.close(100 * MS);
}

fn retransmission_and_reset(talk: &mut Conversation<'_>) {
    talk.open(500 * MS);
    for at in [600, 900, 1500] {
        talk.say(at * MS, true, flag::P | flag::A, 500);
    }
    talk.say(1600 * MS, false, flag::R | flag::A, 0);
}

/// Within Vesper's wait for late packets, and after it.
fn port_used_again(talk: &mut Conversation<'_>) {
    for at in [1, 3, 30] {
        talk.open(at * SECOND);
        talk.say(at * SECOND + 100 * MS, true, flag::P | flag::A, 50 * at as usize);
        talk.close(at * SECOND + 200 * MS);
    }
}

fn idle_stretches(talk: &mut Conversation<'_>) {
    talk.open(2 * SECOND);
    for at in [2_500, 3_000, 9_500, 10_000, 10_400, 17_000, 30_000, 30_700, 31_000, 37_000] {
        talk.say(at * MS, true, flag::P | flag::A, 20);
        talk.say(at * MS + 30 * MS, false, flag::A, 0);
    }
}

/// Forward with pauses that only Vesper takes for a bulk's, backward without.
fn bulk_transfers(talk: &mut Conversation<'_>) {
    talk.open(4 * SECOND);
    for packet in 0..12 {
        talk.say(4 * SECOND + 50 * MS + packet * 20 * MS, true, flag::A, 1000 + packet as usize);
    }
    for packet in 0..9 {
        talk.say(5 * SECOND + packet * 400_000, false, flag::A, 1400);
    }
    talk.say(6 * SECOND, true, flag::A, 10);
    for packet in 0..6 {
        talk.say(7 * SECOND + packet * 300_000, true, flag::A, 1100);
    }
    talk.say(7 * SECOND + 10 * MS, false, flag::A, 0);
}

fn every_flag(talk: &mut Conversation<'_>) {
    talk.say(5 * SECOND, true, flag::S | flag::ECE | flag::CWR, 0).tcp_options = 12;
    talk.say(5 * SECOND + 9 * MS, false, flag::S | flag::A | flag::ECE, 0);
    for at in 1..5 {
        talk.say(5 * SECOND + at * 50 * MS, true, flag::A | flag::P | flag::URG, 30);
        talk.say(5 * SECOND + at * 50 * MS + MS, false, flag::A | flag::CWR | flag::URG, 30);
    }
}

fn longer_than_the_timeout(talk: &mut Conversation<'_>) {
    talk.open(6 * SECOND);
    for at in 1..40 {
        talk.say((6 + at * 7) * SECOND, at % 5 != 4, flag::P | flag::A, 100 + at as usize);
    }
}

fn silent_for_five_minutes(talk: &mut Conversation<'_>) {
    talk.say(8 * SECOND, true, flag::A | flag::P, 10);
    talk.say(9 * SECOND, false, flag::A, 10);
    talk.say(309 * SECOND, true, flag::A | flag::P, 10);
    talk.say(310 * SECOND, false, flag::A, 10);
}

fn datagrams(talk: &mut Conversation<'_>) {
    for at in 0..10u64 {
        talk.say(5 * SECOND + at * at * 10 * MS, true, 0, 40 + at as usize);
        talk.say(5 * SECOND + at * at * 10 * MS + 4 * MS, false, 0, 200);
    }
}

/// Sixty packets of any length, with any pause (splitmix64).
fn at_random(talk: &mut Conversation<'_>, state: &mut u64) {
    let mut next = |below: u64| {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % below
    };
    let mut at = SECOND * next(60);
    for packet in 0..60 {
        let (forward, payload) = (packet == 0 || next(2) == 0, next(3) * next(700));
        talk.say(at, forward, flag::A | if payload > 0 { flag::P } else { 0 }, payload as usize);
        // Up to 10 us, 10 ms or 2 s, never none.
        let longest = [10, 10_000, 2_000_000][next(3) as usize];
        at += 1000 * (1 + next(longest));
    }
}
