//! Who is followed: how each publishes a change, and how its subscribers get it.

use std::io::{self, Write as _};
use std::net::TcpStream;

use memchr::memmem;

use super::http;
use super::material::{self, Dice};
use super::resp;
use super::speak::{Whole, connect, excerpt, exchange};
use super::ws;
use crate::bench::job::{Job, Peer};

/// Something that came to a connection.
pub struct Came {
    /// Where what it holds begins; behind `end` if that is nothing of interest.
    pub start: usize,
    /// Where what it holds ends.
    pub end: usize,
    /// Where the next begins.
    pub next: usize,
}

/// A server that is written to and followed.
pub trait Followed {
    /// Opens the writer's connection and makes what it will change; may block.
    fn writer(&mut self) -> io::Result<TcpStream>;
    /// Opens a subscriber's connection; may block.
    fn subscriber(&mut self) -> io::Result<TcpStream>;
    /// Appends an update of a document that says when it was sent.
    fn push_update(&mut self, document: usize, at: u64, out: &mut Vec<u8>);
    /// Finds what came first to the writer, and how many updates it answers.
    fn receipts(&self, input: &[u8]) -> Result<Option<(usize, u64)>, String>;
    /// Finds what came first to a subscriber.
    fn came(&self, input: &[u8]) -> Result<Option<Came>, String>;
}

/// Returns whom a job is to follow.
pub fn of(job: &Job) -> Result<Box<dyn Followed>, String> {
    Ok(match job.peer {
        Peer::Ws => Box::new(Node {
            writer: ws::Writer::new(job),
            job: job.clone(),
        }),
        Peer::Redis => Box::new(Redis {
            events: Events::new(job),
            script: String::new(),
        }),
        Peer::Nats => Box::new(Nats(Events::new(job))),
        Peer::Nchan => Box::new(Nchan(Events::new(job))),
        Peer::Http | Peer::Postgres => {
            return Err(format!("{} has no subscribers", job.peer.name()));
        }
    })
}

/// A node over its WebSocket.
struct Node {
    writer: ws::Writer,
    job: Job,
}

impl Followed for Node {
    fn writer(&mut self) -> io::Result<TcpStream> {
        let mut stream = ws::open(&self.job.addr, &self.job.token)?;
        for number in 0..self.job.contexts {
            self.writer.create(&mut stream, number)?;
        }
        Ok(stream)
    }

    fn subscriber(&mut self) -> io::Result<TcpStream> {
        let mut stream = ws::open(&self.job.addr, &self.job.token)?;
        ws::subscribe(&mut stream)?;
        Ok(stream)
    }

    fn push_update(&mut self, document: usize, at: u64, out: &mut Vec<u8>) {
        self.writer.push_update(document, at, out);
    }

    fn receipts(&self, input: &[u8]) -> Result<Option<(usize, u64)>, String> {
        let Some(Came { start, end, next }) = self.came(input)? else {
            return Ok(None);
        };
        let count = match start < end {
            true => ws::count_receipts(&input[start..end])?,
            false => 0,
        };
        Ok(Some((next, count)))
    }

    fn came(&self, input: &[u8]) -> Result<Option<Came>, String> {
        came_in_frame(input)
    }
}

fn came_in_frame(input: &[u8]) -> Result<Option<Came>, String> {
    let Some(frame) = ws::frame(input) else {
        return Ok(None);
    };
    let next = frame.end;
    match frame.opcode {
        1 => Ok(Some(Came {
            start: frame.start,
            end: next,
            next,
        })),
        8 => Err(format!(
            "the server closed: {}",
            excerpt(&input[frame.start..next])
        )),
        _ => Ok(Some(nothing(next))),
    }
}

fn nothing(next: usize) -> Came {
    Came {
        start: next,
        end: next,
        next,
    }
}

/// What a peer publishes.
struct Events {
    job: Job,
    dice: Dice,
    number: u64,
}

impl Events {
    fn new(job: &Job) -> Events {
        Events {
            job: job.clone(),
            dice: Dice::fresh(),
            number: 0,
        }
    }

    fn channel(&self) -> &str {
        &self.job.prefix
    }

    fn context(&self, document: usize) -> String {
        format!("task/{}-{document}", self.job.prefix)
    }

    fn next(&mut self, document: usize, at: u64) -> String {
        self.number += 1;
        let id = self.dice.change_id();
        material::event(self.number, &self.context(document), &id, at)
    }
}

/// Sets both fields, counts the version, writes history, and publishes, at once.
const PUBLISH: &str = "redis.call('HSET',KEYS[1],'status',ARGV[1],'at',ARGV[2]) \
     local v=redis.call('HINCRBY',KEYS[1],'version',1) \
     redis.call('XADD','log','*','context',KEYS[1],'version',v,'patch',ARGV[3]) \
     redis.call('PUBLISH',ARGV[4],ARGV[5]) \
     return v";

/// Redis. What is published leaves it after the sync that its log's part waits for.
struct Redis {
    events: Events,
    script: String,
}

impl Followed for Redis {
    fn writer(&mut self) -> io::Result<TcpStream> {
        let mut stream = connect(&self.events.job.addr)?;
        let load = resp::command(&["SCRIPT", "LOAD", PUBLISH]);
        let answer = exchange(&mut stream, &load, resp::reply)?;
        let text = String::from_utf8_lossy(&answer);
        text.lines()
            .nth(1)
            .unwrap_or_default()
            .clone_into(&mut self.script);
        Ok(stream)
    }

    fn subscriber(&mut self) -> io::Result<TcpStream> {
        let mut stream = connect(&self.events.job.addr)?;
        let subscribe = resp::command(&["SUBSCRIBE", self.events.channel()]);
        exchange(&mut stream, &subscribe, resp::reply)?;
        Ok(stream)
    }

    fn push_update(&mut self, document: usize, at: u64, out: &mut Vec<u8>) {
        let event = self.events.next(document, at);
        let number = self.events.number;
        let key = self.events.context(document);
        let (status, at) = (format!("\"s{number:010}\""), at.to_string());
        let patch = material::update(number, number);
        let channel = self.events.channel();
        let script = &self.script;
        out.extend_from_slice(&resp::command(&[
            "EVALSHA", script, "1", &key, &status, &at, &patch, channel, &event,
        ]));
    }

    fn receipts(&self, input: &[u8]) -> Result<Option<(usize, u64)>, String> {
        Ok(resp::reply(input)?.map(|length| (length, 1)))
    }

    fn came(&self, input: &[u8]) -> Result<Option<Came>, String> {
        Ok(resp::reply(input)?.map(|next| Came {
            start: 0,
            end: next,
            next,
        }))
    }
}

/// NATS, by hand. A ping after each publication tells how far the server is.
struct Nats(Events);

impl Nats {
    fn open(&self, more: &str) -> io::Result<TcpStream> {
        let mut stream = connect(&self.0.job.addr)?;
        exchange(&mut stream, b"", line)?;
        let hello = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\n{more}PING\r\n");
        exchange(&mut stream, hello.as_bytes(), |input| {
            let pong = memmem::find(input, b"PONG\r\n");
            Ok(pong.map(|_| input.len()))
        })?;
        Ok(stream)
    }
}

fn line(input: &[u8]) -> Whole {
    Ok(memchr::memchr(b'\n', input).map(|end| end + 1))
}

impl Followed for Nats {
    fn writer(&mut self) -> io::Result<TcpStream> {
        self.open("")
    }

    fn subscriber(&mut self) -> io::Result<TcpStream> {
        self.open(&format!("SUB {} 1\r\n", self.0.channel()))
    }

    fn push_update(&mut self, document: usize, at: u64, out: &mut Vec<u8>) {
        let event = self.0.next(document, at);
        let head = format!("PUB {} {}\r\n", self.0.channel(), event.len());
        for part in [head.as_str(), &event, "\r\nPING\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    fn receipts(&self, input: &[u8]) -> Result<Option<(usize, u64)>, String> {
        let came = self.came(input)?;
        Ok(came.map(|came| (came.next, u64::from(input.starts_with(b"PONG")))))
    }

    fn came(&self, input: &[u8]) -> Result<Option<Came>, String> {
        let Some(start) = line(input)? else {
            return Ok(None);
        };
        if input.starts_with(b"-ERR") {
            return Err(excerpt(input));
        }
        if !input.starts_with(b"MSG ") {
            return Ok(Some(nothing(start)));
        }
        let head = String::from_utf8_lossy(&input[..start]);
        let length = head.trim_end().rsplit(' ').next().unwrap_or_default();
        let length: usize = length.parse().map_err(|_| excerpt(input))?;
        let (end, next) = (start + length, start + length + 2);
        Ok((input.len() >= next).then_some(Came { start, end, next }))
    }
}

/// nginx with nchan: updates are posted, subscribers have WebSockets.
struct Nchan(Events);

impl Followed for Nchan {
    fn writer(&mut self) -> io::Result<TcpStream> {
        connect(&self.0.job.addr)
    }

    fn subscriber(&mut self) -> io::Result<TcpStream> {
        let path = format!("/sub/{}", self.0.channel());
        ws::upgrade(&self.0.job.addr, &path, "")
    }

    fn push_update(&mut self, document: usize, at: u64, out: &mut Vec<u8>) {
        let event = self.0.next(document, at);
        let (channel, addr) = (self.0.channel(), &self.0.job.addr);
        // Writing into a vector cannot fail.
        let _ = write!(
            out,
            "POST /pub/{channel} HTTP/1.1\r\nHost: {addr}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
            event.len()
        );
    }

    fn receipts(&self, input: &[u8]) -> Result<Option<(usize, u64)>, String> {
        Ok(http::whole(input)?.map(|length| (length, 1)))
    }

    fn came(&self, input: &[u8]) -> Result<Option<Came>, String> {
        came_in_frame(input)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_publication_of_nats_is_found_whole() {
        let job: Job = serde_json::from_str(
            r#"{"peer":"nats","addr":"","token":"","pid":0,"work":"notify","connections":1,
                "contexts":1,"document_bytes":1,"rate":1,"warm_s":0,"seconds":0,"prefix":"p"}"#,
        )
        .unwrap();
        let nats = Nats(Events::new(&job));
        let input = b"MSG p 1 3\r\nabc\r\nPING\r\n";
        let came = nats.came(input).unwrap().unwrap();
        assert_eq!(&input[came.start..came.end], b"abc");
        assert!(nats.came(&input[..15]).unwrap().is_none());
        let ping = nats.came(&input[came.next..]).unwrap().unwrap();
        assert_eq!((ping.start, ping.next), (6, 6));
        assert!(nats.came(b"-ERR 'Slow Consumer'\r\n").is_err());
    }
}
