//! Each fault that is put into the merge on purpose is caught by a law.
#![allow(
    clippy::print_stdout,
    reason = "the table is what `cargo xtask mutants` shows"
)]

use super::cases::case;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::panic::{AssertUnwindSafe, catch_unwind};
use syncline_merge::laws::{Case, LAWS, check_all};
use syncline_merge::mutants::{Mutant, with};

const CASES: usize = 3_000;

#[test]
fn every_mutant_is_caught() {
    let mut runner = TestRunner::deterministic();
    let strategy = case();
    let cases: Vec<Case> = (0..CASES)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    let mut survivors = Vec::new();
    println!("{:<16} {:>6}  law", "mutant", "cases");
    let broken = cases.iter().find_map(|case| check_all(case).err());
    assert_eq!(broken, None, "the laws hold without a fault");
    // Faults may panic, many times.
    std::panic::set_hook(Box::new(|_| {}));
    for &mutant in Mutant::ALL {
        match caught(Some(mutant), &cases) {
            Some((after, law)) => println!("{:<16} {after:>6}  {law}", format!("{mutant:?}")),
            None => {
                println!("{:<16} {CASES:>6}  SURVIVES", format!("{mutant:?}"));
                survivors.push(mutant);
            }
        }
    }
    assert!(survivors.is_empty(), "no law catches {survivors:?}");
}

/// After how many cases which law is broken.
fn caught(mutant: Option<Mutant>, cases: &[Case]) -> Option<(usize, &'static str)> {
    cases.iter().enumerate().find_map(|(at, case)| {
        let broken = LAWS.iter().find(|law| {
            let tried = catch_unwind(AssertUnwindSafe(|| with(mutant, || (law.check)(case))));
            !matches!(tried, Ok(Ok(())))
        });
        broken.map(|law| (at + 1, law.name))
    })
}
