//! What ordinary people and their machines do: each habit is a thread with its own seeded timing.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use anyhow::Result;

use super::server::{PASSWORD, port};
use super::{net, sleep};
use crate::lab::host;
use crate::random::Random;

/// Web sites outside that people visit: 203.0.113.10 and on.
const SITES: u64 = 12;

/// Does one thing once, after the time that usually passes before it is done again.
type Habit = fn(&mut Random) -> io::Result<()>;

/// One person at one machine.
pub fn run(mut random: Random) -> Result<()> {
    let habits: [(&str, Habit); 6] = [
        ("browse", browse),
        ("look up", look_up_now_and_then),
        ("log in", log_in),
        ("copy", copy),
        ("clock", ask_the_time),
        ("heartbeat", heartbeat),
    ];
    let threads = habits.map(|(name, habit)| {
        let mut random = Random::new(random.bits(), name);
        std::thread::spawn(move || {
            sleep(random.between(0.0, 2.0));
            loop {
                if habit(&mut random).is_err() {
                    // A server that is not there is tried again, as people do.
                    sleep(1.0);
                }
            }
        })
    });
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

/// People from outside who read our web site.
pub fn visitors(mut random: Random) -> Result<()> {
    let web = SocketAddr::new(host("web").v4().into(), port::HTTP);
    loop {
        sleep(random.exponential(0.8));
        let from = Ipv4Addr::new(198, 51, 100, 32 + random.below(32) as u8);
        let mut random = Random::new(random.bits(), "visitor");
        // Few at a time: one comes every 0.8 s and stays for a second or two.
        std::thread::spawn(move || visit(&mut net::dial_from(from, web)?, &mut random));
    }
}

fn browse(random: &mut Random) -> io::Result<()> {
    sleep(random.exponential(1.5));
    look_up(random)?;
    let web = host("web");
    let to = match random.below(10) {
        0..4 => SocketAddr::new(web.v4().into(), port::HTTP),
        4..6 => SocketAddr::new(web.v6().into(), port::HTTP),
        // Some sites are visited more than others.
        _ => {
            let site = random.below(SITES).min(random.below(SITES)) as u8;
            let port = if random.below(4) == 0 { port::HTTP } else { port::HTTPS };
            SocketAddr::new(Ipv4Addr::new(203, 0, 113, 10 + site).into(), port)
        }
    };
    visit(&mut net::dial(to)?, random)
}

/// A page and what it is made of, on one connection.
fn visit(stream: &mut TcpStream, random: &mut Random) -> io::Result<()> {
    for _ in 0..=random.below(6) {
        let size = random.heavy_tailed(700.0, 600_000.0);
        get(stream, size, random.between(150.0, 600.0) as usize)?;
        sleep(random.exponential(0.15));
    }
    Ok(())
}

fn get(stream: &mut TcpStream, size: u64, request_len: usize) -> io::Result<()> {
    let cookie = "c".repeat(request_len);
    stream.write_all(format!("GET /{size} HTTP/1.1\r\nHost: lab\r\nCookie: {cookie}\r\n\r\n").as_bytes())?;
    read_response(stream)
}

/// Sends `size` bytes, at most `rate` bytes a second; 0 is as fast as it goes.
pub fn post(stream: &mut TcpStream, size: u64, rate: u64) -> io::Result<()> {
    stream.write_all(format!("POST /{size} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes())?;
    let mut left = size;
    while left > 0 {
        // Slices of 10 ms keep an even pace.
        let slice = if rate == 0 { left } else { left.min(rate / 100) };
        net::fill(stream, slice)?;
        left -= slice;
        if rate > 0 {
            sleep(0.01);
        }
    }
    read_response(stream)
}

fn read_response(stream: &mut TcpStream) -> io::Result<()> {
    let mut body = 0;
    loop {
        let line = net::read_line(stream)?;
        if line.is_empty() {
            return net::skip(stream, body);
        }
        if let Some(length) = line.strip_prefix("Content-Length: ") {
            body = length.parse().map_err(|_not_a_number| io::Error::from(io::ErrorKind::InvalidData))?;
        }
    }
}

fn look_up_now_and_then(random: &mut Random) -> io::Result<()> {
    sleep(random.exponential(3.0));
    look_up(random)
}

const NAMES: [&str; 8] = ["www", "mail", "api", "cdn", "images", "login", "news", "static"];
const DOMAINS: [&str; 5] = ["example.com", "example.net", "example.org", "campus.example", "shop.example"];

/// A question of DNS (RFC 1035, 4.1) for the address of a name.
fn dns_question(random: &mut Random) -> Vec<u8> {
    let id = random.bits().to_be_bytes();
    let mut question = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name = NAMES[random.below(NAMES.len() as u64) as usize];
    let domain = DOMAINS[random.below(DOMAINS.len() as u64) as usize];
    for label in std::iter::once(name).chain(domain.split('.')) {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    question
}

/// A question and its answer.
fn look_up(random: &mut Random) -> io::Result<()> {
    let infra = host("infra");
    let server: IpAddr = if random.below(3) == 0 { infra.v6().into() } else { infra.v4().into() };
    net::ask(SocketAddr::new(server, port::DNS), &dns_question(random)).map(drop)
}

/// A login with a few commands; now and then the password is mistyped first.
fn log_in(random: &mut Random) -> io::Result<()> {
    sleep(random.exponential(25.0));
    let server = SocketAddr::new(host("login").v4().into(), port::LOGIN);
    if random.below(12) == 0 {
        try_password(&mut net::dial(server)?, "correct hrose")?;
        sleep(random.between(1.5, 3.0));
    }
    let mut stream = net::dial(server)?;
    if !try_password(&mut stream, PASSWORD)? {
        return Ok(());
    }
    for _ in 0..3 + random.below(8) {
        stream.write_all(b"ls -l\n")?;
        net::read_line(&mut stream)?;
        net::read_line(&mut stream).map(drop).or_else(|error| match error.kind() {
            // A long answer has no line end within the limit; the rest is read with the next one.
            io::ErrorKind::InvalidData => Ok(()),
            _ => Err(error),
        })?;
        sleep(random.exponential(0.8));
    }
    Ok(())
}

/// Goes through the exchange up to the server's yes or no.
pub fn try_password(stream: &mut TcpStream, password: &str) -> io::Result<bool> {
    net::read_line(stream)?;
    stream.write_all(b"SSH-2.0-client_9.2\r\n")?;
    net::fill(stream, 1_100)?;
    net::skip(stream, 1_050)?;
    stream.write_all(format!("{password}\n").as_bytes())?;
    Ok(net::read_line(stream)? == "ok")
}

/// A bulk copy, mostly from the file server, sometimes to it.
fn copy(random: &mut Random) -> io::Result<()> {
    sleep(random.exponential(25.0));
    let mut stream = net::dial(SocketAddr::new(host("files").v4().into(), port::FILES))?;
    let size = random.heavy_tailed(700_000.0, 8_000_000.0);
    if random.below(4) == 0 { post(&mut stream, size / 4, 0) } else { get(&mut stream, size, 80) }
}

fn ask_the_time(random: &mut Random) -> io::Result<()> {
    sleep(random.between(3.5, 4.5));
    net::ask(SocketAddr::new(host("infra").v4().into(), port::NTP), &[0x23; 48]).map(drop)
}

/// One line a second on one connection, and a datagram every ten: what agents of monitoring systems do.
fn heartbeat(random: &mut Random) -> io::Result<()> {
    let monitor = SocketAddr::new(host("infra").v4().into(), port::MONITOR);
    let mut stream = net::dial(monitor)?;
    loop {
        for _ in 0..10 {
            sleep(random.between(0.97, 1.03));
            stream.write_all(b"heartbeat: load 0.20 0.18 0.11, memory 41 percent, disk 63 percent\n")?;
            net::read_line(&mut stream)?;
        }
        net::ask(monitor, &[0x31; 120])?;
    }
}
