//! What a node says of itself, and its workspaces.

use std::time::Duration;

use http::StatusCode;
use syncline_api::{Code, Problem};
use syncline_engine::{Compacted, Compaction, Health};
use syncline_model::ids::WorkspaceId;
use syncline_model::json::{Fields, JsonWriter, Pointer};

use crate::answer;
use crate::ask::{Answer, Ask, JSON};
use crate::contexts::made;
use crate::counts;

/// How long the status waits for webhooks to say how they do: whoever asks wants to know now.
const WEBHOOKS_WAIT: Duration = Duration::from_secs(2);
/// Bounds the subscriptions and webhooks that are named for their dead letters: those with the most.
const NAMED_MAX: usize = 20;

/// `GET /healthz`
///
/// It says that the process lives, and who asks may restart what does not. Nothing that the node
/// knows of itself is mended by that, so it is told and not held against it.
pub(crate) async fn healthz(ask: Ask) -> Answer {
    Ok(alive(&ask.node.doors.engine.health()))
}

fn alive(health: &Health) -> http::Response<axum::body::Body> {
    let mut response = probe("healthy", health.healthy, health);
    *response.status_mut() = StatusCode::OK;
    response
}

/// `GET /readyz`
pub(crate) async fn readyz(ask: Ask) -> Answer {
    let health = ask.node.doors.engine.health();
    Ok(probe("ready", health.ready, &health))
}

fn probe(name: &str, good: bool, health: &Health) -> http::Response<axum::body::Body> {
    let mut w = JsonWriter::new();
    w.begin_object();
    w.field_bool(name, good);
    write_reasons(&mut w, health);
    w.end_object();
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer::json(status, w.into_string())
}

fn write_reasons(w: &mut JsonWriter, health: &Health) {
    w.key("reasons");
    w.begin_array();
    health.reasons.iter().for_each(|reason| w.string(reason));
    w.end_array();
}

/// `GET /v1/status`
pub(crate) async fn status(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let doors = &ask.node.doors;
    let mut health = doors.engine.health();
    // Events that do not arrive are no reason to take the node out of service: the probes do not
    // know of them.
    health.reasons.extend(webhooks(&ask).await?);
    health.healthy &= health.reasons.is_empty();
    // A node whose store cannot be read still says how it is.
    let open = workspace.conflicts_open(&principal).await.ok();
    let dead = dead_letters(&ask).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_str("node", &doors.node.name);
        w.field_str("version", &doors.node.version);
        w.field_str("started_at", &doors.node.started_at.to_string());
        w.field_str("now", &doors.engine.now().to_string());
        w.field_str("workspace", workspace.id().as_str());
        w.field_str("epoch", &workspace.epoch().to_string());
        w.field_str("cursor", &workspace.seal_fresh(&workspace.tail()));
        w.field_bool("healthy", health.healthy);
        w.field_bool("ready", health.ready);
        write_reasons(w, &health);
        if let Some(open) = open {
            w.field_u64("conflicts_open", open);
        }
        if let Some(dead) = &dead {
            write_dead_letters(w, dead);
        }
        if let Some(compacted) = workspace.compacted() {
            write_compacted(w, &compacted);
        }
        w.end_object();
    }))
}

/// Says which webhooks do not reach their endpoints.
async fn webhooks(ask: &Ask) -> Result<Vec<String>, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let Some(webhooks) = &ask.node.doors.webhooks else {
        return Ok(Vec::new());
    };
    let asked = webhooks.troubles(&workspace, &principal);
    Ok(match tokio::time::timeout(WEBHOOKS_WAIT, asked).await {
        Ok(Ok(troubles)) => troubles,
        Ok(Err(problem)) => vec![format!("the webhooks cannot be looked at: {problem}")],
        Err(_) => vec!["the webhooks did not say in time how they do".to_owned()],
    })
}

/// What has dead letters, and how many: subscriptions by name, and webhooks by id.
struct DeadLetters {
    subscriptions: Vec<(String, usize)>,
    webhooks: Vec<(String, usize)>,
}

/// Counts the dead letters, for who may read everything. They are no reason to call a node unwell:
/// each was told as it was given up, and waits for somebody to decide.
async fn dead_letters(ask: &Ask) -> Result<Option<DeadLetters>, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    if !principal.reads_all() {
        return Ok(None);
    }
    let counting = ask.node.durables.dead_letters(&workspace);
    let counted = tokio::time::timeout(WEBHOOKS_WAIT, counting).await;
    // A node whose store cannot be read still says how it is.
    let Ok(Ok(subscriptions)) = counted else {
        return Ok(None);
    };
    let webhooks = ask.node.doors.webhooks.as_ref();
    let webhooks = webhooks.map_or_else(Vec::new, |webhooks| webhooks.counts());
    let own = webhooks
        .into_iter()
        .filter(|one| one.workspace == *workspace.id() && one.letters > 0);
    Ok(Some(DeadLetters {
        subscriptions: subscriptions.into_iter().collect(),
        webhooks: own.map(|one| (one.id, one.letters)).collect(),
    }))
}

fn write_dead_letters(w: &mut JsonWriter, dead: &DeadLetters) {
    let all = dead.subscriptions.iter().chain(&dead.webhooks);
    let total: usize = all.map(|(_, count)| count).sum();
    w.key("dead_letters");
    w.begin_object();
    w.field_u64("total", total as u64);
    for (name, of) in [
        ("subscriptions", &dead.subscriptions),
        ("webhooks", &dead.webhooks),
    ] {
        let mut most: Vec<_> = of.iter().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        w.key(name);
        w.begin_object();
        for (name, count) in most.into_iter().take(NAMED_MAX) {
            w.field_u64(name, *count as u64);
        }
        w.end_object();
    }
    w.end_object();
}

/// Writes how far the last compaction came.
fn write_compacted(w: &mut JsonWriter, compacted: &Compacted) {
    w.key("compaction");
    w.begin_object();
    w.field_str("began_at", &compacted.began_at.to_string());
    if let Some(at) = compacted.ended_at {
        w.field_str("ended_at", &at.to_string());
    }
    if let Some(why) = &compacted.failed {
        w.field_str("failed", why);
    }
    write_compaction(w, &compacted.so_far);
    w.end_object();
}

fn write_compaction(w: &mut JsonWriter, done: &Compaction) {
    w.field_u64("contexts", done.contexts);
    w.field_u64("looked_at", done.looked_at);
    w.field_u64("thinned", done.thinned);
    w.field_u64("bytes", done.bytes);
    w.field_u64("framed", done.framed);
    w.field_u64("framed_bytes_before", done.framed_bytes_before);
    w.field_u64("framed_bytes_after", done.framed_bytes_after);
}

/// `POST /v1/compact`
pub(crate) async fn compact(mut ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let body = ask.json_if_any().await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let dry_run = fields.bool("dry_run")?.unwrap_or(false);
    fields.finish()?;
    // A caller that has gone ends the run too, between two steps.
    let done = tokio::select! {
        done = workspace.compact(&principal, dry_run) => done?,
        () = ask.node.stopped() => {
            return Err(Problem::new(Code::Unavailable, "the node is stopping"));
        }
    };
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_bool("dry_run", dry_run);
        write_compaction(w, &done);
        w.end_object();
    }))
}

/// `GET /v1/stats`
pub(crate) async fn stats(ask: Ask) -> Answer {
    let principal = ask.principal()?;
    let mut stats = ask.node.doors.engine.stats().await?.to_json();
    let delivery = counts::of_delivery(&ask.node, &principal);
    if let (Some(stats), Some(delivery)) = (stats.as_object_mut(), delivery) {
        stats.insert("delivery", delivery);
    }
    Ok(answer::written(|w| w.value(&stats)))
}

/// `POST /v1/verify`
pub(crate) async fn verify(mut ask: Ask) -> Answer {
    ask.principal()?;
    ask.no_body().await?;
    let node = &ask.node;
    let Ok(_alone) = node.verifying.try_lock() else {
        let detail = "the node is being verified already";
        return Err(Problem::new(Code::TooMany, detail).hint("wait until that has ended"));
    };
    // A caller that has gone ends the walk too: this future is dropped then.
    let report = tokio::select! {
        report = node.doors.engine.verify(&|_| ()) => report?,
        () = node.stopped() => {
            return Err(Problem::new(Code::Unavailable, "the node is stopping"));
        }
    };
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_bool("sound", report.problems.is_empty());
        w.field_u64("workspaces", report.workspaces);
        w.field_u64("records", report.records);
        w.field_u64("contexts", report.contexts);
        w.field_u64("documents", report.documents);
        w.key("problems");
        w.begin_array();
        report.problems.iter().for_each(|line| w.string(line));
        w.end_array();
        w.end_object();
    }))
}

/// `GET /v1/workspaces`
pub(crate) async fn workspaces(ask: Ask) -> Answer {
    ask.principal()?;
    let workspaces = ask.node.doors.engine.workspaces();
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("workspaces");
        w.begin_array();
        for workspace in &workspaces {
            w.begin_object();
            w.field_str("name", workspace.id().as_str());
            w.field_str("epoch", &workspace.epoch().to_string());
            w.end_object();
        }
        w.end_array();
        w.end_object();
    }))
}

/// `POST /v1/workspaces`
pub(crate) async fn create_workspace(mut ask: Ask) -> Answer {
    let principal = ask.principal()?;
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let id = fields.required_parse("name", WorkspaceId::parse)?;
    fields.finish()?;
    let engine = &ask.node.doors.engine;
    let new = engine.workspace(&id).is_err();
    let workspace = engine.create_workspace(&principal, &id).await?;
    let mut w = JsonWriter::new();
    w.begin_object();
    w.field_str("name", workspace.id().as_str());
    w.field_str("epoch", &workspace.epoch().to_string());
    w.end_object();
    Ok(made(w.into_string(), new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline_store::StoreHealth;

    #[test]
    fn p10_a_full_disk_is_told_and_restarts_nobody() {
        let health = Health::judge(&StoreHealth::Full, None, false);
        assert_eq!(alive(&health).status(), StatusCode::OK);
        assert_eq!(
            probe("ready", health.ready, &health).status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
