//! Digests of the log: `GET /v1/changes?digest=true`, and those of durable subscriptions.

use axum::body::Body;
use syncline_api::Problem;
use syncline_delivery::durable::{Consumer, Durable, Given};
use syncline_delivery::{Digest, Digester, FeedRequest, Fitting, Item};
use syncline_model::json::{JsonWriter, Pointer};
use tokio::time::Instant;

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::query::bad;

/// What a digest may take where its reader states nothing.
const BUDGET_USUAL: u64 = 64 << 10;
/// Bounds the budget.
const BUDGET_MAX: u64 = 4 << 20;

/// Says whether a digest is asked for. Its budget alone would be ignored.
pub(crate) fn is_asked(ask: &Ask) -> Result<bool, Problem> {
    let asked = ask.query.flag("digest")?;
    if !asked && ask.query.text("budget_bytes").is_some() {
        return Err(unfit("budget_bytes", "only a digest has a budget").hint("add digest=true"));
    }
    Ok(asked)
}

/// Refuses a member of the query that would change nothing.
fn unfit(name: &'static str, why: &str) -> Problem {
    bad(format!("the query's {name}: {why}")).at(Pointer::root().child(name))
}

/// Refuses what chooses a form of changes, of which a digest has its own.
fn check_form(ask: &Ask) -> Result<(), Problem> {
    let says = |name: &str| ask.query.text(name).is_some();
    if says("fields") {
        return Err(unfit("fields", "a digest shows whole contexts"));
    }
    if says("mode") {
        return Err(unfit("mode", "a digest has a form of its own"));
    }
    match ask.query.flag("old")? {
        true => Err(unfit("old", "a digest shows no values before")),
        false => Ok(()),
    }
}

/// Reads the budget of a digest, in bytes.
pub(crate) fn budget(ask: &Ask) -> Result<usize, Problem> {
    let budget = ask.query.number("budget_bytes")?.unwrap_or(BUDGET_USUAL);
    match budget {
        1..=BUDGET_MAX => Ok(usize::try_from(budget).unwrap_or(usize::MAX)),
        _ => Err(unfit(
            "budget_bytes",
            &format!("1 to {BUDGET_MAX} bytes are meant"),
        )),
    }
}

/// Reads of how many contexts a digest is at most; where nothing is said, its budget alone bounds it.
fn contexts_max(ask: &Ask) -> Result<usize, Problem> {
    match ask.query.text("limit") {
        Some(_) => {
            let page_max = ask.node.doors.limits.page_max;
            ask.query.limit(page_max, page_max)
        }
        None => Ok(usize::MAX),
    }
}

/// Answers a pull with a digest, waiting for news until the deadline.
pub(crate) async fn pull(ask: &Ask, request: FeedRequest, deadline: Instant) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    check_form(ask)?;
    let (budget, contexts_max) = (budget(ask)?, contexts_max(ask)?);
    let digester = Digester::new(workspace.clone(), principal, &request)?;
    let mut tail = workspace.tail_watch();
    loop {
        tail.mark_unchanged();
        let digest = digester
            .digest(request.clone(), budget, contexts_max)
            .await?;
        let rung = async {
            tokio::select! {
                moved = tail.changed() => moved.is_ok(),
                () = tokio::time::sleep_until(deadline) => false,
                () = ask.node.stopped() => false,
            }
        };
        if digest.fitting.changes > 0 || digest.more || !rung.await {
            return Ok(answered(&digest));
        }
    }
}

fn answered(digest: &Digest) -> http::Response<Body> {
    answer::written(|w| {
        w.begin_object();
        write_fitting(w, &digest.fitting);
        w.field_str("cursor", &digest.cursor);
        if digest.more {
            w.field_bool("more", true);
        }
        w.end_object();
    })
}

fn write_fitting(w: &mut JsonWriter, fitting: &Fitting) {
    w.key("digest");
    w.begin_array();
    fitting.contexts.iter().for_each(|text| w.raw(text));
    w.end_array();
    w.field_u64("changes", fitting.changes as u64);
    let (changes, contexts) = fitting.left_out;
    if changes > 0 {
        w.key("left_out");
        w.begin_object();
        w.field_u64("changes", changes as u64);
        w.field_u64("contexts", contexts as u64);
        w.end_object();
    }
}

/// Delivers as much of what a consumer of a durable subscription took as fits a digest, and answers
/// with that. It is acknowledged as it would be without.
pub(crate) async fn of_taken(
    ask: &Ask,
    durable: &Durable,
    consumer: &Consumer,
    mut taken: Vec<Given>,
    budget: usize,
) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let digester = Digester::new(workspace, principal, &durable.definition()?.request())?;
    let items: Vec<_> = taken.iter().map(|given| given.items.as_slice()).collect();
    let fitting = digester.fitting(&items, taken.len(), budget).await?;
    durable
        .hand_over(consumer, &mut taken, fitting.count)
        .await?;
    let mut items = taken.iter().flat_map(|given| &given.items);
    let reset = items.find_map(|item| match item {
        Item::Reset(reason) => Some(*reason),
        _ => None,
    });
    Ok(answer::written(|w| {
        w.begin_object();
        write_fitting(w, &fitting);
        if let Some(reason) = reset {
            w.field_str("reset", reason.as_str());
        }
        w.key("deliveries");
        w.begin_array();
        for given in &taken {
            w.begin_object();
            w.field_str("cursor", &given.cursor);
            w.field_u64("delivery", given.delivery.into());
            w.end_object();
        }
        w.end_array();
        if let Some(last) = taken.last() {
            w.field_str("cursor", &last.cursor);
        }
        w.end_object();
    }))
}
