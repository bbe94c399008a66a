//! One agent of a demo: a process of its own, which writes through two doors and tells on
//! stdout what was acknowledged.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sha2::{Digest as _, Sha256};
use syncline_api::{Code, Problem, ReceiptOrProblem, ReceiptView};
use syncline_client::{Client, ClientOptions, Live, Submitter, Target, When, Write, fresh_id};
use syncline_model::change::Outcome;
use syncline_model::etag::Etag;
use syncline_model::ids::{Address, Name, PrincipalId};
use syncline_model::json::{Json, Limits, Pointer};
use syncline_model::proposal::{Actor, Operation, Precondition, Proposal};

use super::notebook::Notebook;
use super::report::{Door, Report, now_us};
use super::scenario::{AGENTS, Step};
use crate::commands::import::{Format, Planner, Row, Rows};
use crate::failure::{Failure, Result};
use crate::place;
use crate::run::Run;

/// One agent of a demo.
#[derive(Debug, Args)]
#[command(after_help = "Started by `syncline demo`.")]
pub struct AgentArgs {
    /// Which agent: its place among all, from 0.
    #[arg(long)]
    pub index: usize,
    /// How many agents there are.
    #[arg(long)]
    pub agents: usize,
    /// The node's URL.
    #[arg(long)]
    pub tcp: String,
    /// How fast: 2 is twice as fast, 0 does not wait at all.
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// Recorded rows to replay instead of the scenario.
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Only so many rows.
    #[arg(long)]
    pub limit: Option<u64>,
}

/// Bounds how often a write is tried again after a clash.
const TRIES_MAX: usize = 50;
/// The pace of a replay at speed 1, over all agents.
const REPLAY_PER_SECOND: f64 = 100.0;

/// Runs the agent.
pub async fn run(args: &AgentArgs, run: &Run) -> Result {
    match &args.input {
        None => play(args, run).await,
        Some(input) => replay(args, run, input).await,
    }
}

/// An agent at work.
struct Agent<'a> {
    run: &'a Run,
    submitter: Submitter,
    client: Client,
    notebook: Notebook,
    actor: Actor,
    writes: usize,
}

impl<'a> Agent<'a> {
    async fn open(args: &AgentArgs, run: &'a Run, name: &str) -> Result<Agent<'a>> {
        let agent = Name::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
        let options = ClientOptions {
            agent: Some(agent.clone()),
            ..run.client_options()?
        };
        let (submitter, reader) = Live::open(&run.target(), options.clone())
            .await?
            .into_parts();
        let notebook = Notebook::open(&submitter, reader).await?;
        let token = place::owner_key(&run.settings.data()).ok();
        let target = Target::Url(args.tcp.clone());
        let client = Client::connect(target, ClientOptions { token, ..options })?;
        let actor = Actor {
            agent: Some(agent),
            ..Actor::from_principal(PrincipalId::owner())
        };
        Ok(Agent {
            run,
            submitter,
            client,
            notebook,
            actor,
            writes: 0,
        })
    }

    /// Sends a proposal through the doors in turn, and reports the answer.
    async fn write(&mut self, proposal: &Proposal) -> Result<Answer> {
        let door = if self.writes % 3 == 2 {
            Door::Http
        } else {
            Door::WebSocket
        };
        self.writes += 1;
        let sent_us = now_us();
        let answer = match door {
            Door::WebSocket => self.over_websocket(proposal).await,
            Door::Http => self.over_http(proposal).await,
        };
        match answer {
            Ok(receipt) => {
                self.report(&Report::Acknowledged {
                    id: proposal.id,
                    door,
                    sent_us,
                    acked_us: now_us(),
                    unchanged: receipt.outcome == Outcome::Unchanged,
                })?;
                Ok(Answer::Done)
            }
            Err(problem) if problem.code == Code::PreconditionFailed => {
                self.report(&Report::Clash {
                    context: proposal.context.clone(),
                })?;
                Ok(Answer::Moved)
            }
            Err(problem) if problem.code.decided() => {
                let why = format!("{}: {problem}", proposal.context);
                self.report(&Report::Refused { why })?;
                Ok(Answer::Refused)
            }
            Err(problem) => Err(problem.into()),
        }
    }

    async fn over_websocket(&self, proposal: &Proposal) -> Result<ReceiptView, Problem> {
        let mut answers = self
            .submitter
            .submit(std::slice::from_ref(proposal), None)
            .await?;
        match answers.pop() {
            Some(ReceiptOrProblem::Receipt(receipt)) => Ok(receipt),
            Some(ReceiptOrProblem::Refused { problem, .. }) => Err(problem),
            None => Err(Problem::new(Code::Internal, "the node answered nothing")),
        }
    }

    async fn over_http(&self, proposal: &Proposal) -> Result<ReceiptView, Problem> {
        let write = Write {
            id: Some(proposal.id),
            precondition: proposal.precondition.clone(),
            base: proposal.base.clone(),
            message: proposal.message.as_deref().map(str::to_owned),
            create: proposal.create,
            ..Write::default()
        };
        let (address, body) = (&proposal.context, &proposal.body);
        match proposal.operation {
            Operation::Create | Operation::Replace => self.client.put(address, body, &write).await,
            Operation::Merge | Operation::Patch => self.client.patch(address, body, &write).await,
            Operation::Delete => self.client.delete(address, &write).await,
            Operation::Restore => self.client.restore(address, &write).await,
            other @ (Operation::Settle | Operation::Rollback) => {
                let detail = format!("the demo has no step that would {}", other.as_str());
                Err(Problem::new(Code::BadRequest, detail))
            }
        }
    }

    fn report(&self, report: &Report) -> Result {
        self.run.output.row_text(&report.to_text())
    }

    fn proposal(&self, address: &Address, operation: Operation, body: Json, why: &str) -> Proposal {
        let mut proposal = Proposal::new(
            fresh_id(),
            address.clone(),
            operation,
            body,
            self.actor.clone(),
        );
        proposal.message = (!why.is_empty()).then(|| why.into());
        proposal
    }

    /// Writes on what was seen; where the head moved, reads it again and tries anew.
    async fn write_on(&mut self, mut seen: Etag, proposal: Proposal) -> Result {
        for _ in 0..TRIES_MAX {
            let next = Proposal {
                id: fresh_id(),
                precondition: Precondition::Match(vec![seen]),
                ..proposal.clone()
            };
            match self.write(&next).await? {
                Answer::Done | Answer::Refused => return Ok(()),
                Answer::Moved => {
                    seen = self.client.get(&proposal.context, &When::Head).await?.etag;
                }
            }
        }
        let why = format!("{} moved {TRIES_MAX} times", proposal.context);
        self.report(&Report::Refused { why })
    }
}

/// What the node said.
enum Answer {
    Done,
    Moved,
    Refused,
}

async fn play(args: &AgentArgs, run: &Run) -> Result {
    let (name, steps) = AGENTS
        .get(args.index)
        .ok_or_else(|| Failure::usage("the scenario has no such agent"))?;
    let mut agent = Agent::open(args, run, name).await?;
    let mut looked: Option<(Address, Etag)> = None;
    for step in *steps {
        take(args, &mut agent, &mut looked, step).await?;
    }
    Ok(())
}

async fn take(
    args: &AgentArgs,
    agent: &mut Agent<'_>,
    looked: &mut Option<(Address, Etag)>,
    step: &Step,
) -> Result {
    let anywhere = Pointer::root();
    match *step {
        Step::Think(millis) => think(args, millis).await,
        Step::Wait(context, pointer, value) => {
            let pointer = Pointer::from_static(pointer);
            let value = (!value.is_empty()).then(|| parse(value));
            agent
                .notebook
                .wait(&address(context), &pointer, value.as_ref())
                .await?;
        }
        Step::Look(context) => {
            let context = address(context);
            let seen = agent.notebook.wait(&context, &anywhere, None).await?;
            *looked = Some((context, seen.etag));
        }
        Step::Create(context, body, why) => {
            let proposal = agent.proposal(&address(context), Operation::Create, parse(body), why);
            agent.write(&proposal).await?;
        }
        Step::Edit(context, body, why) => {
            let context = address(context);
            let seen = agent.notebook.wait(&context, &anywhere, None).await?.etag;
            let seen = looked
                .take_if(|(of, _)| *of == context)
                .map_or(seen, |(_, etag)| etag);
            let proposal = agent.proposal(&context, Operation::Merge, parse(body), why);
            agent.write_on(seen, proposal).await?;
        }
        Step::Append(context, pointer, value, why) => {
            let context = address(context);
            let seen = agent.notebook.wait(&context, &anywhere, None).await?.etag;
            let add = format!(r#"[{{"op":"add","path":"{pointer}","value":{value}}}]"#);
            let proposal = agent.proposal(&context, Operation::Patch, parse(&add), why);
            agent.write_on(seen, proposal).await?;
        }
        Step::Delete(context, why) => {
            let context = address(context);
            let seen = agent.notebook.wait(&context, &anywhere, None).await?.etag;
            let proposal = agent.proposal(&context, Operation::Delete, Json::Null, why);
            agent.write_on(seen, proposal).await?;
        }
        Step::Restore(context, why) => {
            let proposal = agent.proposal(&address(context), Operation::Restore, Json::Null, why);
            agent.write(&proposal).await?;
        }
    }
    Ok(())
}

async fn think(args: &AgentArgs, millis: u64) {
    if args.speed > 0.0 {
        tokio::time::sleep(Duration::from_millis(millis).div_f64(args.speed)).await;
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("the scenario is well-formed, as a test shows")
}

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default())
        .expect("the scenario is well-formed, as a test shows")
}

/// Checks that a file can be replayed, as far as its first row says.
pub(super) fn check_input(input: &std::path::Path) -> Result<()> {
    let Some(row) = Rows::open(input)?.next_row()? else {
        return Ok(());
    };
    planner_for(input, &row)?.plan(&row).map_err(|why| {
        Failure::usage(format!(
            "{} cannot be replayed: row 1: {why}",
            input.display()
        ))
    })?;
    Ok(())
}

/// Returns what makes proposals of rows such as this one.
fn planner_for(input: &std::path::Path, first: &Row) -> Result<Planner> {
    let bad = |why| Failure::usage(format!("{} cannot be replayed: {why}", input.display()));
    let format = Format::of(&first.json).map_err(bad)?;
    Ok(Planner::new(format, address("document/replayed")))
}

/// Replays the rows of the contexts that fall to this agent, in their order.
async fn replay(args: &AgentArgs, run: &Run, input: &std::path::Path) -> Result {
    let name = format!("agent-{}", args.index + 1);
    let mut agent = Agent::open(args, run, &name).await?;
    let mut rows = Rows::open(input)?;
    let mut planner: Option<Planner> = None;
    let share = f64::from(u32::try_from(args.agents).unwrap_or(1)) / REPLAY_PER_SECOND;
    let pause = (args.speed > 0.0).then(|| Duration::from_secs_f64(share / args.speed));
    while let Some(row) = rows.next_row()? {
        if args.limit.is_some_and(|limit| row.number > limit) {
            break;
        }
        let planner = match &mut planner {
            Some(planner) => planner,
            empty => empty.insert(planner_for(input, &row)?),
        };
        let planned = planner.plan(&row);
        let planned =
            planned.map_err(|why| Failure::usage(format!("row {}: {why}", row.number)))?;
        for proposal in planned {
            if share_of(&proposal.context, args.agents) == args.index {
                agent.write(&proposal).await?;
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
    Ok(())
}

/// Returns which agent a context falls to; all agents agree.
fn share_of(address: &Address, agents: usize) -> usize {
    let digest = Sha256::digest(address.as_str().as_bytes());
    usize::from(u16::from_le_bytes([digest[0], digest[1]])) % agents.max(1)
}
