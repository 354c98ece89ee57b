//! Runs arithmetic on the widest vectors that this machine has.

use pulp::{Arch, NullaryFnOnce};

/// Whether a program was built for a machine says nothing about the one it runs on: every 64-bit x86 has vectors of four
/// numbers, most have eight. The same operations are done in the same order on each number, and none are joined into one
/// that rounds otherwise, so the results are the same to the last digit.
pub(crate) fn widest<T>(work: impl FnOnce() -> T) -> T {
    Arch::new().dispatch(Inlined(work))
}

/// What is not inlined into the function that may use wide vectors does not use them.
struct Inlined<F>(F);

impl<T, F: FnOnce() -> T> NullaryFnOnce for Inlined<F> {
    type Output = T;

    #[inline(always)]
    fn call(self) -> T {
        (self.0)()
    }
}
