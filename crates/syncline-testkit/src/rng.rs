//! A small generator of random numbers, the same for the same seed on every machine.

/// SplitMix64: enough for choosing, and its whole state is its seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// Returns a generator of its own for a part, so that parts do not depend on each other's pace.
    #[must_use]
    pub fn fork(&self, part: u64) -> Rng {
        let mut rng = Rng(self.0 ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        rng.next();
        rng
    }

    /// Returns the next 64 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so it is no iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Returns true in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Chooses one of several, of which there is at least one.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(from.len() as u64);
        &from[usize::try_from(index).expect("an index of a slice fits")]
    }

    /// Returns a text of `length` letters.
    pub fn letters(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 8);
        while text.len() < length {
            for byte in self.next().to_le_bytes() {
                text.push(char::from(b'a' + byte % 26));
            }
        }
        text.truncate(length);
        text
    }
}
