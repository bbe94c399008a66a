//! `cargo xtask histories`: what people wrote version by version, stored as the engine stores it,
//! beside zstd over all versions at once and beside git.
//!
//! Counted are the bytes of documents: effects, snapshots, and the body of the head, without ids,
//! hashes and indexes. What a record holds with all of these is a column of its own. Effects and
//! records are framed, as a store frames what is old; beside them stands what they take before.

mod beside;
mod framed;
pub mod stored;
mod what_if;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use syncline_merge::diff;
use syncline_model::json::{Json, Object};

use crate::data;
use crate::run::Result;
use beside::Git;
use stored::{History, Sizes};
use what_if::PLANS;

/// How often the first and the last document are compared; the median counts.
const DIFFS: usize = 11;

/// What to store, and how to say it.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sets by name; all, if none is named.
    sets: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The figures of one set.
struct Figures {
    set: String,
    versions: usize,
    /// All documents as texts.
    texts: usize,
    stored: Sizes,
    zstd: usize,
    git: Git,
    rebuild: Duration,
    rebuild_max: Duration,
    diff: Duration,
    /// Bytes by plan.
    what_if: Vec<usize>,
}

/// Stores the sets and prints their figures.
pub fn run(arguments: &Arguments) -> Result {
    let mut all = Vec::new();
    for (set, path) in data::sets("histories", &arguments.sets)? {
        eprintln!("{set}: this takes a while");
        all.push(figures(set, &path)?);
    }
    match arguments.json {
        true => {
            let all: Json = all.iter().map(Figures::to_json).collect();
            println!("{}", all.to_pretty());
        }
        false => print(&all),
    }
    Ok(())
}

fn figures(set: String, path: &Path) -> Result<Figures> {
    let mut history = History::default();
    for row in data::rows(path)? {
        let row = row?;
        let doc = row.get("doc").cloned();
        history.push(doc.ok_or_else(|| format!("a row of {set} has no `doc`"))?);
    }
    let stored = history.sizes();
    let rebuild = history.rebuild()?;
    let what_if = PLANS.iter().map(|plan| {
        let cost = what_if::cost(*plan, &history.steps)?;
        Ok(cost + stored.body)
    });
    Ok(Figures {
        versions: history.steps.len(),
        texts: history.steps.iter().map(|step| step.document.len()).sum(),
        stored,
        zstd: beside::zstd(&history.steps)?,
        git: beside::git(&history.steps)?,
        rebuild: rebuild.get(rebuild.len() / 2).copied().unwrap_or_default(),
        rebuild_max: rebuild.last().copied().unwrap_or_default(),
        diff: diff_time(&history),
        what_if: what_if.collect::<Result<_>>()?,
        set,
    })
}

/// How long it takes to compare the first document with the last, of which nothing is shared.
fn diff_time(history: &History) -> Duration {
    let Some((first, last)) = &history.ends else {
        return Duration::ZERO;
    };
    let (first, last) = (first.to_json(), last.to_json());
    let once = |_| {
        let begun = Instant::now();
        black_box(diff(black_box(&first), &last));
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..DIFFS).map(once).collect();
    times.sort_unstable();
    times[DIFFS / 2]
}

impl Figures {
    /// Returns bytes per version.
    fn each(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.versions.max(1))
    }

    fn to_json(&self) -> Json {
        let mut members = Object::new();
        members.insert("set", Json::from(self.set.as_str()));
        members.insert("versions", Json::from(self.versions));
        let bytes = [
            ("text_bytes", self.texts),
            ("document_bytes", self.stored.documents()),
            ("effect_bytes", self.stored.effects),
            ("effect_bytes_alone", self.stored.alone),
            ("snapshot_bytes", self.stored.snapshots),
            ("body_bytes", self.stored.body),
            ("record_bytes", self.stored.records),
            ("record_bytes_alone", self.stored.records_alone),
            ("zstd_bytes", self.zstd),
            ("git_pack_bytes", self.git.packs),
            ("git_document_bytes", self.git.documents),
        ];
        for (name, bytes) in bytes {
            members.insert(name, Json::from(bytes));
        }
        let times = [
            ("rebuild_us", self.rebuild),
            ("rebuild_us_max", self.rebuild_max),
            ("diff_us", self.diff),
        ];
        for (name, time) in times {
            let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            members.insert(name, Json::from(us));
        }
        let mut what_if = Object::new();
        for (plan, bytes) in PLANS.iter().zip(&self.what_if) {
            what_if.insert(plan.name, Json::from(*bytes));
        }
        members.insert("what_if_bytes", Json::from(what_if));
        Json::from(members)
    }
}

fn print(all: &[Figures]) {
    print_bytes(all);
    print_what_if(all);
    println!("\nmilliseconds");
    println!(
        "{:<24}{:>12}{:>12}{:>20}",
        "", "rebuild", "longest", "diff first to last"
    );
    for figures in all {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{:<24}{:>12.2}{:>12.2}{:>20.2}",
            figures.set,
            ms(figures.rebuild),
            ms(figures.rebuild_max),
            ms(figures.diff)
        );
    }
}

fn print_bytes(all: &[Figures]) {
    println!("bytes per version (alone: before they are framed)");
    println!(
        "{:<24}{:>9}{:>9} | {:>8} = {:>7} + {:>9} + {:>5}{:>8} | {:>7}{:>7}{:>9} | {:>8}{:>8}",
        "",
        "versions",
        "text",
        "stored",
        "effects",
        "snapshots",
        "body",
        "alone",
        "zstd",
        "git",
        "its docs",
        "records",
        "alone"
    );
    for figures in all {
        let each = |bytes| figures.each(bytes);
        let Sizes {
            effects,
            alone,
            snapshots,
            body,
            records,
            records_alone,
        } = figures.stored;
        println!(
            "{:<24}{:>9}{:>9} | {:>8} = {:>7} + {:>9} + {:>5}{:>8} | {:>7}{:>7}{:>9} | {:>8}{:>8}",
            figures.set,
            figures.versions,
            each(figures.texts),
            each(figures.stored.documents()),
            each(effects),
            each(snapshots),
            each(body),
            each(alone),
            each(figures.zstd),
            each(figures.git.packs),
            each(figures.git.documents),
            each(records),
            each(records_alone),
        );
    }
}

fn print_what_if(all: &[Figures]) {
    println!("\nwhat if (bytes of documents per version; the store does none of this)");
    print!("{:<24}{:>12}", "", "as it is");
    PLANS.iter().for_each(|plan| print!("{:>12}", plan.name));
    println!();
    for figures in all {
        let stored = figures.each(figures.stored.documents());
        print!("{:<24}{stored:>12}", figures.set);
        let each = figures.what_if.iter().map(|bytes| figures.each(*bytes));
        each.for_each(|bytes| print!("{bytes:>12}"));
        println!();
    }
}
