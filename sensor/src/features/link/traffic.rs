//! Frames made by hand, for tests of facts and rules.

use super::{LinkFacts, Links, Mac};
use crate::capture::{Link, Sample};
use crate::features::FeaturesConfig;
use crate::features::rows::Window;
use crate::flow::SECOND;

pub(crate) const EVERYBODY: Mac = Mac([0xff; 6]);
/// When a test begins, nanoseconds.
pub(crate) const EPOCH: u64 = 1_700_000_000 * SECOND;

pub(crate) fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

pub(crate) fn lan(last: u8) -> [u8; 4] {
    [10, 0, 0, last]
}

/// A segment with somebody who listens.
pub(crate) struct Segment {
    pub(crate) links: Links,
    pub(crate) now: u64,
    pub(crate) vlan: Option<u16>,
    start: u64,
}

impl Segment {
    pub(crate) fn new() -> Segment {
        let links = Links::new(&FeaturesConfig::default());
        Segment { links, now: EPOCH, vlan: None, start: EPOCH }
    }

    /// A frame that stands for `weight`, as it comes from the capture.
    pub(crate) fn frame(
        &mut self,
        source: Mac,
        destination: Mac,
        kind: u16,
        payload: &[u8],
        weight: u32,
    ) -> bool {
        let mut frame = [destination.0, source.0].concat();
        if let Some(vlan) = self.vlan {
            frame.extend([0x81, 0]);
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend(kind.to_be_bytes());
        frame.extend(payload);
        let wire_len = frame.len() as u32;
        let sample = Sample { time: self.now, wire_len, weight, link: Link::Ethernet, frame: frame.into() };
        match sample.link.parse(&sample.frame) {
            Ok(_) => {
                self.links.note_ip(&sample);
                true
            }
            Err(_) => self.links.note(&sample),
        }
    }

    pub(crate) fn arp(
        &mut self,
        (source, destination): (Mac, Mac),
        operation: u8,
        sender: (Mac, [u8; 4]),
        target: (Mac, [u8; 4]),
    ) {
        let mut payload = vec![0, 1, 8, 0, 6, 4, 0, operation];
        payload.extend(sender.0.0);
        payload.extend(sender.1);
        payload.extend(target.0.0);
        payload.extend(target.1);
        payload.extend([0; 18]);
        assert!(self.frame(source, destination, 0x0806, &payload, 1));
    }

    pub(crate) fn ask(&mut self, host: (Mac, [u8; 4]), wanted: [u8; 4]) {
        self.arp((host.0, EVERYBODY), 1, host, (Mac::default(), wanted));
    }

    pub(crate) fn reply(&mut self, claim: (Mac, [u8; 4]), to: (Mac, [u8; 4])) {
        self.arp((claim.0, to.0), 2, claim, to);
    }

    pub(crate) fn announce(&mut self, host: (Mac, [u8; 4])) {
        self.arp((host.0, EVERYBODY), 1, host, (Mac::default(), host.1));
    }

    /// One asks, the other answers.
    pub(crate) fn meet(&mut self, one: (Mac, [u8; 4]), other: (Mac, [u8; 4])) {
        self.ask(one, other.1);
        self.reply(other, one);
    }

    /// An IPv4 packet without payload.
    pub(crate) fn packet(&mut self, source: Mac, from: [u8; 4], destination: Mac, to: [u8; 4]) {
        let mut payload = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        payload.extend(from);
        payload.extend(to);
        payload.extend([0, 1, 0, 2, 0, 8, 0, 0]);
        assert!(self.frame(source, destination, 0x0800, &payload, 1));
    }

    /// Time goes by within the window.
    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1_000_000;
    }

    /// A second is over.
    pub(crate) fn close(&mut self) -> Vec<LinkFacts> {
        self.now = self.now.max((self.start / SECOND + 1) * SECOND);
        let mut rows = Vec::new();
        self.links.close(Window { start: self.start, end: self.now }, &mut rows);
        self.start = self.now;
        rows
    }

    /// Seconds without a frame.
    pub(crate) fn quiet(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += SECOND;
            assert!(self.close().is_empty());
        }
    }
}
