//! Which conflict is meant: ids are long, and people see and type the ends of them.

use syncline_client::{Client, ConflictsQuery};
use syncline_model::conflict::{ConflictId, ConflictState};
use syncline_model::ids::{Address, ChangeId};
use syncline_model::json::Json;

use crate::failure::{Failure, Result};
use crate::show;

/// Bounds the queue that is searched for an id of which only the ends are known.
const SEARCHED_MAX: usize = 10_000;
const PAGE: usize = 1_000;
/// How many candidates are named where the ends fit several.
const NAMED_MAX: usize = 5;

/// Finds the conflict that a text names: its id, `begin…end` of one that waits, or the context in
/// which it alone waits; or, where the choice is sent again, the one that it settled.
pub async fn find(client: &Client, text: &str, sent: Option<&ChangeId>) -> Result<ConflictId> {
    if let Ok(id) = ConflictId::parse(text) {
        return Ok(id);
    }
    let bad = |why: String| Failure::usage_hint(why, "`syncline conflicts` lists them");
    let (context, ends) = match text.contains('/') {
        true => {
            let context = Address::parse(text).map_err(|error| bad(error.to_string()))?;
            (Some(context), Ends::default())
        }
        false => {
            let ends = Ends::parse(text);
            let ends = ends.ok_or_else(|| bad(format!("{text:?} is no conflict's id")))?;
            (None, ends)
        }
    };
    let mut found = search(client, context, &ends, sent.is_some()).await?;
    if let Some(sent) = sent {
        if let Some(settled) = found.iter().find(|found| found.settled_by == Some(*sent)) {
            return Ok(settled.id);
        }
        found.retain(|found| found.waits);
    }
    match found.as_slice() {
        [found] => Ok(found.id),
        [] => Err(Failure::usage_hint(
            format!("no conflict waits that is {text}"),
            "`syncline conflicts` lists them; one that has ended is named by its whole id",
        )),
        several => {
            let mut named: Vec<_> = several
                .iter()
                .take(NAMED_MAX)
                .map(|found| format!("{} ({})", found.id, found.place))
                .collect();
            if several.len() > NAMED_MAX {
                named.push("…".to_owned());
            }
            Err(Failure::usage_hint(
                format!(
                    "{} wait that are {text}",
                    show::count(several.len() as u64, "conflict")
                ),
                format!("name one whole: {}", named.join(", ")),
            ))
        }
    }
}

/// A conflict that a text may mean.
struct Found {
    id: ConflictId,
    waits: bool,
    settled_by: Option<ChangeId>,
    /// Where it is, for people.
    place: String,
}

impl Found {
    fn read(conflict: &Json) -> Option<Found> {
        let text = |name: &str| conflict.get(name).and_then(Json::as_str);
        Some(Found {
            id: ConflictId::parse(text("id")?).ok()?,
            waits: text("state") == Some(ConflictState::Open.as_str()),
            settled_by: text("settled_by").and_then(|id| ChangeId::parse(id).ok()),
            place: [
                text("context"),
                text("branch"),
                text("path").map(show::place).as_deref(),
            ]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" "),
        })
    }
}

async fn search(
    client: &Client,
    context: Option<Address>,
    ends: &Ends<'_>,
    ended_too: bool,
) -> Result<Vec<Found>> {
    let mut query = ConflictsQuery {
        context,
        open: Some(!ended_too),
        limit: Some(PAGE),
        ..ConflictsQuery::default()
    };
    let (mut found, mut searched) = (Vec::new(), 0);
    loop {
        let page = client.conflicts(&query).await?;
        searched += page.conflicts.len();
        let read = page.conflicts.iter().filter_map(Found::read);
        found.extend(read.filter(|found| ends.fit(&found.id.to_string())));
        query.page = page.next;
        if query.page.is_none() || searched >= SEARCHED_MAX {
            return Ok(found);
        }
    }
}

/// The known ends of an id.
#[derive(Default)]
struct Ends<'a> {
    begin: &'a str,
    end: &'a str,
    /// One end alone is known, and not which.
    either: bool,
}

impl<'a> Ends<'a> {
    /// Reads `begin…end`, `begin..end`, or one end alone, which may be either.
    fn parse(text: &'a str) -> Option<Ends<'a>> {
        let split = text.split_once('…').or_else(|| text.split_once(".."));
        let (begin, end) = split.unwrap_or((text, text));
        let good = |part: &str| {
            part.chars()
                .all(|c| c.is_ascii_hexdigit() || "-.".contains(c))
        };
        let either = split.is_none();
        let ends = Ends { begin, end, either };
        (begin.len() + end.len() >= 4 && good(begin) && good(end)).then_some(ends)
    }

    fn fit(&self, id: &str) -> bool {
        let (begins, ends) = (id.starts_with(self.begin), id.ends_with(self.end));
        match self.either {
            true => begins || ends,
            false => begins && ends,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Ends;

    #[test]
    fn an_id_is_known_by_its_ends() {
        let check = |text: &str, expected: Option<bool>| {
            let id = "0199aaaa-4b2a-7c3d-8e4f-5a6b7c8d9e0f.00112233445507f2";
            assert_eq!(
                Ends::parse(text).map(|ends| ends.fit(id)),
                expected,
                "{text}"
            );
        };
        check("0199…07f2", Some(true));
        check("0199..07f2", Some(true));
        check("07f2", Some(true));
        check("0199aaaa", Some(true));
        check("0199…07f3", Some(false));
        check("…07f2", Some(true));
        check("aaaa", Some(false));
        check("ours", None);
        check("f", None);
        check("", None);
    }
}
