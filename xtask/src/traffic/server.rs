//! The lab's servers: web, login, files, and DNS, time and monitoring on one machine.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

use super::{net, sleep};
use crate::random::Random;

/// Connections served at once by one listener; more are closed at once.
const CONNECTIONS: usize = 256;
/// The one password that is right.
pub const PASSWORD: &str = "correct horse battery staple";

pub mod port {
    pub const LOGIN: u16 = 22;
    pub const DNS: u16 = 53;
    pub const HTTP: u16 = 80;
    pub const NTP: u16 = 123;
    pub const HTTPS: u16 = 443;
    pub const FILES: u16 = 873;
    pub const MONITOR: u16 = 6514;
}

pub fn web(random: Random) -> Result<()> {
    listen(port::HTTP, random, http)
}

/// Web servers of the rest of the world: everything between 203.0.113.0 and 203.0.113.255 and more.
pub fn outside(random: Random) -> Result<()> {
    let plain = random.clone();
    std::thread::spawn(move || listen(port::HTTP, plain, http));
    listen(port::HTTPS, random, http)
}

pub fn login(random: Random) -> Result<()> {
    listen(port::LOGIN, random, login_session)
}

pub fn files(random: Random) -> Result<()> {
    listen(port::FILES, random, http)
}

pub fn infra(random: Random) -> Result<()> {
    std::thread::spawn(|| answer(port::DNS, dns_answer));
    std::thread::spawn(|| answer(port::NTP, |_| vec![0x5a; 48]));
    std::thread::spawn(|| answer(port::MONITOR, |_| vec![0x5a; 16]));
    listen(port::MONITOR, random, monitor)
}

/// Serves one thread a connection, for ever.
fn listen(port: u16, mut random: Random, serve: fn(TcpStream, Random) -> io::Result<()>) -> Result<()> {
    // Takes IPv4 too.
    let listener = TcpListener::bind(("::", port)).with_context(|| format!("listen on port {port}"))?;
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream.and_then(net::configured) else {
            continue;
        };
        if open.load(Ordering::Relaxed) >= CONNECTIONS {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (open, random) = (Arc::clone(&open), Random::new(random.bits(), "connection"));
        std::thread::spawn(move || {
            // A client that goes away in the middle is ordinary.
            let _ = serve(stream, random);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

/// Answers datagrams with what `say` says to the question, for ever.
fn answer(port: u16, say: fn(&[u8]) -> Vec<u8>) -> Result<()> {
    let socket = UdpSocket::bind(("::", port)).with_context(|| format!("bind port {port}"))?;
    let mut question = [0; 2048];
    loop {
        let Ok((read, from)) = socket.recv_from(&mut question) else {
            continue;
        };
        let _ = socket.send_to(&say(&question[..read]), from);
    }
}

/// The same question gets the same answer (RFC 1035, 4.1), between one and five addresses.
fn dns_answer(question: &[u8]) -> Vec<u8> {
    let [id, more, _, _, rest @ ..] = question else {
        return Vec::new();
    };
    let sum: usize = rest.iter().map(|&byte| usize::from(byte)).sum();
    let count = 1 + (sum % 5) as u8;
    let mut answer = vec![*id, *more, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
    answer.extend(rest.get(8..).unwrap_or_default());
    for number in 0..count {
        // The name of the question, A, IN, five minutes, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 203, 0, 113, (sum % 200) as u8 + number]);
    }
    answer
}

/// Requests of the form `GET SIZE` or `POST SIZE`, with header lines up to an empty one.
fn http(mut stream: TcpStream, mut random: Random) -> io::Result<()> {
    loop {
        let request = net::read_line(&mut stream)?;
        let (method, size) = request.split_once(" /").unwrap_or(("", ""));
        let size: u64 = size.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or(0);
        while !net::read_line(&mut stream)?.is_empty() {}
        sleep(random.exponential(0.004));
        let body = match method {
            "GET" => size.min(1 << 30),
            "POST" => {
                net::skip(&mut stream, size)?;
                32
            }
            _ => return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        };
        stream.write_all(
            format!(
                "HTTP/1.1 200 OK\r\nServer: lab\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n"
            )
            .as_bytes(),
        )?;
        net::fill(&mut stream, body)?;
    }
}

/// Banner, key exchange, one password; then an echo of what is typed, or the end.
fn login_session(mut stream: TcpStream, mut random: Random) -> io::Result<()> {
    stream.write_all(b"SSH-2.0-lab_9.2\r\n")?;
    net::read_line(&mut stream)?;
    net::skip(&mut stream, 1_100)?;
    net::fill(&mut stream, 1_050)?;
    let password = net::read_line(&mut stream)?;
    sleep(random.between(0.01, 0.03));
    if password != PASSWORD {
        return stream.write_all(b"no\n");
    }
    stream.write_all(b"ok\n")?;
    loop {
        let typed = net::read_line(&mut stream)?;
        stream.write_all(format!("{typed}\n").as_bytes())?;
        net::fill(&mut stream, random.heavy_tailed(60.0, 4_000.0))?;
        stream.write_all(b"\n")?;
    }
}

fn monitor(mut stream: TcpStream, _: Random) -> io::Result<()> {
    loop {
        net::read_line(&mut stream)?;
        stream.write_all(b"ok\n")?;
    }
}
