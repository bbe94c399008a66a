//! Patterns of pointers: which parts of a document a change must touch.

use std::fmt;

use syncline_model::json::{Pointer, PointerError};

/// Stands for any one step. A member whose name is `*` cannot be named alone.
const ANY: &str = "*";

/// A JSON Pointer in which `*` stands for one step, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PointerPattern(Pointer);

impl PointerPattern {
    /// Reads a pattern such as `/data/steps/*/owner`.
    pub fn parse(text: &str) -> Result<PointerPattern, PointerError> {
        Pointer::parse(text).map(PointerPattern)
    }

    /// Returns the place above all that can match: the steps before the first `*`.
    pub fn stem(&self) -> Pointer {
        let plain = self.0.tokens().iter().take_while(|token| &***token != ANY);
        let mut stem = Pointer::root();
        plain.for_each(|token| stem.push(token.clone()));
        stem
    }

    /// Says whether a change at `pointer` touches what the pattern names: it lies at it, below it
    /// or above it. What replaces `/data` may have changed `/data/status` with it.
    pub fn touches(&self, pointer: &Pointer) -> bool {
        let steps = self.0.tokens().iter().zip(pointer.tokens());
        steps.into_iter().all(|(a, b)| &**a == ANY || a == b)
    }
}

impl fmt::Display for PointerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
