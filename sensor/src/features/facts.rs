//! The plain facts of a row, in their units: what the rules read, and what the features are made of.

use super::app::AppFacts;
use super::damped::Deviations;
use super::logins::Logins;
use super::rarity::Rarity;
use super::spec;
use super::walk::Scanning;
use crate::flow::table::Carried;
use sensor_ebpf::flow::{FlowKey, proto};

/// What became of a connection that was tried in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No connection was tried, or it is too early to tell.
    None,
    /// The handshake completed.
    Completed,
    /// Answered with a reset.
    Refused,
    /// Answered, and the answer was not acknowledged.
    HalfOpen,
    /// Not answered.
    Unanswered,
}

/// What is remembered of a pair (source, destination, service), as of the window's end. Recent counts fade with
/// `features.memory`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairFacts {
    /// Connections that completed a handshake.
    pub connections: f64,
    /// Connections that failed.
    pub failed: f64,
    /// Connections that were closed within seconds.
    pub short: f64,
    /// Bytes from the source.
    pub bytes_out: f64,
    /// Bytes to the source.
    pub bytes_in: f64,
    /// Gaps between contacts.
    pub gaps: u32,
    /// Mean gap, seconds.
    pub gap: f64,
    /// Deviation of the gaps over their mean.
    pub gap_variation: f64,
    /// Deviation of the bytes sent per contact over their mean.
    pub contact_variation: f64,
    /// Mean bytes of a short connection, both directions.
    pub short_size: f64,
    /// Their deviation over their mean.
    pub short_variation: f64,
    /// Sessions that were no more than a login.
    pub logins: Logins,
    /// The source was not seen using this service in the warm-up, nor for long since.
    pub new_pair: bool,
    /// Nobody was.
    pub new_service: bool,
    /// The destination was not seen at all.
    pub new_host: bool,
    /// Recent connections over the most that any source usually makes to this service.
    pub connections_surge: f64,
    /// The same over what may have become usual since the warm-up, which is bounded: a rule must not be talked round.
    pub trusted_surge: f64,
    /// The service was first seen after the warm-up, however familiar it is by now.
    pub late_service: bool,
    /// Recent bytes out over the most that any source usually sends to this service.
    pub bytes_surge: f64,
    /// How surprising it is that these two talk; see [`super::rarity`].
    pub rarity: Rarity,
    /// Of the pair's window from what was usual for it.
    pub deviations: Deviations,
    /// Of the service's window, over all sources.
    pub service_deviations: Deviations,
}

impl PairFacts {
    /// How new the destination is: 1 to everybody, a hundredth to this source only.
    pub fn newness(&self) -> f64 {
        match (self.new_host, self.new_pair) {
            (true, _) => 1.0,
            (false, true) => 0.01,
            (false, false) => 0.0,
        }
    }

    /// How surprising the regularity of the contacts is, nats: each further gap equal to the others within a
    /// fraction has about that fraction as its chance. Contacts less than half a second apart are one burst. Somebody who
    /// types makes hundreds of gaps of any length: beyond [`REGULAR`] their number says nothing.
    pub fn beacon(&self) -> f64 {
        if self.gaps < 2 || self.gap < 0.5 || self.gap_variation > REGULAR {
            return 0.0;
        }
        let variation = self.gap_variation.max(0.01);
        (f64::from(self.gaps) * -variation.ln()).min(40.0)
    }
}

/// Gaps vary by this part of their mean at most, or they are no beacon's: that of a uniform jitter of 70 % each way (the
/// deviation of such a jitter is its width over the root of three).
const REGULAR: f64 = 0.4;

/// A flow in a window.
#[derive(Clone, Debug)]
pub struct FlowFacts {
    /// The flow.
    pub key: FlowKey,
    /// The initiator.
    pub src: [u8; 16],
    /// Its port.
    pub src_port: u16,
    /// The other side.
    pub dst: [u8; 16],
    /// Its port.
    pub dst_port: u16,
    /// First packet of the flow.
    pub start: u64,
    /// Latest packet.
    pub last: u64,
    /// Length of the window, seconds, 1 at least.
    pub seconds: f64,
    /// In the window.
    pub window: Carried,
    /// Since the flow began.
    pub total: Carried,
    /// What became of the connection.
    pub outcome: Outcome,
    /// It was not answered yet, and its service answers: the answer may be under way.
    pub awaited: bool,
    /// Entropy of sampled payloads, bits per byte.
    pub entropy: Option<f32>,
    /// The pair.
    pub pair: PairFacts,
    /// What its samples say.
    pub app: AppFacts,
}

impl FlowFacts {
    /// Regularity of the contacts with a service that is new here; see [`PairFacts::beacon`]. Datagrams that nobody
    /// answers are no conversation: name broadcasts and syslog are as regular as a beacon.
    pub fn beacon(&self) -> f64 {
        let answered = self.key.proto == proto::TCP || self.total.packets[1] > 0;
        if self.pair.new_service && answered { self.pair.beacon() } else { 0.0 }
    }

    /// Packets in the window that answer what was never asked: of a reflector, or of somebody who is attacked under the
    /// initiator's address. By TCP a SYN with ACK shows it; of a conversation that was joined in its middle nothing does.
    pub fn unasked(&self) -> u64 {
        let shown = self.key.proto != proto::TCP || self.total.flags[1].syn > 0;
        if self.total.packets[0] == 0 && shown { self.window.packets[1] } else { 0 }
    }

    /// The features, in their units, in the order of [`spec::FLOW`].
    pub fn values(&self) -> [f64; spec::FLOW.len()] {
        let yes = |condition: bool| f64::from(u8::from(condition));
        let [out, back] = self.window.packets.map(|n| n as f64);
        let [bytes_out, bytes_in] = self.window.bytes.map(|n| n as f64);
        let (pair, off) = (&self.pair, f64::from);
        let traffic = [
            out / self.seconds,
            back / self.seconds,
            bytes_out / self.seconds,
            bytes_in / self.seconds,
            bytes_out / out.max(1.0),
            bytes_in / back.max(1.0),
            bytes_out / (bytes_out + bytes_in).max(1.0),
            f64::from(self.entropy.unwrap_or(4.0)),
            self.last.saturating_sub(self.start) as f64 / 1e9,
            yes(self.outcome == Outcome::Unanswered),
            yes(self.outcome == Outcome::Refused),
            yes(self.outcome == Outcome::HalfOpen),
            yes(self.key.proto == proto::TCP),
            yes(self.key.proto == proto::UDP),
            pair.connections,
            pair.failed,
            pair.short,
            (pair.connections_surge - 1.0).max(0.0),
            (pair.bytes_surge - 1.0).max(0.0),
            self.beacon(),
            pair.bytes_out * pair.newness(),
            pair.rarity.source,
            pair.rarity.destination,
            pair.rarity.service,
            pair.rarity.port,
            off(pair.deviations.rate[0]),
            off(pair.deviations.rate[1]),
            off(pair.deviations.rate[2]),
            off(pair.deviations.rate[3]),
            off(pair.deviations.size[0]),
            off(pair.deviations.size[1]),
            off(pair.deviations.size[2]),
            off(pair.deviations.size[3]),
            off(pair.service_deviations.rate[0]),
            off(pair.service_deviations.rate[1]),
            off(pair.service_deviations.rate[2]),
            off(pair.service_deviations.rate[3]),
            off(pair.service_deviations.size[0]),
            off(pair.service_deviations.size[1]),
            off(pair.service_deviations.size[2]),
            off(pair.service_deviations.size[3]),
        ];
        let mut values = [0.0; spec::FLOW.len()];
        let (first, last) = values.split_at_mut(traffic.len());
        first.copy_from_slice(&traffic);
        last.copy_from_slice(&self.app.values());
        values
    }
}

/// A host in a window. Rates and counts are of the window unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The host.
    pub address: [u8; 16],
    /// Length of the window, seconds, 1 at least.
    pub seconds: f64,
    /// First and latest packet of the flows that the host took part in.
    pub seen: [u64; 2],
    /// Packets sent and received.
    pub packets: [u64; 2],
    /// Bytes sent and received.
    pub bytes: [u64; 2],
    /// Flows it began.
    pub started: u64,
    /// Handshakes it completed.
    pub completed: u64,
    /// Connections it tried that were refused.
    pub refused: u64,
    /// Connections whose answer it did not acknowledge.
    pub half_open: u64,
    /// Connections that were not answered.
    pub unanswered: u64,
    /// Unreachable messages it received.
    pub unreachable: u64,
    /// Packets it sent into flows that were never answered.
    pub one_sided_out: u64,
    /// Services it used for the first time.
    pub new_services: u64,
    /// Distinct hosts it began flows to.
    pub peers: f64,
    /// Distinct ports it began flows to.
    pub ports: f64,
    /// Entropy of those ports over 32 buckets, bits.
    pub port_entropy: f64,
    /// Distinct (host, port) it failed to reach in the last half to whole minute.
    pub failed_targets: f64,
    /// Failed connections it tried, fading.
    pub recent_failed: f64,
    /// The host that most of what failed went to, if there is one.
    pub target: Option<[u8; 16]>,
    /// The port that most of what failed went to, if there is one.
    pub target_port: Option<u16>,
    /// Distinct hosts and distinct ports of what failed.
    pub failing_peers: f64,
    /// See `failing_peers`.
    pub tried_ports: f64,
    /// Protocol of most of what failed.
    pub target_proto: u8,
    /// Flows that others began to it.
    pub incoming: u64,
    /// Of these, those not answered or not completed.
    pub incomplete_in: u64,
    /// Of these, those it refused.
    pub refused_in: u64,
    /// Packets it received in flows that it never answered.
    pub one_sided_in: u64,
    /// Distinct hosts that began flows to it.
    pub sources: f64,
    /// Distinct hosts of `incomplete_in` and `one_sided_in`.
    pub failing_sources: f64,
    /// Distinct ports of `incomplete_in`, `refused_in` and `one_sided_in`.
    pub failing_ports: f64,
    /// Who began most of what failed, if there is such a host.
    pub source: Option<[u8; 16]>,
    /// The port most of what failed went to, if there is one.
    pub port: Option<u16>,
    /// Protocol of most of what failed towards it.
    pub port_proto: u8,
    /// Packets it received as answers to what it never asked, and distinct hosts they are from.
    pub unasked_in: u64,
    /// See `unasked_in`.
    pub unasked_sources: f64,
    /// Hosts inside on which it began to use services for administration, in half an hour, and on how many it did before.
    /// See [`super::moves`].
    pub moves: [f64; 2],
    /// One of them was in this window.
    pub moved: bool,
    /// What its first contacts show, in all the time before.
    pub scanning: Scanning,
    /// Packets it received that lead nowhere, of who never used the service, and for how many seconds there have been many.
    /// See [`super::pressure`].
    pub strange_in: u64,
    /// See `strange_in`.
    pub pressed: f64,
    /// Of what it sent and of what it received, from what was usual for it.
    pub deviations: [Deviations; 2],
}

impl HostFacts {
    /// Connections it tried that failed in one way or another.
    pub fn failed(&self) -> u64 {
        self.refused + self.half_open + self.unanswered
    }

    /// The features, in their units, in the order of [`spec::HOST`].
    pub fn values(&self) -> [f64; spec::HOST.len()] {
        let rate = |count: u64| count as f64 / self.seconds;
        let [sent, received] = self.bytes.map(|n| n as f64);
        let ([sent_off, received_off], off) = (&self.deviations, f64::from);
        // What failed a while ago is no evidence in a window in which nothing does.
        let still = if self.failed() + self.one_sided_out > 0 { 1.0 } else { 0.0 };
        [
            rate(self.started),
            self.peers / self.seconds,
            self.ports / self.seconds,
            self.port_entropy,
            rate(self.unanswered),
            rate(self.refused),
            rate(self.half_open),
            rate(self.unreachable),
            self.failed_targets * still,
            rate(self.new_services),
            rate(self.packets[0]),
            rate(self.packets[1]),
            rate(self.bytes[0]),
            rate(self.bytes[1]),
            sent / (sent + received).max(1.0),
            rate(self.one_sided_out),
            rate(self.incoming),
            self.sources / self.seconds,
            rate(self.incomplete_in),
            rate(self.refused_in),
            rate(self.one_sided_in),
            self.recent_failed * still,
            off(sent_off.rate[0]),
            off(sent_off.rate[1]),
            off(sent_off.rate[2]),
            off(sent_off.rate[3]),
            off(sent_off.size[0]),
            off(sent_off.size[1]),
            off(sent_off.size[2]),
            off(sent_off.size[3]),
            off(received_off.rate[0]),
            off(received_off.rate[1]),
            off(received_off.rate[2]),
            off(received_off.rate[3]),
            off(received_off.size[0]),
            off(received_off.size[1]),
            off(received_off.size[2]),
            off(received_off.size[3]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_timer_is_a_beacon_and_somebody_who_types_is_none() {
        let contacts =
            |gaps, gap, gap_variation| PairFacts { gaps, gap, gap_variation, ..PairFacts::default() };
        assert!(contacts(9, 60.0, 0.02).beacon() > 30.0);
        assert!(contacts(9, 60.0, 0.29).beacon() > 9.0, "half of the interval each way");
        assert_eq!(contacts(50, 1.7, 0.57).beacon(), 0.0, "an evening at a shell");
        assert_eq!(contacts(50, 0.2, 0.01).beacon(), 0.0, "one burst");
    }
}
