//! What a follower got in one session, held against the whole log.

use std::sync::Arc;

use syncline_model::ids::{Address, ChangeId};

/// Where a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// After a change that had been seen.
    After(u64, ChangeId),
    /// At the log's beginning.
    Beginning,
    /// Anywhere: with the next change, or behind a snapshot.
    Anywhere,
}

/// What came between connecting and losing the connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// Where it began.
    pub began: Began,
    /// The changes, in the order in which they came.
    pub got: Vec<(u64, ChangeId)>,
}

/// The whole log of one life: a backup that is put back begins another.
pub type Life = Arc<Vec<(ChangeId, Address)>>;

impl Session {
    /// Checks that the session got each change of its scope after its beginning, once and in
    /// order, in one of the log's lives.
    pub fn check(&self, lives: &[Life], wants: impl Fn(&Address) -> bool) -> Result<(), String> {
        let failures: Vec<_> = lives
            .iter()
            .map(|life| self.check_life(life, &wants))
            .filter_map(Result::err)
            .collect();
        match failures.len() == lives.len() {
            true => Err(failures.last().cloned().unwrap_or_default()),
            false => Ok(()),
        }
    }

    fn check_life(&self, life: &Life, wants: &dyn Fn(&Address) -> bool) -> Result<(), String> {
        let at = |seq: u64| life.get(usize::try_from(seq).ok()?.checked_sub(1)?);
        let (Some(first), Some(last)) = (self.got.first(), self.got.last()) else {
            return Ok(());
        };
        let from = match self.began {
            Began::After(seq, id) => match at(seq) {
                Some((there, _)) if *there == id => seq,
                there => return Err(format!("resumed after {id} at {seq}, where {there:?} is")),
            },
            Began::Beginning => 0,
            Began::Anywhere => first.0 - 1,
        };
        let matches = |seq: &u64| at(*seq).is_some_and(|(_, address)| wants(address));
        let due: Vec<u64> = (from + 1..=last.0).filter(matches).collect();
        for (index, seq) in due.iter().enumerate() {
            let expected = at(*seq).map(|(id, _)| *id);
            match self.got.get(index) {
                Some((got, id)) if got == seq && Some(*id) == expected => {}
                other => {
                    return Err(format!(
                        "a session that began {:?} got {other:?} where seq {seq} was due",
                        self.began
                    ));
                }
            }
        }
        match self.got.get(due.len()) {
            None => Ok(()),
            Some(extra) => Err(format!("a session got {extra:?} beyond what there is")),
        }
    }
}
