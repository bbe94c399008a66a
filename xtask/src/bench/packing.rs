//! What it takes to pack a large answer, and what that saves on a link: pages of what agents really
//! wrote, packed as a node packs them, in this process.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::report::{AimRow, SizeRow};
use crate::data;
use crate::run::Result;

/// The set whose rows the answers are made of.
const SET: &str = "beads-events";
/// The sizes of the answers, in bytes: the smallest that a node packs is 4 KiB.
const SIZES: [(&str, usize); 4] = [
    ("pack-2k", 2 << 10),
    ("pack-16k", 16 << 10),
    ("pack-64k", 64 << 10),
    ("pack-1m", 1 << 20),
];
/// How often each is packed; the median counts.
const REPEATS: usize = 51;
/// A link of 100 Mbit/s, in bytes a microsecond.
const LINK_BYTES_PER_US: f64 = 12.5;
/// How many times what it costs it is to save there, from 16 KiB on.
const GAIN_MIN: f64 = 5.0;
/// The level of the node, for both.
const LEVEL: i32 = 1;

/// Measures all sizes that are wanted by their rows' names.
pub fn rows(wants: impl Fn(&str) -> bool) -> Result<Vec<SizeRow>> {
    let wanted = SIZES.iter().filter(|(name, _)| wants(name));
    wanted.map(|(name, bytes)| row(name, *bytes)).collect()
}

fn row(name: &str, bytes: usize) -> Result<SizeRow> {
    let answer = answer(bytes)?;
    let (zstd, us) = median(|| zstd(&answer))?;
    let (gzip, gzip_us) = median(|| gzip(&answer))?;
    let share = |packed: usize| 100.0 * packed as f64 / answer.len() as f64;
    let saved_us = (answer.len() - zstd) as f64 / LINK_BYTES_PER_US;
    let text = format!("saves {GAIN_MIN} times that on 100 Mbit/s");
    let aims = match bytes >= 16 << 10 {
        true => vec![AimRow::at_least(text, saved_us / us, GAIN_MIN)],
        false => Vec::new(),
    };
    Ok(SizeRow {
        name: name.to_owned(),
        value: us,
        unit: "µs",
        note: format!(
            "zstd {LEVEL} of {} bytes: {:.0} % left, {saved_us:.0} µs saved on 100 Mbit/s; gzip {LEVEL}: \
             {:.0} %, {gzip_us:.0} µs",
            answer.len(),
            share(zstd),
            share(gzip),
        ),
        aims,
    })
}

/// Returns a page of what agents wrote, of about so many bytes.
fn answer(bytes: usize) -> Result<String> {
    let sets = data::sets("agents", &[SET.to_owned()])?;
    let mut text = String::from(r#"{"changes":["#);
    for row in sets.iter().map(|(_, path)| data::rows(path)) {
        for row in row? {
            if text.len() >= bytes {
                break;
            }
            text.push_str(&row?.to_text());
            text.push(',');
        }
    }
    text.pop();
    text.push_str("]}");
    Ok(text)
}

fn zstd(answer: &str) -> Result<usize> {
    let packed = zstd::bulk::compress(answer.as_bytes(), LEVEL);
    packed.map(|packed| packed.len()).map_err(|e| e.to_string())
}

fn gzip(answer: &str) -> Result<usize> {
    let packed = Vec::with_capacity(answer.len() / 4);
    let mut encoder = GzEncoder::new(packed, Compression::new(LEVEL.unsigned_abs()));
    let written = encoder.write_all(answer.as_bytes());
    let packed = written.and_then(|()| encoder.finish());
    packed.map(|packed| packed.len()).map_err(|e| e.to_string())
}

/// Returns the size that packing leads to, and the median of its time in microseconds.
fn median(pack: impl Fn() -> Result<usize>) -> Result<(usize, f64)> {
    let mut size = 0;
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let begun = Instant::now();
        size = black_box(pack()?);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok((size, times[REPEATS / 2].as_secs_f64() * 1e6))
}
