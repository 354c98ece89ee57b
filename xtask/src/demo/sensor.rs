//! The sensor under demonstration: started in its namespace, watched through its API and its file of alerts,
//! stopped as an operator would stop it.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::lab::{self, Lab, SENSOR};
use crate::{interrupt, program};

const API_PORT: u16 = 8888;
const STARTS_WITHIN: Duration = Duration::from_secs(15);
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// A running `vesper`.
pub struct Sensor {
    child: Child,
    /// Namespace of its network, for its API listens there on the loopback address.
    network: PathBuf,
    /// State, configuration, log and alerts.
    folder: PathBuf,
    alerts_read: u64,
    stopped: bool,
    keep: bool,
}

/// What the sensor says of itself: `GET /api/v1/statistics`, and the closing summary.
pub struct Statistics {
    all: Value,
    /// `warming`, `calibrating` or `active`.
    pub state: String,
    /// 0 to 1 on the way to active.
    pub progress: f64,
    pub packets: u64,
    pub flows: u64,
    pub windows: u64,
}

impl Sensor {
    /// Starts it on the lab's mirror port, and waits until its API answers.
    pub fn start(lab: &Lab) -> Result<Sensor> {
        let folder = lab.state_folder();
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let config = folder.join("vesper.toml");
        // Everything else is as it comes: the demo shows the defaults.
        let text = format!(
            "state_dir = {:?}\n[sinks.jsonl]\nenabled = true\npath = \"alerts.jsonl\"\n[api]\nlisten = \"127.0.0.1:{API_PORT}\"\n",
            folder.display().to_string()
        );
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let log = |name: &str| File::create(folder.join(name)).with_context(|| format!("create {name}"));
        let binary = std::env::current_exe()?.with_file_name("vesper");
        let child = lab
            .inside(SENSOR, &binary)
            .args(["run", "--interface", "mon0", "--mode", "mirror", "--json", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log("summary.json")?)
            .stderr(log("vesper.log")?)
            // Ctrl-C on a terminal is for us.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let network = Path::new("/run/netns").join(lab.namespace(SENSOR));
        let mut sensor = Sensor { child, network, folder, alerts_read: 0, stopped: false, keep: false };
        let end = Instant::now() + STARTS_WITHIN;
        while let Err(error) = sensor.statistics() {
            sensor.still_runs()?;
            if Instant::now() > end {
                return Err(error)
                    .with_context(|| format!("vesper does not answer\n{}", sensor.last_words()));
            }
            interrupt::pause(Duration::from_millis(100))?;
        }
        Ok(sensor)
    }

    /// Where its alerts are.
    pub fn alerts_path(&self) -> PathBuf {
        self.folder.join("alerts.jsonl")
    }

    /// Lets it run on.
    pub fn leave(&mut self) {
        self.keep = true;
    }

    /// An error with its last words, unless it runs or was stopped.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) if !self.stopped => bail!("vesper ended by itself: {status}\n{}", self.last_words()),
            _ => Ok(()),
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("vesper.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("its log ends with:\n  {}", lines[lines.len().saturating_sub(15)..].join("\n  "))
    }

    /// Alerts written since the last call; a line that is not complete yet waits for the next.
    pub fn new_alerts(&mut self) -> Result<Vec<Value>> {
        let mut file = match File::open(self.alerts_path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.context("open the file of alerts")?,
        };
        file.seek(SeekFrom::Start(self.alerts_read))?;
        let mut text = String::new();
        file.read_to_string(&mut text).context("read the file of alerts")?;
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        self.alerts_read += complete as u64;
        let lines = text[..complete].lines().filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).with_context(|| format!("not an alert: {line}")))
            .collect()
    }

    /// What it says of itself now.
    pub fn statistics(&self) -> Result<Statistics> {
        let network = File::open(&self.network).context("open the sensor's namespace")?;
        // A thread of its own: the namespace it moves into ends with it.
        let body = std::thread::spawn(move || -> Result<String> {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            get("/api/v1/statistics")
        })
        .join()
        .map_err(|_panic| anyhow::anyhow!("the thread that asks the API ended"))??;
        Statistics::parse(&body)
    }

    /// Stops it as Ctrl-C would, and returns its closing summary.
    pub fn stop(&mut self) -> Result<Statistics> {
        self.stopped = true;
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT)?;
        let status = lab::wait_for(&mut self.child, STOPS_WITHIN).with_context(|| self.last_words())?;
        if !status.success() {
            bail!("it ended with {status} when it was stopped\n{}", self.last_words());
        }
        Statistics::parse(&fs::read_to_string(self.folder.join("summary.json"))?)
            .context("its closing summary (run --json)")
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // It may have ended already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn get(path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, API_PORT)).context("connect to the API")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{API_PORT}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the API's answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the API's answer has no body")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("GET {path} gave {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

impl Statistics {
    fn parse(text: &str) -> Result<Statistics> {
        let all: Value = serde_json::from_str(text).context("not JSON")?;
        let number = |key: &str| all[key].as_u64().unwrap_or(0);
        Ok(Statistics {
            state: all["state"].as_str().unwrap_or("unknown").to_owned(),
            progress: all["progress"].as_f64().unwrap_or(0.0),
            packets: number("packets"),
            flows: number("flows"),
            windows: number("windows"),
            all,
        })
    }

    /// Each equation of the ledger with what is left over.
    pub fn residues(&self) -> Vec<(&str, i64)> {
        let residues = self.all["residue"].as_object();
        residues
            .into_iter()
            .flatten()
            // A residue that is no number is as bad as one that is not 0.
            .map(|(name, left)| (name.as_str(), left.as_i64().unwrap_or(i64::MIN)))
            .collect()
    }

    /// The packet ledger for people.
    pub fn ledger(&self) -> String {
        let mut text = format!(
            "packets {}   bytes {}   flows {}   windows {}   alerts {}\nresidues (0 is right): ",
            self.packets, self.all["bytes"], self.flows, self.windows, self.all["alerts"]
        );
        let residues: Vec<String> =
            self.residues().iter().map(|(name, left)| format!("{name} {left}")).collect();
        text.push_str(&residues.join("   "));
        for warning in self.all["warnings"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "\nwarning: {}",
                program::printable(warning.as_str().unwrap_or_default())
            ));
        }
        text
    }
}
