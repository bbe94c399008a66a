//! Frames: messages in arrays, composed without a tree.

use std::collections::VecDeque;

use axum::extract::ws::{Message, Utf8Bytes};
use syncline_model::json::JsonWriter;

/// Bounds a frame's messages (PROTOCOL).
pub(super) const FRAME_MESSAGES_MAX: usize = 64;
/// Bounds a frame's bytes, unless one message alone is larger (PROTOCOL).
pub(super) const FRAME_BYTES_MAX: usize = 64 << 10;
/// Bounds what is composed before the socket takes it.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// Composes frames, and holds those that the socket has not taken yet.
#[derive(Default)]
pub(super) struct Frames {
    ready: VecDeque<Message>,
    bytes: usize,
    open: Option<(JsonWriter, usize)>,
}

impl Frames {
    /// Appends a message.
    pub fn push(&mut self, write: impl FnOnce(&mut JsonWriter)) {
        let (w, messages) = self.open.get_or_insert_with(|| {
            let mut w = JsonWriter::with_capacity(512);
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
        self.ready.push_back(message);
    }

    /// Returns the next frame.
    pub fn pop(&mut self) -> Option<Message> {
        if self.ready.is_empty() {
            self.close_frame();
        }
        let frame = self.ready.pop_front()?;
        if self.ready.is_empty() {
            // The next batch starts small again: an idle connection holds nothing.
            self.bytes = 0;
            self.ready = VecDeque::new();
        }
        Some(frame)
    }

    fn close_frame(&mut self) {
        let Some((mut w, messages)) = self.open.take() else {
            return;
        };
        w.end_array();
        let mut text = w.into_string();
        if messages == 1 {
            text.pop();
            text.remove(0);
        }
        self.bytes += text.len();
        self.ready.push_back(Message::Text(Utf8Bytes::from(text)));
    }
}
