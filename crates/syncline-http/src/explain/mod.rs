//! Why a change was delivered to a subscriber, or was not: by which terms, and how far it came.

mod durable;
mod found;
mod live;
mod webhook;

use syncline_api::Problem;
use syncline_delivery::webhook::Webhooks;
use syncline_engine::{Principal, SUBSCRIPTION_KIND, Workspace};
use syncline_model::ids::{ChangeId, Kind};
use syncline_store::{ContextList, ListQuery, Sort};

use self::found::Found;
use crate::answer;
use crate::ask::{Answer, Ask};
use crate::query::bad;

/// Bounds the subscribers of each way that are looked at where none is named.
const SUBSCRIBERS_MAX: usize = 100;

/// `GET /v1/explain/delivery?change=` with `subscription=`, `webhook=`, or `connection=` and `sub=`
pub(crate) async fn delivery(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let id = ask.query.parse("change", ChangeId::parse)?;
    let id = id.ok_or_else(|| bad("the query names no change"))?;
    let named = Named::read(&ask)?;
    ask.wait_for_min_cursor(&workspace).await?;
    let found = Found::find(&workspace, &principal, &id).await?;
    let texts = match named {
        Named::Durable(name) => vec![durable::explain(&ask, &found, name).await?],
        Named::Webhook(id) => vec![webhook::explain(&ask, &found, id).await?],
        Named::Live(connection, sub) => vec![live::explain(&ask, &found, connection, sub).await?],
        Named::Nobody => all(&ask, &found).await?,
    };
    Ok(answer::written(|w| {
        let change = &found.entry.change;
        w.begin_object();
        w.field_str("change", &id.to_string());
        w.field_str("context", change.context.as_str());
        w.field_u64("version", change.version.0);
        w.field_str("type", change.kind.as_str());
        w.field_str("committed_at", &change.committed_at.to_string());
        w.key("subscribers");
        w.begin_array();
        texts.iter().for_each(|text| w.raw(text));
        w.end_array();
        w.end_object();
    }))
}

/// Whose delivery is asked for.
enum Named<'a> {
    Durable(&'a str),
    Webhook(&'a str),
    Live(&'a str, &'a str),
    Nobody,
}

impl Named<'_> {
    fn read(ask: &Ask) -> Result<Named<'_>, Problem> {
        let text = |name| ask.query.text(name);
        let named = ["subscription", "webhook", "connection", "sub"].map(text);
        match named {
            [Some(name), None, None, None] => Ok(Named::Durable(name)),
            [None, Some(id), None, None] => Ok(Named::Webhook(id)),
            [None, None, Some(connection), Some(sub)] => Ok(Named::Live(connection, sub)),
            [None, None, None, None] => Ok(Named::Nobody),
            _ => Err(bad(
                "the query names one of subscription, webhook, and connection with sub",
            )),
        }
    }
}

/// Explains all subscribers that the principal may see.
async fn all(ask: &Ask, found: &Found) -> Result<Vec<String>, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let mut texts = Vec::new();
    for name in names(&workspace, &principal).await? {
        texts.push(durable::explain(ask, found, &name).await?);
    }
    if let Some(webhooks) = &ask.node.doors.webhooks {
        for id in ids(webhooks, &workspace, &principal).await? {
            texts.push(webhook::explain(ask, found, &id).await?);
        }
    }
    let subs = ask.node.live.all();
    let own = subs
        .iter()
        .filter(|sub| sub.principal == principal.id && sub.workspace.id() == workspace.id());
    for sub in own.take(SUBSCRIBERS_MAX) {
        texts.push(live::written(ask, found, sub)?);
    }
    Ok(texts)
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
        limit: SUBSCRIBERS_MAX,
        bodies: false,
    };
    let page = workspace.list(principal, query).await?;
    let names = page.heads.iter().map(|head| head.address.id().to_owned());
    Ok(names.collect())
}

/// Returns the ids of the webhooks that there are.
async fn ids(
    webhooks: &Webhooks,
    workspace: &Workspace,
    principal: &Principal,
) -> Result<Vec<String>, Problem> {
    let all = webhooks.list(workspace, principal).await?;
    let ids = all.into_iter().map(|shown| shown.id);
    Ok(ids.take(SUBSCRIBERS_MAX).collect())
}
