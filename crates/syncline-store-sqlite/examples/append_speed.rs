//! Measures what an append costs: processor time for each record, and pages of the write-ahead
//! log for each record and table.
//!
//! `cargo run --release --example append_speed -p syncline-store-sqlite [-- seconds [directory]]`
//!
//! Each case updates contexts of 1 KiB. Batches are made before the clock runs. Processor time
//! bears a busy machine; the time of a commit does not, so only compare it within one run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement speaks, or fails"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use syncline_model::ids::Seq;
use syncline_store::conformance::scribe::{Form, Scribe};
use syncline_store::{Append, Store};
use syncline_store_sqlite::{SqliteOptions, SqliteStore, TestFaults};

/// Contexts in the store; those of a case are spread among them.
const CONTEXTS: usize = 512;
/// Few enough that no checkpoint starts the log again while pages are counted.
const COUNTED_COMMITS: usize = 8;

/// One shape of load.
struct Case {
    name: &'static str,
    /// Records of one commit.
    records: usize,
    /// Contexts of one commit.
    contexts: usize,
    /// Commits are synced.
    sync: bool,
}

const fn case(name: &'static str, records: usize, contexts: usize, sync: bool) -> Case {
    Case {
        name,
        records,
        contexts,
        sync,
    }
}

const CASES: [Case; 8] = [
    case("1 record", 1, 1, false),
    case("16 records", 16, 16, false),
    case("64 records", 64, 64, false),
    case("64 records, spread", 64, 63, false),
    case("64 records, 1 context", 64, 1, false),
    case("256 records", 256, 256, false),
    case("1 record, synced", 1, 1, true),
    case("64 records, synced", 64, 64, true),
];

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(1.0, |text| text.parse().unwrap());
    let parent = arguments.next();
    println!(
        "{:<24} {:>9} {:>8} {:>8} {:>8} {:>10} {:>7}  pages by table, for each record",
        "case", "records/s", "cpu us", "user us", "sys us", "commit us", "pages"
    );
    for case in &CASES {
        let dir = match &parent {
            Some(parent) => tempfile::tempdir_in(parent).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        run(case, Duration::from_secs_f64(seconds), dir.path()).await;
    }
}

fn open(dir: &Path, sync: bool) -> SqliteStore {
    let faults = TestFaults {
        skip_fsync: !sync,
        ..TestFaults::default()
    };
    SqliteStore::open(SqliteOptions {
        faults,
        ..SqliteOptions::new(dir)
    })
    .unwrap()
}

/// Makes the document of a context after so many updates.
fn text(context: usize, update: usize) -> String {
    let filler: String = (0..28)
        .map(|line| {
            format!(
                r#""line {line}":"{:016x}{:08x}","#,
                (context * 31 + line) * 0x9E37_79B9,
                line * 77
            )
        })
        .collect();
    format!(
        r#"{{"title":"Context {context}","labels":{{"team":"a"}},"data":{{{filler}"n":{update}}}}}"#
    )
}

/// Batches that follow one another, made ahead of their time.
struct Maker {
    scribe: Scribe,
    updates: usize,
    case: (usize, usize),
}

impl Maker {
    fn next(&mut self) -> (Seq, Append) {
        let (records, contexts) = self.case;
        let step = if contexts == 63 { CONTEXTS / 64 } else { 1 };
        let first = self.updates;
        self.updates += records;
        let mut batch = self.scribe.batch();
        for update in first..first + records {
            let context = (update % contexts) * step;
            batch.put(
                &format!("task/c{context}"),
                &text(context, update),
                Form::default(),
            );
        }
        (batch.after, batch.append)
    }
}

async fn run(case: &Case, lasts: Duration, dir: &Path) {
    let store = open(dir, case.sync);
    let mut scribe = Scribe::start(&store, "default").await;
    let mut batch = scribe.batch();
    for context in 0..CONTEXTS {
        batch.put(
            &format!("task/c{context}"),
            &text(context, 0),
            Form::default(),
        );
    }
    batch.send(&store).await;
    let mut maker = Maker {
        scribe,
        updates: 0,
        case: (case.records, case.contexts),
    };
    let (mut records, mut commits) = (0, 0);
    let (mut cpu, mut wall) = (Cpu::default(), Duration::ZERO);
    while wall < lasts {
        let ready: Vec<_> = (0..(2048 / case.records).clamp(8, 256))
            .map(|_| maker.next())
            .collect();
        let (before, began) = (Cpu::now(), Instant::now());
        for (after, append) in ready {
            records += append.records.len();
            commits += 1;
            store.append(&maker.scribe.id, after, append).await.unwrap();
        }
        wall += began.elapsed();
        cpu.add(&before, &Cpu::now());
    }
    store.close().await.unwrap();
    drop(store);
    let pages = count_pages(case, &mut maker, dir).await;
    let all: f64 = pages.values().sum();
    let by_table: Vec<String> = pages
        .iter()
        .map(|(table, pages)| format!("{table} {pages:.2}"))
        .collect();
    let each = |micros: f64| micros / records as f64;
    println!(
        "{:<24} {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>10.0} {:>7.2}  {}",
        case.name,
        records as f64 / wall.as_secs_f64(),
        each(cpu.all_us),
        each(cpu.user_us),
        each(cpu.system_us),
        wall.as_secs_f64() * 1e6 / f64::from(commits),
        all,
        by_table.join(", "),
    );
}

/// Counts the pages that a few commits write to a fresh write-ahead log, for each record.
async fn count_pages(case: &Case, maker: &mut Maker, dir: &Path) -> BTreeMap<String, f64> {
    let store = open(dir, case.sync);
    let mut records = 0.0;
    for _ in 0..COUNTED_COMMITS {
        let (after, append) = maker.next();
        records += append.records.len() as f64;
        store.append(&maker.scribe.id, after, append).await.unwrap();
    }
    let wal = fs::read(dir.join("syncline.db-wal")).unwrap();
    let page = u32::from_be_bytes(wal[8..12].try_into().unwrap()) as usize;
    let numbers: Vec<u32> = wal[32..]
        .chunks_exact(page + 24)
        .map(|frame| u32::from_be_bytes(frame[..4].try_into().unwrap()))
        .collect();
    store.close().await.unwrap();
    drop(store);
    let conn =
        Connection::open_with_flags(dir.join("syncline.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap();
    let mut statement = conn.prepare("SELECT pageno, name FROM dbstat").unwrap();
    let names = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let names: BTreeMap<u32, String> = names.map(Result::unwrap).collect();
    let mut pages = BTreeMap::new();
    for number in numbers {
        let name = names.get(&number).map_or("other", String::as_str);
        *pages.entry(name.to_owned()).or_default() += 1.0 / records;
    }
    pages
}

/// Processor time of all threads of this process.
#[derive(Clone, Copy, Default)]
struct Cpu {
    all_us: f64,
    user_us: f64,
    system_us: f64,
}

impl Cpu {
    /// Reads Linux's counters; elsewhere they stay zero.
    fn now() -> Cpu {
        let Ok(threads) = fs::read_dir("/proc/self/task") else {
            return Cpu::default();
        };
        let precise = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        });
        let all_us = precise.sum::<f64>() / 1_000.0;
        // Fields 14 and 15, in ticks of 10 ms; the name before them has no space.
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let ticks = |field: usize| {
            stat.split(' ')
                .nth(field)
                .and_then(|text| text.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        Cpu {
            all_us,
            user_us: ticks(13) * 10_000.0,
            system_us: ticks(14) * 10_000.0,
        }
    }

    fn add(&mut self, before: &Cpu, after: &Cpu) {
        self.all_us += after.all_us - before.all_us;
        self.user_us += after.user_us - before.user_us;
        self.system_us += after.system_us - before.system_us;
    }
}
