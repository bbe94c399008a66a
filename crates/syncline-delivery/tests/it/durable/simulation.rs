//! Seeded runs of a window: consumers that acknowledge, refuse, stall and go away, and a node that
//! stops between any two steps. What is promised is checked at each delivery, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_delivery::durable::{Consumer, Counts, Saved, Terms, Window};
use syncline_model::ids::Seq;
use syncline_model::time::Timestamp;

use super::window::{place, unit};
use crate::Dice;

/// What is broken on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The place that was read is taken for what is acknowledged.
    ReadIsDone,
    /// A restart forgets how often things failed.
    CountsLost,
    /// What lies behind a unit that is not done is taken for done.
    FollowersDone,
}

struct Run {
    dice: Dice,
    fault: Fault,
    /// The contexts of each record, from seq 1 on; empty: not wanted.
    log: Vec<String>,
    window: Window,
    kept: Saved,
    now: i64,
    /// By context, the seqs that were acknowledged or given up.
    done: BTreeMap<char, BTreeSet<u64>>,
    dead: BTreeMap<u64, u32>,
    /// How often each was delivered.
    deliveries: BTreeMap<u64, u32>,
    /// All deliveries, in their order.
    delivered: Vec<u64>,
    wrong: Vec<String>,
}

const TERMS: Terms = Terms {
    window: 12,
    ack_wait_ms: 30_000,
    deliveries_max: 3,
};

impl Run {
    fn new(seed: u64, fault: Fault) -> Run {
        let kept = Saved::at(place(0));
        Run {
            dice: Dice(seed),
            fault,
            log: Vec::new(),
            window: Window::new(TERMS, &kept),
            kept,
            now: 0,
            done: BTreeMap::new(),
            dead: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            delivered: Vec::new(),
            wrong: Vec::new(),
        }
    }

    fn write(&mut self) {
        let contexts = match self.dice.roll(10) {
            0 => "",
            1 => "ab",
            2 => "bc",
            3 => "pc",
            4 => "p",
            5 if !self.log.iter().any(|c| c == "q") => "q",
            n => &"abcdefg"[n as usize - 5..n as usize - 4],
        };
        self.log.push(contexts.to_owned());
    }

    /// Reads on, as far as there is room.
    fn read(&mut self) {
        if let Some(from) = self.window.begin_refill() {
            for seq in from.seq.0 + 1..=self.window.reads_from().seq.0 {
                if let Some(unit) = self.unit(seq)
                    && !self.window.refill(unit)
                {
                    break;
                }
            }
            self.window.refilled();
        }
        for _ in 0..self.dice.roll(8) {
            let seq = self.window.reads_from().seq.0 + 1;
            if seq > self.log.len() as u64 || !self.window.has_room() {
                return;
            }
            if let Some(unit) = self.unit(seq) {
                self.window.offer(unit);
            }
            self.window.read_to(place(seq));
        }
    }

    fn unit(&self, seq: u64) -> Option<syncline_delivery::durable::Unit> {
        let contexts = &self.log[usize::try_from(seq).unwrap() - 1];
        (!contexts.is_empty()).then(|| unit(seq, contexts))
    }

    /// Keeps what the window says, then lets out what follows from it; or stops on the way.
    fn keep(&mut self) -> bool {
        let stops = self.dice.roll(40) == 0;
        if stops && self.dice.roll(2) == 0 {
            self.restart();
            return false;
        }
        let bytes = self.window.saved().to_bytes();
        self.kept = Saved::from_bytes(&bytes).expect("it reads back");
        for dead in self.window.take_dead() {
            let seq = dead.unit.seq.0;
            if self.dead.insert(seq, dead.deliveries).is_some() {
                self.wrong.push(format!("{seq} was given up twice"));
            }
            self.mark(seq);
        }
        if stops {
            self.restart();
            return false;
        }
        true
    }

    fn restart(&mut self) {
        let mut kept = self.kept.clone();
        match self.fault {
            Fault::None => {}
            Fault::ReadIsDone => kept = Saved::at(kept.read),
            Fault::CountsLost => {
                kept.pending
                    .iter_mut()
                    .for_each(|(_, counts)| *counts = Counts::default());
            }
            Fault::FollowersDone => kept.pending.truncate(1),
        }
        self.window = Window::new(TERMS, &kept);
    }

    fn mark(&mut self, seq: u64) {
        for context in self.log[usize::try_from(seq).unwrap() - 1].chars() {
            self.done.entry(context).or_default().insert(seq);
        }
    }

    /// One consumer asks, and does something with what it gets.
    fn consume(&mut self) {
        let consumer: Consumer = Arc::from(["x", "y", "z"][self.dice.roll(3) as usize]);
        self.window.expire(Timestamp(self.now));
        let max = 1 + self.dice.roll(6) as usize;
        let taken = self.window.take(&consumer, max, Timestamp(self.now));
        if !self.keep() {
            return;
        }
        for taken in &taken {
            self.check(taken.unit.seq.0);
        }
        for taken in taken {
            let seq = taken.unit.seq.0;
            let contexts = self.log[usize::try_from(seq).unwrap() - 1].clone();
            match self.dice.roll(8) {
                // It forgets this one, which is to come again.
                0 => {}
                1 => {
                    let until = Timestamp(self.now + 1_000 * self.dice.roll(90) as i64);
                    self.window.nack(Seq(seq), until, "not now");
                    if !self.keep() {
                        return;
                    }
                }
                _ if contexts.contains(['p', 'q']) => {}
                _ => {
                    self.window.ack_each(&[Seq(seq)]);
                    if !self.keep() {
                        return;
                    }
                    // Only what came in order counts: the window may take it back otherwise.
                    if self.is_next(seq, &contexts) {
                        self.mark(seq);
                    }
                }
            }
        }
    }

    fn is_next(&self, seq: u64, contexts: &str) -> bool {
        let before = (1..seq).filter(|before| {
            let other = &self.log[usize::try_from(*before).unwrap() - 1];
            contexts.chars().any(|context| other.contains(context))
        });
        let done = |seq: u64| {
            let mut contexts = self.log[usize::try_from(seq).unwrap() - 1].chars();
            contexts.all(|c| self.done.get(&c).is_some_and(|done| done.contains(&seq)))
        };
        before.into_iter().all(done)
    }

    /// Checks a delivery: nothing before it on its contexts was left out.
    fn check(&mut self, seq: u64) {
        *self.deliveries.entry(seq).or_default() += 1;
        self.delivered.push(seq);
        if self.dead.contains_key(&seq) {
            self.wrong.push(format!("{seq} came after it was given up"));
        }
        let contexts = self.log[usize::try_from(seq).unwrap() - 1].clone();
        for before in 1..seq {
            let other = &self.log[usize::try_from(before).unwrap() - 1];
            let shared = contexts.chars().any(|context| other.contains(context));
            if shared && !self.deliveries.contains_key(&before) && !self.dead.contains_key(&before)
            {
                self.wrong.push(format!("{seq} came before {before}"));
            }
        }
    }

    fn run(mut self, steps: usize) -> Vec<String> {
        for _ in 0..steps {
            match self.dice.roll(6) {
                0 | 1 => self.write(),
                2 => self.read(),
                3 => self.now += 1_000 * self.dice.roll(20) as i64,
                4 if self.dice.roll(10) == 0 => {
                    let consumer: Consumer = Arc::from(["x", "y", "z"][self.dice.roll(3) as usize]);
                    self.window.leave(&consumer);
                    self.keep();
                }
                _ => self.consume(),
            }
        }
        self.finish()
    }

    /// Says whether nothing shares the contexts of a poison: then nothing takes it back but itself.
    fn alone(&self, contexts: &str) -> bool {
        contexts == "q"
    }

    /// Checks that each context ended in its order: what had followed something that came again
    /// came again after it, unless it was given up.
    fn check_last(&mut self) {
        let last = |seq: u64| self.delivered.iter().rposition(|given| *given == seq);
        let mut wrong = Vec::new();
        for context in "abcdefgpq".chars() {
            let mut before = None;
            for (seq, contexts) in (1..).zip(&self.log) {
                if !contexts.contains(context) || self.dead.contains_key(&seq) {
                    continue;
                }
                let at = last(seq);
                if at < before {
                    wrong.push(format!("{context} did not end with {seq}"));
                }
                before = before.max(at);
            }
        }
        self.wrong.extend(wrong);
    }

    /// Lets all be consumed, and says what was lost.
    fn finish(mut self) -> Vec<String> {
        for _ in 0..4_000 {
            self.read();
            self.now += 10_000;
            self.consume();
            if self.window.acknowledged().seq.0 == self.log.len() as u64 {
                break;
            }
        }
        self.check_last();
        let last = self.log.len() as u64;
        if self.window.acknowledged().seq.0 != last {
            let at = self.window.acknowledged().seq;
            self.wrong.push(format!("it is wedged at {at} of {last}"));
        }
        for seq in 1..=last {
            let contexts = self.log[usize::try_from(seq).unwrap() - 1].clone();
            let poison = contexts.contains(['p', 'q']);
            if contexts.is_empty() {
                continue;
            }
            if !self.deliveries.contains_key(&seq) && !self.dead.contains_key(&seq) {
                self.wrong.push(format!("{seq} was never delivered"));
            }
            if poison && !self.dead.contains_key(&seq) {
                self.wrong.push(format!("{seq} was not given up"));
            }
            let deliveries = self.deliveries.get(&seq).copied().unwrap_or(0);
            if self.alone(&contexts) && deliveries > TERMS.deliveries_max {
                self.wrong
                    .push(format!("{seq} was delivered {deliveries} times"));
            }
        }
        self.wrong
    }
}

#[test]
fn p5_durable_windows_lose_nothing_and_keep_the_order_of_contexts() {
    for seed in 0..60 {
        let wrong = Run::new(seed, Fault::None).run(400);
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn p5_faults_in_durable_windows_are_noticed() {
    for fault in [Fault::ReadIsDone, Fault::CountsLost, Fault::FollowersDone] {
        let noticed = (0..20).any(|seed| !Run::new(seed, fault).run(400).is_empty());
        assert!(noticed, "{fault:?}");
    }
}
