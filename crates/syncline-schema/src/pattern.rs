//! Patterns: the ECMA-262 syntax that JSON Schema asks for, on a linear engine.
//!
//! A pattern is rewritten into the engine's syntax: `\d` and `\w` are ASCII, `.` stops at all of
//! ECMA's line ends, groups capture nothing. What needs backtracking (look-around, references to
//! groups) is refused, since such a search takes exponential time.

use std::iter::Peekable;
use std::str::Chars;

use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_syntax::ParserBuilder;

/// A longer pattern is a mistake, or an attack.
const PATTERN_BYTES_MAX: usize = 1_000;

/// Groups within groups: the engine's parser and compiler recurse over them.
const NESTING_MAX: u32 = 50;

/// How many states of a pattern are visited in one step.
const STATES_PER_STEP: u64 = 16;

const LINE_ENDS: &str = r"\n\r\u{2028}\u{2029}";
const SPACES: &str = r"\t\n\x0B\x0C\r\x20\u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";
const WORDS: &str = "0-9A-Za-z_";

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    source: Box<str>,
    states: u64,
    bytes: usize,
}

impl Pattern {
    /// Compiles a pattern whose program takes at most `program_bytes_max`.
    pub fn compile(source: &str, program_bytes_max: usize) -> Result<Pattern, String> {
        if source.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "a pattern has at most {PATTERN_BYTES_MAX} bytes, this one {}",
                source.len()
            ));
        }
        let hir = ParserBuilder::new()
            .nest_limit(NESTING_MAX)
            .build()
            .parse(&Rewriter::new(source).rewrite()?)
            .map_err(|error| brief(&error))?;
        let too_large =
            |_| format!("the pattern's program takes more than {program_bytes_max} bytes");
        let nfa = Compiler::new()
            .configure(
                Config::new()
                    .nfa_size_limit(Some(program_bytes_max))
                    .which_captures(WhichCaptures::None),
            )
            .build_from_hir(&hir)
            .map_err(too_large)?;
        let regex = Regex::builder()
            .configure(
                Regex::config()
                    .nfa_size_limit(Some(program_bytes_max))
                    .onepass_size_limit(Some(program_bytes_max))
                    .which_captures(WhichCaptures::Implicit)
                    .hybrid(false)
                    .dfa(false),
            )
            .build_from_hir(&hir)
            .map_err(|error| error.to_string())?;
        Ok(Pattern {
            bytes: regex.memory_usage(),
            states: nfa.states().len() as u64,
            source: source.into(),
            regex,
        })
    }

    /// Tells whether the pattern is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(Input::new(text))
    }

    /// The most steps that a search in `text` takes: each state at each byte.
    pub fn steps(&self, text: &str) -> u64 {
        1 + (text.len() as u64).saturating_mul(self.states) / STATES_PER_STEP
    }

    /// The most steps that each further byte of a text takes.
    pub fn steps_per_byte(&self) -> u64 {
        self.states.div_ceil(STATES_PER_STEP)
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many bytes the program takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

// What is written alike means the same.
impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Pattern) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Pattern) -> std::cmp::Ordering {
        self.source.cmp(&other.source)
    }
}

/// The parser's reason without its picture of several lines.
fn brief(error: &regex_syntax::Error) -> String {
    let reason = match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it cannot be read".to_owned(),
    };
    format!("malformed pattern: {reason}")
}

/// Goes through a pattern once and writes the same in the engine's syntax.
struct Rewriter<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl<'a> Rewriter<'a> {
    fn new(source: &'a str) -> Rewriter<'a> {
        Rewriter {
            rest: source.chars().peekable(),
            out: String::with_capacity(source.len() + 16),
        }
    }

    fn rewrite(mut self) -> Result<String, String> {
        while let Some(char) = self.rest.next() {
            match char {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' => self.out.extend(["[^", LINE_ENDS, "]"]),
                char => self.out.push(char),
            }
        }
        Ok(self.out)
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push_str("(?:");
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match (self.rest.next(), self.rest.peek()) {
            (Some(':'), _) => Ok(()),
            (Some('='), _) | (Some('!'), _) | (Some('<'), Some('=' | '!')) => Err(
                "patterns have no look-around: their search could take exponential time".to_owned(),
            ),
            (Some('<'), _) => {
                let name: String = self.rest.by_ref().take_while(|&char| char != '>').collect();
                let good =
                    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
                good.then_some(()).ok_or_else(|| {
                    "malformed pattern: a group's name is made of letters".to_owned()
                })
            }
            _ => Err(
                "malformed pattern: \"(?\" starts a group that ECMA-262 does not know".to_owned(),
            ),
        }
    }

    fn class(&mut self) -> Result<(), String> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        if self.rest.next_if_eq(&']').is_some() {
            // The class of nothing, and of everything.
            self.out.push_str(if negated { "(?s:.)" } else { "[a&&b]" });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        loop {
            match self.rest.next() {
                None => return Err("malformed pattern: \"[\" is never closed".to_owned()),
                Some(']') => break,
                Some('\\') => self.escape(true)?,
                Some('-') if self.rest.peek() == Some(&'-') => {
                    return Err(
                        "malformed pattern: write \"\\-\" for a hyphen in a class".to_owned()
                    );
                }
                // These mean something within the engine's classes.
                Some(char @ ('[' | '&' | '~' | '^')) => self.out.extend(['\\', char]),
                Some(char) => self.out.push(char),
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let char = self
            .rest
            .next()
            .ok_or("malformed pattern: it ends with a backslash")?;
        match char {
            'd' | 'D' => self.set(in_class, char == 'D', "0-9"),
            'w' | 'W' => self.set(in_class, char == 'W', WORDS),
            's' | 'S' => self.set(in_class, char == 'S', SPACES),
            'b' if in_class => self.code(0x08)?,
            'b' | 'B' if !in_class => {
                self.out
                    .extend(["(?-u:\\", if char == 'b' { "b" } else { "B" }, ")"])
            }
            't' | 'n' | 'v' | 'f' | 'r' => self.out.extend(['\\', char]),
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => self.code(0)?,
            'p' | 'P' => self.property(char)?,
            'x' => {
                let code = self.hex(2)?;
                self.code(code)?;
            }
            'u' => self.unicode()?,
            'c' => match self.rest.next() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    self.code(u32::from(letter) % 32)?
                }
                _ => return Err("malformed pattern: \"\\c\" is followed by a letter".to_owned()),
            },
            '1'..='9' | 'k' => {
                return Err("patterns cannot refer back to a group: their search could take exponential time".to_owned());
            }
            char if char.is_ascii_punctuation() => self.out.extend(['\\', char]),
            char => {
                return Err(format!(
                    "malformed pattern: \"\\{}\" is no escape",
                    char.escape_debug()
                ));
            }
        }
        Ok(())
    }

    fn set(&mut self, in_class: bool, negated: bool, members: &str) {
        match (in_class, negated) {
            (true, false) => self.out.push_str(members),
            (_, true) => self.out.extend(["[^", members, "]"]),
            (false, false) => self.out.extend(["[", members, "]"]),
        }
    }

    fn property(&mut self, letter: char) -> Result<(), String> {
        let bad = || "malformed pattern: a property is written as \"\\p{Letter}\"".to_owned();
        self.rest.next_if_eq(&'{').ok_or_else(bad)?;
        let name: String = self.rest.by_ref().take_while(|&char| char != '}').collect();
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '=';
        if name.is_empty() || !name.chars().all(good) {
            return Err(bad());
        }
        self.out
            .extend(["\\", letter.encode_utf8(&mut [0; 4]), "{", &name, "}"]);
        Ok(())
    }

    /// `\u1234`, `\u{12345}`, or two halves of a surrogate pair.
    fn unicode(&mut self) -> Result<(), String> {
        if self.rest.next_if_eq(&'{').is_some() {
            let digits: String = self.rest.by_ref().take_while(|&char| char != '}').collect();
            let code = u32::from_str_radix(&digits, 16).unwrap_or(u32::MAX);
            return self.code(code);
        }
        let high = self.hex(4)?;
        if !(0xD800..0xDC00).contains(&high) {
            return self.code(high);
        }
        let pair = self.rest.next() == Some('\\') && self.rest.next() == Some('u');
        let low = if pair { self.hex(4)? } else { 0 };
        match low {
            0xDC00..0xE000 => self.code(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)),
            _ => Err("malformed pattern: lone surrogate".to_owned()),
        }
    }

    fn hex(&mut self, digits: usize) -> Result<u32, String> {
        (0..digits).try_fold(0, |code, _| {
            let digit = self.rest.next().and_then(|char| char.to_digit(16));
            let digit = digit
                .ok_or_else(|| format!("malformed pattern: {digits} hex digits are expected"))?;
            Ok(code * 16 + digit)
        })
    }

    fn code(&mut self, code: u32) -> Result<(), String> {
        let char = char::from_u32(code).ok_or("malformed pattern: an escape names no character")?;
        self.out.push_str(&format!("\\u{{{:X}}}", u32::from(char)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
    use super::*;

    fn pattern(source: &str) -> Result<Pattern, String> {
        Pattern::compile(source, 256 << 10)
    }

    #[track_caller]
    fn check(source: &str, fits: &[&str], fails: &[&str]) {
        let pattern = pattern(source).unwrap();
        for text in fits {
            assert!(pattern.is_match(text), "{source} fits {text:?}");
        }
        for text in fails {
            assert!(!pattern.is_match(text), "{source} fails {text:?}");
        }
    }

    #[test]
    fn patterns_mean_what_ecma_says() {
        check(r"^\d+$", &["42"], &["৪২", "4\n", ""]);
        check(r"^[\d_]+$", &["4_2"], &["৪"]);
        check(r"^[^\W]$", &["a"], &["é", "-"]);
        check(r"^\s$", &["\u{feff}", "\u{2029}"], &["\u{85}", "a"]);
        check(r"^.$", &["é", "\u{85}"], &["\n", "\u{2028}"]);
        check(r"^[^]$", &["\n", "x"], &[""]);
        check(r"^[]$", &[], &["", "x"]);
        check(r"^[a&&b[~~]+$", &["a&b[~"], &["c"]);
        check(r"^[a^]$", &["^"], &["b"]);
        check(
            r"^\uD83D\uDC32\u{1F432}\x41\cA\0\/\-$",
            &["🐲🐲A\u{1}\0/-"],
            &[],
        );
        check(r"\bé", &["aé"], &["é"]);
        check(r"a\Bb", &["ab"], &["a b"]);
        check(r"^(?<year>\d{4})-(?:\d\d)$", &["2026-11"], &["26-11"]);
        check(r"^\p{Lu}\P{Lu}*$", &["École"], &["école"]);
        check("b", &["abc"], &["ac"]);
    }

    #[test]
    fn what_cannot_be_linear_or_small_is_refused() {
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        for source in [
            r"(?=a)",
            r"(?!a)",
            r"(?<=a)",
            r"(?<!a)",
            r"(a)\1",
            r"(?<n>a)\k<n>",
            r"(?i)a",
            r"\a",
            r"a{1000}{1000}",
            r"\p{L}{900}",
            r"((a{100}){100}){100}",
            "(",
            ")",
            "[",
            "[z-a]",
            r"\",
            r"\uD83D",
            r"\u{110000}",
            r"\p{Nonsense}",
            "*",
            &long,
            &deep,
        ] {
            assert!(pattern(source).is_err(), "{source}");
        }
    }
}
