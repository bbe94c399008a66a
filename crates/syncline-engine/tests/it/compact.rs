//! Thinning old versions, and what must not notice it.

use syncline_api::{Code, ResetReason};
use syncline_engine::{BranchMerge, Compaction, Principal, Settings, When};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::ids::{BranchName, Kind, Name, Seq, Version};
use syncline_model::json::Json;
use syncline_model::proposal::{Operation, Proposal};
use syncline_rules::{Retention, Then};

use crate::{Bench, address, based, code, json};

const TASK: &str = "task/a";
const DAY_MS: i64 = 86_400_000;

/// A bench whose workspace keeps one version of each day after 30 days.
async fn daily() -> Bench {
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Daily).unwrap());
    Bench::with(settings).await
}

impl Bench {
    async fn compact(&self) -> Compaction {
        let owner = Principal::owner();
        self.workspace.compact(&owner, false).await.unwrap()
    }

    async fn write(&self, body: &str) -> (Proposal, Receipt) {
        let proposal = self.proposal(TASK, Operation::Merge, body);
        let receipt = self.submit(proposal.clone()).await.unwrap();
        (proposal, receipt)
    }

    /// Writes a number four times a day.
    async fn write_days(&self, days: u64) -> Vec<(Proposal, Receipt)> {
        let mut sent = Vec::new();
        for number in 0..4 * days {
            self.clock.advance_ms(DAY_MS / 4);
            sent.push(self.write(&format!(r#"{{"data":{{"n":{number}}}}}"#)).await);
        }
        sent
    }

    async fn versions_of(&self, line: &str, branch: Option<&str>) -> Vec<u64> {
        let branch = branch.map(|name| BranchName::parse(name).unwrap());
        let line = address(line).line(branch.as_ref());
        let owner = Principal::owner();
        let page = self.workspace.versions(&owner, &line, None, 1_000).await;
        let changes = page.unwrap().changes;
        changes
            .iter()
            .rev()
            .map(|entry| entry.change.version.0)
            .collect()
    }

    async fn at(&self, version: u64) -> Result<Json, syncline_api::Problem> {
        let when = When::Version(Version(version));
        let head = self
            .workspace
            .get(&Principal::owner(), &address(TASK), when)
            .await?;
        Ok(head.document.to_json())
    }

    async fn check_sound(&self) {
        let report = self.engine.verify(&|_| ()).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn p3_what_was_sent_before_a_compaction_is_heard_after_it() {
    let bench = daily().await;
    bench.create(TASK, r#"{"data":{"n":-1}}"#).await;
    let sent = bench.write_days(10).await;
    let seen = documents(&bench, 1..=41).await;
    bench.clock.advance_ms(60 * DAY_MS);
    let owner = Principal::owner();
    let tried = bench.workspace.compact(&owner, true).await.unwrap();
    assert_eq!(bench.versions_of(TASK, None).await.len(), 41);
    let done = bench.compact().await;
    assert_eq!(
        (tried.thinned, tried.contexts),
        (done.thinned, done.contexts)
    );
    assert!(done.bytes > 0 && done.thinned >= 30, "{done:?}");
    let kept = bench.versions_of(TASK, None).await;
    assert_eq!(kept.len() as u64 + done.thinned, 41);
    assert_eq!(kept.last(), Some(&41));
    for (version, seen) in (1..=41).zip(&seen) {
        match kept.contains(&version) {
            true => assert_eq!(bench.at(version).await.unwrap(), *seen),
            false => assert_eq!(code(bench.at(version).await), Code::Thinned),
        }
    }
    for (proposal, receipt) in sent {
        let again = bench.submit(proposal).await.unwrap();
        assert_eq!((again.seq, again.version), (receipt.seq, receipt.version));
    }
    bench.check_sound().await;
    // Once more changes nothing, and the log goes on.
    assert_eq!(bench.compact().await.thinned, 0);
    bench.write(r#"{"data":{"n":99}}"#).await;
    bench.check_sound().await;
}

async fn documents(bench: &Bench, versions: std::ops::RangeInclusive<u64>) -> Vec<Json> {
    let mut all = Vec::new();
    for version in versions {
        all.push(bench.at(version).await.unwrap());
    }
    all
}

#[tokio::test]
async fn without_a_policy_all_is_kept_for_ever() {
    let bench = Bench::new().await;
    bench.create(TASK, "{}").await;
    bench.write_days(5).await;
    bench.clock.advance_ms(10_000 * DAY_MS);
    let done = bench.compact().await;
    assert_eq!(done, Compaction::default());
    assert_eq!(bench.versions_of(TASK, None).await.len(), 21);
}

#[tokio::test]
async fn a_kind_says_how_long_its_versions_are_kept() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let kind = Kind::parse("task").unwrap();
    let declared = json(r#"{"retention":{"keep_all_days":40,"then":2}}"#);
    let proposal = bench.proposal("task/none", Operation::Replace, "{}");
    bench
        .workspace
        .put_schema(&owner, &kind, &declared, proposal)
        .await
        .unwrap();
    bench.create(TASK, "{}").await;
    bench.create("session/s", "{}").await;
    bench.write_days(3).await;
    bench.clock.advance_ms(35 * DAY_MS);
    assert_eq!(bench.compact().await.thinned, 0);
    bench.clock.advance_ms(10 * DAY_MS);
    assert_eq!(bench.compact().await.contexts, 1);
    assert_eq!(bench.versions_of(TASK, None).await, [11, 12, 13]);
    bench.check_sound().await;
}

#[tokio::test]
async fn tags_branches_merges_and_conflicts_are_spared() {
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Tagged).unwrap());
    let bench = Bench::with(settings).await;
    let owner = Principal::owner();
    bench.create(TASK, r#"{"data":{"n":-1,"s":"open"}}"#).await;
    bench.write_days(2).await; // to v9
    let tag = bench.proposal(TASK, Operation::Merge, "{}");
    let name = (&Name::parse("good").unwrap(), Some(Version(4)));
    bench
        .workspace
        .put_tag(&owner, &address(TASK), name, tag)
        .await
        .unwrap();
    let on = |branch: &str, mut proposal: Proposal| {
        proposal.branch = Some(BranchName::parse(branch).unwrap());
        proposal
    };
    let begin = on("try", bench.proposal(TASK, Operation::Create, "{}"));
    bench
        .workspace
        .create_branch(&owner, begin, Some(Version(6)))
        .await
        .unwrap();
    for text in ["a", "b", "c"] {
        let body = format!(r#"{{"data":{{"tried":"{text}"}}}}"#);
        bench
            .submit(on("try", bench.proposal(TASK, Operation::Merge, &body)))
            .await
            .unwrap();
    }
    let branch = BranchName::parse("try").unwrap();
    let merge = |dry_run| {
        let proposal = bench.proposal(TASK, Operation::Replace, "{}");
        bench
            .workspace
            .merge_branch(&owner, proposal, Some(&branch), dry_run)
    };
    assert!(matches!(merge(false).await.unwrap(), BranchMerge::Done(_))); // v10, of try v4
    bench
        .submit(on(
            "try",
            bench.proposal(TASK, Operation::Merge, r#"{"data":{"tried":"d"}}"#),
        ))
        .await
        .unwrap();
    bench.write(r#"{"data":{"s":"done"}}"#).await; // v11
    let clash = based(
        bench.proposal(TASK, Operation::Merge, r#"{"data":{"s":"stuck"}}"#),
        "8",
    );
    let clash = bench.submit(clash).await.unwrap(); // v12
    assert_eq!(clash.outcome, Outcome::Conflict);
    bench.write_days(1).await; // to v16
    bench.clock.advance_ms(60 * DAY_MS);
    bench.write(r#"{"data":{"late":1}}"#).await; // v17
    bench.compact().await;
    // A tag, the branch's beginning, the clash's base, the merge, what the clash met, itself, and
    // what is young.
    assert_eq!(
        bench.versions_of(TASK, None).await,
        [4, 6, 8, 10, 11, 12, 17]
    );
    // Where it began, what was merged, and its head.
    assert_eq!(bench.versions_of(TASK, Some("try")).await, [1, 4, 5]);
    bench.check_sound().await;

    let BranchMerge::Tried {
        clean, document, ..
    } = merge(true).await.unwrap()
    else {
        panic!("it was to be tried")
    };
    assert!(clean);
    let tried = document.unwrap();
    assert_eq!(
        tried.get("data").unwrap().get("tried"),
        Some(&Json::from("d"))
    );
    let body = format!(
        r#"{{"conflict":"{}","version":1,"choose":"ours"}}"#,
        clash.conflicts[0]
    );
    bench
        .submit(bench.proposal(TASK, Operation::Settle, &body))
        .await
        .unwrap();
    // Nothing is spared for a conflict that has ended.
    bench.clock.advance_ms(60 * DAY_MS);
    bench.write(r#"{"data":{"late":2}}"#).await; // v19
    bench.compact().await;
    assert_eq!(bench.versions_of(TASK, None).await, [4, 6, 10, 19]);
    bench.check_sound().await;
}

#[tokio::test]
async fn p5_a_cursor_below_the_low_water_mark_is_reset() {
    let bench = daily().await;
    bench.create(TASK, "{}").await;
    bench.write_days(3).await;
    let owner = Principal::owner();
    let mut cursors = Vec::new();
    let mut page = bench.workspace.read_log(Seq::ZERO, 100).await.unwrap();
    for entry in page.drain(..) {
        cursors.push((entry.seq, entry.cursor().to_owned()));
    }
    bench.clock.advance_ms(60 * DAY_MS);
    let done = bench.workspace.compact(&owner, false).await.unwrap();
    assert_eq!(bench.workspace.low_water(), done.low_water);
    let (mut kept, mut gone) = (0, 0);
    for (seq, cursor) in cursors {
        match bench.workspace.resume(&cursor).await {
            Ok(position) => {
                kept += 1;
                assert!(seq >= done.low_water && position.seq == seq);
            }
            Err(problem) => {
                gone += 1;
                assert!(seq < done.low_water, "{problem:?}");
                assert_eq!(problem.reason, Some(ResetReason::Compacted));
            }
        }
    }
    assert!(kept > 0 && gone > 0);
}

#[tokio::test]
async fn p4_a_write_on_a_thinned_version_loses_nothing() {
    let bench = daily().await;
    bench.create(TASK, r#"{"data":{"n":-1,"s":"open"}}"#).await;
    let etag = bench.head(TASK).await.etag().to_string();
    let first = bench.workspace.read_log(Seq::ZERO, 100).await.unwrap();
    let first = first.last().unwrap().change.id;
    bench.write_days(3).await;
    bench.clock.advance_ms(60 * DAY_MS);
    bench.compact().await;
    assert_eq!(code(bench.at(1).await), Code::Thinned);
    let body = r#"{"data":{"n":7,"s":"open"}}"#;
    for base in ["1", etag.as_str()] {
        let write = based(bench.proposal(TASK, Operation::Merge, body), base);
        let receipt = bench.submit(write).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Conflict, "{base}");
        assert_eq!(receipt.conflicts.len(), 1);
        let data = bench
            .head(TASK)
            .await
            .document
            .to_json()
            .get("data")
            .cloned();
        assert_eq!(data, Some(json(r#"{"n":11,"s":"open"}"#)));
    }
    let other = etag.replace('-', "-0");
    let other = other[..other.len() - 2].to_owned() + "\"";
    for base in [first.to_string(), other] {
        let write = based(bench.proposal(TASK, Operation::Merge, body), &base);
        let answer = bench.submit(write).await;
        assert!(answer.is_err(), "{base}: {answer:?}");
        assert_eq!(code(answer), Code::BaseUnknown, "{base}");
    }
    let back = bench.proposal(TASK, Operation::Rollback, r#"{"version":1}"#);
    assert_eq!(code(bench.submit(back).await), Code::Thinned);
    bench.check_sound().await;
}

#[tokio::test]
async fn p10_blame_does_not_name_a_change_that_a_thinned_one_overwrote() {
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Tagged).unwrap());
    let bench = Bench::with(settings).await;
    let owner = Principal::owner();
    bench.create(TASK, r#"{"data":{"a":1,"b":1}}"#).await;
    let tag = bench.proposal(TASK, Operation::Merge, "{}");
    let name = (&Name::parse("first").unwrap(), Some(Version(1)));
    bench
        .workspace
        .put_tag(&owner, &address(TASK), name, tag)
        .await
        .unwrap();
    bench.write(r#"{"data":{"a":2}}"#).await;
    bench.clock.advance_ms(60 * DAY_MS);
    bench.write(r#"{"data":{"c":1}}"#).await;
    bench.compact().await;
    assert_eq!(bench.versions_of(TASK, None).await, [1, 3]);
    let line = address(TASK);
    let blame = |path: &'static str| bench.workspace.blame(&owner, &line, path);
    assert_eq!(
        blame("/data/c").await.unwrap().entry.change.version,
        Version(3)
    );
    assert_eq!(
        blame("/data/b").await.unwrap().entry.change.version,
        Version(1)
    );
    assert_eq!(code(blame("/data/a").await), Code::Thinned);
}

#[tokio::test]
async fn p3_a_subtrees_deletion_is_heard_after_it_was_compacted() {
    let bench = daily().await;
    bench.create("project/p", r#"{"data":{}}"#).await;
    bench.create(TASK, r#"{"parent":"project/p"}"#).await;
    let owner = Principal::owner();
    let delete = based(bench.proposal("project/p", Operation::Delete, "null"), "1");
    let first = bench
        .workspace
        .delete_subtree(&owner, delete.clone())
        .await
        .unwrap();
    let restore = bench.proposal(TASK, Operation::Restore, "null");
    bench.submit(restore).await.unwrap();
    bench.write_days(2).await;
    bench.clock.advance_ms(60 * DAY_MS);
    assert!(bench.compact().await.thinned > 0);
    let again = bench
        .workspace
        .delete_subtree(&owner, delete)
        .await
        .unwrap();
    let heard = |answer: &syncline_engine::BulkAnswer| {
        let of = |(id, receipt): &(_, Result<Receipt, _>)| (*id, receipt.as_ref().unwrap().seq);
        answer.answers.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(heard(&again), heard(&first));
    assert_eq!(again.answers.len(), 2);
    bench.check_sound().await;
}

#[tokio::test]
async fn p10_a_run_tells_how_far_it_is() {
    let bench = daily().await;
    assert_eq!(bench.workspace.compacted(), None);
    bench.create(TASK, "{}").await;
    bench.write_days(2).await;
    bench.clock.advance_ms(60 * DAY_MS);
    let done = bench.compact().await;
    let told = bench.workspace.compacted().unwrap();
    assert_eq!(told.so_far, done);
    assert!(told.ended_at.is_some() && told.failed.is_none());
}
