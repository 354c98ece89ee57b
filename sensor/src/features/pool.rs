//! Values by number, for what most entries of a table do not have: an entry holds the number, or [`NONE`].

/// No value.
pub(super) const NONE: u32 = u32::MAX;

/// See the module. As many values as entries refer to: the table that they are of bounds them.
pub(super) struct Pool<T> {
    values: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { values: Vec::new(), free: Vec::new() }
    }
}

impl<T: Copy + Default> Pool<T> {
    /// The value of a number, if there is one.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)
    }

    /// The value of a number, a new one where there is none: then the number is set.
    #[inline]
    pub(super) fn get_or_add(&mut self, number: &mut u32) -> &mut T {
        if *number == NONE {
            *number = match self.free.pop() {
                Some(free) => {
                    self.values[free as usize] = T::default();
                    free
                }
                None => {
                    self.values.push(T::default());
                    self.values.len() as u32 - 1
                }
            };
        }
        &mut self.values[*number as usize]
    }

    /// The entry is gone, and its value with it.
    pub(super) fn release(&mut self, number: u32) {
        if number != NONE {
            self.free.push(number);
        }
    }

    /// Everything goes.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.free.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_number_is_used_again_with_nothing_in_it() {
        let mut pool = Pool::<u64>::default();
        let (mut one, mut other) = (NONE, NONE);
        *pool.get_or_add(&mut one) = 1;
        *pool.get_or_add(&mut other) = 2;
        assert_eq!((pool.get(one), pool.get(other), pool.get(NONE)), (Some(&1), Some(&2), None));
        pool.release(one);
        pool.release(NONE);
        let mut third = NONE;
        assert_eq!((*pool.get_or_add(&mut third), third), (0, one));
        assert_eq!(*pool.get_or_add(&mut other), 2);
    }
}
