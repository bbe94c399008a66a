//! Entry points for fuzzing: whatever the bytes are, nothing panics and the laws hold.
//!
//! The input is a document, a line break, and a patch for it; for a merge, three documents.

use crate::laws::{Case, check_all};
use crate::{ApplyLimits, Patch, Side, apply_merge_patch, diff, old_values, readable};
use syncline_model::json::{Json, JsonWriter, Limits, Pointer};

const OPS_MAX: usize = 4_096;
const APPLY: ApplyLimits = ApplyLimits {
    depth_max: 64,
    weight_max: 1 << 20,
};

/// Reads a document and a JSON Patch, applies it, and checks what must hold.
pub fn fuzz_patch(data: &[u8]) {
    let Some((doc, patch)) = two_documents(data) else {
        return;
    };
    let patch = match Patch::from_json(&patch, &Pointer::root(), OPS_MAX) {
        Ok(patch) => patch,
        Err(error) => return check_line(&error.to_string()),
    };
    let again = Patch::from_json(&patch.to_json(), &Pointer::root(), OPS_MAX);
    assert_eq!(again.as_ref(), Ok(&patch), "a patch reads back as it was");
    let mut writer = JsonWriter::new();
    patch.write(&mut writer);
    let written = Json::parse(writer.into_string().as_bytes(), &Limits::wire());
    assert_eq!(
        written.ok(),
        Some(patch.to_json()),
        "a patch is written as it reads"
    );

    match patch.apply(&doc, &APPLY) {
        Err(error) => check_line(&error.to_string()),
        Ok(result) => {
            check_pair(&doc, &result);
            check_touched(&doc, &result, &patch);
        }
    }
}

/// Reads a document and a merge patch, applies it, and checks what must hold.
pub fn fuzz_merge_patch(data: &[u8]) {
    let Some((doc, patch)) = two_documents(data) else {
        return;
    };
    let result = apply_merge_patch(&doc, &patch);
    assert_eq!(
        apply_merge_patch(&result, &patch),
        result,
        "a merge patch is idempotent"
    );
    check_pair(&doc, &result);
}

/// Reads up to three documents, each on a line and missing where the line is empty, merges them,
/// and checks all laws.
pub fn fuzz_merge(data: &[u8]) {
    let mut lines = data.splitn(3, |&byte| byte == b'\n');
    let mut side = || match lines.next() {
        None | Some([]) => Some(None),
        Some(line) => Json::parse(line, &Limits::default()).ok().map(Some),
    };
    let (Some(base), Some(ours), Some(theirs)) = (side(), side(), side()) else {
        return;
    };
    for earlier in [Side::Theirs, Side::Ours] {
        let case = Case {
            base: base.clone(),
            ours: ours.clone(),
            theirs: theirs.clone(),
            earlier,
        };
        if let Err(broken) = check_all(&case) {
            panic!("{broken}");
        }
    }
}

fn two_documents(data: &[u8]) -> Option<(Json, Json)> {
    let middle = data.iter().position(|&byte| byte == b'\n')?;
    let parse = |bytes| Json::parse(bytes, &Limits::default()).ok();
    Some((parse(&data[..middle])?, parse(&data[middle + 1..])?))
}

fn check_pair(from: &Json, to: &Json) {
    let unbounded = ApplyLimits {
        depth_max: usize::MAX,
        weight_max: usize::MAX,
    };
    let patch = diff(from, to);
    assert_eq!(
        patch.apply(from, &unbounded).as_ref(),
        Ok(to),
        "a diff leads where it should"
    );
    assert_eq!(
        patch.is_empty(),
        from == to,
        "only equal documents have an empty diff"
    );
    check_touched(from, to, &patch);
    let text = readable(from, to);
    assert_eq!(text.is_empty(), from == to, "every difference can be read");
    text.split_terminator('\n').for_each(check_line);
}

/// Putting the old values back gives the old document, so nothing else changed.
fn check_touched(from: &Json, to: &Json, patch: &Patch) {
    let mut mended = to.clone();
    for (pointer, old) in old_values(from, patch).into_iter().rev() {
        mended = put_back(mended, &pointer, old);
    }
    assert_eq!(&mended, from, "a patch touches only what it says");
}

fn put_back(doc: Json, pointer: &Pointer, old: Option<Json>) -> Json {
    use crate::Op;
    let path = pointer.clone();
    let op = match (old, doc.pointer(pointer)) {
        (Some(value), Some(_)) => Op::Replace { path, value },
        (Some(value), None) => Op::Add { path, value },
        (None, Some(_)) => Op::Remove { path },
        (None, None) => return doc,
    };
    let unbounded = ApplyLimits {
        depth_max: usize::MAX,
        weight_max: usize::MAX,
    };
    Patch(vec![op])
        .apply(&doc, &unbounded)
        .expect("the place is there")
}

fn check_line(text: &str) {
    let bidi = |char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(
        !text.contains(|char: char| char.is_control() || bidi(char)),
        "harmless: {text:?}"
    );
}
