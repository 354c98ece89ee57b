//! Reads ahead on a thread of its own: what is unpacked there need not be unpacked here.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Pieces that wait: a megabyte.
const PIECES: usize = 4;

/// The reading end.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Pieces on their way back, to be filled again.
    back: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Begins to read; the thread ends with the reader, or when nobody wants its pieces any more.
    pub(super) fn new(mut reader: impl Read + Send + 'static) -> io::Result<Ahead> {
        let (sender, pieces) = sync_channel(PIECES);
        let (back, empty) = sync_channel::<Vec<u8>>(PIECES + 2);
        thread::Builder::new().name("read-ahead".to_owned()).spawn(move || {
            loop {
                let mut piece = empty.try_recv().unwrap_or_default();
                piece.resize(PIECE, 0);
                let got = match reader.read(&mut piece) {
                    Ok(got) => got,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => {
                        drop(sender.send(Err(error)));
                        return;
                    }
                };
                piece.truncate(got);
                // An empty piece is the end.
                if sender.send(Ok(piece)).is_err() || got == 0 {
                    return;
                }
            }
        })?;
        Ok(Ahead { pieces, back, piece: Vec::new(), at: 0 })
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            // The thread has ended: so has the input.
            let next = self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            let used = std::mem::replace(&mut self.piece, next);
            self.at = 0;
            drop(self.back.try_send(used));
        }
        let got = (&self.piece[self.at..]).read(into)?;
        self.at += got;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_reader_gives_and_its_error_after() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut ahead = Ahead::new(io::Cursor::new(bytes.clone())).unwrap();
        let mut found = Vec::new();
        assert_eq!(ahead.read_to_end(&mut found).unwrap(), bytes.len());
        assert_eq!(found, bytes);
        let mut ahead = Ahead::new(io::Cursor::new(vec![7; 10]).chain(Broken)).unwrap();
        let mut found = Vec::new();
        assert_eq!(ahead.read_to_end(&mut found).unwrap_err().to_string(), "broken");
        assert_eq!(found, [7; 10]);
        // Nobody reads to the end: the thread must not wait for ever.
        drop(Ahead::new(io::repeat(1)).unwrap());
    }
}
