//! The head of an HTTP/1 message, as far as a packet holds it.
//!
//! Written here because the crates that parse HTTP keep to RFC 9112 and refuse what attackers send: blanks, quotes and
//! raw bytes in the target. What is looked for is little: the first line, and where the body begins.

use super::bytes::{hash, text_entropy};

/// Longest method (RFC 9110 has none; the longest registered is UPDATEREDIRECTREF).
const METHOD: usize = 17;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a [u8],
    /// Its target: path and query, as sent.
    pub target: &'a [u8],
    /// Header lines, as far as they are there.
    pub headers: &'a [u8],
    /// What is there of the body.
    pub body: &'a [u8],
}

/// Reads a request, if this is one.
pub fn request(payload: &[u8]) -> Option<Request<'_>> {
    let blank = payload.iter().take(METHOD + 1).position(|byte| !byte.is_ascii_uppercase())?;
    if blank < 3 || payload[blank] != b' ' {
        return None;
    }
    let (line, rest) = match payload.iter().position(|&byte| byte == b'\n') {
        Some(end) => (payload[..end].trim_ascii_end(), &payload[end + 1..]),
        None => (payload, &[][..]),
    };
    let target = line.get(blank + 1..)?;
    // The last blank is before the version: there may be others in the target.
    let version =
        target.iter().rposition(|&byte| byte == b' ').filter(|at| target[at + 1..].starts_with(b"HTTP/"));
    let target = match version {
        Some(at) => &target[..at],
        None if target.starts_with(b"/") || target.starts_with(b"http") => target,
        None => return None,
    };
    let end = rest.windows(4).position(|four| four == b"\r\n\r\n").map_or(rest.len(), |at| at + 4);
    // Without headers the empty line follows at once.
    let end = if rest.starts_with(b"\r\n") { 2 } else { end };
    Some(Request { method: &payload[..blank], target, headers: &rest[..end], body: &rest[end..] })
}

/// Reads the status of a response, if this is one.
pub fn status(payload: &[u8]) -> Option<u16> {
    let rest = payload.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5).filter(|digits| rest[1] == b' ' && digits.iter().all(u8::is_ascii_digit))?;
    Some(digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
}

/// The shape of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// Bytes.
    pub length: f32,
    /// Slashes of the path.
    pub depth: f32,
    /// Parameters.
    pub parameters: f32,
    /// Entropy, bits per byte.
    pub entropy: f32,
    /// Part that is neither letter, digit nor what paths are made of, or is percent-encoded, 0 to 1.
    pub odd: f32,
}

/// The shape of a target.
pub fn shape(target: &[u8]) -> Shape {
    let count = |is: fn(&u8) -> bool, within: &[u8]| within.iter().filter(|byte| is(byte)).count() as f32;
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    let ordinary = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.~?&=:,+".contains(byte);
    let encoded = count(|byte| *byte == b'%', target) * 3.0;
    let odd =
        count(|byte| *byte != b'%', target) - target.iter().filter(|byte| ordinary(byte)).count() as f32;
    Shape {
        length: target.len() as f32,
        depth: count(|byte| *byte == b'/', path),
        parameters: query.map_or(0.0, |query| 1.0 + count(|byte| *byte == b'&', query)),
        entropy: text_entropy(target),
        odd: if target.is_empty() { 0.0 } else { ((encoded + odd) / target.len() as f32).min(1.0) },
    }
}

/// Hash of the user agent; `None` without one, or where it is cut off.
pub fn agent(headers: &[u8]) -> Option<u64> {
    header(headers, b"user-agent:").map(|agent| hash(0, agent))
}

/// The host that is asked, without its port; `None` likewise.
pub fn host(headers: &[u8]) -> Option<&[u8]> {
    let host = header(headers, b"host:")?;
    Some(host.iter().position(|&byte| byte == b':').map_or(host, |port| &host[..port]))
}

fn header<'a>(headers: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = headers.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let line = lines.find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))?;
    Some(line[name.len()..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_far_as_they_go() {
        let whole = b"POST /a/b?x=1' or 1=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\n\r\nbody";
        let found = request(whole).unwrap();
        assert_eq!((found.method, found.target), (&b"POST"[..], &b"/a/b?x=1' or 1=1"[..]));
        assert_eq!((found.headers.len(), found.body), (31, &b"body"[..]));
        assert_eq!(agent(found.headers), Some(hash(0, b"curl/8")));
        assert_eq!(agent(b"User-Agent: cut o"), None);
        for end in 0..whole.len() {
            assert_eq!(request(&whole[..end]).is_some(), end > 5, "{end}");
        }
        assert_eq!(request(b"GET / HTTP/1.0\r\n\r\nx").unwrap().body, b"x");
    }

    #[test]
    fn other_protocols_are_not_requests() {
        for text in [
            &b""[..],
            b"OPTIONS sip:a@b SIP/2.0\r\n",
            b"EHLO mail.example.com\r\n",
            b"USER x\r\n",
            b"get / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            b"SSH-2.0-x\r\n",
        ] {
            assert_eq!(request(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn statuses() {
        assert_eq!(status(b"HTTP/1.1 404 Not Found\r\n"), Some(404));
        assert_eq!(status(b"HTTP/1.0 200"), Some(200));
        assert!(
            [&b"HTTP/1.1 20"[..], b"HTTP/1.1 2x0", b"HTTP/2 200", b""]
                .into_iter()
                .all(|text| status(text).is_none())
        );
    }

    #[test]
    fn shapes() {
        let plain = shape(b"/a/b/index.html?x=1&y=2");
        assert_eq!((plain.length, plain.depth, plain.parameters, plain.odd), (23.0, 3.0, 2.0, 0.0));
        assert!((shape(b"/%27'a").odd - 4.0 / 6.0).abs() < 1e-6);
        assert_eq!(shape(b""), Shape::default());
    }
}
