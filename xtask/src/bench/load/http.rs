//! A node over HTTP: an update is a PATCH, a read is a GET, one at a time on a kept connection.

use std::io;
use std::net::TcpStream;

use memchr::memmem;

use super::material::{self, Dice};
use super::speak::{Speaker, Whole, connect, excerpt, exchange};
use crate::bench::job::{Job, Work};

pub struct Http {
    job: Job,
    dice: Dice,
    number: u64,
    body: String,
}

impl Http {
    pub fn new(job: &Job) -> Http {
        Http {
            job: job.clone(),
            dice: Dice::fresh(),
            number: 0,
            body: String::new(),
        }
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &str, out: &mut Vec<u8>) {
        let Job { addr, token, .. } = &self.job;
        for part in [
            method,
            " ",
            path,
            " HTTP/1.1\r\nHost: ",
            addr,
            "\r\nAuthorization: Bearer ",
            token,
            "\r\n",
            headers,
        ] {
            out.extend_from_slice(part.as_bytes());
        }
        if !body.is_empty() {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.as_bytes());
    }

    fn path(&self, connection: usize) -> String {
        format!(
            "/v1/contexts/task/{}-{}",
            self.job.prefix,
            connection % self.job.contexts
        )
    }

    /// Creates contexts in bulks.
    pub fn fill(&mut self) -> Result<(), String> {
        const BULK: usize = 1_000;
        let mut stream = connect(&self.job.addr).map_err(|error| error.to_string())?;
        let document = material::object(&material::members(self.job.document_bytes));
        let mut number = 0;
        while number < self.job.contexts {
            let end = (number + BULK).min(self.job.contexts);
            let proposal = |number: usize, id: &str| {
                format!(
                    "{{\"change_id\":\"{id}\",\"context\":\"task/{}-{number}\",\"op\":\"create\",\
                     \"body\":{{\"title\":\"Task {number}\",\"data\":{document}}}}}",
                    self.job.prefix
                )
            };
            let proposals: Vec<String> = (number..end)
                .map(|number| proposal(number, &self.dice.change_id()))
                .collect();
            let body = format!(
                "{{\"mode\":\"independent\",\"proposals\":[{}]}}",
                proposals.join(",")
            );
            let mut request = Vec::new();
            let headers = "Content-Type: application/json\r\n";
            self.request("POST", "/v1/contexts:batch", headers, &body, &mut request);
            let answer =
                exchange(&mut stream, &request, whole).map_err(|error| error.to_string())?;
            if let Some(at) = memmem::find(&answer, b"\"error\":") {
                return Err(excerpt(&answer[at..]));
            }
            number = end;
        }
        Ok(())
    }
}

impl Speaker for Http {
    fn open(&mut self, connection: usize) -> io::Result<TcpStream> {
        let mut stream = connect(&self.job.addr)?;
        if connection < self.job.contexts {
            let document = material::object(&material::members(self.job.document_bytes));
            let body = format!("{{\"data\":{document}}}");
            let headers = "Content-Type: application/json\r\nIf-None-Match: *\r\n";
            let mut request = Vec::new();
            self.request("PUT", &self.path(connection), headers, &body, &mut request);
            exchange(&mut stream, &request, whole)?;
        }
        Ok(stream)
    }

    fn ask(&mut self, connection: usize, out: &mut Vec<u8>) {
        let path = self.path(connection);
        if self.job.work == Work::Read {
            return self.request("GET", &path, "", "", out);
        }
        self.number += 1;
        let headers = format!(
            "Content-Type: application/merge-patch+json\r\nIdempotency-Key: {}\r\n",
            self.dice.change_id()
        );
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.push_str("{\"data\":");
        body.push_str(&material::update(self.number, self.number));
        body.push('}');
        self.request("PATCH", &path, &headers, &body, out);
        self.body = body;
    }

    fn answer(&mut self, input: &[u8]) -> Whole {
        whole(input)
    }
}

/// Finds the end of an answer of known length; anything but 2xx is a refusal.
pub fn whole(input: &[u8]) -> Whole {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = memmem::find(input, END) else {
        return Ok(None);
    };
    let head = &input[..end];
    let length = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let body = length.ok_or_else(|| format!("an answer without a length: {}", excerpt(input)))?;
    let whole = end + END.len() + body;
    if input.len() < whole {
        return Ok(None);
    }
    match input.get(9) {
        Some(b'2') => Ok(Some(whole)),
        _ => Err(excerpt(input)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_ends_after_its_body() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\netag: \"x\"\r\n\r\nabc";
        assert_eq!(whole(text).unwrap(), Some(text.len()));
        assert_eq!(whole(&text[..text.len() - 1]).unwrap(), None);
        assert!(whole(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
