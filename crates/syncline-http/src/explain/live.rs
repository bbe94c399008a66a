//! What became of a change with a live subscription of a connection.

use syncline_api::{Code, Problem};
use syncline_model::json::JsonWriter;
use syncline_model::time::Timestamp;

use super::found::Found;
use crate::ask::Ask;
use crate::live::LiveSub;

/// Explains one live subscription, as JSON.
pub(super) async fn explain(
    ask: &Ask,
    found: &Found,
    connection: &str,
    sub: &str,
) -> Result<String, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let sub = ask.node.live.find(&principal, connection, sub);
    let sub = sub.filter(|sub| sub.workspace.id() == workspace.id());
    let sub = sub.ok_or_else(|| {
        let detail = "there is no such live subscription of yours";
        Problem::new(Code::NotFound, detail)
            .hint("`welcome` names the connection, and a stream's header Syncline-Connection")
    })?;
    written(ask, found, &sub)
}

/// Writes the explanation.
pub(super) fn written(ask: &Ask, found: &Found, sub: &LiveSub) -> Result<String, Problem> {
    let judged = found.judge(&sub.terms);
    let (seq, place) = (found.entry.seq, sub.place());
    // Asked after the place is: what was judged by then waits, or was handed over.
    let rest = sub.waits(&found.entry);
    let state = match rest {
        _ if seq <= sub.began => State::Before,
        _ if seq > place => State::Waiting,
        Some(_) => State::Held,
        None if !found.shows(&sub.shape, &judged) => State::Unshown,
        None => State::Sent,
    };
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_str("connection", &sub.connection);
    w.field_str("sub", &sub.sub);
    w.field_bool("wanted", judged.wanted);
    let because = judged.refusal().unwrap_or(state.because());
    w.field_str("because", &judged.told(because));
    found.write(&mut w, &sub.terms, &judged);
    if judged.wanted {
        w.key("queue");
        w.begin_object();
        w.field_str("state", state.word());
        if let (State::Held, Some(rest)) = (state, rest) {
            let ms = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
            let until = Timestamp(sub.workspace.now().0.saturating_add(ms));
            w.field_str("until", &until.to_string());
        }
        w.field_bool("lagging", sub.is_lagging());
        if ask.principal()?.reads_all() {
            w.field_u64("behind", sub.behind());
        }
        w.end_object();
    }
    w.end_object();
    Ok(w.into_string())
}

/// Where a change stands with a live subscription.
#[derive(Clone, Copy)]
enum State {
    Before,
    Held,
    Sent,
    Unshown,
    Waiting,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Before => "before",
            State::Held => "held",
            State::Sent => "sent",
            State::Unshown => "unshown",
            State::Waiting => "waiting",
        }
    }

    fn because(self) -> &'static str {
        match self {
            State::Before => "it lies before the place where the subscription began",
            State::Held => "it waits to become one with later changes of its context",
            // One that became one with later changes is not told by itself.
            State::Sent => "it was handed to the connection, by itself or in a later one",
            State::Unshown => "none of the fields that the subscription shows changed with it",
            State::Waiting => "the connection has not taken what comes before it",
        }
    }
}
