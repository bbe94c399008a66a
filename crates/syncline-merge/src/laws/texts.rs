//! Laws about texts of several lines.

use super::declared::Dice;
use super::{Case, ensure};
use crate::Merged;
use syncline_model::json::Json;

const LINES: usize = 8;

/// What a side did to one line.
#[derive(Clone, Copy)]
enum Edit {
    Change,
    Remove,
    InsertBefore,
}

fn edit(dice: &mut Dice) -> (usize, Edit) {
    let kind = [Edit::Change, Edit::Remove, Edit::InsertBefore][dice.index(3)];
    (dice.index(LINES), kind)
}

/// A text of distinct lines after some edits, of which a later side's has other words.
fn text(edits: &[(usize, Edit, &str)]) -> Json {
    let mut text = String::new();
    for line in 0..LINES {
        let here = edits.iter().filter(|(at, _, _)| *at == line);
        let mut is_kept = true;
        for (_, edit, word) in here {
            match edit {
                Edit::Change => text.push_str(&format!("line {line} is {word} now\n")),
                Edit::Remove => {}
                Edit::InsertBefore => text.push_str(&format!("a {word} line before {line}\n")),
            }
            is_kept &= matches!(edit, Edit::InsertBefore);
        }
        if is_kept {
            text.push_str(&format!("this is line {line} as it was\n"));
        }
    }
    Json::from(text)
}

fn merged(base: Json, earlier: Json, later: Json) -> Merged {
    Case::of(base, earlier, later).merged()
}

/// Edits with an untouched line between them never meet.
pub(super) fn lines(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let (at, earlier) = edit(&mut dice);
    let (there, later) = edit(&mut dice);
    let (earlier, later) = ((at, earlier, "earlier"), (there, later, "later"));
    if at.abs_diff(there) < 2 {
        return Ok(());
    }
    let merged = merged(text(&[]), text(&[earlier]), text(&[later]));
    let expected = text(&[earlier, later]);
    ensure(merged.is_clean(), || format!("{:?}", merged.decisions))?;
    ensure(merged.value.as_ref() == Some(&expected), || {
        format!("{:?}, not {expected:?}", merged.value)
    })
}

/// Within one line, edits with an untouched word between them never meet, and others clash.
pub(super) fn words(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let words = ["one", "two", "three", "four", "five", "six"];
    let (a, b) = (dice.index(6), dice.index(6));
    let text = |changes: &[(usize, &str)]| {
        let mut words = words.map(str::to_owned);
        changes
            .iter()
            .for_each(|(at, word)| words[*at] = (*word).to_owned());
        Json::from(format!("first\n{}\nlast\n", words.join(" ")))
    };
    let (earlier, later) = ((a, "earlier"), (b, "later"));
    let merged = merged(text(&[]), text(&[earlier]), text(&[later]));
    let is_apart = a.abs_diff(b) > 1;
    ensure(merged.is_clean() == is_apart, || {
        format!("{a} and {b}: {:?}", merged.decisions)
    })?;
    let expected = if is_apart {
        text(&[earlier, later])
    } else {
        text(&[earlier])
    };
    ensure(merged.value.as_ref() == Some(&expected), || {
        format!("{:?}, not {expected:?}", merged.value)
    })
}
