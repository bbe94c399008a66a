//! The typed calls that doors make: the front of definitions, and of what is kept beside them.

use std::time::Duration;

use syncline_api::{Code, From, Problem};
use syncline_engine::{Principal, Workspace};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Version};
use syncline_model::json::{FieldError, Fields, Json, Pointer};
use syncline_model::proposal::{Operation, Own, Precondition, Proposal};
use syncline_rules::{Matcher, may_write};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::feed::place_of;
use crate::webhook::definition::{Definition, Wanted, address_of, id_of, unknown};
use crate::webhook::desk::{Again, Command};
use crate::webhook::machine::Logged;
use crate::webhook::rows::{self, DeadLetter, Secrets};
use crate::webhook::signature::Secret;
use crate::webhook::standing::Standing;
use crate::webhook::state::{Replay, State};
use crate::webhook::webhooks::{Webhooks, definitions, idle};

/// How long a door waits for a webhook to say how it stands: it may be at its store.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the test call waits: an exchange has its own bound.
const TEST_MAX: Duration = Duration::from_secs(30);

/// Bounds the webhooks that a node names one by one as being in trouble.
const TROUBLES_MAX: usize = 20;

/// A webhook as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// Its definition.
    pub definition: Definition,
    /// The definition's context.
    pub head: std::sync::Arc<Head>,
    /// How it stands.
    pub standing: Standing,
}

/// A webhook that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its id.
    pub id: String,
    /// What became of the definition.
    pub receipt: Receipt,
    /// The secret, where this call made the webhook: it is shown once.
    pub secret: Option<Secret>,
}

/// A page of dead letters, and the key to go on after.
pub type DeadPage = (Vec<DeadLetter>, Option<String>);

impl Webhooks {
    /// Makes a webhook; the proposal says who, under which id and why.
    ///
    /// The webhook's id comes from the proposal's, so that a call that is sent again makes no
    /// second one.
    pub async fn create(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        (wanted, secret): (Wanted, Option<Secret>),
        proposal: Proposal,
    ) -> Result<Made, Problem> {
        let definition = wanted.into_new();
        self.check(&definition)?;
        let id = id_of(&proposal.id);
        let address = address_of(&id)?;
        may(workspace, principal, &address)?;
        let _one_at_a_time = self.inner.making.lock().await;
        let is_new = workspace.head_if_any(&address).await?.is_none();
        let limit = self.inner.settings.webhooks_max;
        if is_new && definitions(workspace, principal).await?.len() >= limit {
            let detail = format!("a workspace has at most {limit} webhooks");
            return Err(Problem::new(Code::TooMany, detail).limit(limit as u64, "max_webhooks"));
        }
        let known = rows::secrets(workspace, &id).await?;
        let secret = match (known, secret) {
            (Some(known), _) => known.newest,
            (None, Some(given)) => given,
            (None, None) => Secret::draw(),
        };
        if is_new {
            // The secret first: whoever sees the definition can sign.
            let secrets = Secrets {
                made_at: workspace.now(),
                newest: secret.clone(),
                before: None,
            };
            rows::keep_secrets(workspace, &id, &secrets).await?;
        }
        let proposal = Proposal {
            precondition: Precondition::NoneMatchAny,
            ..own(proposal, address, Operation::Create, definition.to_body())
        };
        let receipt = workspace.submit(principal, proposal).await?;
        self.follow(workspace);
        let secret = (is_new && receipt.outcome == Outcome::Applied).then_some(secret);
        Ok(Made {
            id,
            receipt,
            secret,
        })
    }

    /// Refuses what could not be posted to, or chosen by.
    fn check(&self, definition: &Definition) -> Result<(), Problem> {
        let checked = self.inner.exchange.guard().check_url(&definition.url);
        checked.map_err(|denied| {
            let at = Pointer::from_static("/url");
            let problem = Problem::new(Code::Invalid, denied.to_string()).at(at);
            match denied.hint() {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        })?;
        let condition = definition.condition.as_ref();
        Matcher::compile(&definition.filter, condition.map(|c| c.as_str()))?;
        Ok(())
    }

    /// Returns all webhooks that the principal may see.
    pub async fn list(
        &self,
        workspace: &Workspace,
        principal: &Principal,
    ) -> Result<Vec<Shown>, Problem> {
        let mut all = Vec::new();
        for head in definitions(workspace, principal).await? {
            all.push(self.shown(workspace, head).await?);
        }
        Ok(all)
    }

    /// Says which of the webhooks that the principal may see do not reach their endpoints: a line
    /// each, without a URL, since that may be all that guards an endpoint.
    pub async fn troubles(
        &self,
        workspace: &Workspace,
        principal: &Principal,
    ) -> Result<Vec<String>, Problem> {
        let now = workspace.now();
        let mut troubles = Vec::new();
        let mut more = 0;
        for shown in self.list(workspace, principal).await? {
            let Some(trouble) = shown.standing.trouble(&shown.definition, now) else {
                continue;
            };
            match troubles.len() < TROUBLES_MAX {
                true => troubles.push(format!("webhook {}: {trouble}", shown.id)),
                false => more += 1,
            }
        }
        if more > 0 {
            troubles.push(format!("{more} more webhooks do not reach their endpoints"));
        }
        Ok(troubles)
    }

    /// Returns one webhook.
    pub async fn get(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
    ) -> Result<Shown, Problem> {
        let head = defined(workspace, principal, id).await?;
        self.shown(workspace, head).await
    }

    async fn shown(
        &self,
        workspace: &Workspace,
        head: std::sync::Arc<Head>,
    ) -> Result<Shown, Problem> {
        let id = head.address.id().to_owned();
        let definition = Definition::of_head(&head)?;
        let asked = self.ask_now(workspace, &id, Version(0), Command::Stand, ANSWER_MAX);
        let standing = match asked.await {
            Some(standing) => standing,
            None => self.asleep(workspace, &id, &definition).await?,
        };
        Ok(Shown {
            id,
            definition,
            head,
            standing,
        })
    }

    /// Changes a webhook's definition in part; `enabled: true` also calls an endpoint again that
    /// the node gave up.
    pub async fn change(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        (id, wanted): (&str, Wanted),
        proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        let head = defined(workspace, principal, id).await?;
        may(workspace, principal, &head.address)?;
        let enables = wanted.enables();
        let definition = wanted.over(Definition::of_head(&head)?);
        self.check(&definition)?;
        if enables && rows::secrets(workspace, id).await?.is_none() {
            return Err(busy());
        }
        let body = definition.to_body();
        let mut proposal = own(proposal, head.address.clone(), Operation::Replace, body);
        if proposal.base.is_none() && proposal.precondition == Precondition::None {
            proposal.precondition = Precondition::MatchAny;
        }
        let receipt = workspace.submit(principal, proposal).await?;
        if enables {
            // Not before the change stands: one that is refused must not call anybody.
            let version = defined(workspace, principal, id).await?.version;
            let done = self.ask(workspace, id, version, Command::Enable, ANSWER_MAX);
            done.await?.ok_or_else(busy)?;
        }
        Ok(receipt)
    }

    /// Ends a webhook; its definition's history stays, and all else of it goes.
    pub async fn remove(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
        proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        let address = address_of(id)?;
        let Some(head) = workspace.head_if_any(&address).await? else {
            return Err(unknown(id));
        };
        let mut proposal = own(proposal, address, Operation::Delete, Json::Null);
        if proposal.base.is_none() && proposal.precondition == Precondition::None {
            proposal.precondition = Precondition::MatchAny;
        }
        let removed = workspace.submit(principal, proposal).await;
        removed.map_err(|problem| match problem.code {
            // The call that ended it hears its answer again; for another there is no webhook.
            Code::PreconditionFailed if head.deleted => unknown(id),
            _ => problem,
        })
    }

    /// Makes a new secret; the one before signs too for a while.
    pub async fn rotate(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
        given: Option<Secret>,
    ) -> Result<Secrets, Problem> {
        let head = defined(workspace, principal, id).await?;
        may(workspace, principal, &head.address)?;
        let _one_at_a_time = self.inner.making.lock().await;
        let now = workspace.now();
        let for_ms = i64::try_from(self.inner.settings.rotate_for.as_millis()).unwrap_or(i64::MAX);
        let until = syncline_model::time::Timestamp(now.0.saturating_add(for_ms));
        let before = rows::secrets(workspace, id).await?;
        let secrets = Secrets {
            made_at: now,
            newest: given.unwrap_or_else(Secret::draw),
            before: before.map(|before| (before.newest, until)),
        };
        rows::keep_secrets(workspace, id, &secrets).await?;
        match self.desk(workspace.id(), id, Version(0)) {
            Some(desk) => {
                let _ = desk.send(Command::Reload(secrets.clone())).await;
            }
            None => self.poke(),
        }
        Ok(secrets)
    }

    /// Fires an event at the endpoint, and returns the status of its answer or why there is none.
    pub async fn test(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
    ) -> Result<Result<u16, String>, Problem> {
        let head = defined(workspace, principal, id).await?;
        may(workspace, principal, &head.address)?;
        let told = self.ask(workspace, id, head.version, Command::Test, TEST_MAX);
        told.await?.ok_or_else(busy)
    }

    /// Sends again what is asked for, and returns how many events that is so far.
    pub async fn replay(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
        again: Again,
    ) -> Result<u64, Problem> {
        let head = defined(workspace, principal, id).await?;
        may(workspace, principal, &head.address)?;
        let command = |done| Command::Replay(again.clone(), done);
        let replayed = self.ask(workspace, id, head.version, command, ANSWER_MAX);
        replayed.await?.ok_or_else(busy)?
    }

    /// Returns the attempts that are logged, the newest first.
    pub async fn attempts(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
    ) -> Result<Vec<Logged>, Problem> {
        let head = defined(workspace, principal, id).await?;
        may(workspace, principal, &head.address)?;
        rows::attempts(workspace, id).await
    }

    /// Returns a page of the events that were given up.
    pub async fn dead(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
        (after, limit): (Option<&str>, usize),
    ) -> Result<DeadPage, Problem> {
        let head = defined(workspace, principal, id).await?;
        may(workspace, principal, &head.address)?;
        rows::dead(workspace, id, after, limit).await
    }

    /// Says how a webhook stands that is not at work, by what is kept of it.
    async fn asleep(
        &self,
        workspace: &Workspace,
        id: &str,
        definition: &Definition,
    ) -> Result<Standing, Problem> {
        let has_secret = rows::secrets(workspace, id).await?.is_some();
        let state = match rows::state(workspace, id).await? {
            Some(state) if has_secret => state,
            None if has_secret => State::default(),
            _ => idle("it has no secret on this node", workspace.now()),
        };
        let at = workspace
            .position_of(&state.cursor)
            .map_or(0, |at| at.seq.0);
        Ok(Standing {
            proved: self.trusts(&definition.url)
                || state.proved.as_deref() == Some(definition.url.as_str()),
            asks: self.inner.settings.policy.asks(state.challenges),
            outstanding: rows::events(workspace, id).await?.len(),
            in_flight: 0,
            behind: workspace.tail().seq.0.saturating_sub(at),
            stuck: None,
            state,
        })
    }

    /// Asks a webhook that works by this version of its definition; one that was just made or
    /// changed is waited for. None where it does not come to work, or does not answer in time.
    async fn ask<T>(
        &self,
        workspace: &Workspace,
        id: &str,
        version: Version,
        command: impl Fn(oneshot::Sender<T>) -> Command,
        within: Duration,
    ) -> Result<Option<T>, Problem> {
        let end = Instant::now() + within;
        let mut begun = self.begun();
        loop {
            begun.mark_unchanged();
            let left = end.saturating_duration_since(Instant::now());
            let told = self.ask_now(workspace, id, version, &command, left).await;
            // Without a secret nothing puts it to work.
            if told.is_some() || rows::secrets(workspace, id).await?.is_none() {
                return Ok(told);
            }
            match tokio::time::timeout_at(end, begun.changed()).await {
                Ok(Ok(())) => {}
                _ => return Ok(None),
            }
        }
    }

    async fn ask_now<T>(
        &self,
        workspace: &Workspace,
        id: &str,
        version: Version,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
        within: Duration,
    ) -> Option<T> {
        let desk = self.desk(workspace.id(), id, version)?;
        let (done, answer) = oneshot::channel();
        let asked = async {
            desk.send(command(done)).await.ok()?;
            // The desk ends when nobody holds it: a door that waits must not keep it.
            drop(desk);
            answer.await.ok()
        };
        tokio::time::timeout(within, asked).await.ok().flatten()
    }
}

/// Reads what is to be sent again: `{"change"}`, `{"dead":true}`, or a stretch of the log after a
/// cursor (`after`) or from a time or `"start"` (`since`), up to a cursor (`until`) or its end.
pub async fn read_again(workspace: &Workspace, value: &Json) -> Result<Again, Problem> {
    let mut f = Fields::new(value, &Pointer::root())?;
    let change = f.parse("change", ChangeId::parse)?;
    let dead = f.bool("dead")?;
    let (after, until) = (f.string("after")?, f.string("until")?);
    let since = f.parse("since", From::since)?;
    f.finish()?;
    let place = |cursor: &str, at: &'static str| {
        let place = workspace.position_of(cursor);
        place.map_err(|problem| problem.at(Pointer::from_static(at)))
    };
    let from = match (change, dead, after, since) {
        (Some(id), None, None, None) if until.is_none() => return Ok(Again::Change(id)),
        (None, Some(true), None, None) if until.is_none() => return Ok(Again::Dead),
        (None, None, Some(after), None) => {
            place(after, "/after")?;
            From::Cursor(after.to_owned())
        }
        (None, None, None, Some(since)) => since,
        _ => {
            let why = "one of change, dead, after and since says what is sent again";
            return Err(FieldError::invalid(Pointer::root(), why).into());
        }
    };
    // A place that is no more is answered as on every way along the log.
    let after = place_of(workspace, &from).await?.seq;
    let until = match until {
        Some(until) => place(until, "/until")?.seq,
        None => workspace.tail().seq,
    };
    Ok(Again::Range(Replay { after, until }))
}

/// Returns a webhook's definition, where the principal may see it.
async fn defined(
    workspace: &Workspace,
    principal: &Principal,
    id: &str,
) -> Result<std::sync::Arc<Head>, Problem> {
    let address = address_of(id)?;
    let when = syncline_engine::When::Head;
    let found = workspace.get(principal, &address, when).await;
    found.map_err(|problem| match problem.code {
        Code::NotFound | Code::Deleted => unknown(id),
        _ => problem,
    })
}

fn may(workspace: &Workspace, principal: &Principal, address: &Address) -> Result<(), Problem> {
    match may_write(principal, address, &workspace.settings().rules) {
        true => Ok(()),
        false => Err(Problem::new(
            Code::Forbidden,
            "the webhook is not yours to change",
        )),
    }
}

fn own(proposal: Proposal, context: Address, operation: Operation, body: Json) -> Proposal {
    Proposal {
        context,
        operation,
        body,
        branch: None,
        own: Some(Box::new(Own::default())),
        ..proposal
    }
}

fn busy() -> Problem {
    Problem::new(Code::Unavailable, "the webhook is not at work")
        .hint("a webhook without a secret on this node needs `syncline webhook rotate` first")
}
