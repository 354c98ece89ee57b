//! Sockets as the lab's programs use them: with timeouts, with a chosen source address, and raw.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, sendto, socket};

const PATIENCE: Duration = Duration::from_secs(5);

/// A connection on which nothing waits for ever.
pub fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    configured(TcpStream::connect_timeout(&to, PATIENCE)?)
}

/// The same from a chosen address of this machine.
pub fn dial_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&fd, &SocketAddr::new(IpAddr::V4(from), 0))?;
    connect(&fd, &to)?;
    configured(TcpStream::from(fd))
}

/// Timeouts on both directions; small messages leave at once.
pub fn configured(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One datagram there and one back.
pub fn ask(to: SocketAddr, question: &[u8]) -> io::Result<usize> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.connect(to)?;
    socket.send(question)?;
    socket.recv(&mut [0; 2048])
}

/// Writes `count` bytes of filler.
pub fn fill(stream: &mut impl Write, mut count: u64) -> io::Result<()> {
    let block = [0x5a; 16 * 1024];
    while count > 0 {
        let now = count.min(block.len() as u64) as usize;
        stream.write_all(&block[..now])?;
        count -= now as u64;
    }
    Ok(())
}

/// Reads exactly `count` bytes and forgets them.
pub fn skip(stream: &mut impl Read, count: u64) -> io::Result<()> {
    match io::copy(&mut stream.take(count), &mut io::sink())? {
        read if read == count => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads up to the end of a line, without it; a line longer than 4 KiB is an error.
pub fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 4096 {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        line.push(byte[0]);
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Sends IPv4 packets whose headers the caller writes.
pub struct RawSender(OwnedFd);

impl RawSender {
    /// Needs root.
    pub fn open() -> io::Result<RawSender> {
        // This protocol number means that the header comes with the data.
        Ok(RawSender(socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?))
    }

    /// Sends one packet; the kernel fills in the checksum of the IP header.
    pub fn send(&self, packet: &[u8], to: Ipv4Addr) -> io::Result<()> {
        let to = SocketAddr::new(IpAddr::V4(to), 0);
        sendto(&self.0, packet, rustix::net::SendFlags::empty(), &to)?;
        Ok(())
    }
}
