//! The log over HTTP: pull with long-poll, and server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode};
use syncline_api::{
    COALESCE_MS_MAX, Code, Condition, ErrorMessage, FIELDS_MAX, FILTER_DEPTH_MAX, Filters, From,
    Mode, Problem, ResetReason, Scope, write_error, write_line,
};
use syncline_delivery::{ChangeItem, Exclude, Feed, FeedRequest, Item, Opening, Shape};
use syncline_engine::{Principal, Workspace, aside};
use syncline_model::cursor::Position;
use syncline_model::json::{FieldError, Json, JsonWriter, Limits, Pointer};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::digests;
use crate::doors::Node;
use crate::live::Listed;
use crate::query::{Query, bad};
use crate::seats::Seat;

/// Bounds an answer's bytes; a single larger change passes alone.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Bounds how long a page is looked for in a log that hardly matches.
const PAGE_TIME_MAX: Duration = Duration::from_secs(1);
/// Bounds what a stream composes before it is sent.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// Bounds the items of a stream's chunk.
const CHUNK_ITEMS_MAX: usize = 64;
/// What the one subscription of a stream is called.
const STREAM_SUB: &str = "stream";
/// After how long a reader comes back to a stream that will hardly go on.
const BROKEN_RETRY_MS: u64 = 60_000;
/// Bounds a scope or a filter in the query, in bytes.
const JSON_BYTES_MAX: usize = 32 << 10;
/// Bounds how deep they nest: a filter's terms are objects in arrays in objects.
const JSON_DEPTH_MAX: usize = 2 * FILTER_DEPTH_MAX + 2;

/// `GET /v1/changes`
pub(crate) async fn pull(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let limits = &ask.node.doors.limits;
    let limit = ask.query.limit(limits.page_default, limits.page_max)?;
    let wait = ask.query.wait("wait_ms", limits.wait_max)?;
    let from = from(&ask.query, ask.query.text("after"))?.unwrap_or(From::Start);
    let request = request(&ask, from)?;
    if request.coalesce.is_some() {
        return Err(
            bad("the query's coalesce_ms: a page is not held back for later changes")
                .hint("follow the stream, or a WebSocket, to have changes made one"),
        );
    }
    let digest = digests::is_asked(&ask)?;
    ask.wait_for_min_cursor(&workspace).await?;
    let deadline = Instant::now() + wait;
    if digest {
        return digests::pull(&ask, request, deadline).await;
    }
    let mut bell = Bell::new(&workspace);
    let (mut feed, opening) = Feed::open(workspace, principal, request).await?;
    if !opening.recovered {
        return Err(Problem::reset(opening.reason.unwrap_or(ResetReason::Epoch)));
    }
    // A page that nobody waits for needs no place at the router.
    if !wait.is_zero() {
        bell.listen_for(&ask.node, &mut feed);
    }
    loop {
        bell.silence();
        let (items, cursor) = page(&mut feed, limit).await?;
        if let [Item::Reset(reason), ..] = items.as_slice() {
            return Err(Problem::reset(*reason));
        }
        let done = !items.is_empty() || feed.is_hungry();
        let wait = tokio::time::sleep_until(deadline);
        if done || !bell.rung(&ask.node, wait).await {
            ask.node.sent.page(&ask.workspace()?, &items);
            return Ok(changes(&items, &feed.shape(), &cursor));
        }
    }
}

/// Where a reader is rung: by the router where it watches for the feed, else by the tail.
struct Bell {
    tail: watch::Receiver<Position>,
    own: Arc<Notify>,
    routed: bool,
}

impl Bell {
    fn new(workspace: &Workspace) -> Bell {
        Bell {
            tail: workspace.tail_watch(),
            own: Arc::new(Notify::new()),
            routed: false,
        }
    }

    fn listen_for(&mut self, node: &Node, feed: &mut Feed) {
        self.routed = !feed.takes_everything();
        node.router.follow(feed, &self.own);
    }

    /// Forgets that it rang before.
    fn silence(&mut self) {
        self.tail.mark_unchanged();
    }

    /// Waits for a ring; false when the time is up or the node stops.
    async fn rung(&mut self, node: &Node, time: impl Future<Output = ()>) -> bool {
        let tail = &mut self.tail;
        tokio::select! {
            rung = tail.changed(), if !self.routed => rung.is_ok(),
            () = self.own.notified(), if self.routed => true,
            () = time => false,
            () = node.stopped() => false,
        }
    }
}

/// Collects a page, reading past records that do not match, but not for ever: an empty page has
/// a cursor too. It ends before what cannot be read: who reads on from its cursor hears of that.
async fn page(feed: &mut Feed, limit: usize) -> Result<(Vec<Item>, String), Problem> {
    let started = Instant::now();
    let (mut items, mut bytes) = (Vec::new(), 0);
    while items.len() < limit && bytes < PAGE_BYTES_MAX && !feed.is_over() {
        // What was judged for a page that fails is lost with it.
        let before = feed.cursor();
        let more = feed.next_page(limit - items.len(), PAGE_BYTES_MAX - bytes);
        let more = match more.await {
            Ok(more) => more,
            Err(_) if !items.is_empty() => return Ok((items, before)),
            Err(problem) => return Err(problem),
        };
        bytes += more.iter().map(Item::weight).sum::<usize>();
        let at_the_tail = more.is_empty() && !feed.is_hungry();
        items.extend(more);
        if at_the_tail || started.elapsed() > PAGE_TIME_MAX {
            break;
        }
    }
    Ok((items, feed.cursor()))
}

fn changes(items: &[Item], shape: &Shape, cursor: &str) -> http::Response<Body> {
    let write = |w: &mut JsonWriter| {
        w.begin_object();
        w.key("changes");
        w.begin_array();
        for item in items {
            write_item(w, item, shape);
        }
        w.end_array();
        w.field_str("cursor", cursor);
        w.end_object();
    };
    let bytes = items.iter().map(Item::weight).sum();
    aside(bytes, || answer::written(write))
}

/// Reads where a reader begins: behind a cursor, or at a time.
fn from(query: &Query, cursor: Option<&str>) -> Result<Option<From>, Problem> {
    // A plus that was not escaped came as a space.
    let since = query.parse("since", |text| From::since(&text.replace(' ', "+")))?;
    match (cursor, since) {
        (Some(_), Some(_)) => Err(bad(
            "the query has after and since, which exclude each other",
        )),
        (Some(cursor), None) => Ok(Some(From::Cursor(cursor.to_owned()))),
        (None, since) => Ok(since),
    }
}

/// Reads what pull and stream have in common.
fn request(ask: &Ask, from: From) -> Result<FeedRequest, Problem> {
    let actor = ask.actor()?;
    let query = &ask.query;
    let filter = in_query(query, "filter", Filters::read)?;
    let pointers = query.text("fields").unwrap_or_default().split(',');
    let fields: Vec<_> = pointers
        .filter(|text| !text.is_empty())
        .map(Pointer::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(format!("the query's fields: {error}")))?;
    if fields.len() > FIELDS_MAX {
        return Err(bad(format!("the query's fields: at most {FIELDS_MAX} fit")));
    }
    let coalesce = query.number("coalesce_ms")?.filter(|ms| *ms > 0);
    if coalesce.is_some_and(|ms| ms > COALESCE_MS_MAX) {
        return Err(bad(format!(
            "the query's coalesce_ms: at most {COALESCE_MS_MAX} fit"
        )));
    }
    Ok(FeedRequest {
        filter: filter.unwrap_or_default(),
        condition: query.field("where", Condition::parse)?,
        fields,
        mode: query.parse("mode", str::parse::<Mode>)?.unwrap_or_default(),
        exclude_self: query.flag("exclude_self")?.then_some(Exclude {
            id: actor.id,
            agent: actor.agent,
            session: actor.session,
        }),
        old: query.flag("old")?,
        coalesce: coalesce.map(Duration::from_millis),
        ..FeedRequest::new(scope(query)?, from)
    })
}

fn scope(query: &Query) -> Result<Scope, Problem> {
    let scope = in_query(query, "scope", Scope::read)?;
    Ok(scope.unwrap_or_else(Scope::workspace))
}

/// Reads JSON that stands in the query: what is none is 400, what is wrong in it 422, as in a body,
/// both with the place.
fn in_query<T>(
    query: &Query,
    name: &'static str,
    read: impl FnOnce(&Json, &Pointer) -> Result<T, FieldError>,
) -> Result<Option<T>, Problem> {
    let Some(text) = query.text(name) else {
        return Ok(None);
    };
    let limits = Limits {
        bytes_max: JSON_BYTES_MAX,
        depth_max: JSON_DEPTH_MAX,
    };
    let at = Pointer::root().child(name);
    let json = Json::parse(text.as_bytes(), &limits).map_err(|error| {
        let inside = error.pointer.tokens().iter();
        let place = inside.fold(at.clone(), |place, token| place.child(token));
        let detail = format!("the query's {name}: {error}");
        Problem::new(Code::BadRequest, detail).at(place)
    })?;
    Ok(Some(read(&json, &at)?))
}

/// `GET /v1/changes/stream`
pub(crate) async fn stream(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    // A browser that comes back names the last event; that is newer than what its URL says.
    let last = ask.header("last-event-id")?.filter(|id| !id.is_empty());
    let (after, since) = (ask.query.text("after"), ask.query.text("since"));
    let from = match (last, after, since) {
        (Some(cursor), ..) => From::Cursor(cursor.to_owned()),
        (None, None, Some("snapshot")) => From::Snapshot,
        (None, after, _) => from(&ask.query, after)?.unwrap_or(From::Now),
    };
    let request = request(&ask, from)?;
    let again = FeedRequest {
        from: From::Snapshot,
        ..request.clone()
    };
    ask.wait_for_min_cursor(&workspace).await?;
    let seat = ask.node.seats.take(&principal.id)?;
    let mut bell = Bell::new(&workspace);
    let opened = Feed::open(workspace.clone(), principal.clone(), request).await?;
    let (mut feed, opening) = opened;
    bell.listen_for(&ask.node, &mut feed);
    let again = (principal.clone(), again);
    let connection = ask.node.doors.engine.fresh_id().to_string();
    let key = (connection.as_str(), STREAM_SUB);
    let listed = ask.node.live.list(key, &workspace, &principal, &feed);
    let comment = ask.node.doors.limits.comment;
    let events = Events {
        node: ask.node,
        bell,
        shape: feed.shape(),
        feed,
        again,
        comment,
        workspace,
        listed,
        broken: false,
        _seat: seat,
    };
    let first = Bytes::from(opening_text(&opening));
    let events = stream::unfold((Some(first), events), |(first, mut events)| async move {
        let chunk = match first {
            Some(first) => first,
            None => events.next().await?,
        };
        Some((Ok::<_, Infallible>(chunk), (None, events)))
    });
    let kind = HeaderValue::from_static("text/event-stream");
    let mut response = answer::typed(StatusCode::OK, kind, Body::from_stream(events));
    // Proxies that buffer would hold events back.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    // Whoever asks why it heard of a change names its connection.
    if let Ok(connection) = HeaderValue::from_str(&connection) {
        response
            .headers_mut()
            .insert("syncline-connection", connection);
    }
    Ok(response)
}

/// A stream begins at once with a comment, so that its reader knows that it stands; where the
/// place is no more, it says so, and a snapshot follows.
fn opening_text(opening: &Opening) -> String {
    let mut text = String::from(": syncline\n\n");
    if let Some(reason) = opening.reason {
        let data = format!(r#"{{"type":"reset","reason":"{}"}}"#, reason.as_str());
        push_event(&mut text, "reset", None, &data);
    }
    text
}

struct Events {
    node: Node,
    bell: Bell,
    feed: Feed,
    shape: Shape,
    /// Who asked, and for what, from a snapshot on.
    again: (Principal, FeedRequest),
    comment: Duration,
    workspace: Workspace,
    listed: Listed,
    /// It could not be read on, and its reader was told so.
    broken: bool,
    _seat: Seat,
}

impl Events {
    /// Returns the next events' bytes, or `None` at the stream's end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.broken {
                return None;
            }
            if self.feed.is_over()
                && let Err(problem) = self.begin_again().await
            {
                return Some(self.break_off(&problem));
            }
            self.bell.silence();
            let items = match self.feed.next_part(CHUNK_ITEMS_MAX, CHUNK_BYTES_MAX).await {
                Ok(items) => items,
                Err(problem) => return Some(self.break_off(&problem)),
            };
            self.node.sent.page(&self.workspace, &items);
            self.listed.note(&self.feed, &items);
            let mut text = String::new();
            items.iter().for_each(|item| self.push(&mut text, item));
            if !text.is_empty() {
                return Some(text.into());
            }
            if !items.is_empty() || self.feed.is_hungry() {
                continue;
            }
            let silence = Instant::now() + self.comment;
            let until = self.feed.due().map_or(silence, |due| due.min(silence));
            if self
                .bell
                .rung(&self.node, tokio::time::sleep_until(until))
                .await
            {
                continue;
            }
            if *self.node.stopping.borrow() {
                return None;
            }
            if until == silence {
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }

    /// Tells why the stream ends. Its reader comes back by itself, and names the event before: soon
    /// where that may help, else after a while.
    fn break_off(&mut self, problem: &Problem) -> Bytes {
        tracing::warn!(%problem, "an event stream could not be read on");
        self.node.sent.failed();
        self.broken = true;
        let error = ErrorMessage::ended(None, problem);
        let retry_ms = error.after_ms.unwrap_or(BROKEN_RETRY_MS);
        let mut w = JsonWriter::with_capacity(256);
        write_error(&mut w, &error);
        let mut text = format!("retry: {retry_ms}\n");
        push_event(&mut text, "error", None, &w.into_string());
        text.into()
    }

    /// Goes on with a snapshot after a `reset`. A browser that was left to come back by itself would
    /// name the event before, and meet the same `reset` for ever.
    async fn begin_again(&mut self) -> Result<(), Problem> {
        let (principal, request) = self.again.clone();
        let (mut feed, _) = Feed::open(self.workspace.clone(), principal, request).await?;
        self.bell = Bell::new(&self.workspace);
        self.bell.listen_for(&self.node, &mut feed);
        self.listed.begin_again(&feed);
        self.feed = feed;
        Ok(())
    }

    fn push(&self, text: &mut String, item: &Item) {
        let (event, id) = match item {
            Item::Snapshot { cursor, .. } => ("snapshot", cursor.as_deref()),
            Item::Change(change) => ("change", change.cursor()),
            Item::Enter { cursor, .. } => ("enter", cursor.as_deref()),
            Item::Leave { cursor, .. } => ("leave", cursor.as_deref()),
            Item::Begin { .. } => ("begin", None),
            Item::End { cursor, .. } => ("end", Some(cursor.as_str())),
            Item::Reset(_) => ("reset", None),
            // A stream is always fed from the log at its reader's pace.
            Item::Lagging => return,
        };
        let mut w = JsonWriter::with_capacity(512);
        aside(item.weight(), || write_item(&mut w, item, &self.shape));
        push_event(text, event, id, &w.into_string());
    }
}

/// Appends an event. JSON text has no raw line breaks, so its data is one line.
fn push_event(text: &mut String, event: &str, id: Option<&str>, data: &str) {
    text.push_str("event: ");
    text.push_str(event);
    if let Some(id) = id {
        text.push_str("\nid: ");
        text.push_str(id);
    }
    text.push_str("\ndata: ");
    text.push_str(data);
    text.push_str("\n\n");
}

/// Writes an item: a change as it is, anything else with its type.
pub(crate) fn write_item(w: &mut JsonWriter, item: &Item, shape: &Shape) {
    let kind = match item {
        Item::Change(change) => return write_change_item(w, change),
        Item::Snapshot { .. } => "snapshot",
        Item::Enter { .. } => "enter",
        Item::Leave { .. } => "leave",
        Item::Begin { .. } => "begin",
        Item::End { .. } => "end",
        Item::Lagging => "lagging",
        Item::Reset(_) => "reset",
    };
    w.begin_object();
    w.field_str("type", kind);
    match item {
        Item::Change(_) | Item::Lagging => {}
        Item::Snapshot {
            contexts,
            last,
            cursor,
        } => {
            w.key("contexts");
            w.begin_array();
            contexts
                .iter()
                .for_each(|head| shape.write_context(w, head));
            w.end_array();
            w.field_bool("last", *last);
            write_cursor(w, cursor.as_deref());
        }
        Item::Enter { head, cursor, .. } => {
            w.key("context");
            shape.write_context(w, head);
            write_cursor(w, cursor.as_deref());
        }
        Item::Leave { entry, cursor } => {
            write_line(w, &entry.change.line());
            write_cursor(w, cursor.as_deref());
        }
        Item::Begin { bulk } => w.field_str("bulk", &bulk.to_string()),
        Item::End { bulk, cursor } => {
            w.field_str("bulk", &bulk.to_string());
            write_cursor(w, Some(cursor));
        }
        Item::Reset(reason) => w.field_str("reason", reason.as_str()),
    }
    w.end_object();
}

/// Writes a change; where its own cursor is not the one to keep, `resume` is, and comes first.
fn write_change_item(w: &mut JsonWriter, change: &ChangeItem) {
    let members = change.body().strip_prefix('{');
    match (&change.resume, members) {
        (Some(resume), Some(members)) if change.cursor().is_some() => {
            let resume = Json::from(resume.as_str()).to_text();
            w.raw(&format!("{{\"resume\":{resume},{members}"));
        }
        _ => w.raw(change.body()),
    }
}

fn write_cursor(w: &mut JsonWriter, cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        w.field_str("cursor", cursor);
    }
}
