//! Delivery, simulated in one process: an engine on the memory store, feeds and their router, and
//! readers behind a transport that drops, delays and repeats. All choices come from a seed, and no
//! time passes by itself, so a run that went wrong goes wrong again.
//!
//! What a reader is sent is read back from its bytes, as a client reads it. It is then held against
//! the log by [`oracle`], which judges scopes and filters in its own simple way.

pub mod choice;
pub mod oracle;
pub mod reader;
pub mod world;

use std::collections::BTreeMap;

use syncline_engine::TestFaults;

use crate::rng::Rng;
use oracle::Oracle;
use reader::Reader;
use world::World;

/// Readers in one run.
const READERS: u64 = 4;
/// Writes in one run.
const ACTS: u64 = 60;
/// Writes between the first reader and the next: snapshots of little and of much.
const APART: u64 = 12;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was wrong.
    pub wrong: Vec<String>,
    /// What was counted.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Outcome {
    fn count(&mut self, name: &'static str, count: u64) {
        *self.counts.entry(name).or_default() += count;
    }
}

/// Runs writers and readers from a seed.
pub async fn run(seed: u64, faults: TestFaults) -> Outcome {
    let mut rng = Rng::new(seed).fork(1);
    let mut world = World::start(faults).await;
    let mut readers: Vec<Reader> = (0..READERS)
        .map(|number| Reader::new(Rng::new(seed).fork(100 + number)))
        .collect();
    for act in 0..ACTS {
        world.act(&mut rng).await;
        if rng.chance(2) {
            world.restart().await;
            readers.iter_mut().for_each(Reader::lose_connection);
        }
        for (reader, number) in readers.iter_mut().zip(0..) {
            if act >= number * APART && rng.chance(40) {
                reader.read(&world).await;
            }
        }
    }
    let mut outcome = Outcome::default();
    let oracle = Oracle::of(&world).await;
    for reader in &mut readers {
        reader.finish(&world).await;
        outcome.wrong.append(&mut reader.wrong);
        oracle.check(reader, &mut outcome.wrong);
        outcome.count("sessions", reader.sessions.len() as u64);
        outcome.count("events got", reader.got());
        outcome.count("resyncs", reader.resyncs);
        outcome.count("resets", reader.resets);
        outcome.count("changes made one", reader.coalesced);
        outcome.count("enters and leaves", reader.crossings);
    }
    outcome.count("changes written", world.workspace().tail().seq.0);
    outcome
}
