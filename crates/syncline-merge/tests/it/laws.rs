//! What must hold for all documents. `syncline_merge::fuzz` states the laws; here they are tried.

use crate::arbitrary::{doc_and_patch, document, pair};
use crate::{WIDE, json};
use proptest::prelude::*;
use syncline_merge::{apply_merge_patch, diff, fuzz, readable};
use syncline_model::json::Json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_diff_leads_from_one_to_the_other((from, to) in pair()) {
        let patch = diff(&from, &to);
        prop_assert_eq!(patch.apply(&from, &WIDE), Ok(to.clone()));
        prop_assert_eq!(patch.is_empty(), from == to);
        let back = diff(&to, &from);
        prop_assert_eq!(back.apply(&to, &WIDE), Ok(from));
    }

    #[test]
    fn a_diff_is_not_much_longer_than_a_replacement((from, to) in pair()) {
        let patch = diff(&from, &to).to_json().weight();
        // Twice the document, and the words of a few operations.
        prop_assert!(patch <= 2 * to.weight() + 200, "{} for {}", patch, to.weight());
    }

    #[test]
    fn patches_keep_all_laws((doc, patch) in doc_and_patch()) {
        fuzz::fuzz_patch(format!("{}\n{patch}", doc.to_text()).as_bytes());
    }

    #[test]
    fn merge_patches_keep_all_laws((doc, patch) in pair()) {
        fuzz::fuzz_merge_patch(format!("{}\n{}", doc.to_text(), patch.to_text()).as_bytes());
    }

    #[test]
    fn a_merge_patch_is_found_in_its_result(doc in document(), patch in document()) {
        prop_assert!(says(&apply_merge_patch(&doc, &patch), &patch));
    }

    #[test]
    fn anything_can_be_thrown_at_the_readers(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz::fuzz_patch(&data);
        fuzz::fuzz_merge_patch(&data);
    }

    #[test]
    fn readable_text_is_harmless((from, to) in pair()) {
        let text = readable(&from, &to);
        prop_assert_eq!(text.is_empty(), from == to);
        let acts = |char: char| char != '\n' && char.is_control()
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}');
        prop_assert!(!text.contains(acts), "{:?}", text);
    }
}

fn says(result: &Json, patch: &Json) -> bool {
    match patch.as_object() {
        None => result == patch,
        Some(members) => members.iter().all(|(key, value)| match result.get(key) {
            Some(found) => !value.is_null() && says(found, value),
            None => value.is_null(),
        }),
    }
}

#[test]
fn the_laws_reach_real_patches() {
    // A patch that fails says so in one harmless line, whatever its path holds.
    let doc = json("{}").to_text();
    let patch = r#"[{"op":"remove","path":"/\u001b[2J\n\u202e"}]"#;
    fuzz::fuzz_patch(format!("{doc}\n{patch}").as_bytes());
}
