//! What a head looks at: the features of a row, and plain facts that say what the features leave out.

use crate::features::facts::{FlowFacts, HostFacts};
use crate::features::moves::{is_admin, is_inside};
use crate::features::spec;
use crate::flow::is_group;
use crate::score::scorer::Kind;
use sensor_ebpf::flow::proto;

/// Facts beside the features of a flow, in the order of [`flow_row`].
const FLOW: [&str; 14] = [
    "to_login",
    "to_web",
    "to_administration",
    "to_dns",
    "to_group",
    "is_icmp",
    "within_network",
    "from_outside",
    "unasked",
    "new_pair",
    "new_host",
    "regular",
    "gaps",
    "short_share",
];

/// Facts beside the features of a host, in the order of [`host_row`].
const HOST: [&str; 9] = [
    "failing_peers",
    "tried_ports",
    "failing_sources",
    "failing_ports",
    "unasked_in",
    "unasked_sources",
    "moves",
    "within_network",
    "completed",
];

/// Numbers in a row of a kind.
pub fn width(kind: Kind) -> usize {
    names(kind).len()
}

/// Their names: features first. None for a kind that no head judges.
pub fn names(kind: Kind) -> Vec<&'static str> {
    let context: &[&str] = match kind {
        Kind::Flow => &FLOW,
        Kind::Host => &HOST,
        Kind::Link => return Vec::new(),
    };
    kind.features().iter().map(|feature| feature.name).chain(context.iter().copied()).collect()
}

fn yes(condition: bool) -> f32 {
    f32::from(u8::from(condition))
}

/// A count up to a million, as a number up to 1.
fn counted(count: f64) -> f32 {
    (count.clamp(0.0, 1e6).ln_1p() / 1e6_f64.ln_1p()) as f32
}

/// A flow's row, of its facts and features.
pub fn flow_row(facts: &FlowFacts, features: &[f32]) -> [f32; spec::FLOW.len() + FLOW.len()] {
    let (pair, port, tcp) = (&facts.pair, facts.dst_port, facts.key.proto == proto::TCP);
    let login = matches!(
        port,
        21 | 22
            | 23
            | 25
            | 110
            | 143
            | 389
            | 993
            | 995
            | 1433
            | 1521
            | 3306
            | 3389
            | 5432
            | 5900
            | 5985
            | 6379
    );
    let web = matches!(port, 80 | 443 | 3000 | 5000 | 8000 | 8008 | 8080..=8090 | 8443 | 8888 | 9000);
    let beside = [
        yes(tcp && login),
        yes(tcp && web),
        yes(is_admin(facts.key.proto, port)),
        yes(port == 53),
        yes(is_group(&facts.dst)),
        yes(matches!(facts.key.proto, proto::ICMP | proto::ICMPV6)),
        yes(is_inside(&facts.src) && is_inside(&facts.dst)),
        yes(!is_inside(&facts.src) && is_inside(&facts.dst)),
        yes(facts.unasked() > 0),
        yes(pair.new_pair),
        yes(pair.new_host),
        (pair.beacon() / 40.0) as f32,
        counted(f64::from(pair.gaps)),
        (pair.short / (pair.connections + pair.failed).max(1.0)).clamp(0.0, 1.0) as f32,
    ];
    joined(features, &beside)
}

/// A host's row, of its facts and features.
pub fn host_row(facts: &HostFacts, features: &[f32]) -> [f32; spec::HOST.len() + HOST.len()] {
    let beside = [
        counted(facts.failing_peers),
        counted(facts.tried_ports),
        counted(facts.failing_sources),
        counted(facts.failing_ports),
        counted(facts.unasked_in as f64),
        counted(facts.unasked_sources),
        counted(facts.moves[0]),
        yes(is_inside(&facts.address)),
        counted(facts.completed as f64),
    ];
    joined(features, &beside)
}

fn joined<const N: usize>(features: &[f32], beside: &[f32]) -> [f32; N] {
    let mut row = [0.0; N];
    row.iter_mut().zip(features.iter().chain(beside)).for_each(|(into, value)| *into = *value);
    row
}
