//! The live connection: one WebSocket that comes back, and forgets nothing.
//!
//! A task owns the socket. Whoever holds a [`Submitter`] sends it commands; whoever holds the
//! [`LiveReader`] gets [`Event`]s. What this promises:
//!
//! - a subscription resumes by cursor after each loss, so its reader gets each change once, in
//!   order, or is told that it starts again from a snapshot;
//! - the parts of a bulk are handed over together, since half a bulk cannot be resumed;
//! - a hole in the count `n` is never passed over: the connection is dropped and resumed;
//! - proposals that were not answered are sent again, in order, with the same change ids.
//!
//! Events are bounded: whoever subscribes must go on reading, also while it waits for receipts.

mod connect;
mod subs;
mod task;

use std::time::Duration;

use syncline_api::{
    BulkMode, Code, Problem, ReceiptOrProblem, ServerMessage, Subscribe, write_proposal,
};
use syncline_model::ids::Address;
use syncline_model::json::{Json, JsonWriter};
use syncline_model::proposal::Proposal;
use tokio::sync::{mpsc, oneshot};

use crate::http::{ClientOptions, read_json};
use crate::target::{Endpoint, Target};

/// Bounds the events that wait for their reader; what is beyond waits at the node.
const EVENTS_MAX: usize = 4_096;
/// Bounds the commands that wait for the connection.
const COMMANDS_MAX: usize = 256;

/// What a live connection tells its reader.
#[derive(Clone, Debug)]
pub enum Event {
    /// The node has said welcome, the first time or again.
    Connected {
        /// Which life of the log this is.
        epoch: String,
        /// The log's end.
        cursor: String,
    },
    /// The connection was lost; it comes back by itself.
    Disconnected {
        /// Why.
        problem: Problem,
        /// When the next attempt is made.
        retry: Duration,
    },
    /// A message about a subscription: `subscribed`, `change`, `snapshot`, `enter`, `leave`,
    /// `begin`, `end`, `lagging`, `reset`, or the answer to a `resync`.
    Message {
        /// The message.
        message: ServerMessage,
        /// As it came.
        json: Json,
    },
    /// A count was left out, and the connection is made anew.
    Hole {
        /// The subscription.
        sub: String,
        /// The count that was due.
        expected: u64,
        /// The count that came.
        got: u64,
    },
    /// The node cannot read a subscription on for the moment; it is asked for again by itself, from
    /// where it stopped.
    Interrupted {
        /// The subscription.
        sub: String,
        /// Why.
        problem: Problem,
        /// When it is asked for again.
        retry: Duration,
    },
    /// The node refused a subscription or a resync, or ended a subscription for good.
    Refused {
        /// Its id.
        reference: String,
        /// Why.
        problem: Problem,
    },
    /// The connection is over for good.
    Closed(Problem),
}

pub(crate) enum Command {
    Subscribe(Subscribe),
    Unsubscribe(String),
    Resync {
        sub: Option<String>,
        context: Address,
    },
    Submit {
        proposals: Vec<Json>,
        mode: Option<BulkMode>,
        answer: Answer,
    },
}

pub(crate) type Answer = oneshot::Sender<Result<Vec<ReceiptOrProblem>, Problem>>;

/// A live connection to one workspace of a node.
pub struct Live {
    submitter: Submitter,
    reader: LiveReader,
}

/// Sends to the node; clones share the connection, which ends when all of them have gone.
#[derive(Clone)]
pub struct Submitter {
    commands: mpsc::Sender<Command>,
}

/// Hears from the node.
pub struct LiveReader {
    events: mpsc::Receiver<Event>,
}

impl Live {
    /// Connects, and says hello. Fails if the node cannot be reached now or does not let us in;
    /// later losses are healed.
    pub async fn open(target: &Target, options: ClientOptions) -> Result<Live, Problem> {
        let endpoint = Endpoint::of(target)?;
        let (socket, welcome) = connect::open(&endpoint, &options).await?;
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let (events_out, events) = mpsc::channel(EVENTS_MAX);
        let task = task::Task::new(endpoint, options, commands_in, events_out);
        tokio::spawn(task.run(socket, welcome));
        Ok(Live {
            submitter: Submitter { commands },
            reader: LiveReader { events },
        })
    }

    /// Parts the two directions, for two tasks.
    pub fn into_parts(self) -> (Submitter, LiveReader) {
        (self.submitter, self.reader)
    }

    /// Returns the sending side.
    pub fn submitter(&self) -> &Submitter {
        &self.submitter
    }

    /// Returns the next event; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.reader.next().await
    }
}

impl LiveReader {
    /// Returns the next event; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Submitter {
    /// Asks for changes; the answer comes as an event.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<(), Problem> {
        self.send(Command::Subscribe(subscribe)).await
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&self, id: &str) -> Result<(), Problem> {
        self.send(Command::Unsubscribe(id.to_owned())).await
    }

    /// Asks for one context again; it comes as a `snapshot` event.
    pub async fn resync(&self, sub: Option<&str>, context: Address) -> Result<(), Problem> {
        self.send(Command::Resync {
            sub: sub.map(str::to_owned),
            context,
        })
        .await
    }

    /// Sends proposals and waits for their answers, across reconnections.
    pub async fn submit(
        &self,
        proposals: &[Proposal],
        mode: Option<BulkMode>,
    ) -> Result<Vec<ReceiptOrProblem>, Problem> {
        let answer = self.submit_later(proposals, mode).await?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Sends proposals; the answers come through the channel, so that more can be sent meanwhile.
    pub async fn submit_later(
        &self,
        proposals: &[Proposal],
        mode: Option<BulkMode>,
    ) -> Result<oneshot::Receiver<Result<Vec<ReceiptOrProblem>, Problem>>, Problem> {
        let proposals = proposals.iter().map(to_json).collect::<Result<_, _>>()?;
        let (answer, answered) = oneshot::channel();
        self.send(Command::Submit {
            proposals,
            mode,
            answer,
        })
        .await?;
        Ok(answered)
    }

    async fn send(&self, command: Command) -> Result<(), Problem> {
        self.commands.send(command).await.map_err(|_| ended())
    }
}

fn to_json(proposal: &Proposal) -> Result<Json, Problem> {
    let mut w = JsonWriter::new();
    write_proposal(&mut w, proposal);
    read_json(w.into_string().as_bytes())
}

fn ended() -> Problem {
    Problem::new(Code::Unreachable, "the live connection has ended")
}
