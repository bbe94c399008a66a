//! The laws of the wire types, for any bytes.

use syncline_model::ids::{ChangeId, PrincipalId};
use syncline_model::json::{Json, JsonWriter, Limits, Pointer};
use syncline_model::proposal::Actor;

use crate::{
    ClientMessage, ContextView, Problem, ReceiptOrProblem, ServerMessage, WireChange, project,
    read_proposal, shorten, write_proposal,
};

/// Reads `data` as everything that travels, and checks that what a client may send is written
/// and read without loss.
///
/// # Panics
/// If a law is broken.
pub fn fuzz_wire(data: &[u8]) {
    let Ok(value) = Json::parse(data, &Limits::default()) else {
        return;
    };
    let at = Pointer::root();
    check_message(&value, &at);
    check_proposal(&value, &at);
    // A node's answers are read leniently; what matters is that no answer brings a client down.
    let _ = ServerMessage::read(&value, &at);
    let _ = ContextView::read(&value, &at);
    let _ = WireChange::read(&value, &at);
    let _ = ReceiptOrProblem::read(&value, &at);
    let _ = Problem::read(&value);
    let _ = project(
        &value,
        &[
            Pointer::from_static("/data/a"),
            Pointer::from_static("/title"),
        ],
    );
    let (part, shortened) = shorten(&value, data.len() / 8);
    assert!(shortened || part == value, "what is not shortened is whole");
}

fn check_message(value: &Json, at: &Pointer) {
    let Ok(message) = ClientMessage::read(value, at) else {
        return;
    };
    // What has no form of its own is not written back.
    if matches!(
        message,
        ClientMessage::Other { .. } | ClientMessage::Error(_)
    ) {
        return;
    }
    let again = ClientMessage::read(&parse(&message.to_text()), at).expect("it was read before");
    assert_eq!(again, message, "a message loses nothing");
}

fn check_proposal(value: &Json, at: &Pointer) {
    let actor = Actor::from_principal(PrincipalId::owner());
    let fresh = || ChangeId::from_parts(1, &[1; 10]);
    let Ok(proposal) = read_proposal(value, at, &actor, &fresh) else {
        return;
    };
    let mut w = JsonWriter::new();
    write_proposal(&mut w, &proposal);
    let again = read_proposal(&parse(&w.into_string()), at, &actor, &fresh);
    assert_eq!(
        again.expect("it was read before"),
        proposal,
        "a proposal loses nothing"
    );
}

fn parse(text: &str) -> Json {
    let limits = Limits {
        bytes_max: usize::MAX,
        ..Limits::wire()
    };
    Json::parse(text.as_bytes(), &limits).expect("what is written can be read")
}
