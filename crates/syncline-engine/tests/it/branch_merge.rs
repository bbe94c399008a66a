//! Merging lines of versions into each other, in both directions and again and again.

use syncline_api::{Code, Problem};
use syncline_engine::{BranchMerge, Principal, Retention, Settings, When};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::conflict::Conflict;
use syncline_model::ids::{BranchName, Name, Version};
use syncline_model::json::Json;
use syncline_model::proposal::{Operation, Precondition, Proposal};
use syncline_rules::Then;
use syncline_store::ConflictQuery;

use crate::{Bench, address, code, json, when};

const TASK: &str = "task/a";

/// The name of a line: `main`, or a branch's.
type Line = &'static str;

fn branch(line: Line) -> Option<BranchName> {
    (line != "main").then(|| BranchName::parse(line).unwrap())
}

impl Bench {
    /// Makes the task with branches that begin as it is.
    async fn forked(data: &str, branches: &[Line]) -> Bench {
        let bench = Bench::new().await;
        bench.create(TASK, &format!(r#"{{"data":{data}}}"#)).await;
        for name in branches {
            bench.begin(name, None).await;
        }
        bench
    }

    fn on(&self, line: Line, operation: Operation, body: &str) -> Proposal {
        Proposal {
            branch: branch(line),
            ..self.proposal(TASK, operation, body)
        }
    }

    async fn begin(&self, name: Line, from: Option<u64>) {
        let begin = self.on(name, Operation::Create, "null");
        self.workspace
            .create_branch(&Principal::owner(), begin, from.map(Version))
            .await
            .unwrap();
    }

    async fn set(&self, line: Line, data: &str) -> Receipt {
        let body = format!(r#"{{"data":{data}}}"#);
        self.submit(self.on(line, Operation::Merge, &body))
            .await
            .unwrap()
    }

    async fn shows(&self, line: Line) -> Json {
        let line = address(TASK).line(branch(line).as_ref());
        let owner = Principal::owner();
        let head = self.workspace.get(&owner, &line, When::Head).await.unwrap();
        head.document.object().get("data").cloned().unwrap()
    }

    async fn merge_as(&self, proposal: Proposal, from: Line) -> Result<Receipt, Problem> {
        let from = branch(from);
        let owner = Principal::owner();
        let done = self
            .workspace
            .merge_branch(&owner, proposal, from.as_ref(), false);
        match done.await? {
            BranchMerge::Done(receipt) => Ok(receipt),
            BranchMerge::Tried { .. } => panic!("it was to be merged"),
        }
    }

    async fn merge_line(&self, from: Line, into: Line) -> Receipt {
        let proposal = self.on(into, Operation::Replace, "null");
        self.merge_as(proposal, from).await.unwrap()
    }

    /// Returns what would clash, and the document that would come of it.
    async fn try_line(&self, from: Line, into: Line) -> (Vec<String>, Json) {
        let (owner, branch) = (Principal::owner(), branch(from));
        let proposal = self.on(into, Operation::Replace, "null");
        let tried = self
            .workspace
            .merge_branch(&owner, proposal, branch.as_ref(), true);
        let BranchMerge::Tried {
            clean,
            clashes,
            document,
        } = tried.await.unwrap()
        else {
            panic!("it was only to be tried")
        };
        assert_eq!(clean, clashes.is_empty());
        (clashes, document.unwrap().get("data").cloned().unwrap())
    }

    async fn waiting(&self) -> Vec<Conflict> {
        let query = ConflictQuery {
            open: true,
            limit: 100,
            ..ConflictQuery::default()
        };
        let found = self.workspace.conflicts(&Principal::owner(), &query).await;
        found.unwrap().conflicts
    }

    async fn choose(&self, line: Line, conflict: &Conflict, side: &str) {
        let body = format!(
            r#"{{"conflict":"{}","version":{},"choose":"{side}"}}"#,
            conflict.id, conflict.version
        );
        self.submit(self.on(line, Operation::Settle, &body))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn p4_a_branch_is_brought_up_to_date() {
    let bench = Bench::forked(r#"{"a":0,"b":0,"c":0}"#, &["try"]).await;
    bench.set("try", r#"{"b":1}"#).await;
    bench.set("main", r#"{"a":1}"#).await;
    let (clashes, document) = bench.try_line("main", "try").await;
    assert_eq!(clashes, [""; 0]);
    assert_eq!(document, json(r#"{"a":1,"b":1,"c":0}"#));
    assert_eq!(bench.shows("try").await, json(r#"{"a":0,"b":1,"c":0}"#));
    let merged = bench.merge_line("main", "try").await;
    assert_eq!(merged.outcome, Outcome::Merged);
    assert_eq!(merged.branch, branch("try"));
    assert_eq!(bench.shows("try").await, json(r#"{"a":1,"b":1,"c":0}"#));
    assert_eq!(bench.shows("main").await, json(r#"{"a":1,"b":0,"c":0}"#));
    let again = bench.merge_line("main", "try").await;
    assert_eq!(again.outcome, Outcome::Unchanged);

    // From there on: what the branch does with main's value is its own.
    bench.set("try", r#"{"a":2}"#).await;
    bench.set("main", r#"{"c":3}"#).await;
    bench.merge_line("main", "try").await;
    assert_eq!(bench.shows("try").await, json(r#"{"a":2,"b":1,"c":3}"#));
    bench.merge_line("try", "main").await;
    assert_eq!(bench.shows("main").await, json(r#"{"a":2,"b":1,"c":3}"#));
}

#[tokio::test]
async fn p4_what_clashes_waits_in_the_line_that_is_merged_into() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    bench.set("main", r#"{"x":2}"#).await;
    assert_eq!(bench.try_line("main", "try").await.0, ["/data/x"]);
    let clash = bench.merge_line("main", "try").await;
    assert_eq!(clash.outcome, Outcome::Conflict);
    assert_eq!(bench.shows("try").await, json(r#"{"x":1}"#));
    let [waits] = bench.waiting().await.try_into().unwrap();
    assert_eq!(waits.branch, branch("try"));
    assert_eq!(
        (waits.ours, waits.theirs),
        (Some(json("2")), Some(json("1")))
    );
}

#[tokio::test]
async fn p4_what_was_settled_is_carried_over_and_never_asked_again() {
    for (side, value) in [("ours", 1), ("theirs", 2)] {
        let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
        bench.set("try", r#"{"x":1}"#).await;
        bench.set("main", r#"{"x":2}"#).await;
        let clash = bench.merge_line("try", "main").await;
        assert_eq!(clash.outcome, Outcome::Conflict);
        let [waits] = bench.waiting().await.try_into().unwrap();
        bench.choose("main", &waits, side).await;
        let settled = json(&format!(r#"{{"x":{value}}}"#));
        for (from, into) in [("main", "try"), ("try", "main"), ("main", "try")] {
            let merged = bench.merge_line(from, into).await;
            assert_ne!(
                merged.outcome,
                Outcome::Conflict,
                "{side}: {from} into {into}"
            );
            assert_eq!(bench.shows("main").await, settled, "{side}");
        }
        assert_eq!(bench.shows("try").await, settled, "{side}");
    }
}

/// What a place shows while it waits is nobody's choice, and replaces nothing elsewhere.
#[tokio::test]
async fn p4_what_waits_overwrites_nothing_in_the_other_line() {
    let bench = Bench::forked(r#"{"x":0,"y":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1,"y":1}"#).await;
    bench.set("main", r#"{"x":2}"#).await;
    bench.merge_line("main", "try").await;
    assert_eq!(bench.try_line("try", "main").await.0, ["/data/x"]);
    let back = bench.merge_line("try", "main").await;
    assert_eq!(back.outcome, Outcome::Conflict);
    assert_eq!(bench.shows("main").await, json(r#"{"x":2,"y":1}"#));
    let waiting = bench.waiting().await;
    assert_eq!(waiting.len(), 2);
    for conflict in &waiting {
        let line = if conflict.branch.is_some() {
            "try"
        } else {
            "main"
        };
        let side = if line == "main" { "theirs" } else { "ours" };
        bench.choose(line, conflict, side).await;
    }
    bench.merge_line("main", "try").await;
    bench.merge_line("try", "main").await;
    assert_eq!(bench.shows("main").await, json(r#"{"x":2,"y":1}"#));
    assert_eq!(bench.shows("try").await, json(r#"{"x":2,"y":1}"#));
}

/// A merge that finds everything there already counts all the same.
#[tokio::test]
async fn p4_what_a_line_took_back_does_not_come_again() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    bench.set("main", r#"{"x":1}"#).await;
    let merged = bench.merge_line("try", "main").await;
    assert_eq!(merged.outcome, Outcome::Merged);
    assert_eq!(merged.version, Some(Version(3)));
    bench.set("main", r#"{"x":0}"#).await;
    let again = bench.merge_line("try", "main").await;
    assert_eq!(again.outcome, Outcome::Unchanged);
    assert_eq!(bench.shows("main").await, json(r#"{"x":0}"#));
    bench.merge_line("main", "try").await;
    assert_eq!(bench.shows("try").await, json(r#"{"x":0}"#));
}

/// Whoever wrote a place last, having seen what was there, is whose value stands in both lines.
#[tokio::test]
async fn p4_merges_in_both_directions_keep_the_last_word_on_each_place() {
    const KEYS: usize = 4;
    for seed in 1..=60_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % n).unwrap()
        };
        let bench = Bench::forked(r#"{"k0":0,"k1":0,"k2":0,"k3":0}"#, &["try"]).await;
        let lines = ["main", "try"];
        // When each place was written last, as far as each line knows.
        let mut known = [[0_u64; KEYS]; 2];
        for step in 1..=40_u64 {
            let line = below(2);
            let other = 1 - line;
            if below(3) > 0 {
                let key = below(4);
                if known[line][key] >= known[other][key] {
                    // Values come again, so that equal ones do not mean that nothing happened.
                    bench
                        .set(lines[line], &format!(r#"{{"k{key}":{}}}"#, step % 2))
                        .await;
                    known[line][key] = step;
                }
            } else {
                let merged = bench.merge_line(lines[other], lines[line]).await;
                assert_ne!(
                    merged.outcome,
                    Outcome::Conflict,
                    "seed {seed}, step {step}"
                );
                let newest = std::array::from_fn(|key| known[0][key].max(known[1][key]));
                known[line] = newest;
            }
            let shown = bench.shows(lines[line]).await;
            for (key, stamp) in known[line].iter().enumerate() {
                let value = shown.get(&format!("k{key}"));
                let wanted = Json::from(stamp % 2);
                assert_eq!(value, Some(&wanted), "seed {seed}, step {step}, k{key}");
            }
        }
    }
}

#[tokio::test]
async fn a_merge_that_was_undone_is_not_made_again_by_itself() {
    let bench = Bench::forked(r#"{"x":0,"y":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    bench.merge_line("try", "main").await;
    let undo = bench.on("main", Operation::Rollback, "null");
    let undone = bench.workspace.undo(&Principal::owner(), undo).await;
    assert_eq!(undone.unwrap().version, Some(Version(3)));
    bench.set("try", r#"{"y":1}"#).await;
    bench.merge_line("try", "main").await;
    assert_eq!(bench.shows("main").await, json(r#"{"x":0,"y":1}"#));
}

#[tokio::test]
async fn a_branch_that_is_begun_again_begins_anew() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    bench.merge_line("try", "main").await;
    bench.merge_line("main", "try").await;
    let delete = bench.on("try", Operation::Delete, "null");
    bench
        .submit(when(delete, Precondition::MatchAny))
        .await
        .unwrap();
    bench.begin("try", Some(1)).await;
    bench.set("try", r#"{"y":1}"#).await;
    bench.merge_line("try", "main").await;
    assert_eq!(bench.shows("main").await, json(r#"{"x":1,"y":1}"#));
    bench.merge_line("main", "try").await;
    assert_eq!(bench.shows("try").await, json(r#"{"x":1,"y":1}"#));
}

#[tokio::test]
async fn branches_merge_with_each_other() {
    let bench = Bench::forked(r#"{"x":0,"y":0,"z":0}"#, &["old"]).await;
    bench.set("main", r#"{"x":1}"#).await;
    bench.begin("new", None).await;
    bench.set("old", r#"{"y":1}"#).await;
    bench.set("new", r#"{"z":1}"#).await;
    // They have in common what main was when the older one began.
    bench.merge_line("new", "old").await;
    assert_eq!(bench.shows("old").await, json(r#"{"x":1,"y":1,"z":1}"#));
    bench.set("old", r#"{"z":0}"#).await;
    bench.merge_line("old", "new").await;
    assert_eq!(bench.shows("new").await, json(r#"{"x":1,"y":1,"z":0}"#));
    assert_eq!(bench.shows("main").await, json(r#"{"x":1,"y":0,"z":0}"#));
}

#[tokio::test]
async fn a_line_is_not_merged_into_itself() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    for line in ["main", "try"] {
        let proposal = bench.on(line, Operation::Replace, "null");
        assert_eq!(code(bench.merge_as(proposal, line).await), Code::Invalid);
    }
}

#[tokio::test]
async fn strategies_hold_for_merges_of_lines_too() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    bench.set("main", r#"{"x":2}"#).await;
    let by = |strategy: &str| Proposal {
        strategy: Some(Name::parse(strategy).unwrap()),
        ..bench.on("try", Operation::Replace, "null")
    };
    let refused = bench.merge_as(by("user_choice"), "main").await.unwrap_err();
    assert_eq!(refused.code, Code::StaleBase);
    let sides = refused.sides.unwrap();
    let x = |side: &Option<Json>| side.as_ref()?.get("data")?.get("x").cloned();
    assert_eq!(x(&sides.base), Some(json("0")));
    assert_eq!(x(&sides.ours), Some(json("2")));
    assert_eq!(x(&sides.theirs), Some(json("1")));
    let kept = bench.merge_as(by("keep_both"), "main").await.unwrap();
    assert_eq!(kept.outcome, Outcome::KeptBoth);
    assert_eq!(bench.shows("try").await, json(r#"{"x":1}"#));
    let latest = bench.merge_as(by("latest_wins"), "main").await.unwrap();
    assert_eq!(latest.outcome, Outcome::Merged);
    assert_eq!(bench.shows("try").await, json(r#"{"x":2}"#));
}

#[tokio::test]
async fn p3_a_merge_that_is_sent_again_hears_the_first_answer() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("main", r#"{"x":1}"#).await;
    let merge = bench.on("try", Operation::Replace, "null");
    let first = bench.merge_as(merge.clone(), "main").await.unwrap();
    bench.set("main", r#"{"x":2}"#).await;
    assert_eq!(bench.merge_as(merge, "main").await.unwrap(), first);
    assert_eq!(bench.shows("try").await, json(r#"{"x":1}"#));
}

#[tokio::test]
async fn what_the_next_merge_starts_from_is_never_thinned() {
    const DAY_MS: i64 = 86_400_000;
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Tagged).unwrap());
    let bench = Bench::with(settings).await;
    bench.create(TASK, r#"{"data":{"x":0,"y":0}}"#).await;
    bench.begin("try", None).await;
    bench.set("main", r#"{"x":1}"#).await;
    bench.merge_line("main", "try").await; // v2 of main
    for n in 0..4 {
        bench.set("main", &format!(r#"{{"n":{n}}}"#)).await;
        bench.set("try", &format!(r#"{{"m":{n}}}"#)).await;
    }
    bench.clock.advance_ms(60 * DAY_MS);
    bench.set("try", r#"{"x":0}"#).await;
    bench.set("main", r#"{"y":1}"#).await;
    let compacted = bench.workspace.compact(&Principal::owner(), false).await;
    assert!(compacted.unwrap().thinned > 0);
    let (owner, line) = (Principal::owner(), address(TASK));
    let main = bench
        .workspace
        .get(&owner, &line, When::Version(Version(2)));
    assert_eq!(main.await.unwrap().version, Version(2));
    bench.merge_line("main", "try").await;
    assert_eq!(
        bench.shows("try").await,
        json(r#"{"m":3,"n":3,"x":0,"y":1}"#)
    );
}
