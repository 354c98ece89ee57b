//! Makes an interface fit to be watched, and puts it back.
//!
//! Promiscuous mode belongs to a descriptor and ends with it, unless the program is to count on while no sensor runs. Every
//! other change is written to the state folder before it is made: what a killed sensor left is put back by the next one, or
//! taken over where its program still counts, so that the interface is not set up anew under it. Nothing here is fatal: a
//! driver that refuses is reported, and the sensor sees less.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::super::config::{CaptureConfig, Mode, NicRings};
use super::super::xsk::promiscuous;
use super::ethtool::Ethtool;
use super::saved::{self, Change, Saved};
use super::{Nic, netlink, rss, sys_folder};

/// Offloads that hide packets from XDP, and how. Names as `ethtool -k` has them in netlink.
const HIDING: [(&str, &str); 7] = [
    ("rx-vlan-hw-parse", "takes VLAN tags out of the frame"),
    ("rx-vlan-stag-hw-parse", "takes outer VLAN tags out of the frame"),
    ("rx-vlan-filter", "drops frames of VLANs that are not configured here"),
    ("rx-vlan-stag-filter", "drops frames of outer VLANs that are not configured here"),
    ("rx-lro", "merges packets, and most drivers refuse XDP with it"),
    ("rx-gro-hw", "merges packets in the NIC"),
    ("rx-gro", "merges packets before XDP where it runs in the network stack"),
];

/// For busy polling: how often the driver's interrupt stays off, and how long at most, nanoseconds
/// (Documentation/networking/napi.rst, "IRQ mitigation").
const BUSY_POLL: [(&str, u64); 2] = [("napi_defer_hard_irqs", 2), ("gro_flush_timeout", 200_000)];

/// An interface as the sensor wants it, until this value goes.
pub struct Prepared {
    nic: Nic,
    saved: Saved,
    state_dir: PathBuf,
    /// One line for each change and each refusal.
    lines: Vec<String>,
    kept: bool,
    _promiscuous: Option<OwnedFd>,
}

/// How long the changes are to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// As long as this process.
    Process,
    /// Until somebody takes them back: the program stays too.
    Pinned {
        /// The program of an earlier sensor counts now.
        held: bool,
    },
}

/// Puts back what a killed sensor left, then changes what is to be changed. In `host` mode, and with
/// `prepare_nic = false`, that is nothing.
pub fn prepare(config: &CaptureConfig, nic: &Nic, state_dir: &Path, lasting: Lasting) -> Prepared {
    let wanted = config.mode == Mode::Mirror && config.prepare_nic;
    let taken_over = match Saved::read(state_dir) {
        Ok(Some(left)) if wanted && lasting == (Lasting::Pinned { held: true }) && left.is_on(nic) => {
            Some(left)
        }
        _ => None,
    };
    if taken_over.is_none() {
        put_back(state_dir);
    }
    let mut prepared = Prepared {
        nic: nic.clone(),
        saved: taken_over.unwrap_or_else(|| Saved::new(nic)),
        state_dir: state_dir.to_owned(),
        lines: Vec::new(),
        kept: false,
        _promiscuous: None,
    };
    if wanted {
        prepared.change_all(config, lasting);
    }
    prepared
}

/// Puts back what an earlier sensor left in this state folder.
pub(in super::super) fn put_back(state_dir: &Path) {
    let left = match Saved::read(state_dir) {
        Ok(Some(left)) => left,
        Ok(None) => return,
        Err(error) => {
            let file = saved::path(state_dir);
            tracing::error!(%error, "{} cannot be read: if a sensor was killed before, the interface may still have \
                its offloads off (`ethtool -k`)", file.display());
            return Saved::remove(state_dir);
        }
    };
    match super::find(&left.interface) {
        Ok(nic) if left.is_on(&nic) => {
            tracing::warn!(
                interface = left.interface,
                "settings of an earlier sensor are still on the interface: putting {} of them back",
                left.changes.len()
            );
            restore(&nic, &left.changes);
        }
        _ => tracing::info!(
            interface = left.interface,
            "the interface that an earlier sensor had changed is gone, or was made anew"
        ),
    }
    Saved::remove(state_dir);
}

/// What an earlier sensor that was killed, or one that runs, has changed: its interface, and how much.
pub fn left_over(state_dir: &Path) -> Option<(String, usize)> {
    let left = Saved::read(state_dir).ok()??;
    Some((left.interface, left.changes.len()))
}

/// The offloads that hide packets and are on, with why they matter, and whether they can be switched off.
pub fn hiding(nic: &Nic) -> io::Result<Vec<(&'static str, &'static str, bool)>> {
    let features = Ethtool::open(nic.index)?.features()?;
    let on = |name: &str| features.active.iter().any(|active| active == name);
    let free = |name: &str| features.changeable.iter().any(|changeable| changeable == name);
    Ok(HIDING.iter().filter(|(name, _)| on(name)).map(|(name, why)| (*name, *why, free(name))).collect())
}

impl Prepared {
    /// What was changed, and what could not be: a line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Leaves everything as it is: the program goes on counting. What was changed stays written down.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn change_all(&mut self, config: &CaptureConfig, lasting: Lasting) {
        let name = self.nic.name.clone();
        if lasting != Lasting::Process && !self.nic.promiscuous {
            let line = "promiscuous mode on for as long as the program stays".to_owned();
            self.change(Change::Promiscuous, line, &format!("ip link set {name} promisc on"));
        }
        match promiscuous(self.nic.index) {
            Ok(membership) => {
                self._promiscuous = Some(membership);
                self.say("promiscuous mode on".to_owned());
            }
            Err(error) => self.refused("promiscuous mode", &error, &format!("ip link set {name} promisc on")),
        }
        match hiding(&self.nic) {
            Ok(hiding) => {
                for (offload, why, _) in hiding.into_iter().filter(|(.., free)| *free) {
                    let line = format!("{offload} off: it {why}");
                    self.change(
                        Change::Offload(offload.to_owned()),
                        line,
                        &format!("ethtool -K {name} {offload} off"),
                    );
                }
            }
            Err(error) => self.refused("reading the offloads", &error, &format!("ethtool -k {name}")),
        }
        if config.nic_rings == NicRings::Max {
            self.change_rings();
        }
        if self.nic.rx_queues > 1 {
            self.change_rss();
        }
        if config.busy_poll {
            self.change_interrupts();
        }
    }

    fn change_rings(&mut self) {
        let remedy = format!("ethtool -g {}", self.nic.name);
        match Ethtool::open(self.nic.index).and_then(Ethtool::rings) {
            Ok(rings) if rings.now < rings.max => {
                let line = format!("receive ring {} instead of {}", rings.max, rings.now);
                self.change(Change::Ring { was: rings.now, now: rings.max }, line, &remedy);
            }
            Ok(_) => {}
            Err(error) => self.refused("larger receive rings", &error, &remedy),
        }
    }

    fn change_rss(&mut self) {
        let remedy = format!("ethtool -x {}", self.nic.name);
        let was = match rss::hash(&self.nic.name) {
            Ok(hash) if rss::is_symmetric(&hash) => return,
            Ok(hash) => hash,
            Err(error) => return self.refused("symmetric RSS", &error, &remedy),
        };
        let mut refusal = None;
        for now in rss::candidates(&was) {
            let line = if now.key.is_empty() {
                "symmetric RSS: the NIC's own".to_owned()
            } else {
                "symmetric RSS: a key that repeats".to_owned()
            };
            match self.try_change(Change::Rss { was: was.clone(), now }) {
                Ok(()) => return self.say(line),
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(error) = refusal {
            self.refused("symmetric RSS", &error, &remedy);
        }
    }

    fn change_interrupts(&mut self) {
        for (file, now) in BUSY_POLL {
            let remedy = format!("echo {now} > /sys/class/net/{}/{file}", self.nic.name);
            match read_sys(&self.nic, file) {
                Ok(was) if was >= now => {}
                Ok(was) => {
                    let change = Change::Sys { file: file.to_owned(), was, now };
                    self.change(change, format!("{file} {now} instead of {was}"), &remedy);
                }
                Err(error) => self.refused(file, &error, &remedy),
            }
        }
    }

    fn change(&mut self, change: Change, line: String, remedy: &str) {
        match self.try_change(change) {
            Ok(()) => self.say(line),
            Err(error) => self.refused(&line, &error, remedy),
        }
    }

    /// Writes the change down, makes it, and strikes it out again if the driver refuses.
    fn try_change(&mut self, change: Change) -> io::Result<()> {
        self.saved.changes.push(change.clone());
        // What cannot be written down is not changed: nobody would put it back after a crash.
        let made = self.saved.write(&self.state_dir).and_then(|()| apply(&self.nic, &change));
        if made.is_err() {
            self.saved.changes.pop();
            drop(self.saved.write(&self.state_dir));
        }
        made
    }

    fn say(&mut self, line: String) {
        tracing::info!(interface = self.nic.name, "{line}");
        self.lines.push(line);
    }

    fn refused(&mut self, what: &str, error: &io::Error, remedy: &str) {
        let line = format!("refused: {what}: {error} (by hand: {remedy})");
        tracing::warn!(interface = self.nic.name, "{line}");
        self.lines.push(line);
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // An interface of that name may be another one by now.
        if !self.saved.changes.is_empty()
            && super::find(&self.nic.name).is_ok_and(|nic| self.saved.is_on(&nic))
        {
            restore(&self.nic, &self.saved.changes);
        }
        Saved::remove(&self.state_dir);
    }
}

fn apply(nic: &Nic, change: &Change) -> io::Result<()> {
    match change {
        Change::Offload(name) => Ethtool::open(nic.index)?.set_feature(name, false),
        Change::Promiscuous => netlink::set_promiscuous(nic.index, true),
        Change::Ring { now, .. } => Ethtool::open(nic.index)?.set_rings(*now),
        Change::Rss { now, .. } => {
            rss::set(&nic.name, now)?;
            if rss::is_symmetric(&rss::hash(&nic.name)?) {
                Ok(())
            } else {
                Err(io::Error::other("the driver left it as it was"))
            }
        }
        Change::Sys { file, now, .. } => write_sys(nic, file, *now),
    }
}

/// Puts changes back, the latest first. What somebody else has changed since stays as it is.
fn restore(nic: &Nic, changes: &[Change]) {
    for change in changes.iter().rev() {
        let (what, result) = match change {
            Change::Offload(name) => (format!("{name} on"), put_offload_back(nic, name)),
            Change::Promiscuous => {
                ("promiscuous mode off".to_owned(), netlink::set_promiscuous(nic.index, false))
            }
            Change::Ring { was, now } => (format!("receive ring {was}"), put_ring_back(nic, *was, *now)),
            Change::Rss { was, now } => {
                let unchanged = rss::hash(&nic.name).is_ok_and(|hash| {
                    hash.input_xfrm == now.input_xfrm && (now.key.is_empty() || hash.key == now.key)
                });
                ("RSS".to_owned(), if unchanged { rss::set(&nic.name, was) } else { Ok(()) })
            }
            Change::Sys { file, was, now } => {
                let unchanged = read_sys(nic, file).is_ok_and(|value| value == *now);
                (format!("{file} {was}"), if unchanged { write_sys(nic, file, *was) } else { Ok(()) })
            }
        };
        match result {
            Ok(()) => tracing::info!(interface = nic.name, "put back: {what}"),
            Err(error) => {
                tracing::error!(interface = nic.name, %error, "could not be put back: {what}; do it with ethtool");
            }
        }
    }
}

fn put_offload_back(nic: &Nic, name: &str) -> io::Result<()> {
    let ethtool = Ethtool::open(nic.index)?;
    if ethtool.features()?.active.iter().any(|active| active == name) {
        return Ok(());
    }
    ethtool.set_feature(name, true)
}

fn put_ring_back(nic: &Nic, was: u32, now: u32) -> io::Result<()> {
    let ethtool = Ethtool::open(nic.index)?;
    if ethtool.rings()?.now == now { ethtool.set_rings(was) } else { Ok(()) }
}

fn read_sys(nic: &Nic, file: &str) -> io::Result<u64> {
    let folder = sys_folder(nic).ok_or_else(|| io::Error::other("/sys shows another network namespace"))?;
    let text = std::fs::read_to_string(folder.join(file))?;
    text.trim().parse().map_err(io::Error::other)
}

fn write_sys(nic: &Nic, file: &str, value: u64) -> io::Result<()> {
    let folder = sys_folder(nic).ok_or_else(|| io::Error::other("/sys shows another network namespace"))?;
    std::fs::write(folder.join(file), value.to_string())
}
