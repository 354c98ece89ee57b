//! The flows and hosts of a window that matter most, for people who look on.

use crate::alert::report::{protocol, rfc3339};
use crate::features::rows::{Active, Rows};
use crate::flow::ip;
use crate::status::top::{FlowNow, HostNow, MOST_FLOWS, MOST_HOSTS, Top};

/// Rankings: by score, by bytes, by packets.
const RANKINGS: usize = 3;

/// The top of a window that was scored. `threshold` is absent before the model is active, and so is what the score means.
pub(super) fn top(rows: &Rows, active: &Active<'_>, scores: [&[f32]; 2], threshold: Option<f64>) -> Top {
    let told = |score: Option<&f32>| threshold.and_then(|_| score.copied()).map(f64::from);
    let flow_rank = |row: usize| {
        let (_, grown) = active.get(rows.flows[row]);
        let sum = |sides: [u64; 2]| sides.iter().sum::<u64>() as f64;
        [f64::from(scores[0][row]), sum(grown.carried.bytes), sum(grown.carried.packets)]
    };
    let flow = |row: usize| {
        let (flow, grown) = active.get(rows.flows[row]);
        let ((source, source_port), (destination, destination_port)) = (flow.src(), flow.dst());
        let rate = |sides: [u64; 2]| sides.iter().sum::<u64>() as f64 / rows.seconds;
        FlowNow {
            source_ip: ip(&source).to_string(),
            source_port,
            destination_ip: ip(&destination).to_string(),
            destination_port,
            protocol: protocol(flow.key.proto),
            packets: flow.total.packets.iter().sum(),
            bytes: flow.total.bytes.iter().sum(),
            packets_per_second: rate(grown.carried.packets),
            bytes_per_second: rate(grown.carried.bytes),
            first_seen: rfc3339(flow.start),
            last_seen: rfc3339(flow.last),
            score: told(scores[0].get(row)),
            threshold,
        }
    };
    let host_rank = |row: usize| {
        let host = &rows.hosts[row];
        let sum = |sides: [u64; 2]| sides.iter().sum::<u64>() as f64;
        [f64::from(scores[1][row]), sum(host.bytes), sum(host.packets)]
    };
    let host = |row: usize| {
        let host = &rows.hosts[row];
        let rate = |sides: [u64; 2]| sides.iter().sum::<u64>() as f64 / rows.seconds;
        HostNow {
            address: ip(&host.address).to_string(),
            packets_per_second: rate(host.packets),
            bytes_per_second: rate(host.bytes),
            flows: host.started + host.incoming,
            peers: (host.peers + host.sources).round() as u64,
            score: told(scores[1].get(row)),
            alerts: 0,
        }
    };
    let scored = |rows: usize, scores: &[f32]| rows.min(scores.len());
    Top {
        time: rows.window.end,
        flows: best(scored(rows.flows.len(), scores[0]), MOST_FLOWS, flow_rank)
            .into_iter()
            .map(flow)
            .collect(),
        hosts: best(scored(rows.hosts.len(), scores[1]), MOST_HOSTS, host_rank)
            .into_iter()
            .map(host)
            .collect(),
    }
}

/// The first of each ranking, together at most `most`, each once. Each row is looked at once: what is ranked lies anywhere
/// in memory.
fn best(rows: usize, most: usize, rank: impl Fn(usize) -> [f64; RANKINGS]) -> Vec<usize> {
    if rows <= most {
        return (0..rows).collect();
    }
    let each = most / RANKINGS;
    let mut rankings: [Vec<(f64, usize)>; RANKINGS] = Default::default();
    // What a row must exceed to be among the first of those seen so far.
    let mut least = [f64::NEG_INFINITY; RANKINGS];
    for row in 0..rows {
        for ((ranking, least), value) in rankings.iter_mut().zip(&mut least).zip(rank(row)) {
            if value > *least {
                ranking.push((value, row));
                if ranking.len() == 2 * each {
                    cut(ranking, each);
                    *least = ranking[each - 1].0;
                }
            }
        }
    }
    let mut chosen = Vec::with_capacity(most);
    for ranking in &mut rankings {
        cut(ranking, each);
        chosen.extend(ranking.iter().map(|&(_, row)| row));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Keeps the highest `count`, the least of them at the end.
fn cut(ranking: &mut Vec<(f64, usize)>, count: usize) {
    if ranking.len() > count {
        ranking.select_nth_unstable_by(count - 1, |one, other| other.0.total_cmp(&one.0));
        ranking.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn the_first_of_each_ranking() {
        let rank = |row: usize| [row as f64, -(row as f64), (row % 7) as f64];
        assert_eq!(best(3, 6, rank), [0, 1, 2]);
        let chosen = best(100, 6, rank);
        for row in [99, 98, 0, 1] {
            assert!(chosen.contains(&row), "{chosen:?}");
        }
        assert!(chosen.len() <= 6 && chosen.iter().any(|row| row % 7 == 6), "{chosen:?}");
    }
}
