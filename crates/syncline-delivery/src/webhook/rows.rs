//! A webhook's rows in the store's kept space.

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_engine::Workspace;
use syncline_model::ids::{Address, ChangeId};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Limits, Pointer};
use syncline_model::time::Timestamp;
use syncline_store::{Kept, KeptQuery, KeptValue};

use crate::webhook::machine::{End, Failure, Logged, Row};
use crate::webhook::reader::Untold;
use crate::webhook::signature::Secret;
use crate::webhook::state::{Event, Slot, State};

/// How webhooks stand, by id.
const STATES: &str = "webhook_state";
/// Their secrets, by id.
const SECRETS: &str = "webhook_secret";
/// Events that are not settled, by id and place.
const EVENTS: &str = "webhook_event";
/// Events that were given up, by id and place.
const DEAD: &str = "webhook_dead";
/// Attempts, by id and a number that goes round.
const LOG: &str = "webhook_log";

/// Bounds the delivery log of one webhook, in attempts.
pub const LOG_MAX: u64 = 500;
/// Bounds the dead letters of one webhook; beyond it the oldest go.
pub const DEAD_MAX: usize = 10_000;
/// Bounds a page that is read back.
const PAGE: usize = 1_000;

/// The secrets that are live, the newest first.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// When the newest was made.
    pub made_at: Timestamp,
    /// The newest.
    pub newest: Secret,
    /// The one whose place it takes, and until when that signs too.
    pub before: Option<(Secret, Timestamp)>,
}

impl Secrets {
    /// Returns those that sign now.
    pub fn live(&self, now: Timestamp) -> Vec<Secret> {
        let before = self.before.iter().filter(|(_, until)| *until > now);
        let before = before.map(|(secret, _)| secret.clone());
        std::iter::once(self.newest.clone()).chain(before).collect()
    }

    fn to_text(&self) -> String {
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_i64("made_at", self.made_at.0);
        w.field_str("newest", &self.newest.reveal());
        if let Some((secret, until)) = &self.before {
            w.field_str("before", &secret.reveal());
            w.field_i64("until", until.0);
        }
        w.end_object();
        w.into_string()
    }

    fn read(json: &Json) -> Result<Secrets, FieldError> {
        let mut f = Fields::new(json, &Pointer::root())?;
        let time = |json: Option<&Json>| json.and_then(Json::as_i64).map(Timestamp);
        let made_at = time(f.optional("made_at")).unwrap_or_default();
        let newest = f.required_parse("newest", Secret::parse)?;
        let before = f.parse("before", Secret::parse)?;
        let until = time(f.optional("until"));
        Ok(Secrets {
            made_at,
            newest,
            before: before.zip(until),
        })
    }
}

/// An event that was given up, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: Event,
    /// When it was given up.
    pub at: Timestamp,
}

/// Keeps what a step of the machine says.
pub async fn keep(workspace: &Workspace, id: &str, rows: &[Row]) -> Result<(), Problem> {
    if rows.is_empty() {
        return Ok(());
    }
    workspace
        .keep(rows.iter().map(|row| to_kept(id, row)).collect())
        .await
}

fn to_kept(id: &str, row: &Row) -> Kept {
    let put = |space, key: String, text: String| Kept::put(space, key, text.into_bytes());
    match row {
        Row::State(state) => put(STATES, id.to_owned(), state.to_text()),
        Row::Event(event) => put(
            EVENTS,
            format!("{id}/{}", event.slot.key()),
            event.to_text(),
        ),
        Row::Settled(slot) => Kept::forget(EVENTS, format!("{id}/{}", slot.key())),
        Row::Dead(event, at) => {
            let text = format!(r#"{{"at":{},"event":{}}}"#, at.0, event.to_text());
            put(DEAD, format!("{id}/{}", event.slot.key()), text)
        }
        Row::Revived(slot) => Kept::forget(DEAD, format!("{id}/{}", slot.key())),
        Row::Logged(number, logged) => {
            let key = format!("{id}/{:04}", number % LOG_MAX);
            put(LOG, key, logged_text(*number, logged))
        }
    }
}

fn logged_text(number: u64, logged: &Logged) -> String {
    let mut w = JsonWriter::with_capacity(200);
    w.begin_object();
    w.field_u64("number", number);
    w.field_str("id", &logged.id.to_string());
    if let Some(context) = &logged.context {
        w.field_str("context", context.as_str());
    }
    w.field_u64("attempt", logged.attempt.into());
    w.field_i64("at", logged.at.0);
    match &logged.end {
        End::Delivered(status) => w.field_u64("status", (*status).into()),
        End::Failed(failure) => {
            if let Some(status) = failure.status {
                w.field_u64("status", status.into());
            }
            w.field_str("error", &failure.why);
        }
        End::Skipped(why) => w.field_str("skipped", why),
        End::Interrupted => w.field_str("error", "interrupted"),
    }
    w.end_object();
    w.into_string()
}

fn read_logged(json: &Json) -> Result<(u64, Logged), FieldError> {
    let mut f = Fields::new(json, &Pointer::root())?;
    let number = f.required_u64("number")?;
    let status = f
        .u64("status")?
        .and_then(|status| u16::try_from(status).ok());
    let (error, skipped) = (f.string("error")?, f.string("skipped")?);
    let end = match (status, error, skipped) {
        (_, _, Some(why)) => End::Skipped(Untold::of_words(why).words()),
        (Some(status), None, None) => End::Delivered(status),
        (status, why, None) => End::Failed(Failure {
            status,
            why: why.unwrap_or_default().to_owned(),
            retry_after: None,
        }),
    };
    let logged = Logged {
        id: f.required_parse("id", ChangeId::parse)?,
        context: f.parse("context", Address::parse)?,
        attempt: f.required_u64("attempt")?.try_into().unwrap_or(u32::MAX),
        at: f
            .optional("at")
            .and_then(Json::as_i64)
            .map(Timestamp)
            .unwrap_or_default(),
        end,
    };
    Ok((number, logged))
}

/// Returns how a webhook stands, if it ever stood.
pub async fn state(workspace: &Workspace, id: &str) -> Result<Option<State>, Problem> {
    let found = one(workspace, STATES, id).await?;
    found.map(|bytes| read(&bytes, State::read)).transpose()
}

/// Returns a webhook's secrets; a log that came from elsewhere has none.
pub async fn secrets(workspace: &Workspace, id: &str) -> Result<Option<Secrets>, Problem> {
    let found = one(workspace, SECRETS, id).await?;
    found.map(|bytes| read(&bytes, Secrets::read)).transpose()
}

/// Keeps a webhook's secrets.
pub async fn keep_secrets(
    workspace: &Workspace,
    id: &str,
    secrets: &Secrets,
) -> Result<(), Problem> {
    let text = secrets.to_text().into_bytes();
    workspace.keep(vec![Kept::put(SECRETS, id, text)]).await
}

/// Returns the ids of all webhooks that have secrets, with when these were made.
pub async fn all_secrets(workspace: &Workspace) -> Result<Vec<(String, Timestamp)>, Problem> {
    let values = all(workspace, SECRETS, "", usize::MAX).await?;
    let made = |(id, bytes): KeptValue| {
        let secrets = read(&bytes, Secrets::read)?;
        Ok((id, secrets.made_at))
    };
    values.into_iter().map(made).collect()
}

/// Returns the events of a webhook that are not settled.
pub async fn events(workspace: &Workspace, id: &str) -> Result<Vec<Event>, Problem> {
    let values = all(workspace, EVENTS, &format!("{id}/"), usize::MAX).await?;
    let event = |(_, bytes): KeptValue| read(&bytes, Event::read);
    values.into_iter().map(event).collect()
}

/// Returns what is kept of one event: that it is not settled, or was given up.
pub async fn of_slot(
    workspace: &Workspace,
    id: &str,
    slot: Slot,
) -> Result<(Option<Event>, Option<DeadLetter>), Problem> {
    let key = format!("{id}/{}", slot.key());
    let event = one(workspace, EVENTS, &key).await?;
    let dead = one(workspace, DEAD, &key).await?;
    Ok((
        event.map(|bytes| read(&bytes, Event::read)).transpose()?,
        dead.map(|bytes| read(&bytes, read_dead)).transpose()?,
    ))
}

/// Returns a page of dead letters, the oldest changes first, and the key to go on after.
pub async fn dead(
    workspace: &Workspace,
    id: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<DeadLetter>, Option<String>), Problem> {
    let query = KeptQuery {
        space: DEAD.to_owned(),
        prefix: format!("{id}/"),
        after: after.map(|key| format!("{id}/{key}")),
        limit,
    };
    let values = workspace.kept(&query).await?;
    let last = values.last().map(|(key, _)| key.clone());
    let next = last.and_then(|key| key.rsplit_once('/').map(|(_, key)| key.to_owned()));
    let letters = values
        .into_iter()
        .map(|(_, bytes)| read(&bytes, read_dead))
        .collect::<Result<Vec<_>, _>>()?;
    let is_more = letters.len() == limit;
    Ok((letters, next.filter(|_| is_more)))
}

/// Returns which events of a webhook were given up and are kept.
pub async fn letters(workspace: &Workspace, id: &str) -> Result<BTreeSet<Slot>, Problem> {
    let values = all(workspace, DEAD, &format!("{id}/"), usize::MAX).await?;
    let slot = |(_, bytes): KeptValue| Ok(read(&bytes, read_dead)?.event.slot);
    values.into_iter().map(slot).collect()
}

/// Says whether an event that is not settled stands before a slot, in order with it.
pub async fn is_behind(workspace: &Workspace, id: &str, event: &Event) -> Result<bool, Problem> {
    let all = events(workspace, id).await?;
    let before = |other: &Event| other.slot < event.slot && other.context == event.context;
    Ok(all.iter().any(before))
}

fn read_dead(json: &Json) -> Result<DeadLetter, FieldError> {
    let mut f = Fields::new(json, &Pointer::root())?;
    let at = f.optional("at").and_then(Json::as_i64);
    Ok(DeadLetter {
        event: Event::read(f.required("event")?)?,
        at: Timestamp(at.unwrap_or_default()),
    })
}

/// Returns the attempts that are logged, the newest first.
pub async fn attempts(workspace: &Workspace, id: &str) -> Result<Vec<Logged>, Problem> {
    let values = all(workspace, LOG, &format!("{id}/"), usize::MAX).await?;
    let logged = |(_, bytes): KeptValue| read(&bytes, read_logged);
    let mut logged: Vec<_> = values.into_iter().map(logged).collect::<Result<_, _>>()?;
    logged.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(logged.into_iter().map(|(_, logged)| logged).collect())
}

/// Forgets the oldest dead letters beyond what is kept.
pub async fn trim_dead(workspace: &Workspace, id: &str) -> Result<(), Problem> {
    let values = all(workspace, DEAD, &format!("{id}/"), usize::MAX).await?;
    let beyond = values.len().saturating_sub(DEAD_MAX);
    let forget = values.into_iter().take(beyond);
    forget_all(workspace, forget.map(|(key, _)| (DEAD, key)).collect()).await
}

/// Forgets all of a webhook that is gone.
pub async fn forget(workspace: &Workspace, id: &str) -> Result<(), Problem> {
    let mut keys = vec![(SECRETS, id.to_owned()), (STATES, id.to_owned())];
    for space in [EVENTS, DEAD, LOG] {
        let values = all(workspace, space, &format!("{id}/"), usize::MAX).await?;
        keys.extend(values.into_iter().map(|(key, _)| (space, key)));
    }
    forget_all(workspace, keys).await
}

async fn forget_all(
    workspace: &Workspace,
    keys: Vec<(&'static str, String)>,
) -> Result<(), Problem> {
    for page in keys.chunks(PAGE) {
        let forget = page
            .iter()
            .map(|(space, key)| Kept::forget(space, key.clone()));
        workspace.keep(forget.collect()).await?;
    }
    Ok(())
}

async fn one(workspace: &Workspace, space: &str, key: &str) -> Result<Option<Arc<[u8]>>, Problem> {
    let found = all(workspace, space, key, 1).await?;
    let exact = found.into_iter().find(|(found, _)| found == key);
    Ok(exact.map(|(_, bytes)| bytes))
}

async fn all(
    workspace: &Workspace,
    space: &str,
    prefix: &str,
    limit: usize,
) -> Result<Vec<KeptValue>, Problem> {
    let mut query = KeptQuery {
        space: space.to_owned(),
        prefix: prefix.to_owned(),
        after: None,
        limit: limit.min(PAGE),
    };
    let mut values = Vec::new();
    loop {
        let page = workspace.kept(&query).await?;
        let Some((last, _)) = page.last() else {
            return Ok(values);
        };
        query.after = Some(last.clone());
        values.extend(page);
        if values.len() >= limit {
            return Ok(values);
        }
    }
}

fn read<T>(bytes: &[u8], read: impl Fn(&Json) -> Result<T, FieldError>) -> Result<T, Problem> {
    let limits = Limits {
        bytes_max: syncline_store::KEPT_VALUE_BYTES_MAX,
        depth_max: 16,
    };
    let rotten = |why: String| Problem::new(Code::Rot, format!("a webhook's row: {why}"));
    let json = Json::parse(bytes, &limits).map_err(|error| rotten(error.to_string()))?;
    read(&json).map_err(|error| rotten(error.to_string()))
}
