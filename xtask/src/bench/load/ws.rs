//! A node over its WebSocket: frames by hand, answers recognized by their bytes.

use std::io::{self, Write as _};
use std::net::TcpStream;

use memchr::memmem;

use super::material::{self, Dice};
use super::speak::{Speaker, Whole, connect, excerpt, exchange};
use crate::bench::job::Job;

/// What a change or an answer lies in.
pub struct Frame {
    /// Where its payload begins.
    pub start: usize,
    /// Where the frame ends.
    pub end: usize,
    /// What it is: 1 is text, 8 close, 9 ping.
    pub opcode: u8,
}

/// Finds the frame at the start of the input, if all of it is there.
pub fn frame(input: &[u8]) -> Option<Frame> {
    let (first, second) = (*input.first()?, *input.get(1)?);
    let (start, length) = match second & 0x7F {
        126 => (
            4,
            u64::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    let end = usize::try_from(length).ok()?.checked_add(start)?;
    (input.len() >= end).then_some(Frame {
        start,
        end,
        opcode: first & 0x0F,
    })
}

/// Appends a text frame. Its mask is zero, so the payload stays as it is.
pub fn push_text(out: &mut Vec<u8>, payload: &str) {
    out.push(0x81);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | u8::try_from(length).expect("below 126")),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&u16::try_from(length).expect("below 65,536").to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload.as_bytes());
}

/// Connects to a node and says hello.
pub fn open(addr: &str, token: &str) -> io::Result<TcpStream> {
    let protocol = "Sec-WebSocket-Protocol: syncline.v1\r\n";
    let mut stream = upgrade(addr, "/v1/sync", protocol)?;
    let hello = format!("{{\"type\":\"hello\",\"token\":\"{token}\",\"client\":\"bench/1\"}}");
    say(&mut stream, &hello, b"\"type\":\"welcome\"")?;
    Ok(stream)
}

/// Connects and asks for a WebSocket.
pub fn upgrade(addr: &str, path: &str, headers: &str) -> io::Result<TcpStream> {
    let mut stream = connect(addr)?;
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {headers}\r\n"
    );
    exchange(
        &mut stream,
        upgrade.as_bytes(),
        |input| match memmem::find(input, b"\r\n\r\n") {
            Some(end) if input.starts_with(b"HTTP/1.1 101") => Ok(Some(end + 4)),
            Some(_) => Err(excerpt(input)),
            None => Ok(None),
        },
    )?;
    Ok(stream)
}

/// Subscribes to the whole workspace from now on, and returns what the node says.
pub fn subscribe(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let ask =
        "{\"type\":\"subscribe\",\"id\":\"s\",\"scope\":[{\"workspace\":true}],\"from\":\"now\"}";
    say(stream, ask, b"\"type\":\"subscribed\"")
}

/// Subscribes to the changes of one field in contexts of one area.
pub fn subscribe_filtered(stream: &mut TcpStream, area: usize) -> io::Result<Vec<u8>> {
    let ask = format!(
        "{{\"type\":\"subscribe\",\"id\":\"s\",\"scope\":[{{\"workspace\":true}}],\"from\":\"now\",\
         \"filter\":{{\"all\":[{{\"exact\":{{\"labels.area\":\"area-{area}\"}}}},\
         {{\"changed\":\"/data/status\"}}]}}}}"
    );
    say(stream, &ask, b"\"type\":\"subscribed\"")
}

/// Says a message, reads frames until one holds `expected`, and returns that.
pub fn say(stream: &mut TcpStream, message: &str, expected: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    push_text(&mut out, message);
    stream.write_all(&out)?;
    loop {
        let payload = read_frame(stream)?;
        if memmem::find(&payload, expected).is_some() {
            return Ok(payload);
        }
        if memmem::find(&payload, b"\"type\":\"error\"").is_some() {
            return Err(io::Error::other(excerpt(&payload)));
        }
    }
}

/// Reads one frame and not a byte more, since the loop will read what follows.
pub fn read_frame(stream: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let more = match head[1] & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut long = [0; 8];
    stream.read_exact(&mut long[8 - more..])?;
    let length = match more {
        0 => u64::from(head[1] & 0x7F),
        _ => u64::from_be_bytes(long),
    };
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    if head[0] & 0x0F == 8 {
        return Err(io::Error::other(format!(
            "the node closed: {}",
            excerpt(&payload[2..])
        )));
    }
    Ok(payload)
}

/// Makes updates of documents over `submit`.
pub struct Writer {
    job: Job,
    dice: Dice,
    number: u64,
    text: String,
}

impl Writer {
    pub fn new(job: &Job) -> Writer {
        Writer {
            job: job.clone(),
            dice: Dice::fresh(),
            number: 0,
            text: String::new(),
        }
    }

    /// Creates a document, waiting for it.
    pub fn create(&mut self, stream: &mut TcpStream, number: usize) -> io::Result<()> {
        let document = material::object(&material::members(self.job.document_bytes));
        let submit = format!(
            "{{\"type\":\"submit\",\"id\":\"c\",\"proposals\":[{{\"change_id\":\"{}\",\
             \"context\":\"task/{}-{number}\",\"op\":\"create\",\"body\":{{\"data\":{document}}}}}]}}",
            self.dice.change_id(),
            self.job.prefix
        );
        say(stream, &submit, b"\"outcome\":\"applied\"").map(drop)
    }

    /// Appends an update that changes two fields; `at` is one of them.
    pub fn push_update(&mut self, document: usize, at: u64, out: &mut Vec<u8>) {
        use std::fmt::Write as _;
        self.number += 1;
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let _ = write!(
            text,
            "{{\"type\":\"submit\",\"id\":\"u\",\"proposals\":[{{\"change_id\":\"{}\",\
             \"context\":\"task/{}-{document}\",\"op\":\"merge\",\"body\":{{\"data\":{}}}}}]}}",
            self.dice.change_id(),
            self.job.prefix,
            material::update(self.number, at)
        );
        push_text(out, &text);
        self.text = text;
    }
}

/// Counts the receipts in a frame; anything refused is an error.
pub fn count_receipts(payload: &[u8]) -> Result<u64, String> {
    let applied = memmem::find_iter(payload, b"\"outcome\":\"applied\"").count() as u64;
    if applied == 0 && memmem::find(payload, b"\"type\":\"heartbeat\"").is_none() {
        return Err(excerpt(payload));
    }
    Ok(applied)
}

/// A writer on each connection.
pub struct Ws(Writer);

impl Ws {
    pub fn new(job: &Job) -> Ws {
        Ws(Writer::new(job))
    }
}

impl Speaker for Ws {
    fn open(&mut self, connection: usize) -> io::Result<TcpStream> {
        let mut stream = open(&self.0.job.addr, &self.0.job.token)?;
        if connection < self.0.job.contexts {
            self.0.create(&mut stream, connection)?;
        }
        Ok(stream)
    }

    fn ask(&mut self, connection: usize, out: &mut Vec<u8>) {
        let (document, at) = (connection % self.0.job.contexts, self.0.number);
        self.0.push_update(document, at, out);
    }

    fn answer(&mut self, input: &[u8]) -> Whole {
        let mut at = 0;
        // Frames that are no receipt, such as a ping, belong to the answer that follows them.
        while let Some(frame) = frame(&input[at..]) {
            let payload = &input[at + frame.start..at + frame.end];
            at += frame.end;
            let is_answer = match frame.opcode {
                1 => count_receipts(payload)? > 0,
                8 => return Err(format!("the node closed: {}", excerpt(payload))),
                _ => false,
            };
            if is_answer {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_are_found_whole() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut out = Vec::new();
            push_text(&mut out, &"x".repeat(length));
            // A server's frame has no mask.
            let mask = out.len() - length - 4;
            out.drain(mask..mask + 4);
            out[1] &= 0x7F;
            let found = frame(&out).unwrap();
            assert_eq!((found.end, found.end - found.start), (out.len(), length));
            assert!(frame(&out[..out.len() - 1]).is_none());
        }
    }
}
