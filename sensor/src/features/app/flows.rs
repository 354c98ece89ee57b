//! From samples to what is known of flows, pairs and domains.

use super::bytes::{Text, hash};
use super::facts::{AppFacts, HttpFacts, Protocol, TlsFacts};
use super::http::{self, Request};
use super::listed::{Listed, NameHit};
use super::markers::{self, Marks};
use super::names::{Names, Place};
use super::pairs::Pairs;
use super::tls::{self, First};
use super::{dns, domain};
use crate::features::config::FeaturesConfig;
use crate::features::memory::{PairKey, ServiceKey};
use crate::flow::SECOND;
use crate::flow::slab::Slab;
use crate::intel::Set;
use sensor_ebpf::flow::{FlowKey, proto, tcp};
use sensor_ebpf::parse::Packet;
use std::sync::Arc;

/// ClientHellos that wait for their second part.
const PARTS: usize = 256;
/// Of these entries, the one silent for longest makes room.
const AMONG: usize = 8;
/// A request counts for windows that end within this time after it: its packets may be counted a drain later.
const RECENT: u64 = 3 * SECOND;
/// What was silent for so long is forgotten.
const SILENT: u64 = 1800 * SECOND;
/// Entries looked at per window for that.
const SWEEP: usize = 4096;
/// Shorter payloads of TCP may be padding of the frame.
const PADDING: usize = 6;

/// What is known of a flow.
#[derive(Clone, Copy, Default)]
struct Talk {
    last: u64,
    facts: AppFacts,
    /// Where its domain is remembered.
    place: Option<Place>,
    /// Latest request, and the latest that raised the marks.
    requested: u64,
    marked: u64,
    /// The pair it belongs to.
    pair: Option<PairKey>,
    /// The client's packets go from endpoint `b` to endpoint `a`.
    reverse: bool,
}

/// The beginning of a ClientHello.
struct Part {
    last: u64,
    bytes: Vec<u8>,
}

/// Counts, for the tables' metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct AppCounts {
    /// Flows held of which samples said something.
    pub flows: usize,
    /// Domains held, with one entry for each client.
    pub domains: usize,
    /// Entries of flows, pairs and domains that made room before their time.
    pub overflow: u64,
}

/// See the module.
pub struct App {
    talks: Slab<FlowKey, Talk>,
    parts: Slab<FlowKey, Part>,
    names: Names,
    pairs: Pairs,
    listed: Listed,
    overflow: u64,
}

/// A sample of which the headers were read.
pub(super) struct Seen<'a> {
    packet: &'a Packet,
    pub(super) payload: &'a [u8],
    pub(super) now: u64,
    weight: u32,
}

impl Seen<'_> {
    pub(super) fn key(&self) -> FlowKey {
        self.packet.key
    }

    /// Address and port of the sender and of the receiver.
    pub(super) fn sides(&self) -> [([u8; 16], u16); 2] {
        let key = &self.packet.key;
        let (a, b) = ((key.addr_a, key.port_a), (key.addr_b, key.port_b));
        if self.packet.reverse { [b, a] } else { [a, b] }
    }

    /// The pair, where the client sends this, or where the server does.
    fn pair(&self, from_client: bool) -> PairKey {
        let [from, to] = self.sides();
        let (client, server) = if from_client { (from, to) } else { (to, from) };
        PairKey { src: client.0, service: ServiceKey { dst: server.0, port: server.1, proto: proto::TCP } }
    }
}

impl App {
    /// Knows nothing yet.
    pub fn new(config: &FeaturesConfig) -> App {
        App {
            talks: Slab::new(config.max_app_flows),
            parts: Slab::new(PARTS),
            names: Names::new(config.max_domains, config.seed),
            pairs: Pairs::new(config.max_app_flows),
            listed: Listed::default(),
            overflow: 0,
        }
    }

    /// What names and clients are looked up in from now on.
    pub fn lists(&mut self, set: Arc<Set>) {
        self.listed.set = set;
    }

    /// Listed names and clients since the last call.
    pub fn take_hits(&mut self) -> Vec<NameHit> {
        std::mem::take(&mut self.listed.hits)
    }

    /// How full the tables are.
    pub fn counts(&self) -> AppCounts {
        AppCounts {
            flows: self.talks.len(),
            domains: self.names.len(),
            overflow: self.overflow + self.names.overflow + self.pairs.overflow + self.listed.overflow,
        }
    }

    /// Takes a sample seen at `now` that stands for `weight` packets.
    pub fn sample(&mut self, packet: &Packet, payload: &[u8], now: u64, weight: u32) {
        if packet.later_fragment {
            return;
        }
        let seen = Seen { packet, payload, now, weight };
        let [(_, from), (_, to)] = seen.sides();
        match packet.key.proto {
            proto::UDP if from == 53 || to == 53 => self.datagram(&seen),
            proto::TCP if from == 53 || to == 53 => self.dns_by_tcp(&seen),
            proto::TCP if packet.tcp_flags & tcp::SYN != 0 => self.begin(&seen),
            proto::TCP if payload.len() > PADDING => self.stream(&seen),
            _ => (),
        }
    }

    /// The ports may have been used before.
    fn begin(&mut self, seen: &Seen<'_>) {
        if seen.packet.tcp_flags & tcp::ACK == 0
            && let Some(slot) = self.talks.find(&seen.key())
        {
            self.talks.remove(slot);
        }
    }

    fn talk(&mut self, seen: &Seen<'_>) -> Option<&mut Talk> {
        if self.talks.is_full() && self.talks.find(&seen.key()).is_none() {
            self.overflow += u64::from(self.talks.make_room(AMONG, |talk| talk.last as f64));
        }
        let slot = self.talks.find_or_insert(seen.key(), u32::MAX, Talk::default)?;
        let talk = self.talks.get_mut(slot)?;
        talk.last = talk.last.max(seen.now);
        Some(talk)
    }

    fn datagram(&mut self, seen: &Seen<'_>) {
        match dns::read(seen.payload) {
            Ok(message) => self.dns(seen, &message),
            Err(dns::Unread::CutOff) => (),
            Err(dns::Unread::NotDns) => {
                let [from, to] = seen.sides();
                let client = if from.1 == 53 { to.0 } else { from.0 };
                let place = self.names.add_foreign(client, seen.payload.len(), seen.now, seen.weight);
                self.note_domain(seen, place, b"");
            }
        }
    }

    /// A message behind its length; what does not begin with one is the rest of an earlier segment's.
    fn dns_by_tcp(&mut self, seen: &Seen<'_>) {
        let Some((length, message)) = seen.payload.split_first_chunk::<2>() else { return };
        if usize::from(u16::from_be_bytes(*length)) >= message.len().min(12)
            && let Ok(message) = dns::read(message)
        {
            self.dns(seen, &message);
        }
    }

    fn dns(&mut self, seen: &Seen<'_>, message: &dns::Message) {
        let [from, to] = seen.sides();
        let client = if message.response { to.0 } else { from.0 };
        self.listed.name(seen, !message.response, message.name.as_bytes());
        let parts = domain::parts(message.name.as_bytes());
        let place = self.names.add(client, message, &parts, seen.now, seen.weight);
        self.note_domain(seen, place, parts.registered);
    }

    /// Of the domains that a flow asks for, the one that most may be hidden in is looked at.
    fn note_domain(&mut self, seen: &Seen<'_>, place: Option<Place>, registered: &[u8]) {
        let Some(place) = place else { return };
        let held =
            self.talks.find(&seen.key()).and_then(|slot| self.talks.get(slot)).and_then(|talk| talk.place);
        let hidden = |place: &Place| self.names.facts(place, seen.now).hidden;
        if held.is_some_and(|held| held != place && hidden(&held) > hidden(&place)) {
            return;
        }
        if let Some(talk) = self.talk(seen) {
            talk.facts.protocol = Protocol::Dns;
            talk.facts.text = Text::of(registered);
            talk.place = Some(place);
        }
    }

    fn stream(&mut self, seen: &Seen<'_>) {
        let part = if self.parts.is_empty() { None } else { self.parts.find(&seen.key()) };
        if let Some(whole) = part.and_then(|slot| self.join(seen, slot)) {
            return self.tls(seen, tls::first(&whole));
        }
        match tls::first(seen.payload) {
            First::Other => self.text(seen),
            first => self.tls(seen, first),
        }
    }

    /// The second part of a ClientHello, behind its first one.
    fn join(&mut self, seen: &Seen<'_>, slot: u32) -> Option<Vec<u8>> {
        let known = self.talks.find(&seen.key()).and_then(|slot| self.talks.get(slot));
        if known.is_some_and(|talk| talk.reverse != seen.packet.reverse) {
            return None;
        }
        self.parts.remove(slot).map(|(_, part)| [&part.bytes, seen.payload].concat())
    }

    fn tls(&mut self, seen: &Seen<'_>, first: First) {
        match first {
            First::Client(hello) => {
                self.listed.ja4(seen, &hello.ja4);
                if let Some(host) = &hello.host {
                    self.listed.name(seen, true, host.as_bytes());
                }
                let Some(talk) = self.talk(seen) else { return };
                let name = hello.server_name;
                talk.reverse = seen.packet.reverse;
                talk.facts = AppFacts {
                    protocol: Protocol::Tls,
                    text: name.unwrap_or_default(),
                    ja4: Some(hash(0, hello.ja4.as_bytes())),
                    sni_hash: name.map(|name| hash(0, name.as_bytes())),
                    tls: TlsFacts { version: hello.version, nameless: name.is_none(), no_hello: false },
                    ..AppFacts::default()
                };
            }
            First::PartOfClient(length) => {
                if let Some(talk) = self.talk(seen) {
                    talk.facts.protocol = Protocol::Tls;
                    talk.facts.tls.no_hello = false;
                    talk.reverse = seen.packet.reverse;
                    self.keep_part(seen, length);
                }
            }
            First::Server(version) => {
                if let Some(talk) = self.talk(seen) {
                    talk.facts.protocol = Protocol::Tls;
                    talk.facts.tls.version = version;
                }
            }
            First::Record | First::Other => (),
        }
    }

    fn keep_part(&mut self, seen: &Seen<'_>, length: usize) {
        // A third part would be a hello of more than two segments: nobody's.
        if length > 2 * seen.payload.len() + 512 {
            return;
        }
        if self.parts.is_full() {
            self.overflow += u64::from(self.parts.make_room(AMONG, |part| part.last as f64));
        }
        let part = || Part { last: seen.now, bytes: seen.payload.to_vec() };
        self.parts.find_or_insert(seen.key(), u32::MAX, part);
    }

    fn text(&mut self, seen: &Seen<'_>) {
        if let Some(request) = http::request(seen.payload) {
            return self.request(seen, &request);
        }
        if let Some(status) = http::status(seen.payload) {
            return self.pairs.response(seen.pair(false), status, seen.now, seen.weight);
        }
        match self.talks.find(&seen.key()).and_then(|slot| self.talks.get_mut(slot)) {
            Some(talk) => {
                if talk.facts.protocol == Protocol::Http && talk.reverse == seen.packet.reverse {
                    let marks = markers::marks(seen.payload, markers::Place::Body);
                    talk.mark(marks, None, true, seen.now);
                }
            }
            None => {
                let [_, (_, to)] = seen.sides();
                if to == 443
                    && let Some(talk) = self.talk(seen)
                {
                    talk.facts.tls.no_hello = true;
                }
            }
        }
    }

    fn request(&mut self, seen: &Seen<'_>, request: &Request<'_>) {
        let head = markers::marks(request.target, markers::Place::Head);
        let marks = head
            .with(markers::marks(request.headers, markers::Place::Head))
            .with(markers::marks(request.body, markers::Place::Body));
        self.pairs.request(seen.pair(true), seen.now, seen.weight);
        if let Some(host) = http::host(request.headers) {
            self.listed.name(seen, true, host);
        }
        let shape = http::shape(request.target);
        let agent = http::agent(request.headers);
        let [_, (_, to)] = seen.sides();
        let Some(talk) = self.talk(seen) else { return };
        talk.reverse = seen.packet.reverse;
        talk.pair = Some(seen.pair(true));
        talk.facts.protocol = Protocol::Http;
        talk.facts.tls.no_hello |= to == 443;
        talk.facts.agent_hash = agent.or(talk.facts.agent_hash);
        let unusual_method = ![&b"GET"[..], b"HEAD", b"POST", b"OPTIONS"].contains(&request.method);
        talk.mark(marks, Some(request.target), head.score < marks.score / 2.0, seen.now);
        talk.facts.http = HttpFacts {
            path_length: shape.length,
            depth: shape.depth,
            parameters: shape.parameters,
            entropy: shape.entropy,
            odd: shape.odd,
            unusual_method,
            ..talk.facts.http
        };
    }

    /// What the samples of a flow say, as of `now`.
    pub fn facts(&self, key: &FlowKey, now: u64) -> AppFacts {
        if self.talks.is_empty() || !matches!(key.proto, proto::TCP | proto::UDP) {
            return AppFacts::default();
        }
        let Some(talk) = self.talks.find(key).and_then(|slot| self.talks.get(slot)) else {
            return AppFacts::default();
        };
        let mut facts = talk.facts;
        if let Some(place) = &talk.place {
            facts.dns = self.names.facts(place, now);
        }
        if now.saturating_sub(talk.requested) > RECENT {
            facts.http = HttpFacts::default();
        } else if now.saturating_sub(talk.marked) > RECENT {
            (facts.http.markers, facts.http.marker) = (0.0, None);
        }
        if let Some(pair) = &talk.pair {
            self.pairs.tell(pair, now, &mut facts.http);
        }
        facts
    }

    /// Forgets a bounded number of what was silent for long.
    pub fn forget(&mut self, now: u64) {
        self.talks.sweep(SWEEP, |_, talk| now.saturating_sub(talk.last) > SILENT);
        self.parts.sweep(PARTS, |_, part| now.saturating_sub(part.last) > RECENT);
        self.names.forget(SWEEP, now, SILENT);
        self.pairs.forget(SWEEP, now, SILENT);
    }
}

impl Talk {
    /// Takes the marks of a request, or of more of its body: those of the most telling request of the last seconds
    /// stand, and so does its target as the text.
    fn mark(&mut self, marks: Marks, target: Option<&[u8]>, beside: bool, now: u64) {
        let http = &mut self.facts.http;
        if now.saturating_sub(self.marked) > RECENT {
            (http.markers, http.marker) = (0.0, None);
        }
        self.requested = self.requested.max(now);
        if marks.score > http.markers {
            (http.markers, http.marker, http.beside) = (marks.score, marks.kind, beside);
            self.marked = self.requested;
        } else if http.marker.is_some() {
            return;
        }
        if let Some(target) = target {
            self.facts.text = Text::of(target);
        }
    }
}
