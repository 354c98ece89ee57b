//! On a device that works as far as candle can see (`device.c`): the same scores and the same alerts as on the CPU, and what
//! becomes of them when it fails in the middle of the work.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sensor_tests::capture::{self, Order};
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};
use serde_json::Value;

use super::{START, VESPER, library};

const PARITY: f64 = 1e-4;

/// What is analysed, and by what.
struct Desk {
    folder: tempfile::TempDir,
    libraries: PathBuf,
    capture: PathBuf,
}

/// What came of it.
struct Found {
    /// Rows of `--scores`: what they are of, and the score.
    scores: Vec<(String, f64)>,
    /// Who was alerted of what, when.
    alerts: Vec<String>,
    said: String,
    /// What the device did.
    report: Value,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let libraries = folder.path().join("libraries");
        fs::create_dir(&libraries).unwrap();
        library(&libraries, "libcuda.so.1", include_str!("device.c"));
        // One library, however it is called.
        for name in ["libcublas.so.13", "libcurand.so.10"] {
            symlink("libcuda.so.1", libraries.join(name)).unwrap();
        }
        let mut traffic = Traffic::new(1);
        traffic.benign(START, 90 * SECOND, 6);
        // Windows of flows enough for a GPU.
        traffic.port_scan(START + 60 * SECOND, traffic::client(66), traffic::SSH.0, 10_000, MILLISECOND / 2);
        let capture = folder.path().join("capture.pcapng");
        let file = capture::pcapng(&traffic.into_packets(), Order::Little, capture::ETHERNET);
        fs::write(&capture, file).unwrap();
        Desk { folder, libraries, capture }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn vesper(&self, arguments: &[&Path], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(VESPER);
        command.args(arguments).env("LD_LIBRARY_PATH", &self.libraries).env_remove("RUST_LOG");
        command
            .env("DEVICE_REPORT", self.at("report.json"))
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    fn report(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.at("report.json")).unwrap()).unwrap()
    }

    /// `settings` are those of section `score`.
    fn analyze(&self, settings: &str, environment: &[(&str, &str)]) -> Found {
        let [config, scores, alerts] =
            ["vesper.toml", "scores.csv", "alerts.jsonl"].map(|name| self.at(name));
        fs::write(&config, format!("[score]\nwarmup_time = \"30s\"\n{settings}\n")).unwrap();
        fs::write(self.at("report.json"), "{}").unwrap();
        let [analyze, with_config, with_scores, with_alerts] =
            ["analyze", "--config", "--scores", "--alerts"].map(Path::new);
        let arguments =
            [analyze, &self.capture, with_config, &config, with_scores, &scores, with_alerts, &alerts];
        let output = self.vesper(&arguments, environment);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{:?}: {said}", output.status);
        let text = fs::read_to_string(&scores).unwrap();
        let mut lines = text.lines();
        let column = lines.next().unwrap().split(',').position(|name| name == "score").unwrap();
        let scores = lines
            .map(|line| {
                let fields: Vec<&str> = line.split(',').collect();
                (fields[..column].join(","), fields[column].parse().unwrap())
            })
            .collect();
        let alerts = fs::read_to_string(&alerts).unwrap();
        let alerts = alerts
            .lines()
            .map(|line| {
                let alert: Value = serde_json::from_str(line).unwrap();
                ["threat_type", "source_ip", "destination_ip", "timestamp"]
                    .map(|name| alert[name].to_string())
                    .join(" ")
            })
            .collect();
        Found { scores, alerts, said, report: self.report() }
    }
}

/// The same rows, scores and alerts.
fn assert_same(found: &Found, expected: &Found, name: &str) {
    assert_eq!(found.scores.len(), expected.scores.len(), "{name}");
    for ((row, score), (expected_row, expected)) in found.scores.iter().zip(&expected.scores) {
        assert_eq!(row, expected_row, "{name}");
        let off = (score - expected).abs() / expected.abs().max(1.0);
        assert!(off <= PARITY, "{name}: {row}: {score}, on the CPU {expected}");
    }
    assert_eq!(found.alerts, expected.alerts, "{name}");
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_device_that_works_finds_what_the_cpu_finds() {
    let desk = Desk::new();
    for (index, code, says) in
        [("0", 0, "Stand-in 0"), ("1", 0, "Stand-in 1"), ("2", 1, "CUDA_ERROR_INVALID_DEVICE")]
    {
        let output = desk.vesper(&["gpu-probe", index].map(Path::new), &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said} {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(says), "{said}");
    }

    let expected = desk.analyze("device = \"cpu\"", &[]);
    assert!(expected.scores.len() > 5_000 && !expected.alerts.is_empty(), "{:?}", expected.alerts);
    let found = desk.analyze("device = \"auto\"\ngpu = 1\ngpu_memory = \"64MiB\"", &[]);
    assert_same(&found, &expected, "64 MiB");
    let told = found.said.lines().filter(|line| line.contains("the model runs on the GPU")).count();
    assert!(told == 1 && found.said.contains("Stand-in 1"), "{}", found.said);
    assert!(!found.said.contains("failed"), "{}", found.said);
    assert!(number(&found.report, "matrices") > 40, "{}", found.report);
    let peak = number(&found.report, "peak");
    assert!(peak <= 64 << 20, "{peak}");
    // Nothing waits for another stream: there is none.
    assert_eq!(number(&found.report, "events"), 0, "{}", found.report);

    // Large batches are learned from there too: other last digits, the same alerts.
    let learning = "batch_rows = 1024\nwarmup_steps = 3";
    let expected = desk.analyze(&format!("device = \"cpu\"\n{learning}"), &[]);
    let learned = desk.analyze(&format!("device = \"auto\"\n{learning}"), &[]);
    assert_eq!(learned.alerts, expected.alerts);
    assert!(number(&learned.report, "operations") > 2 * number(&found.report, "operations"));
    assert!(!learned.said.contains("failed"), "{}", learned.said);
}

#[test]
fn a_device_that_fails_at_work_is_survived() {
    let desk = Desk::new();
    let expected = desk.analyze("device = \"cpu\"", &[]);
    desk.vesper(&["gpu-probe", "0"].map(Path::new), &[]);
    let tested = number(&desk.report(), "operations");
    let whole = number(&desk.analyze("device = \"auto\"", &[]).report, "operations");
    assert!(whole > 2 * tested, "{whole} {tested}");
    let after = ((whole + tested) / 2).to_string();
    for (fails, says) in [
        ("lost", "CUDA_ERROR_LAUNCH_FAILED"),
        ("memory", "CUDA_ERROR_OUT_OF_MEMORY"),
        ("nan", "no number"),
        ("hangs", "did not answer within a second"),
    ] {
        let found =
            desk.analyze("device = \"auto\"", &[("DEVICE_FAILS", fails), ("DEVICE_AFTER", after.as_str())]);
        assert_same(&found, &expected, fails);
        let told: Vec<&str> = found.said.lines().filter(|line| line.contains("the GPU failed")).collect();
        assert!(told.len() == 1 && told[0].contains(says), "{fails}: {}", found.said);
        // What was lost is given back whole: only then a driver takes the device into use again.
        assert!(fails != "lost" || number(&found.report, "contexts") == 0, "{fails}: {}", found.report);
    }
}
