//! A GPU that fails while the sensor works: from the batch in which it fails to metrics, health and the alert in the store. The
//! CPU stands for the GPU; whatever is around it is the sensor's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use candle_core::Device;

use super::watcher::{Watched, Watcher};
use super::{Outlets, SINK_PATIENCE};
use crate::alert::Alert;
use crate::analysis::traffic::{Answer, EPOCH, Traffic, lan};
use crate::analysis::{Analysis, AnalysisConfig};
use crate::api::health::{Health, State};
use crate::capture::{Clock, FLOW_BATCH, Tick};
use crate::config::Config;
use crate::flow::SECOND;
use crate::journal::Journal;
use crate::model::Keeper;
use crate::score::gpu::{Failure, Gpu, LEAST_ROWS, Limits, Opened};
use crate::score::scorer::Scorer;
use crate::sinks::Sinks;
use crate::status::{Shared, Status, metrics};
use crate::store::{Ingest, Store, retention};

/// Enough flows a second for the GPU.
const FLOWS: u16 = LEAST_ROWS as u16 + 200;
const SAID: &str = "CUDA_ERROR_LAUNCH_FAILED";

/// One that works until `broken` is set, and again afterwards.
fn gpu(broken: &Arc<AtomicBool>) -> Arc<Gpu> {
    let asked = broken.clone();
    let open = move || {
        if asked.load(Ordering::Acquire) {
            return Err(Failure::Broken(SAID.to_owned()));
        }
        let asked = asked.clone();
        // Asked after each batch, on the thread that has the device: it fails as a driver fails, in the middle of the work.
        let used = Box::new(move || {
            assert!(!asked.load(Ordering::Acquire), "{SAID}");
            1 << 20
        });
        Ok(Opened {
            device: Device::Cpu,
            name: "stand-in".to_owned(),
            cap: 1 << 30,
            used,
            last: Box::new(()),
        })
    };
    let limits = Limits {
        latency: Duration::from_secs(1),
        retry: Duration::from_millis(200),
        patience: Duration::from_secs(20),
    };
    Gpu::start(open, limits, Duration::from_secs(30)).unwrap()
}

/// A sensor without an interface: its traffic is made here.
struct Sensor {
    watcher: Watcher,
    shared: Arc<Shared>,
    totals: sensor_ebpf::counter::Totals,
    second: u64,
}

impl Sensor {
    fn new(gpu: Arc<Gpu>, config: &Config, store: &Store) -> Sensor {
        let mut analysis = Analysis::new(&AnalysisConfig::from(config)).unwrap();
        analysis.set_scorer(Scorer::on(Some(gpu), &config.score, config.alert.budget_per_hour).unwrap());
        let outlets = Outlets {
            ingest: Ingest::start(store.clone(), retention::Limits::of(&config.store), None).unwrap(),
            sinks: Sinks::start(Vec::new(), store).unwrap(),
            journal: Journal::start(&config.journal, &config.state_dir, analysis.layout()).unwrap(),
            keeper: Keeper::start(&config.state_dir, &config.score).unwrap(),
        };
        let real = Clock::new();
        let watched = Watched {
            // An hour before the traffic, which is ahead of real time by more than any machine is late: each tick is published.
            clock: Clock { offset: real.offset - (real.now() - EPOCH) - 3600 * SECOND },
            counters: Arc::default(),
            buffers: Default::default(),
            steering: Default::default(),
            earlier: Default::default(),
            capture: Default::default(),
        };
        watched.counters.attached.store(true, Ordering::Relaxed);
        watched.counters.link_up.store(true, Ordering::Relaxed);
        let shared = Arc::new(Shared::default());
        let watcher = Watcher::new(analysis, outlets, watched, config, shared.clone());
        Sensor { watcher, shared, totals: Default::default(), second: 0 }
    }

    /// A second of traffic; what the control plane shows after it.
    fn second(&mut self) -> Arc<Status> {
        let mut traffic = Traffic::new(self.second);
        let begins = EPOCH + self.second * SECOND;
        for port in 0..FLOWS {
            traffic.syn(begins, (lan(11), 32_768 + port), (lan(21), 80), Answer::Refused);
        }
        for tick in traffic.ticks() {
            for delta in &tick.deltas {
                self.totals.seen.packets += delta.grown.packets.iter().sum::<u64>();
                self.totals.seen.bytes += delta.grown.bytes.iter().sum::<u64>();
            }
            tick.deltas.chunks(FLOW_BATCH).for_each(|batch| self.watcher.flows(batch));
        }
        self.totals.counted = self.totals.seen;
        self.second += 1;
        self.watcher.tick(&Tick {
            time: EPOCH + self.second * SECOND,
            totals: self.totals,
            ..Tick::default()
        });
        self.shared.latest()
    }
}

/// A metric's value, and the word of `/health` on the GPU.
fn told(status: &Status, metric: &str) -> (f64, State, String) {
    let text = metrics::render(status, &Default::default()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("vesper_score_gpu_{metric} ")));
    let health = Health::of(status, status.time);
    let part = health.components.into_iter().find(|part| part.name == "gpu").unwrap();
    (line.unwrap().parse().unwrap(), part.state, part.reason)
}

#[test]
fn a_gpu_that_fails_at_work_is_told_of_everywhere_and_no_window_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { state_dir: folder.path().to_owned(), ..Config::default() };
    config.journal.enabled = false;
    let (store, _) = Store::open(&config.store, &config.state_dir).unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let gpu = gpu(&broken);
    let mut sensor = Sensor::new(gpu.clone(), &config, &store);

    sensor.second();
    sensor.second();
    let before = sensor.second();
    assert_eq!(told(&before, "ready"), (1.0, State::Ok, String::new()));
    assert!(told(&before, "rows_total").0 >= f64::from(FLOWS), "nothing was scored on it");
    assert_eq!(told(&before, "memory_bytes").0, f64::from(1 << 20));

    broken.store(true, Ordering::Release);
    sensor.second();
    let lost = sensor.second();
    let reason = format!("the model runs on the CPU: {SAID}");
    assert_eq!(told(&lost, "ready"), (0.0, State::Degraded, reason));
    assert_eq!(told(&lost, "failures_total").0, 1.0);
    let scored = |status: &Status| (status.ledger.scoring.made, status.ledger.scoring.scored);
    let (made, done) = scored(&lost);
    assert!(
        made == done && made >= scored(&before).1 + 2 * u64::from(FLOWS),
        "{made} {done} {:?}",
        scored(&before)
    );
    assert_eq!(lost.score_failed, 0);
    assert!(lost.residue.is_zero(), "{:?}", lost.residue);

    broken.store(false, Ordering::Release);
    assert!((0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        gpu.ready()
    }));
    sensor.second();
    let again = sensor.second();
    assert_eq!(told(&again, "ready"), (1.0, State::Ok, String::new()));
    assert_eq!(told(&again, "failures_total").0, 1.0);
    assert!(told(&again, "rows_total").0 > told(&lost, "rows_total").0);

    let (_, events) = sync_channel(1);
    let (_, outlets) = sensor.watcher.run(&events);
    outlets.ingest.stop(SINK_PATIENCE);
    let stored = |connection: &rusqlite::Connection| {
        let mut select = connection.prepare("SELECT json FROM alerts")?;
        select.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    let alerts: Vec<Alert> =
        store.read(stored).unwrap().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let of_gpu: Vec<&Alert> =
        alerts.iter().filter(|alert| alert.details.narrative.contains("The GPU failed")).collect();
    assert_eq!(of_gpu.len(), 1, "{alerts:?}");
    assert!(of_gpu[0].details.narrative.contains(SAID) && of_gpu[0].details.count == 1);
}
