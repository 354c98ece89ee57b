//! Packets as a pcapng file (draft-ietf-opsawg-pcapng): one section, one Ethernet interface whose times are nanoseconds.

use super::evidence::EvidencePacket;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Says in which byte order the file is.
const MAGIC: u32 = 0x1a2b_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;

mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const APPLICATION: u16 = 4;
    pub(super) const RESOLUTION: u16 = 9;
}

/// The longest value of an option.
const LONGEST: usize = 4096;

/// The file; the comment goes to the first packet.
pub fn file(packets: &[EvidencePacket], comment: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    section.extend_from_slice(&MAGIC.to_le_bytes());
    section.extend_from_slice(&[1, 0, 0, 0]);
    // The length of the section is not told.
    section.extend_from_slice(&u64::MAX.to_le_bytes());
    let program = concat!("vesper ", env!("CARGO_PKG_VERSION"));
    options(&mut section, &[(option::APPLICATION, program.as_bytes())]);
    block(&mut out, SECTION, &section);

    let mut interface = Vec::new();
    interface.extend_from_slice(&ETHERNET.to_le_bytes());
    // Reserved, then no limit to the length of packets.
    interface.extend_from_slice(&[0; 6]);
    // 10^-9 seconds.
    options(&mut interface, &[(option::RESOLUTION, &[9])]);
    block(&mut out, INTERFACE, &interface);

    for (index, packet) in packets.iter().enumerate() {
        let mut body = vec![0; 4];
        body.extend_from_slice(&((packet.time >> 32) as u32).to_le_bytes());
        body.extend_from_slice(&(packet.time as u32).to_le_bytes());
        body.extend_from_slice(&(packet.data.len() as u32).to_le_bytes());
        body.extend_from_slice(&packet.length.max(packet.data.len() as u32).to_le_bytes());
        padded(&mut body, &packet.data);
        if index == 0 && !comment.is_empty() {
            options(&mut body, &[(option::COMMENT, comment.as_bytes())]);
        }
        block(&mut out, PACKET, &body);
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(body);
    out.extend_from_slice(&length);
}

fn options(body: &mut Vec<u8>, options: &[(u16, &[u8])]) {
    for (code, value) in options {
        let mut end = value.len().min(LONGEST);
        // Text is cut between characters.
        while end < value.len() && end > 0 && value[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        body.extend_from_slice(&code.to_le_bytes());
        body.extend_from_slice(&(end as u16).to_le_bytes());
        padded(body, &value[..end]);
    }
    body.extend_from_slice(&option::END.to_le_bytes());
    body.extend_from_slice(&[0; 2]);
}

fn padded(body: &mut Vec<u8>, data: &[u8]) {
    body.extend_from_slice(data);
    body.resize(body.len().next_multiple_of(4), 0);
}
