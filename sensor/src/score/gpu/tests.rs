//! The CPU stands for the GPU here: what is shown is what happens around it, above all when it fails.

use super::*;
use crate::features::matrix::Matrix;
use crate::features::spec;
use crate::score::config::ScoreConfig;
use crate::score::fused::Fused;
use crate::score::model::Model;
use crate::score::random::Random;
use std::sync::atomic::AtomicU32;

const RETRY: Duration = Duration::from_millis(200);
/// Longer than what a batch takes here, on a machine that does much else.
const TEST_PATIENCE: Duration = Duration::from_secs(4);

fn opened() -> Result<Opened, Failure> {
    let used = Box::new(|| 1 << 20);
    Ok(Opened { device: Device::Cpu, name: "stand-in".to_owned(), cap: 1 << 30, used, last: Box::new(()) })
}

fn start(open: impl FnMut() -> Result<Opened, Failure> + Send + 'static) -> Option<Arc<Gpu>> {
    let limits = Limits { latency: Duration::from_millis(100), retry: RETRY, patience: TEST_PATIENCE };
    Gpu::start(open, limits, Duration::from_secs(30))
}

fn model(gpu: Option<Arc<Gpu>>, config: &ScoreConfig) -> Model {
    Model::new(&spec::FLOW, config, &mut Random::new(1), gpu)
}

fn rows(seed: u64, count: usize) -> Matrix {
    let mut random = Random::new(seed);
    let mut matrix = Matrix::new(&spec::FLOW);
    for _ in 0..count {
        matrix.push_encoded((0..spec::FLOW.len()).map(|_| random.symmetric().abs()));
    }
    matrix
}

fn scores(model: &mut Model, rows: &Matrix) -> Vec<f32> {
    let mut scores = Vec::new();
    model.score(rows, &mut scores);
    scores
}

fn assert_near(found: &[f32], expected: &[f32], within: f32) {
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= within * expected.abs().max(1.0), "{row}: {found} {expected}");
    }
}

/// Waits for it to be in use again.
fn again(gpu: &Gpu) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(RETRY / 10);
        gpu.ready()
    })
}

#[test]
fn scores_and_learns_the_same_as_the_cpu() {
    let config = ScoreConfig { batch_rows: LEAST_ROWS, training_rows: 4096, ..ScoreConfig::default() };
    let gpu = start(opened).unwrap();
    let mut models = [model(Some(gpu.clone()), &config), model(None, &config)];
    // More than one batch, and one that is not full.
    let window = rows(2, FIRST_ROWS * 2 + 37);
    let [one, two] = models.each_mut().map(|model| scores(model, &window));
    assert_near(&one, &two, 1e-4);
    assert_eq!(gpu.status().rows, window.rows() as u64);
    for model in &mut models {
        let mut random = Random::new(3);
        for row in 0..4096 {
            model.set.offer(window.row(row), row as u64, 16, &mut random);
        }
        model.train(5, &config, 0.005, &mut random);
        model.measure_deviation();
    }
    assert_eq!(gpu.status().steps, 5);
    let [one, two] = models.each_mut().map(|model| scores(model, &window));
    assert_near(&one, &two, 1e-3);
    assert_eq!((gpu.status().failures, gpu.status().memory), (0, 1 << 20));
    // A window of few rows is not worth it.
    let before = gpu.status().rows;
    scores(&mut models[0], &rows(4, LEAST_ROWS - 1));
    assert_eq!(gpu.status().rows, before);
}

#[test]
fn no_window_is_lost_when_it_fails_and_it_is_tried_again() {
    type Fail = fn(&mut Owner) -> Result<(), Failure>;
    let failures: [(&str, Fail); 3] = [
        ("an error", |_| Err(Failure::Broken("CUDA_ERROR_OUT_OF_MEMORY".to_owned()))),
        ("a panic", |_| panic!("Missing symbol")),
        ("a device that hangs", |_| {
            std::thread::sleep(TEST_PATIENCE * 3 / 2);
            Ok(())
        }),
    ];
    let config = ScoreConfig::default();
    let window = rows(5, FIRST_ROWS);
    let expected = scores(&mut model(None, &config), &window);
    for (name, fail) in failures {
        let works = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&works);
        let gpu = start(move || match asked.load(Ordering::Acquire) {
            true => opened(),
            false => Err(Failure::Broken("not yet".to_owned())),
        })
        .unwrap();
        let mut model = model(Some(gpu.clone()), &config);
        assert_near(&scores(&mut model, &window), &expected, 1e-4);
        works.store(false, Ordering::Release);
        let _ahead = gpu.begin(fail).unwrap();
        let begun = owner::now();
        // By the CPU, to the last digit.
        assert_eq!(scores(&mut model, &window), expected, "{name}");
        assert!(begun.elapsed() < TEST_PATIENCE * 2, "{name}: {:?}", begun.elapsed());
        let status = gpu.status();
        assert_eq!((status.failures, status.lost, status.ready), (1, true, false), "{name}");
        assert!(!status.reason.is_empty());
        works.store(true, Ordering::Release);
        assert!(again(&gpu), "{name}");
        assert_near(&scores(&mut model, &window), &expected, 1e-4);
        assert!(!gpu.status().lost && gpu.status().reason.is_empty());
    }
}

#[test]
fn what_was_on_a_device_that_failed_is_brought_to_the_next_one() {
    let (config, window) = (ScoreConfig::default(), rows(6, LEAST_ROWS));
    let gpu = start(opened).unwrap();
    let of = |seed, gpu| Model::new(&spec::FLOW, &config, &mut Random::new(seed), gpu);
    let expected = [1, 2, 3].map(|seed| scores(&mut of(seed, None), &window));
    let mut models = [1, 2, 3].map(|seed| of(seed, Some(gpu.clone())));
    for (model, expected) in models.iter_mut().zip(&expected) {
        assert_near(&scores(model, &window), expected, 1e-4);
    }
    let failed = gpu.run(|_| Err::<(), _>(Failure::Broken("lost".to_owned())));
    assert!(failed.is_err() && again(&gpu));
    // In another order, so that what was the first ensemble is not.
    for (model, expected) in models.iter_mut().zip(&expected).rev() {
        assert_near(&scores(model, &window), expected, 1e-4);
    }
    assert_eq!((gpu.status().failures, gpu.status().rows), (1, 6 * window.rows() as u64));
}

#[test]
fn what_is_no_number_is_a_failure() {
    let gpu = start(opened).unwrap();
    let mut parts = model(None, &ScoreConfig::default()).ensemble();
    let biases = parts[0].weights.tensors.last_mut().unwrap();
    biases[0][0] = f32::NAN;
    let width: usize = parts.iter().map(|part| part.teach.len()).sum();
    let scored = gpu.run(move |owner| {
        let handle = owner.load(&parts)?;
        owner.score(handle.number(), &vec![0.5; width * 16])
    });
    assert_eq!(scored.unwrap_err(), Failure::Broken("a score is no number".to_owned()));
    assert_eq!(gpu.status().failures, 1);
}

#[test]
fn training_that_fails_is_done_by_the_cpu_from_the_same_batches() {
    let config = ScoreConfig { batch_rows: LEAST_ROWS, training_rows: 2048, ..ScoreConfig::default() };
    let gpu = start(opened).unwrap();
    let mut models = [model(Some(gpu.clone()), &config), model(None, &config)];
    let window = rows(7, 2048);
    let _ahead = gpu.begin(|_| -> Result<(), Failure> { panic!("lost") }).unwrap();
    for model in &mut models {
        let mut random = Random::new(3);
        (0..2048).for_each(|row| {
            model.set.offer(window.row(row), row as u64, 16, &mut random);
        });
        model.train(3, &config, 0.005, &mut random);
    }
    let [one, two] = models.each_ref().map(Model::save);
    assert_eq!(one, two);
    assert_eq!(gpu.status().failures, 1);
}

#[test]
fn a_device_that_is_absent_is_not_tried_again_and_a_broken_one_is() {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    assert!(start(|| Err(Failure::Absent("none".to_owned()))).is_none());
    let open = || match TRIED.fetch_add(1, Ordering::Relaxed) {
        0 => panic!("Unable to dynamically load"),
        1 => Err(Failure::Broken("CUDA_ERROR_UNKNOWN".to_owned())),
        _ => opened(),
    };
    let gpu = start(open).unwrap();
    assert!(!gpu.ready() && gpu.status().failures == 0);
    assert!(again(&gpu));
    assert_eq!(TRIED.load(Ordering::Relaxed), 3);
}

#[test]
fn batches_follow_the_latency() {
    let limits = Limits { latency: Duration::from_millis(1), retry: RETRY, patience: TEST_PATIENCE };
    let gpu = Gpu::start(opened, limits, Duration::from_secs(30)).unwrap();
    let mut model = model(Some(gpu.clone()), &ScoreConfig::default());
    for seed in 0..4 {
        scores(&mut model, &rows(seed, FIRST_ROWS * 2));
    }
    // Rows by the thousand take a CPU longer than that.
    assert_eq!(gpu.batch_rows(), LEAST_ROWS);
}

#[test]
fn many_may_ask_at_once_and_training_does_not_hold_up_scoring() {
    const STEPS: usize = 60;
    let config = ScoreConfig { batch_rows: LEAST_ROWS, training_rows: 2048, ..ScoreConfig::default() };
    let gpu = start(opened).unwrap();
    let window = rows(8, LEAST_ROWS);
    let expected = scores(&mut model(None, &config), &window);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut model, mut random) = (model(Some(gpu.clone()), &config), Random::new(3));
            (0..2048).for_each(|row| {
                model.set.offer(window.row(row % LEAST_ROWS), row as u64, 16, &mut random);
            });
            model.train(STEPS, &config, 0.005, &mut random);
        });
        while gpu.status().steps == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        // More than there is room for.
        let scorers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut model = model(Some(gpu.clone()), &config);
                    (0..3).for_each(|_| assert_near(&scores(&mut model, &window), &expected, 1e-4));
                })
            })
            .collect();
        scorers.into_iter().for_each(|scorer| scorer.join().unwrap());
        assert!(gpu.status().steps < STEPS as u64, "all steps came before the scores");
    });
    let status = gpu.status();
    assert_eq!((status.failures, status.steps, status.rows), (0, STEPS as u64, 12 * LEAST_ROWS as u64));
}

#[test]
fn batches_fit_into_the_memory() {
    let config = ScoreConfig::default();
    for cap in [8 << 20, 32 << 20] {
        let limits = Limits { latency: Duration::from_secs(1), retry: RETRY, patience: TEST_PATIENCE };
        let open = move || Ok(Opened { cap, ..opened()? });
        let gpu = Gpu::start(open, limits, Duration::from_secs(30)).unwrap();
        let mut model = model(Some(gpu.clone()), &config);
        let each = Fused::new(&model.ensemble(), &Device::Cpu).unwrap().bytes_per_row() as u64;
        for seed in 0..3 {
            scores(&mut model, &rows(seed, FIRST_ROWS * 2));
            let (rows, status) = (gpu.batch_rows(), gpu.status());
            assert!(rows == LEAST_ROWS || rows as u64 * each <= cap / 2, "{rows} rows of {each} bytes");
            assert_eq!((status.failures, status.memory_cap), (0, cap));
        }
    }
}
