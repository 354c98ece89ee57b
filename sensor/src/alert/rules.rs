//! Which type of threat the facts of a row show. Rules read physical facts only, and say what they saw.

use super::ThreatType;
use super::app_rules::judge_app;
use super::config::AlertConfig;
use crate::features::facts::{FlowFacts, HostFacts};
use crate::flow::{ip, is_group};
use sensor_ebpf::flow::proto;

/// What a rule saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The type.
    pub kind: ThreatType,
    /// Who does it; `None` when there are many.
    pub source: Option<[u8; 16]>,
    /// To whom; `None` when there are many.
    pub destination: Option<[u8; 16]>,
    /// The service, 0 when there are many or none.
    pub port: u16,
    /// IP protocol number.
    pub proto: u8,
    /// What was seen over what the rule asks for, 1 at least.
    pub strength: f64,
    /// One or two sentences.
    pub narrative: String,
}

/// The type that a flow's row shows, if it shows one.
pub fn judge_flow(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    judge_app(facts, config)
        .or_else(|| exfiltration(facts, config))
        .or_else(|| brute_force(facts, config))
        .or_else(|| guessing(facts, config))
        .or_else(|| bot(facts, config))
}

/// The type that a host's row shows, if it shows one: as a target first, for a flood's sources may be invented.
pub fn judge_host(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    flood_towards(facts, config)
        .or_else(|| reflection(facts, config))
        .or_else(|| scan_towards(facts, config))
        .or_else(|| flood_from(facts, config))
        .or_else(|| scan_from(facts, config))
        .or_else(|| scan_at_leisure(facts, config))
        .or_else(|| lateral(facts, config))
}

fn flow_verdict(facts: &FlowFacts, kind: ThreatType, strength: f64, narrative: String) -> Verdict {
    Verdict {
        kind,
        source: Some(facts.src),
        destination: Some(facts.dst),
        port: facts.dst_port,
        proto: facts.key.proto,
        strength,
        narrative,
    }
}

/// How new a service is of which there was nothing in the warm-up, and which became familiar since.
const PREPARED: f64 = 0.25;

/// Far more leaves than comes back, to where this host never sent anything.
fn exfiltration(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    let pair = &facts.pair;
    // A host of this network that merely is new to the sender may be a file server: it takes far more.
    let surge = pair.bytes_surge >= 10.0;
    // Time makes a place familiar, not a place for any amount: small uploads for a month may prepare for a large one.
    let prepared = pair.late_service && surge;
    let newness = pair.newness().max(if prepared { PREPARED } else { 0.0 });
    let asked = config.exfiltration_bytes as f64 / newness.max(0.01);
    let unusual = prepared || pair.new_pair && (pair.new_host || surge);
    let outgoing = pair.bytes_out >= 5.0 * pair.bytes_in && facts.total.packets[1] > 0;
    (unusual && outgoing && pair.bytes_out >= asked).then(|| {
        let narrative = format!(
            "{} sent {:.1} MB within about 10 s to {}, a destination {}, and got {:.2} MB back.",
            ip(&facts.src),
            pair.bytes_out / 1e6,
            ip(&facts.dst),
            if prepared && !pair.new_pair {
                "to which it never sent nearly as much"
            } else {
                "it never used before"
            },
            pair.bytes_in / 1e6,
        );
        flow_verdict(facts, ThreatType::Exfiltration, pair.bytes_out / asked, narrative)
    })
}

/// Many short, similar connections to one service, far more than any source usually makes.
fn brute_force(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    let pair = &facts.pair;
    let asked = config.brute_force_logins as f64;
    let alike = pair.short_variation <= 0.8 && pair.short_size <= config.brute_force_bytes as f64;
    let unusual = pair.trusted_surge >= 2.5 && pair.short >= pair.connections / 2.0;
    (pair.short >= asked && alike && unusual).then(|| {
        let narrative = format!(
            "{} made {:.0} short connections of about {:.1} KB each to port {} of {} within about 10 s, {:.0} times \
             the most that is usual there.",
            ip(&facts.src),
            pair.connections,
            pair.short_size / 1e3,
            facts.dst_port,
            ip(&facts.dst),
            pair.trusted_surge,
        );
        flow_verdict(facts, ThreatType::BruteForce, pair.short / asked, narrative)
    })
}

/// Sizes of sessions in which passwords are guessed differ by the number of passwords.
const GUESSES_VARY: f64 = 0.25;

/// Passwords guessed at leisure: one small session after the other, all alike, with a service where people log in and that
/// this source did not use before. What does so for a living, such as a script, did it in the warm-up as well.
fn guessing(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    let (pair, logins) = (&facts.pair, &facts.pair.logins);
    let asked = config.brute_force_guesses as f64;
    (pair.new_pair && logins.recent >= asked && logins.variation <= GUESSES_VARY).then(|| {
        let narrative = format!(
            "{} opened {} sessions with port {} of {} within minutes, a service that it did not use before. Each ended after \
             about {:.1} KB, enough for a refused login and for little else.",
            ip(&facts.src),
            logins.count,
            facts.dst_port,
            ip(&facts.dst),
            logins.size / 1e3,
        );
        flow_verdict(facts, ThreatType::BruteForce, logins.recent / asked, narrative)
    })
}

/// Contacts as regular as clockwork to a service that nobody used before.
fn bot(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    let pair = &facts.pair;
    let evidence = facts.beacon();
    let regular = pair.gaps >= config.beacon_gaps && evidence >= config.beacon_evidence;
    // Answers that nobody asked for are no calls, however regular a reflector repeats them.
    let calls = facts.total.packets[0] > 0 && !is_group(&facts.dst);
    let service = calls && matches!(facts.key.proto, proto::TCP | proto::UDP | proto::SCTP);
    (service && regular && pair.contact_variation <= 0.8).then(|| {
        let narrative = format!(
            "{} calls port {} of {}, which nobody here used before, every {:.2} s within {:.0} %: {} times so far.",
            ip(&facts.src),
            facts.dst_port,
            ip(&facts.dst),
            pair.gap,
            (pair.gap_variation * 100.0).max(1.0),
            pair.gaps + 1,
        );
        flow_verdict(facts, ThreatType::Bot, evidence / config.beacon_evidence, narrative)
    })
}

/// Part of the failing traffic per second over what a flood takes.
fn flood_strength(incomplete: u64, one_sided: u64, seconds: f64, config: &AlertConfig) -> f64 {
    let connections = incomplete as f64 / seconds / config.flood_connections as f64;
    connections.max(one_sided as f64 / seconds / config.flood_packets as f64)
}

fn flood_words(incomplete: u64, one_sided: u64, seconds: f64) -> String {
    if one_sided > incomplete {
        format!("{:.0} unanswered packets a second", one_sided as f64 / seconds)
    } else {
        format!("{:.0} connections a second that are never completed", incomplete as f64 / seconds)
    }
}

/// Many connections or packets that lead nowhere, to few ports of this host.
fn flood_towards(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let strength = flood_strength(facts.incomplete_in, facts.one_sided_in, facts.seconds, config)
        .max(facts.pressed / config.flood_seconds);
    let failing = facts.incomplete_in + facts.refused_in + facts.one_sided_in;
    let many = facts.failing_sources >= config.ddos_sources as f64 * 0.95;
    // Datagrams of many sources are a flood whatever ports they go to: no scan is made of so many.
    let scattered = many && facts.one_sided_in as f64 / facts.seconds >= config.flood_packets as f64;
    if strength < 1.0 || !(scattered || concentrated(failing, facts.failing_ports)) {
        return None;
    }
    let words = flood_words(facts.incomplete_in, facts.one_sided_in, facts.seconds);
    let port = facts.port.unwrap_or(0);
    let target = ip(&facts.address);
    let narrative = match facts.source.filter(|_| !many) {
        Some(source) => format!("{} sends {words} to port {port} of {target}.", ip(&source)),
        None => format!(
            "About {:.0} sources send {words} to port {port} of {target}; the addresses may be invented.",
            facts.failing_sources
        ),
    };
    Some(Verdict {
        kind: if many { ThreatType::DDoS } else { ThreatType::DoS },
        source: facts.source.filter(|_| !many),
        destination: Some(facts.address),
        port,
        proto: facts.port_proto,
        strength,
        narrative,
    })
}

/// The same, seen from the host that sends it.
fn flood_from(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let incomplete = facts.half_open + facts.unanswered;
    let strength = flood_strength(incomplete, facts.one_sided_out, facts.seconds, config);
    let (target, port) = (facts.target?, facts.target_port.unwrap_or(0));
    let failing = facts.failed() + facts.one_sided_out;
    (strength >= 1.0 && concentrated(failing, facts.tried_ports.max(facts.failing_peers))).then(|| Verdict {
        kind: ThreatType::DoS,
        source: Some(facts.address),
        destination: Some(target),
        port,
        proto: facts.target_proto,
        strength,
        narrative: format!(
            "{} sends {} to port {port} of {}.",
            ip(&facts.address),
            flood_words(incomplete, facts.one_sided_out, facts.seconds),
            ip(&target),
        ),
    })
}

/// Many hosts answer what this host never asked: somebody asks them under its address, to flood it or in flooding them.
fn reflection(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let strength = facts.unasked_in as f64 / facts.seconds / config.flood_replies as f64;
    let many = facts.unasked_sources >= config.ddos_sources as f64 * 0.95;
    (strength >= 1.0 && many).then(|| Verdict {
        kind: ThreatType::DDoS,
        source: None,
        destination: Some(facts.address),
        port: 0,
        proto: facts.target_proto,
        strength,
        narrative: format!(
            "About {:.0} hosts send {:.0} answers a second to {}, which never asked them: they are used as reflectors, or \
             are flooded under its address.",
            facts.unasked_sources,
            facts.unasked_in as f64 / facts.seconds,
            ip(&facts.address),
        ),
    })
}

/// A flood hits the same place again and again; a scan hits each place once or a few times.
fn concentrated(failing: u64, places: f64) -> bool {
    failing as f64 >= 10.0 * places.max(1.0)
}

/// One source tries many ports of this host, mostly in vain.
fn scan_towards(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let source = facts.source?;
    let asked = config.scan_targets as f64;
    (facts.failing_ports >= asked && facts.failing_sources < 4.0).then(|| Verdict {
        kind: ThreatType::PortScan,
        source: Some(source),
        destination: Some(facts.address),
        port: 0,
        proto: facts.port_proto,
        strength: facts.failing_ports / asked,
        narrative: format!(
            "{} tried about {:.0} ports of {} in {:.0} s, and was refused or not answered.",
            ip(&source),
            facts.failing_ports,
            ip(&facts.address),
            facts.seconds,
        ),
    })
}

/// This host tries many ports or many hosts, mostly in vain.
fn scan_from(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let at_once = facts.tried_ports.max(facts.failing_peers);
    let failed = facts.failed();
    let fast = at_once >= config.scan_targets as f64 && failed as f64 >= at_once / 2.0;
    let slow = facts.failed_targets >= config.scan_targets_minute as f64;
    if !(fast || slow) || failed == 0 || failed < facts.completed {
        return None;
    }
    let strength = (at_once / config.scan_targets as f64)
        .max(facts.failed_targets / config.scan_targets_minute as f64)
        .max(1.0);
    let destination = facts.target.filter(|_| facts.failing_peers < 1.5);
    Some(Verdict {
        kind: ThreatType::PortScan,
        source: Some(facts.address),
        destination,
        port: 0,
        proto: facts.target_proto,
        strength,
        narrative: format!(
            "{} tried {} of {} in {:.0} s; {failed} connections were refused or not answered, to about {:.0} targets in \
             the last minute.",
            ip(&facts.address),
            if facts.ports < 1.5 { "a port".to_owned() } else { format!("about {:.0} ports", facts.ports) },
            destination
                .map_or_else(|| format!("about {:.0} hosts", facts.peers), |host| ip(&host).to_string()),
            facts.seconds,
            facts.failed_targets,
        ),
    })
}

/// This host tries what it never tried before, again and again, mostly in vain, however long it waits in between.
fn scan_at_leisure(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let scanning = &facts.scanning;
    let destination = facts.target.filter(|_| scanning.one_host);
    (scanning.evidence >= config.scan_evidence).then(|| Verdict {
        kind: ThreatType::PortScan,
        source: Some(facts.address),
        destination,
        port: 0,
        proto: proto::TCP,
        strength: scanning.evidence / config.scan_evidence,
        narrative: format!(
            "{} took its time to try {}: about {:.0} of them were refused or not answered in the last hours, and hardly any \
             was there. It had tried none of them before.",
            ip(&facts.address),
            destination.map_or_else(
                || "services of many hosts".to_owned(),
                |host| format!("ports of {}", ip(&host))
            ),
            scanning.failed,
        ),
    })
}

/// This host logs in to several others inside where it never did, by services for administration.
fn lateral(facts: &HostFacts, config: &AlertConfig) -> Option<Verdict> {
    let [reached, familiar] = facts.moves;
    // Who administers many hosts anyway has to reach as many new ones.
    let asked = (config.lateral_hosts as f64).max(familiar);
    // What it does on in the half hour after is no move.
    (reached >= asked && facts.moved).then(|| Verdict {
        kind: ThreatType::Infiltration,
        source: Some(facts.address),
        destination: None,
        port: 0,
        proto: proto::TCP,
        strength: reached / asked,
        narrative: format!(
            "{} used remote login, file sharing or remote administration on hosts inside where it never did: {} of them \
             within half an hour (half of one where others use that service there). Before, it did so on {familiar:.0}.",
            ip(&facts.address),
            if reached.fract() == 0.0 { format!("{reached:.0}") } else { format!("{reached:.1}") },
        ),
    })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
