//! Names of members that share a rule, though neither one name nor `*` says which they are.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Bounds what one merge spends on finding out which names are meant, in steps ([`Names::new`]);
/// an object beyond it is merged whole.
pub(super) const NAME_STEPS_MAX: u64 = 10_000_000;

/// Some names of members: those that fit a pattern, or all but some.
///
/// Which they are is said by a function, so that no language of patterns is bound to here.
#[derive(Clone)]
pub struct Names {
    label: Arc<str>,
    steps_per_byte: u64,
    has: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Names {
    /// Returns the names of which `has` is true. Equal labels must mean the same names; looking at
    /// a name costs a step, and for each of its bytes so many more.
    pub fn new(
        label: &str,
        steps_per_byte: u64,
        has: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Names {
        Names {
            label: label.into(),
            steps_per_byte,
            has: Arc::new(has),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        (self.has)(name)
    }

    /// Returns what looking at a name costs, in steps.
    pub(super) fn steps(&self, name: &str) -> u64 {
        1 + self.steps_per_byte.saturating_mul(name.len() as u64)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Names").field(&self.label).finish()
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Names) -> bool {
        Arc::ptr_eq(&self.label, &other.label) || self.label == other.label
    }
}

impl Eq for Names {}

impl PartialOrd for Names {
    fn partial_cmp(&self, other: &Names) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Names {
    fn cmp(&self, other: &Names) -> Ordering {
        match Arc::ptr_eq(&self.label, &other.label) {
            true => Ordering::Equal,
            false => self.label.cmp(&other.label),
        }
    }
}
