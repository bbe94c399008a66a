//! Which members or items of one value have been looked at, for `unevaluatedProperties` and
//! `unevaluatedItems`.

/// One bit for each member, by its place in the object, or item.
pub(super) struct Marks(Vec<u64>);

impl Marks {
    /// How many words the marks of so many members take.
    pub(super) fn words(length: usize) -> usize {
        length.div_ceil(64)
    }

    pub(super) fn new(words: usize) -> Marks {
        Marks(vec![0; words])
    }

    pub(super) fn set(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    /// Adds the marks that another node made on the same value.
    pub(super) fn add(&mut self, other: &Marks) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }
}
