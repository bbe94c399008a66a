//! What writers sent, and what they heard.

use std::collections::BTreeMap;

use syncline_api::{Code, Problem, ReceiptOrProblem, ReceiptView};
use syncline_model::ids::ChangeId;
use syncline_model::proposal::Proposal;

use crate::Door;

/// What a writer heard of a proposal.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Nothing: the connection or the node was lost.
    Nothing,
    /// It was decided, and this is the promise.
    Receipt(ReceiptView),
    /// It was decided against.
    Refused(Problem),
    /// It was not decided, and nothing is stored.
    Undecided(Problem),
    /// The node itself does not know (a commit failed half-way).
    Unknown(Problem),
}

impl Heard {
    /// Sorts an answer.
    pub fn of(answer: Result<ReceiptView, Problem>) -> Heard {
        match answer {
            Ok(receipt) => Heard::Receipt(receipt),
            Err(problem) if problem.code == Code::Unreachable => Heard::Nothing,
            Err(problem) if problem.code == Code::UnknownOutcome => Heard::Unknown(problem),
            Err(problem) if problem.code.decided() => Heard::Refused(problem),
            Err(problem) => Heard::Undecided(problem),
        }
    }

    /// Sorts an answer to one of several.
    pub fn of_part(answer: ReceiptOrProblem) -> Heard {
        match answer {
            ReceiptOrProblem::Receipt(receipt) => Heard::Receipt(receipt),
            ReceiptOrProblem::Refused { problem, .. } => Heard::of(Err(problem)),
        }
    }
}

/// A proposal with what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// As it was sent.
    pub proposal: Proposal,
    /// Through which door.
    pub door: Door,
    /// The atomic bulk that it was a part of: its first part.
    pub bulk: Option<ChangeId>,
    /// What was heard.
    pub heard: Heard,
    /// The run that it was sent in.
    pub run: u64,
}

/// All that writers sent, by change id.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    sent: BTreeMap<ChangeId, Sent>,
}

impl Ledger {
    /// Takes note of a proposal.
    pub fn add(&mut self, sent: Sent) {
        self.sent.insert(sent.proposal.id, sent);
    }

    /// Takes over what another has noted.
    pub fn merge(&mut self, other: Ledger) {
        self.sent.extend(other.sent);
    }

    /// Returns one proposal.
    pub fn get(&self, id: &ChangeId) -> Option<&Sent> {
        self.sent.get(id)
    }

    /// Returns one proposal, to note what a resend heard.
    pub fn get_mut(&mut self, id: &ChangeId) -> Option<&mut Sent> {
        self.sent.get_mut(id)
    }

    /// Walks all proposals.
    pub fn iter(&self) -> impl Iterator<Item = (&ChangeId, &Sent)> {
        self.sent.iter()
    }

    /// Walks the proposals of one run.
    pub fn of_run(&self, run: u64) -> impl Iterator<Item = (&ChangeId, &Sent)> {
        self.sent.iter().filter(move |(_, sent)| sent.run == run)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Says whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Returns how many were acknowledged with a place in the log.
    pub fn acknowledged(&self) -> usize {
        let placed = |sent: &&Sent| matches!(&sent.heard, Heard::Receipt(r) if r.seq.is_some());
        self.sent.values().filter(placed).count()
    }
}
