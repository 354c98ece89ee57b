//! What packets say: DNS messages, the first message of TLS, requests of other protocols.

use crate::random::Random;

/// Types of DNS records (RFC 1035).
pub const A: u16 = 1;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;

const SYLLABLES: [&str; 24] = [
    "an", "bel", "cor", "dan", "el", "fir", "gan", "hol", "in", "jun", "kel", "lor", "mar", "nor", "os",
    "pel", "qui", "ros", "sol", "tan", "ul", "vel", "wen", "zor",
];

/// The name of a site, always the same for a number.
pub fn site(number: u64) -> String {
    let mut random = Random::new(number, "site");
    let mut syllable = || SYLLABLES[random.below(SYLLABLES.len() as u64) as usize];
    format!("www.{}{}{}.example", syllable(), syllable(), syllable())
}

/// A question, and with `answer` (response code, bytes of data of its one record) the answer to it.
pub fn dns(id: u16, name: &str, kind: u16, answer: Option<(u8, &[u8])>) -> Vec<u8> {
    let mut message = Vec::with_capacity(64);
    message.extend_from_slice(&id.to_be_bytes());
    let answers = answer.is_some_and(|(code, _)| code == 0);
    message.extend_from_slice(&match answer {
        None => [0x01, 0x00],
        Some((code, _)) => [0x81, 0x80 | code],
    });
    message.extend_from_slice(&[0, 1, 0, u8::from(answers), 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len().min(63) as u8);
        message.extend(label.bytes().take(63));
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if let Some((0, data)) = answer {
        // The name by a pointer, and 300 s to live.
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 1, 44]);
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

/// A ClientHello of TLS 1.3 for this server name (RFC 8446, 4.1.2); `library` decides its cipher suites.
pub fn client_hello(name: &str, library: u64, random: &mut Random) -> Vec<u8> {
    let suites: &[u16] = match library % 3 {
        0 => &[0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030],
        1 => &[0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f],
        _ => &[0x1301, 0xc02f, 0x009c],
    };
    let mut extensions = Vec::new();
    let mut extension = |kind: u16, body: &[u8]| {
        extensions.extend_from_slice(&kind.to_be_bytes());
        extensions.extend_from_slice(&(body.len() as u16).to_be_bytes());
        extensions.extend_from_slice(body);
    };
    let mut host = ((name.len() + 3) as u16).to_be_bytes().to_vec();
    host.push(0);
    host.extend_from_slice(&(name.len() as u16).to_be_bytes());
    host.extend_from_slice(name.as_bytes());
    extension(0, &host);
    extension(10, &[0, 4, 0, 0x1d, 0, 0x17]);
    extension(13, &[0, 4, 4, 3, 8, 4]);
    extension(16, &[0, 12, 2, b'h', b'2', 8, b'h', b't', b't', b'p', b'/', b'1', b'.', b'1']);
    extension(43, &[2, 3, 4]);
    let mut body = vec![3, 3];
    body.extend((0..32).map(|_| random.bits() as u8));
    body.push(0);
    body.extend_from_slice(&((suites.len() * 2) as u16).to_be_bytes());
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&((body.len() + 4) as u16).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(&body);
    record
}

/// The head of a ServerHello: enough to be known as one.
pub fn server_hello(random: &mut Random) -> Vec<u8> {
    let mut record = vec![0x16, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3];
    record.extend((0..84).map(|_| random.bits() as u8));
    record
}

/// A request over HTTP/1.1.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

/// The head of an answer with so many bytes behind it.
pub fn ok(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

/// Reading 10 registers over Modbus/TCP, and the answer.
pub fn modbus(number: u16, answer: bool) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    if !answer {
        return vec![high, low, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10];
    }
    let mut message = vec![high, low, 0, 0, 0, 23, 1, 3, 20];
    message.extend((0..20).map(|at| at * 3));
    message
}

/// Text in base 32 of random bits, as tunnels put it into names.
pub fn random_text(length: usize, random: &mut Random) -> String {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..length).map(|_| char::from(alphabet[random.below(32) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_inside_a_hello_and_an_answer_are_right() {
        let hello = client_hello("www.a.example", 1, &mut Random::new(1, "tls"));
        let length = |at: usize| usize::from(hello[at]) << 8 | usize::from(hello[at + 1]);
        assert_eq!((length(3) + 5, length(7) + 9), (hello.len(), hello.len()));
        let answer = dns(7, "www.a.example", A, Some((0, &[198, 18, 0, 1])));
        // Head, name, type and class; then pointer, type, class, time to live, length, address.
        assert_eq!(answer.len(), 12 + 15 + 4 + 16);
        assert_eq!(dns(7, "a", A, Some((3, &[]))).len(), 12 + 3 + 4);
    }

    #[test]
    fn sites_keep_their_names() {
        assert_eq!(site(5), site(5));
        assert_ne!(site(5), site(6));
    }
}
