//! Lines of versions: branches, rolling back and undoing.

use std::sync::Arc;
use std::time::Duration;

use syncline_api::{Code, Problem};
use syncline_model::change::{Change, ChangeType, Receipt};
use syncline_model::head::Head;
use syncline_model::ids::{Address, BranchName, Kind, Version};
use syncline_model::json::{Json, JsonWriter, Limits, Object};
use syncline_model::proposal::{Actor, Base, Operation, Own, Proposal};
use syncline_rules::{KindRules, LINE_MOVED, Principal, named, rules_address, schema_address};

use crate::asked::declared_in;
use crate::load::{rotten, store_problem};
use crate::outcome::{Settled, reused};
use crate::reads::{PAGE_BYTES_MAX, When};
use crate::tail::Entry;
use crate::workspace::Workspace;

/// Bounds the branches of a context that are made on purpose.
const BRANCHES_MAX: usize = 1_000;
/// Bounds how far back a merge, an undo or a blame looks, in versions.
const LOOK_BACK_MAX: usize = 100_000;
/// How many versions are looked at in one read.
const LOOK_BACK_PAGE: usize = 200;

/// How often a call is prepared anew where the line that it stands on moves.
pub(crate) const TRIES_MAX: u32 = 100;

/// A branch of a context.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Its name.
    pub name: BranchName,
    /// The version of `main` that it began as.
    pub from: Option<Version>,
    /// Its head.
    pub head: Arc<Head>,
}

impl Workspace {
    /// Returns a page of the branches of a context, by name; deleted ones are left out. The next
    /// page is after the name that comes with it.
    pub async fn branches(
        &self,
        principal: &Principal,
        address: &Address,
        after: Option<&BranchName>,
        limit: usize,
    ) -> Result<(Vec<Branch>, Option<BranchName>), Problem> {
        self.get(principal, address, When::Head).await?;
        let shared = &self.shared;
        let limit = limit.clamp(1, shared.settings.page_max);
        let rows = shared.store.branches(&shared.id, address).await;
        let mut branches: Vec<Branch> = Vec::new();
        let mut bytes = 0;
        for row in rows.map_err(store_problem)? {
            let (_, Some(name)) = row.address.of_line() else {
                continue;
            };
            if after.is_some_and(|after| name.as_str() <= after.as_str()) {
                continue;
            }
            if branches.len() == limit || bytes > PAGE_BYTES_MAX {
                let next = branches.last().map(|branch| branch.name.clone());
                return Ok((branches, next));
            }
            let Some(head) = self.head(&row.address).await?.filter(|head| !head.deleted) else {
                continue;
            };
            let from = self.forked_from(&row.address).await?;
            bytes += head.document.weight();
            branches.push(Branch { name, from, head });
        }
        Ok((branches, None))
    }

    /// Returns the version of `main` that a branch began as, the last time that it did.
    async fn forked_from(&self, line: &Address) -> Result<Option<Version>, Problem> {
        let begins = |change: &Change| change.kind == ChangeType::Create;
        let began = self.find_back(line, Version(1), begins).await?;
        Ok(began.and_then(|entry| entry.change.base))
    }

    /// Returns changes of a line below a version, newest first.
    pub(crate) async fn changes_of(
        &self,
        line: &Address,
        below: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, Problem> {
        let shared = &self.shared;
        let rows = shared.store.versions(&shared.id, line, below, limit).await;
        let mut entries = Vec::new();
        for row in rows.map_err(store_problem)? {
            if row.seq > self.tail().seq {
                continue;
            }
            entries.extend(shared.entry_at(row.seq).await?);
        }
        Ok(entries)
    }

    /// Finds the newest change of a line that `is_it` accepts; those below a version need not be
    /// looked at.
    pub(crate) async fn find_back(
        &self,
        line: &Address,
        since: Version,
        is_it: impl FnMut(&Change) -> bool + Send,
    ) -> Result<Option<Arc<Entry>>, Problem> {
        self.find_below(line, None, since, is_it).await
    }

    /// Finds the newest change of a line below a version that `is_it` accepts; those below `since`
    /// need not be looked at.
    pub(crate) async fn find_below(
        &self,
        line: &Address,
        mut below: Option<Version>,
        since: Version,
        mut is_it: impl FnMut(&Change) -> bool + Send,
    ) -> Result<Option<Arc<Entry>>, Problem> {
        let mut looked = 0;
        while looked < LOOK_BACK_MAX {
            let page = self.changes_of(line, below, LOOK_BACK_PAGE).await?;
            let Some(last) = page.last() else { break };
            below = Some(last.change.version);
            looked += page.len();
            if let Some(found) = page.iter().find(|entry| is_it(&entry.change)) {
                return Ok(Some(found.clone()));
            }
            if last.change.version <= since {
                break;
            }
        }
        Ok(None)
    }

    /// Begins a branch as a version of `main` was. `proposal` says who, under which id and why.
    pub async fn create_branch(
        &self,
        principal: &Principal,
        mut proposal: Proposal,
        from: Option<Version>,
    ) -> Result<Receipt, Problem> {
        let mut sent = Object::new();
        if let Some(from) = from {
            sent.insert("from", Json::from(from.0));
        }
        check_not_built_in(&proposal.context)?;
        let sent = Json::Object(sent);
        if let Some(receipt) = self
            .heard_before(&mut proposal, Operation::Create, sent)
            .await?
        {
            return Ok(receipt);
        }
        let shared = &self.shared;
        let rows = shared.store.branches(&shared.id, &proposal.context).await;
        if rows.map_err(store_problem)?.len() >= BRANCHES_MAX {
            let detail = format!("a context has at most {BRANCHES_MAX} branches, deleted ones too");
            return Err(Problem::new(Code::TooLarge, detail)
                .hint("the name of a deleted one can be used again")
                .fixed_limit(BRANCHES_MAX as u64));
        }
        let context = proposal.context.clone();
        let when = from.map_or(When::Head, When::Version);
        let head = self.get(principal, &context, when).await?;
        proposal.base = Some(Base::Version(head.version));
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_u64("from", head.version.0);
        w.end_object();
        proposal.body = parsed(w);
        own(&mut proposal).wanted = Some(Arc::new(head.document.clone()));
        self.submit(principal, proposal).await
    }

    /// Returns what is declared for a context's kind, and for the workspace.
    pub(crate) async fn declared_for(&self, context: &Address) -> Result<KindRules, Problem> {
        let kind = Kind::parse(context.kind()).expect("an address has a kind");
        self.declared_for_kind(&kind).await
    }

    /// Returns what is declared for a kind, and for the workspace.
    pub(crate) async fn declared_for_kind(&self, kind: &Kind) -> Result<KindRules, Problem> {
        let kind = self.head_if_any(&schema_address(kind)).await?;
        let workspace = self.head_if_any(&rules_address()).await?;
        let live = |head: &Option<Arc<Head>>| head.clone().filter(|head| !head.deleted);
        Ok(declared_in(
            live(&kind).as_deref(),
            live(&workspace).as_deref(),
        ))
    }

    /// Takes back the newest change of a line that this actor made, keeping what others wrote since.
    pub async fn undo(
        &self,
        principal: &Principal,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        let sent = Json::Object(Object::new());
        if let Some(receipt) = self
            .heard_before(&mut proposal, Operation::Rollback, sent)
            .await?
        {
            return Ok(receipt);
        }
        check_not_built_in(&proposal.context)?;
        for again in 0..TRIES_MAX {
            let prepared = self.undoing(principal, proposal.clone()).await?;
            match self.submit(principal, prepared).await {
                Err(problem) if problem.detail == LINE_MOVED => look_again_after(again).await,
                answer => return answer,
            }
        }
        Err(busy())
    }

    /// Says what an undo takes back, as the line is now.
    async fn undoing(
        &self,
        principal: &Principal,
        mut proposal: Proposal,
    ) -> Result<Proposal, Problem> {
        let line = proposal.line();
        let head = self.get(principal, &line, When::Head).await?;
        let actor: Actor = proposal.actor.clone();
        let mine = |change: &Change| change.actor.is_mine(&actor);
        let Some(entry) = self.find_back(&line, Version(1), mine).await? else {
            let who = match &actor.agent {
                Some(agent) => format!("{agent}, an agent of {},", actor.id),
                None => actor.id.to_string(),
            };
            let detail = format!("{who} has changed nothing of {}", named(&line));
            return Err(Problem::new(Code::NotFound, detail)
                .hint("`syncline log` shows who changed what; what was thinned cannot be undone"));
        };
        let version = entry.change.version;
        // What lies before is of an earlier life, which was ended on purpose.
        let begins = matches!(entry.change.kind, ChangeType::Create | ChangeType::Restore);
        if begins || version <= Version(1) {
            let detail = format!(
                "version {version} brought {} to life: there is nothing before it to go back to",
                named(&line)
            );
            return Err(Problem::new(Code::Invalid, detail).hint("delete it instead"));
        }
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_u64("version", version.0 - 1);
        w.end_object();
        proposal.body = parsed(w);
        proposal.base = Some(Base::Version(version));
        let own = own(&mut proposal);
        own.undoes = Some(entry.change.id);
        own.looked = Some(head.version);
        Ok(proposal)
    }

    /// Makes the proposal of a typed call what `sent` asks for, and returns what became of it if
    /// it was sent before: what the call looks up may have moved since, and the answer must not
    /// (P3).
    pub(crate) async fn heard_before(
        &self,
        proposal: &mut Proposal,
        operation: Operation,
        sent: Json,
    ) -> Result<Option<Receipt>, Problem> {
        proposal.operation = operation;
        own(proposal).sent = Some(sent);
        let shared = &self.shared;
        let rows = shared.store.ids(&shared.id, &[proposal.id]).await;
        let Some(row) = rows.map_err(store_problem)?.into_iter().next().flatten() else {
            return Ok(None);
        };
        if row.digest != proposal.digest().0 {
            return Err(reused(proposal.id));
        }
        let settled = Settled::from_bytes(proposal.id, &row.outcome);
        match settled.map_err(|rot| rotten(&*shared.store, &rot))? {
            // What is not acknowledged yet is heard from the committer.
            Settled::Accepted(receipt) if receipt.seq.is_some_and(|s| s > self.tail().seq) => {
                Ok(None)
            }
            Settled::Accepted(receipt) => Ok(Some(receipt)),
            Settled::Refused(refusal) => Err(shared.refusal_again(proposal, *refusal).await?),
            Settled::Bulk => Err(reused(proposal.id)),
        }
    }
}

/// Refuses what the node's own kinds do not take.
pub(crate) fn check_not_built_in(context: &Address) -> Result<(), Problem> {
    match context.is_built_in() {
        true => Err(the_nodes_own()),
        false => Ok(()),
    }
}

/// Says that a kind is not the caller's to write.
pub(crate) fn the_nodes_own() -> Problem {
    let detail = "kinds that begin with syncline_ are the node's own";
    Problem::new(Code::Invalid, detail)
}

/// Waits until what moved a line may be seen: it is once it is durable.
pub(crate) async fn look_again_after(tries: u32) {
    tokio::time::sleep(Duration::from_millis(1 << tries.min(6))).await;
}

/// Says that a line never stood still.
pub(crate) fn busy() -> Problem {
    let detail = format!("the line moved {TRIES_MAX} times while the call was prepared");
    Problem::new(Code::Unavailable, detail).hint("try again")
}

/// Returns what a typed call says beside its proposal.
pub(crate) fn own(proposal: &mut Proposal) -> &mut Own {
    proposal.own.get_or_insert_default()
}

pub(crate) fn parsed(w: JsonWriter) -> Json {
    Json::parse(w.into_string().as_bytes(), &Limits::wire()).expect("it was just written")
}
