//! Names, ETags, cursors and times: short texts that come from outside. The tests of
//! `syncline-testkit` include this file, so that it runs on stable too.

use syncline_model::cursor::CursorKey;
use syncline_model::etag::Etag;
use syncline_model::ids::{
    Address, BranchName, ChangeId, Kind, Name, PrincipalId, Version, WorkspaceId,
};
use syncline_model::json::Pointer;
use syncline_model::proposal::Base;
use syncline_model::time::{Hlc, Timestamp};

/// Reads `data` as each of them; what is read is written back and read again.
///
/// # Panics
/// If a parser does, or if something is lost.
pub fn fuzz_names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    again(text, Address::parse);
    again(text, Kind::parse);
    again(text, PrincipalId::parse);
    again(text, WorkspaceId::parse);
    again(text, BranchName::parse);
    again(text, Name::parse);
    again(text, ChangeId::parse);
    again(text, Version::parse);
    again(text, Etag::parse);
    again(text, Pointer::parse);
    again(text, Timestamp::parse);
    again(text, Hlc::parse);
    again(text, |text| text.parse::<Base>());
    let key = CursorKey::new(&[7; 32], &WorkspaceId::default_workspace());
    assert!(key.open(text).is_err(), "nobody guesses a cursor");
}

fn again<T, E>(text: &str, read: impl Fn(&str) -> Result<T, E>)
where
    T: std::fmt::Display + PartialEq + std::fmt::Debug,
    E: std::fmt::Debug,
{
    if let Ok(value) = read(text) {
        let written = value.to_string();
        let back = read(&written).expect("what is written can be read");
        assert_eq!(back, value, "{written:?} loses nothing");
    }
}
