//! PostgreSQL, by hand: a document is a row, the history a table, an update one prepared statement
//! that changes the row and writes its history, so one transaction and one round trip.

use std::io;
use std::net::TcpStream;

use super::material;
use super::speak::{Speaker, Whole, connect, excerpt, exchange};
use crate::bench::job::{Job, Work};

/// The tables; made once, before the first measurement.
pub const TABLES: &str = "CREATE TABLE IF NOT EXISTS context (address text PRIMARY KEY, \
     version bigint NOT NULL, doc jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now()); \
     CREATE TABLE IF NOT EXISTS history (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
     address text NOT NULL, version bigint NOT NULL, patch jsonb NOT NULL, \
     committed_at timestamptz NOT NULL DEFAULT now());";
const CREATE: &str = "INSERT INTO context (address, version, doc) VALUES ($1, 1, $2::jsonb)";
const UPDATE: &str = "WITH head AS (UPDATE context SET doc = doc || $2::jsonb, \
     version = version + 1, updated_at = now() WHERE address = $1 RETURNING address, version) \
     INSERT INTO history (address, version, patch) \
     SELECT address, version, $2::jsonb FROM head RETURNING seq, version";
const READ: &str = "SELECT version, doc, updated_at FROM context WHERE address = $1";

pub struct Postgres {
    job: Job,
    has_tables: bool,
    number: u64,
}

impl Postgres {
    pub fn new(job: &Job) -> Postgres {
        Postgres {
            job: job.clone(),
            has_tables: false,
            number: 0,
        }
    }

    fn address(&self, connection: usize) -> String {
        format!(
            "task/{}-{}",
            self.job.prefix,
            connection % self.job.contexts
        )
    }
}

impl Speaker for Postgres {
    fn open(&mut self, connection: usize) -> io::Result<TcpStream> {
        let mut stream = connect(&self.job.addr)?;
        exchange(&mut stream, &startup(), until_ready)?;
        if !self.has_tables {
            exchange(
                &mut stream,
                &message(b'Q', &[TABLES.as_bytes(), b"\0"]),
                until_ready,
            )?;
            self.has_tables = true;
        }
        let mut prepare = parse("create", CREATE);
        prepare.extend(parse("update", UPDATE));
        prepare.extend(parse("read", READ));
        prepare.extend(message(b'S', &[]));
        exchange(&mut stream, &prepare, until_ready)?;
        if connection < self.job.contexts {
            let document = material::object(&material::members(self.job.document_bytes));
            let mut create = Vec::new();
            execute(
                &mut create,
                "create",
                &[&self.address(connection), &document],
            );
            exchange(&mut stream, &create, until_ready)?;
        }
        Ok(stream)
    }

    fn ask(&mut self, connection: usize, out: &mut Vec<u8>) {
        let address = self.address(connection);
        if self.job.work == Work::Read {
            return execute(out, "read", &[&address]);
        }
        self.number += 1;
        let patch = material::update(self.number, self.number);
        execute(out, "update", &[&address, &patch]);
    }

    fn answer(&mut self, input: &[u8]) -> Whole {
        until_ready(input)
    }
}

pub fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut out = length_of(4 + body.len()).to_vec();
    out.extend_from_slice(body);
    out
}

fn parse(name: &str, statement: &str) -> Vec<u8> {
    message(
        b'P',
        &[name.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"],
    )
}

/// Binds, executes and syncs: one transaction.
fn execute(out: &mut Vec<u8>, name: &str, values: &[&str]) {
    let mut bound = vec![0];
    bound.extend_from_slice(name.as_bytes());
    bound.extend_from_slice(&[0, 0, 0]);
    bound.extend_from_slice(&length_of(values.len())[2..]);
    for value in values {
        bound.extend_from_slice(&length_of(value.len()));
        bound.extend_from_slice(value.as_bytes());
    }
    bound.extend_from_slice(&[0, 0]);
    out.extend(message(b'B', &[&bound]));
    out.extend(message(b'E', &[&[0; 5]]));
    out.extend(message(b'S', &[]));
}

pub fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + 4;
    let mut out = Vec::with_capacity(length + 1);
    out.push(kind);
    out.extend_from_slice(&length_of(length));
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("a message is under 4 GiB")
        .to_be_bytes()
}

/// Reads messages up to the one that says that the next query may come.
pub fn until_ready(input: &[u8]) -> Whole {
    let mut at = 0;
    let mut is_empty_insert = false;
    loop {
        let Some(head) = input.get(at..at + 5) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let end = at + 1 + usize::try_from(length).map_err(|error| error.to_string())?;
        let Some(body) = input.get(at + 5..end) else {
            return Ok(None);
        };
        match head[0] {
            b'Z' if is_empty_insert => return Err("an update found no row".to_owned()),
            b'Z' => return Ok(Some(end)),
            b'E' => return Err(excerpt(body)),
            b'R' if body != [0; 4] => return Err("the server asks for a password".to_owned()),
            b'C' => is_empty_insert = body == b"INSERT 0 0\0" || body == b"SELECT 0\0",
            _ => {}
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_ends_where_the_server_is_ready() {
        let mut input = message(b'2', &[]);
        input.extend(message(b'C', &[b"INSERT 0 1\0"]));
        assert_eq!(until_ready(&input).unwrap(), None);
        input.extend(message(b'Z', &[b"I"]));
        assert_eq!(until_ready(&input).unwrap(), Some(input.len()));
        assert!(until_ready(&message(b'E', &[b"no"])).is_err());
        let mut none = message(b'C', &[b"INSERT 0 0\0"]);
        none.extend(message(b'Z', &[b"I"]));
        assert!(until_ready(&none).is_err());
    }
}
