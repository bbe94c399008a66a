//! Frames: messages in arrays, composed without a tree.

use std::collections::VecDeque;

use bytes::Bytes;
use syncline_model::json::JsonWriter;
use tokio_tungstenite::tungstenite::Message;

/// Bounds a frame's messages (PROTOCOL).
pub(super) const FRAME_MESSAGES_MAX: usize = 64;
/// Bounds a frame's bytes, unless one message alone is larger (PROTOCOL).
pub(super) const FRAME_BYTES_MAX: usize = 64 << 10;
/// A frame of which nobody knows how long it becomes begins with so many.
const FIRST_BYTES: usize = 512;
/// Bounds the room that a frame begins with: one that is full holds a message's part more than
/// [`FRAME_BYTES_MAX`], and would else be moved to twice the room for its last one.
const ROOM_BYTES_MAX: usize = FRAME_BYTES_MAX + FRAME_BYTES_MAX / 4;
/// Bounds what is composed before the socket takes it.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// What is ready for the socket.
#[derive(Debug)]
pub(super) enum Frame {
    /// A text.
    Text(Bytes),
    /// What the protocol below says.
    Control(Message),
}

/// Composes frames, and holds those that the socket has not taken yet.
#[derive(Default)]
pub(super) struct Frames {
    ready: VecDeque<Frame>,
    bytes: usize,
    open: Option<(JsonWriter, usize)>,
    /// About how many bytes come to the frames that are not open yet.
    expected: usize,
}

impl Frames {
    /// Says that messages of about so many bytes come, so that a frame is not moved as it grows.
    pub fn expect(&mut self, bytes: usize) {
        self.expected = bytes;
    }

    /// Appends a message.
    pub fn push(&mut self, write: impl FnOnce(&mut JsonWriter)) {
        let expected = self.expected;
        let (w, messages) = self.open.get_or_insert_with(|| {
            let mut w = JsonWriter::with_capacity(expected.clamp(FIRST_BYTES, ROOM_BYTES_MAX));
            w.begin_array();
            (w, 0)
        });
        write(w);
        *messages += 1;
        if *messages >= FRAME_MESSAGES_MAX || w.len() >= FRAME_BYTES_MAX {
            self.close_frame();
        }
    }

    /// Returns how many messages the open frame still takes.
    pub fn room(&self) -> usize {
        FRAME_MESSAGES_MAX - self.open.as_ref().map_or(0, |(_, messages)| *messages)
    }

    /// Says whether what is composed should be sent before more is.
    pub fn is_full(&self) -> bool {
        self.bytes + self.open.as_ref().map_or(0, |(w, _)| w.len()) >= BATCH_BYTES_MAX
    }

    /// Says whether anything waits for the socket.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.open.is_none()
    }

    /// Puts a control frame after what waits.
    pub fn control(&mut self, message: Message) {
        self.close_frame();
        self.ready.push_back(Frame::Control(message));
    }

    /// Takes what is composed; none if that is nothing.
    pub fn take(&mut self) -> Option<VecDeque<Frame>> {
        self.close_frame();
        self.bytes = 0;
        // The next batch starts small again: an idle connection holds nothing.
        let ready = std::mem::take(&mut self.ready);
        (!ready.is_empty()).then_some(ready)
    }

    fn close_frame(&mut self) {
        let Some((mut w, messages)) = self.open.take() else {
            return;
        };
        self.expected = self.expected.saturating_sub(w.len());
        w.end_array();
        let mut text = Bytes::from(w.into_string());
        if messages == 1 {
            text = text.slice(1..text.len() - 1);
        }
        self.bytes += text.len();
        self.ready.push_back(Frame::Text(text));
    }
}
