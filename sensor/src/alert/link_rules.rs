//! Which type of threat the facts of a link row show: who claims what by ARP.
//!
//! The source of a verdict is the address that the MAC address has of its own, as far as it ever claimed one that nobody
//! else had: never an address it took. The narrative names the MAC address in any case.

use super::ThreatType;
use super::config::AlertConfig;
use super::rules::Verdict;
use crate::features::link::LinkFacts;
use crate::features::link::claims::{Contest, Means};
use crate::flow::ip;
use sensor_ebpf::parse::mapped;
use std::net::Ipv4Addr;

/// Claims, unless unasked and told to one host, that are asked for before an owner counts as robbed.
const CLAIMS: u32 = 3;
/// Signs of the owner in between: after a failover there is none.
const DEFENCES: u32 = 2;
/// Unasked claims to one address, and the owner still there: poisoning on one side.
const ONE_SIDED: u32 = 3;

/// The type that a link row shows, if it shows one.
pub fn judge_link(facts: &LinkFacts, config: &AlertConfig) -> Option<Verdict> {
    poisoning(facts).or_else(|| scan(facts, config)).or_else(|| duplicate(facts))
}

fn verdict(facts: &LinkFacts, kind: ThreatType, strength: f64, narrative: String) -> Verdict {
    Verdict {
        kind,
        source: facts.address,
        destination: None,
        port: 0,
        proto: 0,
        strength: strength.max(1.0),
        narrative,
    }
}

/// `10.0.0.1 (02:00:00:00:00:01)`, or the MAC address alone.
fn who(facts: &LinkFacts) -> String {
    match &facts.address {
        Some(address) => format!("{} ({})", ip(address), facts.mac),
        None => format!("The host with MAC address {}", facts.mac),
    }
}

fn claims(contest: &Contest) -> u32 {
    contest.claims.iter().fold(0, |sum, claims| sum.saturating_add(*claims))
}

/// Told to one host that had not asked; or claimed again and again while the owner goes on talking.
fn robs(contest: &Contest) -> bool {
    let insists = claims(contest) - contest.by(Means::Answer) >= CLAIMS && contest.defended >= DEFENCES;
    contest.by(Means::Unasked) > 0 || insists
}

/// ARP poisoning: one MAC address tells hosts that it has the addresses of two or more others; or insists on that of one,
/// unasked, while its owner is there. What is sent to them then passes through it.
fn poisoning(facts: &LinkFacts) -> Option<Verdict> {
    let one_sided = |c: &Contest| c.by(Means::Unasked) >= ONE_SIDED && c.defended > 0;
    if facts.owners(robs) < 2 && !facts.contests.iter().any(one_sided) {
        return None;
    }
    let robbed: Vec<&Contest> = facts.contests.iter().filter(|contest| robs(contest)).collect();
    let words: Vec<String> = robbed.iter().take(3).map(|contest| told(contest)).collect();
    let more = robbed.len().saturating_sub(words.len());
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let relayed = robbed.iter().any(|contest| contest.relayed);
    let narrative = format!(
        "{} claims by ARP to have {}{more}; the owners {}. {}",
        who(facts),
        words.join(", and "),
        if robbed.iter().any(|contest| contest.defended > 0) {
            "are still there"
        } else {
            "were there lately"
        },
        if relayed {
            "It already sends packets in their name: traffic between them passes through it."
        } else {
            "What is sent to these addresses goes to it instead."
        },
    );
    let unasked: u32 = robbed.iter().map(|contest| claims(contest)).sum();
    // Two claims are the least that two sides take; forwarded packets leave little doubt.
    let strength = f64::from(unasked) / 2.0 * if relayed { 2.0 } else { 1.0 };
    let mut verdict = verdict(facts, ThreatType::Infiltration, strength, narrative);
    if let [only] = robbed.as_slice() {
        verdict.destination = Some(mapped(only.place.address));
    }
    Some(verdict)
}

fn told(contest: &Contest) -> String {
    let address = Ipv4Addr::from(contest.place.address);
    match contest.told {
        Some(told) => format!("{address} of {} (told to {})", contest.owner, Ipv4Addr::from(told)),
        None => format!("{address} of {}", contest.owner),
    }
}

/// Asks by ARP for many addresses that nobody has. A router asks for whatever is sent to its network, so slowly it may.
fn scan(facts: &LinkFacts, config: &AlertConfig) -> Option<Verdict> {
    let fast = facts.missing / config.scan_targets as f64;
    // A scan that was is no scan that is.
    let goes_on = facts.missing > 0.0 && !facts.router;
    let slow = if goes_on { facts.missing_minute / config.scan_targets_minute as f64 } else { 0.0 };
    let strength = fast.max(slow);
    (strength >= 1.0).then(|| {
        let narrative = format!(
            "{} asked by ARP for {:.0} addresses in {:.0} s, {:.0} of which nobody has, and for {:.0} of these in the last \
             minute.{}",
            who(facts),
            facts.targets,
            facts.seconds,
            facts.missing,
            facts.missing_minute,
            if facts.router { " It is a router: the scan may come from behind it." } else { "" },
        );
        verdict(facts, ThreatType::PortScan, strength, narrative)
    })
}

/// Two MAC addresses claim one address, in turn, and openly: without being asked, and not to one host alone.
fn duplicate(facts: &LinkFacts) -> Option<Verdict> {
    let openly = |contest: &Contest| contest.by(Means::Request) + contest.by(Means::Announcement);
    let insists = |contest: &&Contest| openly(contest) >= 2 && contest.defended >= DEFENCES;
    let contest = facts.contests.iter().find(insists)?;
    let address = Ipv4Addr::from(contest.place.address);
    let narrative = format!(
        "Two hosts have the address {address}: {} and {} claim it in turn. Either it was given out twice, or one of them is \
         not who it says.",
        contest.owner, facts.mac,
    );
    let mut verdict = verdict(facts, ThreatType::Anomaly, f64::from(contest.defended) / 2.0, narrative);
    verdict.destination = Some(mapped(contest.place.address));
    Some(verdict)
}

#[cfg(test)]
#[path = "link_rules_tests.rs"]
mod tests;
