//! What is in dispute between lines: where it waits, and who decides it.

use super::*;

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

/// What nobody chose is not chosen by going round.
#[tokio::test]
async fn p4_what_waits_waits_on_the_way_too() {
    let bench = Bench::forked(r#"{"x":0}"#, &["a", "b"]).await;
    bench.set("main", r#"{"x":5}"#).await;
    bench.set("a", r#"{"x":4}"#).await;
    let met = bench.merge_line("main", "a").await;
    assert_eq!(met.outcome, Outcome::Conflict);
    let carried = bench.merge_line("a", "b").await;
    assert_eq!(carried.outcome, Outcome::Conflict);
    assert_eq!(bench.shows("b").await, json(r#"{"x":4}"#));
    let waiting = bench.waiting().await;
    let here = waiting.iter().find(|c| c.branch == branch("b")).unwrap();
    assert_eq!(
        (&here.ours, &here.theirs),
        (&Some(json("5")), &Some(json("4")))
    );
    bench.merge_line("b", "main").await;
    let last = bench.waiting().await;
    assert!(
        last.iter()
            .any(|c| c.branch.is_none() && c.path == "/data/x".into())
    );
    // Once it is settled there, it is not asked again for what waits in the other line still.
    bench.choose("b", here, "theirs").await;
    bench.set("a", r#"{"y":1}"#).await;
    assert_ne!(bench.merge_line("a", "b").await.outcome, Outcome::Conflict);
}

/// Merging a branch again moves what it wanted before, and lays no second conflict on it.
#[tokio::test]
async fn p4_a_branch_that_is_merged_again_moves_its_own_side() {
    let bench = Bench::forked(r#"{"x":1}"#, &["try"]).await;
    bench.set("try", r#"{"x":2}"#).await;
    bench.set("main", r#"{"x":3}"#).await;
    bench.merge_line("try", "main").await;
    bench.set("try", r#"{"x":4}"#).await;
    bench.merge_line("try", "main").await;
    bench.set("try", r#"{"x":5}"#).await;
    bench.merge_line("try", "main").await;
    let waiting = bench.waiting().await;
    let sides: Vec<_> = waiting
        .iter()
        .map(|c| [&c.base, &c.ours, &c.theirs])
        .collect();
    let [base, ours, theirs] = ["1", "5", "3"].map(|side| Some(json(side)));
    assert_eq!(sides, [[&base, &ours, &theirs]]);
}

#[tokio::test]
async fn p4_what_keep_both_kept_is_merged_back() {
    let bench = Bench::forked(r#"{"x":0}"#, &[]).await;
    bench.set("main", r#"{"x":1}"#).await;
    let mut kept = bench.on("main", Operation::Merge, r#"{"data":{"more":1,"x":2}}"#);
    kept.base = Some(Base::Version(Version(1)));
    kept.strategy = Some(Name::parse("keep_both").unwrap());
    let kept = bench.submit(kept).await.unwrap();
    let name = kept.branch.unwrap().as_str().to_owned();
    let kept: Line = Box::leak(name.into_boxed_str());
    assert_eq!(bench.try_line(kept, "main").await.0, ["/data/x"]);
    assert_eq!(
        bench.merge_line(kept, "main").await.outcome,
        Outcome::Conflict
    );
    assert_eq!(bench.shows("main").await, json(r#"{"more":1,"x":1}"#));
    // What waits is not asked again when the branch is merged again.
    bench.set(kept, r#"{"more":2}"#).await;
    bench.merge_line(kept, "main").await;
    assert_eq!(bench.shows("main").await, json(r#"{"more":2,"x":1}"#));
    assert_eq!(bench.waiting().await.len(), 1);
}

/// What is in dispute somewhere is not decided by merging what shows one of its sides.
#[tokio::test]
async fn p4_a_dispute_is_decided_by_nobody_who_only_merges() {
    // A branch that begins where something waits shows a side that nobody chose.
    let bench = Bench::forked(r#"{"x":1}"#, &["b"]).await;
    bench.set("b", r#"{"x":2}"#).await;
    bench.set("main", r#"{"x":3}"#).await;
    bench.merge_line("b", "main").await;
    bench.begin("q", None).await;
    assert_eq!(bench.merge_line("q", "b").await.outcome, Outcome::Conflict);
    assert_eq!(bench.shows("b").await, json(r#"{"x":2}"#));

    // Two lines that settled it differently disagree.
    let bench = Bench::forked(r#"{"x":0}"#, &["b"]).await;
    bench.set("b", r#"{"x":2}"#).await;
    bench.set("main", r#"{"x":1}"#).await;
    bench.merge_line("b", "main").await;
    bench.merge_line("main", "b").await;
    for conflict in bench.waiting().await {
        let line = if conflict.branch.is_some() {
            "b"
        } else {
            "main"
        };
        bench.choose(line, &conflict, "theirs").await;
    }
    assert_eq!(
        bench.merge_line("b", "main").await.outcome,
        Outcome::Conflict
    );

    // A line that settled it for itself is not asked again, though it waits elsewhere still.
    let bench = Bench::forked(r#"{"x":0}"#, &["a", "b"]).await;
    bench.set("a", r#"{"x":4}"#).await;
    bench.set("main", r#"{"x":5}"#).await;
    bench.merge_line("main", "a").await;
    bench.set("b", r#"{"x":5}"#).await;
    assert_eq!(bench.merge_line("a", "b").await.outcome, Outcome::Conflict);
    let here = bench
        .waiting()
        .await
        .into_iter()
        .find(|c| c.branch == branch("b"));
    bench.choose("b", &here.unwrap(), "theirs").await;
    bench.set("a", r#"{"y":1}"#).await;
    assert_eq!(bench.merge_line("a", "b").await.outcome, Outcome::Merged);
    assert_eq!(bench.shows("b").await, json(r#"{"x":5,"y":1}"#));

    // What one line chose anew is carried over to another that chose nothing.
    let bench = Bench::forked(r#"{"x":0}"#, &["a", "b"]).await;
    bench.set("b", r#"{"x":1}"#).await;
    bench.merge_line("b", "main").await;
    bench.set("a", r#"{"x":2}"#).await;
    bench.merge_line("a", "b").await;
    let body = format!(
        r#"{{"conflict":"{}","version":1,"value":3}}"#,
        bench.waiting().await[0].id
    );
    bench
        .submit(bench.on("b", Operation::Settle, &body))
        .await
        .unwrap();
    assert_eq!(bench.merge_line("b", "main").await.outcome, Outcome::Merged);
    assert_eq!(bench.shows("main").await, json(r#"{"x":3}"#));

    // A merge that fits no schema waits in the other line as well.
    let bench = Bench::new().await;
    bench
        .declare(r#"{"n":{"x-merge":"counter","maximum":10}}"#)
        .await;
    bench.create(TASK, r#"{"data":{"n":2}}"#).await;
    bench.begin("b", None).await;
    bench.set("b", r#"{"n":8}"#).await;
    bench.set("main", r#"{"n":8}"#).await;
    bench.merge_line("b", "main").await;
    assert_eq!(
        bench.merge_line("main", "b").await.outcome,
        Outcome::Conflict
    );
}

/// A branch that kept what clashed on another branch comes of that one.
#[tokio::test]
async fn p4_what_was_kept_of_a_branch_merges_back_into_it() {
    let bench = Bench::forked(r#"{"x":0,"y":0}"#, &["try"]).await;
    bench.set("try", r#"{"y":1}"#).await;
    bench.set("try", r#"{"x":1}"#).await;
    let mut kept = bench.on("try", Operation::Merge, r#"{"data":{"x":2}}"#);
    kept.base = Some(Base::Version(Version(2)));
    kept.strategy = Some(Name::parse("keep_both").unwrap());
    let kept = bench.submit(kept).await.unwrap();
    assert_eq!(kept.outcome, Outcome::KeptBoth);
    let name = kept.branch.unwrap().as_str().to_owned();
    let kept: Line = Box::leak(name.into_boxed_str());
    assert_eq!(bench.shows(kept).await, json(r#"{"x":2,"y":1}"#));
    bench.set("try", r#"{"y":0}"#).await;
    let (clashes, document) = bench.try_line(kept, "try").await;
    assert_eq!(clashes, ["/data/x"]);
    assert_eq!(document, json(r#"{"x":1,"y":0}"#));
}
