//! Merging lines of versions into each other, in both directions and again and again.

mod authors;
mod disputes;

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_engine::{BranchMerge, Principal, Retention, Settings, When};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::conflict::Conflict;
use syncline_model::ids::{BranchName, Kind, Name, Version};
use syncline_model::json::Json;
use syncline_model::proposal::{Actor, Base, Operation, Precondition, Proposal};
use syncline_rules::{Ranks, Then};
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

    /// Declares what tasks look like in `data`.
    async fn declare(&self, properties: &str) {
        let declared = json(&format!(r#"{{"schema":{{"properties":{properties}}}}}"#));
        let put = self.proposal(TASK, Operation::Replace, "null");
        let kind = Kind::parse("task").unwrap();
        let owner = Principal::owner();
        let put = self.workspace.put_schema(&owner, &kind, &declared, put);
        put.await.unwrap();
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

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> usize {
        let Random(random) = self;
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        usize::try_from(*random % n).unwrap()
    }
}

/// What a line has in it.
#[derive(Clone, Default)]
struct Known {
    /// When each place was written last.
    written: [u64; 4],
    /// The steps that counted up, which is by their own number.
    counted: BTreeSet<u64>,
}

impl Known {
    fn take(&mut self, other: &Known) {
        self.written = std::array::from_fn(|key| self.written[key].max(other.written[key]));
        self.counted.extend(&other.counted);
    }

    fn data(&self) -> String {
        let places = self.written.iter().enumerate();
        // Values come again, so that equal ones do not mean that nothing happened.
        let places: String = places
            .map(|(key, stamp)| format!(r#""k{key}":{},"#, stamp % 2))
            .collect();
        let items: Vec<_> = self.counted.iter().map(u64::to_string).collect();
        let sum: u64 = self.counted.iter().sum();
        format!(r#"{{{places}"n":{sum},"s":[{}]}}"#, items.join(","))
    }
}

/// Whoever wrote a place last, having seen what was there, is whose value stands in all lines; what
/// was counted counts once, by whatever way it came.
#[tokio::test]
async fn p4_merges_in_all_directions_keep_the_last_word_and_count_once() {
    for (lines, seeds) in [
        (&["main", "a"][..], 1..=10_u64),
        (&["main", "a", "b", "c"], 11..=30),
        (&["main", "a", "b", "c", "d", "e"], 250..=260),
    ] {
        for seed in seeds {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let bench = Bench::new().await;
            bench
                .declare(r#"{"n":{"x-merge":"counter"},"s":{"x-merge":"set"}}"#)
                .await;
            let first = Known::default().data();
            bench.create(TASK, &format!(r#"{{"data":{first}}}"#)).await;
            for line in &lines[1..] {
                bench.begin(line, None).await;
            }
            let mut known = vec![Known::default(); lines.len()];
            for step in 1..=40_u64 {
                let line = random.below(lines.len() as u64);
                let other = (line + 1 + random.below(lines.len() as u64 - 1)) % lines.len();
                match random.below(4) {
                    0 => {
                        let key = random.below(4);
                        let newest = known.iter().map(|known| known.written[key]).max();
                        if Some(known[line].written[key]) == newest {
                            known[line].written[key] = step;
                        }
                    }
                    1 => drop(known[line].counted.insert(step)),
                    _ => {
                        let merged = bench.merge_line(lines[other], lines[line]).await;
                        assert_ne!(
                            merged.outcome,
                            Outcome::Conflict,
                            "seed {seed}, step {step}"
                        );
                        let other = known[other].clone();
                        known[line].take(&other);
                        let shown = sorted(bench.shows(lines[line]).await);
                        assert_eq!(shown, json(&known[line].data()), "seed {seed}, step {step}");
                        continue;
                    }
                }
                bench.set(lines[line], &known[line].data()).await;
            }
        }
    }
}

/// Sorts the items of the set: their order is that of their arrival.
fn sorted(data: Json) -> Json {
    let mut items = data.get("s").and_then(Json::as_array).unwrap().to_vec();
    items.sort_by_key(|item| item.as_u64());
    let mut data = data.as_object().unwrap().clone();
    data.insert("s", Json::from(items));
    Json::Object(data)
}

/// Each of two lines merged the third on its own: neither of what they have in common comes of the
/// other.
#[tokio::test]
async fn p4_what_came_by_two_ways_counts_once() {
    let bench = Bench::new().await;
    bench.declare(r#"{"n":{"x-merge":"counter"}}"#).await;
    bench.create(TASK, r#"{"data":{"n":0}}"#).await;
    for line in ["a", "b", "c", "d"] {
        bench.begin(line, None).await;
    }
    bench.set("a", r#"{"n":1}"#).await;
    bench.set("b", r#"{"n":10}"#).await;
    for into in ["c", "d"] {
        for from in ["a", "b"] {
            bench.merge_line(from, into).await;
        }
        assert_eq!(bench.shows(into).await, json(r#"{"n":11}"#));
    }
    bench.set("c", r#"{"n":111}"#).await;
    assert_eq!(bench.try_line("c", "d").await.1, json(r#"{"n":111}"#));
    bench.merge_line("c", "d").await;
    bench.merge_line("a", "main").await;
    bench.merge_line("d", "main").await;
    for line in ["d", "main"] {
        assert_eq!(bench.shows(line).await, json(r#"{"n":111}"#), "{line}");
    }
}

/// Merges of one branch that meet count what it counted once.
#[tokio::test]
async fn p4_merges_at_the_same_moment_count_once() {
    let bench = Arc::new(Bench::new().await);
    bench.declare(r#"{"n":{"x-merge":"counter"}}"#).await;
    bench.create(TASK, r#"{"data":{"n":0}}"#).await;
    bench.begin("try", None).await;
    bench.set("try", r#"{"n":5}"#).await;
    let merges = (0..8).map(|_| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.merge_line("try", "main").await })
    });
    let merges: Vec<_> = merges.collect();
    let mut made = 0;
    for merge in merges {
        made += usize::from(merge.await.unwrap().outcome != Outcome::Unchanged);
    }
    assert_eq!(made, 1);
    assert_eq!(bench.shows("main").await, json(r#"{"n":5}"#));
}

/// Of undos at the same moment each takes back another change, or what the one before did.
#[tokio::test]
async fn p4_undos_at_the_same_moment_take_nothing_back_twice() {
    let bench = Arc::new(Bench::new().await);
    bench.declare(r#"{"n":{"x-merge":"counter"}}"#).await;
    bench.create(TASK, r#"{"data":{"n":10}}"#).await;
    bench.set("main", r#"{"n":15}"#).await;
    let undos = (0..4).map(|_| {
        let bench = bench.clone();
        tokio::spawn(async move {
            let undo = bench.on("main", Operation::Rollback, "null");
            bench
                .workspace
                .undo(&Principal::owner(), undo)
                .await
                .unwrap();
        })
    });
    for undo in undos.collect::<Vec<_>>() {
        undo.await.unwrap();
    }
    // Each undoes the one before: it is the writer's newest change.
    assert_eq!(bench.shows("main").await, json(r#"{"n":15}"#));
}

/// A trial says what the merge would, by schema and strategy.
#[tokio::test]
async fn a_trial_decides_as_the_merge_does() {
    let bench = Bench::new().await;
    bench
        .declare(r#"{"n":{"x-merge":"counter","maximum":9}}"#)
        .await;
    bench.create(TASK, r#"{"data":{"n":0,"x":0}}"#).await;
    bench.begin("try", None).await;
    bench.set("try", r#"{"n":5}"#).await;
    bench.set("main", r#"{"n":6}"#).await;
    assert_eq!(bench.try_line("try", "main").await.0, [""]);
    assert_eq!(
        bench.merge_line("try", "main").await.outcome,
        Outcome::Conflict
    );
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    bench.set("main", r#"{"x":2}"#).await;
    for (strategy, clean) in [
        ("latest_wins", true),
        ("keep_both", false),
        ("manual", false),
    ] {
        let proposal = Proposal {
            strategy: Some(Name::parse(strategy).unwrap()),
            ..bench.on("main", Operation::Replace, "null")
        };
        let from = branch("try");
        let owner = Principal::owner();
        let tried = bench
            .workspace
            .merge_branch(&owner, proposal, from.as_ref(), true);
        let BranchMerge::Tried { clean: tried, .. } = tried.await.unwrap() else {
            panic!("it was only to be tried")
        };
        assert_eq!(tried, clean, "{strategy}");
    }
}

/// What was ended on purpose does not come back by undoing what came after.
#[tokio::test]
async fn an_undo_goes_back_to_no_earlier_life() {
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    bench.set("try", r#"{"x":1}"#).await;
    for line in ["try", "main"] {
        let delete = bench.on(line, Operation::Delete, "null");
        bench
            .submit(when(delete, Precondition::MatchAny))
            .await
            .unwrap();
        match line {
            "main" => drop(bench.create(TASK, r#"{"data":{"x":7}}"#).await),
            _ => bench.begin("try", None).await,
        }
        let undo = bench.on(line, Operation::Rollback, "null");
        let undone = bench.workspace.undo(&Principal::owner(), undo).await;
        assert_eq!(code(undone), Code::Invalid, "{line}");
    }
    let owner = Principal::owner();
    let branches = bench
        .workspace
        .branches(&owner, &address(TASK), None, 9)
        .await;
    assert_eq!(branches.unwrap().0[0].from, Some(Version(1)));
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
