//! Networks that hold each other, as ranges that do not: the longest prefix of an address by one binary search.

use super::prefix::Prefix;

/// An address of one family.
pub trait Address: Copy + Ord {
    /// The next one, unless this is the last.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    fn next(self) -> Option<u32> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    fn next(self) -> Option<u128> {
        self.checked_add(1)
    }
}

/// Where what is said of an address changes; 0 is nothing.
#[derive(Clone, Debug, Default)]
pub struct Ranges<A> {
    starts: Vec<A>,
    values: Vec<u32>,
}

impl<A: Address> Ranges<A> {
    /// Of networks (first and last address, and what is said of them) by first address, larger ones first.
    pub fn new(networks: impl Iterator<Item = (A, A, u32)>) -> Ranges<A> {
        let mut ranges = Ranges { starts: Vec::new(), values: Vec::new() };
        // Networks that hold the one at hand, the innermost last.
        let mut around: Vec<(A, u32)> = Vec::new();
        for (first, last, value) in networks {
            ranges.close(&mut around, Some(first));
            ranges.turn(first, value);
            around.push((last, value));
        }
        ranges.close(&mut around, None);
        ranges.starts.shrink_to_fit();
        ranges.values.shrink_to_fit();
        ranges
    }

    /// Ends the networks that end in front of `before`.
    fn close(&mut self, around: &mut Vec<(A, u32)>, before: Option<A>) {
        while let Some(&(last, _)) = around.last().filter(|(last, _)| before.is_none_or(|at| *last < at)) {
            around.pop();
            let value = around.last().map_or(0, |(_, value)| *value);
            if let Some(next) = last.next() {
                self.turn(next, value);
            }
        }
    }

    fn turn(&mut self, at: A, value: u32) {
        if self.starts.last() == Some(&at) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last().copied().unwrap_or(0) != value {
            self.starts.push(at);
            self.values.push(value);
        }
    }

    /// What is said of an address; 0 is nothing.
    pub fn get(&self, address: A) -> u32 {
        let after = self.starts.partition_point(|start| *start <= address);
        if after == 0 { 0 } else { self.values[after - 1] }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<A>() + self.values.capacity() * size_of::<u32>()
    }
}

/// How many addresses networks hold together; in order, larger ones first.
pub fn covered<'a>(networks: impl Iterator<Item = &'a Prefix>) -> u128 {
    let (mut sum, mut end) = (0u128, None);
    for network in networks {
        if end.is_none_or(|end| network.bits > end) {
            sum = sum.saturating_add((network.last() - network.bits).saturating_add(1));
            end = Some(network.last());
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Networks of the 8 bits in the low byte of an address, so that they often hold each other.
    fn small() -> impl Strategy<Value = Vec<(u8, u8)>> {
        prop::collection::vec((any::<u8>(), 0..=8u8), 0..12)
    }

    proptest! {
        #[test]
        fn the_longest_prefix_is_found(networks in small()) {
            let mut prefixes: Vec<Prefix> =
                networks.iter().map(|&(bits, len)| Prefix::new(u128::from(bits), 120 + len)).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            let of = prefixes.iter().zip(1..).map(|(prefix, value)| (prefix.bits, prefix.last(), value));
            let ranges = Ranges::new(of);
            for address in 0..=300u128 {
                let whole = Prefix::new(address, 128);
                let holding = prefixes.iter().enumerate().filter(|(_, prefix)| prefix.holds(&whole));
                let expected = holding.max_by_key(|(_, prefix)| prefix.len).map_or(0, |(at, _)| at as u32 + 1);
                prop_assert_eq!(ranges.get(address), expected, "{} of {:?}", address, prefixes);
            }
            let held = (0..=255).filter(|&at| ranges.get(at) != 0).count() as u128;
            prop_assert_eq!(covered(prefixes.iter()), held);
        }
    }

    #[test]
    fn the_last_address_has_no_next() {
        let ranges = Ranges::new([(0u32, u32::MAX, 1), (u32::MAX, u32::MAX, 2)].into_iter());
        assert_eq!((ranges.get(7), ranges.get(u32::MAX)), (1, 2));
        assert_eq!(Ranges::<u32>::default().get(0), 0);
    }
}
