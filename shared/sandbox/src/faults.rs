//! What the simulators' faults have in common.

use std::collections::VecDeque;

/// What calls get instead of their answers: one kind after the other in the order they were put in, each so many times.
#[derive(Debug)]
pub(crate) struct Instead<T>(VecDeque<(T, u32)>);

impl<T> Default for Instead<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Instead<T> {
    /// The next calls, after those that are waiting, get this.
    pub(crate) fn push(&mut self, what: T, calls: u32) {
        self.0.push_back((what, calls));
    }

    /// What the next call gets, if anything.
    pub(crate) fn next(&mut self) -> Option<T> {
        while let Some((what, calls)) = self.0.front_mut() {
            if *calls > 0 {
                *calls -= 1;
                return Some(what.clone());
            }
            self.0.pop_front();
        }
        None
    }
}

/// Takes one from a count of things still to go wrong.
pub(crate) fn take(count: &mut u32) -> bool {
    let due = *count > 0;
    *count = count.saturating_sub(1);
    due
}
