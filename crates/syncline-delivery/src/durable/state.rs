//! What is kept of a subscription, as bytes: its definition's version, where it began, its window.

use std::sync::Arc;

use syncline_model::cursor::Position;
use syncline_model::ids::Version;

use super::saved::{Saved, get_place, put_place};

/// Why a subscription goes on from a place: it does not know what became of what lies before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// It was made to begin there.
    Made,
    /// It was moved there.
    Moved,
    /// From there on it goes by its present definition.
    Defined,
    /// The log before it was no more, and its consumers were told `reset`.
    Reset,
    /// An older node did not keep why.
    Unknown,
}

/// Where a subscription goes on from, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub place: Position,
    pub why: Began,
}

/// What is kept of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub version: Version,
    pub began: Beginning,
    pub saved: Saved,
}

/// Stands where the window's own form stood (1, and no other) before beginnings were kept.
const WITH_BEGINNING: u8 = 0x80;

impl State {
    /// Writes it as bytes.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut bytes = self.version.0.to_be_bytes().to_vec();
        bytes.push(WITH_BEGINNING);
        bytes.push(number_of(self.began.why));
        put_place(&mut bytes, &self.began.place);
        bytes.extend(self.saved.to_bytes());
        bytes.into()
    }

    /// Reads the bytes back, those of an older node too; `None` where they are neither.
    pub fn from_bytes(bytes: &[u8]) -> Option<State> {
        let (version, rest) = bytes.split_at_checked(8)?;
        let version = Version(u64::from_be_bytes(version.try_into().ok()?));
        let (began, saved) = match rest {
            [WITH_BEGINNING, why, rest @ ..] => {
                let mut rest = rest;
                let place = get_place(&mut rest)?;
                let why = why_of(*why);
                (Some(Beginning { place, why }), Saved::from_bytes(rest)?)
            }
            rest => (None, Saved::from_bytes(rest)?),
        };
        Some(State {
            version,
            began: began.unwrap_or(Beginning {
                place: saved.floor,
                why: Began::Unknown,
            }),
            saved,
        })
    }
}

fn number_of(why: Began) -> u8 {
    match why {
        Began::Unknown => 0,
        Began::Made => 1,
        Began::Moved => 2,
        Began::Defined => 3,
        Began::Reset => 4,
    }
}

fn why_of(number: u8) -> Began {
    match number {
        1 => Began::Made,
        2 => Began::Moved,
        3 => Began::Defined,
        4 => Began::Reset,
        _ => Began::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use syncline_model::cursor::Tag8;
    use syncline_model::ids::{Epoch, Seq};

    use super::*;

    fn place(seq: u64) -> Position {
        Position {
            epoch: Epoch(7),
            seq: Seq(seq),
            tag: Tag8([1; 8]),
        }
    }

    #[test]
    fn it_reads_back_and_so_does_what_an_older_node_kept() {
        let saved = Saved::at(place(9));
        for why in [
            Began::Made,
            Began::Moved,
            Began::Defined,
            Began::Reset,
            Began::Unknown,
        ] {
            let state = State {
                version: Version(3),
                began: Beginning {
                    place: place(4),
                    why,
                },
                saved: saved.clone(),
            };
            let bytes = state.to_bytes();
            assert_eq!(State::from_bytes(&bytes), Some(state));
            assert_eq!(State::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
        let mut old = 3u64.to_be_bytes().to_vec();
        old.extend(saved.to_bytes());
        let read = State::from_bytes(&old).unwrap();
        assert_eq!((read.version, read.saved), (Version(3), saved));
        let unknown = Beginning {
            place: place(9),
            why: Began::Unknown,
        };
        assert_eq!(read.began, unknown);
    }
}
