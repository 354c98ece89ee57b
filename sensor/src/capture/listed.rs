//! The kernel's two tries of listed addresses: one is looked at for each new flow, the other one is filled meanwhile.
//!
//! In: the networks that are to be listed. Out: a trie that holds them, and no moment at which a new flow is looked up in
//! neither. The thread that fills a trie is the caller's; the one that turns to it is the drain's, so that the analysis
//! is told between two drains.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use aya::maps::MapData;
use sensor_ebpf::listed::{LINES, Line, PART, place};

use super::xsk::{Batched, Mapped};
use crate::intel::Set;
use crate::intel::prefix::MAPPED_BITS;

/// Networks added or removed in one call.
const BATCH: usize = 4096;
/// Bytes of a key: the length of the prefix and the address.
const KEY: usize = 20;

/// A network as a trie holds it, and the number of the list that names it; 0 where it is exempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedPrefix {
    address: [u8; 16],
    value: u32,
    len: u8,
}

impl ListedPrefix {
    /// The network of `len` bits around an address, IPv4 mapped.
    pub fn new(address: u128, len: u8, value: u32) -> ListedPrefix {
        ListedPrefix { address: address.to_be_bytes(), value, len }
    }

    /// The bits of the parts of the address space that it reaches into.
    fn parts(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let address = u128::from_be_bytes(self.address);
        let part = if address >> 32 == 0xffff { MAPPED_BITS + PART[0] } else { PART[1] };
        let count = 1u128 << part.saturating_sub(self.len).min(part);
        (0..count).map(move |at| {
            let bytes = (address | at << (128 - part)).to_be_bytes();
            let half = |from: usize| u64::from_ne_bytes(std::array::from_fn(|n| bytes[from + n]));
            place([half(0), half(8)])
        })
    }

    fn order(&self) -> ([u8; 16], u8) {
        (self.address, self.len)
    }

    fn key(&self) -> [u8; KEY] {
        let mut key = [0; KEY];
        key[..4].copy_from_slice(&u32::from(self.len).to_ne_bytes());
        key[4..].copy_from_slice(&self.address);
        key
    }
}

/// A trie could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum ListedError {
    /// The kernel refused.
    #[error("the kernel's trie of {prefixes} listed networks could not be filled: {source}{hint}")]
    Trie {
        /// What it was to hold.
        prefixes: usize,
        /// Why.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The sensor stops, or its drain hangs.
    #[error("the capture did not turn to the new set of listed networks within {0:?}")]
    NotTurned(Duration),
}

/// One of the two.
struct Trie {
    map: Batched<KEY>,
    /// What it holds.
    held: Arc<Set>,
    /// A call failed half-way: what it holds is not known.
    unknown: bool,
    /// Its lines of the map of bits.
    lines: std::ops::Range<usize>,
}

impl Trie {
    /// Makes it hold a set and nothing else; what it holds already is left alone.
    fn fill(&mut self, set: &Arc<Set>) -> io::Result<()> {
        if self.unknown {
            self.map.clear()?;
            self.held = Arc::new(Set::default());
        }
        self.unknown = true;
        let (gone, new) = difference(self.held.trie(), set.trie());
        for gone in gone.chunks(BATCH) {
            let keys: Vec<[u8; KEY]> = gone.iter().map(|entry| entry.key()).collect();
            self.map.delete(&keys)?;
        }
        for new in new.chunks(BATCH) {
            let keys: Vec<[u8; KEY]> = new.iter().map(|entry| entry.key()).collect();
            let values: Vec<u32> = new.iter().map(|entry| entry.value).collect();
            self.map.update(&keys, &values)?;
        }
        self.held = set.clone();
        self.unknown = false;
        Ok(())
    }

    /// Says for which parts of the address space it is to be asked. Nobody reads these bits now.
    fn mark(&self, bits: &[Line]) {
        let mut marked = vec![[0u64; 8]; self.lines.len()];
        for entry in self.held.trie().iter().filter(|entry| entry.value != 0) {
            for (line, word, bit) in entry.parts() {
                marked[line as usize][word as usize] |= 1 << bit;
            }
        }
        for (line, marked) in bits[self.lines.clone()].iter().zip(&marked) {
            line.words.iter().zip(marked).for_each(|(word, marked)| word.set(*marked));
        }
    }
}

/// What is in the first and not in the second, and what of the second is not so in the first.
fn difference(old: &[ListedPrefix], new: &[ListedPrefix]) -> (Vec<ListedPrefix>, Vec<ListedPrefix>) {
    let (mut gone, mut added) = (Vec::new(), Vec::new());
    let mut old = old.iter().peekable();
    for entry in new {
        while let Some(other) = old.next_if(|other| other.order() < entry.order()) {
            gone.push(*other);
        }
        let same = old.next_if(|other| other.order() == entry.order());
        if same != Some(entry) {
            added.push(*entry);
        }
    }
    gone.extend(old);
    (gone, added)
}

/// Fills the tries, from a thread of its own: a million networks take seconds.
pub struct Lister {
    bits: Mapped<Line>,
    tries: [Trie; 2],
    turning: Turning,
}

impl Lister {
    pub(super) fn new(maps: [MapData; 2], bits: &MapData, turning: Turning) -> io::Result<Lister> {
        let lines = LINES as usize;
        let trie = |map, lines| {
            Ok::<_, io::Error>(Trie { map: Batched::new(map)?, held: Arc::default(), unknown: false, lines })
        };
        let [first, second] = maps;
        Ok(Lister {
            bits: Mapped::new(bits.fd().as_fd(), 2 * lines)?,
            tries: [trie(first, 0..lines)?, trie(second, lines..2 * lines)?],
            turning,
        })
    }

    /// Has new flows looked up in this set. Returns when they are; after an error the set before goes on.
    pub fn list(&mut self, set: &Arc<Set>, patience: Duration) -> Result<(), ListedError> {
        let Some(turned) = self.turning.settled(patience) else {
            return Err(ListedError::NotTurned(patience));
        };
        let idle = usize::from(turned == 1);
        let prefixes = set.trie().len();
        self.tries[idle].fill(set).map_err(|source| ListedError::Trie {
            prefixes,
            hint: match source.raw_os_error() {
                Some(libc::ENOMEM | libc::ENOSPC) => "; lower intel.max_prefixes",
                _ => "",
            },
            source,
        })?;
        self.tries[idle].mark(&self.bits);
        if !self.turning.ask(idle as u32 + 1, set, patience) {
            return Err(ListedError::NotTurned(patience));
        }
        Ok(())
    }
}

/// How the drain thread, which owns the program, is asked to turn to the other trie. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Turning(Arc<(Mutex<Turn>, Condvar)>);

#[derive(Debug, Default)]
struct Turn {
    wish: Option<(u32, Arc<Set>)>,
    /// A wish was taken and is not yet done.
    under_way: bool,
    /// The trie that new flows are looked up in, 1 or 2; 0 is neither.
    turned: u32,
}

impl Turning {
    /// Waits until every new flow is looked up in this trie.
    fn ask(&self, trie: u32, set: &Arc<Set>, patience: Duration) -> bool {
        let (turn, news) = &*self.0;
        let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.wish = Some((trie, set.clone()));
        let waited = news.wait_timeout_while(turn, patience, |turn| turn.turned != trie);
        let (mut turn, _) = waited.unwrap_or_else(PoisonError::into_inner);
        turn.wish = None;
        turn.turned == trie
    }

    /// The trie in use, once no wish is half done.
    fn settled(&self, patience: Duration) -> Option<u32> {
        let (turn, news) = &*self.0;
        let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = news.wait_timeout_while(turn, patience, |turn| turn.under_way);
        let (turn, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!turn.under_way).then_some(turn.turned)
    }

    /// What is wished, if anything is.
    pub fn wish(&self) -> Option<(u32, Arc<Set>)> {
        let mut turn = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wish = turn.wish.take();
        turn.under_way |= wish.is_some();
        wish
    }

    /// No program looks at another trie any more.
    pub fn turned(&self, trie: u32) {
        let (turn, news) = &*self.0;
        let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        (turn.turned, turn.under_way) = (trie, false);
        news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_changed() {
        let of = |address: u128, value| ListedPrefix::new(address, 128, value);
        let (gone, added) = difference(&[of(1, 1), of(2, 1), of(4, 1)], &[of(2, 1), of(3, 1), of(4, 2)]);
        assert_eq!((gone, added), (vec![of(1, 1)], vec![of(3, 1), of(4, 2)]));
        assert_eq!(difference(&[], &[of(1, 1)]), (vec![], vec![of(1, 1)]));
        assert_eq!(difference(&[of(1, 1)], &[]), (vec![of(1, 1)], vec![]));
    }
}
