//! A DNS message (RFC 1035): its question, and what its answers carry.
//!
//! Written here because the crates that parse DNS refuse a message as a whole: what matters of one that is cut off, or
//! whose answers are nonsense, is in front of that. Nothing is allocated.

use super::bytes::{Reader, hash};

/// Longest name, bytes (RFC 1035, 2.3.4).
pub const LONGEST: usize = 255;
/// Answers looked at.
const ANSWERS: u16 = 32;
/// Bytes of an answer that are hashed.
const HASHED: usize = 64;

/// Record types, by their numbers at IANA.
pub mod kind {
    /// IPv4 address.
    pub const A: u16 = 1;
    /// Another name.
    pub const CNAME: u16 = 5;
    /// Anything; obsolete.
    pub const NULL: u16 = 10;
    /// Name of an address.
    pub const PTR: u16 = 12;
    /// Mail server.
    pub const MX: u16 = 15;
    /// Text.
    pub const TXT: u16 = 16;
    /// A key; obsolete.
    pub const KEY: u16 = 25;
    /// Server of a service.
    pub const SRV: u16 = 33;
}

/// How usual a record type is in questions, and so how much a message in it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// What browsers, resolvers and mail servers ask for all day; their answers are addresses or of fixed form.
    Common,
    /// Free text in the answer: TXT, ANY and their like.
    Text,
    /// A name in the answer that clients seldom ask for themselves: CNAME, MX, SRV.
    Name,
    /// Nobody asks for these: NULL, KEY, private and unassigned types.
    Rare,
}

/// See [`Usual`].
pub fn usual(kind: u16) -> Usual {
    match kind {
        // A NS SOA PTR AAAA NAPTR DS SSHFP RRSIG NSEC DNSKEY NSEC3 NSEC3PARAM TLSA CDS CDNSKEY SVCB HTTPS CAA, Chrome's
        // early HTTPS.
        1 | 2 | 6 | 12 | 28 | 35 | 43 | 44 | 46..=48 | 50..=52 | 59 | 60 | 64 | 65 | 257 | 65_481 => {
            Usual::Common
        }
        5 | 15 | 33 => Usual::Name,
        // TXT SMIMEA OPENPGPKEY SPF TKEY TSIG IXFR AXFR ANY URI.
        16 | 53 | 61 | 99 | 249..=252 | 255 | 256 => Usual::Text,
        _ => Usual::Rare,
    }
}

/// A name with dots between its labels, as it was spelt. A dot within a label became another byte.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; LONGEST],
    len: u8,
}

impl Name {
    /// Without the last dot; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Reads uncompressed labels, as a question has.
    fn read(reader: &mut Reader<'_>) -> Result<Name, Unread> {
        let mut name = Name { bytes: [0; LONGEST], len: 0 };
        let mut at = 0;
        loop {
            let length = usize::from(reader.u8().ok_or(Unread::CutOff)?);
            if length == 0 {
                name.len = at as u8;
                return Ok(name);
            }
            let dot = usize::from(at > 0);
            if length > 63 || at + dot + length >= LONGEST {
                return Err(Unread::NotDns);
            }
            let label = reader.take(length).ok_or(Unread::CutOff)?;
            if dot == 1 {
                name.bytes[at] = b'.';
            }
            for (into, &byte) in name.bytes[at + dot..].iter_mut().zip(label) {
                *into = if byte == b'.' { 0xb7 } else { byte };
            }
            at += dot + length;
        }
    }
}

/// What is known of a message.
#[derive(Clone, Copy)]
pub struct Message {
    /// It is an answer.
    pub response: bool,
    /// Code of the answer: 0 is no error, 3 that there is no such name.
    pub code: u8,
    /// Type that is asked for.
    pub kind: u16,
    /// Name that is asked for.
    pub name: Name,
    /// Answers of the type that was asked for.
    pub answers: u16,
    /// Their bytes.
    pub answer_bytes: u32,
    /// Hash of their contents, whatever their order; 0 without any.
    pub answer_hash: u64,
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It ends before its question does, or has none.
    CutOff,
    /// This is no DNS.
    NotDns,
}

/// Reads a datagram's payload.
pub fn read(payload: &[u8]) -> Result<Message, Unread> {
    let mut reader = Reader::new(payload);
    let mut header = [0; 6];
    for word in &mut header {
        *word = reader.u16().ok_or(Unread::CutOff)?;
    }
    let [_, flags, questions, answers, ..] = header;
    let response = flags & 0x8000 != 0;
    let opcode = (flags >> 11) & 15;
    // Opcodes to 6 are assigned, and nobody sends two questions; a question brings no answers along.
    if opcode > 6 || questions > 1 || (!response && opcode == 0 && answers > 0) {
        return Err(Unread::NotDns);
    }
    if questions == 0 {
        return Err(Unread::CutOff);
    }
    let name = Name::read(&mut reader)?;
    let kind = reader.u16().ok_or(Unread::CutOff)?;
    reader.u16().ok_or(Unread::CutOff)?;
    let code = (flags & 15) as u8;
    let mut message = Message { response, code, kind, name, answers: 0, answer_bytes: 0, answer_hash: 0 };
    if response {
        for _ in 0..answers.min(ANSWERS) {
            if message.answer(&mut reader).is_none() {
                break;
            }
        }
    }
    Ok(message)
}

impl Message {
    /// Reads one answer; `None` at the end of what is there.
    fn answer(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        skip_name(reader)?;
        let kind = reader.u16()?;
        reader.take(6)?;
        let length = usize::from(reader.u16()?);
        if kind == self.kind {
            self.answers += 1;
            self.answer_bytes += length as u32;
            let content = &reader.rest()[..length.min(reader.rest().len()).min(HASHED)];
            self.answer_hash = self.answer_hash.wrapping_add(hash(u64::from(kind), content) | 1);
        }
        reader.take(length).map(|_| ())
    }
}

/// A name in an answer, which may end in a pointer.
fn skip_name(reader: &mut Reader<'_>) -> Option<()> {
    // A name has 127 labels at most.
    for _ in 0..128 {
        match reader.u8()? {
            0 => return Some(()),
            pointer if pointer >= 0xc0 => return reader.u8().map(|_| ()),
            length if length < 64 => reader.take(usize::from(length)).map(|_| ())?,
            _ => return None,
        };
    }
    None
}

/// Messages for tests.
#[cfg(test)]
pub mod made {
    /// A question.
    pub fn question(name: &[u8], kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split(|&byte| byte == b'.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes
    }

    /// Its answer, with the records given; without any there is no such name.
    pub fn response(name: &[u8], kind: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = question(name, kind);
        (bytes[2], bytes[3]) = (0x81, if records.is_empty() { 0x83 } else { 0x80 });
        bytes[7] = records.len() as u8;
        for (kind, content) in records {
            bytes.extend_from_slice(&[0xc0, 12]);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::made::{question, response};
    use super::*;

    #[test]
    fn question_and_answers_are_read() {
        let message = read(&question(b"WwW.example.com", kind::TXT)).ok().unwrap();
        assert!(!message.response && message.kind == kind::TXT);
        assert_eq!(message.name.as_bytes(), b"WwW.example.com");
        let chain = [(kind::CNAME, &b"\x01a\0"[..]), (kind::A, &[1, 2, 3, 4]), (kind::A, &[5, 6, 7, 8])];
        let message = read(&response(b"a.b", kind::A, &chain)).ok().unwrap();
        assert!(message.response && message.code == 0);
        assert_eq!((message.answers, message.answer_bytes), (2, 8));
        let turned = [(kind::A, &[5, 6, 7, 8][..]), (kind::A, &[1, 2, 3, 4])];
        let other = read(&response(b"a.b", kind::A, &turned)).ok().unwrap();
        assert_eq!(message.answer_hash, other.answer_hash);
        let none = read(&response(b"a.b", kind::A, &[])).ok().unwrap();
        assert_eq!((none.code, none.answer_hash), (3, 0));
    }

    #[test]
    fn what_is_cut_off_keeps_its_question_and_what_is_no_dns_is_told() {
        let whole = response(b"abc.example.com", kind::TXT, &[(kind::TXT, &[7; 100])]);
        for end in 0..whole.len() {
            match read(&whole[..end]) {
                Ok(message) => assert_eq!(message.name.as_bytes(), b"abc.example.com"),
                Err(why) => assert!(why == Unread::CutOff && end < 33, "{end}"),
            }
        }
        assert_eq!(read(b"\x10\xd1\x9e\x10 and what iodine sends raw").err(), Some(Unread::NotDns));
        let mut pointer = question(b"a", kind::A);
        pointer[12] = 0xc0;
        assert_eq!(read(&pointer).err(), Some(Unread::NotDns));
        let dotted = read(&question(b"a", kind::A)).ok().unwrap();
        assert_eq!(dotted.name.as_bytes(), b"a");
    }

    #[test]
    fn longest_name_is_read_and_a_longer_one_is_refused() {
        let label = [b'x'; 63];
        let fits = [&label[..], &label, &label, &label[..61]].join(&b'.');
        assert_eq!(read(&question(&fits, 1)).ok().unwrap().name.as_bytes().len(), 253);
        let longer = [&label[..], &label, &label, &label[..63]].join(&b'.');
        assert_eq!(read(&question(&longer, 1)).err(), Some(Unread::NotDns));
    }
}
