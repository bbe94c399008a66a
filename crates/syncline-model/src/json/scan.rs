//! The plain part of strings, which is copied as it is, for the reader and the writers.

const WORD_BYTES: usize = 8;

/// Longer texts are looked at in blocks of this size.
const BLOCK_BYTES: usize = 4 * WORD_BYTES;

/// Returns true if nothing in a string needs an escape.
///
/// The last bytes are looked at together with some before them, rather than one by one: a loop
/// that ends anywhere costs more than all the rest.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    const HALF: usize = BLOCK_BYTES / 2;
    let special = match bytes.len() {
        0..4 => return bytes.iter().all(|byte| is_plain_byte(*byte)),
        4..WORD_BYTES => special_in_half_words(bytes),
        WORD_BYTES..HALF => special_at_ends(bytes),
        HALF..=BLOCK_BYTES => {
            special_at_ends(&bytes[..HALF]) | special_at_ends(&bytes[bytes.len() - HALF..])
        }
        _ => return is_plain_in_blocks(bytes),
    };
    special == 0
}

fn is_plain_in_blocks(bytes: &[u8]) -> bool {
    let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
    let plain = |block: &[u8; BLOCK_BYTES]| special_in_block(block) == 0;
    blocks.iter().all(plain) && bytes.last_chunk().is_none_or(plain)
}

fn special_in_half_words(bytes: &[u8]) -> u64 {
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return 0;
    };
    let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
    special_bytes((u64::from(first) << 32 | u64::from(last)).to_le_bytes())
}

fn special_at_ends(bytes: &[u8]) -> u64 {
    let words = [bytes.first_chunk(), bytes.last_chunk()];
    words
        .into_iter()
        .flatten()
        .fold(0, |any, word| any | special_bytes(*word))
}

fn special_in_block(block: &[u8; BLOCK_BYTES]) -> u64 {
    let (words, _) = block.as_chunks();
    words.iter().fold(0, |any, word| any | special_bytes(*word))
}

fn is_plain_byte(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Returns where the plain part of a string ends: at a quote, a backslash, a control character,
/// or the end of the bytes.
#[inline]
pub(super) fn plain_end(bytes: &[u8], from: usize) -> usize {
    // Most strings are short, and end here.
    match bytes.get(from..).and_then(<[u8]>::first_chunk) {
        Some(word) => match special_bytes(*word) {
            0 => plain_end_of_long(bytes, from + WORD_BYTES),
            special => from + first_byte(special),
        },
        None => plain_end_of_long(bytes, from),
    }
}

fn plain_end_of_long(bytes: &[u8], from: usize) -> usize {
    let (blocks, _) = bytes[from..].as_chunks();
    let plain = blocks
        .iter()
        .take_while(|block| special_in_block(block) == 0);
    let mut at = from + plain.count() * BLOCK_BYTES;
    while let Some(word) = bytes[at..].first_chunk() {
        let special = special_bytes(*word);
        if special != 0 {
            return at + first_byte(special);
        }
        at += WORD_BYTES;
    }
    let plain = bytes[at..].iter().take_while(|byte| is_plain_byte(**byte));
    at + plain.count()
}

fn first_byte(special: u64) -> usize {
    special.trailing_zeros() as usize / 8
}

/// Sets the high bit of the first byte, at least, that ends the plain part of a string.
///
/// A borrow may set bits above that one, never below.
fn special_bytes(word: [u8; WORD_BYTES]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; WORD_BYTES]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; WORD_BYTES]);
    let word = u64::from_le_bytes(word);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | equal(b'"') | equal(b'\\')
}
