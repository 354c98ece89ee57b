//! The lab's traffic through all stages: every attack is one alert of its type, and there is no other.

use super::traffic::{Answer, Attack, Drained, EPOCH, LOGIN, Traffic, attacks, lan};
use super::{Analysis, AnalysisConfig, Keep, Output};
use crate::alert::{Alert, ThreatType};
use crate::capture::{FLOW_BATCH, Tick};
use crate::features::spec;
use crate::flow::SECOND;
use crate::score::random::Random;

/// Runs ticks through a new analysis; alerts as they were last told, with the time since which they are called so.
fn run(ticks: &[Drained]) -> (Analysis, Vec<(u64, Alert)>, Vec<String>) {
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    let (alerts, notices) = feed(&mut analysis, ticks);
    (analysis, alerts, notices)
}

pub(super) fn drained(analysis: &mut Analysis, tick: &Drained) -> Output {
    for batch in tick.deltas.chunks(FLOW_BATCH) {
        analysis.flows(batch);
    }
    analysis.tick(&Tick { time: tick.time, ..Tick::default() }).unwrap()
}

fn feed(analysis: &mut Analysis, ticks: &[Drained]) -> (Vec<(u64, Alert)>, Vec<String>) {
    let (mut alerts, mut notices) = (Vec::<(u64, Alert)>::new(), Vec::new());
    let mut take = |time: u64, output: Output| {
        alerts.extend(output.alerts.into_iter().map(|raised| (time, raised.alert)));
        for update in output.updates {
            let same = alerts.iter_mut().find(|(_, alert)| alert.threat_id == update.threat_id);
            let (since, alert) = same.expect("only what was raised is updated");
            if alert.threat_type != update.threat_type {
                *since = time;
            }
            *alert = update;
        }
        notices.extend(output.notices);
    };
    for tick in ticks {
        take(tick.time, drained(analysis, tick));
    }
    if let Some(last) = ticks.last() {
        take(last.time, analysis.finish(last.time).unwrap());
    }
    (alerts, notices)
}

fn is_of(alert: &Alert, attack: &Attack) -> bool {
    let text = |address: [u8; 4]| std::net::Ipv4Addr::from(address).to_string();
    let source = if alert.threat_type == ThreatType::DDoS { String::new() } else { text(attack.source) };
    let target = attack.target.map(text).unwrap_or_default();
    attack.kinds.contains(&alert.threat_type) && alert.source_ip == source && alert.destination_ip == target
}

/// What an attacker does first may be unusual before it has a name.
fn is_part_of(alert: &Alert, time: u64, attack: &Attack) -> bool {
    let source = std::net::Ipv4Addr::from(attack.source).to_string();
    let during = (attack.start..attack.start + 16 * SECOND).contains(&time);
    alert.threat_type == ThreatType::Anomaly && during && alert.source_ip == source
}

fn bins_add_up(analysis: &Analysis) {
    let (_, scoring, alerts) = analysis.bins();
    assert_eq!(scoring.made, scoring.scored + scoring.shed_limit);
    assert_eq!(scoring.scored, scoring.trained + scoring.withheld());
    assert_eq!(alerts.raised, alerts.stored + alerts.suppressed_duplicate + alerts.suppressed_limit);
}

#[test]
fn every_attack_is_one_alert_within_five_seconds() {
    let mut failures = Vec::new();
    println!("seed attack            delay  score/threshold  false");
    for seed in 0..12 {
        let mut traffic = Traffic::new(seed);
        traffic.ordinary(125.0);
        let attacks = attacks(&mut traffic, 42.0, 16.0);
        let (analysis, alerts, notices) = run(&traffic.ticks());
        bins_add_up(&analysis);
        println!("{seed:>4} {notices:?}");
        let mut claimed = vec![false; alerts.len()];
        for attack in &attacks {
            let found = alerts.iter().position(|(time, alert)| *time >= attack.start && is_of(alert, attack));
            let Some(place) = found else {
                println!("{seed:>4} {:<18} MISSED", attack.name);
                failures.push(format!("seed {seed}: {} missed", attack.name));
                continue;
            };
            claimed[place] = true;
            let (time, alert) = &alerts[place];
            let delay = (*time - attack.start) as f64 / 1e9;
            println!(
                "{seed:>4} {:<18} {delay:>5.2}  {:>8.1} / {:.1}  {}",
                attack.name, alert.details.score, alert.details.threshold, alert.details.narrative
            );
            if delay > 5.0 {
                failures.push(format!("seed {seed}: {} after {delay:.2} s", attack.name));
            }
        }
        for ((time, alert), claimed) in alerts.iter().zip(claimed) {
            if !claimed && !attacks.iter().any(|attack| is_part_of(alert, *time, attack)) {
                let at = (*time - EPOCH) as f64 / 1e9;
                println!("{seed:>4} FALSE {at:.1} {:?} {:#?}", alert.threat_type, alert.details);
                failures.push(format!("seed {seed}: false {:?} at {at:.1} s", alert.threat_type));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn ten_minutes_of_ordinary_traffic_raise_nothing() {
    for seed in [100, 101, 102] {
        let mut traffic = Traffic::new(seed);
        traffic.ordinary(600.0);
        let (analysis, alerts, notices) = run(&traffic.ticks());
        println!("{seed} {notices:?} {:?}", analysis.bins());
        assert!(alerts.is_empty(), "seed {seed}: {alerts:#?}");
    }
}

/// It asks others, some of which are slow: every answer is under way, and nothing has failed.
#[test]
fn a_resolver_that_takes_half_a_second_raises_nothing() {
    let mut traffic = Traffic::new(7);
    traffic.ordinary(130.0);
    for n in 0..1200u64 {
        let at = EPOCH + 90 * SECOND + n * SECOND / 40;
        traffic.lookup(at, lan(12), 150 + n * 37 % 700);
    }
    let (_, alerts, _) = run(&traffic.ticks());
    assert!(alerts.is_empty(), "{alerts:#?}");
}

/// One port in three seconds, where no minute holds as many as the rule of a minute asks for.
#[test]
fn a_scan_that_takes_its_time_is_told_and_named() {
    let mut traffic = Traffic::new(8);
    traffic.ordinary(200.0);
    for n in 0..40u16 {
        let at = EPOCH + 60 * SECOND + u64::from(n) * 3 * SECOND;
        let from = (lan(13), traffic.port());
        traffic.syn(at, from, (LOGIN, 1000 + 7 * n), Answer::Refused);
    }
    let (_, alerts, _) = run(&traffic.ticks());
    let scan = alerts.iter().find(|(_, alert)| alert.threat_type == ThreatType::PortScan);
    let (time, alert) = scan.expect("it is told");
    assert!(*time < EPOCH + 120 * SECOND, "{alert:#?}");
    assert_eq!((alert.source_ip.as_str(), alert.destination_ip.as_str()), ("10.77.0.13", "10.77.0.24"));
}

/// Fifty connections a second that are never completed, by who never used the service.
#[test]
fn a_flood_that_is_not_fast_is_told_after_ten_seconds() {
    let mut traffic = Traffic::new(9);
    traffic.ordinary(120.0);
    for n in 0..1000u64 {
        let from = (lan(77), 1024 + (n % 60_000) as u16);
        traffic.syn(EPOCH + 60 * SECOND + n * SECOND / 50, from, (LOGIN, 22), Answer::Nothing);
    }
    let (_, alerts, _) = run(&traffic.ticks());
    let flood = alerts.iter().find(|(_, alert)| alert.threat_type == ThreatType::DoS);
    let (time, alert) = flood.expect("it is told");
    assert!(*time < EPOCH + 74 * SECOND && alert.destination_ip == "10.77.0.24", "{alert:#?}");
}

#[test]
fn the_same_events_give_the_same_alerts_and_any_order_within_a_tick_alike_ones() {
    let build = |shuffle: bool| {
        let mut traffic = Traffic::new(3);
        traffic.ordinary(90.0);
        attacks(&mut traffic, 42.0, 9.0);
        let mut ticks = traffic.ticks();
        let mut random = Random::new(9);
        for tick in ticks.iter_mut().filter(|_| shuffle) {
            for place in (1..tick.deltas.len()).rev() {
                tick.deltas.swap(place, random.below(place + 1));
            }
        }
        let (analysis, alerts, _) = run(&ticks);
        let alerts: Vec<Alert> = alerts.into_iter().map(|(_, alert)| alert).collect();
        (alerts, format!("{:?}", analysis.bins()))
    };
    let (first, bins) = build(false);
    assert!(first.iter().any(|alert| alert.threat_type == ThreatType::PortScan));
    let (again, shuffled) = (build(false), build(true));
    assert_eq!((&first, &bins), (&again.0, &again.1));
    // Another order is another sample to learn from: other digits, the same verdicts.
    let verdicts = |alerts: Vec<Alert>| -> Vec<_> {
        alerts.into_iter().map(|a| (a.threat_type, a.source_ip, a.destination_ip)).collect()
    };
    assert_eq!(verdicts(first), verdicts(shuffled.0));
}

#[test]
fn nothing_is_alerted_before_the_model_is_active() {
    let mut traffic = Traffic::new(5);
    traffic.ordinary(29.0);
    attacks(&mut traffic, 1.0, 4.0);
    let mut ticks = traffic.ticks();
    ticks.retain(|tick| tick.time < EPOCH + 29 * SECOND);
    let (analysis, alerts, _) = run(&ticks);
    assert!(alerts.is_empty());
    assert_ne!(analysis.state().name(), "active");
    bins_add_up(&analysis);
}

#[test]
fn tables_stay_bounded_under_a_million_spoofed_flows() {
    let mut config = AnalysisConfig::default();
    config.flow.max_flows = 20_000;
    config.features.max_hosts = 5_000;
    config.features.max_pairs = 10_000;
    config.features.max_rows = 2_000;
    let mut analysis = Analysis::new(&config).unwrap();
    let mut random = Random::new(1);
    for batch in 0..20u64 {
        let mut traffic = Traffic::new(batch);
        for _ in 0..50_000 {
            let bits = random.bits().to_be_bytes();
            let from = ([bits[0], bits[1], bits[2], bits[3]], u16::from_be_bytes([bits[4], bits[5]]));
            let time = EPOCH + batch * SECOND + random.below(100) as u64 * SECOND / 1000;
            traffic.syn(time, from, (lan(21), 80), super::traffic::Answer::Nothing);
        }
        let mut deltas = traffic.ticks().pop().unwrap();
        deltas.time = EPOCH + (batch + 1) * SECOND;
        drained(&mut analysis, &deltas);
    }
    let tables = analysis.tables();
    println!("{tables:?}");
    assert!(tables.flows <= 20_000 && tables.hosts <= 5_000 && tables.pairs <= 10_000);
    assert!(tables.flow_overflow_packets > 0 && tables.memory_overflow > 0);
    bins_add_up(&analysis);
}

#[test]
fn a_saved_state_goes_on_alerting_and_a_damaged_one_is_refused() {
    let mut traffic = Traffic::new(8);
    traffic.ordinary(60.0);
    let attack = attacks(&mut traffic, 42.0, 100.0).remove(0);
    let ticks = traffic.ticks();
    let (before, after) = ticks.split_at(400);
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    for tick in before {
        drained(&mut analysis, tick);
    }
    let saved = analysis.save().unwrap();

    let mut restored = Analysis::new(&AnalysisConfig::default()).unwrap();
    restored.restore(&saved).unwrap();
    assert_eq!(restored.state(), analysis.state());
    let after: Vec<Drained> = after.iter().filter(|tick| tick.time < EPOCH + 59 * SECOND).cloned().collect();
    let (alerts, _) = feed(&mut restored, &after);
    assert!(alerts.iter().any(|(_, alert)| is_of(alert, &attack)), "{alerts:?}");

    let mut fresh = Analysis::new(&AnalysisConfig::default()).unwrap();
    for cut in (0..saved.len()).step_by(997) {
        assert!(fresh.restore(&saved[..cut]).is_err(), "cut at {cut}");
        let mut changed = saved.clone();
        changed[cut] ^= 0x40;
        assert!(fresh.restore(&changed).is_err(), "changed at {cut}");
    }
    let mut other = AnalysisConfig::default();
    other.score.layers = [12, 4];
    let error = Analysis::new(&other).unwrap().restore(&saved).unwrap_err().to_string();
    assert!(error.contains("layers"), "{error}");
}

#[test]
fn silence_and_late_drains_do_not_change_rates() {
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    let mut traffic = Traffic::new(1);
    traffic.ordinary(3.0);
    let mut ticks = traffic.ticks();
    for tick in ticks.iter_mut().skip(15) {
        tick.time += 3600 * SECOND;
        tick.deltas.iter_mut().for_each(|delta| delta.grown.last += 3600 * SECOND);
    }
    analysis.keep(Keep { scores: true, features: true, ..Keep::default() });
    let mut scores = Vec::new();
    for tick in &ticks {
        scores.extend(drained(&mut analysis, tick).scores);
    }
    assert!(!scores.is_empty());
    assert!(scores.iter().all(|window| window.window_end - window.window_start <= 2 * SECOND));
}

#[test]
fn what_came_between_two_processes_is_counted_and_not_judged() {
    let windows = |resume: bool| {
        let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
        analysis.keep(Keep { scores: true, ..Keep::default() });
        if resume {
            analysis.resume();
        }
        let mut traffic = Traffic::new(1);
        traffic.ordinary(4.0);
        let mut ends = std::collections::BTreeSet::new();
        for tick in &traffic.ticks() {
            ends.extend(drained(&mut analysis, tick).scores.iter().map(|score| score.window_end));
        }
        bins_add_up(&analysis);
        (ends, analysis.tables().flows_created)
    };
    let ((all, flows), (resumed, resumed_flows)) = (windows(false), windows(true));
    assert_eq!(all.into_iter().skip(1).collect::<std::collections::BTreeSet<_>>(), resumed);
    assert_eq!(flows, resumed_flows);
}

#[test]
fn kept_features_are_those_of_their_row() {
    let mut traffic = Traffic::new(1);
    traffic.ordinary(5.0);
    let ticks = traffic.ticks();
    let windows = |features: bool| {
        let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
        analysis.keep(Keep { scores: true, features, ..Keep::default() });
        ticks.iter().flat_map(|tick| drained(&mut analysis, tick).scores).collect::<Vec<_>>()
    };
    let kept = windows(true);
    let rate = spec::FLOW.iter().position(|feature| feature.name == "packets_out").unwrap();
    assert!(!kept.is_empty());
    for window in &kept {
        assert_eq!(window.features.len(), spec::FLOW.len());
        assert!(window.features.iter().all(|value| (0.0..=1.0).contains(value)));
        assert_eq!(window.features[rate] > 0.0, window.packets[0] > 0, "{window:?}");
    }
    assert!(windows(false).iter().all(|window| window.features.is_empty()));
}

#[test]
fn every_sample_is_in_one_bin() {
    use crate::capture::{Link, Sample};
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    let mut random = Random::new(4);
    let samples: Vec<Sample> = (0..3000)
        .map(|n| {
            let mut frame: Vec<u8> = (0..random.below(120)).map(|_| random.bits() as u8).collect();
            if frame.len() > 34 && n % 3 == 0 {
                frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
            }
            let link = [Link::Ethernet, Link::Network { ethertype: 0x86dd, at: 200 }, Link::Unknown][n % 3];
            Sample { time: EPOCH, wire_len: frame.len() as u32, weight: 1, link, frame: frame.into() }
        })
        .collect();
    analysis.samples(&samples);
    let (bins, ..) = analysis.bins();
    assert_eq!(bins.parsed + bins.shed_not_in_flow, 3000);
    assert!(bins.parsed > 100);
}

/// Prints how fast a window of many short connections is scored.
#[test]
#[ignore = "needs an idle machine: prints rows per second"]
#[allow(clippy::disallowed_methods, reason = "measures wall-clock time")]
fn rows_per_second() {
    let mut config = AnalysisConfig::default();
    config.features.max_rows = 200_000;
    let mut analysis = Analysis::new(&config).unwrap();
    for window in 0..6u64 {
        let mut traffic = Traffic::new(window);
        for _ in 0..50_000 {
            let bits = traffic.random.bits().to_be_bytes();
            let from = ([10, 1, bits[0] % 8, bits[1]], traffic.port());
            let to = ([10, 2, 0, bits[2]], 80 + u16::from(bits[3] % 8));
            traffic.connection(EPOCH + window * SECOND, from, to, [400.0, 4000.0], 0.02);
        }
        let mut tick = traffic.ticks().pop().unwrap();
        tick.time = EPOCH + (window + 1) * SECOND;
        let before = analysis.bins().1.made;
        let start = std::time::Instant::now();
        drained(&mut analysis, &tick);
        let seconds = start.elapsed().as_secs_f64();
        let rows = analysis.bins().1.made - before;
        println!(
            "{rows} rows of {} flows in {seconds:.3} s: {:.0} rows/s",
            tick.deltas.len(),
            rows as f64 / seconds
        );
    }
}

#[test]
fn new_settings_count_from_the_next_window_on() {
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    let mut traffic = Traffic::new(3);
    traffic.ordinary(60.0);
    feed(&mut analysis, &traffic.ticks());
    let (before, mut alert) = (analysis.scorer.threshold(), analysis.alert.clone());
    alert.budget_per_hour /= 10.0;
    analysis.reconfigure(&alert);
    assert!((analysis.scorer.threshold() - before - 1.0).abs() < 1e-9, "a tenth of the alerts is a decade");
    assert!((f64::from(analysis.scorer.models[0].threshold) - before - 1.0).abs() < 1e-5);
}
