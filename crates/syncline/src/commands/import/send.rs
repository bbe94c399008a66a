//! Sends proposals in batches, and counts what became of them.

use std::collections::HashMap;
use std::time::Duration;

use syncline_api::{Code, Problem, ReceiptOrProblem};
use syncline_client::{ClientOptions, Event, Live, Submitter, Target};
use syncline_model::change::Outcome;
use syncline_model::ids::{Name, Seq};
use syncline_model::proposal::{Operation, Proposal};

use crate::failure::Result;

/// Bounds a batch in proposals: they share a commit, and a bulk has at most 1,000.
const BATCH_MAX: usize = 250;
/// Bounds a batch in bytes, far below what a node takes as one message.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Bounds the connections, one for each agent and session that acts.
const CONNECTIONS_MAX: usize = 32;
/// How long a batch may take, reconnections included.
const BATCH_TIME_MAX: Duration = Duration::from_secs(120);

type Who = (Option<Name>, Option<Name>);

/// What became of the proposals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Contexts made.
    pub created: u64,
    /// Versions added to contexts that were there.
    pub changed: u64,
    /// What the head already said, and what an earlier import had sent.
    pub unchanged: u64,
    /// Refused.
    pub refused: u64,
    /// Among those made or changed: what clashes with others' work, and waits.
    pub conflicts: u64,
}

impl Counts {
    /// Returns how many were answered.
    pub fn total(&self) -> u64 {
        self.created + self.changed + self.unchanged + self.refused
    }
}

/// Sends proposals over one connection for each actor.
pub struct Sender {
    target: Target,
    options: ClientOptions,
    connections: HashMap<Who, Submitter>,
    batch: Vec<Proposal>,
    bytes: usize,
    /// The log's end when the import began: receipts up to here are of an earlier import.
    tail: Seq,
    /// What became of them.
    pub counts: Counts,
    /// The refused, to be told or tried again.
    pub refused: Vec<(Proposal, Problem)>,
}

impl Sender {
    /// Makes a sender; it connects with the first batch.
    pub fn new(target: Target, options: ClientOptions, tail: Seq) -> Sender {
        Sender {
            target,
            options,
            connections: HashMap::new(),
            batch: Vec::new(),
            bytes: 0,
            tail,
            counts: Counts::default(),
            refused: Vec::new(),
        }
    }

    /// Takes a proposal; it is sent once a batch is full, or another actor's turn comes.
    pub async fn send(&mut self, proposal: Proposal) -> Result {
        let weight = proposal.body.weight() + 300;
        let other = self
            .batch
            .first()
            .is_some_and(|first| who(first) != who(&proposal));
        let full = self.batch.len() >= BATCH_MAX || self.bytes + weight > BATCH_BYTES_MAX;
        if !self.batch.is_empty() && (other || full) {
            self.flush().await?;
        }
        self.bytes += weight;
        self.batch.push(proposal);
        Ok(())
    }

    /// Sends what waits, and counts the answers.
    pub async fn flush(&mut self) -> Result {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let Some(first) = batch.first() else {
            return Ok(());
        };
        let submitter = self.connection(who(first)).await?;
        let answered = tokio::time::timeout(BATCH_TIME_MAX, submitter.submit(&batch, None)).await;
        let answers = answered.unwrap_or_else(|_| {
            Err(Problem::new(Code::Unreachable, "the node did not answer")
                .hint("run the same import again once it does: nothing is imported twice"))
        })?;
        for (proposal, answer) in batch.into_iter().zip(answers) {
            self.count(proposal, answer)?;
        }
        Ok(())
    }

    fn count(&mut self, proposal: Proposal, answer: ReceiptOrProblem) -> Result {
        let receipt = match answer {
            ReceiptOrProblem::Receipt(receipt) => receipt,
            // What is undecided is the node's state, not the row's fault: stop, and let the same
            // import go on later.
            ReceiptOrProblem::Refused { problem, .. } if problem.code.retry() => {
                return Err(problem
                    .hint("run the same import again later: nothing is imported twice")
                    .into());
            }
            ReceiptOrProblem::Refused { problem, .. } => {
                self.counts.refused += 1;
                self.refused.push((proposal, problem));
                return Ok(());
            }
        };
        self.counts.conflicts += u64::from(receipt.outcome == Outcome::Conflict);
        let earlier = receipt.seq.is_some_and(|seq| seq <= self.tail);
        match proposal.operation {
            _ if earlier || receipt.outcome == Outcome::Unchanged => self.counts.unchanged += 1,
            Operation::Create => self.counts.created += 1,
            _ => self.counts.changed += 1,
        }
        Ok(())
    }

    async fn connection(&mut self, who: Who) -> Result<Submitter> {
        if let Some(submitter) = self.connections.get(&who) {
            return Ok(submitter.clone());
        }
        if self.connections.len() >= CONNECTIONS_MAX {
            self.connections.clear();
        }
        let (agent, session) = who.clone();
        let options = ClientOptions {
            agent: agent.or_else(|| self.options.agent.clone()),
            session: session.or_else(|| self.options.session.clone()),
            ..self.options.clone()
        };
        let (submitter, mut reader) = Live::open(&self.target, options).await?.into_parts();
        tokio::spawn(async move {
            // Nothing is subscribed; events only tell of lost connections, which heal.
            while let Some(event) = reader.next().await {
                if let Event::Closed(_) = event {
                    break;
                }
            }
        });
        self.connections.insert(who, submitter.clone());
        Ok(submitter)
    }
}

fn who(proposal: &Proposal) -> Who {
    (proposal.actor.agent.clone(), proposal.actor.session.clone())
}
