//! Heads that were left behind a moment ago.
//!
//! Writers that meet on one context stand on versions that are a few changes old: to rebuild each
//! from the store would cost more than the merge.

use std::collections::VecDeque;
use std::sync::Arc;

use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq};
use syncline_model::proposal::Base;
use syncline_rules::BaseState;

/// Bounds what is searched for a base.
const HEADS_MAX: usize = 512;
/// Bounds the memory: the text of what is held, a parsed document takes several times that.
const BYTES_MAX: usize = 4 << 20;

/// Heads that were left behind, the newest last.
#[derive(Default)]
pub(crate) struct Left {
    heads: VecDeque<(Arc<Head>, usize)>,
    bytes: usize,
}

impl Left {
    /// Holds a head whose document has so many bytes, and lets go of the oldest.
    pub fn push(&mut self, head: Arc<Head>, bytes: usize) {
        self.bytes += bytes;
        self.heads.push_back((head, bytes));
        while self.heads.len() > HEADS_MAX || self.bytes > BYTES_MAX {
            let Some((_, bytes)) = self.heads.pop_front() else {
                return;
            };
            self.bytes -= bytes;
        }
    }

    /// Returns what a base stands for, if it is held.
    ///
    /// A base that names a change is not answered: what its writer saw is not always what the
    /// change made. What stands at or below the low-water mark may have been thinned since.
    pub fn base(&self, line: &Address, base: &Base, low_water: Seq) -> Option<BaseState> {
        if matches!(base, Base::Change(_)) {
            return None;
        }
        let of_line = self
            .heads
            .iter()
            .rev()
            .filter(|(head, _)| head.address == *line && head.seq > low_water);
        of_line
            .into_iter()
            .find_map(|(head, _)| BaseState::if_named(base, head))
    }
}
