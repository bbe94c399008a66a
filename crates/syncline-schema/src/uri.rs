//! References and the URIs that they are relative to (RFC 3986, section 5).
//!
//! They are only names here: what a schema calls its parts. Nothing is ever fetched by them.

/// Splits `uri#fragment`; no fragment and an empty one are the same.
pub(crate) fn split_fragment(text: &str) -> (&str, &str) {
    text.split_once('#').unwrap_or((text, ""))
}

/// Returns the URI that `reference`, which has no fragment, names within `base`.
pub(crate) fn resolve(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    let target = Parts::of(reference);
    if target.scheme.is_some() {
        return target.with_path(&without_dots(target.path));
    }
    let base = Parts::of(base);
    let scheme = base.scheme;
    if target.authority.is_some() {
        let path = without_dots(target.path);
        return Parts { scheme, ..target }.with_path(&path);
    }
    let path = match target.path {
        "" => base.path.to_owned(),
        path if path.starts_with('/') => without_dots(path),
        path => without_dots(&beside(&base, path)),
    };
    let inherits_query = target.path.is_empty() && target.query.is_none();
    let query = if inherits_query {
        base.query
    } else {
        target.query
    };
    Parts { query, ..base }.with_path(&path)
}

/// Puts a relative path in place of the last segment of the base's path.
fn beside(base: &Parts<'_>, path: &str) -> String {
    match base.path.rfind('/') {
        Some(at) => format!("{}{path}", &base.path[..=at]),
        None if base.authority.is_some() => format!("/{path}"),
        None => path.to_owned(),
    }
}

/// Removes the segments `.` and `..`.
fn without_dots(path: &str) -> String {
    // The path of `urn:example:a` has no hierarchy.
    if !path.contains('.') {
        return path.to_owned();
    }
    let absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        ends_open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if ends_open && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("{}{}{end}", if absolute { "/" } else { "" }, kept.join("/"))
}

/// A URI without its fragment, taken apart.
#[derive(Clone, Copy)]
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Parts<'a> {
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            _ => (None, text),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (Some(&rest[..end]), &rest[end..])
            }
            None => (None, rest),
        };
        Parts {
            scheme,
            authority,
            path,
            query,
        }
    }

    fn with_path(self, path: &str) -> String {
        let mut uri = String::new();
        if let Some(scheme) = self.scheme {
            uri.extend([scheme, ":"]);
        }
        if let Some(authority) = self.authority {
            uri.extend(["//", authority]);
        }
        uri.push_str(path);
        if let Some(query) = self.query {
            uri.extend(["?", query]);
        }
        uri
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Decodes `%25` and the like; none if the text is no encoded UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_as_in_the_rfc() {
        let base = "http://a/b/c/d;p?q";
        for (reference, expected) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("g..", "http://a/b/c/g.."),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
        ] {
            assert_eq!(resolve(base, reference), expected, "{reference}");
        }
        assert_eq!(resolve("urn:uuid:1", ""), "urn:uuid:1");
        assert_eq!(resolve("", "a/b"), "a/b");
    }
}
