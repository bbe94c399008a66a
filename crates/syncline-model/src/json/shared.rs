//! Short texts that come again within one document: keys above all, and words such as states.

use std::sync::Arc;

/// Longer texts seldom come again, and comparing them costs more than a copy saves.
const TEXT_BYTES_MAX: usize = 24;

/// A table of this size holds the keys of most documents, and fits the nearest cache.
const PLACES_MAX: usize = 256;

/// Small documents pay for a small table.
const BYTES_PER_PLACE: usize = 16;

/// The texts that were met last, each at the one place that its hash names.
pub(super) struct Shared {
    places: Vec<Option<Arc<str>>>,
    mask: usize,
}

impl Shared {
    /// Returns a table for a document of so many bytes.
    pub(super) fn new(bytes: usize) -> Shared {
        let places = (bytes / BYTES_PER_PLACE)
            .clamp(2, PLACES_MAX)
            .next_power_of_two();
        let mut table = Vec::new();
        table.resize_with(places, || None);
        Shared {
            places: table,
            mask: places - 1,
        }
    }

    /// Returns the text, without allocating if it was met before.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if text.len() > TEXT_BYTES_MAX {
            return text.into();
        }
        let place = &mut self.places[place(text.as_bytes()) & self.mask];
        match place {
            Some(met) if **met == *text => met.clone(),
            _ => place.insert(text.into()).clone(),
        }
    }
}

/// Mixes the length with both ends of a text into the bits that name a place.
fn place(text: &[u8]) -> usize {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let (low, high) = if let (Some(low), Some(high)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from_le_bytes(*low), u64::from_le_bytes(*high))
    } else if let (Some(low), Some(high)) = (text.first_chunk(), text.last_chunk()) {
        (
            u32::from_le_bytes(*low).into(),
            u32::from_le_bytes(*high).into(),
        )
    } else {
        (
            text.iter().fold(0, |low, byte| low << 8 | u64::from(*byte)),
            0,
        )
    };
    let mixed = (low ^ high.rotate_left(29) ^ text.len() as u64).wrapping_mul(FACTOR);
    // A product's highest bits depend on all others.
    usize::from((mixed >> 48) as u16)
}
