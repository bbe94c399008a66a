//! Writers on old versions: each changes a field of its own and names as its base what it last
//! heard, so on a shared context nearly every write meets a newer head.

use std::io;
use std::net::TcpStream;

use memchr::memmem;

use super::closed;
use super::http;
use super::material::{self, Dice};
use super::speak::{Speaker, Whole, connect, excerpt, exchange};
use super::ws;
use crate::bench::job::{Job, Outcome};

/// Runs the job, then reads the documents and counts the writes that are not in them.
pub fn run(job: &Job) -> Result<Outcome, String> {
    let mut writers = Writers::new(job);
    let mut outcome = closed::run(job, &mut writers)?;
    let lost = writers.lost().map_err(|error| error.to_string())?;
    outcome.written = writers.all.iter().map(|writer| writer.heard).sum();
    outcome.merged = writers.merged;
    outcome.refused = writers.refused;
    outcome.lost = lost;
    Ok(outcome)
}

/// One writer on one connection.
#[derive(Default)]
struct Writer {
    /// The ETag of what it last heard of.
    base: String,
    /// The number that it wrote last, perhaps without an answer yet.
    asked: u64,
    /// The last number that was acknowledged.
    heard: u64,
}

struct Writers {
    job: Job,
    dice: Dice,
    all: Vec<Writer>,
    merged: u64,
    refused: u64,
}

impl Writers {
    fn new(job: &Job) -> Writers {
        Writers {
            job: job.clone(),
            dice: Dice::fresh(),
            all: (0..job.connections).map(|_| Writer::default()).collect(),
            merged: 0,
            refused: 0,
        }
    }

    fn context(&self, writer: usize) -> String {
        format!("task/{}-{}", self.job.prefix, writer % self.job.contexts)
    }

    /// Creates a context.
    fn create(&mut self, stream: &mut TcpStream, writer: usize) -> io::Result<()> {
        let document = material::object(&material::members(self.job.document_bytes));
        let submit = format!(
            "{{\"type\":\"submit\",\"id\":\"c\",\"proposals\":[{{\"change_id\":\"{}\",\
             \"context\":\"{}\",\"op\":\"create\",\"body\":{{\"data\":{document}}}}}]}}",
            self.dice.change_id(),
            self.context(writer)
        );
        ws::say(stream, &submit, b"\"outcome\":\"applied\"").map(drop)
    }

    /// Reads a context as it is now.
    fn read(&self, writer: usize) -> io::Result<Vec<u8>> {
        let Job { addr, token, .. } = &self.job;
        let request = format!(
            "GET /v1/contexts/{} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\r\n",
            self.context(writer)
        );
        exchange(&mut connect(addr)?, request.as_bytes(), http::whole)
    }

    /// Counts the acknowledged numbers that the documents do not have, and the versions that are
    /// missing.
    fn lost(&self) -> io::Result<u64> {
        let mut lost = 0;
        let mut versions = vec![0; self.job.contexts];
        for (index, writer) in self.all.iter().enumerate() {
            let answer = self.read(index)?;
            let shown = number(&answer, &format!("\"{}\":", field(index))).unwrap_or(0);
            // What was asked last may have been written after all.
            let is_there = (writer.heard..=writer.asked).contains(&shown);
            lost += u64::from(!is_there);
            let version = number(&answer, "\"version\":").unwrap_or(0);
            versions[index % self.job.contexts] = version;
        }
        let heard: u64 = self.all.iter().map(|writer| writer.heard).sum();
        let created = self.job.contexts as u64;
        let missing = (heard + created).saturating_sub(versions.iter().sum());
        Ok(lost.max(missing))
    }

    /// Takes a receipt.
    fn hear(&mut self, payload: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
        let writer = number(payload, "\"ref\":\"").and_then(|index| usize::try_from(index).ok());
        let writer = writer.and_then(|index| self.all.get_mut(index));
        let writer = writer.ok_or_else(|| excerpt(payload))?;
        let outcome = text
            .split_once("\"outcome\":\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        match outcome.map(|(outcome, _)| outcome) {
            Some("applied") => writer.heard = writer.asked,
            Some("merged") => {
                writer.heard = writer.asked;
                self.merged += 1;
            }
            // A refusal or a conflict: nobody else writes this field, so it is a fault.
            _ => self.refused += 1,
        }
        if let Some(etag) = etag(text) {
            writer.base = etag;
        }
        Ok(())
    }
}

impl Speaker for Writers {
    fn open(&mut self, connection: usize) -> io::Result<TcpStream> {
        let mut stream = ws::open(&self.job.addr, &self.job.token)?;
        if connection < self.job.contexts {
            self.create(&mut stream, connection)?;
        }
        let answer = self.read(connection)?;
        let base = etag(&String::from_utf8_lossy(&answer));
        self.all[connection].base = base.ok_or_else(|| io::Error::other(excerpt(&answer)))?;
        Ok(stream)
    }

    fn ask(&mut self, connection: usize, out: &mut Vec<u8>) {
        let (id, context) = (self.dice.change_id(), self.context(connection));
        let writer = &mut self.all[connection];
        writer.asked += 1;
        let (base, asked, field) = (&writer.base, writer.asked, field(connection));
        let submit = format!(
            "{{\"type\":\"submit\",\"id\":\"{connection}\",\"proposals\":[{{\"change_id\":\"{id}\",\
             \"context\":\"{context}\",\"op\":\"merge\",\"base\":\"{base}\",\
             \"body\":{{\"data\":{{\"{field}\":{asked}}}}}}}]}}"
        );
        ws::push_text(out, &submit);
    }

    fn answer(&mut self, input: &[u8]) -> Whole {
        let mut at = 0;
        // Frames that are no receipt, such as a ping, belong to the answer that follows them.
        while let Some(frame) = ws::frame(&input[at..]) {
            let payload = &input[at + frame.start..at + frame.end];
            at += frame.end;
            match frame.opcode {
                1 if memmem::find(payload, b"\"type\":\"heartbeat\"").is_some() => {}
                1 => {
                    self.hear(payload)?;
                    return Ok(Some(at));
                }
                8 => return Err(format!("the node closed: {}", excerpt(payload))),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// The field that a writer alone writes.
fn field(writer: usize) -> String {
    format!("writer_{writer}")
}

/// Finds the number after a text.
fn number(input: &[u8], before: &str) -> Option<u64> {
    let at = memmem::find(input, before.as_bytes())? + before.len();
    let digits = input[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let text: String = digits.map(|byte| char::from(*byte)).collect();
    text.parse().ok()
}

/// Finds the ETag in a receipt or a context, as it is written there: a JSON string's inside.
fn etag(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("\"etag\":\"")?;
    // The quotes that belong to it are escaped.
    let inner = rest.strip_prefix("\\\"")?;
    let (inner, _) = inner.split_once("\\\"")?;
    Some(format!("\\\"{inner}\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_tell_writer_and_base() {
        let text = r#"{"type":"receipt","ref":"12","receipts":[{"etag":"\"v8-0af\"","n":1}]}"#;
        assert_eq!(number(text.as_bytes(), "\"ref\":\""), Some(12));
        assert_eq!(etag(text).as_deref(), Some(r#"\"v8-0af\""#));
        assert_eq!(etag("{}"), None);
    }
}
