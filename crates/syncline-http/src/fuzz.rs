//! The parsers of this door that face outside, for any bytes.

use crate::query::{Query, percent_decode};
use crate::{ask, gate, lists};

/// Reads `data` as a query, a header and a page's name.
///
/// # Panics
/// If a parser does, or if a query lets an unknown name pass.
pub fn fuzz_request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(query) = Query::read(Some(text), &["a", "label"], &["label"]) {
        assert!(query.all("b").next().is_none(), "only known names pass");
        assert!(
            query.all("a").count() <= 1,
            "what is not repeatable comes once"
        );
    }
    let _ = percent_decode(text);
    let _ = lists::read_place(text);
    let _ = ask::foreign_etags(text);
    if let Some((name, _)) = gate::split_port(text) {
        assert!(text.starts_with(name), "a name is a part of the host");
    }
}

#[cfg(test)]
mod tests {
    use super::fuzz_request;

    #[test]
    fn corpus() {
        for text in [
            "",
            "%",
            "%%",
            "%4",
            "%41=%42&a",
            "a=1&label=x&label=y",
            "a=1&a=2",
            "[",
            "[]",
            "[::1]:",
            "]:1",
            ":",
            "\"",
            "\",\"",
            "W/\"x\"",
            "eyJzIjoiYWRkcmVzcyJ9",
            "\u{0}=\u{0}",
            "é:80",
        ] {
            fuzz_request(text.as_bytes());
        }
    }
}
