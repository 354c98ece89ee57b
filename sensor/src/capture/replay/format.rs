//! Which kind of file it is, by its first bytes, and what to do about one that cannot be read.

use super::ReplayError;
use super::input::{Input, ReadError};
use super::pcap::Pcap;
use super::pcapng;

/// The formats that are read.
pub(super) enum Known {
    Pcap,
    Pcapng,
}

/// Tells the format by the first bytes of the (decompressed) file.
pub(super) fn format(name: &str, input: &mut Input) -> Result<Known, ReplayError> {
    let refuse = |begins: String, remedy: &str| {
        Err(ReplayError::NotCapture { file: name.to_owned(), begins, remedy: remedy.to_owned() })
    };
    let head = match input.peek(4) {
        Ok(head) => head,
        Err(ReadError::Io(source)) => {
            return Err(ReplayError::Read { file: name.to_owned(), source });
        }
        Err(ReadError::Damaged(what)) => {
            return refuse(format!("cannot be unpacked, {what}"), "fetch it again");
        }
    };
    let Some(&magic) = head.first_chunk::<4>() else {
        return refuse(format!("has {} bytes", head.len()), "give a pcap or pcapng file");
    };
    if Pcap::recognises(magic) {
        return Ok(Known::Pcap);
    }
    if magic == pcapng::MAGIC {
        return Ok(Known::Pcapng);
    }
    let unpack = "unpack it: `zstdcat`, `xzcat`, `bzcat` or `unzip -p` FILE | vesper analyze -";
    let remedy = match magic {
        [0x28, 0xb5, 0x2f, 0xfd] | [0xfd, b'7', b'z', b'X'] | [b'B', b'Z', b'h', _] | [b'P', b'K', ..] => {
            unpack
        }
        [0x1f, 0x8b, ..] => "it is packed twice: `zcat FILE | vesper analyze -`",
        _ => "pcap, pcapng and gzip of either are read; `editcap -F pcap IN OUT` converts others",
    };
    let [a, b, c, d] = magic;
    refuse(format!("begins with {a:02x} {b:02x} {c:02x} {d:02x}"), remedy)
}
