//! A doubly linked list through the slots of a table: oldest first, removal anywhere, no memory of its own.

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// A slot's neighbours; a slot is in one list at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    before: u32,
    after: u32,
}

impl Default for Links {
    fn default() -> Links {
        Links { before: NONE, after: NONE }
    }
}

/// Both ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> List {
        List { first: NONE, last: NONE }
    }
}

impl List {
    /// The oldest.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Adds a slot that is in no list as the newest.
    pub(super) fn push(&mut self, at: u32, links: &mut [Links]) {
        links[at as usize] = Links { before: self.last, after: NONE };
        if self.last == NONE {
            self.first = at;
        } else {
            links[self.last as usize].after = at;
        }
        self.last = at;
    }

    /// Takes out a slot that is in this list.
    pub(super) fn remove(&mut self, at: u32, links: &mut [Links]) {
        let Links { before, after } = std::mem::take(&mut links[at as usize]);
        if before == NONE {
            self.first = after;
        } else {
            links[before as usize].after = after;
        }
        if after == NONE {
            self.last = before;
        } else {
            links[after as usize].before = before;
        }
    }
}
