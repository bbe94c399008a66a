//! What a version would cost if the store kept it in another way. Nothing here is what it does.

use std::io::Write as _;

use syncline_model::record::pack;

use super::stored::Step;
use crate::run::Result;

/// As the store compresses.
const LEVEL: i32 = 3;
/// The fixed distance of snapshots, and the least of one that is not.
const SNAPSHOT_EVERY: usize = 64;
/// So many snapshots may have to be read for one, where each leans on the one before.
const CHAIN_MAX: usize = 16;
/// So many effects may have to be applied, where snapshots wait until effects outgrow them.
const EFFECTS_MAX: usize = 512;

/// When a snapshot is kept.
#[derive(Clone, Copy, PartialEq)]
enum Distance {
    /// Every so many versions.
    Fixed,
    /// Not before the effects since the last one have outgrown it, packed.
    Outgrown,
}

/// How effects are kept.
#[derive(Clone, Copy, PartialEq)]
enum Effects {
    /// As today, until they are framed.
    Alone,
    /// Each with the snapshot before it as dictionary.
    OnSnapshot,
    /// All between two snapshots in one frame, with the snapshot before them as dictionary.
    Together,
    /// No patch, but the document with the one before it as dictionary.
    OnDocument,
}

/// Another way to keep a history.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The column.
    pub name: &'static str,
    distance: Distance,
    /// Whether snapshots have the one before as dictionary.
    chained: bool,
    effects: Effects,
}

/// The ways that are tried.
pub const PLANS: &[Plan] = &[
    plan("dictionary", Distance::Fixed, false, Effects::OnSnapshot),
    plan("chained", Distance::Fixed, true, Effects::Alone),
    plan("both", Distance::Fixed, true, Effects::OnSnapshot),
    plan("distant", Distance::Outgrown, false, Effects::Alone),
    plan("all three", Distance::Outgrown, true, Effects::OnSnapshot),
    plan("framed", Distance::Fixed, true, Effects::Together),
    plan("no patches", Distance::Fixed, true, Effects::OnDocument),
];

const fn plan(name: &'static str, distance: Distance, chained: bool, effects: Effects) -> Plan {
    Plan {
        name,
        distance,
        chained,
        effects,
    }
}

/// Returns what the effects and snapshots of a history take.
pub fn cost(plan: Plan, steps: &[Step]) -> Result<usize> {
    let Some((first, rest)) = steps.split_first() else {
        return Ok(0);
    };
    let mut walk = Walk {
        plan,
        total: pack(&first.document).len(),
        snapshot: &first.document,
        before: &first.document,
        snapshot_bytes: pack(&first.document).len(),
        chain: 1,
        waiting: Vec::new(),
        since: 0,
    };
    for (index, step) in rest.iter().enumerate() {
        walk.step(step, index + 2)
            .map_err(|error| format!("zstd: {error}"))?;
    }
    walk.frame().map_err(|error| format!("zstd: {error}"))?;
    Ok(walk.total)
}

struct Walk<'a> {
    plan: Plan,
    total: usize,
    snapshot: &'a str,
    before: &'a str,
    /// The last snapshot, packed alone.
    snapshot_bytes: usize,
    chain: usize,
    /// Effects since the snapshot, and their bytes.
    waiting: Vec<&'a str>,
    since: usize,
}

impl<'a> Walk<'a> {
    fn step(&mut self, step: &'a Step, version: usize) -> std::io::Result<()> {
        let effect = match self.plan.effects {
            Effects::Alone => pack(&step.effect).len(),
            Effects::OnSnapshot => on(self.snapshot, &step.effect)?,
            Effects::OnDocument => on(self.before, &step.document)?,
            Effects::Together => 0,
        };
        self.total += effect;
        self.since += effect;
        self.waiting.push(&step.effect);
        self.before = &step.document;
        let due = match self.plan.distance {
            Distance::Fixed => version.is_multiple_of(SNAPSHOT_EVERY),
            Distance::Outgrown => {
                let count = self.waiting.len();
                let outgrown = self.since > self.snapshot_bytes && count >= SNAPSHOT_EVERY;
                outgrown || count >= EFFECTS_MAX
            }
        };
        if due { self.keep(step) } else { Ok(()) }
    }

    fn keep(&mut self, step: &'a Step) -> std::io::Result<()> {
        self.frame()?;
        let alone = pack(&step.document).len();
        let leans = self.plan.chained && self.chain < CHAIN_MAX;
        self.total += match leans {
            true => on(self.snapshot, &step.document)?,
            false => alone,
        };
        self.chain = if leans { self.chain + 1 } else { 1 };
        self.snapshot_bytes = alone;
        self.snapshot = &step.document;
        self.since = 0;
        self.waiting.clear();
        Ok(())
    }

    /// Keeps what waits in one frame, where the plan says so.
    fn frame(&mut self) -> std::io::Result<()> {
        if self.plan.effects == Effects::Together && !self.waiting.is_empty() {
            self.total += on(self.snapshot, &self.waiting.join("\n"))?;
        }
        Ok(())
    }
}

/// Returns the length of a text with its format byte, where the reader has the dictionary.
fn on(dictionary: &str, text: &str) -> std::io::Result<usize> {
    let dictionary = dictionary.as_bytes();
    let mut encoder = zstd::stream::Encoder::with_ref_prefix(Vec::new(), LEVEL, dictionary)?;
    encoder.set_pledged_src_size(Some(text.len() as u64))?;
    encoder.include_contentsize(true)?;
    // Without a window that reaches to the dictionary's start nothing of it would be found.
    encoder.window_log((dictionary.len() + text.len()).max(1 << 10).ilog2() + 1)?;
    encoder.write_all(text.as_bytes())?;
    Ok(1 + encoder.finish()?.len().min(text.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dictionary_spares_what_it_holds() {
        let words = (0..2_000).map(|n: u32| n.wrapping_mul(2_654_435_761).to_string());
        let text = words.collect::<Vec<_>>().join(" ");
        assert!(on(&text, &text).unwrap() < 100);
        assert!(on("", &text).unwrap() > 5_000);
    }

    #[test]
    fn today_costs_what_the_store_keeps() {
        use crate::histories::stored::History;
        use syncline_model::json::Json;
        let mut history = History::default();
        for n in 0..200 {
            let text = format!("{{\"n\":{n},\"text\":\"{}\"}}", "word ".repeat(n % 50));
            history.push(Json::parse(text.as_bytes(), &Default::default()).unwrap());
        }
        let today = plan("today", Distance::Fixed, false, Effects::Alone);
        let sizes = history.sizes();
        let cost = cost(today, &history.steps).unwrap();
        assert_eq!(cost, sizes.alone + sizes.snapshots);
        assert_eq!(history.rebuild().unwrap().len(), 101);
    }
}
