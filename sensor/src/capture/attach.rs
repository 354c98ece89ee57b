//! Puts the program on an interface: in the place of that of an earlier sensor, whose counters it goes on with, or anew.
//!
//! Whatever the way, every packet that an earlier sensor's program counted is in the maps that come out of here: in those
//! that the program goes on with, or in those that are left over and are to be drained first.

use std::thread;
use std::time::Duration;

use aya::programs::links::FdLink;
use aya::programs::{ProgramError, XdpMode};
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::Count;

use super::config::{self, CaptureConfig, Mode};
use super::error::CaptureError;
use super::nic::{self, Nic};
use super::pins::{Leftover, Pins, allowed};
use super::program::{Frames, Program, XdpAttached, object};
use super::readings;
use super::refusal::{attach_hint, is_busy};
use super::table::TableSize;
use crate::ledger::Earlier;

/// How long the kernel may take to let go of a program that nobody holds any more.
const RELEASE: Duration = Duration::from_millis(20);
const RELEASES: u32 = 100;

/// The program on an interface.
pub(super) struct Attached {
    pub(super) program: Program,
    pub(super) attached: XdpAttached,
    /// Maps that it could not go on with.
    pub(super) leftovers: Vec<Leftover>,
    /// What earlier sensors accounted for.
    pub(super) earlier: Earlier,
}

impl Attached {
    /// Loads the program for an interface and attaches it by bpf_link: native mode if the driver has it, else generic, as
    /// the configuration allows. Without pins the link goes with this process: if it dies, the interface is as before.
    pub(super) fn new(
        config: &CaptureConfig,
        nic: &Nic,
        pins: Option<&Pins>,
    ) -> Result<Attached, CaptureError> {
        let held = pins.and_then(|pins| held(pins, config, nic));
        let (mut program, attached) = match held {
            Some((link, attached)) => (replace(config, nic, pins, link, attached)?, attached),
            None => anew(config, nic, pins)?,
        };
        // From here on no other program of ours runs: what it counted and chose is final.
        program.wait()?;
        let leftovers = pins.map(|pins| leftovers(pins, &program)).unwrap_or_default();
        if program.table.inherited {
            inherit(&mut program)?;
        }
        program.carried = program.about.carried();
        for leftover in &leftovers {
            program.carried.merge(leftover.carried());
        }
        let taken_over = program.table.inherited || !leftovers.is_empty();
        let earlier = Earlier { taken_over, ..earlier(&program)? };
        if taken_over {
            let totals = &earlier.totals;
            let waiting = totals
                .counted
                .packets
                .saturating_sub(totals.overflow_total().packets + earlier.drained.packets);
            tracing::info!(
                interface = nic.name,
                seen = totals.seen.packets,
                waiting,
                lost_samples = earlier.lost_restart,
                "took over from the sensor before: {waiting} packets that nobody has analysed yet are in the flow table{}",
                if leftovers.is_empty() {
                    ""
                } else {
                    "; its maps had another layout or size, and are drained first"
                }
            );
        }
        Ok(Attached { program, attached, leftovers, earlier })
    }
}

/// The link of an earlier sensor, if it can be used. One that cannot is let go of.
fn held(pins: &Pins, config: &CaptureConfig, nic: &Nic) -> Option<(FdLink, XdpAttached)> {
    let held = pins.link(nic);
    if let Some((_, attached)) = &held
        && allowed(config.xdp, *attached)
    {
        return held;
    }
    if held.is_some() {
        tracing::warn!(
            interface = nic.name,
            "capture.xdp asks for another way to run the program than the one it runs in: it leaves the interface for a moment"
        );
    }
    drop(held);
    release(pins, nic);
    None
}

/// Takes the link's program off its interface, and waits until it is.
pub(super) fn release(pins: &Pins, nic: &Nic) {
    let (held, ours) = (pins.held(nic), nic.program);
    if let Err(error) = pins.unlink() {
        tracing::warn!(%error, "{} could not be removed", pins.link_path().display());
    }
    for _ in 0..if held { RELEASES } else { 0 } {
        if nic::find(&nic.name).map_or(true, |now| now.program != ours) {
            return;
        }
        thread::sleep(RELEASE);
    }
}

/// Replaces the program of a link: at no moment is there none.
fn replace(
    config: &CaptureConfig,
    nic: &Nic,
    pins: Option<&Pins>,
    link: FdLink,
    attached: XdpAttached,
) -> Result<Program, CaptureError> {
    let mut program = load(config, nic, pins, attached)?;
    if program.table.inherited {
        // The lists and the sockets of the process before are gone with it. A mirror port goes on dropping what it is sent.
        let before = program.control();
        let stays = before.mode == mode::MIRROR && config.mode == Mode::Mirror;
        let mode = if stays { mode::MIRROR } else { mode::PASS };
        program.set_control(Control { mode, steered: 0, ..before })?;
        program.set_listed(0)?;
    }
    let Err(error) = program.replace(link) else { return Ok(program) };
    tracing::warn!(
        interface = nic.name,
        %error,
        "the program there cannot be replaced: it leaves the interface for a moment"
    );
    if let Some(pins) = pins {
        release(pins, nic);
    }
    match attach(&mut program, nic, pins, attached) {
        Ok(()) => Ok(program),
        Err(error) => Err(abandon(&program, failed(nic, attached, error))),
    }
}

/// Attaches where no program of ours is.
fn anew(
    config: &CaptureConfig,
    nic: &Nic,
    pins: Option<&Pins>,
) -> Result<(Program, XdpAttached), CaptureError> {
    if config.xdp != config::XdpMode::Generic {
        let mut program = load(config, nic, pins, XdpAttached::Native)?;
        match attach(&mut program, nic, pins, XdpAttached::Native) {
            Ok(()) => return Ok((program, XdpAttached::Native)),
            Err(error) => {
                let only = is_busy(&error) || config.xdp == config::XdpMode::Native;
                let error = abandon(&program, failed(nic, XdpAttached::Native, error));
                if only {
                    return Err(error);
                }
                tracing::warn!(
                    interface = nic.name,
                    %error,
                    "no native XDP here, trying generic: slower, counts the same"
                );
            }
        }
    }
    let mut program = load(config, nic, pins, XdpAttached::Generic)?;
    match attach(&mut program, nic, pins, XdpAttached::Generic) {
        Ok(()) => Ok((program, XdpAttached::Generic)),
        Err(error) => Err(abandon(&program, failed(nic, XdpAttached::Generic, error))),
    }
}

fn load(
    config: &CaptureConfig,
    nic: &Nic,
    pins: Option<&Pins>,
    attached: XdpAttached,
) -> Result<Program, CaptureError> {
    let (size, frames) = match attached {
        XdpAttached::Native => {
            (TableSize::new(config.flow_map_entries, nic.rx_queues, false), Frames::of(nic))
        }
        XdpAttached::Generic => {
            // The stack may handle packets of one queue on several CPUs at a time.
            let cpus = aya::util::nr_cpus().map_err(|(_, source)| CaptureError::Drain { source })?;
            (TableSize::new(config.flow_map_entries, cpus as u32, true), Frames::Single)
        }
    };
    Program::load_into(&object()?, frames.program(), size, pins.map(|pins| pins.place(size)))
}

fn attach(
    program: &mut Program,
    nic: &Nic,
    pins: Option<&Pins>,
    attached: XdpAttached,
) -> Result<(), ProgramError> {
    let mode = match attached {
        XdpAttached::Native => XdpMode::Driver,
        XdpAttached::Generic => XdpMode::Skb,
    };
    program.attach_in(nic.index, mode)?;
    match pins {
        Some(pins) => program.pin_link(&pins.link_path()),
        None => Ok(()),
    }
}

/// Maps that were made for nothing are removed.
fn abandon(program: &Program, error: CaptureError) -> CaptureError {
    if let (Some(generation), false) = (&program.generation, program.table.inherited) {
        generation.remove();
    }
    error
}

fn failed(nic: &Nic, attached: XdpAttached, source: ProgramError) -> CaptureError {
    CaptureError::Attach {
        interface: nic.name.clone(),
        tried: match attached {
            XdpAttached::Native => "native mode",
            XdpAttached::Generic => "generic mode",
        },
        hint: attach_hint(&source),
        source: Box::new(source),
    }
}

/// The generations besides the program's own, the oldest first.
fn leftovers(pins: &Pins, program: &Program) -> Vec<Leftover> {
    let mut found = Vec::new();
    let all = pins.generations();
    for generation in all.iter().filter(|other| Some(*other) != program.generation.as_ref()) {
        // Another one carries its counts already, and was about to remove it.
        let carried = all.iter().filter(|other| other.number > generation.number);
        if carried.filter_map(|other| other.about()).any(|about| about.has_carried(generation.number)) {
            generation.remove();
            continue;
        }
        match Leftover::open(generation.clone()) {
            Ok(leftover) => found.push(leftover),
            Err(error) => {
                tracing::error!(
                    %error,
                    "{} cannot be read: what an earlier sensor counted there is lost",
                    generation.folder.display()
                );
                generation.remove();
            }
        }
    }
    found
}

/// Goes on with what an earlier process left half done.
fn inherit(program: &mut Program) -> Result<(), CaptureError> {
    let (table, about) = (&program.table, &program.about);
    about.own();
    if let Some(slot) = about.pending() {
        about.finish(|| table.clear(slot as usize));
    }
    // The log of the epoch that ended. The next drain looks at all entries, and needs it empty for a later epoch.
    let ended = program.control().epoch.wrapping_add(1) as usize & 1;
    for lane in table.lanes.iter() {
        lane.noted[ended].set(0);
    }
    let totals = program.totals()?;
    let kernel = totals.lost_no_socket + totals.lost_ringbuf_full + totals.lost_no_headroom;
    let (accounted, _) = about.accounted();
    // Chosen by the kernel and told by nobody: they were in the rings of the process that is gone.
    about.lose(totals.sampled.saturating_sub(kernel + accounted));
    Ok(())
}

fn earlier(program: &Program) -> Result<Earlier, CaptureError> {
    let carried = &program.carried;
    let here = if program.table.inherited {
        readings::drained(&program.about, &program.table.read)
    } else {
        Count::default()
    };
    let (accounted, lost_restart) = program.about.accounted();
    let lost_restart = lost_restart + carried.lost_restart;
    let mut drained = carried.drained;
    drained.packets += here.packets;
    drained.bytes += here.bytes;
    Ok(Earlier {
        taken_over: false,
        totals: program.totals()?,
        drained,
        samples: (accounted + carried.accounted).saturating_sub(lost_restart),
        lost_restart,
    })
}
