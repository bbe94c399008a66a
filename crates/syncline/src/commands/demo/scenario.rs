//! The scenario: four agents bring one feature of a web shop to the end.
//!
//! They plan, claim tasks, keep findings, edit one decision at the same time (one of them meets
//! a moved head, reads again and goes on), talk in one conversation, delete a finding by mistake
//! and bring it back. Each waits for what the others write, as it would in real work.

/// One step of an agent.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Think, for so many milliseconds.
    Think(u64),
    /// Wait until a context is there, or holds this JSON at a pointer.
    Wait(&'static str, &'static str, &'static str),
    /// Look at a context; a later `Edit` is made on what was seen here, even if it moved since.
    Look(&'static str),
    /// Make a context: address, body, why.
    Create(&'static str, &'static str, &'static str),
    /// Change parts of a context: address, merge patch, why. Read again and retried on a clash.
    Edit(&'static str, &'static str, &'static str),
    /// Add to a list of a context: address, pointer, value, why. Read again and retried on a clash.
    Append(&'static str, &'static str, &'static str, &'static str),
    /// Delete a context.
    Delete(&'static str, &'static str),
    /// Bring it back.
    Restore(&'static str, &'static str),
}

use Step::{Append, Create, Delete, Edit, Look, Restore, Think, Wait};

/// The agents, and what each does.
#[rustfmt::skip]
pub const AGENTS: [(&str, &[Step]); 4] = [
    ("planner", &[
        Create("project/shop", r#"{"title":"Web shop","parent":"global/main","data":{"goal":"payments that survive a bad network","stack":["rust","react"]}}"#, "a place for the work"),
        Create("branch/checkout-retry", r#"{"title":"Retry payments at checkout","parent":"project/shop","data":{"status":"planning","plan":["decide the policy","retry in the API","tell the buyer","test with a flaky provider"]}}"#, "plan agreed with ana"),
        Create("conversation/checkout-retry", r#"{"title":"Checkout retry","parent":"branch/checkout-retry","data":{"messages":[{"from":"planner","text":"Four tasks, the policy first. Write down what you find."}]}}"#, "where we talk"),
        Think(480),
        Create("task/retry-policy", r#"{"title":"Decide the retry policy","parent":"branch/checkout-retry","labels":{"area":"payments"},"data":{"status":"open","steps":[]}}"#, "first of all"),
        Create("task/retry-api", r#"{"title":"Retry in the payment API","parent":"branch/checkout-retry","labels":{"area":"payments"},"data":{"status":"open","depends_on":["task/retry-policy"],"steps":[]}}"#, ""),
        Create("task/retry-ui", r#"{"title":"Tell the buyer while we retry","parent":"branch/checkout-retry","labels":{"area":"web"},"data":{"status":"open","depends_on":["task/retry-policy"],"steps":[]}}"#, ""),
        Create("task/retry-tests", r#"{"title":"Test with a flaky provider","parent":"branch/checkout-retry","labels":{"area":"quality"},"data":{"status":"open","depends_on":["task/retry-api","task/retry-ui"],"steps":[]}}"#, ""),
        Edit("branch/checkout-retry", r#"{"data":{"status":"in progress"}}"#, "tasks are out"),
        Wait("task/retry-policy", "/data/status", r#""done""#),
        Append("conversation/checkout-retry", "/data/messages/-", r#"{"from":"planner","text":"The policy stands: three attempts, one idempotency key."}"#, "so that all know"),
        Wait("task/retry-tests", "/data/status", r#""done""#),
        Edit("branch/checkout-retry", r#"{"data":{"status":"ready to merge","tests":"42 passed"}}"#, "all four tasks are done"),
        Append("conversation/checkout-retry", "/data/messages/-", r#"{"from":"planner","text":"Ready to merge. Thank you all."}"#, ""),
    ]),
    ("backend", &[
        Wait("task/retry-policy", "", ""),
        Edit("task/retry-policy", r#"{"data":{"status":"in progress","claimed_by":"backend"}}"#, "mine"),
        Think(600),
        Create("finding/double-charge", r#"{"title":"A timeout does not mean that the charge failed","parent":"task/retry-policy","data":{"file":"src/payments/charge.rs","line":118,"evidence":"the provider answered 3 s after our timeout, twice in the log of Tuesday"}}"#, "why a plain retry is wrong"),
        Create("architectural_decision/retry-policy", r#"{"title":"Retry with one idempotency key","parent":"branch/checkout-retry","data":{"options":["no retry","plain retry","retry with the same key"],"chosen":"retry with the same key","attempts_max":3}}"#, "follows from finding/double-charge"),
        Edit("task/retry-policy", r#"{"data":{"status":"done"}}"#, "decided"),
        Wait("task/retry-api", "", ""),
        Edit("task/retry-api", r#"{"data":{"status":"in progress","claimed_by":"backend"}}"#, "mine too"),
        Append("task/retry-api", "/data/steps/-", r#"{"did":"read src/payments/charge.rs","found":"the key is made per request"}"#, ""),
        Think(800),
        Wait("task/retry-ui", "/data/claimed_by", r#""frontend""#),
        Edit("architectural_decision/retry-policy", r#"{"data":{"backoff_ms":[200,400,800],"jitter":0.2}}"#, "measured against the provider's limits"),
        Append("task/retry-api", "/data/steps/-", r#"{"did":"make the key once per order","files":["src/payments/charge.rs","src/payments/key.rs"]}"#, ""),
        Append("conversation/checkout-retry", "/data/messages/-", r#"{"from":"backend","text":"The key is per order now; see finding/double-charge before you touch it."}"#, ""),
        Think(600),
        Append("task/retry-api", "/data/steps/-", r#"{"did":"cargo test payments","exit":0,"passed":31}"#, "green"),
        Edit("task/retry-api", r#"{"data":{"status":"done","files":["src/payments/charge.rs","src/payments/key.rs"]}}"#, "retry works"),
    ]),
    ("frontend", &[
        Wait("architectural_decision/retry-policy", "", ""),
        Look("architectural_decision/retry-policy"),
        Wait("task/retry-ui", "", ""),
        Edit("task/retry-ui", r#"{"data":{"status":"in progress","claimed_by":"frontend"}}"#, "mine"),
        Append("task/retry-ui", "/data/steps/-", r#"{"did":"read web/checkout/PayButton.tsx","found":"a second click sends a second order"}"#, ""),
        Think(1000),
        Wait("architectural_decision/retry-policy", "/data/jitter", "0.2"),
        Edit("architectural_decision/retry-policy", r#"{"data":{"buyer_sees":"We are trying again, please do not pay twice."}}"#, "made on an older version: read again, nothing lost"),
        Create("finding/second-click", r#"{"title":"The button stays active while we wait","parent":"task/retry-ui","data":{"file":"web/checkout/PayButton.tsx","line":41,"evidence":"two clicks within 80 ms make two orders"}}"#, "found on the way"),
        Append("conversation/checkout-retry", "/data/messages/-", r#"{"from":"frontend","text":"I disable the button at the first click: finding/second-click."}"#, ""),
        Append("task/retry-ui", "/data/steps/-", r#"{"did":"disable the button, show the attempt","files":["web/checkout/PayButton.tsx"]}"#, ""),
        Think(600),
        Edit("task/retry-ui", r#"{"data":{"status":"done","files":["web/checkout/PayButton.tsx"]}}"#, "the buyer knows"),
    ]),
    ("tester", &[
        Wait("task/retry-tests", "", ""),
        Edit("task/retry-tests", r#"{"data":{"claimed_by":"tester"}}"#, "mine, once the others are done"),
        Wait("finding/double-charge", "", ""),
        Append("task/retry-tests", "/data/steps/-", r#"{"did":"write a provider that answers late","files":["tests/flaky_provider.rs"]}"#, ""),
        Wait("task/retry-api", "/data/status", r#""done""#),
        Wait("task/retry-ui", "/data/status", r#""done""#),
        Edit("task/retry-tests", r#"{"data":{"status":"in progress"}}"#, ""),
        Create("test_run/checkout-1", r#"{"title":"First run","parent":"task/retry-tests","data":{"command":"cargo test --features flaky","passed":41,"failed":1,"failures":["late_answer_charges_once"]}}"#, "one red"),
        Delete("finding/double-charge", "clean up: looks like an old note"),
        Think(1000),
        Restore("finding/double-charge", "a mistake: the red test is about exactly this"),
        Append("conversation/checkout-retry", "/data/messages/-", r#"{"from":"tester","text":"I deleted finding/double-charge by mistake; it is back as it was."}"#, ""),
        Append("task/retry-tests", "/data/steps/-", r#"{"did":"wait for the late answer before the next attempt","files":["tests/flaky_provider.rs"]}"#, ""),
        Think(600),
        Create("test_run/checkout-2", r#"{"title":"Second run","parent":"task/retry-tests","data":{"command":"cargo test --features flaky","passed":42,"failed":0}}"#, "all green"),
        Edit("task/retry-tests", r#"{"data":{"status":"done"}}"#, "42 passed"),
    ]),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_model::document::Document;
    use syncline_model::ids::Address;
    use syncline_model::json::{Json, Limits, Pointer};

    #[test]
    fn every_step_is_well_formed() {
        let json = |text: &str| Json::parse(text.as_bytes(), &Limits::default()).unwrap();
        for step in AGENTS.iter().flat_map(|(_, steps)| *steps) {
            let address = match step {
                Think(_) => continue,
                Create(address, body, _) => {
                    Document::from_json(&json(body), &Pointer::root()).unwrap();
                    address
                }
                Edit(address, body, _) => {
                    assert!(json(body).as_object().is_some());
                    address
                }
                Append(address, pointer, value, _) => {
                    json(value);
                    Pointer::parse(pointer).unwrap();
                    address
                }
                Wait(address, pointer, value) => {
                    Pointer::parse(pointer).unwrap();
                    assert!(value.is_empty() || !json(value).is_null());
                    address
                }
                Look(address) | Delete(address, _) | Restore(address, _) => address,
            };
            Address::parse(address).unwrap();
        }
    }
}
