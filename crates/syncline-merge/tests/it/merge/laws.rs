//! The laws, each on thousands of cases.

use super::cases::case;
use proptest::prelude::*;
use syncline_merge::fuzz::fuzz_merge;
use syncline_merge::laws::check_all;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn merges_keep_all_laws(case in case()) {
        check_all(&case).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn anything_can_be_thrown_at_the_fuzz_function(data in "[\\[\\]{}:,\"a-c0-2\n]{0,40}") {
        fuzz_merge(data.as_bytes());
    }
}

#[test]
fn the_fuzz_function_reaches_the_laws() {
    let cases = [
        "{\"a\":[1]}\n{\"a\":[1,2]}\n{\"a\":[0,1]}",
        "\n{\"a\":1}\n{\"a\":2}",
        "{\"a\":1}\n\n{\"a\":2}",
        "",
    ];
    cases.iter().for_each(|case| fuzz_merge(case.as_bytes()));
}
