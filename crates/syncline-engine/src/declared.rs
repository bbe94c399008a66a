//! What is declared in built-in kinds: schemas of kinds, rules of the workspace, tags of versions.
//! Typed calls are their front, since the general doors refuse to write these kinds.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use syncline_api::{Code, Problem};
use syncline_merge::apply_merge_patch;
use syncline_model::change::Receipt;
use syncline_model::conflict::{Conflict, ConflictId, Strategy};
use syncline_model::head::Head;
use syncline_model::ids::{Address, Kind, Name, Version};
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Operation, Own, Precondition, Proposal};
use syncline_rules::{
    KindRules, Principal, Subject, WorkspaceRules, rules_address, schema_address, visible,
};
use syncline_store::ConflictQuery;

use crate::asked::declared_in;
use crate::lines::{parsed, the_nodes_own};
use crate::load::store_problem;
use crate::reads::{LOAD_AT_ONCE, PAGE_BYTES_MAX, When};
use crate::workspace::Workspace;

/// The built-in kind whose contexts keep tags: one for each context that has any.
const TAGS_KIND: &str = "syncline_tags";

/// A page of conflicts.
#[derive(Clone, Debug)]
pub struct ConflictPage {
    /// The conflicts, those of earlier proposals first.
    pub conflicts: Vec<Conflict>,
    /// The next page is after this one.
    pub next: Option<ConflictId>,
}

impl Workspace {
    /// Declares a kind's schema and strategies: `{"schema":…,"strategy":…,"fallback":…}`.
    ///
    /// `proposal` says who, under which id and why; its context is filled in.
    pub async fn put_schema(
        &self,
        principal: &Principal,
        kind: &Kind,
        declared: &Json,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        KindRules::read(declared, &Pointer::root())?;
        check_declarable(kind)?;
        proposal.context = schema_address(kind);
        proposal.body = wrapped(declared, kind.as_str());
        self.declare(principal, proposal).await
    }

    /// Declares how the workspace's clashes are resolved, and how long things wait and are kept
    /// ([`WorkspaceRules::read`]).
    ///
    /// `proposal` says who, under which id and why; its context is filled in.
    pub async fn put_rules(
        &self,
        principal: &Principal,
        declared: &Json,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        WorkspaceRules::read(declared, &Pointer::root())?;
        proposal.context = rules_address();
        proposal.body = wrapped(declared, "rules");
        self.declare(principal, proposal).await
    }

    /// Declares some of the workspace's rules: a merge patch of what is declared, in which `null`
    /// takes a rule back; the others stay.
    pub async fn patch_rules(
        &self,
        principal: &Principal,
        patch: &Json,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        proposal.context = rules_address();
        let before = self.heard_before(&mut proposal, Operation::Merge, patch.clone());
        if let Some(receipt) = before.await? {
            return Ok(receipt);
        }
        let (head, _) = self.rules(principal).await?;
        let data = head
            .as_ref()
            .and_then(|head| head.document.object().get("data"));
        let nothing = Json::Object(Object::new());
        let patched = apply_merge_patch(data.unwrap_or(&nothing), patch);
        WorkspaceRules::read(&patched, &Pointer::root())?;
        proposal.create = true;
        proposal.strategy = Name::parse(Strategy::UserChoice.as_str()).ok();
        proposal.body = wrapped(patch, "rules");
        self.submit(principal, proposal).await
    }

    /// Writes a context of a built-in kind anew, whole.
    async fn declare(
        &self,
        principal: &Principal,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        proposal.operation = Operation::Replace;
        proposal.create = true;
        proposal.own = Some(Box::new(Own::default()));
        // Nothing waits here: no door settles what the node's own kinds hold.
        proposal.strategy = Name::parse(Strategy::UserChoice.as_str()).ok();
        let there = self.head_if_any(&proposal.context).await?;
        if there.is_some_and(|head| !head.deleted) {
            overwrite_if_unsaid(&mut proposal);
        }
        self.submit(principal, proposal).await
    }

    /// Takes back what is declared for the workspace: the node's settings hold again.
    pub async fn remove_rules(
        &self,
        principal: &Principal,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        proposal.context = rules_address();
        let sent = Json::Object(Object::new());
        let before = self.heard_before(&mut proposal, Operation::Delete, sent);
        if let Some(receipt) = before.await? {
            return Ok(receipt);
        }
        if self.rules(principal).await?.0.is_none() {
            let detail = "nothing is declared for this workspace";
            return Err(Problem::new(Code::NotFound, detail));
        }
        overwrite_if_unsaid(&mut proposal);
        self.submit(principal, proposal).await
    }

    /// Returns what is declared for the workspace, if anything is, and what holds for a kind that
    /// declares nothing.
    pub async fn rules(
        &self,
        principal: &Principal,
    ) -> Result<(Option<Arc<Head>>, WorkspaceRules), Problem> {
        let head = self.head_if_any(&rules_address()).await?;
        let node = &self.shared.settings.rules;
        let seen = |head: &Arc<Head>| visible(principal, &Subject::of_head(head), node);
        let head = head.filter(|head| !head.deleted && seen(head));
        let declared = declared_in(None, head.as_deref());
        Ok((head, declared.in_force(node)))
    }

    /// Takes back what is declared for a kind; its history stays.
    pub async fn remove_schema(
        &self,
        principal: &Principal,
        kind: &Kind,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        check_declarable(kind)?;
        proposal.context = schema_address(kind);
        let sent = Json::Object(Object::new());
        let before = self.heard_before(&mut proposal, Operation::Delete, sent);
        if let Some(receipt) = before.await? {
            return Ok(receipt);
        }
        self.schema(principal, kind, When::Head).await?;
        overwrite_if_unsaid(&mut proposal);
        self.submit(principal, proposal).await
    }

    /// Returns what is declared for a kind.
    pub async fn schema(
        &self,
        principal: &Principal,
        kind: &Kind,
        when: When,
    ) -> Result<Arc<Head>, Problem> {
        let found = self.get(principal, &schema_address(kind), when).await;
        found.map_err(|problem| match problem.code {
            Code::NotFound | Code::Deleted if when == When::Head => {
                Problem::new(Code::NotFound, format!("kind \"{kind}\" has no schema"))
            }
            Code::NotFound => {
                let detail = match when {
                    When::Version(version) => format!("kind \"{kind}\" has no schema {version}"),
                    _ => problem.detail,
                };
                Problem::new(Code::NotFound, detail).hint(format!(
                    "`syncline schema log {kind}` shows which there are"
                ))
            }
            _ => problem,
        })
    }

    /// Names a version of a context, by default its newest.
    pub async fn put_tag(
        &self,
        principal: &Principal,
        context: &Address,
        (name, version): (&Name, Option<Version>),
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        let mut sent = Object::new();
        sent.insert("name", Json::from(name.as_str()));
        if let Some(version) = version {
            sent.insert("version", Json::from(version.0));
        }
        if let Some(receipt) = tags_heard(self, context, &mut proposal, sent).await? {
            return Ok(receipt);
        }
        let digits = name.as_str().strip_prefix('v').unwrap_or(name.as_str());
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let detail = format!("a tag \"{name}\" would be read as the number of a version");
            return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/name")));
        }
        let when = version.map_or(When::Head, When::Version);
        let version = self.get(principal, context, when).await?.version;
        let mut w = JsonWriter::new();
        w.begin_object();
        w.key("data");
        w.begin_object();
        w.field_str("context", context.as_str());
        w.key("tags");
        w.begin_object();
        w.key(name.as_str());
        w.begin_object();
        w.field_u64("version", version.0);
        w.key("by");
        proposal.actor.write(&mut w);
        w.field_str("at", &self.shared.clock.now().to_string());
        w.end_object();
        w.end_object();
        w.end_object();
        w.end_object();
        proposal.body = parsed(w);
        self.submit(principal, proposal).await
    }

    /// Takes a name away.
    pub async fn remove_tag(
        &self,
        principal: &Principal,
        context: &Address,
        name: &Name,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        let mut sent = Object::new();
        sent.insert("remove", Json::from(name.as_str()));
        if let Some(receipt) = tags_heard(self, context, &mut proposal, sent).await? {
            return Ok(receipt);
        }
        if !self
            .tags(principal, context)
            .await?
            .contains_key(name.as_str())
        {
            let detail = format!("context \"{context}\" has no tag \"{name}\"");
            return Err(Problem::new(Code::NotFound, detail));
        }
        let mut tags = Object::new();
        tags.insert(name.as_str(), Json::Null);
        let mut data = Object::new();
        data.insert("tags", Json::Object(tags));
        let mut body = Object::new();
        body.insert("data", Json::Object(data));
        proposal.body = Json::Object(body);
        self.submit(principal, proposal).await
    }

    /// Returns the tags of a context, by name: `{"version":…,"by":…,"at":…}`.
    pub async fn tags(&self, principal: &Principal, context: &Address) -> Result<Object, Problem> {
        self.get(principal, context, When::Head).await?;
        self.tags_of(context).await
    }

    /// Returns the tags of a context without asking who wants them.
    pub(crate) async fn tags_of(&self, context: &Address) -> Result<Object, Problem> {
        let head = self.head_if_any(&tags_address(context)).await?;
        let data = head
            .as_ref()
            .and_then(|head| head.document.object().get("data"));
        let tags = data.and_then(|data| data.get("tags")?.as_object());
        Ok(tags.cloned().unwrap_or_default())
    }

    /// Returns a conflict, waiting or ended.
    pub async fn conflict(
        &self,
        principal: &Principal,
        id: &ConflictId,
    ) -> Result<Conflict, Problem> {
        let shared = &self.shared;
        let found = shared
            .store
            .conflict(&shared.id, id)
            .await
            .map_err(store_problem)?;
        match found {
            Some(conflict) if self.sees(principal, &conflict).await? => Ok(conflict),
            _ => Err(Problem::new(
                Code::NotFound,
                format!("there is no conflict {id}"),
            )),
        }
    }

    /// Returns a page of conflicts, those of earlier proposals first; it may end before its limit.
    pub async fn conflicts(
        &self,
        principal: &Principal,
        query: &ConflictQuery,
    ) -> Result<ConflictPage, Problem> {
        let shared = &self.shared;
        let wanted = query.limit.clamp(1, shared.settings.page_max);
        let (mut conflicts, mut bytes) = (Vec::new(), 0);
        let mut query = query.clone();
        loop {
            // Each may hold the largest document thrice.
            query.limit = LOAD_AT_ONCE.min(wanted - conflicts.len());
            let found = shared.store.conflicts(&shared.id, &query).await;
            let found = found.map_err(store_problem)?;
            let more = found.len() == query.limit;
            query.after = found.last().map(|conflict| conflict.id);
            for conflict in found {
                if self.sees(principal, &conflict).await? {
                    bytes += conflict.weight();
                    conflicts.push(conflict);
                }
            }
            if !more || conflicts.len() >= wanted || bytes >= PAGE_BYTES_MAX {
                let next = query.after.filter(|_| more);
                return Ok(ConflictPage { conflicts, next });
            }
        }
    }

    /// Counts the conflicts that wait in the whole workspace.
    pub async fn conflicts_open(&self, _principal: &Principal) -> Result<u64, Problem> {
        let shared = &self.shared;
        let open = shared.store.conflicts_open(&shared.id).await;
        open.map_err(store_problem)
    }

    /// Says whether a conflict's context may be seen, and the conflict is acknowledged.
    async fn sees(&self, principal: &Principal, conflict: &Conflict) -> Result<bool, Problem> {
        let line = conflict.context.line(conflict.branch.as_ref());
        let Some(head) = self.head(&line).await? else {
            return Ok(false);
        };
        let rules = &self.shared.settings.rules;
        Ok(conflict.opened <= head.version && visible(principal, &Subject::of_head(&head), rules))
    }
}

/// The node's own kinds are not declared: a schema could make them unreadable.
fn check_declarable(kind: &Kind) -> Result<(), Problem> {
    if schema_address(kind).id().starts_with("syncline_") {
        return Err(the_nodes_own());
    }
    Ok(())
}

/// What a kind declares is overwritten unless the writer says on what it was made.
fn overwrite_if_unsaid(proposal: &mut Proposal) {
    if proposal.base.is_none() && proposal.precondition == Precondition::None {
        proposal.precondition = Precondition::MatchAny;
    }
}

/// Makes a proposal one for a context's tags, and returns what became of it if it was sent before.
async fn tags_heard(
    workspace: &Workspace,
    context: &Address,
    proposal: &mut Proposal,
    sent: Object,
) -> Result<Option<Receipt>, Problem> {
    proposal.context = tags_address(context);
    proposal.create = true;
    let sent = Json::Object(sent);
    workspace
        .heard_before(proposal, Operation::Merge, sent)
        .await
}

fn tags_address(context: &Address) -> Address {
    let digest = Sha256::digest(context.as_str().as_bytes());
    let hex: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Address::from_parts(TAGS_KIND, &hex).expect("hex digits are a good id")
}

fn wrapped(declared: &Json, kind: &str) -> Json {
    let mut body = Object::new();
    body.insert("title", Json::from(kind));
    body.insert("data", declared.clone());
    Json::Object(body)
}
