//! Dead letters: what was given up, with the reason. Only its place is kept; what it said is read
//! again from the log.

use std::collections::BTreeMap;

use syncline_api::Problem;
use syncline_engine::Workspace;
use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::{Address, Seq};
use syncline_model::json::{Json, JsonWriter, Limits};
use syncline_model::time::Timestamp;
use syncline_store::{Kept, KeptQuery};

use super::saved::{get_place, put_place};
use super::window::{Dead, Touches, Unit};

/// The space of dead letters; their keys are the subscription's name and the seq.
pub(super) const SPACE: &str = "durable_dead";
/// Bounds the dead letters of one subscription: then the oldest is forgotten, and counted.
pub(super) const DEAD_MAX: usize = 10_000;
/// Bounds the contexts that a letter names.
const NAMED_MAX: usize = 100;

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What was given up. Of many contexts only some are named.
    pub unit: Unit,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Why it was given up.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

pub(super) fn prefix(name: &str) -> String {
    format!("{name}/")
}

pub(super) fn key(name: &str, seq: Seq) -> String {
    format!("{name}/{:016x}", seq.0)
}

/// Returns the value that keeps a letter.
pub(super) fn kept(name: &str, dead: &Dead, at: Timestamp) -> Kept {
    let mut place = Vec::new();
    put_place(&mut place, &dead.unit.before);
    let mut w = JsonWriter::new();
    w.begin_object();
    w.field_str("before", &hex(&place));
    w.field_str("tag", &hex(&dead.unit.tag.0));
    w.field_u64("changes", dead.unit.changes as u64);
    if let Touches::Contexts(contexts) = &dead.unit.touches {
        w.key("contexts");
        w.begin_array();
        let named = contexts.iter().take(NAMED_MAX);
        named.for_each(|context| w.string(context.as_str()));
        w.end_array();
    }
    w.field_u64("deliveries", dead.deliveries.into());
    w.field_str("reason", &dead.reason);
    w.field_i64("at", at.0);
    w.end_object();
    Kept::put(
        SPACE,
        key(name, dead.unit.seq),
        w.into_string().into_bytes(),
    )
}

/// Reads a letter back; `None` where it is not what [`kept`] writes.
fn read(key: &str, value: &[u8]) -> Option<Letter> {
    let seq = u64::from_str_radix(key.rsplit_once('/')?.1, 16).ok()?;
    let json = Json::parse(value, &Limits::default()).ok()?;
    let place = unhex(json.get("before")?.as_str()?)?;
    let tag = unhex(json.get("tag")?.as_str()?)?;
    let touches = match json.get("contexts") {
        Some(contexts) => Touches::Contexts(
            contexts
                .as_array()?
                .iter()
                .map(|context| Address::parse(context.as_str()?).ok())
                .collect::<Option<_>>()?,
        ),
        None => Touches::All,
    };
    Some(Letter {
        unit: Unit {
            seq: Seq(seq),
            tag: Tag8(tag.try_into().ok()?),
            before: get_place(&mut place.as_slice())?,
            touches,
            changes: usize::try_from(json.get("changes")?.as_u64()?).ok()?,
        },
        deliveries: u32::try_from(json.get("deliveries")?.as_u64()?).ok()?,
        reason: json.get("reason")?.as_str()?.to_owned(),
        at: Timestamp(json.get("at")?.as_i64()?),
    })
}

/// Reads a page of a subscription's letters, oldest first.
pub(super) async fn page(
    workspace: &Workspace,
    name: &str,
    after: Option<Seq>,
    limit: usize,
) -> Result<Vec<Letter>, Problem> {
    let query = KeptQuery {
        space: SPACE.to_owned(),
        prefix: prefix(name),
        after: after.map(|seq| key(name, seq)),
        limit,
    };
    let found = workspace.kept(&query).await?;
    let letters = found.iter().filter_map(|(key, value)| read(key, value));
    Ok(letters.collect())
}

/// Reads the first letter at a record or behind it.
async fn first_from(
    workspace: &Workspace,
    name: &str,
    seq: Seq,
) -> Result<Option<Letter>, Problem> {
    let before = seq.0.checked_sub(1).map(Seq);
    let found = page(workspace, name, before, 1).await?;
    Ok(found.into_iter().next())
}

/// Says whether a letter of this record is kept.
pub(super) async fn is_kept(workspace: &Workspace, name: &str, seq: Seq) -> Result<bool, Problem> {
    let letter = first_from(workspace, name, seq).await?;
    Ok(letter.is_some_and(|letter| letter.unit.seq == seq))
}

/// Reads one letter.
pub(super) async fn one(
    workspace: &Workspace,
    name: &str,
    place: &Position,
) -> Result<Option<Letter>, Problem> {
    let letter = first_from(workspace, name, place.seq).await?;
    Ok(letter.filter(|letter| letter.unit.seq == place.seq && letter.unit.tag == place.tag))
}

/// Counts the letters of all subscriptions of a workspace, by name.
pub(super) async fn count_all(workspace: &Workspace) -> Result<BTreeMap<String, usize>, Problem> {
    let mut query = KeptQuery {
        space: SPACE.to_owned(),
        prefix: String::new(),
        after: None,
        limit: 1_000,
    };
    let mut counts = BTreeMap::new();
    loop {
        let page = workspace.kept(&query).await?;
        let Some((last, _)) = page.last() else {
            return Ok(counts);
        };
        query.after = Some(last.clone());
        for (key, _) in &page {
            if let Some((name, _)) = key.rsplit_once('/') {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
}

/// Reads the letter of the bulk that a record is of.
pub(super) async fn of_bulk(
    workspace: &Workspace,
    name: &str,
    seq: Seq,
) -> Result<Option<Letter>, Problem> {
    let letter = first_from(workspace, name, seq).await?;
    Ok(letter.filter(|letter| letter.unit.before.seq < seq))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}
