//! Seeded writers that come in through all doors at once.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use syncline_api::{BulkMode, Problem, ReceiptOrProblem, ReceiptView};
use syncline_client::{Client, Live, Write, fresh_id};
use syncline_model::ids::{Address, ChangeId, PrincipalId};
use syncline_model::json::{Json, Object};
use syncline_model::proposal::{Actor, Operation, Precondition, Proposal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::{Heard, Ledger, Sent};
use crate::rng::Rng;
use crate::{Access, Door};

/// How long a writer waits for an answer before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Builds an object.
pub fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(Object::from_iter(members))
}

/// Builds a proposal of the owner's.
pub fn proposal(id: ChangeId, context: &Address, operation: Operation, body: Json) -> Proposal {
    let actor = Actor::from_principal(PrincipalId::owner());
    Proposal::new(id, context.clone(), operation, body, actor)
}

/// Builds a blind merge patch that makes what is missing.
pub fn merge(id: ChangeId, context: &Address, body: Json) -> Proposal {
    Proposal {
        create: true,
        ..proposal(id, context, Operation::Merge, body)
    }
}

/// Reads an address that the harness itself made up.
///
/// # Panics
/// If it is none.
pub fn address(text: &str) -> Address {
    Address::parse(text).expect("a harness writes good addresses")
}

/// A writer's connection through one door.
pub struct Sender {
    door: Door,
    client: Client,
    live: Option<Live>,
}

impl Sender {
    /// Opens a door.
    pub async fn open(access: &Access, door: Door) -> Result<Sender, Problem> {
        let live = match door.is_live() {
            true => Some(access.live(door).await?),
            false => None,
        };
        Ok(Sender {
            door,
            client: access.client(door),
            live,
        })
    }

    /// Returns which door this is.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Sends one proposal, and says what was heard.
    pub async fn send(&self, proposal: &Proposal) -> Heard {
        let answer = tokio::time::timeout(PATIENCE, self.send_now(proposal)).await;
        answer.unwrap_or(Heard::Nothing)
    }

    async fn send_now(&self, proposal: &Proposal) -> Heard {
        match (&self.live, self.door) {
            (None, Door::Batch) | (Some(_), _) => {
                let parts = std::slice::from_ref(proposal);
                let mode = self.live.is_none().then_some(BulkMode::Independent);
                self.send_parts(parts, mode)
                    .await
                    .pop()
                    .unwrap_or(Heard::Nothing)
            }
            (None, _) => Heard::of(send_over_http(&self.client, proposal).await),
        }
    }

    /// Sends an atomic bulk, and says what was heard of each part.
    pub async fn send_bulk(&self, parts: &[Proposal]) -> Vec<Heard> {
        let sent = self.send_parts(parts, Some(BulkMode::Atomic));
        let lost = |_| vec![Heard::Nothing; parts.len()];
        tokio::time::timeout(PATIENCE, sent)
            .await
            .unwrap_or_else(lost)
    }

    async fn send_parts(&self, parts: &[Proposal], mode: Option<BulkMode>) -> Vec<Heard> {
        let answer: Result<Vec<ReceiptOrProblem>, Problem> = match &self.live {
            Some(live) => live.submitter().submit(parts, mode).await,
            None => {
                self.client
                    .batch(mode.unwrap_or(BulkMode::Independent), parts)
                    .await
            }
        };
        match answer {
            Ok(answers) => answers.into_iter().map(Heard::of_part).collect(),
            Err(problem) => vec![Heard::of(Err(problem)); parts.len()],
        }
    }
}

/// Sends a proposal as the HTTP door spells it.
pub async fn send_over_http(client: &Client, proposal: &Proposal) -> Result<ReceiptView, Problem> {
    let precondition = match proposal.operation {
        Operation::Create => Precondition::NoneMatchAny,
        _ => proposal.precondition.clone(),
    };
    let write = Write {
        id: Some(proposal.id),
        precondition,
        base: proposal.base.clone(),
        message: proposal.message.as_deref().map(str::to_owned),
        create: proposal.create,
        create_parents: proposal.create_parents,
        ..Write::default()
    };
    let context = &proposal.context;
    match proposal.operation {
        Operation::Create | Operation::Replace => client.put(context, &proposal.body, &write).await,
        Operation::Merge | Operation::Patch => client.patch(context, &proposal.body, &write).await,
        Operation::Delete => client.delete(context, &write).await,
        Operation::Restore => client.restore(context, &write).await,
        Operation::Settle | Operation::Rollback => {
            unreachable!("no workload sends these through the plain HTTP door")
        }
    }
}

/// Who writes how much.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Where all choices come from.
    pub seed: u64,
    /// How many writers; each has one door.
    pub writers: u64,
    /// How many contexts they share.
    pub shared: u64,
    /// How many proposals a writer sends at most.
    pub each_max: u64,
    /// With texts of up to 60 KB, or small ones only.
    pub large: bool,
    /// Shared contexts are now and then labelled anew and moved between the [`homes`].
    pub moves: bool,
}

/// Returns the contexts between which shared ones move. They must be there before.
pub fn homes() -> [Address; 2] {
    ["project/home-0", "project/home-1"].map(address)
}

impl Workload {
    /// Returns a busy mixture.
    pub fn busy(seed: u64) -> Workload {
        Workload {
            seed,
            writers: 8,
            shared: 3,
            each_max: u64::MAX,
            large: true,
            moves: false,
        }
    }

    /// Lets the writers begin. `run` tells one burst's contexts from another's.
    pub fn begin(&self, access: &Access, run: u64) -> Burst {
        let (stop, stopped) = watch::channel(false);
        let mut writers = JoinSet::new();
        for number in 0..self.writers {
            let writer = Writer {
                number,
                run,
                count: 0,
                rng: Rng::new(self.seed).fork(run * 1_000 + number),
                workload: *self,
                notes: 0,
            };
            let index = usize::try_from(number).expect("few writers") % Door::ALL.len();
            writers.spawn(writer.write(access.clone(), Door::ALL[index], stopped.clone()));
        }
        Burst { writers, stop }
    }
}

/// Writers at work.
pub struct Burst {
    writers: JoinSet<Ledger>,
    stop: watch::Sender<bool>,
}

impl Burst {
    /// Stops the writers, who still take what has been answered, and returns what they noted.
    pub async fn finish(self) -> Ledger {
        let _ = self.stop.send(true);
        self.join().await
    }

    /// Waits until the writers have sent all that they had to send.
    pub async fn join(mut self) -> Ledger {
        let mut all = Ledger::default();
        while let Some(done) = self.writers.join_next().await {
            all.merge(done.expect("a writer does not panic"));
        }
        all
    }
}

struct Writer {
    number: u64,
    run: u64,
    count: u64,
    rng: Rng,
    workload: Workload,
    notes: u64,
}

type Answers = Vec<(Sent, Heard)>;

impl Writer {
    async fn write(
        mut self,
        access: Access,
        door: Door,
        mut stopped: watch::Receiver<bool>,
    ) -> Ledger {
        let mut ledger = Ledger::default();
        let Ok(sender) = Sender::open(&access, door).await else {
            return ledger;
        };
        // A live connection takes several submits before the first is answered.
        let depth = if door.is_live() { 8 } else { 1 };
        let mut under_way = FuturesUnordered::new();
        let mut open = true;
        loop {
            while open && under_way.len() < depth && self.count < self.workload.each_max {
                let sent = self.propose(door);
                // Noted before it leaves: what was sent may be there even if nobody heard.
                sent.iter().for_each(|sent| ledger.add(sent.clone()));
                under_way.push(send(&sender, sent));
            }
            if under_way.is_empty() {
                return ledger;
            }
            tokio::select! {
                answers = under_way.next() => {
                    for (mut sent, heard) in answers.unwrap_or_default() {
                        open &= !matches!(heard, Heard::Nothing);
                        sent.heard = heard;
                        ledger.add(sent);
                    }
                }
                _ = stopped.wait_for(|stop| *stop), if open => open = false,
                // After the end, what the sockets still hold is taken, and no more.
                () = tokio::time::sleep(Duration::from_millis(60)), if !open => return ledger,
            }
        }
    }

    fn propose(&mut self, door: Door) -> Vec<Sent> {
        self.count += 1;
        let moves = self.workload.moves && self.rng.chance(10);
        let parts = match self.rng.below(100) {
            _ if moves => vec![self.wander()],
            0..15 => vec![self.create()],
            15..60 => vec![self.merge()],
            60..75 => vec![self.patch()],
            75..80 => vec![self.on_note(Operation::Replace)],
            80..87 => vec![self.on_note(Operation::Delete)],
            87..92 => vec![self.on_note(Operation::Restore)],
            _ if door.is_live() || door == Door::Batch => {
                (0..self.rng.between(2, 5)).map(|_| self.merge()).collect()
            }
            _ => vec![self.merge()],
        };
        let bulk = (parts.len() > 1).then(|| parts[0].id);
        let run = self.run;
        let sent = |proposal| Sent {
            proposal,
            door,
            bulk,
            heard: Heard::Nothing,
            run,
        };
        parts.into_iter().map(sent).collect()
    }

    fn create(&mut self) -> Proposal {
        self.notes += 1;
        let note = self.note(self.notes);
        let id = fresh_id();
        let body = object([("title", "a note".into()), ("data", self.data(id))]);
        proposal(id, &note, Operation::Create, body)
    }

    fn merge(&mut self) -> Proposal {
        let id = fresh_id();
        let mine = Object::from_iter([(format!("w{}", self.number), self.data(id))]);
        let body = object([("data", mine.into())]);
        let context = self.shared();
        merge(id, &context, body)
    }

    /// Labels a shared context anew, and moves half of them. The id among the labels makes each a
    /// change, wherever the context is already.
    fn wander(&mut self) -> Proposal {
        let id = fresh_id();
        let area = *self.rng.choose(&["auth", "web", "db"]);
        let labels = object([("area", area.into()), ("by", id.to_string().into())]);
        let mut body = Object::from_iter([("labels", labels)]);
        if self.rng.chance(50) {
            let home = self.rng.choose(&homes()).to_string();
            body.insert("parent", home.into());
        }
        let context = self.shared();
        merge(id, &context, body.into())
    }

    fn patch(&mut self) -> Proposal {
        let id = fresh_id();
        let operation = object([
            ("op", "add".into()),
            ("path", format!("/data/p{}", self.number).into()),
            ("value", self.data(id)),
        ]);
        let context = self.shared();
        proposal(id, &context, Operation::Patch, vec![operation].into())
    }

    fn on_note(&mut self, operation: Operation) -> Proposal {
        let which = self.rng.between(1, self.notes.max(1));
        let id = fresh_id();
        let body = match operation {
            Operation::Replace => object([("data", self.data(id))]),
            _ => Json::Null,
        };
        let precondition = match operation {
            Operation::Restore => Precondition::None,
            _ => Precondition::MatchAny,
        };
        Proposal {
            precondition,
            ..proposal(id, &self.note(which), operation, body)
        }
    }

    fn data(&mut self, id: ChangeId) -> Json {
        let length = match self.rng.below(100) {
            0..4 if self.workload.large => self.rng.between(20_000, 60_000),
            4..20 if self.workload.large => self.rng.between(1_000, 9_000),
            _ => self.rng.between(10, 200),
        };
        let text = self
            .rng
            .letters(usize::try_from(length).expect("a short text"));
        object([
            ("n", self.count.into()),
            ("id", id.to_string().into()),
            ("text", text.into()),
        ])
    }

    fn note(&self, number: u64) -> Address {
        address(&format!("note/r{}-w{}-{number}", self.run, self.number))
    }

    fn shared(&mut self) -> Address {
        address(&format!(
            "task/shared-{}",
            self.rng.below(self.workload.shared.max(1))
        ))
    }
}

async fn send(sender: &Sender, sent: Vec<Sent>) -> Answers {
    let parts: Vec<_> = sent.iter().map(|sent| sent.proposal.clone()).collect();
    let heard = match parts.as_slice() {
        [one] => vec![sender.send(one).await],
        several => sender.send_bulk(several).await,
    };
    sent.into_iter().zip(heard).collect()
}
