//! The program `vesper`, running in a namespace.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use crate::namespace::Namespace;

/// A process that ends with the test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running sensor and its log.
pub struct Running {
    /// It.
    pub process: Ended,
    log: Receiver<String>,
    /// Its log, as far as it was waited for.
    pub seen: Vec<String>,
}

impl Running {
    /// Starts `program` inside the namespace.
    pub fn start(program: &str, namespace: &Namespace, config: &Path) -> Running {
        let mut command = namespace.command(program);
        command.args(["run", "--json"]);
        Running::start_by(command, config)
    }

    /// Starts what the command says, with these settings.
    pub fn start_by(mut command: Command, config: &Path) -> Running {
        command.arg("--config").arg(config);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = process.stderr.take().unwrap();
        let log = lines(stderr);
        Running { process: Ended(process), log, seen: Vec::new() }
    }

    /// Waits until the log says so, a minute at most.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            match self.log.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    println!("{line}");
                    let found = line.contains(text);
                    self.seen.push(line);
                    if found {
                        return;
                    }
                }
                Err(error) => panic!("the sensor did not say {text:?} ({error}): {:#?}", self.seen),
            }
        }
    }

    /// The API's answer, with its head.
    pub fn get(&self, namespace: &Namespace, path: &str) -> String {
        let url = format!("http://127.0.0.1:8888{path}");
        let output =
            namespace.command("curl").args(["--silent", "--include", "--max-time", "5", &url]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    /// The API's answer to a JSON body, without its head.
    pub fn post(&self, namespace: &Namespace, path: &str, body: &serde_json::Value) -> serde_json::Value {
        let (url, body) = (format!("http://127.0.0.1:8888{path}"), body.to_string());
        let json = "Content-Type: application/json";
        let arguments = ["--silent", "--show-error", "--max-time", "5", "-H", json, "-d", &body, &url];
        let output = namespace.command("curl").args(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{path}: {error}: {output:?}"))
    }

    /// Asks it to stop, and returns its summary.
    pub fn stop(&mut self) -> serde_json::Value {
        self.stop_by("-INT")
    }

    /// Sends it a signal that makes it stop in order, and returns its summary.
    pub fn stop_by(&mut self, signal: &str) -> serde_json::Value {
        let pid = self.process.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut out = String::new();
        self.process.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert!(self.process.0.wait().unwrap().success(), "{:#?}", self.seen);
        serde_json::from_str(&out).unwrap()
    }
}

/// The lines of a stream as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1000);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
