//! Lists of contexts, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use syncline_api::{ContextView, Problem};
use syncline_engine::{ListAnswer, aside};
use syncline_model::ids::{Address, Kind, PrincipalId};
use syncline_model::json::{Json, JsonWriter, Limits};
use syncline_model::time::Timestamp;
use syncline_store::{ContextList, ListQuery, PageKey, Sort, SortBy};

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::contexts::{Part, with_etag};
use crate::pages::{Listing, garbage};
use crate::query::Query;

/// Returns the page that is asked for of the contexts of a built-in kind, in the usual order.
pub(crate) async fn page_of_kind(ask: &Ask, kind: &str) -> Result<ListAnswer, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let limits = &ask.node.doors.limits;
    let query = ListQuery {
        contexts: ContextList {
            kind: Some(Kind::parse(kind).expect("it is a kind")),
            ..ContextList::default()
        },
        sort: Sort::default(),
        after: Listing::of(kind, []).place(&ask.query, read_key)?,
        limit: ask.query.limit(limits.page_default, limits.page_max)?,
        bodies: true,
    };
    ask.wait_for_min_cursor(&workspace).await?;
    workspace.list(&principal, query).await
}

/// Writes where a page of the contexts of a built-in kind goes on.
pub(crate) fn write_next(w: &mut JsonWriter, kind: &str, page: &ListAnswer) {
    if let Some(next) = &page.next {
        let place = place_text(next, None);
        w.field_str("next", &Listing::of(kind, []).page_after(&place));
    }
}

/// What chooses among contexts. How much of each is shown, and how many a page has, may change from
/// page to page.
const CHOOSING: [&str; 8] = [
    "kind",
    "parent",
    "within",
    "label",
    "state",
    "owner",
    "updated_since",
    "deleted",
];

fn listing(query: &Query, sort: Sort) -> Listing {
    let sort = sort_name(sort);
    let chosen = CHOOSING
        .iter()
        .flat_map(|name| query.all(name).map(move |value| (*name, value)));
    Listing::of("contexts", chosen.chain([("sort", sort.as_str())]))
}

/// `GET /v1/contexts`
pub(crate) async fn list(ask: Ask) -> Answer {
    ask.refuse_unbuilt()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let limits = &ask.node.doors.limits;
    let sort = ask.query.parse("sort", parse_sort)?.unwrap_or_default();
    let listing = listing(&ask.query, sort);
    let (after, begun) = listing.place(&ask.query, read_place)?.unzip();
    let query = ListQuery {
        contexts: contexts(&ask.query)?,
        sort,
        after,
        limit: ask.query.limit(limits.page_default, limits.page_max)?,
        bodies: true,
    };
    let part = Part::of(&ask.query)?;
    ask.wait_for_min_cursor(&workspace).await?;
    // Taken before the first page is read: whoever follows the log from there misses nothing.
    let cursor = match begun {
        // That it is of an earlier life of the log is for who follows it to hear.
        Some(cursor) => match workspace.position_of(&cursor) {
            Ok(_) => cursor,
            Err(_) => return Err(garbage()),
        },
        None => workspace.seal_fresh(&workspace.tail()),
    };
    let page = workspace.list_usual(&principal, query).await?;
    let part = part.map(|part| part.shared_by(page.heads.len()));
    let how = ask.parts.uri.query().unwrap_or_default();
    let write = |w: &mut JsonWriter| {
        w.begin_object();
        w.key("contexts");
        w.begin_array();
        for head in &page.heads {
            let view = ContextView::from_head(head, principal.reads_all());
            match part.as_ref().map(|part| part.of_view(&view)) {
                Some((json, true)) => w.raw(&with_etag(json, &view.etag.partial(how).to_string())),
                _ => view.write(w),
            }
        }
        w.end_array();
        if let Some(next) = &page.next {
            let place = place_text(next, Some(&cursor));
            w.field_str("next", &listing.page_after(&place));
        }
        w.field_str("cursor", &cursor);
        w.end_object();
    };
    let bytes = page.heads.iter().map(|head| head.document.weight()).sum();
    Ok(aside(bytes, || answer::written(write)))
}

fn contexts(query: &Query) -> Result<ContextList, Problem> {
    Ok(ContextList {
        kind: query.named("kind", Kind::parse)?,
        parent: query.named("parent", Address::parse)?,
        within: query.named("within", Address::parse)?,
        addresses: None,
        labels: query.all("label").map(label).collect(),
        state: query.text("state").map(str::to_owned),
        owner: query
            .named("owner", PrincipalId::parse)?
            .map(|owner| owner.to_string()),
        updated_since: query.parse("updated_since", |text| {
            Timestamp::parse(&text.replace(' ', "+"))
        })?,
        deleted: query.flag("deleted")?,
    })
}

/// Reads `key:value`, `key=value`, or a key alone: whatever it says.
fn label(text: &str) -> (String, Option<String>) {
    match text.split_once([':', '=']) {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn parse_sort(text: &str) -> Result<Sort, &'static str> {
    let (descending, by) = text
        .strip_prefix('-')
        .map_or((false, text), |by| (true, by));
    let by = match by {
        "address" => SortBy::Address,
        "updated" => SortBy::Updated,
        "created" => SortBy::Created,
        "title" => SortBy::Title,
        _ => {
            return Err(
                "address, updated, created or title is meant, with - for the largest first",
            );
        }
    };
    Ok(Sort { by, descending })
}

fn sort_name(sort: Sort) -> String {
    let by = match sort.by {
        SortBy::Address => "address",
        SortBy::Updated => "updated",
        SortBy::Created => "created",
        SortBy::Title => "title",
    };
    format!("{}{by}", if sort.descending { "-" } else { "" })
}

/// Writes where a page ended, and the log's place before the first.
fn place_text(key: &PageKey, cursor: Option<&str>) -> String {
    let mut w = JsonWriter::new();
    w.begin_object();
    w.field_str("v", &key.value);
    w.field_str("a", key.address.as_str());
    if let Some(cursor) = cursor {
        w.field_str("c", cursor);
    }
    w.end_object();
    URL_SAFE_NO_PAD.encode(w.into_string())
}

/// Reads where a page ended, with the log's place before the first.
pub(crate) fn read_place(text: &str) -> Option<(PageKey, String)> {
    let json = place_json(text)?;
    let cursor = json.get("c").and_then(Json::as_str)?;
    Some((key_of(&json)?, cursor.to_owned()))
}

/// Reads where a page ended.
fn read_key(text: &str) -> Option<PageKey> {
    key_of(&place_json(text)?)
}

fn place_json(text: &str) -> Option<Json> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Json::parse(&bytes, &Limits::default()).ok()
}

fn key_of(json: &Json) -> Option<PageKey> {
    let text = |name| json.get(name).and_then(Json::as_str);
    Some(PageKey {
        value: text("v")?.to_owned(),
        address: Address::parse(text("a")?).ok()?,
    })
}
