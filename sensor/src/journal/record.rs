//! What the journal holds, byte for byte; `docs/journal.md` says the same for other programs.
//!
//! A segment is a head, then blocks: the first says what the rows consist of, every other is a window. A block is its
//! mark, its length, a CRC-32 of length and body, and the body in postcard's encoding. So a block stands alone: one
//! that was damaged is passed over, and what was torn off by a crash is found.

use serde::{Deserialize, Serialize};

use crate::alert::ThreatType;
use crate::status::ModelState;

/// First bytes of a segment.
pub const MAGIC: [u8; 8] = *b"vesper-j";
/// Changes whenever the meaning of a byte changes; a reader refuses what it does not know.
pub const FORMAT: u32 = 1;
/// First bytes of a block.
pub const MARK: [u8; 4] = *b"vsjb";
/// A larger block is none: 4096 rows of 300 features, each number at its longest, are smaller.
pub const LARGEST_BLOCK: usize = 8 << 20;
/// Magic and format.
pub const HEAD: usize = 12;
/// Mark, length and CRC.
pub const FRAME: usize = 12;

/// Kinds of rows: flow, host, link, in this order wherever there is one value for each.
pub const KINDS: usize = 3;
/// Their names.
pub const KIND_NAMES: [&str; KINDS] = ["flow", "host", "link"];

/// What rows consist of, the same for all windows of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Names of the features of a row, in order, by kind.
    pub features: [Vec<String>; KINDS],
    /// Names of the members of the ensemble that score a row, in order, by kind.
    pub members: [Vec<String>; KINDS],
}

/// The first block of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Start of its first window, nanoseconds since the Unix epoch.
    pub start: u64,
    /// What its rows consist of.
    pub layout: Layout,
}

/// Who a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// A flow; the source is the initiator. IPv4 addresses are mapped into IPv6 ones.
    Flow {
        /// Initiator.
        src: [u8; 16],
        /// Its port.
        src_port: u16,
        /// The other side.
        dst: [u8; 16],
        /// Its port.
        dst_port: u16,
        /// IP protocol number.
        proto: u8,
    },
    /// A host, everything it does together.
    Host {
        /// Its address.
        address: [u8; 16],
    },
    /// A station below IP: ARP, and frames that are not IP.
    Link {
        /// Its hardware address.
        source: [u8; 6],
        /// An address that is its own, where one is known.
        address: Option<[u8; 16]>,
    },
}

impl Key {
    /// Place of its kind in [`KIND_NAMES`].
    pub fn kind(&self) -> usize {
        match self {
            Key::Flow { .. } => 0,
            Key::Host { .. } => 1,
            Key::Link { .. } => 2,
        }
    }

    /// Whether this host takes part.
    pub fn is_about(&self, host: &[u8; 16]) -> bool {
        match self {
            Key::Flow { src, dst, .. } => src == host || dst == host,
            Key::Host { address } => address == host,
            Key::Link { address, .. } => address.as_ref() == Some(host),
        }
    }
}

/// A scored row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who.
    pub key: Key,
    /// Packets in the window, sent by the source (or by the host) and to it.
    pub packets: [u64; 2],
    /// Bytes, likewise.
    pub bytes: [u64; 2],
    /// The score.
    pub score: f32,
    /// What each member says, where there are members.
    pub members: Vec<f32>,
    /// The features as the model saw them, from 0 to 1 in steps of 1/65535: see [`quantise`].
    pub features: Vec<u16>,
    /// How many rows of its window it stands for.
    pub weight: f32,
    /// Its score was above the threshold.
    pub unusual: bool,
    /// It was not to be learned from: it, or somebody in it, took part in an attack.
    pub suspect: bool,
    /// The type of the attack it was part of.
    pub alert: Option<ThreatType>,
}

/// A window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// Same.
    pub end: u64,
    /// What the model was doing.
    pub state: ModelState,
    /// Training steps of the model so far.
    pub generation: u64,
    /// Score above which a row is unusual; 0 before the model is active.
    pub threshold: f32,
    /// Rows that were scored, by kind.
    pub scored: [u64; KINDS],
    /// Those that were kept.
    pub rows: Vec<Row>,
}

/// A feature between 0 and 1 in 65,535 steps: less than a thousandth of the smallest deviation that counts as unusual,
/// and a zero, which most are, is one byte.
pub fn quantise(feature: f32) -> u16 {
    // What is no number becomes 0: the conversion saturates.
    (feature.clamp(0.0, 1.0) * 65_535.0).round() as u16
}

/// And back.
pub fn feature(quantised: u16) -> f32 {
    f32::from(quantised) / 65_535.0
}

/// Why something is not a segment, or a block no block.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not a segment.
    #[error("it is no journal of vesper")]
    NotOne,
    /// Written by another version.
    #[error("it has format {found}, this program reads {FORMAT}")]
    Format {
        /// In the file.
        found: u32,
    },
    /// The block that says what the rows consist of.
    #[error("its first block is damaged")]
    Header,
    /// Postcard refuses.
    #[error("a window cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
    /// Beyond the limit.
    #[error("a block of {bytes} bytes is larger than {LARGEST_BLOCK}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The first bytes of a segment, up to its first window.
pub fn encode_header(header: &Header) -> Result<Vec<u8>, RecordError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(frame(&postcard::to_stdvec(header)?)?);
    Ok(bytes)
}

/// A window as a block.
pub fn encode_window(window: &Window) -> Result<Vec<u8>, RecordError> {
    frame(&postcard::to_stdvec(window)?)
}

fn frame(body: &[u8]) -> Result<Vec<u8>, RecordError> {
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LARGEST_BLOCK);
    let length = length.ok_or(RecordError::TooLarge { bytes: body.len() })?.to_le_bytes();
    let mut block = Vec::with_capacity(FRAME + body.len());
    block.extend(MARK);
    block.extend(length);
    block.extend(checksum(length, body).to_le_bytes());
    block.extend(body);
    Ok(block)
}

/// CRC-32 (IEEE 802.3) of length and body: a length that was changed is found too.
fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

/// What stands at a place that should be a block.
pub(super) enum Framed<'a> {
    /// A whole block with this body.
    Whole(&'a [u8]),
    /// It begins like a block of so many bytes, and is not one.
    Broken(usize),
    /// Nothing like a block.
    Nothing,
}

/// Looks at the beginning of `bytes`.
pub(super) fn framed(bytes: &[u8]) -> Framed<'_> {
    let Some((frame, rest)) = bytes.split_first_chunk::<FRAME>() else { return Framed::Nothing };
    let [a, b, c, d, l0, l1, l2, l3, c0, c1, c2, c3] = *frame;
    let (length, sum) = ([l0, l1, l2, l3], u32::from_le_bytes([c0, c1, c2, c3]));
    let size = u32::from_le_bytes(length) as usize;
    if [a, b, c, d] != MARK || size > LARGEST_BLOCK {
        return Framed::Nothing;
    }
    match rest.get(..size) {
        Some(body) if checksum(length, body) == sum => Framed::Whole(body),
        Some(_) => Framed::Broken(size),
        None => Framed::Nothing,
    }
}
