//! Framing: the texts of old records are kept together, and nothing that is read changes.
//!
//! What one change of a line says is like what the next says, so a store may compress the records
//! of a stretch of versions together ([`syncline_model::frame`]). Stretches have fixed places, and
//! one is framed once the line has gone beyond it, so nothing is framed again because the line is
//! written to.

use std::sync::Arc;

use syncline_model::frame::{FRAMED_TEXT_MAX, Frame, may_be_framed};
use syncline_model::ids::{Address, Version};
use syncline_model::record::{unpack, unpacked_length};

/// Versions of a stretch: 1 to 64, 65 to 128 and so on.
pub const STRETCH_VERSIONS: u64 = 64;
/// Measured on people's histories: above it nothing more is saved.
const LEVEL: i32 = 9;
/// What a body takes that leads to a frame, in a file of usual size.
const BODY_BYTES: usize = 6;

/// A frame that is to be kept.
#[derive(Clone, Debug)]
pub struct PackedFrame {
    /// Its stored form.
    pub bytes: Arc<[u8]>,
    /// What it holds, in order.
    pub texts: Vec<FramedText>,
    /// What the bodies took whose texts it holds.
    pub bytes_before: usize,
}

/// A text in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramedText {
    /// Which of the bodies it was.
    pub body: usize,
    /// Its index in the frame.
    pub index: u8,
    /// How long it is.
    pub length: u16,
}

impl PackedFrame {
    /// Returns what it takes together with the bodies that lead to it.
    pub fn bytes_after(&self) -> usize {
        self.bytes.len() + self.texts.len() * BODY_BYTES
    }
}

/// Puts the texts of a stretch's bodies into frames: more than one where they are long.
///
/// A body is left alone where its text is too long, where it cannot be read (so that it is found by
/// its commitment), and where a frame would not be smaller than what it holds.
pub fn pack_stretch<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> Vec<PackedFrame> {
    let mut open = Open::default();
    for (at, body) in bodies.into_iter().enumerate() {
        if unpacked_length(body).is_none_or(|length| length > FRAMED_TEXT_MAX as u64) {
            continue;
        }
        let Ok(text) = unpack(body) else { continue };
        if may_be_framed(&text) && !open.add(at, body.len(), &text) {
            open.end();
            open.add(at, body.len(), &text);
        }
    }
    open.end();
    open.packed
}

/// The frame that is being filled, and those before it.
#[derive(Default)]
struct Open {
    frame: Frame,
    texts: Vec<FramedText>,
    bytes_before: usize,
    packed: Vec<PackedFrame>,
}

impl Open {
    /// Adds a text; `false` if there is no room for it.
    fn add(&mut self, body: usize, stored: usize, text: &[u8]) -> bool {
        let (Some(index), Ok(length)) = (self.frame.push(text), u16::try_from(text.len())) else {
            return false;
        };
        self.texts.push(FramedText {
            body,
            index,
            length,
        });
        self.bytes_before += stored;
        true
    }

    fn end(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        let texts = std::mem::take(&mut self.texts);
        let bytes_before = std::mem::take(&mut self.bytes_before);
        let Some(bytes) = frame.pack(LEVEL) else {
            return;
        };
        let packed = PackedFrame {
            bytes,
            texts,
            bytes_before,
        };
        if packed.bytes_after() < packed.bytes_before {
            self.packed.push(packed);
        }
    }
}

/// Lines that have something to frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unframed {
    /// The keys of the lines.
    pub lines: Vec<Address>,
    /// Where to go on; `None` at the end.
    pub next: Option<Address>,
}

/// What a step of framing did, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Records whose texts are in frames now.
    pub records: u64,
    /// What their bodies took before.
    pub bytes_before: u64,
    /// What they take now, with their frames.
    pub bytes_after: u64,
    /// Where to go on; `None` where the line has nothing more to frame.
    pub next: Option<Version>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use super::*;
    use syncline_model::frame::InFrame;
    use syncline_model::record::pack;

    fn check(texts: &[String], frames: usize, framed: &[usize]) {
        let bodies: Vec<_> = texts.iter().map(|text| pack(text)).collect();
        let packed = pack_stretch(bodies.iter().map(|body| &**body));
        assert_eq!(packed.len(), frames);
        let mut held = Vec::new();
        for packed in &packed {
            assert!(packed.bytes_after() < packed.bytes_before);
            let frame = Frame::unpack(&packed.bytes).unwrap();
            for text in &packed.texts {
                let place = InFrame {
                    frame: 1,
                    index: text.index,
                    length: text.length,
                };
                let body = place.body_from(&frame).unwrap();
                let found = unpack(&body).unwrap().into_owned();
                assert_eq!(found, texts[text.body].as_bytes());
                held.push(text.body);
            }
        }
        assert_eq!(held, framed);
    }

    #[test]
    fn a_stretch_becomes_as_few_frames_as_it_needs() {
        let text =
            |n: usize, long: usize| format!("{{\"n\":{n},\"text\":\"{}\"}}", "la".repeat(long));
        check(&[], 0, &[]);
        // Alone a short text is smaller.
        check(&[text(1, 1)], 0, &[]);
        let short: Vec<_> = (0..64).map(|n| text(n, 20)).collect();
        check(&short, 1, &(0..64).collect::<Vec<_>>());
        let mixed = [text(0, 20), text(1, 40_000), text(2, 20), text(3, 2_000)];
        check(&mixed, 1, &[0, 2, 3]);
        let long: Vec<_> = (0..40).map(|n| text(n, 8_000 - n)).collect();
        check(&long, 3, &(0..40).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let good = pack(&format!("{{\"text\":\"{}\"}}", "la".repeat(200)));
        let led = InFrame {
            frame: 1,
            index: 0,
            length: 9,
        };
        let led = led.to_body();
        let packed = pack_stretch([&*good, b"", &[9, 9], &led, &[2, 7, 7], &*good]);
        let held: Vec<_> = packed[0].texts.iter().map(|text| text.body).collect();
        assert_eq!((packed.len(), held), (1, vec![0, 5]));
    }
}
