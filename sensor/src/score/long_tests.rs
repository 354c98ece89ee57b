//! What shows only after long: run with `VESPER_LONG=1`, minutes.

use super::config::ScoreConfig;
use super::fused::Fused;
use super::model::Model;
use super::random::Random;
use crate::features::spec;
use candle_core::Device;

/// A day of an active sensor, and more.
const STEPS: usize = 24_000;
/// Few rows: it is the number of steps that counts.
const ROWS: usize = 16;

/// Bytes of this process in memory.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

#[test]
fn memory_does_not_grow_with_training() {
    if std::env::var_os("VESPER_LONG").is_none() {
        println!("not run: it takes minutes, set VESPER_LONG=1");
        return;
    }
    let config = ScoreConfig { batch_rows: ROWS, training_rows: 256, ..ScoreConfig::default() };
    let mut random = Random::new(9);
    let mut model = Model::new(&spec::FLOW, &config, &mut random, None);
    let mut fused = Fused::new(&model.ensemble(), &Device::Cpu).unwrap();
    for source in 0..256 {
        let row: Vec<f32> = (0..spec::FLOW.len()).map(|_| random.symmetric().abs()).collect();
        model.set.offer(row.into_iter(), source, 16, &mut random);
    }
    let rows: Vec<f32> = (0..ROWS * fused.width()).map(|_| random.symmetric().abs()).collect();
    let mut work = |steps: usize| {
        for _ in 0..steps {
            model.train(1, &config, 0.001, &mut random);
            fused.train(&rows, 0.1, 0.001).unwrap();
        }
    };
    // Buffers are taken at first.
    work(STEPS / 24);
    let before = resident();
    work(STEPS);
    let grown = resident().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more after {STEPS} steps");
    let learned = fused.weights().unwrap();
    assert!(learned.iter().all(|weights| weights.step == (STEPS + STEPS / 24) as u64));
}
