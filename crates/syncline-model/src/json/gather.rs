//! Where the reader keeps what belongs to containers that are still open.

/// A container with more parts moves them to a buffer of its own, so that the stack stays short
/// and nothing large is copied when the container ends.
const STACKED_MAX: usize = 512;

/// A buffer of its own grows by this part of itself: doubling could leave half of it empty.
const GROWTH_DIVISOR: usize = 4;

/// The parts of all open containers on one stack, so that each container is allocated once, in
/// its final size.
pub(super) struct Stack<T>(Vec<T>);

/// A container that is open.
pub(super) struct Open<T> {
    /// Where its parts start on the stack.
    start: usize,
    /// The parts that left the stack; those on it come after them.
    moved: Vec<T>,
}

impl<T> Stack<T> {
    pub(super) fn new() -> Stack<T> {
        Stack(Vec::new())
    }

    /// Opens a container, whose parts are what is pushed from now on.
    pub(super) fn open(&self) -> Open<T> {
        Open {
            start: self.0.len(),
            moved: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, part: T) {
        self.0.push(part);
    }

    /// Returns what was pushed last.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// Keeps the stack short; to be called after each part of the innermost container.
    #[inline]
    pub(super) fn settle(&mut self, open: &mut Open<T>) {
        if self.0.len() - open.start >= STACKED_MAX {
            self.move_parts(open);
        }
    }

    /// Returns how many parts the innermost container has.
    pub(super) fn count(&self, open: &Open<T>) -> usize {
        open.moved.len() + self.0.len() - open.start
    }

    /// Returns the last part of the innermost container.
    #[inline]
    pub(super) fn last<'a>(&'a self, open: &'a Open<T>) -> Option<&'a T> {
        self.0[open.start..].last().or(open.moved.last())
    }

    /// Ends the innermost container, and hands its parts over in the size that they need.
    #[inline]
    pub(super) fn close(&mut self, mut open: Open<T>) -> Vec<T> {
        if open.moved.is_empty() {
            return self.0.drain(open.start..).collect();
        }
        self.move_parts(&mut open);
        open.moved.shrink_to_fit();
        open.moved
    }

    #[inline(never)]
    fn move_parts(&mut self, open: &mut Open<T>) {
        let more = self.0.len() - open.start;
        if open.moved.capacity() - open.moved.len() < more {
            let room = open.moved.len() / GROWTH_DIVISOR;
            open.moved.reserve_exact(room.max(more));
        }
        open.moved.extend(self.0.drain(open.start..));
    }
}

/// Ends the innermost container of two stacks, whose parts belong together by pairs.
pub(super) fn close_pairs<A, B, C: FromIterator<(A, B)>>(
    (left, mut left_open): (&mut Stack<A>, Open<A>),
    (right, mut right_open): (&mut Stack<B>, Open<B>),
) -> C {
    if left_open.moved.is_empty() && right_open.moved.is_empty() {
        let lefts = left.0.drain(left_open.start..);
        return lefts.zip(right.0.drain(right_open.start..)).collect();
    }
    left.move_parts(&mut left_open);
    right.move_parts(&mut right_open);
    left_open.moved.into_iter().zip(right_open.moved).collect()
}
