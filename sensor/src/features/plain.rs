//! What a flow did in a window, from the flow alone.

use super::app::AppFacts;
use super::facts::{FlowFacts, Outcome, PairFacts};
use super::keys::PairKey;
use super::logins::login;
use super::memory::{Addition, Memory};
use super::outcome::outcome;
use crate::flow::SECOND;
use crate::flow::table::{Flow, Grown};
use sensor_ebpf::flow::proto;

/// A connection closed within this time was short.
const SHORT: u64 = 5 * SECOND;

/// The facts of a flow without what is remembered of it.
#[inline(always)]
pub(super) fn plain(flow: &Flow, grown: &Grown, seconds: f64, now: u64) -> FlowFacts {
    let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
    FlowFacts {
        key: flow.key,
        src,
        src_port,
        dst,
        dst_port,
        start: flow.start,
        last: flow.last,
        seconds,
        window: grown.carried,
        total: flow.total,
        outcome: outcome(flow, grown, now),
        awaited: false,
        entropy: flow.entropy,
        pair: PairFacts::default(),
        app: AppFacts::default(),
    }
}

/// A question whose answer may be under way has not failed: a resolver asks others first, and takes seconds. Of a service
/// that never answered anybody none is expected.
#[inline]
pub(super) fn await_answer(facts: &mut FlowFacts, key: &PairKey, memory: &Memory) {
    let silent = facts.key.proto == proto::UDP && facts.total.packets[1] == 0;
    facts.awaited = silent && memory.answers(key);
    if facts.awaited && facts.outcome == Outcome::Unanswered {
        facts.outcome = Outcome::None;
    }
}

/// What it adds to its pair.
pub(super) fn addition(facts: &FlowFacts, grown: &Grown) -> Addition {
    let total = &facts.total;
    let failed = matches!(facts.outcome, Outcome::Refused | Outcome::HalfOpen | Outcome::Unanswered);
    let whole = grown.ended && total.established() && total.flags[0].syn > 0;
    let short = whole && facts.last.saturating_sub(facts.start) <= SHORT;
    let size = total.bytes[0] + total.bytes[1];
    let each = |counts: [u64; 2]| ((counts[0] + counts[1]) as f64 / facts.seconds) as f32;
    Addition {
        connections: f64::from(u8::from(facts.outcome == Outcome::Completed)),
        failed: f64::from(u8::from(failed)),
        bytes: facts.window.bytes.map(|n| n as f64),
        rates: [each(facts.window.packets), each(facts.window.bytes)],
        contact: grown.contact,
        short: short.then_some(size as f64),
        login: login(facts).filter(|_| whole),
        answered: total.packets[1] > 0,
    }
}
