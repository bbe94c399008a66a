//! Concurrent writes, conflicts, branches and history, through the engine.

use syncline_api::Code;
use syncline_engine::{BranchMerge, Principal, Ranks, Settings, When};
use syncline_model::change::Outcome;
use syncline_model::conflict::{ConflictKind, ConflictState};
use syncline_model::ids::{BranchName, Kind, Name, Seq, Version};
use syncline_model::json::Json;
use syncline_model::proposal::{Base, Operation, Proposal};
use syncline_model::time::Hlc;
use syncline_store::ConflictQuery;

use crate::{Bench, address, based, code, json};

const TASK: &str = "task/a";

impl Bench {
    async fn data(&self, context: &str) -> Json {
        let head = self.head(context).await;
        head.document.object().get("data").cloned().unwrap()
    }

    async fn write_on(&self, base: &str, body: &str) -> syncline_model::change::Receipt {
        let proposal = based(self.proposal(TASK, Operation::Merge, body), base);
        self.submit(proposal).await.unwrap()
    }

    async fn open_conflicts(&self) -> Vec<syncline_model::conflict::Conflict> {
        let query = ConflictQuery {
            open: true,
            limit: 100,
            ..ConflictQuery::default()
        };
        let owner = Principal::owner();
        self.workspace
            .conflicts(&owner, &query)
            .await
            .unwrap()
            .conflicts
    }

    async fn settle(
        &self,
        id: &str,
        version: u64,
        choice: &str,
    ) -> Result<syncline_model::change::Receipt, syncline_api::Problem> {
        let body = format!(r#"{{"conflict":"{id}","version":{version},{choice}}}"#);
        self.submit(self.proposal(TASK, Operation::Settle, &body))
            .await
    }
}

#[tokio::test]
async fn p4_concurrent_writes_merge_and_clashes_are_found_afterwards() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"a":1,"s":"open"}}"#).await;
    let first = bench.write_on("1", r#"{"data":{"a":2,"s":"done"}}"#).await;
    assert_eq!(first.outcome, Outcome::Applied);
    let second = bench.write_on("1", r#"{"data":{"b":3}}"#).await;
    assert_eq!(second.outcome, Outcome::Merged);
    assert_eq!(second.detected, [ConflictKind::Version]);
    let third = bench.write_on("1", r#"{"data":{"c":4,"s":"stuck"}}"#).await;
    assert_eq!(third.outcome, Outcome::Conflict);
    assert_eq!(third.conflicts.len(), 1);
    assert_eq!(
        bench.data(TASK).await,
        json(r#"{"a":2,"b":3,"c":4,"s":"done"}"#)
    );
    let waiting = bench.open_conflicts().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].id.to_string(), third.conflicts[0]);
    assert_eq!(waiting[0].ours, Some(Json::from("stuck")));
    let head = bench.head(TASK).await;
    assert_eq!(head.conflicts.len(), 1);
}

#[tokio::test]
async fn a_settlement_is_a_change_that_can_be_rolled_back() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"s":"open"}}"#).await;
    bench.write_on("1", r#"{"data":{"s":"done"}}"#).await;
    let clash = bench.write_on("1", r#"{"data":{"s":"stuck"}}"#).await;
    let id = &clash.conflicts[0];
    assert_eq!(
        code(bench.settle(id, 9, r#""choose":"ours""#).await),
        Code::PreconditionFailed
    );
    let settled = bench.settle(id, 1, r#""choose":"ours""#).await.unwrap();
    assert_eq!(bench.data(TASK).await, json(r#"{"s":"stuck"}"#));
    assert!(bench.open_conflicts().await.is_empty());
    let ended = id.parse().unwrap();
    let ended = bench
        .workspace
        .conflict(&Principal::owner(), &ended)
        .await
        .unwrap();
    assert_eq!(ended.state, ConflictState::Settled);
    assert_eq!(ended.settled_by, Some(settled.id));
    assert_eq!(
        code(bench.settle(id, 2, r#""choose":"ours""#).await),
        Code::PreconditionFailed
    );

    let back = format!(r#"{{"version":{}}}"#, clash.version.unwrap());
    let back = bench.proposal(TASK, Operation::Rollback, &back);
    let back = bench.submit(back).await.unwrap();
    assert_eq!(back.conflicts, [id.as_str()]);
    assert_eq!(bench.data(TASK).await, json(r#"{"s":"done"}"#));
    let waiting = bench.open_conflicts().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].version, waiting[0].reopened), (3, back.version));
    // What only moves a side of it names it no more.
    let moved = bench.merge(TASK, r#"{"data":{"s":"moved"}}"#).await;
    assert!(moved.unwrap().conflicts.is_empty());
    bench.settle(id, 4, r#""value":"both""#).await.unwrap();
    assert_eq!(bench.data(TASK).await, json(r#"{"s":"both"}"#));

    let undo = bench.proposal(TASK, Operation::Rollback, "null");
    let undone = bench.workspace.undo(&Principal::owner(), undo).await;
    assert_eq!(undone.unwrap().conflicts, [id.as_str()]);
    let log = bench.workspace.read_log(Seq::ZERO, 100).await.unwrap();
    let told = log
        .last()
        .unwrap()
        .change
        .opened()
        .map(|c| c.id.to_string());
    assert_eq!(told.collect::<Vec<_>>(), [id.as_str()]);
}

#[tokio::test]
async fn p3_a_refused_settlement_is_heard_again_with_its_sides() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"s":"open"}}"#).await;
    bench.write_on("1", r#"{"data":{"s":"done"}}"#).await;
    let clash = bench.write_on("1", r#"{"data":{"s":"stuck"}}"#).await;
    let id = &clash.conflicts[0];
    let settle = |version: u64| {
        let body = format!(r#"{{"conflict":"{id}","version":{version},"choose":"ours"}}"#);
        bench.proposal(TASK, Operation::Settle, &body)
    };
    let early = settle(9);
    let first = bench.submit(early.clone()).await.unwrap_err();
    let sides = first.sides.clone().unwrap();
    assert_eq!(sides.base, Some(Json::from("open")));
    assert_eq!(sides.ours, Some(Json::from("stuck")));
    assert_eq!(sides.theirs, Some(Json::from("done")));
    bench
        .merge(TASK, r#"{"data":{"s":"moved"}}"#)
        .await
        .unwrap();
    bench.submit(settle(2)).await.unwrap();
    let late = settle(3);
    let ended = bench.submit(late.clone()).await.unwrap_err();
    assert_eq!(
        ended.sides.as_ref().unwrap().theirs,
        Some(Json::from("stuck"))
    );
    bench
        .merge(TASK, r#"{"data":{"s":"later"}}"#)
        .await
        .unwrap();
    assert_eq!(bench.submit(early).await.unwrap_err(), first);
    assert_eq!(bench.submit(late).await.unwrap_err(), ended);
}

/// A base named by change id is the document as its writer saw it: their own value, not the head's.
#[tokio::test]
async fn p4_a_base_named_by_change_id_is_what_its_writer_saw() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"s":"open","n":0}}"#).await;
    bench.write_on("1", r#"{"data":{"s":"done"}}"#).await;
    let mine = bench.write_on("1", r#"{"data":{"n":1}}"#).await;
    assert_eq!(mine.outcome, Outcome::Merged);
    // The writer never saw "done", so its next word on that field clashes.
    let again = bench
        .write_on(&mine.id.to_string(), r#"{"data":{"s":"stuck","n":2}}"#)
        .await;
    assert_eq!(again.outcome, Outcome::Conflict);
    assert_eq!(bench.data(TASK).await, json(r#"{"n":2,"s":"done"}"#));
}

#[tokio::test]
async fn branches_are_written_compared_and_merged_more_than_once() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let name = BranchName::parse("try-b").unwrap();
    bench.create(TASK, r#"{"data":{"a":1,"b":1}}"#).await;
    let begin = bench.proposal(TASK, Operation::Create, "{}");
    let begin = syncline_model::proposal::Proposal {
        branch: Some(name.clone()),
        ..begin
    };
    bench
        .workspace
        .create_branch(&owner, begin, None)
        .await
        .unwrap();
    let on_branch = |body: &str| {
        let mut proposal = bench.proposal(TASK, Operation::Merge, body);
        proposal.branch = Some(name.clone());
        proposal
    };
    bench
        .submit(on_branch(r#"{"data":{"b":2}}"#))
        .await
        .unwrap();
    bench.merge(TASK, r#"{"data":{"a":9}}"#).await.unwrap();
    assert_eq!(bench.data(TASK).await, json(r#"{"a":9,"b":1}"#));
    let line = address(TASK).line(Some(&name));
    let head = bench
        .workspace
        .get(&owner, &line, When::Head)
        .await
        .unwrap();
    assert_eq!(head.version, Version(2));

    let merge = |dry_run| {
        let proposal = bench.proposal(TASK, Operation::Replace, "null");
        bench
            .workspace
            .merge_branch(&owner, proposal, Some(&name), dry_run)
    };
    let BranchMerge::Tried { clean, .. } = merge(true).await.unwrap() else {
        panic!("it was only to be tried")
    };
    assert!(clean);
    let BranchMerge::Done(receipt) = merge(false).await.unwrap() else {
        panic!("it was to be merged")
    };
    assert_eq!(receipt.outcome, Outcome::Merged);
    assert_eq!(bench.data(TASK).await, json(r#"{"a":9,"b":2}"#));

    // What main got meanwhile is not taken back by the next merge.
    bench.merge(TASK, r#"{"data":{"c":7}}"#).await.unwrap();
    bench
        .submit(on_branch(r#"{"data":{"b":3}}"#))
        .await
        .unwrap();
    merge(false).await.unwrap();
    assert_eq!(bench.data(TASK).await, json(r#"{"a":9,"b":3,"c":7}"#));

    let (branches, _) = bench
        .workspace
        .branches(&owner, &address(TASK), None, 100)
        .await
        .unwrap();
    assert_eq!(branches.len(), 1);
    assert_eq!(branches[0].from, Some(Version(1)));
    let delete = syncline_model::proposal::Proposal {
        operation: Operation::Delete,
        base: Some(Base::Version(Version(3))),
        body: Json::Null,
        ..on_branch("null")
    };
    bench.submit(delete).await.unwrap();
    assert!(
        bench
            .workspace
            .branches(&owner, &address(TASK), None, 100)
            .await
            .unwrap()
            .0
            .is_empty()
    );
    assert_eq!(bench.data(TASK).await, json(r#"{"a":9,"b":3,"c":7}"#));
}

#[tokio::test]
async fn undo_takes_back_mine_and_keeps_theirs() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    bench.create(TASK, r#"{"data":{"a":1}}"#).await;
    let by = |agent: &str, body: &str| {
        let mut proposal = bench.proposal(TASK, Operation::Merge, body);
        proposal.actor.agent = Some(Name::parse(agent).unwrap());
        proposal
    };
    bench
        .submit(by("claude", r#"{"data":{"mine":1}}"#))
        .await
        .unwrap();
    bench
        .submit(by("codex", r#"{"data":{"theirs":2}}"#))
        .await
        .unwrap();
    let undo = by("claude", "null");
    bench.workspace.undo(&owner, undo).await.unwrap();
    assert_eq!(bench.data(TASK).await, json(r#"{"a":1,"theirs":2}"#));
}

#[tokio::test]
async fn blame_names_who_set_a_field_and_what_it_beat() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"s":"open","t":1}}"#).await;
    bench.write_on("1", r#"{"data":{"s":"done"}}"#).await;
    let mut late = based(
        bench.proposal(TASK, Operation::Merge, r#"{"data":{"s":"stuck"}}"#),
        "1",
    );
    late.strategy = Some(Name::parse("latest_wins").unwrap());
    let late = bench.submit(late).await.unwrap();
    let found = bench
        .workspace
        .blame(&Principal::owner(), &address(TASK), "/data/s")
        .await
        .unwrap();
    assert_eq!(found.entry.change.id, late.id);
    assert_eq!(found.rule.as_deref(), Some("latest_wins"));
    assert_eq!(found.beat, [Json::from("done")]);
    let other = bench
        .workspace
        .blame(&Principal::owner(), &address(TASK), "/data/t")
        .await
        .unwrap();
    assert_eq!(other.entry.change.version, Version(1));
}

/// The earlier side may stand, too, and somebody may have chosen: what it beat is what counts.
#[tokio::test]
async fn blame_tells_what_a_value_stood_against_since() {
    let bench = Bench::new().await;
    let blame = async |path: &str| {
        let (owner, line) = (Principal::owner(), address(TASK));
        let found = bench.workspace.blame(&owner, &line, path).await.unwrap();
        (found.entry.change.version.0, found.rule, found.beat)
    };
    bench
        .create(
            TASK,
            r#"{"data":{"s":"open","t":1,"items":[{"id":"a","n":1}]}}"#,
        )
        .await;
    bench.write_on("1", r#"{"data":{"s":"done"}}"#).await;
    let early = Proposal {
        strategy: Some(Name::parse("latest_wins").unwrap()),
        hlc: Some(Hlc::default()),
        ..bench.proposal(TASK, Operation::Merge, r#"{"data":{"s":"stuck"}}"#)
    };
    let lost = bench.submit(based(early, "1")).await.unwrap();
    assert_eq!(lost.outcome, Outcome::Merged);
    let rule = Some("latest_wins".to_owned());
    assert_eq!(
        blame("/data/s").await,
        (2, rule.clone(), vec![Json::from("stuck")])
    );
    // What waits beat nobody yet; once it is settled it did.
    bench.write_on("1", r#"{"data":{"s":"lost"}}"#).await;
    assert_eq!(blame("/data/s").await, (2, rule, vec![Json::from("stuck")]));
    let waiting = bench.open_conflicts().await;
    let body = format!(
        r#"{{"conflict":"{}","version":1,"choose":"theirs"}}"#,
        waiting[0].id
    );
    let settle = bench.proposal(TASK, Operation::Settle, &body);
    bench.submit(settle).await.unwrap();
    let settled = (
        2,
        Some("settled".to_owned()),
        ["lost", "stuck"].map(Json::from).to_vec(),
    );
    assert_eq!(blame("/data/s").await, settled);
    let value = bench.proposal(TASK, Operation::Merge, r#"{"data":{"t":2}}"#);
    bench.submit(value).await.unwrap();
    bench.write_on("1", r#"{"data":{"t":3}}"#).await;
    let waiting = bench.open_conflicts().await;
    let body = format!(
        r#"{{"conflict":"{}","version":1,"choose":"ours"}}"#,
        waiting[0].id
    );
    let settle = bench.proposal(TASK, Operation::Settle, &body);
    let settled = bench.submit(settle).await.unwrap().version.unwrap().0;
    assert_eq!(
        blame("/data/t").await,
        (settled, Some("settled".to_owned()), vec![Json::from(2)])
    );
    // What it stood against before it was written anew is history.
    let value = bench.proposal(TASK, Operation::Merge, r#"{"data":{"t":9}}"#);
    bench.submit(value).await.unwrap();
    assert_eq!(blame("/data/t").await, (settled + 1, None, Vec::new()));
    // An item is found by its key and by its place.
    bench
        .write_on(
            "1",
            r#"{"data":{"items":[{"id":"z","n":0},{"id":"a","n":2}]}}"#,
        )
        .await;
    let late = Proposal {
        strategy: Some(Name::parse("latest_wins").unwrap()),
        ..bench.proposal(
            TASK,
            Operation::Merge,
            r#"{"data":{"items":[{"id":"a","n":3}]}}"#,
        )
    };
    let late = bench
        .submit(based(late, "1"))
        .await
        .unwrap()
        .version
        .unwrap()
        .0;
    let won = (late, Some("latest_wins".to_owned()), vec![Json::from(2)]);
    assert_eq!(blame("/data/items/1/n").await, won);
    assert_eq!(blame("/data/items[id=a]/n").await, won);
}

/// Indexes do not tell whose an item is: where those who touched the array have other ranks, the
/// clash waits.
#[tokio::test]
async fn p4_ranks_do_not_guess_in_arrays() {
    let ranks = ["top", "hi", "mid", "low"].iter().zip([20, 10, 5, 1]);
    let ranks = ranks.map(|(agent, rank)| (format!("agent/{agent}"), rank));
    let mut settings = Settings::default();
    settings.rules.ranks = Ranks(ranks.collect());
    settings.rules.strategy = syncline_model::conflict::Strategy::SourcePriority;
    let bench = Bench::with(settings).await;
    let by = |agent: &str, base: &str, items: &str| {
        let body = format!(r#"{{"data":{{"items":{items}}}}}"#);
        let mut proposal = based(bench.proposal(TASK, Operation::Merge, &body), base);
        proposal.actor.agent = Some(Name::parse(agent).unwrap());
        proposal
    };
    let first = r#"[{"id":"a","n":1},{"id":"b","n":1}]"#;
    bench
        .create(TASK, &format!(r#"{{"data":{{"items":{first}}}}}"#))
        .await;
    let high = by("hi", "1", r#"[{"id":"a","n":1},{"id":"b","n":10}]"#);
    bench.submit(high).await.unwrap();
    let low = r#"[{"id":"z","n":0},{"id":"a","n":1},{"id":"b","n":10}]"#;
    bench.submit(by("low", "2", low)).await.unwrap();
    let mid = by("mid", "1", r#"[{"id":"a","n":1},{"id":"b","n":5}]"#);
    let met = bench.submit(mid).await.unwrap();
    assert_eq!(met.outcome, Outcome::Conflict);
    // Above all of them there is nothing to guess.
    let top = by("top", "1", r#"[{"id":"a","n":1},{"id":"b","n":20}]"#);
    assert_eq!(bench.submit(top).await.unwrap().outcome, Outcome::Merged);
}

/// An item is whose who wrote it, wherever others moved it, and on whichever line.
#[tokio::test]
async fn blame_follows_items_and_lines() {
    let (bench, owner) = (Bench::new().await, Principal::owner());
    let by = async |agent: &str, branch: Option<&str>, body: &str| {
        let mut proposal = bench.proposal(TASK, Operation::Merge, body);
        proposal.actor.agent = Some(Name::parse(agent).unwrap());
        proposal.branch = branch.map(|name| BranchName::parse(name).unwrap());
        bench.submit(proposal).await.unwrap();
    };
    let who = async |line: &syncline_model::ids::Address, path: &str| {
        let blame = bench.workspace.blame(&owner, line, path).await.unwrap();
        let agent = blame.entry.change.actor.agent.clone();
        agent.map_or("owner".to_owned(), |agent| agent.to_string())
    };
    bench
        .create(
            TASK,
            r#"{"data":{"s":0,"items":[{"id":"a","n":1},{"id":"b","n":1}]}}"#,
        )
        .await;
    by(
        "ana",
        None,
        r#"{"data":{"items":[{"id":"a","n":1},{"id":"b","n":2}]}}"#,
    )
    .await;
    by(
        "bob",
        None,
        r#"{"data":{"items":[{"id":"z","n":0},{"id":"b","n":2},{"id":"a","n":1}]}}"#,
    )
    .await;
    let main = address(TASK);
    assert_eq!(who(&main, "/data/items[id=b]/n").await, "ana");
    assert_eq!(who(&main, "/data/items[id=z]/n").await, "bob");
    assert_eq!(who(&main, "/data/items[id=a]/n").await, "owner");

    let name = BranchName::parse("try").unwrap();
    let mut begin = bench.proposal(TASK, Operation::Create, "null");
    begin.branch = Some(name.clone());
    begin.actor.agent = Some(Name::parse("bot").unwrap());
    bench
        .workspace
        .create_branch(&owner, begin, None)
        .await
        .unwrap();
    let line = main.line(Some(&name));
    assert_eq!(who(&line, "/data/items[id=b]/n").await, "ana");
    by("eve", Some("try"), r#"{"data":{"s":1}}"#).await;
    let merge = bench.proposal(TASK, Operation::Replace, "null");
    let merged = bench
        .workspace
        .merge_branch(&owner, merge, Some(&name), false);
    merged.await.unwrap();
    assert_eq!(who(&main, "/data/s").await, "eve");
    assert_eq!(who(&main, "/data/items[id=a]/n").await, "owner");
}

#[tokio::test]
async fn schemas_bind_and_tags_name_versions() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let kind = Kind::parse("task").unwrap();
    let declared =
        json(r#"{"schema":{"properties":{"n":{"type":"integer","x-merge":"counter"}}}}"#);
    let put = bench.proposal(TASK, Operation::Replace, "null");
    bench
        .workspace
        .put_schema(&owner, &kind, &declared, put)
        .await
        .unwrap();
    bench.create(TASK, r#"{"data":{"n":1}}"#).await;
    assert_eq!(
        code(bench.merge(TASK, r#"{"data":{"n":"x"}}"#).await),
        Code::Invalid
    );
    bench.write_on("1", r#"{"data":{"n":3}}"#).await;
    bench.write_on("1", r#"{"data":{"n":2}}"#).await;
    assert_eq!(bench.data(TASK).await, json(r#"{"n":4}"#));
    let bad = json(r#"{"schema":{"type":"nonsense"}}"#);
    let put = bench.proposal(TASK, Operation::Replace, "null");
    let refused = bench.workspace.put_schema(&owner, &kind, &bad, put).await;
    assert_eq!(code(refused), Code::Invalid);

    let name = Name::parse("agreed").unwrap();
    let tag = bench.proposal(TASK, Operation::Merge, "null");
    let context = address(TASK);
    bench
        .workspace
        .put_tag(&owner, &context, (&name, Some(Version(2))), tag)
        .await
        .unwrap();
    let tags = bench.workspace.tags(&owner, &context).await.unwrap();
    assert_eq!(tags.get("agreed").unwrap().get("version"), Some(&json("2")));
    let remove = bench.proposal(TASK, Operation::Merge, "null");
    bench
        .workspace
        .remove_tag(&owner, &context, &name, remove)
        .await
        .unwrap();
    assert!(
        bench
            .workspace
            .tags(&owner, &context)
            .await
            .unwrap()
            .is_empty()
    );
}

/// A writer may name its own change of a moment ago, which no store has yet.
#[tokio::test]
async fn p4_a_base_may_be_a_change_of_the_same_batch() {
    let bench = Bench::new().await;
    let first = bench.proposal(TASK, Operation::Create, r#"{"data":{"n":1}}"#);
    let second = based(
        bench.proposal(TASK, Operation::Merge, r#"{"data":{"n":2}}"#),
        &first.id.to_string(),
    );
    let third = based(
        bench.proposal(TASK, Operation::Merge, r#"{"data":{"n":3}}"#),
        &second.id.to_string(),
    );
    // Made on the first, when the second is there: merged, and then a base itself.
    let aside = based(
        bench.proposal(TASK, Operation::Merge, r#"{"data":{"m":1}}"#),
        &first.id.to_string(),
    );
    let last = based(
        bench.proposal(TASK, Operation::Merge, r#"{"data":{"m":2}}"#),
        &aside.id.to_string(),
    );
    let answer = bench
        .workspace
        .submit_bulk(
            &Principal::owner(),
            syncline_api::BulkMode::Independent,
            None,
            vec![first, second, third, aside, last],
        )
        .await
        .unwrap();
    let outcomes = answer
        .answers
        .iter()
        .map(|(_, a)| a.as_ref().unwrap().outcome);
    assert_eq!(
        outcomes.collect::<Vec<_>>(),
        [
            Outcome::Applied,
            Outcome::Applied,
            Outcome::Applied,
            Outcome::Merged,
            Outcome::Merged
        ]
    );
    assert_eq!(bench.data(TASK).await, json(r#"{"m":2,"n":3}"#));
}

async fn undo(bench: &Bench, agent: &str) -> syncline_model::change::Receipt {
    let mut undo = bench.proposal(TASK, Operation::Rollback, "null");
    undo.actor.agent = Some(Name::parse(agent).unwrap());
    let undone = bench.workspace.undo(&Principal::owner(), undo).await;
    undone.unwrap()
}

#[tokio::test]
async fn p4_an_undo_leaves_what_others_wrote_since_whatever_is_declared() {
    for declared in [
        r#"{"schema":{"properties":{"s":{"x-merge":"last"}}}}"#,
        r#"{"strategy":"latest_wins"}"#,
        r#"{"fallback":"latest_wins"}"#,
    ] {
        let bench = Bench::new().await;
        let (owner, kind) = (Principal::owner(), Kind::parse("task").unwrap());
        let rules = json(declared);
        let put = bench.proposal("task/any", Operation::Replace, "{}");
        let declaring = bench.workspace.put_schema(&owner, &kind, &rules, put);
        declaring.await.unwrap();
        bench.create(TASK, r#"{"data":{"n":1,"s":"open"}}"#).await;
        for (agent, body) in [
            ("a", r#"{"data":{"n":2,"s":"doing"}}"#),
            ("b", r#"{"data":{"s":"done"}}"#),
        ] {
            let mut proposal = bench.proposal(TASK, Operation::Merge, body);
            proposal.actor.agent = Some(Name::parse(agent).unwrap());
            bench.submit(proposal).await.unwrap();
        }
        undo(&bench, "a").await;
        let left = json(r#"{"n":1,"s":"done"}"#);
        assert_eq!(bench.data(TASK).await, left, "{declared}");
    }
}

#[tokio::test]
async fn an_undo_takes_back_what_waits_as_well() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"n":1,"s":"open"}}"#).await;
    bench.write_on("1", r#"{"data":{"s":"done"}}"#).await;
    for (body, left) in [
        (r#"{"data":{"s":"stuck"}}"#, r#"{"n":1,"s":"done"}"#),
        (r#"{"data":{"n":7,"s":"stuck"}}"#, r#"{"n":1,"s":"done"}"#),
    ] {
        let proposal = bench.proposal(TASK, Operation::Merge, body);
        let mut proposal = based(proposal, "1");
        proposal.actor.agent = Some(Name::parse("late").unwrap());
        let clash = bench.submit(proposal).await.unwrap();
        assert_eq!(clash.outcome, Outcome::Conflict);
        let undone = undo(&bench, "late").await;
        assert!(undone.version > clash.version, "{undone:?}");
        assert_eq!(bench.data(TASK).await, json(left));
        assert!(bench.open_conflicts().await.is_empty());
    }
}

#[tokio::test]
async fn p4_a_rollback_on_an_old_version_that_only_clashes_waits() {
    let bench = Bench::new().await;
    bench.create(TASK, r#"{"data":{"a":1}}"#).await;
    for n in [2, 3] {
        let body = format!(r#"{{"data":{{"a":{n}}}}}"#);
        bench.merge(TASK, &body).await.unwrap();
    }
    let back = bench.proposal(TASK, Operation::Rollback, r#"{"version":1}"#);
    let back = bench.submit(based(back, "2")).await.unwrap();
    assert_eq!((back.outcome, back.conflicts.len()), (Outcome::Conflict, 1));
    let waiting = bench.open_conflicts().await;
    assert_eq!(waiting[0].ours, Some(Json::from(1u64)));
}

#[tokio::test]
async fn blame_of_an_item_is_not_who_appended_another() {
    let bench = Bench::new().await;
    let steps = r#"{"data":{"s":[{"id":"s1","o":1},{"id":"s2","o":1}]}}"#;
    bench.create(TASK, steps).await;
    let set = r#"[{"op":"replace","path":"/data/s/1/o","value":2}]"#;
    let append = r#"[{"op":"add","path":"/data/s/-","value":{"id":"s3"}}]"#;
    for body in [set, append] {
        let proposal = bench.proposal(TASK, Operation::Patch, body);
        bench.submit(proposal).await.unwrap();
    }
    let set_by = async |path: &str| {
        let (owner, line) = (Principal::owner(), address(TASK));
        let blame = bench.workspace.blame(&owner, &line, path).await;
        blame.unwrap().entry.change.version
    };
    assert_eq!(set_by("/data/s[id=s2]/o").await, Version(2));
    assert_eq!(set_by("/data/s[id=s3]").await, Version(3));
    assert_eq!(set_by("/data/s/2").await, Version(3));
    let odd = bench
        .merge(TASK, r#"{"data":{"a[0]":1,"[x":2}}"#)
        .await
        .unwrap();
    assert_eq!(set_by("/data/a[0]").await, odd.version.unwrap());
    assert_eq!(set_by("/data/[x").await, odd.version.unwrap());
}
