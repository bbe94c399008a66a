//! What lines of versions have in common.
//!
//! A version comes of the one before it on its line, of the version of another line that it merged,
//! and, where it began a branch, of the version of `main` that it began as. Merges go by way of any
//! line, so two lines can have more than one point in common of which neither comes of the other.
//!
//! The search goes back in the order of the log, in which nothing comes after what came of it, and
//! ends once all that is left to look at on either side comes before the points. It does no I/O: it
//! says what it must know next.

use std::collections::{BTreeMap, HashMap};

use syncline_model::ids::{Seq, Version};
use syncline_model::proposal::LineVersion;

/// A version, as far as the search must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its place in the log.
    pub seq: Seq,
    /// What it came of.
    pub of: Vec<LineVersion>,
}

/// A search for what versions have in common.
#[derive(Debug)]
pub struct Ancestry {
    found: HashMap<LineVersion, Ways>,
    /// What must be known before the search goes on, newest last.
    wanted: Vec<LineVersion>,
    /// What is to be looked at. Of two versions at one place the newer comes first.
    queue: BTreeMap<(Seq, Version), (LineVersion, Vec<LineVersion>)>,
    points: Vec<LineVersion>,
}

/// On which ways a version was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ways {
    /// From the ones.
    one: bool,
    /// From the others.
    other: bool,
    /// From what both have in common: it is a point no more.
    below: bool,
}

impl Ways {
    fn both(self) -> bool {
        self.one && self.other
    }

    fn and(self, more: Ways) -> Ways {
        Ways {
            one: self.one || more.one,
            other: self.other || more.other,
            below: self.below || more.below,
        }
    }
}

impl Ancestry {
    /// Begins a search for what some versions have in common with others.
    pub fn new(ones: &[LineVersion], others: &[LineVersion]) -> Ancestry {
        let mut search = Ancestry {
            found: HashMap::new(),
            wanted: Vec::new(),
            queue: BTreeMap::new(),
            points: Vec::new(),
        };
        let ways = Ways::default();
        for at in ones {
            search.reach(at.clone(), Ways { one: true, ..ways });
        }
        for at in others {
            search.reach(
                at.clone(),
                Ways {
                    other: true,
                    ..ways
                },
            );
        }
        search
    }

    /// Returns the version that must be known next ([`Ancestry::put`]); `None` once the search is
    /// over.
    pub fn wanted(&self) -> Option<&LineVersion> {
        self.wanted.last().filter(|_| self.goes_on())
    }

    /// Another point would be found from both sides, by what is still to be looked at.
    fn goes_on(&self) -> bool {
        let queued = self.queue.values().map(|(at, _)| at);
        let ways = queued.chain(&self.wanted).map(|at| self.found[at]);
        let open = ways.filter(|ways| !ways.below);
        let open = open.fold(Ways::default(), Ways::and);
        open.both()
    }

    /// Says what is known of the version that was wanted; `None` where nothing is, as of version 0.
    pub fn put(&mut self, origin: Option<Origin>) {
        let Some(at) = self.wanted.pop() else { return };
        match origin {
            Some(origin) => {
                let place = (origin.seq, at.version);
                self.queue.insert(place, (at, origin.of));
            }
            None => self.look_at(&at, Vec::new()),
        }
        while self.wanted.is_empty() && self.goes_on() {
            if let Some((_, (at, of))) = self.queue.pop_last() {
                self.look_at(&at, of);
            }
        }
    }

    fn look_at(&mut self, at: &LineVersion, of: Vec<LineVersion>) {
        let mut ways = self.found[at];
        if ways.both() && !ways.below {
            self.points.push(at.clone());
            ways.below = true;
            self.found.insert(at.clone(), ways);
        }
        for before in of {
            self.reach(before, ways);
        }
    }

    fn reach(&mut self, at: LineVersion, ways: Ways) {
        if let Some(known) = self.found.get_mut(&at) {
            *known = known.and(ways);
            return;
        }
        self.found.insert(at.clone(), ways);
        self.wanted.push(at);
    }

    /// Returns the newest points that both have in common and of which none comes of another, the
    /// newest in the log first.
    pub fn points(&self) -> &[LineVersion] {
        &self.points
    }
}
