//! The log over HTTP: pull with long-poll, and server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode};
use syncline_api::{Code, ContextView, From, Mode, Problem, ResetReason, Scope};
use syncline_delivery::{Exclude, Feed, FeedRequest, Item, Opening};
use syncline_engine::{Principal, Workspace, aside};
use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::Seq;
use syncline_model::json::{Json, JsonWriter, Limits, Pointer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::doors::Node;
use crate::query::{Query, bad};

/// Bounds an answer's bytes; a single larger change passes alone.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Bounds how long a page is looked for in a log that hardly matches.
const PAGE_TIME_MAX: Duration = Duration::from_secs(1);
/// Bounds what a stream composes before it is sent.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// Bounds the items of a stream's chunk.
const CHUNK_ITEMS_MAX: usize = 64;
/// Bounds a scope in the query, in bytes.
const SCOPE_BYTES_MAX: usize = 32 << 10;

/// `GET /v1/changes`
pub(crate) async fn pull(ask: Ask) -> Answer {
    ask.refuse_unbuilt()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let limits = &ask.node.doors.limits;
    let limit = ask.query.limit(limits.page_default, limits.page_max)?;
    let wait = ask
        .query
        .number("wait_ms")?
        .map_or(Duration::ZERO, Duration::from_millis);
    let after = match ask.query.text("after") {
        Some(cursor) => cursor.to_owned(),
        None => workspace.seal(&beginning(&workspace)),
    };
    let request = request(&ask, From::Cursor(after))?;
    ask.wait_for_min_cursor(&workspace).await?;
    let deadline = Instant::now() + wait.min(limits.wait_max);
    let mut tail = workspace.tail_watch();
    let (mut feed, opening) = Feed::open(workspace, principal.clone(), request).await?;
    if !opening.recovered {
        return Err(Problem::reset(opening.reason.unwrap_or(ResetReason::Epoch)));
    }
    loop {
        tail.mark_unchanged();
        let items = page(&mut feed, limit).await?;
        if let [Item::Reset(reason), ..] = items.as_slice() {
            return Err(Problem::reset(*reason));
        }
        let done = !items.is_empty() || feed.behind() > 0;
        if done || !next_ring(&ask.node, &mut tail, deadline).await {
            return Ok(changes(&items, &feed.cursor(), &principal));
        }
    }
}

fn beginning(workspace: &Workspace) -> Position {
    Position {
        epoch: workspace.epoch(),
        seq: Seq::ZERO,
        tag: Tag8::default(),
    }
}

/// Collects a page, reading past records that do not match, but not for ever: an empty page has
/// a cursor too.
async fn page(feed: &mut Feed, limit: usize) -> Result<Vec<Item>, Problem> {
    let started = Instant::now();
    let (mut items, mut bytes) = (Vec::new(), 0);
    while items.len() < limit && bytes < PAGE_BYTES_MAX && !feed.is_over() {
        let more = feed
            .next_page(limit - items.len(), PAGE_BYTES_MAX - bytes)
            .await?;
        bytes += more.iter().map(Item::weight).sum::<usize>();
        let at_the_tail = more.is_empty() && feed.behind() == 0;
        items.extend(more);
        if at_the_tail || started.elapsed() > PAGE_TIME_MAX {
            break;
        }
    }
    Ok(items)
}

/// Waits for the bell; false when the time is up or the node stops.
async fn next_ring(node: &Node, tail: &mut watch::Receiver<Position>, deadline: Instant) -> bool {
    tokio::select! {
        rung = tail.changed() => rung.is_ok(),
        () = tokio::time::sleep_until(deadline) => false,
        () = node.stopped() => false,
    }
}

fn changes(items: &[Item], cursor: &str, principal: &Principal) -> http::Response<Body> {
    let write = |w: &mut JsonWriter| {
        w.begin_object();
        w.key("changes");
        w.begin_array();
        for item in items {
            write_item(w, item, principal);
        }
        w.end_array();
        w.field_str("cursor", cursor);
        w.end_object();
    };
    let bytes = items.iter().map(Item::weight).sum();
    aside(bytes, || answer::written(write))
}

/// Reads what pull and stream have in common.
fn request(ask: &Ask, from: From) -> Result<FeedRequest, Problem> {
    let actor = ask.actor()?;
    Ok(FeedRequest {
        scope: scope(&ask.query)?,
        mode: ask
            .query
            .parse("mode", str::parse::<Mode>)?
            .unwrap_or_default(),
        from,
        exclude_self: ask.query.flag("exclude_self")?.then_some(Exclude {
            id: actor.id,
            agent: actor.agent,
            session: actor.session,
        }),
        old: ask.query.flag("old")?,
    })
}

fn scope(query: &Query) -> Result<Scope, Problem> {
    let Some(text) = query.text("scope") else {
        return Ok(Scope::workspace());
    };
    let limits = Limits {
        bytes_max: SCOPE_BYTES_MAX,
        depth_max: 8,
    };
    let json = Json::parse(text.as_bytes(), &limits)
        .map_err(|error| bad(format!("the query's scope: {error}")))?;
    let at = Pointer::root().child("scope");
    Scope::read(&json, &at).map_err(|error| Problem {
        code: Code::BadRequest,
        ..error.into()
    })
}

/// `GET /v1/changes/stream`
pub(crate) async fn stream(ask: Ask) -> Answer {
    ask.refuse_unbuilt()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    // A browser that comes back names the last event; that is newer than what its URL says.
    let last = ask.header("last-event-id")?.filter(|id| !id.is_empty());
    let from = match last.or_else(|| ask.query.text("after")) {
        Some(cursor) => From::Cursor(cursor.to_owned()),
        None => From::Now,
    };
    let request = request(&ask, from)?;
    ask.wait_for_min_cursor(&workspace).await?;
    let tail = workspace.tail_watch();
    let (feed, opening) = Feed::open(workspace, principal.clone(), request).await?;
    let comment = ask.node.doors.limits.comment;
    let events = Events {
        node: ask.node,
        tail,
        feed,
        principal,
        comment,
        over: false,
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
    tail: watch::Receiver<Position>,
    feed: Feed,
    principal: Principal,
    comment: Duration,
    over: bool,
}

impl Events {
    /// Returns the next events' bytes, or `None` at the stream's end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            self.tail.mark_unchanged();
            let items = match self.feed.next_page(CHUNK_ITEMS_MAX, CHUNK_BYTES_MAX).await {
                Ok(items) => items,
                Err(problem) => {
                    tracing::warn!(%problem, "an event stream could not be read on");
                    return None;
                }
            };
            self.over = self.feed.is_over();
            let mut text = String::new();
            items.iter().for_each(|item| self.push(&mut text, item));
            if !text.is_empty() {
                return Some(text.into());
            }
            if !items.is_empty() || self.feed.behind() > 0 {
                continue;
            }
            tokio::select! {
                rung = self.tail.changed() => rung.ok()?,
                () = tokio::time::sleep(self.comment) => return Some(Bytes::from_static(b":\n\n")),
                () = self.node.stopped() => return None,
            }
        }
    }

    fn push(&self, text: &mut String, item: &Item) {
        let (event, id) = match item {
            Item::Snapshot { cursor, .. } => ("snapshot", cursor.as_deref()),
            Item::Change(change) if change.entry.change.bulk.is_some() => ("change", None),
            Item::Change(change) => ("change", Some(change.entry.cursor())),
            Item::Enter { cursor, .. } => ("enter", cursor.as_deref()),
            Item::Leave { cursor, .. } => ("leave", cursor.as_deref()),
            Item::Begin { .. } => ("begin", None),
            Item::End { cursor, .. } => ("end", Some(cursor.as_str())),
            Item::Reset(_) => ("reset", None),
            // A stream is always fed from the log at its reader's pace.
            Item::Lagging => return,
        };
        let mut w = JsonWriter::with_capacity(512);
        aside(item.weight(), || write_item(&mut w, item, &self.principal));
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
fn write_item(w: &mut JsonWriter, item: &Item, principal: &Principal) {
    let view = |head| ContextView::from_head(head, principal.reads_all());
    let kind = match item {
        Item::Change(change) => return w.raw(&change.body),
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
            contexts.iter().for_each(|head| view(head).write(w));
            w.end_array();
            w.field_bool("last", *last);
            write_cursor(w, cursor.as_deref());
        }
        Item::Enter { head, cursor, .. } => {
            w.key("context");
            view(head).write(w);
            write_cursor(w, cursor.as_deref());
        }
        Item::Leave {
            address, cursor, ..
        } => {
            w.field_str("context", address.as_str());
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

fn write_cursor(w: &mut JsonWriter, cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        w.field_str("cursor", cursor);
    }
}
