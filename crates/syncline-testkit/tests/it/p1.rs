use syncline_testkit::Fault;
use syncline_testkit::prove::{Plan, p1_kill};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_kill_loses_nothing() {
    p1_kill::run(Plan::runs(200)).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_harness_catches_answer_before_commit() {
    p1_kill::run(Plan::runs(60).with(Fault::AnswerBeforeCommit))
        .await
        .assert_caught();
}
