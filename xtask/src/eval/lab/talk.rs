//! Conversations over TCP, packet by packet.

use super::wire::{ACK, End, FIN, PSH, RST, SEGMENT, SYN, Wire};

/// Bytes of a segment that are captured, of the first of a message and of others.
const CAPTURED: [usize; 2] = [1448, 32];

/// A connection; side 0 is the client.
pub struct Talk<'w> {
    wire: &'w mut Wire,
    ends: [End; 2],
    next: [u32; 2],
    /// Seconds since the beginning.
    pub now: f64,
    round_trip: f64,
    /// Bytes per second of bulk data.
    speed: f64,
}

impl<'w> Talk<'w> {
    /// Opened by a handshake.
    pub fn open(wire: &'w mut Wire, at: f64, client: End, server: End) -> Talk<'w> {
        let mut talk = Talk::new(wire, at, client, server);
        let (hop, first) = (talk.round_trip / 2.0, talk.next);
        talk.segment(0, SYN, &[], 0);
        talk.now += hop;
        talk.next[0] = first[0].wrapping_add(1);
        talk.segment(1, SYN | ACK, &[], 0);
        talk.now += hop;
        talk.next[1] = first[1].wrapping_add(1);
        talk.segment(0, ACK, &[], 0);
        talk
    }

    /// Refused by a reset; returns when.
    pub fn refused(wire: &'w mut Wire, at: f64, client: End, server: End) -> f64 {
        let mut talk = Talk::new(wire, at, client, server);
        talk.segment(0, SYN, &[], 0);
        talk.now += talk.round_trip;
        talk.next[0] = talk.next[0].wrapping_add(1);
        talk.next[1] = 0;
        talk.segment(1, RST | ACK, &[], 0);
        talk.now
    }

    /// A SYN that nobody answers, sent so often in all, with waits that double from a second on.
    pub fn unanswered(wire: &'w mut Wire, at: f64, client: End, server: End, tries: u32) {
        let mut talk = Talk::new(wire, at, client, server);
        for number in 0..tries {
            talk.now = at + f64::from(2_u32.pow(number) - 1);
            talk.segment(0, SYN, &[], 0);
        }
    }

    fn new(wire: &'w mut Wire, at: f64, client: End, server: End) -> Talk<'w> {
        let inside = |end: End| end.0.octets()[0] == 10;
        let near = inside(client) && inside(server);
        let round_trip = if near { 0.0004 } else { wire.random.between(0.008, 0.06) };
        let speed = if near { 40e6 } else { wire.random.between(1e6, 6e6) };
        let next = [wire.random.bits() as u32, wire.random.bits() as u32];
        wire.flows += 1;
        Talk { wire, ends: [client, server], next, now: at, round_trip, speed }
    }

    /// Waits.
    pub fn pause(&mut self, seconds: f64) {
        self.now += seconds;
    }

    /// Sends so many bytes, of which `data` are the first.
    pub fn send(&mut self, side: usize, data: &[u8], length: usize) {
        let (mut left, mut number) = (length.max(data.len()), 0);
        while left > 0 {
            let size = left.min(SEGMENT);
            left -= size;
            let flags = if left == 0 { PSH | ACK } else { ACK };
            let shown = if number == 0 { data } else { &[] };
            let shown = self.shown(shown, size, number == 0);
            self.segment(side, flags, &shown, size);
            self.next[side] = self.next[side].wrapping_add(size as u32);
            number += 1;
            // Every second segment is acknowledged (RFC 9293, 3.8.6.3), and the last.
            if number % 2 == 0 || left == 0 {
                self.now += self.round_trip / 2.0 * f64::from(u8::from(left == 0));
                self.segment(1 - side, ACK, &[], 0);
            }
            self.now += size as f64 / self.speed * self.wire.random.between(0.7, 1.3);
        }
    }

    /// What is captured of a segment: what it says, then bytes as if encrypted, then nothing.
    fn shown(&mut self, data: &[u8], size: usize, first: bool) -> Vec<u8> {
        let captured = if first { data.len().max(64).min(CAPTURED[0]) } else { CAPTURED[1] };
        let mut shown: Vec<u8> = data.iter().copied().take(size).collect();
        while shown.len() < captured.min(size) {
            shown.push(self.wire.random.bits() as u8);
        }
        shown
    }

    /// A request and its answer after `think` seconds.
    pub fn ask(&mut self, request: (&[u8], usize), think: f64, answer: (&[u8], usize)) {
        self.send(0, request.0, request.1);
        self.pause(think);
        self.send(1, answer.0, answer.1);
    }

    /// Closed by the client; returns when.
    pub fn close(mut self) -> f64 {
        for (side, flags) in [(0, FIN | ACK), (1, FIN | ACK), (0, ACK)] {
            self.segment(side, flags, &[], 0);
            if flags & FIN != 0 {
                self.next[side] = self.next[side].wrapping_add(1);
            }
            self.now += self.round_trip / 2.0;
        }
        self.now
    }

    fn segment(&mut self, side: usize, flags: u8, data: &[u8], length: usize) {
        let ends = [self.ends[side], self.ends[1 - side]];
        let acknowledged = if flags & ACK != 0 { self.next[1 - side] } else { 0 };
        self.wire.tcp(self.now, ends, flags, [self.next[side], acknowledged], data, length);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::random::Random;

    #[test]
    fn a_connection_opens_carries_what_was_said_and_closes() {
        let mut wire = Wire::new(Random::new(1, "talk"));
        let (client, server) = ((Ipv4Addr::new(10, 20, 0, 11), 40_000), (Ipv4Addr::new(10, 20, 0, 4), 80));
        let mut talk = Talk::open(&mut wire, 5.0, client, server);
        talk.ask((b"GET / HTTP/1.1\r\n\r\n", 0), 0.01, (b"HTTP/1.1 200 OK\r\n\r\n", 4000));
        let end = talk.close();
        assert!(end > 5.0);
        assert!(wire.packets.is_sorted_by_key(|packet| packet.time));
        let flags: Vec<u8> = wire.packets.iter().map(|packet| packet.data[47]).collect();
        assert_eq!(flags[..3], [SYN, SYN | ACK, ACK]);
        let from_server =
            |packet: &&super::super::super::capture::Packet| packet.data[26..30] == [10, 20, 0, 4];
        let data: u32 =
            wire.packets.iter().filter(from_server).map(|packet| packet.wire.saturating_sub(60)).sum();
        // Each segment has 54 bytes of headers, and the least frame has 60.
        assert_eq!(data, 4000 - 3 * 6);
        assert_eq!(flags.iter().filter(|flags| **flags & FIN != 0).count(), 2);
    }
}
