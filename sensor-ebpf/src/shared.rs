//! A word in memory that the kernel and user space share.
#![expect(unsafe_code, reason = "memory with a writer elsewhere is read and written as volatile")]

use core::cell::UnsafeCell;

/// Marks integers whose loads and stores are single instructions.
pub trait Word: Copy + private::Sealed {}

impl Word for u16 {}
impl Word for u32 {}
impl Word for u64 {}

mod private {
    pub trait Sealed {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

/// An aligned integer, loaded and stored whole; no order between words is promised. The bpf target has no atomic
/// types of less than 64 bits, and both sides must have the same layout and the same code.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Shared<T: Word>(UnsafeCell<T>);

// SAFETY: every access is one volatile load or store of an aligned word, which cannot tear; what else has to hold
// between the writers is said where the words are.
unsafe impl<T: Word> Sync for Shared<T> {}

impl<T: Word> Shared<T> {
    /// Loads it.
    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: the pointer is to a live, aligned word.
        unsafe { self.0.get().read_volatile() }
    }

    /// Stores it.
    #[inline(always)]
    pub fn set(&self, value: T) {
        // SAFETY: as above; the type allows writing through a shared reference.
        unsafe { self.0.get().write_volatile(value) }
    }
}

impl Shared<u64> {
    /// Adds where there is one writer: a load and a store, no atomic addition.
    #[inline(always)]
    pub fn grow(&self, by: u64) {
        self.set(self.get().wrapping_add(by));
    }
}
