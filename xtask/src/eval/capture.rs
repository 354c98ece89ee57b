//! Captures as lists of packets: read from pcap and pcapng, shifted, merged in time order, written as pcap.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::program;

/// LINKTYPE values (tcpdump.org/linktypes.html).
const ETHERNET: u32 = 1;
const LINUX_SLL: u32 = 113;
const RAW: [u32; 3] = [12, 14, 101];
/// What no writer of captures exceeds; a longer record is a broken file.
const LONGEST: usize = 1 << 20;

/// A frame and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// Bytes on the wire; as many as were captured, or more.
    pub wire: u32,
    /// What was captured, from the Ethernet header on.
    pub data: Vec<u8>,
}

/// Nanoseconds of these seconds.
pub fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Reads a capture, packed by gzip or not, as Ethernet frames in the order of the file.
pub fn read(path: &Path) -> Result<Vec<Packet>> {
    parse(&bytes(path)?).with_context(|| format!("read {}", path.display()))
}

/// Reads a text file, packed by gzip or not.
pub fn text(path: &Path) -> Result<String> {
    String::from_utf8(bytes(path)?).with_context(|| format!("read {}", path.display()))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let named = || format!("read {}", path.display());
    if path.extension().is_none_or(|end| end != "gz") {
        return fs::read(path).with_context(named);
    }
    let output = Command::new("gzip").arg("-dc").arg(path).output().with_context(named)?;
    if !output.status.success() {
        bail!("gzip cannot unpack {}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// Unpacks a `.tar.gz` into `folder`.
pub fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    program::run_quietly(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder))
}

fn parse(bytes: &[u8]) -> Result<Vec<Packet>> {
    match bytes.get(..4) {
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => pcap(bytes, false, 1000),
        Some([0x4d, 0x3c, 0xb2, 0xa1]) => pcap(bytes, false, 1),
        Some([0xa1, 0xb2, 0xc3, 0xd4]) => pcap(bytes, true, 1000),
        Some([0xa1, 0xb2, 0x3c, 0x4d]) => pcap(bytes, true, 1),
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng(bytes),
        _ => bail!("is neither pcap nor pcapng"),
    }
}

/// A 32-bit word at this offset.
fn word(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
}

/// pcap-savefile(5); `unit` is the nanoseconds of the fraction.
fn pcap(bytes: &[u8], big: bool, unit: u64) -> Result<Vec<Packet>> {
    let link = word(bytes, 20, big).context("no file header")? & 0xffff;
    let (mut at, mut packets) = (24, Vec::new());
    while let (Some(seconds), Some(part), Some(length), Some(wire)) =
        (word(bytes, at, big), word(bytes, at + 4, big), word(bytes, at + 8, big), word(bytes, at + 12, big))
    {
        let Some(data) = bytes.get(at + 16..at + 16 + (length as usize).min(LONGEST)) else { break };
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(part) * unit;
        packets.push(ethernet(link, time, wire, data)?);
        at += 16 + length as usize;
    }
    Ok(packets)
}

/// What an interface description block says: link type, ticks of its clock in a second.
type Interface = (u32, u64);

/// draft-ietf-opsawg-pcapng: enhanced and simple packets of all interfaces.
fn pcapng(bytes: &[u8]) -> Result<Vec<Packet>> {
    let (mut at, mut big, mut packets) = (0, false, Vec::new());
    let mut interfaces: Vec<Interface> = Vec::new();
    loop {
        if bytes.get(at..at + 4) == Some(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            big = bytes.get(at + 8) == Some(&0x1a);
            interfaces.clear();
        }
        let (Some(kind), Some(length)) = (word(bytes, at, big), word(bytes, at + 4, big)) else { break };
        let Some(block) = bytes.get(at..at + length as usize).filter(|block| block.len() >= 12) else {
            break;
        };
        match kind {
            1 => interfaces.push(interface(block, big)?),
            6 => packets.extend(enhanced(block, big, &interfaces)?),
            _ => {}
        }
        at += length as usize;
    }
    Ok(packets)
}

fn interface(block: &[u8], big: bool) -> Result<Interface> {
    let link = word(block, 8, big).context("a short interface block")?;
    let link = if big { link >> 16 } else { link & 0xffff };
    let (mut at, mut ticks) = (16, 1_000_000);
    while let Some(head) = word(block, at, big) {
        let (code, length) = if big { (head >> 16, head & 0xffff) } else { (head & 0xffff, head >> 16) };
        match (code, block.get(at + 4)) {
            // opt_endofopt
            (0, _) => break,
            // if_tsresol: a power of two or of ten
            (9, Some(&power)) if power & 0x80 != 0 => ticks = 1 << (power & 0x3f),
            (9, Some(&power)) => ticks = 10_u64.pow(u32::from(power).min(12)),
            _ => {}
        }
        at += 4 + (length as usize).next_multiple_of(4);
    }
    Ok((link, ticks))
}

fn enhanced(block: &[u8], big: bool, interfaces: &[Interface]) -> Result<Option<Packet>> {
    let field = |at| word(block, at, big).context("a short packet block");
    let Some(&(link, ticks)) = interfaces.get(field(8)? as usize) else {
        bail!("a packet of an interface that was not described");
    };
    let stamp = u128::from(field(12)?) << 32 | u128::from(field(16)?);
    let time = (stamp * 1_000_000_000 / u128::from(ticks)) as u64;
    let (length, wire) = (field(20)? as usize, field(24)?);
    block.get(28..28 + length).map(|data| ethernet(link, time, wire, data)).transpose()
}

/// The packet with an Ethernet header: what has another link layer gets one, with addresses that were made up.
fn ethernet(link: u32, time: u64, wire: u32, data: &[u8]) -> Result<Packet> {
    let made_up = |source: &[u8], kind: &[u8], cut: usize| {
        let mut frame = vec![2, 0, 0, 0, 0, 1];
        frame.extend_from_slice(source);
        frame.extend_from_slice(kind);
        frame.extend_from_slice(data.get(cut..).unwrap_or_default());
        Packet { time, wire: wire.saturating_sub(cut as u32) + 14, data: frame }
    };
    Ok(match link {
        ETHERNET => Packet { time, wire, data: data.to_vec() },
        LINUX_SLL if data.len() >= 16 => made_up(&data[6..12], &data[14..16], 16),
        link if RAW.contains(&link) => {
            let six = data.first().is_some_and(|first| first >> 4 == 6);
            made_up(&[2, 0, 0, 0, 0, 2], if six { &[0x86, 0xdd] } else { &[0x08, 0x00] }, 0)
        }
        _ => bail!("link type {link} is not one that can be spliced into Ethernet"),
    })
}

/// Begins the capture at `start`; distances between packets stay. What was out of order in it is put in order.
pub fn begin_at(mut packets: Vec<Packet>, start: u64) -> Vec<Packet> {
    sort(&mut packets);
    let first = packets.first().map_or(0, |packet| packet.time);
    for packet in &mut packets {
        packet.time = packet.time - first + start;
    }
    packets
}

/// Both captures as one, in time order; what falls on one instant keeps its order, `one` first.
pub fn merge(mut one: Vec<Packet>, other: Vec<Packet>) -> Vec<Packet> {
    one.extend(other);
    sort(&mut one);
    one
}

fn sort(packets: &mut [Packet]) {
    packets.sort_by_key(|packet| packet.time);
}

/// When the capture ends, nanoseconds since the Unix epoch.
pub fn end(packets: &[Packet]) -> u64 {
    packets.last().map_or(0, |packet| packet.time)
}

/// Writes a classic pcap file with nanoseconds.
pub fn write(path: &Path, packets: &[Packet]) -> Result<()> {
    let wrong = || format!("write {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(wrong)?);
    let mut all = || -> std::io::Result<()> {
        for field in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, ETHERNET] {
            out.write_all(&field.to_le_bytes())?;
        }
        for packet in packets {
            let (seconds, part) = (packet.time / 1_000_000_000, packet.time % 1_000_000_000);
            for field in [seconds as u32, part as u32, packet.data.len() as u32, packet.wire] {
                out.write_all(&field.to_le_bytes())?;
            }
            out.write_all(&packet.data)?;
        }
        out.flush()
    };
    all().with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(time: u64, byte: u8) -> Packet {
        Packet { time, wire: 60, data: vec![byte; 20] }
    }

    #[test]
    fn a_spliced_capture_is_in_time_order_and_instants_keep_theirs() {
        let base = vec![packet(10, 1), packet(20, 2), packet(30, 3)];
        let attack = begin_at(vec![packet(107, 5), packet(100, 4), packet(110, 6)], 20);
        assert_eq!(
            attack.iter().map(|p| (p.time, p.data[0])).collect::<Vec<_>>(),
            [(20, 4), (27, 5), (30, 6)]
        );
        let spliced: Vec<_> = merge(base, attack).iter().map(|p| (p.time, p.data[0])).collect();
        assert_eq!(spliced, [(10, 1), (20, 2), (20, 4), (27, 5), (30, 3), (30, 6)]);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let packets = vec![packet(1_780_000_000_123_456_789, 1), packet(1_780_000_001_000_000_001, 2)];
        let path = std::env::temp_dir().join(format!("vesper-eval-{}.pcap", std::process::id()));
        write(&path, &packets).unwrap();
        let again = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(again, packets);
    }

    #[test]
    fn pcapng_is_read_with_the_clock_of_its_interface() {
        let mut bytes = Vec::new();
        let mut block = |kind: u32, body: &[u8]| {
            let length = (body.len() + 12) as u32;
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(&length.to_le_bytes());
        };
        block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        // Link type 1, and if_tsresol 10^-9.
        block(1, &[1, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        let mut body = Vec::new();
        for field in [0, 1, 5, 4, 99] {
            body.extend_from_slice(&u32::to_le_bytes(field));
        }
        body.extend_from_slice(&[7, 7, 7, 7]);
        block(6, &body);
        let wanted = Packet { time: (1 << 32) + 5, wire: 99, data: vec![7; 4] };
        assert_eq!(parse(&bytes).unwrap(), [wanted]);
        assert!(parse(b"hello").is_err());
    }

    #[test]
    fn a_cooked_frame_becomes_ethernet_and_an_unknown_link_is_refused() {
        let mut cooked = vec![0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00];
        cooked.extend_from_slice(&[0x45; 20]);
        let frame = ethernet(LINUX_SLL, 1, 36, &cooked).unwrap();
        assert_eq!((frame.wire, &frame.data[6..15]), (34, &[1, 2, 3, 4, 5, 6, 0x08, 0x00, 0x45][..]));
        assert!(ethernet(105, 1, 36, &cooked).is_err());
    }
}
