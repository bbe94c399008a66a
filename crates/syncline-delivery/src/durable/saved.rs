//! What a window keeps over a restart, as bytes.

use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::{Epoch, Seq};

/// How often something was delivered, and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries.
    pub deliveries: u32,
    /// Deliveries that were not acknowledged.
    pub failures: u32,
}

/// What a restart goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// All below is done.
    pub floor: Position,
    /// Up to here was read. Between the two, what is not done is what `pending` lists, and all
    /// that follows one of these on one of its contexts.
    pub read: Position,
    /// By seq, the first of each context that is not done.
    pub pending: Vec<(Seq, Counts)>,
    /// Taken back from the dead: a place before each, and its seq.
    pub again: Vec<(Position, Seq, Counts)>,
}

/// The form of the bytes.
const FORMAT: u8 = 1;
const PLACE_LENGTH: usize = 24;

impl Saved {
    /// Returns the state in which all up to a place is done.
    pub fn at(place: Position) -> Saved {
        Saved {
            floor: place,
            read: place,
            pending: Vec::new(),
            again: Vec::new(),
        }
    }

    /// Writes it as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        put_place(&mut bytes, &self.floor);
        put_place(&mut bytes, &self.read);
        put_number(&mut bytes, self.pending.len() as u64);
        let mut last = self.floor.seq.0;
        for (seq, counts) in &self.pending {
            put_number(&mut bytes, seq.0.wrapping_sub(last));
            put_counts(&mut bytes, counts);
            last = seq.0;
        }
        put_number(&mut bytes, self.again.len() as u64);
        for (before, seq, counts) in &self.again {
            put_place(&mut bytes, before);
            put_number(&mut bytes, seq.0);
            put_counts(&mut bytes, counts);
        }
        bytes
    }

    /// Reads the bytes back; `None` where they are not what this writes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Saved> {
        let (format, mut rest) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let floor = get_place(&mut rest)?;
        let read = get_place(&mut rest)?;
        let mut last = floor.seq.0;
        let mut pending = Vec::new();
        for _ in 0..get_number(&mut rest)? {
            last = last.wrapping_add(get_number(&mut rest)?);
            pending.push((Seq(last), get_counts(&mut rest)?));
        }
        let mut again = Vec::new();
        for _ in 0..get_number(&mut rest)? {
            let before = get_place(&mut rest)?;
            let seq = Seq(get_number(&mut rest)?);
            again.push((before, seq, get_counts(&mut rest)?));
        }
        rest.is_empty().then_some(Saved {
            floor,
            read,
            pending,
            again,
        })
    }
}

/// Writes a place.
pub(super) fn put_place(bytes: &mut Vec<u8>, place: &Position) {
    bytes.extend(place.epoch.0.to_be_bytes());
    bytes.extend(place.seq.0.to_be_bytes());
    bytes.extend(place.tag.0);
}

/// Reads a place.
pub(super) fn get_place(rest: &mut &[u8]) -> Option<Position> {
    let (place, after) = rest.split_at_checked(PLACE_LENGTH)?;
    *rest = after;
    let word = |at: usize| place[at..at + 8].try_into().ok().map(u64::from_be_bytes);
    Some(Position {
        epoch: Epoch(word(0)?),
        seq: Seq(word(8)?),
        tag: Tag8(place[16..].try_into().ok()?),
    })
}

/// Writes a number in as few bytes as it needs, seven bits in each.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn get_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_counts(bytes: &mut Vec<u8>, counts: &Counts) {
    put_number(bytes, counts.deliveries.into());
    put_number(bytes, counts.failures.into());
}

fn get_counts(rest: &mut &[u8]) -> Option<Counts> {
    Some(Counts {
        deliveries: u32::try_from(get_number(rest)?).ok()?,
        failures: u32::try_from(get_number(rest)?).ok()?,
    })
}
