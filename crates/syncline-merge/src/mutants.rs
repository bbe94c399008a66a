//! Faults that tests put into the merge on purpose, to learn whether the laws would notice.
//!
//! Without the feature `mutants` each place is the constant `false`, and nothing of this is built.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A fault in one decisive place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($(#[$doc])* $name,)* }

        impl Mutant {
            /// Every one.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)*];
        }
    };
}

mutants! {
    /// An unchanged earlier side wins over an edit.
    LosesUpdate,
    /// A number's text is the later side's.
    TakesText,
    /// Deletion beats an edit silently.
    DeletesEdit,
    /// Two objects under one new key clash.
    ClashesNew,
    /// A clash shows the later side.
    ShowsLater,
    /// Nobody is told that both sides made one edit.
    AgreesSilently,
    /// One side beats the other and nobody is told.
    BeatsSilently,
    /// Ours and theirs are confused in decisions.
    SwapsSides,
    /// An object with edits of both sides is the later side's.
    DropsMembers,
    /// Equal increments count once.
    CountsOnce,
    /// A set never shrinks.
    NeverRemoves,
    /// The later tail comes first.
    AppendsBefore,
    /// The greater is the smaller.
    TakesLess,
    /// `last` is `first`.
    ConfusesLast,
    /// What is atomic is merged.
    SplitsAtoms,
    /// The pattern that is exact further to the right counts.
    MatchesRight,
    /// An item that both sides added under one key is there twice.
    DoublesKeys,
    /// An equal item that both sides added is there twice.
    DoublesItems,
    /// Equal replacements of different items are one item.
    SwallowsItems,
    /// An item that moved is another one.
    ForgetsMoves,
    /// What the later side moved stays where it was.
    IgnoresMoves,
    /// What the later side adds comes first.
    AddsBefore,
    /// What the later side adds comes at the end.
    AddsAtEnd,
    /// What both sides add to a sorted array stands in the order of the log.
    Unsorts,
    /// Both sides' replacements of one item are kept.
    KeepsOverlaps,
    /// A clash within an array without keys has an index for a name.
    ClashesByIndex,
    /// Words that both sides changed are the earlier side's.
    DropsWords,
    /// Lines that the later side changed are lost.
    DropsLines,
    /// A long array is merged whatever it costs.
    IgnoresItems,
    /// A long text is merged whatever it costs.
    IgnoresBytes,
    /// A deep document is merged whatever it costs.
    IgnoresDepth,
    /// A keyed path does not say what a bracket in a name is.
    ForgetsBrackets,
    /// Clashes are settled from the front, so removals shift what follows.
    SettlesForward,
}

#[cfg(feature = "mutants")]
mod active {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Runs something with one fault in place.
    pub fn with<T>(mutant: Option<Mutant>, run: impl FnOnce() -> T) -> T {
        ACTIVE.set(mutant);
        let result = run();
        ACTIVE.set(None);
        result
    }

    pub(crate) fn is_active(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub(crate) use active::is_active;
#[cfg(feature = "mutants")]
pub use active::with;

/// Says whether a fault is in place: never, outside of the mutants' own test.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is_active(_: Mutant) -> bool {
    false
}
