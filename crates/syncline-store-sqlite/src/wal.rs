//! A look at the write-ahead log before SQLite recovers it.
//!
//! SQLite takes a log up to the first frame whose checksum is wrong, as if a power cut had torn it
//! there, and forgets the rest without a word. But each commit is synced before the next begins, so
//! a cut tears the last one alone: where another commit lies behind the tear, the tear is rot, and
//! what was acknowledged would be gone (P1). The newest commit's own rot cannot be told from a tear.
//!
//! The format is that of <https://sqlite.org/fileformat2.html>, section 4.

use std::io::{self, ErrorKind, Read};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number; its last bit says that checksums read big-endian words.
const MAGIC: u32 = 0x377f_0682;
const PAGES: std::ops::RangeInclusive<usize> = 512..=65_536;

/// What is rotten in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalRot {
    /// Its header.
    Header,
    /// A frame, counted from 1, behind which there are commits.
    Frame(usize),
}

/// Looks for rot that SQLite would take for the log's end.
pub(crate) fn rot_in(mut log: impl Read) -> io::Result<Option<WalRot>> {
    let mut header = [0u8; HEADER];
    // A log that is only prepared is all zeros.
    if !fill(&mut log, &mut header)? || header == [0u8; HEADER] {
        return Ok(None);
    }
    let Some(mut sum) = Sum::of_header(&header) else {
        return Ok(Some(WalRot::Header));
    };
    let page = word(&header, 8) as usize;
    if !PAGES.contains(&page) || !page.is_power_of_two() {
        return Ok(Some(WalRot::Header));
    }
    let salts = &header[16..24];
    let mut frame = vec![0u8; FRAME_HEADER + page];
    let (mut torn, mut commits) = (None, 0);
    for number in 1.. {
        if !fill(&mut log, &mut frame)? {
            break;
        }
        let is_ours = frame[8..16] == *salts;
        if torn.is_none() {
            sum.add(&frame[..8]);
            sum.add(&frame[FRAME_HEADER..]);
            if is_ours && sum.is(&frame[16..24]) {
                continue;
            }
            torn = Some(number);
        }
        commits += usize::from(is_ours && word(&frame, 4) != 0);
        if commits == 2 {
            return Ok(torn.map(WalRot::Frame));
        }
    }
    Ok(None)
}

/// Fills a buffer; says that there was less.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..at + 4].try_into().expect("it has four bytes");
    u32::from_be_bytes(word)
}

/// The running checksum over header and frames.
struct Sum {
    words: [u32; 2],
    big_endian: bool,
}

impl Sum {
    /// Begins after a header, if that is one.
    fn of_header(header: &[u8; HEADER]) -> Option<Sum> {
        let magic = word(header, 0);
        let mut sum = Sum {
            words: [0; 2],
            big_endian: magic & 1 == 1,
        };
        sum.add(&header[..24]);
        (magic & !1 == MAGIC && sum.is(&header[24..])).then_some(sum)
    }

    fn add(&mut self, bytes: &[u8]) {
        let [mut even, mut odd] = self.words;
        let read = match self.big_endian {
            true => u32::from_be_bytes,
            false => u32::from_le_bytes,
        };
        let (pairs, _) = bytes.as_chunks();
        for &[a, b, c, d, e, f, g, h] in pairs {
            even = even.wrapping_add(read([a, b, c, d])).wrapping_add(odd);
            odd = odd.wrapping_add(read([e, f, g, h])).wrapping_add(even);
        }
        self.words = [even, odd];
    }

    fn is(&self, stored: &[u8]) -> bool {
        self.words == [word(stored, 0), word(stored, 4)]
    }
}
