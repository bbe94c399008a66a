//! Why a change was delivered to a subscriber, or was not.

use std::sync::Arc;

use syncline_api::{Code, Condition, Filter, Filters, Problem, Scope, ScopeTerm};
use syncline_delivery::durable::{Definition, Durable, Standing};
use syncline_engine::{Entry, Principal, SUBSCRIPTION_KIND, When, Workspace};
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Kind, Seq, Version};
use syncline_model::json::JsonWriter;
use syncline_rules::{
    Answer as Matched, Facts, Matcher, Subject, Verdict, judge, place_in, visible,
};
use syncline_store::{ContextList, ListQuery, Sort};

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::query::bad;
use crate::subscriptions::write_letter;

/// Bounds the subscriptions that are looked at where none is named.
const SUBSCRIPTIONS_MAX: usize = 100;

/// `GET /v1/explain/delivery?change=&subscription=`
pub(crate) async fn delivery(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let id = ask.query.parse("change", ChangeId::parse)?;
    let id = id.ok_or_else(|| bad("the query names no change"))?;
    ask.wait_for_min_cursor(&workspace).await?;
    let found = Found::find(&workspace, &principal, &id).await?;
    let names = match ask.query.text("subscription") {
        Some(name) => vec![name.to_owned()],
        None => names(&workspace, &principal).await?,
    };
    let mut texts = Vec::with_capacity(names.len());
    for name in &names {
        let durable = ask.node.durables.find(&workspace, &principal, name).await?;
        texts.push(
            found
                .explain(&workspace, &principal, name, &durable)
                .await?,
        );
    }
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_str("change", &id.to_string());
        w.field_str("context", found.entry.change.context.as_str());
        w.field_u64("version", found.entry.change.version.0);
        w.field_str("type", found.entry.change.kind.as_str());
        w.field_str("committed_at", &found.entry.change.committed_at.to_string());
        w.key("subscribers");
        w.begin_array();
        texts.iter().for_each(|text| w.raw(text));
        w.end_array();
        w.end_object();
    }))
}

/// Returns the names of the durable subscriptions that there are.
async fn names(workspace: &Workspace, principal: &Principal) -> Result<Vec<String>, Problem> {
    let query = ListQuery {
        contexts: ContextList {
            kind: Some(Kind::parse(SUBSCRIPTION_KIND).expect("it is a kind")),
            ..ContextList::default()
        },
        sort: Sort::default(),
        after: None,
        limit: SUBSCRIPTIONS_MAX,
        bodies: false,
    };
    let page = workspace.list(principal, query).await?;
    let names = page.heads.iter().map(|head| head.address.id().to_owned());
    Ok(names.collect())
}

/// A change that is explained, with the document after it.
struct Found {
    entry: Arc<Entry>,
    document: Option<Arc<Head>>,
    visible: bool,
}

impl Found {
    async fn find(
        workspace: &Workspace,
        principal: &Principal,
        id: &ChangeId,
    ) -> Result<Found, Problem> {
        let unknown = || Problem::new(Code::NotFound, format!("there is no change {id}"));
        let seq = workspace
            .seq_of(id)
            .await?
            .filter(|seq| *seq <= workspace.tail().seq);
        let before = seq.ok_or_else(unknown)?.0.checked_sub(1).map(Seq);
        let entries = workspace.read_log(before.ok_or_else(unknown)?, 1).await?;
        let entry = entries.into_iter().next().ok_or_else(unknown)?;
        let change = &entry.change;
        let rules = &workspace.settings().rules;
        // Who may not see it does not hear that it is there.
        if !visible(principal, &Subject::of_change(change), rules) {
            return Err(unknown());
        }
        let version = match change.kind {
            syncline_model::change::ChangeType::Delete => Version(change.version.0 - 1),
            _ => change.version,
        };
        let document = workspace
            .get(principal, &change.line(), When::Version(version))
            .await;
        Ok(Found {
            document: document.ok(),
            entry: entry.clone(),
            visible: true,
        })
    }

    fn facts(&self) -> Facts<'_> {
        let document = self.document.as_ref().map(|head| &head.document);
        Facts::with_document(&self.entry.change, document)
    }

    /// Explains one durable subscription, as JSON.
    async fn explain(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        name: &str,
        durable: &Durable,
    ) -> Result<String, Problem> {
        let definition = durable.definition()?;
        let inherited = inherited(workspace, &definition.scope).await?;
        let verdict = judge(&definition.scope, &inherited, &self.entry.change);
        let condition = definition.condition.as_ref().map(Condition::as_str);
        let matcher = Matcher::compile(&definition.filter, condition)?;
        // What enters or leaves a scope is told whatever the filter says of the change.
        let moves = matches!(verdict, Verdict::Enters | Verdict::Leaves);
        let wanted = match verdict {
            Verdict::Outside => false,
            _ => moves || matcher.answer(&self.facts()) == Matched::Yes,
        };
        let (standing, letter) = durable.standing(&self.entry.position()).await?;
        let acknowledged = durable.inspect().await?.acknowledged;
        let mut w = JsonWriter::with_capacity(512);
        w.begin_object();
        w.field_str("subscription", name);
        w.field_bool("wanted", wanted && self.visible);
        w.field_str(
            "because",
            because(verdict, wanted, letter.is_some(), &standing),
        );
        self.write_scope(&mut w, &definition.scope, &inherited, verdict);
        self.write_filter(&mut w, &definition)?;
        w.field_bool("visible", self.visible);
        w.field_str("rule", rule(principal));
        w.field_bool("acknowledged", self.entry.seq <= acknowledged.seq);
        if wanted {
            write_standing(&mut w, &standing);
        }
        if let Some(letter) = &letter {
            w.key("dead");
            write_letter(&mut w, self.entry.cursor(), letter);
        }
        w.end_object();
        Ok(w.into_string())
    }

    fn write_scope(
        &self,
        w: &mut JsonWriter,
        scope: &Scope,
        inherited: &[Vec<Address>],
        verdict: Verdict,
    ) {
        let change = &self.entry.change;
        let mut lines = inherited.iter();
        w.field_str("scope", verdict_word(verdict));
        w.key("terms");
        w.begin_array();
        for term in &scope.0 {
            let own: &[Vec<Address>] = match term {
                ScopeTerm::Inherited(_) => lines.next().map_or(&[], std::slice::from_ref),
                _ => &[],
            };
            let one = Scope(vec![term.clone()]);
            w.begin_object();
            w.key("term");
            one.write(w);
            let holds = place_in(&one, own, &change.context, &change.place);
            w.field_bool("holds", holds);
            w.end_object();
        }
        w.end_array();
    }

    fn write_filter(&self, w: &mut JsonWriter, definition: &Definition) -> Result<(), Problem> {
        w.key("filter");
        w.begin_array();
        for filter in &definition.filter.0 {
            self.write_clause(w, filter)?;
        }
        w.end_array();
        if let Some(condition) = &definition.condition {
            let matcher = Matcher::compile(&Filters::default(), Some(condition.as_str()))?;
            w.key("where");
            w.begin_object();
            w.field_str("expression", condition.as_str());
            w.field_bool("holds", matcher.answer(&self.facts()) == Matched::Yes);
            w.end_object();
        }
        Ok(())
    }

    /// Writes a filter and all that it is made of, each with whether it holds.
    fn write_clause(&self, w: &mut JsonWriter, filter: &Filter) -> Result<(), Problem> {
        let matcher = Matcher::compile(&Filters(vec![filter.clone()]), None)?;
        w.begin_object();
        let (word, parts) = match filter {
            Filter::All(parts) => ("all", parts.as_slice()),
            Filter::Any(parts) => ("any", parts.as_slice()),
            Filter::Not(part) => ("not", std::slice::from_ref(&**part)),
            _ => ("", &[][..]),
        };
        match word {
            "" => {
                w.key("clause");
                filter.write(w);
            }
            word => {
                w.key(word);
                w.begin_array();
                for part in parts {
                    self.write_clause(w, part)?;
                }
                w.end_array();
            }
        }
        w.field_bool("holds", matcher.answer(&self.facts()) == Matched::Yes);
        w.end_object();
        Ok(())
    }
}

/// Returns the ancestors of each `inherited` term's context, as they are today.
async fn inherited(workspace: &Workspace, scope: &Scope) -> Result<Vec<Vec<Address>>, Problem> {
    let mut lines = Vec::new();
    for term in &scope.0 {
        if let ScopeTerm::Inherited(context) = term {
            lines.push(match workspace.head_if_any(context).await? {
                Some(head) => workspace.place(&head).await?.ancestors.to_vec(),
                None => Vec::new(),
            });
        }
    }
    Ok(lines)
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Outside => "outside",
        Verdict::Inside => "inside",
        Verdict::Enters => "enters",
        Verdict::Leaves => "leaves",
    }
}

fn rule(principal: &Principal) -> &'static str {
    match principal.reads_all() {
        true => "the owner reads everything",
        false => "the context's level lets this principal read it",
    }
}

/// Says in words what came of it.
fn because(verdict: Verdict, wanted: bool, dead: bool, standing: &Standing) -> &'static str {
    match (verdict, standing) {
        (Verdict::Outside, _) => "its context is outside of the scope, before and after it",
        _ if !wanted => "the filter does not let it pass",
        _ if dead => "it was given up: see the dead letter",
        (_, Standing::NotRead) => "nobody has asked for it yet",
        (_, Standing::Deferred) => "it waits behind an earlier change of its context",
        (_, Standing::Held { acked: true, .. }) => {
            "it is acknowledged, and an earlier change of its context is not"
        }
        (
            _,
            Standing::Held {
                consumer: Some(_), ..
            },
        ) => "a consumer has it",
        (_, Standing::Held { until: Some(_), .. }) => "it was given back, and comes again",
        (_, Standing::Held { .. }) => "it waits for a consumer, or for an earlier change",
        (_, Standing::Done) => "it was delivered and acknowledged, or lies before the beginning",
    }
}

fn write_standing(w: &mut JsonWriter, standing: &Standing) {
    w.key("queue");
    w.begin_object();
    match standing {
        Standing::NotRead => w.field_str("state", "not_read"),
        Standing::Deferred => w.field_str("state", "deferred"),
        Standing::Done => w.field_str("state", "done"),
        Standing::Held {
            deliveries,
            failures,
            acked,
            until,
            consumer,
        } => {
            let state = match (acked, consumer, until) {
                (true, ..) => "acknowledged",
                (_, Some(_), _) => "in_flight",
                (_, None, Some(_)) => "delayed",
                (_, None, None) => "waiting",
            };
            w.field_str("state", state);
            w.field_u64("attempts", (*deliveries).into());
            w.field_u64("failures", (*failures).into());
            if let Some(consumer) = consumer {
                w.field_str("consumer", consumer);
            }
            if let Some(until) = until {
                w.field_str("until", &until.to_string());
            }
        }
    }
    w.end_object();
}
