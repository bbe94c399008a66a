//! Redis, by hand: a document is a hash, the history one stream, an update one script call.
//!
//! A hash is what favours Redis most: an update touches two fields, whatever the document's size.

use std::io;
use std::net::TcpStream;

use super::material;
use super::speak::{Speaker, Whole, connect, excerpt, exchange};
use crate::bench::job::{Job, Work};

/// Sets both fields, counts the version, and writes history, at once.
const UPDATE: &str = "redis.call('HSET',KEYS[1],'status',ARGV[1],'at',ARGV[2]) \
     local v=redis.call('HINCRBY',KEYS[1],'version',1) \
     redis.call('XADD','log','*','context',KEYS[1],'version',v,'patch',ARGV[3]) \
     return v";

pub struct Redis {
    job: Job,
    script: String,
    number: u64,
}

impl Redis {
    pub fn new(job: &Job) -> Redis {
        Redis {
            job: job.clone(),
            script: String::new(),
            number: 0,
        }
    }

    fn key(&self, connection: usize) -> String {
        format!(
            "task/{}-{}",
            self.job.prefix,
            connection % self.job.contexts
        )
    }
}

impl Speaker for Redis {
    fn open(&mut self, connection: usize) -> io::Result<TcpStream> {
        let mut stream = connect(&self.job.addr)?;
        if self.script.is_empty() {
            let answer = exchange(&mut stream, &command(&["SCRIPT", "LOAD", UPDATE]), reply)?;
            let text = String::from_utf8_lossy(&answer);
            self.script = text.lines().nth(1).unwrap_or_default().to_owned();
        }
        if connection < self.job.contexts {
            let key = self.key(connection);
            let members = material::members(self.job.document_bytes);
            let mut words = vec!["HSET", &key, "version", "1"];
            words.extend(
                members
                    .iter()
                    .flat_map(|(name, value)| [name.as_str(), value.as_str()]),
            );
            exchange(&mut stream, &command(&words), reply)?;
        }
        Ok(stream)
    }

    fn ask(&mut self, connection: usize, out: &mut Vec<u8>) {
        let key = self.key(connection);
        if self.job.work == Work::Read {
            return out.extend_from_slice(&command(&["HGETALL", &key]));
        }
        self.number += 1;
        let (status, at) = (format!("\"s{:010}\"", self.number), self.number.to_string());
        let patch = material::update(self.number, self.number);
        let words = ["EVALSHA", &self.script, "1", &key, &status, &at, &patch];
        out.extend_from_slice(&command(&words));
    }

    fn answer(&mut self, input: &[u8]) -> Whole {
        reply(input)
    }
}

pub fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}

pub fn reply(input: &[u8]) -> Whole {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return Ok(None);
    };
    let line = &input[1..end - 1];
    let number = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
    let count = usize::try_from(number().unwrap_or(-1));
    let head = end + 1;
    match (input[0], count) {
        (b'-', _) => Err(excerpt(input)),
        (b'$', Ok(length)) => {
            let whole = head + length + 2;
            Ok((input.len() >= whole).then_some(whole))
        }
        (b'*', Ok(count)) => {
            let mut at = head;
            for _ in 0..count {
                match reply(&input[at..])? {
                    Some(length) => at += length,
                    None => return Ok(None),
                }
            }
            Ok(Some(at))
        }
        _ => Ok(Some(head)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn replies_are_measured() {
        for text in [
            "+OK\r\n",
            ":12\r\n",
            "$3\r\nabc\r\n",
            "*2\r\n$1\r\na\r\n:1\r\n",
            "$-1\r\n",
        ] {
            assert_eq!(
                reply(text.as_bytes()).unwrap(),
                Some(text.len()),
                "{text:?}"
            );
            assert_eq!(
                reply(&text.as_bytes()[..text.len() - 1]).unwrap(),
                None,
                "{text:?}"
            );
        }
        assert!(reply(b"-ERR no\r\n").is_err());
    }
}
