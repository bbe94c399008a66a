//! What a reader holds of each context, so that a patch is one from there.
//!
//! A plain subscription is sent every version of its contexts, so each change's own patch fits. One
//! that chooses among changes is sent some versions only, and of branches every reader may have none:
//! snapshots show `main`, and a cursor does not say what lies before it. What was sent last of these
//! is kept here, for a bounded number of lines. What is not kept is sent whole, which is right
//! whatever the reader holds.

use std::collections::HashMap;

use syncline_model::ids::{Address, Seq, Version};

/// Bounds how many contexts are known, at some 100 bytes each; the rest is sent whole.
const LINES_MAX: usize = 4_096;

/// In which form a reader is sent a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the change is: its patch applies to what the reader holds.
    Own,
    /// With a patch from this version.
    From(Version),
    /// Whole: what the reader holds is not known.
    Whole,
    /// Not at all: it was shown this version, or a later one.
    Known,
}

/// A change on its way, as far as its form depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// Its place.
    pub seq: Seq,
    /// The version that it made.
    pub version: Version,
    /// The version that its own patch applies to.
    pub from: Version,
    /// Where earlier changes of the context were held back for it: the first one's place, and the
    /// version that one's patch applies to.
    pub held: Option<(Seq, Version)>,
}

/// What was sent last, by line of versions.
#[derive(Debug, Default)]
pub struct Sent {
    chooses: bool,
    /// Up to here a reader may hold more than it was sent on this connection: from a snapshot in
    /// pages of different moments, or because it resumed where something was held back.
    unsure_until: Seq,
    /// Up to here a reader may hold less than what lies before: it goes back to a place at which
    /// changes were held back, and has let contexts go since.
    back_until: Seq,
    young: HashMap<Address, Version>,
    old: HashMap<Address, Version>,
}

impl Sent {
    /// Begins with nothing known. `chooses` says that not every version is sent.
    pub fn new(chooses: bool) -> Sent {
        Sent {
            chooses,
            ..Sent::default()
        }
    }

    /// Says whether it must be known what was sent of a line.
    fn keeps(&self, line: &Address) -> bool {
        self.chooses || line.is_branch()
    }

    /// Notes that up to `seq` the reader may hold more than it was sent.
    pub fn unsure_until(&mut self, seq: Seq) {
        self.unsure_until = self.unsure_until.max(seq);
    }

    /// Notes that the reader goes back from about `seq` to where changes were held back.
    pub fn goes_back_from(&mut self, seq: Seq) {
        self.unsure_until(seq);
        self.back_until = seq;
    }

    /// Returns in which form a change is sent.
    pub fn form(&self, line: &Address, passing: &Passing) -> Form {
        if !self.chooses {
            return match passing.held {
                _ if line.is_branch() && self.get(line).is_none() => Form::Whole,
                None if passing.seq > self.back_until => Form::Own,
                None => Form::Whole,
                Some((first, from)) if first > self.unsure_until => Form::From(from),
                Some(_) => Form::Whole,
            };
        }
        match self.get(line) {
            Some(version) if version >= passing.version => Form::Known,
            Some(version) if version == passing.from => Form::Own,
            Some(version) => Form::From(version),
            None => Form::Whole,
        }
    }

    /// Says whether versions before `from` may have been passed over since the one that the reader
    /// has; `picks` says that some changes are left out, not only parts of them.
    pub fn lags(&self, line: &Address, from: Version, picks: bool) -> bool {
        self.chooses && self.get(line).map_or(picks, |sent| sent < from)
    }

    /// Notes that a change was sent.
    pub fn note(&mut self, line: &Address, seq: Seq, version: Version) {
        // One that may hold a later version drops this one, and goes on from what it holds. Whoever
        // gets every version gets the steps from either.
        if !self.keeps(line) {
            return;
        }
        let known = self.get(line);
        let is_sure = !self.chooses || seq > self.unsure_until || known.is_some();
        // A context may enter as it was before it was shown.
        if is_sure && known < Some(version) {
            self.put(line, version);
        }
    }

    /// Notes that a context was shown as it was at this version.
    pub fn show(&mut self, line: &Address, version: Version) {
        if self.keeps(line) && self.get(line).is_none_or(|known| known < version) {
            self.put(line, version);
        }
    }

    /// Forgets a context that left, or is no more.
    pub fn forget(&mut self, line: &Address) {
        self.young.remove(line);
        self.old.remove(line);
    }

    fn get(&self, line: &Address) -> Option<Version> {
        let known = self.young.get(line).or_else(|| self.old.get(line));
        known.copied()
    }

    /// Two generations: what was not sent for the length of one is forgotten.
    fn put(&mut self, line: &Address, version: Version) {
        if self.young.len() >= LINES_MAX / 2 && !self.young.contains_key(line) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(line);
        self.young.insert(line.clone(), version);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use syncline_model::ids::BranchName;

    use super::*;

    fn line(n: usize) -> Address {
        Address::parse(&format!("task/t{n}")).unwrap()
    }

    fn passing(version: u64) -> Passing {
        Passing {
            seq: Seq(version),
            version: Version(version),
            from: Version(version - 1),
            held: None,
        }
    }

    #[test]
    fn who_gets_all_gets_changes_as_they_are() {
        let mut sent = Sent::new(false);
        assert_eq!(sent.form(&line(1), &passing(4)), Form::Own);
        let held = Passing {
            held: Some((Seq(5), Version(1))),
            ..passing(4)
        };
        assert_eq!(sent.form(&line(1), &held), Form::From(Version(1)));
        sent.unsure_until(Seq(5));
        assert_eq!(sent.form(&line(1), &held), Form::Whole);
        assert_eq!(sent.form(&line(1), &passing(4)), Form::Own);
        sent.goes_back_from(Seq(5));
        assert_eq!(sent.form(&line(1), &passing(5)), Form::Whole);
        assert_eq!(sent.form(&line(1), &passing(6)), Form::Own);
    }

    #[test]
    fn who_chooses_gets_patches_from_what_it_holds() {
        let mut sent = Sent::new(true);
        assert_eq!(sent.form(&line(1), &passing(4)), Form::Whole);
        sent.note(&line(1), Seq(9), Version(4));
        assert_eq!(sent.form(&line(1), &passing(5)), Form::Own);
        assert_eq!(sent.form(&line(1), &passing(7)), Form::From(Version(4)));
        assert_eq!(sent.form(&line(1), &passing(4)), Form::Known);
        sent.forget(&line(1));
        assert_eq!(sent.form(&line(1), &passing(7)), Form::Whole);
    }

    #[test]
    fn a_branch_comes_whole_first_whoever_gets_it() {
        let mut sent = Sent::new(false);
        let branch = line(1).line(Some(&BranchName::parse("try").unwrap()));
        sent.unsure_until(Seq(20));
        assert_eq!(sent.form(&branch, &passing(4)), Form::Whole);
        sent.note(&branch, Seq(4), Version(4));
        assert_eq!(sent.form(&branch, &passing(5)), Form::Own);
        assert_eq!(sent.form(&line(1), &passing(5)), Form::Own);
        sent.forget(&branch);
        assert_eq!(sent.form(&branch, &passing(6)), Form::Whole);
        sent.show(&branch, Version(6));
        assert_eq!(sent.form(&branch, &passing(7)), Form::Own);
    }

    #[test]
    fn behind_a_snapshot_only_what_it_showed_is_known() {
        let mut sent = Sent::new(true);
        sent.unsure_until(Seq(20));
        sent.show(&line(1), Version(7));
        assert_eq!(sent.form(&line(1), &passing(4)), Form::Known);
        assert_eq!(sent.form(&line(1), &passing(9)), Form::From(Version(7)));
        sent.note(&line(1), Seq(9), Version(5));
        assert_eq!(sent.form(&line(1), &passing(9)), Form::From(Version(7)));
        sent.note(&line(2), Seq(9), Version(4));
        assert_eq!(sent.form(&line(2), &passing(9)), Form::Whole);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut sent = Sent::new(true);
        for n in 0..3 * LINES_MAX {
            sent.note(&line(n), Seq(1), Version(1));
            sent.note(&line(0), Seq(1), Version(1));
        }
        assert!(sent.young.len() + sent.old.len() <= LINES_MAX);
        assert_eq!(sent.form(&line(0), &passing(2)), Form::Own);
        assert_eq!(sent.form(&line(1), &passing(2)), Form::Whole);
    }
}
