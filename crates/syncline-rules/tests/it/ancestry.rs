//! What lines have in common, against all ancestors written out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use syncline_model::ids::{BranchName, Seq, Version};
use syncline_model::proposal::LineVersion;
use syncline_rules::{Ancestry, Origin};

/// What happens to a context: line 0 is `main`.
#[derive(Clone, Debug)]
enum Step {
    /// A line is written to; a branch that is not there begins as some version of `main`.
    Write(usize, usize),
    /// A line is merged into another, as it is or was a few versions ago.
    Merge { from: usize, into: usize, ago: u64 },
    /// A branch is deleted; the next write begins it anew.
    Delete(usize),
}

const LINES: usize = 5;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..LINES, 0usize..9).prop_map(|(line, back)| Step::Write(line, back)),
        4 => (0..LINES, 0..LINES, 0u64..3).prop_map(|(from, into, ago)| Step::Merge { from, into, ago }),
        1 => (1..LINES).prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..60)
}

/// A version of a line.
type At = (usize, u64);

/// A history, with all that each version came of.
#[derive(Default)]
struct History {
    origins: BTreeMap<At, (u64, Vec<At>)>,
    newest: [u64; LINES],
    /// The version that a branch's present life began with; 0 where it is not there.
    began: [u64; LINES],
    seq: u64,
}

impl History {
    fn of(steps: &[Step]) -> History {
        let mut history = History::default();
        history.began[0] = 1;
        history.add(0, vec![]);
        for step in steps {
            match *step {
                Step::Write(line, back) if history.began[line] == 0 => {
                    let main = history.newest[0];
                    history.began[line] = history.newest[line] + 1;
                    history.add(line, vec![(0, main - (back as u64).min(main - 1))]);
                }
                Step::Write(line, _) => history.add(line, vec![]),
                Step::Merge { from, into, ago } => {
                    let there = history.began[from] > 0 && history.began[into] > 0;
                    let at = history.newest[from].saturating_sub(ago);
                    if there && from != into && at >= history.began[from] {
                        history.add(into, vec![(from, at)]);
                    }
                }
                Step::Delete(line) if history.began[line] > 0 => {
                    history.add(line, vec![]);
                    history.began[line] = 0;
                }
                Step::Delete(_) => {}
            }
        }
        history
    }

    fn add(&mut self, line: usize, mut of: Vec<(usize, u64)>) {
        self.seq += 1;
        self.newest[line] += 1;
        let version = self.newest[line];
        if version > self.began[line] {
            of.push((line, version - 1));
        }
        self.origins.insert((line, version), (self.seq, of));
    }

    fn ancestors(&self, at: (usize, u64)) -> BTreeSet<(usize, u64)> {
        let (mut found, mut left) = (BTreeSet::new(), vec![at]);
        while let Some(at) = left.pop() {
            if found.insert(at) {
                left.extend(&self.origins[&at].1);
            }
        }
        found
    }
}

fn named((line, version): (usize, u64)) -> LineVersion {
    let name = format!("b{line}");
    LineVersion {
        branch: (line > 0).then(|| BranchName::parse(&name).unwrap()),
        version: Version(version),
    }
}

fn numbered(at: &LineVersion) -> (usize, u64) {
    let line = at.branch.as_ref().map_or("b0", BranchName::as_str);
    (line[1..].parse().unwrap(), at.version.0)
}

/// Runs a search, and returns it with the versions that it asked for.
fn search(history: &History, one: (usize, u64), other: (usize, u64)) -> (Ancestry, usize) {
    let mut search = Ancestry::new(&[named(one)], &[named(other)]);
    let mut asked = 0;
    while let Some(at) = search.wanted() {
        let (seq, of) = &history.origins[&numbered(at)];
        asked += 1;
        search.put(Some(Origin {
            seq: Seq(*seq),
            of: of.iter().map(|at| named(*at)).collect(),
        }));
    }
    (search, asked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_points_are_the_newest_common_ancestors(steps in steps()) {
        let history = History::of(&steps);
        let there = (0..LINES).filter(|line| history.began[*line] > 0);
        let ends: Vec<_> = there.map(|line| (line, history.newest[line])).collect();
        for (one, other) in ends.iter().flat_map(|one| ends.iter().map(move |other| (*one, *other))) {
            if one == other {
                continue;
            }
            let (ours, theirs) = (history.ancestors(one), history.ancestors(other));
            let common: BTreeSet<_> = ours.intersection(&theirs).copied().collect();
            let below = common.iter().flat_map(|at| {
                let mut below = history.ancestors(*at);
                below.remove(at);
                below
            });
            let below: BTreeSet<_> = below.collect();
            let mut newest: Vec<_> = common.difference(&below).copied().collect();
            newest.sort_by_key(|at| std::cmp::Reverse(history.origins[at].0));
            let (search, _) = search(&history, one, other);
            let points: Vec<_> = search.points().iter().map(numbered).collect();
            prop_assert_eq!(points, newest);
        }
    }
}

/// A branch that is merged again and again is looked at from its last merge on.
#[test]
fn a_search_looks_no_further_back_than_it_must() {
    let mut steps = vec![Step::Write(1, 0)];
    for _ in 0..100 {
        steps.extend([Step::Write(0, 0), Step::Write(1, 0), Step::Write(2, 0)]);
        steps.push(Step::Merge {
            from: 1,
            into: 0,
            ago: 0,
        });
    }
    steps.push(Step::Write(1, 0));
    let history = History::of(&steps);
    let (search, asked) = search(&history, (1, history.newest[1]), (0, history.newest[0]));
    assert_eq!(search.points(), [named((1, history.newest[1] - 1))]);
    assert!(asked < 8, "{asked}");
}
