//! Packets that came in several frames, put together again.

use bytes::{Bytes, BytesMut};
use sensor_ebpf::sample::SampleMeta;

/// Longest packet put together, bytes: a jumbo frame of 9,216 and some.
const LONGEST: usize = 16 * 1024;

/// The packet that is being put together; it may begin in one batch and end in the next.
#[derive(Debug, Default)]
pub(super) struct Join {
    open: Option<Open>,
    oversize: u64,
}

#[derive(Debug)]
struct Open {
    meta: SampleMeta,
    data: BytesMut,
    too_long: bool,
}

impl Join {
    /// Whether the next frame begins a packet.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none()
    }

    /// Packets that were longer than [`LONGEST`].
    pub(super) fn oversize(&self) -> u64 {
        self.oversize
    }

    /// Adds a frame; `more` says that the packet goes on (XDP_PKT_CONTD). The metadata is in front of the first frame.
    pub(super) fn add(
        &mut self,
        meta: impl FnOnce() -> SampleMeta,
        frame: &[u8],
        more: bool,
    ) -> Option<(SampleMeta, Bytes)> {
        let mut open = self.open.take().unwrap_or_else(|| Open {
            meta: meta(),
            data: BytesMut::with_capacity(frame.len() * 3),
            too_long: false,
        });
        open.too_long |= open.data.len() + frame.len() > LONGEST;
        if !open.too_long {
            open.data.extend_from_slice(frame);
        }
        if more {
            self.open = Some(open);
            return None;
        }
        if open.too_long {
            self.oversize += 1;
            return None;
        }
        Some((open.meta, open.data.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_packets() {
        let mut join = Join::default();
        let meta = |time| SampleMeta { time, wire_len: 9000, captured_len: 9000, weight: 1, _pad: 0 };
        let whole = |join: &mut Join, frames: &[usize]| {
            let last = frames.len() - 1;
            let mut found = None;
            for (at, len) in frames.iter().enumerate() {
                found = join.add(|| meta(at as u64 + 7), &vec![at as u8; *len], at != last);
                assert_eq!(join.is_idle(), at == last);
                assert!(at == last || found.is_none());
            }
            found
        };
        let (meta, bytes) = whole(&mut join, &[3840, 3840, 1320]).unwrap();
        assert_eq!((meta.time, bytes.len()), (7, 9000), "metadata of the first frame");
        assert_eq!((bytes[3839], bytes[3840], bytes[8999]), (0, 1, 2));
        assert_eq!(whole(&mut join, &[60]).unwrap().1.len(), 60);
        assert!(whole(&mut join, &[3840; 18]).is_none(), "a packet of 64 KiB is lost");
        assert!(whole(&mut join, &[3840; 5]).is_none(), "so is one of 19,200 bytes");
        assert_eq!(join.oversize(), 2);
        assert_eq!(whole(&mut join, &[3840, 1]).unwrap().1.len(), 3841, "and the next one is whole again");
    }
}
