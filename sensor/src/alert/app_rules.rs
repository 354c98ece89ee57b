//! What the content of a flow's samples shows: rules beside those on counts. Text from packets is escaped here.

use super::ThreatType;
use super::config::AlertConfig;
use super::rules::Verdict;
use crate::features::app::facts::Protocol;
use crate::features::facts::FlowFacts;
use crate::flow::ip;

/// The type that a flow's content shows, if it shows one.
pub fn judge_app(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    match facts.app.protocol {
        Protocol::Dns => dns_tunnel(facts, config),
        Protocol::Http => web_attack(facts, config),
        Protocol::Tls | Protocol::Unknown => None,
    }
}

/// Data written into names, and read out of their answers.
fn dns_tunnel(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    let dns = &facts.app.dns;
    let (hidden, asked) = (f64::from(dns.hidden_by_one()), config.dns_tunnel_bytes as f64);
    if hidden < asked || dns.seen < config.dns_tunnel_names as f32 {
        return None;
    }
    let [client, server] =
        if facts.src == dns.client { [facts.src, facts.dst] } else { [facts.dst, facts.src] };
    let narrative = match facts.app.text.as_bytes() {
        [] if dns.new_names < 1.0 => format!(
            "{} sends {:.0} datagrams a minute that are no DNS to port 53 of {}.",
            ip(&client),
            dns.queries,
            ip(&server),
        ),
        domain => format!(
            "{} asks for {:.0} names a minute {}, {:.0} bytes long on average: they carry about {:.1} KB a minute and \
             their answers {:.1} KB, as in a tunnel.",
            ip(&client),
            dns.new_names.max(dns.queries),
            if domain.is_empty() {
                "that nobody can have registered".to_owned()
            } else {
                format!("under {}", facts.app.text)
            },
            dns.name_length,
            f64::from(dns.name_bytes) / 1e3,
            f64::from(dns.answer_bytes) / 1e3,
        ),
    };
    Some(Verdict {
        kind: ThreatType::Bot,
        source: Some(client),
        destination: Some(server),
        port: 53,
        proto: facts.key.proto,
        strength: hidden / asked,
        narrative,
    })
}

/// A request with marks of an attack on a web application.
fn web_attack(facts: &FlowFacts, config: &AlertConfig) -> Option<Verdict> {
    let http = &facts.app.http;
    let strength = f64::from(http.markers) / config.web_attack_score;
    let kind = http.marker.filter(|_| strength >= 1.0)?;
    Some(Verdict {
        kind: ThreatType::WebAttack,
        source: Some(facts.src),
        destination: Some(facts.dst),
        port: facts.dst_port,
        proto: facts.key.proto,
        strength,
        narrative: format!(
            "{} sent a request with marks of {}{} to port {} of {}: {}",
            ip(&facts.src),
            kind.name(),
            if http.beside { " in its headers or body" } else { "" },
            facts.dst_port,
            ip(&facts.dst),
            facts.app.text,
        ),
    })
}
