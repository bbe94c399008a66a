//! What is declared in built-in kinds: schemas of kinds and tags of versions. Typed calls are their
//! front, since the general doors refuse to write these kinds.

use sha2::{Digest as _, Sha256};
use syncline_api::{Code, Problem};
use syncline_model::change::Receipt;
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::head::Head;
use syncline_model::ids::{Address, Kind, Name, Version};
use syncline_model::json::{Json, JsonWriter, Limits, Object, Pointer};
use syncline_model::proposal::{Operation, Own, Proposal};
use syncline_rules::{KindRules, Principal, Subject, schema_address, visible};
use syncline_store::ConflictQuery;

use crate::load::store_problem;
use crate::reads::When;
use crate::workspace::Workspace;

/// The built-in kind whose contexts keep tags: one for each context that has any.
const TAGS_KIND: &str = "syncline_tags";

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
        proposal.context = schema_address(kind);
        proposal.operation = Operation::Replace;
        proposal.create = true;
        proposal.body = wrapped(declared, kind.as_str());
        proposal.own = Some(Box::new(Own::default()));
        if proposal.base.is_none() {
            proposal.precondition = match self.head_if_any(&proposal.context).await? {
                Some(head) if !head.deleted => syncline_model::proposal::Precondition::MatchAny,
                _ => proposal.precondition,
            };
        }
        self.submit(principal, proposal).await
    }

    /// Returns what is declared for a kind.
    pub async fn schema(
        &self,
        principal: &Principal,
        kind: &Kind,
        when: When,
    ) -> Result<std::sync::Arc<Head>, Problem> {
        let found = self.get(principal, &schema_address(kind), when).await;
        found.map_err(|problem| match problem.code {
            Code::NotFound => {
                Problem::new(Code::NotFound, format!("kind \"{kind}\" has no schema"))
            }
            _ => problem,
        })
    }

    /// Names a version of a context.
    pub async fn put_tag(
        &self,
        principal: &Principal,
        context: &Address,
        (name, version): (&Name, Version),
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        self.get(principal, context, When::Version(version)).await?;
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
        proposal.body = parse(&w.into_string());
        self.write_tags(principal, context, proposal).await
    }

    /// Takes a name away.
    pub async fn remove_tag(
        &self,
        principal: &Principal,
        context: &Address,
        name: &Name,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
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
        self.write_tags(principal, context, proposal).await
    }

    async fn write_tags(
        &self,
        principal: &Principal,
        context: &Address,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        proposal.context = tags_address(context);
        proposal.operation = Operation::Merge;
        proposal.create = true;
        proposal.own = Some(Box::new(Own::default()));
        self.submit(principal, proposal).await
    }

    /// Returns the tags of a context, by name: `{"version":…,"by":…,"at":…}`.
    pub async fn tags(&self, principal: &Principal, context: &Address) -> Result<Object, Problem> {
        self.get(principal, context, When::Head).await?;
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

    /// Returns conflicts, those of earlier proposals first.
    pub async fn conflicts(
        &self,
        principal: &Principal,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>, Problem> {
        let shared = &self.shared;
        let found = shared.store.conflicts(&shared.id, query).await;
        let mut seen = Vec::new();
        for conflict in found.map_err(store_problem)? {
            if self.sees(principal, &conflict).await? {
                seen.push(conflict);
            }
        }
        Ok(seen)
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

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::wire()).expect("it was just written")
}
