//! The names of pages: which list they are of, and where the page before ended.

use sha2::{Digest as _, Sha256};
use syncline_api::Problem;
use syncline_model::json::Pointer;

use crate::query::{Query, bad};

/// Tells lists apart, not secrets.
const SUM_BYTES: usize = 8;

/// A list: what is listed, and the members of the query that choose and sort it.
///
/// Its pages carry its sum. A page that was taken for one of another list would leave out, in
/// silence, what lies before its place there.
#[derive(Debug)]
pub(crate) struct Listing(String);

impl Listing {
    /// Names a list; of members that may come in any order, the order means nothing.
    pub fn of<'a>(what: &str, members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Listing {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_unstable();
        let mut sum = Sha256::new();
        let mut add = |text: &str| {
            sum.update((text.len() as u64).to_be_bytes());
            sum.update(text);
        };
        add(what);
        for (name, value) in members {
            add(name);
            add(value);
        }
        let sum = sum.finalize();
        Listing(
            sum[..SUM_BYTES]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
        )
    }

    /// Names the page that follows a place.
    pub fn page_after(&self, place: &str) -> String {
        format!("{}.{place}", self.0)
    }

    /// Returns the place that the query's page follows.
    pub fn place<T>(
        &self,
        query: &Query,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(page) = query.text("page") else {
            return Ok(None);
        };
        let (sum, place) = page.split_once('.').ok_or_else(garbage)?;
        let place = read(place).ok_or_else(garbage)?;
        if sum != self.0 {
            let what = "the query's page: it belongs to another list than this query asks for";
            return Err(bad(what).at(Pointer::from_static("/page")).hint(
                "send what chooses and sorts as with the page before, or begin without `page`",
            ));
        }
        Ok(Some(place))
    }
}

/// Says that a page is not one of ours.
pub(crate) fn garbage() -> Problem {
    bad("the query's page: send `next` back as it was received").at(Pointer::from_static("/page"))
}

#[cfg(test)]
mod tests {
    use super::Listing;

    #[test]
    fn lists_are_told_apart() {
        let sum = |what, members: &[(&'static str, &'static str)]| {
            Listing::of(what, members.iter().copied()).page_after("")
        };
        let (a, b) = (("label", "a"), ("label", "b"));
        assert_eq!(sum("x", &[a, b]), sum("x", &[b, a]));
        let others = [
            sum("x", &[]),
            sum("y", &[]),
            sum("x", &[a]),
            sum("x", &[b]),
            sum("x", &[("labela", "")]),
            sum("x", &[a, a]),
        ];
        for (at, one) in others.iter().enumerate() {
            assert!(!others[..at].contains(one), "{at}");
        }
    }
}
