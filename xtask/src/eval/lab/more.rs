//! More kinds of attacks, for teaching what looks like what.

use std::net::Ipv4Addr;

use super::benign::{shell, tls};
use super::content;
use super::inside;
use super::talk::Talk;
use super::wire::{ACK, SYN, Wire};

/// Words that are tried in paths and parameters: what a tool would send that looks for pages and for faults.
const TRIED: [&str; 10] = [
    "/admin.php",
    "/backup.zip",
    "/.git/config",
    "/wp-login.php",
    "/phpmyadmin/index.php",
    "/cgi-bin/test.cgi",
    "/item?id=1'",
    "/item?id=1%20order%20by%20",
    "/search?q=%3Cb%3E",
    "/view?page=..%2f",
];

/// One connection by SSH on which some passwords are tried; the server takes its time to refuse (pam_faildelay: 2 s or so).
pub fn patient_logins(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr) {
    let (own, tries) = (wire.port(), 2 + wire.random.below(5));
    let waits: Vec<f64> = (0..tries).map(|_| wire.random.between(0.8, 3.0)).collect();
    let mut talk = shell(wire, at, (who, own), (victim, 22));
    for wait in waits {
        talk.ask((&[], 148), wait, (&[], 52));
    }
    talk.close();
}

/// One login over FTP that is refused.
pub fn ftp_login(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr) {
    let own = wire.port();
    let mut talk = Talk::open(wire, at, (who, own), (victim, 21));
    talk.send(1, b"220 FTP server ready\r\n", 0);
    talk.ask((b"USER admin\r\n", 0), 0.01, (b"331 Password required\r\n", 0));
    talk.ask((b"PASS 123456\r\n", 0), 0.3, (b"530 Login incorrect\r\n", 0));
    talk.close();
}

/// One login by a form that is refused.
pub fn form_login(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr) {
    let (own, password) = (wire.port(), content::random_text(8, &mut wire.random));
    let body = format!("user=admin&password={password}");
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: intranet\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         \r\n{body}",
        body.len()
    );
    let mut talk = Talk::open(wire, at, (who, own), (victim, 80));
    talk.ask((head.as_bytes(), 0), 0.05, (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 512\r\n\r\n", 600));
    talk.close();
}

/// One login by remote desktop that is refused.
pub fn desktop_login(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr) {
    let own = wire.port();
    let mut talk = Talk::open(wire, at, (who, own), (victim, 3389));
    talk.ask((b"\x03\x00\x00\x13\x0e\xe0", 47), 0.01, (b"\x03\x00\x00\x13\x0e\xd0", 19));
    talk.ask((&[0x16, 3, 3], 500), 0.02, (&[0x16, 3, 3], 1_400));
    talk.ask((&[0x17, 3, 3], 900), 0.1, (&[0x17, 3, 3], 300));
    talk.close();
}

/// One connection that is opened and fed a line at a time, so that it is never done.
pub fn slow_request(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr, lines: u32) {
    let own = wire.port();
    let mut talk = Talk::open(wire, at, (who, own), (victim, 80));
    talk.send(0, b"GET / HTTP/1.1\r\nHost: intranet\r\n", 0);
    for _ in 0..lines {
        talk.pause(8.0);
        talk.send(0, b"X-a: b\r\n", 0);
    }
}

/// One request for what is not there, or that tries a parameter.
pub fn probe_page(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr, number: u32) {
    let (own, more) = (wire.port(), content::random_text(6, &mut wire.random));
    let path = format!("{}{more}", TRIED[number as usize % TRIED.len()]);
    let answer: &[u8] = match number % 3 {
        0 => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 300\r\n\r\n",
        1 => b"HTTP/1.1 404 Not Found\r\nContent-Length: 300\r\n\r\n",
        _ => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 300\r\n\r\n",
    };
    let mut talk = Talk::open(wire, at, (who, own), (victim, 80));
    talk.ask((&content::get("intranet", &path), 0), 0.02, (answer, 350));
    talk.close();
}

/// One answer of a reflector that was never asked.
pub fn reflect(wire: &mut Wire, at: f64, victim: Ipv4Addr, number: u32) {
    let bits = wire.random.bits();
    let reflector = Ipv4Addr::new(198, 51, 100, (bits % 120) as u8);
    let own = 1024 + (bits >> 40) as u16 % 60_000;
    wire.flows += 1;
    match number % 4 {
        0 => wire.tcp(at, [(reflector, 80), (victim, own)], SYN | ACK, [bits as u32, 7], &[], 0),
        1 => wire.udp(at, [(reflector, 123), (victim, own)], &[0xd7; 8], 460),
        2 => wire.udp(at, [(reflector, 1900), (victim, own)], b"HTTP/1.1 200 OK\r\n", 320),
        _ => wire.udp(at, [(reflector, 53), (victim, own)], &[0x81; 12], 1_300),
    }
}

/// One datagram to a port that nobody listens on.
pub fn datagram_probe(wire: &mut Wire, at: f64, who: Ipv4Addr, victim: Ipv4Addr, number: u32) {
    let own = wire.port();
    wire.flows += 1;
    wire.udp(at, [(who, own), (victim, 1 + (number * 13 % 20_000) as u16)], &[], 0);
}

/// One login that works, from client to client.
pub fn move_on(wire: &mut Wire, at: f64, who: Ipv4Addr, number: u32) {
    let (victim, own) = (inside(0, 18 + (number % 6) as u8), wire.port());
    let service = [22, 135, 5985, 139][number as usize % 4];
    let mut talk = Talk::open(wire, at, (who, own), (victim, service));
    talk.ask((&[], 900), 0.02, (&[], 1_400));
    talk.ask((&[], 8_000), 0.2, (&[], 12_000));
    talk.close();
}

/// A report to a server outside by plain HTTP.
pub fn report(wire: &mut Wire, at: f64, who: Ipv4Addr, outside: Ipv4Addr) {
    let own = wire.port();
    let mut talk = Talk::open(wire, at, (who, own), (outside, 8080));
    talk.ask((&content::get("api.example", "/tasks"), 0), 0.02, (&content::ok(120), 120));
    talk.close();
}

/// A part of what is carried off.
pub fn carry_off(wire: &mut Wire, at: f64, who: Ipv4Addr, outside: Ipv4Addr) {
    let size = 300_000 + wire.random.below(900_000) as usize;
    tls(wire, at, who, (outside, 443), "drop.example", size, 300);
}
