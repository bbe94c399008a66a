//! Frames: the texts of records that follow one another in one line, compressed together.
//!
//! What one change of a context says is much like what the next one says, and a small text
//! compresses badly alone. A record that is in a frame keeps its header and salt; its stored body
//! only says where its text is ([`InFrame`]). Its commitment covers the text, so nothing that was
//! hashed changes.

use std::sync::Arc;

use crate::record::{RotError, plain};

/// A record's body: where its text is.
const FORMAT_IN_FRAME: u8 = 3;
/// A frame: one text a line, under zstd.
const FORMAT_FRAME: u8 = 1;
/// Bounds what a frame holds, so that one text costs a reader some tenths of a millisecond.
pub const FRAME_BYTES_MAX: usize = 256 << 10;
/// A longer text stays alone: it compresses well so, and would crowd out its neighbours.
pub const FRAMED_TEXT_MAX: usize = 16 << 10;
/// An index has one byte.
const FRAME_TEXTS_MAX: usize = 256;

/// Texts that are compressed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Each text with a line feed after it, which no stored JSON holds itself.
    lines: Vec<u8>,
    /// Where each line feed is.
    ends: Vec<usize>,
}

impl Frame {
    /// Adds a text and returns its index; `None` if the frame has no room for it.
    pub fn push(&mut self, text: &[u8]) -> Option<u8> {
        let fits = self.lines.len() + text.len() < FRAME_BYTES_MAX;
        if !fits || !may_be_framed(text) || self.ends.len() == FRAME_TEXTS_MAX {
            return None;
        }
        let index = u8::try_from(self.ends.len()).ok()?;
        self.lines.extend_from_slice(text);
        self.ends.push(self.lines.len());
        self.lines.push(b'\n');
        Some(index)
    }

    /// Returns a text; `None` if it was taken away or never there.
    pub fn text(&self, index: u8) -> Option<&[u8]> {
        let (start, end) = self.place(index)?;
        (start < end).then(|| &self.lines[start..end])
    }

    /// Takes a text away; the others keep their indexes.
    pub fn take(&mut self, index: u8) {
        let Some((start, end)) = self.place(index) else {
            return;
        };
        self.lines.drain(start..end);
        for later in &mut self.ends[usize::from(index)..] {
            *later -= end - start;
        }
    }

    /// Returns the indexes of the texts that are there.
    pub fn indexes(&self) -> impl Iterator<Item = u8> {
        let all = (0..self.ends.len()).filter_map(|index| u8::try_from(index).ok());
        all.filter(|index| self.text(*index).is_some())
    }

    fn place(&self, index: u8) -> Option<(usize, usize)> {
        let index = usize::from(index);
        let end = *self.ends.get(index)?;
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] + 1);
        Some((start, end))
    }

    /// Returns the stored form; `None` if there is no memory to compress it.
    pub fn pack(&self, level: i32) -> Option<Arc<[u8]>> {
        let packed = zstd::bulk::compress(&self.lines, level).ok()?;
        Some([&[FORMAT_FRAME][..], &packed].concat().into())
    }

    /// Reads the stored form.
    pub fn unpack(bytes: &[u8]) -> Result<Frame, RotError> {
        let packed = match bytes.split_first() {
            Some((&FORMAT_FRAME, packed)) => packed,
            other => return Err(RotError::Format(other.map(|(format, _)| *format))),
        };
        let broken = |error: std::io::Error| RotError::Decode(error.to_string());
        // What would be longer is an error, and nothing of it is kept.
        let lines = zstd::bulk::decompress(packed, FRAME_BYTES_MAX).map_err(broken)?;
        let feeds = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let ends: Vec<_> = feeds.map(|(at, _)| at).collect();
        let is_whole = ends.last().is_none_or(|end| end + 1 == lines.len());
        if !is_whole || ends.len() > FRAME_TEXTS_MAX {
            return Err(RotError::Decode("a frame is not of whole texts".to_owned()));
        }
        Ok(Frame { lines, ends })
    }
}

/// Says whether a text may go into a frame.
pub fn may_be_framed(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= FRAMED_TEXT_MAX && !text.contains(&b'\n')
}

/// Where the text of a record is, as its stored body says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFrame {
    /// The store's number of the frame.
    pub frame: u64,
    /// Which of its texts.
    pub index: u8,
    /// How long the text is: pages are bounded in bytes before frames are opened.
    pub length: u16,
}

impl InFrame {
    /// Returns the stored form, in most files 6 bytes.
    pub fn to_body(&self) -> Vec<u8> {
        let number = self.frame.to_be_bytes();
        let zeros = number.iter().take_while(|byte| **byte == 0).count().min(7);
        let mut body = vec![FORMAT_IN_FRAME, self.index];
        body.extend(self.length.to_be_bytes());
        body.extend(&number[zeros..]);
        body
    }

    /// Reads a record's stored body; `None` if it holds the text itself.
    pub fn of_body(body: &[u8]) -> Result<Option<InFrame>, RotError> {
        match body {
            [FORMAT_IN_FRAME, index, high, low, number @ ..] if (1..=8).contains(&number.len()) => {
                let mut frame = [0; 8];
                frame[8 - number.len()..].copy_from_slice(number);
                Ok(Some(InFrame {
                    frame: u64::from_be_bytes(frame),
                    index: *index,
                    length: u16::from_be_bytes([*high, *low]),
                }))
            }
            [FORMAT_IN_FRAME, ..] => Err(RotError::Decode(
                "it does not say in which frame it is".to_owned(),
            )),
            _ => Ok(None),
        }
    }

    /// Returns the body that a record has outside of its frame; `None` if the frame does not hold
    /// such a text.
    pub fn body_from(&self, frame: &Frame) -> Option<Arc<[u8]>> {
        let text = frame.text(self.index)?;
        (text.len() == usize::from(self.length)).then(|| plain(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use super::*;
    use crate::record::unpack;

    fn frame(texts: &[&str]) -> Frame {
        let mut frame = Frame::default();
        for (text, index) in texts.iter().zip(0..) {
            assert_eq!(frame.push(text.as_bytes()), Some(index));
        }
        frame
    }

    fn through_disk(frame: &Frame) -> Frame {
        Frame::unpack(&frame.pack(3).unwrap()).unwrap()
    }

    #[test]
    fn texts_come_back_until_they_are_taken() {
        let mut some = frame(&["{\"n\":1}", "{}", "{\"é\":\"ü\"}"]);
        some = through_disk(&some);
        assert_eq!(some.text(1), Some(&b"{}"[..]));
        assert_eq!(some.text(2), Some("{\"é\":\"ü\"}".as_bytes()));
        some.take(1);
        some.take(1);
        some.take(9);
        some = through_disk(&some);
        assert_eq!(some.indexes().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(some.text(0), Some(&b"{\"n\":1}"[..]));
        assert_eq!(some.text(2), Some("{\"é\":\"ü\"}".as_bytes()));
        for index in [0, 2] {
            some.take(index);
        }
        assert_eq!(through_disk(&some).indexes().count(), 0);
    }

    #[test]
    fn p9_a_frame_is_bounded() {
        let mut some = Frame::default();
        let long = vec![b'x'; FRAMED_TEXT_MAX + 1];
        for refused in [&b""[..], b"a\nb", &long] {
            assert_eq!(some.push(refused), None);
        }
        let full = (0..).find(|_| some.push(&long[1..]).is_none()).unwrap();
        assert_eq!(full, FRAME_BYTES_MAX / FRAMED_TEXT_MAX - 1);
        assert_eq!(through_disk(&some), some);
        let many = (0..).find(|_| some.push(b"y").is_none()).unwrap();
        assert_eq!(some.indexes().count(), full + many);
        assert_eq!(some.ends.len(), FRAME_TEXTS_MAX);
    }

    #[test]
    fn p9_what_is_no_frame_is_refused() {
        let bomb = zstd::bulk::compress(&vec![b'\n'; 1 << 24], 3).unwrap();
        let torn = zstd::bulk::compress(b"{}\n{}", 3).unwrap();
        for packed in [&bomb, &torn, &b"x".to_vec()] {
            let bytes = [&[FORMAT_FRAME][..], packed].concat();
            assert!(matches!(Frame::unpack(&bytes), Err(RotError::Decode(_))));
        }
        assert_eq!(Frame::unpack(b""), Err(RotError::Format(None)));
        assert_eq!(Frame::unpack(b"\x09"), Err(RotError::Format(Some(9))));
    }

    #[test]
    fn a_body_leads_to_its_text_and_is_none_itself() {
        let some = frame(&["{}", "[1]"]);
        for number in [0, 1, 255, 256, u64::MAX] {
            let place = InFrame {
                frame: number,
                index: 1,
                length: 3,
            };
            let body = place.to_body();
            assert_eq!(InFrame::of_body(&body), Ok(Some(place)));
            assert_eq!(unpack(&body), Err(RotError::Format(Some(3))));
            let found = place.body_from(&some).unwrap();
            assert_eq!(&*unpack(&found).unwrap(), b"[1]");
            let other = InFrame { length: 4, ..place };
            assert_eq!(other.body_from(&some), None);
        }
        assert!(InFrame::of_body(&[3, 0, 0, 2]).is_err());
        assert!(InFrame::of_body(&[3; 13]).is_err());
        assert_eq!(InFrame::of_body(b"\x01{}"), Ok(None));
        assert_eq!(InFrame::of_body(b""), Ok(None));
    }
}
