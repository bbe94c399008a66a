//! JSON Pointer (RFC 6901).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Bounds the tokens of a pointer from outside; no document that we read is deeper than 128.
const TOKENS_MAX: usize = 256;

/// The place of a value within a document, as unescaped tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(Vec<Arc<str>>);

/// Why a text is no JSON Pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// The text is not empty and starts with something else.
    #[error("json pointer does not start with \"/\"")]
    NoSlash,
    /// A `~` is followed by neither `0` nor `1`.
    #[error("json pointer has a \"~\" that is not part of \"~0\" or \"~1\"")]
    BadEscape,
    /// There are more tokens than any document has levels.
    #[error("json pointer has more than {TOKENS_MAX} tokens")]
    TooDeep,
}

impl Pointer {
    /// Returns the pointer to the whole document.
    pub fn root() -> Pointer {
        Pointer::default()
    }

    /// Reads a pointer such as `/data/a~1b`.
    pub fn parse(text: &str) -> Result<Pointer, PointerError> {
        if text.is_empty() {
            return Ok(Pointer::root());
        }
        let tokens = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        if tokens.bytes().filter(|&byte| byte == b'/').count() >= TOKENS_MAX {
            return Err(PointerError::TooDeep);
        }
        tokens
            .split('/')
            .map(unescape)
            .collect::<Result<_, _>>()
            .map(Pointer)
    }

    /// Returns the pointer that a constant of our own names.
    ///
    /// # Panics
    /// If the text is no pointer.
    pub fn from_static(text: &'static str) -> Pointer {
        Pointer::parse(text).expect("a pointer in our own code is well-formed")
    }

    /// Returns the unescaped tokens.
    pub fn tokens(&self) -> &[Arc<str>] {
        &self.0
    }

    /// Returns the pointer to the member `key` below this place.
    pub fn child(&self, key: &str) -> Pointer {
        self.with(key.into())
    }

    /// Returns the pointer to the item `index` below this place.
    pub fn index(&self, index: usize) -> Pointer {
        self.with(index.to_string().into())
    }

    fn with(&self, token: Arc<str>) -> Pointer {
        let mut tokens = Vec::with_capacity(self.0.len() + 1);
        tokens.extend_from_slice(&self.0);
        tokens.push(token);
        Pointer(tokens)
    }

    /// Goes down to the member or item `token`.
    pub fn push(&mut self, token: impl Into<Arc<str>>) {
        self.0.push(token.into());
    }

    /// Goes up, and returns the token that was left.
    pub fn pop(&mut self) -> Option<Arc<str>> {
        self.0.pop()
    }

    /// Returns the place above, unless this is the root.
    pub fn parent(&self) -> Option<Pointer> {
        let (_, above) = self.0.split_last()?;
        Some(Pointer(above.to_vec()))
    }

    /// Returns the last token, unless this is the root.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(|token| &**token)
    }

    /// Returns true if this place is `above` or lies below it.
    pub fn starts_with(&self, above: &Pointer) -> bool {
        self.0.starts_with(&above.0)
    }

    /// Returns true for the pointer to the whole document.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a token as the index of an array: digits without a leading zero.
    pub fn array_index(token: &str) -> Option<usize> {
        let digits = token.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (token.len() > 1 && token.starts_with('0')) {
            return None;
        }
        token.parse().ok()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            f.write_str("/")?;
            let mut rest = &**token;
            while let Some(at) = rest.find(['~', '/']) {
                f.write_str(&rest[..at])?;
                f.write_str(if rest[at..].starts_with('~') {
                    "~0"
                } else {
                    "~1"
                })?;
                rest = &rest[at + 1..];
            }
            f.write_str(rest)?;
        }
        Ok(())
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Pointer, PointerError> {
        Pointer::parse(text)
    }
}

impl<T: Into<Arc<str>>> FromIterator<T> for Pointer {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Pointer {
        Pointer(tokens.into_iter().map(Into::into).collect())
    }
}

fn unescape(token: &str) -> Result<Arc<str>, PointerError> {
    if !token.contains('~') {
        return Ok(token.into());
    }
    let mut parts = token.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err(PointerError::BadEscape),
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Ok(plain.into())
}
