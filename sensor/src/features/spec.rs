//! Every feature: its name, its unit, its fixed physical range and how to turn it back into the unit.
//!
//! Ranges are physics and protocol, never learned from traffic: a learned minimum or maximum is what an attacker
//! who is there from the start would set.

/// Features that are judged together: by one member of the ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// How much, how large: an autoencoder learns which belong together.
    Volume,
    /// How a connection goes: an autoencoder.
    Connection,
    /// What a flow says, of what is understood: an autoencoder.
    Content,
    /// What ordinary traffic has none of, whatever was learned: the distance from zero.
    Evidence,
    /// Surprise of who talks to whom, nats: added up.
    Rarity,
    /// How far from what was usual for the same pair, service or host at several time scales: the distance from zero.
    History,
}

/// All groups.
pub const GROUPS: [Group; 6] =
    [Group::Volume, Group::Connection, Group::Content, Group::Evidence, Group::Rarity, Group::History];

impl Group {
    /// As it stands in configuration, metrics and documents.
    pub fn name(self) -> &'static str {
        match self {
            Group::Volume => "volume",
            Group::Connection => "connection",
            Group::Content => "content",
            Group::Evidence => "evidence",
            Group::Rarity => "rarity",
            Group::History => "history",
        }
    }
}

/// How a value becomes a number between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// `value / high`.
    Linear,
    /// `ln(1 + value / knee) / ln(1 + high / knee)`: linear below the knee, logarithmic above.
    Log {
        /// Value at which the scale turns logarithmic, in the unit.
        knee: f64,
    },
}

/// A feature.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// What people read in an explanation.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Largest value told apart, in the unit; the smallest is 0.
    pub high: f64,
    /// The scale.
    pub scale: Scale,
    /// Deviations below this (on the scale of 0 to 1) are never called unusual, however steady the traffic was.
    pub least: f32,
    /// A deviation counts at most this many times what is usual: however far off a volume is, alone it is no attack.
    pub most: f32,
    /// The member that judges it.
    pub group: Group,
}

impl Feature {
    /// A value in the unit on the scale of 0 to 1, clipped.
    pub fn encode(&self, value: f64) -> f32 {
        let value = if value.is_finite() { value.clamp(0.0, self.high) } else { 0.0 };
        match self.scale {
            Scale::Linear => (value / self.high) as f32,
            Scale::Log { knee } => ((value / knee).ln_1p() / (self.high / knee).ln_1p()) as f32,
        }
    }

    /// The same in another group.
    const fn of(self, group: Group) -> Feature {
        Feature { group, ..self }
    }

    /// Back from the scale into the unit.
    pub fn decode(&self, scaled: f32) -> f64 {
        let scaled = f64::from(scaled).clamp(0.0, 1.0);
        match self.scale {
            Scale::Linear => scaled * self.high,
            Scale::Log { knee } => knee * (scaled * (self.high / knee).ln_1p()).exp_m1(),
        }
    }
}

const fn log(name: &'static str, unit: &'static str, knee: f64, high: f64, least: f32) -> Feature {
    Feature { name, unit, high, scale: Scale::Log { knee }, least, most: most(least), group: Group::Volume }
}

const fn linear(name: &'static str, unit: &'static str, high: f64, least: f32) -> Feature {
    Feature { name, unit, high, scale: Scale::Linear, least, most: most(least), group: Group::Volume }
}

/// Nats: all that is told apart is 20 of them, e to the -20th.
const fn nats(name: &'static str) -> Feature {
    linear(name, "nats", 20.0, 0.05).of(Group::Rarity)
}

/// How far from what was usual at one of the scales of [`super::damped`]: of the bytes a second, or of the bytes a packet.
const fn off(name: &'static str) -> Feature {
    log(name, "deviations", 2.0, 64.0, LOOSE).of(Group::History)
}

/// Alone, nothing that ordinary traffic shows counts for more than three times what is usual.
const fn most(least: f32) -> f32 {
    if least <= TIGHT { 40.0 } else { 3.0 }
}

/// Ordinary things vary this much from one minute to the next.
const LOOSE: f32 = 0.15;
/// What is nearly always zero, and tells when it is not.
const TIGHT: f32 = 0.04;
/// What was made to be zero in ordinary traffic.
const EVIDENCE: f32 = 0.02;

/// Features of a flow in a window, in the order of [`super::facts::FlowFacts::values`].
pub const FLOW: [Feature; 61] = [
    log("packets_out", "packets/s", 1.0, 1e6, LOOSE),
    log("packets_in", "packets/s", 1.0, 1e6, LOOSE),
    log("bytes_out", "bytes/s", 1e3, 1e9, LOOSE),
    log("bytes_in", "bytes/s", 1e3, 1e9, LOOSE),
    log("size_out", "bytes/packet", 64.0, 65_536.0, LOOSE),
    log("size_in", "bytes/packet", 64.0, 65_536.0, LOOSE),
    linear("share_out", "of bytes", 1.0, 0.3),
    linear("payload_entropy", "bits/byte", 8.0, 0.3),
    log("age", "s", 0.1, 86_400.0, 0.2).of(Group::Connection),
    linear("unanswered", "yes/no", 1.0, 0.2).of(Group::Connection),
    linear("refused", "yes/no", 1.0, 0.2).of(Group::Connection),
    linear("half_open", "yes/no", 1.0, 0.2).of(Group::Connection),
    linear("is_tcp", "yes/no", 1.0, 0.3).of(Group::Connection),
    linear("is_udp", "yes/no", 1.0, 0.3).of(Group::Connection),
    log("recent_connections", "connections", 2.0, 1e4, LOOSE).of(Group::Connection),
    log("recent_failed", "connections", 1.0, 1e4, 0.08).of(Group::Connection),
    log("recent_short", "connections", 2.0, 1e4, LOOSE).of(Group::Connection),
    log("connections_above_usual", "times", 1.0, 32.0, EVIDENCE).of(Group::Evidence),
    log("bytes_out_above_usual", "times", 4.0, 256.0, 0.1).of(Group::Evidence),
    log("beacon_to_new_service", "nats", 4.0, 40.0, 0.3).of(Group::Evidence),
    log("bytes_to_new_destination", "bytes", 1e6, 1e9, EVIDENCE).of(Group::Evidence),
    nats("new_source"),
    nats("new_destination"),
    nats("new_service"),
    nats("new_port"),
    off("pair_rate_off_10s"),
    off("pair_rate_off_1m"),
    off("pair_rate_off_10m"),
    off("pair_rate_off_1h"),
    off("pair_size_off_10s"),
    off("pair_size_off_1m"),
    off("pair_size_off_10m"),
    off("pair_size_off_1h"),
    off("service_rate_off_10s"),
    off("service_rate_off_1m"),
    off("service_rate_off_10m"),
    off("service_rate_off_1h"),
    off("service_size_off_10s"),
    off("service_size_off_1m"),
    off("service_size_off_10m"),
    off("service_size_off_1h"),
    log("dns_names_10s", "names", 5.0, 1e5, LOOSE).of(Group::Content),
    log("dns_names", "names/min", 30.0, 1e6, LOOSE).of(Group::Content),
    linear("dns_name_length", "bytes", 255.0, 0.1).of(Group::Content),
    linear("dns_name_entropy", "bits/byte", 8.0, 0.2).of(Group::Content),
    log("dns_name_bytes", "bytes/min", 512.0, 1e8, LOOSE).of(Group::Content),
    log("dns_answer_bytes", "bytes/min", 1024.0, 1e8, LOOSE).of(Group::Content),
    linear("dns_unusual_types", "of questions", 1.0, 0.3).of(Group::Content),
    linear("dns_no_such_name", "of answers", 1.0, 0.3).of(Group::Content),
    log("dns_client_names", "names/min", 100.0, 1e6, LOOSE).of(Group::Content),
    log("dns_hidden_bytes", "bytes/min", 512.0, 1e7, EVIDENCE).of(Group::Evidence),
    linear("tls_old_version", "yes/no", 1.0, 0.3).of(Group::Content),
    linear("tls_nameless", "yes/no", 1.0, 0.3).of(Group::Content),
    linear("tls_missing_on_443", "yes/no", 1.0, 0.3).of(Group::Content),
    log("http_path_length", "bytes", 64.0, 8192.0, LOOSE).of(Group::Content),
    log("http_parameters", "parameters", 4.0, 256.0, LOOSE).of(Group::Content),
    linear("http_path_entropy", "bits/byte", 8.0, 0.3).of(Group::Content),
    linear("http_odd_path", "of bytes", 1.0, 0.2).of(Group::Content),
    log("http_errors", "answers/min", 10.0, 1e6, LOOSE).of(Group::Content),
    linear("http_error_share", "of answers", 1.0, 0.3).of(Group::Content),
    log("web_attack_markers", "score", 0.5, 16.0, EVIDENCE).of(Group::Evidence),
];

/// Features of a host in a window, in the order of [`super::facts::HostFacts::values`].
pub const HOST: [Feature; 38] = [
    log("connections_out", "connections/s", 2.0, 1e5, 0.12),
    log("peers", "hosts/s", 2.0, 4e3, 0.08),
    log("ports", "ports/s", 2.0, 4e3, 0.08),
    linear("port_entropy", "bits", 5.0, 0.15),
    log("unanswered", "connections/s", 2.0, 1e5, TIGHT).of(Group::Evidence),
    log("refused", "connections/s", 2.0, 1e5, TIGHT).of(Group::Evidence),
    log("half_open", "connections/s", 2.0, 1e5, TIGHT).of(Group::Evidence),
    log("unreachable", "messages/s", 2.0, 1e4, 0.08).of(Group::Evidence),
    log("failed_targets_last_minute", "targets", 4.0, 4e3, TIGHT).of(Group::Evidence),
    log("new_services", "services/s", 2.0, 1e4, 0.08),
    log("packets_out", "packets/s", 1.0, 1e7, LOOSE),
    log("packets_in", "packets/s", 1.0, 1e7, LOOSE),
    log("bytes_out", "bytes/s", 1e3, 1e10, LOOSE),
    log("bytes_in", "bytes/s", 1e3, 1e10, LOOSE),
    linear("share_out", "of bytes", 1.0, 0.3),
    log("one_sided_out", "packets/s", 10.0, 1e7, TIGHT).of(Group::Evidence),
    log("connections_in", "connections/s", 2.0, 1e5, 0.12),
    log("sources", "hosts/s", 2.0, 4e3, 0.08),
    log("incomplete_in", "connections/s", 4.0, 1e5, TIGHT).of(Group::Evidence),
    log("refused_in", "connections/s", 4.0, 1e5, TIGHT).of(Group::Evidence),
    log("one_sided_in", "packets/s", 10.0, 1e7, TIGHT).of(Group::Evidence),
    log("recent_failed_out", "connections", 4.0, 1e5, 0.06).of(Group::Evidence),
    off("sent_rate_off_10s"),
    off("sent_rate_off_1m"),
    off("sent_rate_off_10m"),
    off("sent_rate_off_1h"),
    off("sent_size_off_10s"),
    off("sent_size_off_1m"),
    off("sent_size_off_10m"),
    off("sent_size_off_1h"),
    off("received_rate_off_10s"),
    off("received_rate_off_1m"),
    off("received_rate_off_10m"),
    off("received_rate_off_1h"),
    off("received_size_off_10s"),
    off("received_size_off_1m"),
    off("received_size_off_10m"),
    off("received_size_off_1h"),
];

/// Features of a MAC address in a window, in the order of [`super::link::LinkFacts::values`].
pub const LINK: [Feature; 23] = [
    log("frames", "frames/s", 1.0, 1.5e7, LOOSE),
    log("bytes", "bytes/s", 1e3, 1e10, LOOSE),
    log("size", "bytes/frame", 64.0, 65_536.0, LOOSE),
    log("frames_10s", "frames/s", 1.0, 1.5e7, LOOSE),
    log("frames_1m", "frames/s", 1.0, 1.5e7, LOOSE),
    log("frames_10m", "frames/s", 1.0, 1.5e7, LOOSE),
    log("stream_above_usual", "times", 1.0, 1e4, 0.08).of(Group::Evidence),
    log("size_change", "of usual size", 0.5, 1e3, 0.08).of(Group::Evidence),
    log("streams", "streams", 2.0, 1e4, LOOSE),
    log("arp_requests", "frames/s", 1.0, 1e6, LOOSE),
    log("arp_targets", "addresses/s", 2.0, 4e3, 0.08),
    log("arp_replies", "frames/s", 1.0, 1e6, LOOSE),
    log("arp_replies_unasked", "frames/s", 1.0, 1e6, 0.08).of(Group::Evidence),
    log("arp_announcements", "frames/s", 1.0, 1e6, 0.08),
    log("forged_sources", "addresses", 1.0, 4e3, 0.08).of(Group::Evidence),
    log("arp_targets_missing", "addresses/s", 2.0, 4e3, TIGHT).of(Group::Evidence),
    log("arp_targets_missing_last_minute", "addresses", 4.0, 4e3, TIGHT).of(Group::Evidence),
    log("arp_sender_mismatch", "frames/s", 1.0, 1e6, TIGHT).of(Group::Evidence),
    log("addresses_contested", "addresses", 1.0, 16.0, EVIDENCE).of(Group::Evidence),
    log("owners_robbed", "owners", 1.0, 16.0, EVIDENCE).of(Group::Evidence),
    log("contests_defended", "times", 1.0, 1e3, EVIDENCE).of(Group::Evidence),
    nats("new_mac"),
    nats("new_stream"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_survives_the_way_there_and_back() {
        for feature in FLOW.iter().chain(&HOST).chain(&LINK) {
            for part in [0.0, 0.001, 0.1, 0.5, 1.0] {
                let value = feature.high * part;
                let back = feature.decode(feature.encode(value));
                assert!(
                    (back - value).abs() <= feature.high * 1e-4 + value * 1e-3,
                    "{feature:?} {value} {back}"
                );
            }
            assert_eq!(feature.encode(f64::NAN), 0.0);
            assert_eq!(feature.encode(-1.0), 0.0);
            assert_eq!(feature.encode(f64::MAX), 1.0);
        }
    }
}
