//! A subscriber that was away: how long until it has all that it missed, once and in order. Each
//! time it connects anew, so that all it takes to come back counts.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use memchr::memmem;

use super::follow::Track;
use super::hist::Hist;
use super::material::{self, Dice};
use super::speak::{connect, excerpt, exchange};
use super::{pg, resp, ws};
use crate::bench::job::{Job, MISSED, Outcome, Peer};

/// How often it comes back.
const RETURNS: u32 = 5;
/// How many updates are under way while the log is filled.
const AHEAD: u64 = 64;

/// What a subscriber that came back was given.
#[derive(Default)]
struct Caught {
    count: u64,
    lost: u64,
    bytes: u64,
}

/// Writes what is missed, and lets a subscriber come back for it.
pub fn run(job: &Job) -> Result<Outcome, String> {
    let text = |error: io::Error| error.to_string();
    let place = match job.peer {
        Peer::Ws => fill_node(job),
        Peer::Redis => fill_redis(job),
        Peer::Postgres => fill_postgres(job),
        Peer::Http | Peer::Nats | Peer::Nchan => Err(io::ErrorKind::Unsupported.into()),
    };
    let place = place.map_err(text)?;
    let (mut outcome, mut hist) = (Outcome::default(), Hist::new());
    for _ in 0..RETURNS {
        let begun = Instant::now();
        let caught = match job.peer {
            Peer::Redis => from_redis(job, &place),
            Peer::Postgres => from_postgres(job, &place),
            _ => from_node(job, &place),
        };
        let caught = caught.map_err(text)?;
        hist.add(begun.elapsed());
        outcome.seconds += begun.elapsed().as_secs_f64();
        outcome.count += caught.count;
        outcome.bytes += caught.bytes;
        outcome.lost += caught.lost + MISSED.abs_diff(caught.count);
    }
    outcome.written = MISSED;
    outcome.p50_us = hist.quantile_us(0.5);
    outcome.p99_us = hist.quantile_us(0.99);
    Ok(outcome)
}

/// Returns the cursor from before the updates.
fn fill_node(job: &Job) -> io::Result<String> {
    let mut writer = ws::Writer::new(job);
    let mut stream = ws::open(&job.addr, &job.token)?;
    for number in 0..job.contexts {
        writer.create(&mut stream, number)?;
    }
    let said = ws::subscribe(&mut ws::open(&job.addr, &job.token)?)?;
    let said: serde_json::Value = serde_json::from_slice(&said)?;
    let cursor = said["cursor"].as_str().unwrap_or_default().to_owned();
    let mut written = 0;
    while written < MISSED {
        let mut out = Vec::new();
        let count = AHEAD.min(MISSED - written);
        for number in written..written + count {
            let document = usize::try_from(number).unwrap_or_default() % job.contexts;
            writer.push_update(document, number, &mut out);
        }
        stream.write_all(&out)?;
        let mut answered = 0;
        while answered < count {
            let frame = ws::read_frame(&mut stream)?;
            answered += ws::count_receipts(&frame).map_err(io::Error::other)?;
        }
        written += count;
    }
    Ok(cursor)
}

fn from_node(job: &Job, cursor: &str) -> io::Result<Caught> {
    let mut stream = ws::open(&job.addr, &job.token)?;
    let ask = format!(
        "{{\"type\":\"subscribe\",\"id\":\"s\",\"scope\":[{{\"workspace\":true}}],\
         \"from\":{{\"cursor\":\"{cursor}\"}}}}"
    );
    let mut out = Vec::new();
    ws::push_text(&mut out, &ask);
    stream.write_all(&out)?;
    let mut stream = io::BufReader::with_capacity(256 << 10, stream);
    let (mut track, mut caught) = (Track::default(), Caught::default());
    while track.n < MISSED {
        let frame = ws::read_frame(&mut stream)?;
        caught.bytes += frame.len() as u64;
        let took = track.take(&frame, |_| caught.count += 1);
        if took.map_err(io::Error::other)? == 0 && is_refusal(&frame) {
            return Err(io::Error::other(excerpt(&frame)));
        }
    }
    caught.lost = track.lost;
    Ok(caught)
}

fn is_refusal(frame: &[u8]) -> bool {
    let kinds: [&[u8]; 3] = [b"\"recovered\":false", b"\"error\"", b"\"reset\""];
    kinds.iter().any(|kind| memmem::find(frame, kind).is_some())
}

/// Returns the id of the entry before the updates.
fn fill_redis(job: &Job) -> io::Result<String> {
    let mut stream = connect(&job.addr)?;
    let first = resp::command(&["XADD", &job.prefix, "*", "event", "none"]);
    let answer = exchange(&mut stream, &first, resp::reply)?;
    let text = String::from_utf8_lossy(&answer);
    let place = text.lines().nth(1).unwrap_or_default().to_owned();
    let mut dice = Dice::fresh();
    let mut number = 0;
    while number < MISSED {
        let mut out = Vec::new();
        let end = MISSED.min(number + AHEAD);
        let count = end - number;
        while number < end {
            number += 1;
            let context = format!("task/{}", job.prefix);
            let event = material::event(number, &context, &dice.change_id(), number);
            out.extend(resp::command(&["XADD", &job.prefix, "*", "event", &event]));
        }
        exchange(&mut stream, &out, |input| {
            let mut at = 0;
            for _ in 0..count {
                match resp::reply(&input[at..])? {
                    Some(length) => at += length,
                    None => return Ok(None),
                }
            }
            Ok(Some(at))
        })?;
    }
    Ok(place)
}

fn from_redis(job: &Job, place: &str) -> io::Result<Caught> {
    let mut stream = connect(&job.addr)?;
    let ask = resp::command(&["XRANGE", &job.prefix, &format!("({place}"), "+"]);
    stream.write_all(&ask)?;
    let (mut input, mut scratch) = (Vec::new(), vec![0; 256 << 10]);
    let (mut track, mut caught) = (Track::default(), Caught::default());
    // The answer is read once it may be all there: its end alone is looked for until then.
    let last = format!("\"n\":{MISSED},");
    while !input.ends_with(b"}}\r\n") || memmem::rfind(&input, last.as_bytes()).is_none() {
        match stream.read(&mut scratch)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => input.extend_from_slice(&scratch[..count]),
        }
    }
    caught.bytes = input.len() as u64;
    let took = track.take(&input, |_| caught.count += 1);
    took.map_err(io::Error::other)?;
    caught.lost = track.lost;
    Ok(caught)
}

/// Returns the seq before the updates, which one statement writes: only reading is measured.
fn fill_postgres(job: &Job) -> io::Result<String> {
    let mut stream = open_postgres(job)?;
    query(&mut stream, pg::TABLES)?;
    let (rows, _) = query(&mut stream, "SELECT coalesce(max(seq), 0) FROM history")?;
    let place = rows.first().cloned().unwrap_or_default();
    let fill = format!(
        "INSERT INTO history (address, version, patch) \
         SELECT 'task/{}-' || n % 64, n, json_build_array(\
         json_build_object('op', 'replace', 'path', '/data/at', 'value', n), \
         json_build_object('op', 'replace', 'path', '/data/status', 'value', 's' || n))::jsonb \
         FROM generate_series(1, {MISSED}) n",
        job.prefix
    );
    query(&mut stream, &fill)?;
    Ok(place)
}

fn from_postgres(job: &Job, place: &str) -> io::Result<Caught> {
    let mut stream = open_postgres(job)?;
    let (rows, bytes) = query(
        &mut stream,
        &format!(
            "SELECT seq, address, version, patch, committed_at FROM history \
             WHERE seq > {place} ORDER BY seq"
        ),
    )?;
    let mut expected: u64 = place.parse().unwrap_or_default();
    let mut lost = 0;
    for row in &rows {
        expected += 1;
        lost += u64::from(row.parse() != Ok(expected));
    }
    Ok(Caught {
        count: rows.len() as u64,
        lost,
        bytes,
    })
}

fn open_postgres(job: &Job) -> io::Result<TcpStream> {
    let mut stream = connect(&job.addr)?;
    exchange(&mut stream, &pg::startup(), pg::until_ready)?;
    Ok(stream)
}

/// Asks, and returns the first column of each row, and how many bytes came.
fn query(stream: &mut TcpStream, text: &str) -> io::Result<(Vec<String>, u64)> {
    stream.write_all(&pg::message(b'Q', &[text.as_bytes(), b"\0"]))?;
    let mut stream = io::BufReader::with_capacity(256 << 10, stream);
    let (mut rows, mut bytes, mut head, mut body) = (Vec::new(), 0, [0; 5], Vec::new());
    loop {
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        body.resize(length.saturating_sub(4), 0);
        stream.read_exact(&mut body)?;
        bytes += 1 + length as u64;
        match head[0] {
            b'Z' => return Ok((rows, bytes)),
            b'E' => return Err(io::Error::other(excerpt(&body))),
            b'D' => rows.extend(first_column(&body)),
            _ => {}
        }
    }
}

fn first_column(row: &[u8]) -> Option<String> {
    let length = u32::from_be_bytes(row.get(2..6)?.try_into().ok()?);
    let value = row.get(6..6 + usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_column_of_a_row_is_found() {
        let row = b"\0\x02\0\0\0\x0242\0\0\0\x01x";
        assert_eq!(first_column(row).as_deref(), Some("42"));
        assert_eq!(first_column(&row[..7]), None);
    }
}
