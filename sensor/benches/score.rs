//! Rows a second through the model of flows, for scoring and for training, by rows at once; where the time goes; and how
//! fast this machine could be at most. `cargo xtask bench score` runs it and compares; `--gpu` adds the GPU.
//!
//! Prints one JSON object. Whatever else runs on the machine makes some runs slower and none faster, so the best of many
//! short ones counts.
#![allow(clippy::unwrap_used, reason = "a benchmark ends with the error")]
#![allow(clippy::disallowed_methods, reason = "it measures how long things take")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use sensor::features::matrix::Matrix;
use sensor::features::spec::{self, Group};
use sensor::score::config::{DeviceChoice, ScoreConfig};
use sensor::score::device;
use sensor::score::fused::{Fused, Part};
use sensor::score::gpu::Gpu;
use sensor::score::member::Member;
use sensor::score::model::Model;
use sensor::score::random::Random;
use serde_json::{Value, json};

const WIDTH: usize = spec::FLOW.len();
const SCORED: [usize; 6] = [64, 256, 512, 1024, 8192, 65_536];
const TRAINED: [usize; 4] = [64, 128, 1024, 4096];
/// Values of a copy that measures how much goes over the bus: what a batch takes is small beside it.
const COPIED: usize = 64 << 20;
/// Members without a network.
const OTHERS: [&str; 3] = ["evidence", "rarity", "history"];
/// Parity is shown on so many rows.
const COMPARED: usize = 65_536;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let gpu = arguments.iter().any(|argument| argument == "--gpu");
    let weights = arguments.iter().find_map(|argument| argument.strip_prefix("--weights="));
    let model = model(None);
    let parts = model.ensemble();
    if let Some(path) = weights {
        write_weights(Path::new(path), &parts);
    }
    let units = |part: &Part| part.weights.sizes.windows(2).map(|pair| pair[0] * pair[1]).sum::<u32>();
    let operations = 2 * parts.iter().map(units).sum::<u32>();
    let mut result = json!({
        "features": WIDTH,
        "operations_a_row": operations,
        "bytes_a_row": WIDTH * size_of::<f32>(),
        "cpu": cpu(f64::from(operations)),
    });
    if gpu {
        result["gpu"] = on_gpu(&parts, f64::from(operations));
    }
    println!("{result}");
}

fn config() -> ScoreConfig {
    ScoreConfig { device: DeviceChoice::Cuda, ..ScoreConfig::default() }
}

/// What of the model a GPU could do, on the CPU.
fn networks() -> Model {
    let config = ScoreConfig { without: OTHERS.map(str::to_owned).to_vec(), ..config() };
    Model::new(&spec::FLOW, &config, &mut Random::new(1), None)
}

fn model(gpu: Option<Arc<Gpu>>) -> Model {
    Model::new(&spec::FLOW, &config(), &mut Random::new(1), gpu)
}

fn values(count: usize) -> Vec<f32> {
    let mut random = Random::new(2);
    (0..count).map(|_| random.symmetric().abs()).collect()
}

fn matrix(rows: usize) -> Matrix {
    let mut matrix = Matrix::new(&spec::FLOW);
    values(rows * WIDTH).chunks_exact(WIDTH).for_each(|row| matrix.push_encoded(row.iter().copied()));
    matrix
}

/// Seconds of the fastest of many runs, in about half a second.
fn fastest(mut work: impl FnMut()) -> f64 {
    work();
    let begun = Instant::now();
    let mut best = f64::MAX;
    while begun.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// Rows a second by rows at once.
fn scoring(model: &mut Model) -> Vec<Value> {
    let mut scores = Vec::new();
    SCORED
        .iter()
        .map(|&rows| {
            let matrix = matrix(rows);
            let took = fastest(|| {
                scores.clear();
                model.score(black_box(&matrix), &mut scores);
            });
            json!({ "rows": rows, "rows_a_second": rows as f64 / took })
        })
        .collect()
}

fn cpu(operations: f64) -> Value {
    let mut model = model(None);
    let scored = scoring(&mut model);
    let mut random = Random::new(3);
    let groups = [Group::Volume, Group::Connection, Group::Content];
    let mut members: Vec<Member> = groups
        .into_iter()
        .filter_map(|group| Member::new(group, &spec::FLOW, &config(), &mut random))
        .collect();
    let trained: Vec<Value> = TRAINED
        .iter()
        .map(|&rows| {
            let batch = values(rows * WIDTH);
            let took =
                fastest(|| members.iter_mut().for_each(|member| member.train(&batch, WIDTH, 0.1, 1e-4)));
            json!({ "rows": rows, "rows_a_second": rows as f64 / took, "step_us": took * 1e6 })
        })
        .collect();

    // Where the time of 512 rows goes.
    let rows = config().chunk_rows;
    let raw: Vec<f64> = values(WIDTH).into_iter().map(f64::from).collect();
    let mut encoded = Matrix::new(&spec::FLOW);
    let mut fill = |encode: bool| {
        fastest(|| {
            encoded.clear();
            (0..rows).for_each(|_| encoded.push(black_box(&raw)));
            if encode {
                encoded.encode();
            }
        })
    };
    let (push, both) = (fill(false), fill(true));
    let matrix = matrix(rows);
    let deviation = model.deviation.clone();
    let mut stages = vec![
        json!({ "stage": "rows into the matrix", "ns_a_row": push / rows as f64 * 1e9 }),
        json!({ "stage": "scale of the features", "ns_a_row": (both - push).max(0.0) / rows as f64 * 1e9 }),
    ];
    for member in &mut model.members {
        let took = fastest(|| {
            for block in matrix.blocks() {
                black_box(member.values(block, &deviation));
            }
        });
        // Alone a member runs on vectors of four numbers, in the whole on the widest.
        let stage = format!("member {}, narrow vectors", member.group.name());
        stages.push(json!({ "stage": stage, "ns_a_row": took / rows as f64 * 1e9 }));
    }
    let column = matrix.blocks().next().unwrap()[0];
    let tails = fastest(|| {
        for _ in 0..rows / 16 {
            model.members.iter().for_each(|member| {
                let _kept = black_box(member.decades(black_box(&column)));
            });
        }
    });
    stages.push(json!({ "stage": "tails, narrow vectors", "ns_a_row": tails / rows as f64 * 1e9 }));

    let (bytes, rate) = (copied(), multiplied());
    let floor = (WIDTH as f64 * 4.0 / bytes).max(operations / rate);
    json!({
        "scoring": scored,
        "scoring_networks": scoring(&mut networks()),
        "training": trained,
        "stages": stages,
        "copy_bytes_a_second": bytes,
        "operations_a_second": rate,
        "floor_ns_a_row": floor * 1e9,
    })
}

/// Bytes a second that one core copies, from memory to memory.
fn copied() -> f64 {
    const SIZE: usize = 64 << 20;
    let (from, mut to) = (vec![1u8; SIZE], vec![0u8; SIZE]);
    SIZE as f64 / fastest(|| black_box(&mut to).copy_from_slice(black_box(&from)))
}

/// Operations a second of one core on matrices that stay in its cache.
fn multiplied() -> f64 {
    const SIDE: usize = 512;
    let side = |seed| {
        let mut random = Random::new(seed);
        let values: Vec<f32> = (0..SIDE * SIDE).map(|_| random.symmetric()).collect();
        Tensor::from_vec(values, (SIDE, SIDE), &Device::Cpu).unwrap()
    };
    let (one, two) = (side(1), side(2));
    2.0 * (SIDE as f64).powi(3) / fastest(|| drop(black_box(one.matmul(&two).unwrap())))
}

/// For another program: sizes, weights, deviations and limits of each network as lines of numbers.
fn write_weights(path: &Path, parts: &[Part]) {
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| {
            let tensors: Vec<&Vec<f32>> = part.weights.tensors.iter().map(|[values, _, _]| values).collect();
            json!({
                "sizes": part.weights.sizes,
                "tensors": tensors,
                "per_usual": part.per_usual,
                "most": part.most,
            })
        })
        .collect();
    std::fs::write(path, json!(parts).to_string()).unwrap();
}

fn on_gpu(parts: &[Part], operations: f64) -> Value {
    let opened = match device::open(0, 0) {
        Ok(opened) => opened,
        Err(failure) => return json!({ "absent": failure.to_string() }),
    };
    let (name, device) = (opened.name.clone(), &opened.device);
    let mut fused = Fused::new(parts, device).unwrap();
    let rows = *SCORED.last().unwrap();
    let values = values(rows * fused.width());
    let sync = || device.synchronize().unwrap();
    let copy_in = fastest(|| {
        black_box(fused.batch(&values).unwrap());
        sync();
    });
    let input = fused.batch(&values).unwrap();
    let compute = fastest(|| {
        black_box(fused.squares(&input).unwrap());
        sync();
    });
    let squares = fused.squares(&input).unwrap();
    let copy_out = fastest(|| drop(black_box(squares.flatten_all().unwrap().to_vec1::<f32>().unwrap())));
    let kernels = kernels(&input, &fused);
    let trained: Vec<Value> = TRAINED
        .iter()
        .chain(&[65_536])
        .map(|&rows| {
            let batch = &values[..rows * fused.width()];
            let took = fastest(|| {
                fused.train(batch, 0.1, 1e-4).unwrap();
                sync();
            });
            json!({ "rows": rows, "rows_a_second": rows as f64 / took, "step_us": took * 1e6 })
        })
        .collect();
    let large = vec![1.0f32; COPIED];
    let bytes = (COPIED * 4) as f64
        / fastest(|| {
            black_box(Tensor::from_slice(&large, COPIED, device).unwrap());
            sync();
        });
    let square = Tensor::ones((4096, 4096), DType::F32, device).unwrap();
    let rate = 2.0 * 4096f64.powi(3)
        / fastest(|| {
            black_box(square.matmul(&square).unwrap());
            sync();
        });
    drop((fused, input, squares, square));
    let memory = (opened.used)();

    // The whole way, as the sensor goes it; and that the results are the same.
    let gpu = device::gpu(&config()).unwrap();
    let window = matrix(COMPARED);
    let mut models = [model(Some(gpu.clone())), model(None)];
    let [on_gpu, on_cpu] = models.each_mut().map(|model| {
        let mut scores = Vec::new();
        model.score(&window, &mut scores);
        scores
    });
    let off = on_gpu.iter().zip(&on_cpu).map(|(one, two)| (one - two).abs() / two.abs().max(1.0));
    json!({
        "name": name,
        "parity": off.fold(0.0f32, f32::max),
        "scoring": scoring(&mut models[0]),
        "training": trained,
        "stages": [
            { "stage": "copy in", "ns_a_row": copy_in / rows as f64 * 1e9 },
            { "stage": "compute", "ns_a_row": compute / rows as f64 * 1e9 },
            { "stage": "copy out", "ns_a_row": copy_out / rows as f64 * 1e9 },
        ],
        "kernels": kernels,
        "copy_bytes_a_second": bytes,
        "operations_a_second": rate,
        "floor_ns_a_row": (WIDTH as f64 * 4.0 / bytes).max(operations / rate) * 1e9,
        "memory_bytes": memory,
        "status": gpu.status(),
    })
}

/// The largest operations of scoring and of training, each alone, by the device's own clock.
fn kernels(input: &Tensor, fused: &Fused) -> Vec<Value> {
    let (device, rows, units) = (input.device(), input.dims()[0], fused.units());
    let ones = |rows: usize, columns: usize| Tensor::ones((rows, columns), DType::F32, device).unwrap();
    let row = ones(1, units[0]);
    let hidden = ones(rows, units[1]);
    let members = ones(units[0], 3);
    type Operation<'a> = Box<dyn Fn() -> Tensor + 'a>;
    let mut operations: Vec<(String, Operation<'_>)> = Vec::new();
    for pair in units.windows(2) {
        let (from, weights) = (ones(rows, pair[0]), ones(pair[0], pair[1]));
        let name = format!("matrix, {} to {}", pair[0], pair[1]);
        operations.push((name, Box::new(move || from.matmul(&weights).unwrap())));
    }
    operations.push(("bias".to_owned(), Box::new(|| input.broadcast_add(&row).unwrap())));
    operations.push(("ReLU".to_owned(), Box::new(|| input.relu().unwrap())));
    operations.push(("limit".to_owned(), Box::new(|| input.clamp(0f32, 1f32).unwrap())));
    operations.push(("square".to_owned(), Box::new(|| input.sqr().unwrap())));
    operations.push(("means of the members".to_owned(), Box::new(|| input.matmul(&members).unwrap())));
    let slope = "training: slope of the first layer".to_owned();
    operations.push((slope, Box::new(|| input.t().unwrap().matmul(&hidden).unwrap())));
    operations.push(("training: slope of the biases".to_owned(), Box::new(|| input.sum(0).unwrap())));
    operations
        .iter()
        .map(|(name, operation)| {
            let mut best = f64::INFINITY;
            fastest(|| {
                let took = device::event_seconds(device, || drop(black_box(operation())));
                best = best.min(took.unwrap_or(f64::INFINITY));
            });
            json!({ "kernel": name, "rows": rows, "us": best * 1e6 })
        })
        .collect()
}
