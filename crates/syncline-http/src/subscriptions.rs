//! Durable subscriptions: named, acknowledged, shared by competing consumers.

use http::StatusCode;
use syncline_api::{Code, From, Problem};
use syncline_delivery::Item;
use syncline_delivery::durable::{
    Asked, Consumer, Definition, Durable, Given, Inspection, Letter, Touches,
};
use syncline_engine::{SUBSCRIPTION_KIND, Workspace, aside, subscription_address};
use syncline_model::change::Outcome;
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::Version;
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_model::proposal::Operation;
use tokio::time::Instant;

use crate::answer;
use crate::ask::{Answer, Ask, JSON};
use crate::digests;
use crate::feeds::write_item;
use crate::lists::{page_of_kind, write_next};
use crate::query::bad;

/// Bounds a delivery's bytes; one larger change or bulk passes alone.
const BYTES_MAX: u64 = 4 << 20;
/// Bounds a consumer's name, in characters.
const CONSUMER_LENGTH_MAX: usize = 200;
/// Bounds the cursors of one ack.
const CURSORS_MAX: usize = 1_000;
/// Bounds a delay, in milliseconds: what should wait longer is better written down.
const DELAY_MS_MAX: u64 = 24 * 3_600_000;
/// Bounds a reason, in characters.
const REASON_LENGTH_MAX: usize = 500;

impl Ask {
    /// Finds the durable subscription that the path names.
    async fn durable(&self) -> Result<Durable, Problem> {
        let (workspace, principal) = (self.workspace()?, self.principal()?);
        let name = self.path.first().map_or("", String::as_str);
        self.node.durables.find(&workspace, &principal, name).await
    }

    /// Returns the consumer: as named, else by session or agent; else the one without a name.
    fn consumer(&self, named: Option<&str>) -> Result<Consumer, Problem> {
        let actor = self.actor()?;
        let by_header = actor.session.or(actor.agent);
        let name = match (named, &by_header) {
            (Some(name), _) => name,
            (None, Some(name)) => name.as_str(),
            (None, None) => "",
        };
        if name.chars().count() > CONSUMER_LENGTH_MAX || name.chars().any(char::is_control) {
            let detail = format!(
                "a consumer's name has at most {CONSUMER_LENGTH_MAX} characters, and no control \
                 characters"
            );
            return Err(Problem::new(Code::Invalid, detail));
        }
        Ok(name.into())
    }

    /// Opens a cursor of this life of the log.
    fn place(&self, cursor: &str) -> Result<Position, Problem> {
        place_of(&self.workspace()?, cursor)
    }

    /// Opens a cursor that stands in a body.
    fn place_at(&self, cursor: &str, at: Pointer) -> Result<Position, Problem> {
        self.place(cursor).map_err(|problem| problem.at(at))
    }
}

/// Opens a cursor of this life of the log.
pub(crate) fn place_of(workspace: &Workspace, cursor: &str) -> Result<Position, Problem> {
    let place = workspace.position_of(cursor)?;
    match place.epoch == workspace.epoch() {
        true => Ok(place),
        false => Err(Problem::reset(syncline_api::ResetReason::Epoch)),
    }
}

/// Checks how long something is given back for, and why.
pub(crate) fn checked_nack(
    delay_ms: Option<u64>,
    reason: Option<&str>,
) -> Result<(i64, String), Problem> {
    let delay = delay_ms.unwrap_or(0);
    if delay > DELAY_MS_MAX {
        let detail = format!("delay_ms: at most {DELAY_MS_MAX} are meant");
        return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/delay_ms")));
    }
    let reason = reason.unwrap_or("it was given back");
    if reason.chars().count() > REASON_LENGTH_MAX {
        let detail = format!("reason: at most {REASON_LENGTH_MAX} characters are meant");
        return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/reason")));
    }
    Ok((i64::try_from(delay).unwrap_or(i64::MAX), reason.to_owned()))
}

/// `POST /v1/subscriptions`
pub(crate) async fn create(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let name = fields.required_string("name")?.to_owned();
    let address =
        subscription_address(&name).map_err(|problem| problem.at(Pointer::from_static("/name")))?;
    let definition = Definition::read(&mut fields)?;
    fields.finish()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    if let From::Cursor(cursor) = &definition.from {
        let at = Pointer::from_static("/from/cursor");
        let place = workspace.resume(cursor).await;
        place.map_err(|problem| problem.at(at))?;
    }
    if let From::Time(time) = definition.from
        && let Err(problem) = workspace.place_at(time).await
        && problem.code != Code::Reset
    {
        return Err(problem.at(Pointer::from_static("/from/time")));
    }
    let proposal = ask.proposal_for(address, Operation::Replace, Json::Null)?;
    let max = ask.node.doors.limits.durables_max;
    let durables = &ask.node.durables;
    let receipt = durables
        .define(&workspace, &principal, (&name, &definition), proposal, max)
        .await?;
    let made = receipt.outcome == Outcome::Applied && receipt.version == Some(Version(1));
    let durable = ask
        .node
        .durables
        .find(&workspace, &principal, &name)
        .await?;
    let text = described(&ask, &durable).await?;
    let mut response = answer::json(StatusCode::OK, text);
    if made {
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(place) = format!("/v1/subscriptions/{name}").parse() {
            response.headers_mut().insert(http::header::LOCATION, place);
        }
    }
    Ok(response)
}

/// `GET /v1/subscriptions`
pub(crate) async fn list(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let page = page_of_kind(&ask, SUBSCRIPTION_KIND).await?;
    let mut texts = Vec::with_capacity(page.heads.len());
    for head in &page.heads {
        let name = head.address.id();
        let durable = ask.node.durables.find(&workspace, &principal, name).await?;
        texts.push(described(&ask, &durable).await?);
    }
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("subscriptions");
        w.begin_array();
        texts.iter().for_each(|text| w.raw(text));
        w.end_array();
        write_next(w, SUBSCRIPTION_KIND, &page);
        w.end_object();
    }))
}

/// `GET /v1/subscriptions/{name}`
pub(crate) async fn get(ask: Ask) -> Answer {
    ask.wait_for_min_cursor(&ask.workspace()?).await?;
    let durable = ask.durable().await?;
    let text = described(&ask, &durable).await?;
    Ok(answer::json(StatusCode::OK, text))
}

/// Returns a subscription with its definition and how it is, as JSON.
async fn described(ask: &Ask, durable: &Durable) -> Result<String, Problem> {
    let definition = durable.definition()?;
    let inspection = durable.inspect().await?;
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    write_head(&mut w, durable.head());
    definition.write(&mut w);
    write_inspection(&mut w, ask, &inspection)?;
    w.end_object();
    Ok(w.into_string())
}

fn write_head(w: &mut JsonWriter, head: &Head) {
    w.field_str("name", head.address.id());
    w.field_u64("version", head.version.0);
    w.field_str("etag", &head.etag().to_string());
}

fn write_inspection(w: &mut JsonWriter, ask: &Ask, found: &Inspection) -> Result<(), Problem> {
    let workspace = ask.workspace()?;
    w.field_str("acknowledged", &workspace.seal_fresh(&found.acknowledged));
    // How many records there are tells how many are hidden.
    if ask.principal()?.reads_all() {
        w.field_u64("behind", found.behind);
    }
    if let Some(ms) = found.behind_ms {
        w.key("behind_s");
        w.u64(u64::try_from(ms.max(0) / 1_000).unwrap_or(0));
    }
    w.field_u64("in_flight", found.in_flight as u64);
    w.field_u64("waiting", found.waiting as u64);
    w.field_u64("deferred", found.deferred as u64);
    w.field_u64("delivered", found.delivered);
    w.field_u64("redelivered", found.redelivered);
    w.field_u64("acked", found.acked);
    w.field_u64("dead", found.dead as u64);
    if found.dead_forgotten > 0 {
        w.field_u64("dead_forgotten", found.dead_forgotten);
    }
    w.key("consumers");
    w.begin_array();
    for (consumer, in_flight) in &found.consumers {
        w.begin_object();
        w.field_str("consumer", consumer);
        w.field_u64("in_flight", *in_flight as u64);
        w.end_object();
    }
    w.end_array();
    Ok(())
}

/// `DELETE /v1/subscriptions/{name}`
pub(crate) async fn remove(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let name = ask.path.first().map_or("", String::as_str);
    let address = subscription_address(name)?;
    let proposal = ask.proposal_for(address, Operation::Delete, Json::Null)?;
    let durable = ask.durable().await;
    // A call that is sent again hears the first answer, though nothing is there any more.
    let receipt = workspace
        .remove_subscription(&principal, name, proposal)
        .await?;
    if let Ok(durable) = durable {
        ask.node.durables.remove(durable).await?;
    }
    let view = crate::contexts::view(&workspace, &principal, &receipt).await;
    Ok(answer::receipt_at(&view, None))
}

/// `GET /v1/subscriptions/{name}/next`
pub(crate) async fn next(ask: Ask) -> Answer {
    let wait_max = ask.node.doors.limits.wait_max;
    let asked = asked(&ask)?;
    let wait = ask.query.wait("wait_ms", wait_max)?;
    let batch = ask.query.wait("batch_ms", wait_max)?;
    // All of the query is read before anything is taken: a refused call delivers nothing.
    let budget = match digests::is_asked(&ask)? {
        true => Some(digests::budget(&ask)?),
        false => None,
    };
    ask.wait_for_min_cursor(&ask.workspace()?).await?;
    let durable = ask.durable().await?;
    let mut given = wait_for(&ask, &durable, &asked, Instant::now() + wait).await?;
    if !given.is_empty() && !batch.is_zero() {
        fill(&ask, &durable, &asked, &mut given, Instant::now() + batch).await;
    }
    if let Some(budget) = budget {
        return digests::of_taken(&ask, &durable, &asked.consumer, given, budget).await;
    }
    let all = given.len();
    durable.hand_over(&asked.consumer, &mut given, all).await?;
    let shape = durable.shape();
    let bytes = given
        .iter()
        .flat_map(|given| &given.items)
        .map(Item::weight)
        .sum();
    Ok(aside(bytes, || {
        answer::written(|w| {
            w.begin_object();
            w.key("changes");
            w.begin_array();
            let items = given.iter().flat_map(|given| told(&given.items));
            items.for_each(|item| write_item(w, item, &shape));
            w.end_array();
            w.key("deliveries");
            w.begin_array();
            given.iter().for_each(|given| write_given(w, given));
            w.end_array();
            if let Some(last) = given.last() {
                w.field_str("cursor", &last.cursor);
            }
            w.end_object();
        })
    }))
}

fn asked(ask: &Ask) -> Result<Asked, Problem> {
    let limits = &ask.node.doors.limits;
    let bytes = ask.query.number("max_bytes")?.unwrap_or(BYTES_MAX);
    if !(1..=BYTES_MAX).contains(&bytes) {
        let why = format!("the query's max_bytes: 1 to {BYTES_MAX} bytes are meant");
        return Err(bad(why).at(Pointer::from_static("/max_bytes")));
    }
    Ok(Asked {
        consumer: ask.consumer(ask.query.text("consumer"))?,
        changes_max: ask.query.limit(limits.page_default, limits.page_max)?,
        bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
    })
}

async fn wait_for(
    ask: &Ask,
    durable: &Durable,
    asked: &Asked,
    deadline: Instant,
) -> Result<Vec<Given>, Problem> {
    tokio::select! {
        taken = durable.take(asked, deadline) => taken,
        () = ask.node.stopped() => Err(Problem::new(Code::Unavailable, "the node is stopping")),
    }
}

/// Waits for more to come with what is there, until the batch is full or its time is up.
async fn fill(ask: &Ask, durable: &Durable, asked: &Asked, given: &mut Vec<Given>, until: Instant) {
    loop {
        let changes: usize = given.iter().map(|given| count(&given.items)).sum();
        let items = given.iter().flat_map(|given| &given.items);
        let bytes: usize = items.map(Item::weight).sum();
        if changes >= asked.changes_max || bytes >= asked.bytes_max {
            return;
        }
        let rest = Asked {
            consumer: asked.consumer.clone(),
            changes_max: asked.changes_max - changes,
            bytes_max: asked.bytes_max - bytes,
        };
        // What was delivered already is answered, whatever becomes of the rest.
        match wait_for(ask, durable, &rest, until).await {
            Ok(more) if !more.is_empty() => given.extend(more),
            _ => return,
        }
    }
}

/// Leaves out what brackets a bulk: it is delivered as one.
fn told(items: &[Item]) -> impl Iterator<Item = &Item> {
    let told = |item: &&Item| !matches!(item, Item::Begin { .. } | Item::End { .. });
    items.iter().filter(told)
}

fn count(items: &[Item]) -> usize {
    told(items).count()
}

/// Writes what is acknowledged as one, and how many of the answer's `changes` it is.
pub(crate) fn write_given(w: &mut JsonWriter, given: &Given) {
    w.begin_object();
    w.field_str("cursor", &given.cursor);
    w.field_u64("delivery", given.delivery.into());
    w.field_u64("changes", count(&given.items) as u64);
    w.end_object();
}

/// `POST /v1/subscriptions/{name}/ack`
pub(crate) async fn ack(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let consumer = ask.consumer(fields.string("consumer")?)?;
    let cursor = optional_place(&ask, &mut fields)?;
    let at = fields.at("cursors");
    let each = fields.array("cursors")?.unwrap_or_default();
    if each.len() > CURSORS_MAX {
        let why = format!("at most {CURSORS_MAX} cursors are acknowledged at once");
        return Err(FieldError::invalid(at, why).into());
    }
    let each = each.iter().zip(0..).map(|(cursor, index)| {
        let (text, at) = (cursor.as_str(), at.index(index));
        let text = text.ok_or_else(|| FieldError::wrong_type(at.clone(), "string", cursor))?;
        ask.place_at(text, at)
    });
    let each: Vec<Position> = each.collect::<Result<_, Problem>>()?;
    fields.finish()?;
    if cursor.is_none() && each.is_empty() {
        let detail = "an ack names a cursor, or cursors";
        return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/cursor")));
    }
    let durable = ask.durable().await?;
    let acked = durable.ack(&consumer, cursor, &each).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_u64("acked", acked as u64);
        w.end_object();
    }))
}

/// `POST /v1/subscriptions/{name}/nack`
pub(crate) async fn nack(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let at = fields.at("cursor");
    let place = ask.place_at(fields.required_string("cursor")?, at)?;
    let (delay, reason) = checked_nack(fields.u64("delay_ms")?, fields.string("reason")?)?;
    fields.finish()?;
    let durable = ask.durable().await?;
    match durable.nack(place, delay, &reason).await? {
        true => Ok(answer::written(|w| {
            w.begin_object();
            w.field_u64("nacked", 1);
            w.end_object();
        })),
        false => Err(not_in_flight()),
    }
}

/// `POST /v1/subscriptions/{name}/extend`
pub(crate) async fn extend(mut ask: Ask) -> Answer {
    let body = ask.json_if_any().await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let consumer = ask.consumer(fields.string("consumer")?)?;
    let place = optional_place(&ask, &mut fields)?;
    fields.finish()?;
    let extended = ask.durable().await?.extend(&consumer, place).await?;
    if place.is_some() && extended == 0 {
        return Err(not_in_flight());
    }
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_u64("extended", extended as u64);
        w.end_object();
    }))
}

fn optional_place(ask: &Ask, fields: &mut Fields<'_>) -> Result<Option<Position>, Problem> {
    let at = fields.at("cursor");
    let cursor = fields.string("cursor")?;
    cursor.map(|cursor| ask.place_at(cursor, at)).transpose()
}

fn not_in_flight() -> Problem {
    let detail = "nobody has what this cursor stands for: it is done, or was late and comes again";
    Problem::new(Code::NotFound, detail).at(Pointer::from_static("/cursor"))
}

/// `GET /v1/subscriptions/{name}/dead`
pub(crate) async fn dead(ask: Ask) -> Answer {
    let limits = &ask.node.doors.limits;
    let limit = ask.query.limit(limits.page_default, limits.page_max)?;
    let after = ask
        .query
        .text("after")
        .map(|cursor| ask.place(cursor))
        .transpose()?;
    let durable = ask.durable().await?;
    let letters = durable.dead(after.map(|place| place.seq), limit).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("dead");
        w.begin_array();
        letters
            .iter()
            .for_each(|(cursor, letter)| write_letter(w, cursor, letter));
        w.end_array();
        if let Some((last, _)) = letters.last().filter(|_| letters.len() == limit) {
            w.field_str("next", last);
        }
        w.end_object();
    }))
}

/// Writes a dead letter.
pub(crate) fn write_letter(w: &mut JsonWriter, cursor: &str, letter: &Letter) {
    w.begin_object();
    w.field_str("cursor", cursor);
    if let Touches::Contexts(contexts) = &letter.unit.touches {
        w.key("contexts");
        w.begin_array();
        contexts
            .iter()
            .for_each(|context| w.string(context.as_str()));
        w.end_array();
    }
    w.field_u64("changes", letter.unit.changes as u64);
    w.field_u64("deliveries", letter.deliveries.into());
    w.field_str("reason", &letter.reason);
    w.field_str("at", &letter.at.to_string());
    w.end_object();
}

/// `POST /v1/subscriptions/{name}/dead/{cursor}/replay`
pub(crate) async fn replay(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let place = ask.place(ask.path.get(1).map_or("", String::as_str))?;
    ask.durable().await?.replay(place).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_u64("replayed", 1);
        w.end_object();
    }))
}

/// `POST /v1/subscriptions/{name}/seek`
pub(crate) async fn seek(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let from = place_to_seek(&body)?;
    let durable = ask.durable().await?;
    let sought = durable.seek(&from).await;
    sought.map_err(|problem| match &from {
        From::Cursor(_) if problem.code == Code::BadCursor => {
            problem.at(Pointer::from_static("/cursor"))
        }
        _ => problem,
    })?;
    let text = described(&ask, &durable).await?;
    Ok(answer::json(StatusCode::OK, text))
}

/// Reads `{"cursor":…}`, `{"time":…}`, `{"start":true}` or `{"now":true}`.
fn place_to_seek(body: &Json) -> Result<From, Problem> {
    let mut fields = Fields::new(body, &Pointer::root())?;
    let start = fields.bool("start")?.unwrap_or(false);
    let now = fields.bool("now")?.unwrap_or(false);
    let named = fields
        .optional("cursor")
        .or(fields.optional("time"))
        .is_some();
    fields.finish()?;
    match (start, now, named) {
        (true, false, false) => Ok(From::Start),
        (false, true, false) => Ok(From::Now),
        (false, false, true) => Ok(From::read(body, &Pointer::root())?),
        _ => Err(bad("one of cursor, time, start and now is meant")),
    }
}
