//! The first messages of TLS (RFC 8446, RFC 5246): what a client offers, what a server chose, and the client's JA4.
//!
//! Written here because half of today's ClientHellos do not fit into a segment, and what is there of one must be read; the
//! crates that parse TLS bring a parser library and read whole messages. JA4 is the TLS client fingerprint as FoxIO
//! published it under the BSD-3 licence (github.com/FoxIO-LLC/ja4, technical_details/JA4.md); the rest of JA4+ is not.

use super::bytes::{Reader, Text};
use sha2::{Digest, Sha256};

/// Ciphers and extensions that count; more are cut.
const MOST: usize = 128;
/// Longest handshake message that is waited for.
const LONGEST: usize = 16_384;

mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const SUPPORTED_VERSIONS: u16 = 43;
}

/// What the first bytes of one side are.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "looked at once and never kept")]
pub enum First {
    /// A whole ClientHello.
    Client(ClientHello),
    /// The beginning of a ClientHello of so many bytes in all.
    PartOfClient(usize),
    /// A ServerHello that chose this version.
    Server(u16),
    /// Another record of TLS.
    Record,
    /// No TLS.
    Other,
}

/// A ClientHello.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientHello {
    /// Highest version it offers.
    pub version: u16,
    /// The server's name, if it asks for one.
    pub server_name: Option<Text<80>>,
    /// The same, as long as a name can be.
    pub host: Option<Text<255>>,
    /// The fingerprint, as text.
    pub ja4: String,
}

/// Looks at the first bytes of one side of a connection.
pub fn first(payload: &[u8]) -> First {
    let mut reader = Reader::new(payload);
    let header = (reader.u8(), reader.u16(), reader.u16());
    let (Some(kind), Some(version), Some(length)) = header else {
        return First::Other;
    };
    if !(20..=24).contains(&kind) || version >> 8 != 3 || usize::from(length) > LONGEST + 256 {
        return First::Other;
    }
    let (handshake, length) = (reader.u8(), reader.take(3));
    let (22, Some(handshake), Some(&[high, middle, low])) = (kind, handshake, length) else {
        return First::Record;
    };
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    match handshake {
        1 if length > LONGEST => First::Record,
        1 => match reader.take(length) {
            Some(body) => client_hello(body).map_or(First::Record, First::Client),
            None => First::PartOfClient(length + 9),
        },
        2 => server_hello(reader).map_or(First::Record, First::Server),
        _ => First::Record,
    }
}

fn server_hello(mut reader: Reader<'_>) -> Option<u16> {
    let version = reader.u16()?;
    reader.take(32)?;
    reader.field8()?;
    reader.take(3)?;
    let mut extensions = reader.field16().map(Reader::new);
    while let Some((kind, mut content)) = extensions.as_mut().and_then(next_extension) {
        if kind == extension::SUPPORTED_VERSIONS {
            return content.u16();
        }
    }
    Some(version)
}

fn next_extension<'a>(reader: &mut Reader<'a>) -> Option<(u16, Reader<'a>)> {
    let kind = reader.u16()?;
    reader.field16().map(|content| (kind, Reader::new(content)))
}

/// Values that say nothing, sent so that servers learn to ignore what they do not know (RFC 8701).
fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// Two-byte values without those that say nothing.
fn values(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    pairs.filter(|&value| !is_grease(value)).take(MOST).collect()
}

fn client_hello(body: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader::new(body);
    let mut version = reader.u16()?;
    reader.take(32)?;
    reader.field8()?;
    let ciphers = values(reader.field16()?);
    reader.field8()?;
    let mut all = Reader::new(reader.field16().unwrap_or_default());
    let (mut kinds, mut signatures) = (Vec::new(), Vec::new());
    let (mut name, mut protocol) = (None, None);
    while let Some((kind, mut content)) = next_extension(&mut all) {
        if is_grease(kind) || kinds.len() >= MOST {
            continue;
        }
        kinds.push(kind);
        match kind {
            extension::SERVER_NAME => {
                content.take(3);
                name = content.field16();
            }
            extension::ALPN => {
                content.take(2);
                protocol = content.field8();
            }
            extension::SIGNATURE_ALGORITHMS => {
                content.take(2);
                signatures = values(content.rest());
            }
            extension::SUPPORTED_VERSIONS => {
                content.take(1);
                version = values(content.rest()).into_iter().max().unwrap_or(version);
            }
            _ => (),
        }
    }
    let named = kinds.contains(&extension::SERVER_NAME);
    let ja4 = ja4(version, named, ciphers, kinds, protocol.unwrap_or_default(), &signatures);
    Some(ClientHello { version, server_name: name.map(Text::of), host: name.map(Text::of), ja4 })
}

fn ja4(
    version: u16,
    named: bool,
    mut ciphers: Vec<u16>,
    mut kinds: Vec<u16>,
    protocol: &[u8],
    signatures: &[u16],
) -> String {
    let version = match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let head = format!(
        "t{version}{}{:02}{:02}{}",
        if named { 'd' } else { 'i' },
        ciphers.len().min(99),
        kinds.len().min(99),
        protocol_letters(protocol),
    );
    ciphers.sort_unstable();
    kinds.retain(|kind| !matches!(*kind, extension::SERVER_NAME | extension::ALPN));
    kinds.sort_unstable();
    let mut extensions = hexadecimal(&kinds);
    if !signatures.is_empty() {
        extensions = format!("{extensions}_{}", hexadecimal(signatures));
    }
    let nothing = kinds.is_empty();
    format!("{head}_{}_{}", digest(&hexadecimal(&ciphers), ciphers.is_empty()), digest(&extensions, nothing))
}

/// First and last letter of the first protocol; of its hexadecimal form where they are none.
fn protocol_letters(protocol: &[u8]) -> String {
    match protocol {
        [] => "00".to_owned(),
        [first, .., last] | [first @ last]
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
        {
            [char::from(*first), char::from(*last)].iter().collect()
        }
        [first, .., last] | [first @ last] => format!("{:x}{:x}", first >> 4, last & 15),
    }
}

fn hexadecimal(values: &[u16]) -> String {
    values.iter().map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",")
}

/// First twelve hexadecimal digits of SHA-256.
fn digest(text: &str, nothing: bool) -> String {
    if nothing {
        return "0".repeat(12);
    }
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Messages for tests.
#[cfg(test)]
pub mod made {
    /// Values, big-endian.
    pub fn pairs(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// A field behind its length.
    pub fn field16(content: &[u8]) -> Vec<u8> {
        [&(content.len() as u16).to_be_bytes()[..], content].concat()
    }

    /// Chrome's hello in the example of the publication, with some values that say nothing.
    pub fn hello(name: Option<&[u8]>) -> Vec<u8> {
        let ciphers = [
            0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x9c, 0x9d, 0x2f, 0x35,
        ];
        let kinds = [
            0x1a1a, 0x1b, 0x0, 0x33, 0x10, 0x4469, 0x17, 0x2d, 0xd, 0x5, 0x23, 0x12, 0x2b, 0xff01, 0xb, 0xa,
            0x15,
        ];
        let mut extensions = Vec::new();
        for kind in kinds {
            let content = match (kind, name) {
                (0, None) => continue,
                (0, Some(name)) => field16(&[&[0][..], &field16(name)].concat()),
                (0x10, _) => field16(b"\x02h2\x08http/1.1"),
                (0xd, _) => field16(&pairs(&[0x403, 0x804, 0x401, 0x503, 0x805, 0x501, 0x806, 0x601])),
                (0x2b, _) => [&[6][..], &pairs(&[0x2a2a, 0x304, 0x303])].concat(),
                _ => vec![],
            };
            extensions.extend(pairs(&[kind]));
            extensions.extend(field16(&content));
        }
        let body = [&[3, 3][..], &[7; 32], &[0], &field16(&pairs(&ciphers)), &[1, 0], &field16(&extensions)]
            .concat();
        let handshake = [&[1, 0][..], &field16(&body)].concat();
        [&[22, 3, 1][..], &field16(&handshake)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::made::{field16, hello};
    use super::*;

    #[test]
    fn fingerprint_of_the_published_example() {
        let First::Client(found) = first(&hello(Some(b"www.example.com"))) else { panic!("not read") };
        assert_eq!(found.ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!((found.version, found.server_name), (0x304, Some(Text::of(b"www.example.com"))));
        let First::Client(found) = first(&hello(None)) else { panic!("not read") };
        assert!(found.ja4.starts_with("t13i1515h2_8daaf6152771_") && found.server_name.is_none());
    }

    #[test]
    fn every_beginning_says_what_it_is() {
        let whole = hello(Some(b"www.example.com"));
        for end in 0..whole.len() {
            let expected = match end {
                0..5 => First::Other,
                5..9 => First::Record,
                _ => First::PartOfClient(whole.len()),
            };
            assert_eq!(first(&whole[..end]), expected, "{end}");
        }
        assert_eq!(first(b"GET / HTTP/1.1\r\n\r\n"), First::Other);
        assert_eq!(first(b"\x17\x03\x03\x00\x20 and data of an application"), First::Record);
    }

    #[test]
    fn server_says_the_version_it_chose() {
        let hello = |extensions: &[u8]| {
            let body = [&[3, 3][..], &[9; 32], &[0, 0x13, 1, 0], extensions].concat();
            let handshake = [&[2, 0][..], &field16(&body)].concat();
            [&[22, 3, 3][..], &field16(&handshake)].concat()
        };
        assert_eq!(first(&hello(&[])), First::Server(0x303));
        assert_eq!(first(&hello(&field16(&[0, 43, 0, 2, 3, 4]))), First::Server(0x304));
    }

    #[test]
    fn letters_of_protocols() {
        assert_eq!(
            ["h2", "http/1.1", "", "x", "\u{1}\u{2}"].map(|p| protocol_letters(p.as_bytes())),
            ["h2", "h1", "00", "xx", "02"]
        );
    }
}
