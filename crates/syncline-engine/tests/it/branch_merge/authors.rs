//! Who wrote what a merge of lines brings: their clocks and ranks count.

use super::*;

/// Whoever merges a branch wants what others wrote there: their clocks and ranks count.
#[tokio::test]
async fn p4_a_branch_is_judged_by_who_wrote_it() {
    for (strategy, stands) in [("latest_wins", "2"), ("source_priority", "1")] {
        let settings = || {
            let mut settings = Settings::default();
            settings.rules.ranks = Ranks(vec![
                ("agent/ana".to_owned(), 5),
                ("agent/bot".to_owned(), 1),
            ]);
            settings
        };
        let bench = Bench::with(settings()).await;
        bench.create(TASK, r#"{"data":{"x":0}}"#).await;
        bench.begin("try", None).await;
        let by = |agent: &str, proposal: Proposal| {
            let mut proposal = proposal;
            proposal.actor.agent = Some(Name::parse(agent).unwrap());
            proposal
        };
        let set = |agent: &str, line: Line, x: u64| {
            let body = format!(r#"{{"data":{{"x":{x}}}}}"#);
            by(agent, bench.on(line, Operation::Merge, &body))
        };
        bench.submit(set("ana", "try", 1)).await.unwrap();
        bench.clock.advance_ms(10);
        bench.submit(set("bot", "main", 2)).await.unwrap();
        bench.clock.advance_ms(10);
        let merge = Proposal {
            strategy: Some(Name::parse(strategy).unwrap()),
            ..by("carl", bench.on("main", Operation::Replace, "null"))
        };
        let merged = bench.merge_as(merge, "try").await.unwrap();
        assert_eq!(merged.outcome, Outcome::Merged, "{strategy}");
        let wanted = json(&format!(r#"{{"x":{stands}}}"#));
        assert_eq!(bench.shows("main").await, wanted, "{strategy}");
    }
    let bench = Bench::forked(r#"{"x":0}"#, &["try"]).await;
    let mut wrote = bench.on("try", Operation::Merge, r#"{"data":{"x":1}}"#);
    wrote.actor.agent = Some(Name::parse("ana").unwrap());
    bench.submit(wrote.clone()).await.unwrap();
    bench.set("main", r#"{"x":2}"#).await;
    bench.merge_line("try", "main").await;
    assert_eq!(bench.waiting().await[0].by_ours, wrote.actor);
}

/// What an agent wrote on a line, as merged by others on its way.
#[tokio::test]
async fn p4_authors_are_found_by_way_of_any_line() {
    let bench = Bench::forked(r#"{"x":0,"y":0}"#, &["a", "b"]).await;
    let write = async |agent: &str, line: Line, operation: Operation, body: &str| {
        let mut proposal = bench.on(line, operation, body);
        proposal.actor.agent = Some(Name::parse(agent).unwrap());
        if operation == Operation::Delete {
            proposal = when(proposal, Precondition::MatchAny);
        }
        bench.submit(proposal).await.unwrap();
    };
    write("ana", "a", Operation::Merge, r#"{"data":{"x":1}}"#).await;
    bench.merge_line("a", "b").await;
    bench.merge_line("b", "a").await;
    write("eve", "main", Operation::Merge, r#"{"data":{"x":2}}"#).await;
    // Bringing a context back makes nobody its author.
    write("bot", "main", Operation::Delete, "null").await;
    write("bot", "main", Operation::Restore, "null").await;
    bench.merge_line("b", "main").await;
    let waiting = bench.waiting().await;
    let by = |actor: &Actor| actor.agent.as_ref().unwrap().to_string();
    assert_eq!(by(&waiting[0].by_ours), "ana");
    assert_eq!(by(&waiting[0].by_theirs), "eve");
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
