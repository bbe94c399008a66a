//! Webhooks: made, read, changed, tested, and what became of their events.

use http::StatusCode;
use http::header::LOCATION;
use syncline_api::{Code, Problem};
use syncline_delivery::webhook::calls::read_again;
use syncline_delivery::webhook::machine::{End, Logged};
use syncline_delivery::webhook::rows::DeadLetter;
use syncline_delivery::webhook::signature::Secret;
use syncline_delivery::webhook::{Again, Shown, WEBHOOK_KIND, Wanted, Webhooks};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::ids::Address;
use syncline_model::json::{Fields, Json, JsonWriter, Pointer};
use syncline_model::proposal::{Operation, Proposal};
use syncline_model::time::Timestamp;
use syncline_model::words;

use crate::answer;
use crate::ask::{Answer, Ask, JSON, MERGE_PATCH};
use crate::contexts::view;
use crate::pages::Listing;

/// How many dead letters or attempts a page has that asks for no number.
const PAGE_DEFAULT: usize = 100;

impl Ask {
    fn webhooks(&self) -> Result<Webhooks, Problem> {
        let webhooks = self.node.doors.webhooks.clone();
        webhooks.ok_or_else(|| Problem::new(Code::NotBuilt, "this node calls no endpoints"))
    }

    fn webhook_id(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// Returns what goes with a write of a definition; the call fills in the rest.
    fn definition(&self, operation: Operation) -> Result<Proposal, Problem> {
        let any = Address::from_parts(WEBHOOK_KIND, "new").expect("it is an address");
        self.proposal_for(any, operation, Json::Null)
    }

    /// Reads a body that may be left out.
    async fn perhaps(&mut self) -> Result<Json, Problem> {
        let empty = self.header("content-type")?.is_none();
        if empty {
            self.no_body().await?;
            return Ok(Json::Object(Default::default()));
        }
        Ok(self.json(&[JSON]).await?.1)
    }
}

/// `POST /v1/webhooks`
pub(crate) async fn create(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let wanted = Wanted::read(&body, true)?;
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let proposal = ask.definition(Operation::Create)?;
    let made = webhooks
        .create(&workspace, &principal, wanted, proposal)
        .await?;
    let receipt = view(&workspace, &principal, &made.receipt).await.to_text();
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_str("id", &made.id);
    if let Some(secret) = &made.secret {
        w.field_str("secret", &secret.reveal());
    }
    w.field_raw("receipt", &receipt);
    w.end_object();
    let status = match made.receipt.outcome {
        Outcome::Applied => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let mut response = answer::json(status, w.into_string());
    if let Ok(place) = format!("/v1/webhooks/{}", made.id).parse() {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// `GET /v1/webhooks`
pub(crate) async fn list(ask: Ask) -> Answer {
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    ask.wait_for_min_cursor(&workspace).await?;
    let all = webhooks.list(&workspace, &principal).await?;
    let now = workspace.now();
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("webhooks");
        w.begin_array();
        let reads_all = principal.reads_all();
        all.iter().for_each(|shown| write(w, shown, now, reads_all));
        w.end_array();
        w.end_object();
    }))
}

/// `GET /v1/webhooks/{id}`
pub(crate) async fn get(ask: Ask) -> Answer {
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    ask.wait_for_min_cursor(&workspace).await?;
    let shown = webhooks
        .get(&workspace, &principal, ask.webhook_id())
        .await?;
    let mut w = JsonWriter::with_capacity(512);
    write(&mut w, &shown, workspace.now(), principal.reads_all());
    Ok(answer::context(w.into_string().into(), &shown.head.etag()))
}

/// `PATCH /v1/webhooks/{id}`
pub(crate) async fn change(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON, MERGE_PATCH]).await?;
    let (wanted, _) = Wanted::read(&body, false)?;
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let proposal = ask.definition(Operation::Replace)?;
    let receipt = webhooks
        .change(&workspace, &principal, (ask.webhook_id(), wanted), proposal)
        .await?;
    answered(&ask, &receipt).await
}

/// `DELETE /v1/webhooks/{id}`
pub(crate) async fn remove(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let proposal = ask.definition(Operation::Delete)?;
    let receipt = webhooks
        .remove(&workspace, &principal, ask.webhook_id(), proposal)
        .await?;
    answered(&ask, &receipt).await
}

async fn answered(ask: &Ask, receipt: &Receipt) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let view = view(&workspace, &principal, receipt).await;
    Ok(answer::receipt_at(&view, None))
}

/// `POST /v1/webhooks/{id}/rotate`
pub(crate) async fn rotate(mut ask: Ask) -> Answer {
    let body = ask.perhaps().await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let given = fields.parse("secret", Secret::parse)?;
    fields.finish()?;
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let secrets = webhooks
        .rotate(&workspace, &principal, ask.webhook_id(), given)
        .await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_str("secret", &secrets.newest.reveal());
        if let Some((_, until)) = &secrets.before {
            w.field_str("old_signs_until", &until.to_string());
        }
        w.end_object();
    }))
}

/// `POST /v1/webhooks/{id}/test`
pub(crate) async fn test(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let told = webhooks
        .test(&workspace, &principal, ask.webhook_id())
        .await?;
    Ok(answer::written(|w| {
        w.begin_object();
        match told {
            Ok(status) => w.field_u64("status", status.into()),
            Err(why) => w.field_str("error", &why),
        }
        w.end_object();
    }))
}

/// `POST /v1/webhooks/{id}/replay`
pub(crate) async fn replay(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let again = read_again(&workspace, &body).await?;
    let is_range = matches!(again, Again::Range(_));
    let events = webhooks
        .replay(&workspace, &principal, ask.webhook_id(), again)
        .await?;
    Ok(answer::written(|w| {
        w.begin_object();
        // How many events a stretch of the log has is known only once it was read.
        match is_range {
            true => w.field_bool("reading", true),
            false => w.field_u64("events", events),
        }
        w.end_object();
    }))
}

/// `GET /v1/webhooks/{id}/attempts`
pub(crate) async fn attempts(ask: Ask) -> Answer {
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let limit = ask
        .query
        .limit(PAGE_DEFAULT, ask.node.doors.limits.page_max)?;
    let id = ask.webhook_id();
    let attempts = webhooks.attempts(&workspace, &principal, id).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("attempts");
        w.begin_array();
        attempts
            .iter()
            .take(limit)
            .for_each(|logged| write_logged(w, logged));
        w.end_array();
        w.end_object();
    }))
}

/// `GET /v1/webhooks/{id}/dead`
pub(crate) async fn dead(ask: Ask) -> Answer {
    let (workspace, principal, webhooks) = (ask.workspace()?, ask.principal()?, ask.webhooks()?);
    let limit = ask
        .query
        .limit(PAGE_DEFAULT, ask.node.doors.limits.page_max)?;
    let id = ask.webhook_id();
    let listing = Listing::of("dead", [("webhook", id)]);
    let after = listing.place(&ask.query, dead_key)?;
    let (letters, next) = webhooks
        .dead(&workspace, &principal, id, (after.as_deref(), limit))
        .await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("dead");
        w.begin_array();
        letters.iter().for_each(|letter| write_dead(w, letter));
        w.end_array();
        if let Some(next) = &next {
            w.field_str("next", &listing.page_after(next));
        }
        w.end_object();
    }))
}

fn dead_key(text: &str) -> Option<String> {
    let is_key = |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (text.len() <= 64 && is_key(text)).then(|| text.to_owned())
}

words! {
    /// How an attempt ended.
    pub(crate) enum AttemptOutcome {
        /// It arrived.
        Delivered = "delivered",
        /// It did not.
        Failed = "failed",
        /// Nothing was left to send.
        Skipped = "skipped",
        /// The node stopped meanwhile.
        Interrupted = "interrupted",
    }
}

impl AttemptOutcome {
    fn of(end: &End) -> AttemptOutcome {
        match end {
            End::Delivered(_) => AttemptOutcome::Delivered,
            End::Failed(_) => AttemptOutcome::Failed,
            End::Skipped(_) => AttemptOutcome::Skipped,
            End::Interrupted => AttemptOutcome::Interrupted,
        }
    }
}

/// Writes an attempt.
pub(crate) fn write_logged(w: &mut JsonWriter, logged: &Logged) {
    w.begin_object();
    w.field_str("change", &logged.id.to_string());
    if let Some(context) = &logged.context {
        w.field_str("context", context.as_str());
    }
    w.field_u64("attempt", logged.attempt.into());
    w.field_str("at", &logged.at.to_string());
    w.field_str("outcome", AttemptOutcome::of(&logged.end).as_str());
    match &logged.end {
        End::Delivered(status) => w.field_u64("status", (*status).into()),
        End::Failed(failure) => {
            if let Some(status) = failure.status {
                w.field_u64("status", status.into());
            }
            w.field_str("error", &failure.why);
        }
        End::Skipped(why) => w.field_str("error", why),
        End::Interrupted => {}
    }
    w.end_object();
}

/// Writes an event that was given up.
pub(crate) fn write_dead(w: &mut JsonWriter, letter: &DeadLetter) {
    w.begin_object();
    w.field_str("change", &letter.event.id.to_string());
    if let Some(context) = &letter.event.context {
        w.field_str("context", context.as_str());
    }
    w.field_u64("attempts", letter.event.attempts.into());
    w.field_str("at", &letter.at.to_string());
    if let Some(why) = &letter.event.last_error {
        w.field_str("error", why);
    }
    w.end_object();
}

/// Writes a webhook and how it stands. Counts of what it does not see are for those alone who may
/// read the whole workspace.
fn write(w: &mut JsonWriter, shown: &Shown, now: Timestamp, reads_all: bool) {
    let (state, standing) = (&shown.standing.state, &shown.standing);
    w.begin_object();
    w.field_str("id", &shown.id);
    shown.definition.write_members(w);
    w.field_u64("version", shown.head.version.0);
    w.field_str("etag", &shown.head.etag().to_string());
    w.field_str("created_at", &shown.head.created_at.to_string());
    w.field_str("status", standing.word(&shown.definition, now));
    w.field_bool("verified", standing.proved);
    w.field_str("circuit", standing.circuit(now));
    if reads_all {
        w.field_u64("lag", standing.behind);
    }
    w.field_u64("outstanding", standing.outstanding as u64);
    w.field_u64("in_flight", standing.in_flight as u64);
    w.field_u64("delivered", state.delivered);
    w.field_u64("failed", state.failed);
    w.field_u64("dead", state.dead);
    w.field_u64("failures", state.failures.into());
    let times = [
        ("failing_since", state.failing_since),
        ("next_probe_at", state.open_until),
        (
            "paused_until",
            state.paused_until.filter(|until| *until > now),
        ),
        ("last_success_at", state.success_at),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            w.field_str(name, &time.to_string());
        }
    }
    if let Some(disabled) = &state.disabled {
        w.key("disabled");
        w.begin_object();
        w.field_str("at", &disabled.at.to_string());
        w.field_str("reason", &disabled.reason);
        w.end_object();
    }
    if let Some(error) = &state.last_error {
        w.field_str("last_error", error);
    }
    if state.replay.is_some() {
        w.field_bool("replaying", true);
    }
    w.end_object();
}
