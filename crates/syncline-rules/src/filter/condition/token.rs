//! The words of an expression.

use syncline_model::json::Number;

/// A word, and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub at: usize,
    pub token: Token,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(Number),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// What is wrong with an expression, and where, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub why: String,
}

pub(super) fn fault<T>(at: usize, why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        at,
        why: why.into(),
    })
}

/// The longer ones first, since they begin like shorter ones.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ",", ".",
    "(", ")", "[", "]", "{", "}", "=", "@",
];

/// Cuts an expression into words; the last one is [`Token::End`].
pub(super) fn words(text: &str) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..]);
        let rest = &text[at..];
        let (token, length) = match rest.chars().next() {
            None => {
                words.push(Word {
                    at,
                    token: Token::End,
                });
                return Ok(words);
            }
            Some('"' | '\'') => quoted(rest, at, false)?,
            Some('r' | 'R') if rest[1..].starts_with(['"', '\'']) => {
                let (token, length) = quoted(&rest[1..], at + 1, true)?;
                (token, length + 1)
            }
            Some('b' | 'B') if rest[1..].starts_with(['"', '\'']) => {
                return fault(at, "byte strings are not supported");
            }
            Some(first) if first.is_ascii_digit() => number(rest, at)?,
            Some(first) if first.is_ascii_alphabetic() || first == '_' => name(rest),
            Some(first) => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return fault(at, format!("{first:?} means nothing here")),
            },
        };
        words.push(Word { at, token });
        at += length;
    }
}

/// Returns how many bytes of blanks and comments come first.
fn blank(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        at = text.len() - rest.len();
        if !rest.starts_with("//") {
            return at;
        }
        at += rest.find('\n').unwrap_or(rest.len());
    }
}

fn name(text: &str) -> (Token, usize) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = &text[..end.unwrap_or(text.len())];
    (Token::Name(name.to_owned()), name.len())
}

fn number(text: &str, at: usize) -> Result<(Token, usize), Fault> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let length = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
        let Ok(value) = u64::from_str_radix(&hex[..length], 16) else {
            return fault(at, "it is no hexadecimal number of up to 16 digits");
        };
        return Ok((
            Token::Number(value.into()),
            2 + length + unsigned(&hex[length..]),
        ));
    }
    let mut length = digits(text);
    let mut whole = true;
    if text[length..].starts_with('.') && digits(&text[length + 1..]) > 0 {
        length += 1 + digits(&text[length + 1..]);
        whole = false;
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        let power = digits(&text[length + 1 + sign..]);
        if power > 0 {
            length += 1 + sign + power;
            whole = false;
        }
    }
    let Some(value) = Number::parse(&text[..length]) else {
        return fault(at, format!("{:?} is no number", &text[..length]));
    };
    let suffix = if whole { unsigned(&text[length..]) } else { 0 };
    Ok((Token::Number(value), length + suffix))
}

/// Numbers are exact here, so a `u` behind one says nothing new.
fn unsigned(text: &str) -> usize {
    usize::from(text.starts_with(['u', 'U']))
}

/// Reads a text in quotes, one or three of them; `raw` ones know no escapes.
fn quoted(text: &str, at: usize, raw: bool) -> Result<(Token, usize), Fault> {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let quote = if text.starts_with(&triple) {
        triple.as_str()
    } else {
        quote
    };
    let mut out = String::new();
    let mut rest = &text[quote.len()..];
    loop {
        if let Some(after) = rest.strip_prefix(quote) {
            return Ok((Token::Text(out), text.len() - after.len()));
        }
        let Some(next) = rest.chars().next() else {
            return fault(at, "a text does not end");
        };
        if next == '\n' && quote.len() == 1 {
            return fault(at, "a text does not end on its line");
        }
        rest = &rest[next.len_utf8()..];
        if next == '\\' && !raw {
            let here = at + text.len() - rest.len();
            rest = escape(rest, here, &mut out)?;
        } else {
            out.push(next);
        }
    }
}

/// Reads what follows a backslash, and returns the text after it.
fn escape<'a>(text: &'a str, at: usize, out: &mut String) -> Result<&'a str, Fault> {
    let Some(kind) = text.chars().next() else {
        return fault(at, "a text does not end");
    };
    let rest = &text[kind.len_utf8()..];
    let (digits, radix) = match kind {
        'x' | 'X' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='3' => return coded(text, 3, 8, at, out),
        _ => {
            out.push(match kind {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                '\\' | '?' | '"' | '\'' | '`' => kind,
                _ => return fault(at, format!("\\{kind} is no escape")),
            });
            return Ok(rest);
        }
    };
    coded(rest, digits, radix, at, out)
}

fn coded<'a>(
    text: &'a str,
    digits: usize,
    radix: u32,
    at: usize,
    out: &mut String,
) -> Result<&'a str, Fault> {
    let code = text.get(..digits).filter(|code| !code.starts_with('+'));
    let code = code.and_then(|code| u32::from_str_radix(code, radix).ok());
    match code.and_then(char::from_u32) {
        Some(char) => {
            out.push(char);
            Ok(&text[digits..])
        }
        None => fault(at, "it is no escape of a character"),
    }
}
