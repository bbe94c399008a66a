//! What a side has that the base lacks, word by word.

/// Bounds the table of the comparison, 4 MiB; beyond it all that lies between the common ends is
/// called new.
const CELLS_MAX: usize = 1 << 20;

/// A stretch of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The text.
    pub text: &'a str,
    /// The base lacks it.
    pub new: bool,
}

/// Splits a side into what it shares with the base and what is new.
pub fn parts<'a>(base: &str, side: &'a str) -> Vec<Part<'a>> {
    let (base, words) = (words(base), words(side));
    let head = common(base.iter(), words.iter());
    let tail = common(base[head..].iter().rev(), words[head..].iter().rev());
    let (old, new) = (
        &base[head..base.len() - tail],
        &words[head..words.len() - tail],
    );
    let mut shared = vec![true; words.len()];
    shared[head..words.len() - tail].copy_from_slice(&in_common(old, new));
    bridge(&words, &mut shared);
    joined(side, &words, &shared)
}

/// Splits a text into words, runs of blanks, and single signs.
fn words(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        c if c.is_whitespace() && c != '\n' => 1,
        _ => 2,
    };
    let mut words = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|before| before == 2 || before != kind(c)) {
            words.push(&text[start..at]);
            start = at;
        }
        before = Some(kind(c));
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

fn common<'a>(
    one: impl Iterator<Item = &'a &'a str>,
    other: impl Iterator<Item = &'a &'a str>,
) -> usize {
    one.zip(other).take_while(|(a, b)| a == b).count()
}

/// Says for each new word whether it stands in a longest common sequence.
fn in_common(old: &[&str], new: &[&str]) -> Vec<bool> {
    let mut shared = vec![false; new.len()];
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > CELLS_MAX {
        return shared;
    }
    // Cell (i, j) is the longest common sequence of what begins at i and at j.
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let (right, below) = (longest[i * width + j + 1], longest[(i + 1) * width + j]);
            longest[i * width + j] = match old[i] == new[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => right.max(below),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            shared[j] = true;
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    shared
}

/// Calls a blank between two new words new too: `{two words}` reads better than `{two} {words}`.
fn bridge(words: &[&str], shared: &mut [bool]) {
    for at in 1..shared.len().saturating_sub(1) {
        let is_blank = words[at].chars().all(|c| c.is_whitespace() && c != '\n');
        if is_blank && !shared[at - 1] && !shared[at + 1] {
            shared[at] = false;
        }
    }
}

fn joined<'a>(side: &'a str, words: &[&str], shared: &[bool]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (at, word) in words.iter().enumerate() {
        end += word.len();
        if shared.get(at + 1) != Some(&shared[at]) {
            let text = &side[start..end];
            parts.push(Part {
                text,
                new: !shared[at],
            });
            start = end;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(base: &str, side: &str, expected: &str) {
        let shown = parts(base, side).into_iter().map(|part| match part.new {
            true => format!("{{{}}}", part.text),
            false => part.text.to_owned(),
        });
        assert_eq!(shown.collect::<String>(), expected);
    }

    #[test]
    fn what_is_new_is_marked() {
        let base = "keep the old cookie";
        check(base, "keep the signed cookie", "keep the {signed} cookie");
        check(
            base,
            "drop the cookie, use tokens",
            "{drop} the cookie{, use tokens}",
        );
        check(base, base, base);
        check(base, "keep the cookie", "keep the cookie");
        check("", "all of it", "{all of it}");
        check(base, "", "");
        check("\"open\"", "\"done\"", "\"{done}\"");
        check("a\nb\nc", "a\nx\nc", "a\n{x}\nc");
        check("[1,2]", "[1,20,2]", "[1,{20,}2]");
    }

    #[test]
    fn large_texts_are_bounded() {
        let (base, side) = ("a b ".repeat(2_000), "b c ".repeat(2_000));
        assert_eq!(
            parts(&base, &side).iter().filter(|part| part.new).count(),
            1
        );
    }

    proptest! {
        #[test]
        fn parts_make_up_the_side(base in "[ab ,\n]{0,30}", side in "[ab ,\n]{0,30}") {
            let parts = parts(&base, &side);
            prop_assert_eq!(parts.iter().map(|part| part.text).collect::<String>(), side.as_str());
            prop_assert!(parts.windows(2).all(|pair| pair[0].new != pair[1].new));
            prop_assert!(base != side || parts.iter().all(|part| !part.new));
        }
    }
}
