//! Texts: merged by lines, and where both sides changed the same lines, by words.

use super::decision::{Action, Rule};
use super::walk::{Taken, Three, Walk};
use crate::diff::{classes, matches};
use crate::mutants::{Mutant, is_active};
use std::ops::Range;
use syncline_model::json::Json;

impl<'a> Walk<'a> {
    /// Merges three different strings; `is_text` if they were declared as text.
    pub(super) fn string(&mut self, three: Three<'a>, texts: [&str; 3], is_text: bool) -> Taken {
        let [base, earlier, later] = texts;
        let has_lines = base.contains('\n') || (earlier.contains('\n') && later.contains('\n'));
        if !is_text && !has_lines {
            return self.clash(three, Rule::Value);
        }
        let is_bounded = !is_active(Mutant::IgnoresBytes);
        if is_bounded
            && texts
                .iter()
                .any(|text| text.len() > self.limits.text_bytes_max)
        {
            return self.clash(three, Rule::Bound);
        }
        match merge_text(base, earlier, later) {
            Some((text, rule)) => {
                self.decide(three, Action::Both, rule);
                Taken::Built(Json::from(text))
            }
            None if is_text => self.clash(three, Rule::Words),
            None => self.clash(three, Rule::Value),
        }
    }
}

/// Merges three texts; `None` if both sides changed the same words.
fn merge_text(base: &str, earlier: &str, later: &str) -> Option<(String, Rule)> {
    let lines = |text| Tokens::new(text, |char| char == '\n');
    let tokens = [lines(base), lines(earlier), lines(later)];
    let mut text = String::with_capacity(earlier.len() + later.len());
    let mut rule = Rule::Lines;
    for chunk in chunks(&tokens) {
        let [base, earlier, later] = chunk.texts(&tokens);
        match pick(base, earlier, later) {
            Some(picked) => text.push_str(picked),
            None => {
                rule = Rule::Words;
                merge_words(base, earlier, later, &mut text)?;
            }
        }
    }
    Some((text, rule))
}

fn merge_words(base: &str, earlier: &str, later: &str, text: &mut String) -> Option<()> {
    let words = |text| Tokens::new(text, char::is_whitespace);
    let tokens = [words(base), words(earlier), words(later)];
    for chunk in chunks(&tokens) {
        let [base, earlier, later] = chunk.texts(&tokens);
        let dropped = is_active(Mutant::DropsWords).then_some(earlier);
        text.push_str(pick(base, earlier, later).or(dropped)?);
    }
    Some(())
}

/// The side that changed something, if only one did or both did the same.
fn pick<'t>(base: &str, earlier: &'t str, later: &'t str) -> Option<&'t str> {
    if base == later || earlier == later || is_active(Mutant::DropsLines) {
        return Some(earlier);
    }
    (base == earlier).then_some(later)
}

/// A text in pieces, each ending with its separator.
struct Tokens<'t> {
    text: &'t str,
    /// Where each piece ends.
    ends: Vec<usize>,
}

impl<'t> Tokens<'t> {
    fn new(text: &'t str, is_end: impl Fn(char) -> bool) -> Tokens<'t> {
        let pieces = text.split_inclusive(is_end);
        let ends = pieces.scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        });
        Tokens {
            text,
            ends: ends.collect(),
        }
    }

    fn offset(&self, piece: usize) -> usize {
        piece.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn joined(&self, range: &Range<usize>) -> &'t str {
        &self.text[self.offset(range.start)..self.offset(range.end)]
    }

    fn pieces(&self) -> impl ExactSizeIterator<Item = &'t str> + '_ {
        (0..self.ends.len()).map(|piece| self.joined(&(piece..piece + 1)))
    }
}

/// A part of three texts between or within what all have in common.
struct Chunk([Range<usize>; 3]);

impl Chunk {
    fn texts<'t>(&self, tokens: &[Tokens<'t>; 3]) -> [&'t str; 3] {
        std::array::from_fn(|side| tokens[side].joined(&self.0[side]))
    }
}

/// Parts three texts into what is common to all and what is between.
fn chunks(tokens: &[Tokens<'_>; 3]) -> Vec<Chunk> {
    let [base, earlier, later] = tokens;
    let matched = |side: &Tokens<'_>| {
        let (from, to) = classes(base.pieces(), side.pieces());
        let mut found = vec![None; from.len()];
        for (i, j) in matches(&from, &to) {
            found[i] = Some(j);
        }
        found
    };
    let (in_earlier, in_later) = (matched(earlier), matched(later));

    let mut chunks = Vec::new();
    let mut stable = [0..0, 0..0, 0..0];
    for (i, pair) in in_earlier.into_iter().zip(in_later).enumerate() {
        let (Some(j), Some(k)) = pair else { continue };
        let next = [i, j, k];
        if (0..3).all(|side| stable[side].end == next[side]) {
            stable.iter_mut().for_each(|range| range.end += 1);
        } else {
            let between = std::array::from_fn(|side| stable[side].end..next[side]);
            let new = std::array::from_fn(|side| next[side]..next[side] + 1);
            chunks.push(Chunk(std::mem::replace(&mut stable, new)));
            chunks.push(Chunk(between));
        }
    }
    let ends = std::array::from_fn(|side| stable[side].end..tokens[side].ends.len());
    chunks.push(Chunk(stable));
    chunks.push(Chunk(ends));
    chunks
}
