//! The state machine against a store that is killed between any two of its steps, and an endpoint
//! that fails as it likes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use syncline_api::ResetReason;
use syncline_delivery::webhook::machine::{End, Failure, Machine, Row};
use syncline_delivery::webhook::policy::Policy;
use syncline_delivery::webhook::state::{About, Event, Slot, State};
use syncline_model::ids::{ChangeId, Seq};
use syncline_model::json::{Json, Limits};
use syncline_model::time::Timestamp;

use crate::{Dice, address};

const URL: &str = "https://hooks.example/";

fn slot(seq: u64) -> Slot {
    Slot {
        seq: Seq(seq),
        about: About::Change,
    }
}

fn event(seq: u64, context: &str, now: Timestamp) -> Event {
    let id = ChangeId::from_parts(1_800_000_000_000 + seq, &[7; 10]);
    Event::new(slot(seq), id, Some(address(context)), now)
}

fn proved() -> State {
    State {
        cursor: "0".to_owned(),
        proved: Some(URL.to_owned()),
        ..State::default()
    }
}

fn machine(policy: Policy, state: State) -> Machine {
    Machine::restore(policy, URL.to_owned(), state, Vec::new(), Timestamp(0))
}

fn failure(status: u16) -> End {
    End::Failed(Failure {
        status: Some(status),
        why: format!("the endpoint answered {status}"),
        retry_after: None,
    })
}

fn sent(machine: &mut Machine, now: i64) -> Vec<u64> {
    let step = machine.step(Timestamp(now));
    step.send.iter().map(|attempt| attempt.slot.seq.0).collect()
}

#[test]
fn contexts_go_in_order_and_pass_by_each_other() {
    let mut m = machine(Policy::default(), proved());
    for (seq, context) in [(1, "task/a"), (2, "task/a"), (3, "task/b"), (4, "task/a")] {
        m.offer(event(seq, context, Timestamp(0)));
    }
    assert_eq!(sent(&mut m, 0), [1, 3]);
    m.ended(slot(1), failure(500), Timestamp(0), 20);
    m.ended(slot(3), End::Delivered(200), Timestamp(0), 0);
    assert_eq!(sent(&mut m, 4_999), [0; 0]);
    assert_eq!(m.step(Timestamp(4_999)).wake_at, Some(Timestamp(5_000)));
    assert_eq!(sent(&mut m, 5_000), [1]);
    m.ended(slot(1), End::Delivered(204), Timestamp(5_000), 0);
    assert_eq!(sent(&mut m, 5_000), [2]);
    assert_eq!(m.outstanding(), 2);
}

#[test]
fn a_reset_waits_until_nothing_older_is_left() {
    let mut m = machine(Policy::default(), proved());
    let reset = Slot {
        about: About::Reset(ResetReason::Access),
        ..slot(2)
    };
    m.offer(event(1, "task/a", Timestamp(0)));
    m.offer(Event {
        slot: reset,
        context: None,
        ..event(2, "task/b", Timestamp(0))
    });
    m.offer(event(3, "task/b", Timestamp(0)));
    assert_eq!(sent(&mut m, 0), [1, 3]);
    m.ended(slot(1), failure(500), Timestamp(0), 20);
    assert_eq!(sent(&mut m, 0), [0; 0]);
    assert_eq!(sent(&mut m, 5_000), [1]);
    m.ended(slot(1), End::Delivered(200), Timestamp(5_000), 0);
    assert_eq!(m.step(Timestamp(5_000)).send[0].slot, reset);
    // What is sent again by hand goes first, where the reset has still to come.
    m.ended(reset, failure(500), Timestamp(5_000), 20);
    m.revive(event(1, "task/a", Timestamp(5_000)));
    assert_eq!(sent(&mut m, 60_000), [1]);
}

#[test]
fn ten_are_in_flight_and_no_more() {
    let mut m = machine(Policy::default(), proved());
    for seq in 1..=25 {
        m.offer(event(seq, &format!("task/t{seq}"), Timestamp(0)));
    }
    assert_eq!(sent(&mut m, 0).len(), 10);
    m.ended(slot(4), End::Delivered(200), Timestamp(0), 0);
    assert_eq!(sent(&mut m, 0), [11]);
}

#[test]
fn attempts_follow_the_schedule_and_end_in_a_dead_letter() {
    let policy = Policy {
        open_after: u32::MAX,
        disable_after: Duration::from_secs(u64::MAX / 2_000),
        ..Policy::default()
    };
    let delays = policy.delays.clone();
    let mut m = machine(policy, proved());
    m.offer(event(1, "task/a", Timestamp(0)));
    let mut now = 0;
    for (attempt, delay) in delays.iter().enumerate() {
        now += i64::try_from(delay.as_millis()).unwrap();
        if attempt > 0 {
            assert_eq!(sent(&mut m, now - 1), [0; 0], "attempt {attempt}");
        }
        assert_eq!(sent(&mut m, now), [1], "attempt {attempt}");
        // 20 is the middle of the jitter: nothing added, nothing taken away.
        m.ended(slot(1), failure(500), Timestamp(now), 20);
    }
    let step = m.step(Timestamp(now));
    let dead = step.keep.iter().find_map(|row| match row {
        Row::Dead(event, _) => Some(event.clone()),
        _ => None,
    });
    let dead = dead.unwrap();
    assert_eq!(dead.attempts, 10);
    assert_eq!(
        dead.last_error.as_deref(),
        Some("the endpoint answered 500")
    );
    assert!(step.keep.contains(&Row::Settled(slot(1))));
    assert_eq!((m.state().dead, m.state().failed), (1, 10));
    assert_eq!(m.state().retried, 9, "the first attempt was no retry");
    let kept = State::read(&reread(&m.state().to_text())).unwrap();
    assert_eq!(kept.retried, 9);
    let logged = |row: &Row| matches!(row, Row::Logged(9, logged) if logged.attempt == 10);
    assert!(step.keep.iter().any(logged));
    m.revive(event(1, "task/a", Timestamp(now)));
    assert!(m.step(Timestamp(now)).keep.contains(&Row::Revived(slot(1))));
}

#[test]
fn the_circuit_opens_after_five_failures_and_one_event_probes() {
    let mut m = machine(Policy::default(), proved());
    for seq in 1..=9 {
        m.offer(event(seq, &format!("task/t{seq}"), Timestamp(0)));
    }
    assert_eq!(sent(&mut m, 0).len(), 9);
    for seq in 1..=9 {
        m.ended(slot(seq), failure(500), Timestamp(0), 20);
    }
    assert_eq!(m.state().open_until, Some(Timestamp(30_000)));
    assert_eq!(sent(&mut m, 29_999), [0; 0]);
    assert_eq!(sent(&mut m, 30_000), [1], "one probes");
    assert_eq!(sent(&mut m, 40_000), [0; 0]);
    m.ended(slot(1), failure(500), Timestamp(40_000), 20);
    assert_eq!(m.state().open_until, Some(Timestamp(100_000)), "for longer");
    assert_eq!(sent(&mut m, 100_000), [2]);
    m.ended(slot(2), End::Delivered(200), Timestamp(100_000), 0);
    assert_eq!(m.state().open_until, None);
    assert_eq!(sent(&mut m, 100_000), [3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn gone_disables_and_so_do_five_days() {
    let mut m = machine(Policy::default(), proved());
    m.offer(event(1, "task/a", Timestamp(0)));
    m.offer(event(2, "task/b", Timestamp(0)));
    assert_eq!(sent(&mut m, 0), [1, 2]);
    m.ended(slot(1), failure(410), Timestamp(1), 20);
    m.ended(slot(2), failure(500), Timestamp(1), 20);
    let reason = m.state().disabled.clone().unwrap().reason;
    assert_eq!(reason, "the endpoint answered 410 Gone");
    assert_eq!(sent(&mut m, 1 << 50), [0; 0]);
    m.enable(Timestamp(10));
    assert_eq!(sent(&mut m, 10), [1, 2], "nothing was lost");
    m.ended(slot(1), failure(500), Timestamp(10), 20);
    let days = 5 * 24 * 3_600_000;
    m.ended(slot(2), failure(500), Timestamp(10 + days), 20);
    assert!(m.state().disabled.is_some());
}

#[test]
fn retry_after_is_obeyed_within_bounds() {
    for (asked_s, waits_ms) in [(0, 5_000), (60, 60_000), (u64::MAX, 24 * 3_600_000)] {
        let mut m = machine(Policy::default(), proved());
        m.offer(event(1, "task/a", Timestamp(0)));
        m.offer(event(2, "task/b", Timestamp(0)));
        assert_eq!(sent(&mut m, 0), [1, 2]);
        m.ended(slot(2), End::Delivered(200), Timestamp(0), 0);
        let end = End::Failed(Failure {
            status: Some(429),
            why: "the endpoint answered 429".to_owned(),
            retry_after: Some(Duration::from_secs(asked_s)),
        });
        m.ended(slot(1), end, Timestamp(0), 20);
        m.offer(event(3, "task/c", Timestamp(0)));
        if asked_s > 0 {
            assert_eq!(sent(&mut m, waits_ms - 1), [0; 0], "the others wait too");
        }
        let all = sent(&mut m, waits_ms);
        assert!(all.contains(&1), "{asked_s}: {all:?}");
    }
}

#[test]
fn nothing_is_sent_before_the_endpoint_proved_that_it_wants_to_hear() {
    let state = State {
        cursor: "0".to_owned(),
        ..State::default()
    };
    let mut m = machine(Policy::default(), state);
    m.offer(event(1, "task/a", Timestamp(0)));
    let step = m.step(Timestamp(0));
    assert!(step.challenge && step.send.is_empty());
    assert!(!m.step(Timestamp(0)).challenge, "one at a time");
    m.challenged(
        Err("it answered something else".to_owned()),
        Timestamp(0),
        20,
    );
    let step = m.step(Timestamp(0));
    assert_eq!(
        (step.challenge, step.wake_at),
        (false, Some(Timestamp(5_000)))
    );
    assert!(m.step(Timestamp(5_000)).challenge);
    m.challenged(Ok(()), Timestamp(5_000), 0);
    assert_eq!(sent(&mut m, 5_000), [1]);
}

#[test]
fn what_does_not_match_moves_the_cursor_without_a_row_of_its_own() {
    let mut m = machine(Policy::default(), proved());
    m.read_to("7".to_owned());
    assert_eq!(m.step(Timestamp(0)).keep, []);
    m.offer(event(8, "task/a", Timestamp(0)));
    m.read_to("8".to_owned());
    let keep = m.step(Timestamp(0)).keep;
    let cursor = keep.iter().find_map(|row| match row {
        Row::State(state) => Some(state.cursor.clone()),
        _ => None,
    });
    assert_eq!(cursor.as_deref(), Some("8"));
    m.read_to("9".to_owned());
    m.keep_cursor();
    assert!(matches!(m.step(Timestamp(0)).keep[..], [Row::State(_)]));
}

fn reread(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).unwrap()
}

/// What is on disk.
#[derive(Clone, Default)]
struct Disk {
    state: String,
    events: BTreeMap<Slot, String>,
    dead: BTreeSet<Slot>,
}

impl Disk {
    fn keep(&mut self, rows: &[Row]) {
        for row in rows {
            match row {
                Row::State(state) => self.state = state.to_text(),
                Row::Event(event) => {
                    self.events.insert(event.slot, event.to_text());
                }
                Row::Settled(slot) => {
                    self.events.remove(slot);
                }
                Row::Dead(event, _) => {
                    self.dead.insert(event.slot);
                }
                Row::Revived(slot) => {
                    self.dead.remove(slot);
                }
                Row::Logged(..) => {}
            }
        }
    }

    fn restore(&self, policy: &Policy, now: Timestamp) -> Machine {
        let state = State::read(&reread(&self.state)).unwrap();
        let read = |text: &String| Event::read(&reread(text)).unwrap();
        let events = self.events.values().map(read).collect();
        Machine::restore(policy.clone(), URL.to_owned(), state, events, now)
    }
}

/// One run: a log, a disk, a node that is killed at any step, an endpoint that fails at random.
struct Run {
    dice: Dice,
    policy: Policy,
    disk: Disk,
    now: i64,
    log: Vec<&'static str>,
    read: usize,
    in_flight: Vec<Slot>,
    sends: HashMap<Slot, usize>,
    arrived: BTreeSet<Slot>,
    ids: HashMap<Slot, ChangeId>,
    crashes: usize,
}

/// Stands in the log of a run where its webhook is told to read a snapshot.
const RESET: &str = "";

impl Run {
    fn new(seed: u64) -> Run {
        let mut dice = Dice(seed);
        let contexts = ["task/a", "task/b", "task/c", "task/d"];
        let log = (0..40).map(|_| match dice.roll(10) {
            0 => RESET,
            _ => contexts[dice.roll(4) as usize],
        });
        let log = log.collect();
        let policy = Policy {
            delays: vec![Duration::ZERO; 4],
            in_flight_max: 3,
            outstanding_max: 8,
            open_for: Duration::from_millis(50),
            interrupted_max: 3,
            ..Policy::default()
        };
        let disk = Disk {
            state: proved().to_text(),
            ..Disk::default()
        };
        Run {
            dice,
            policy,
            disk,
            now: 0,
            log,
            read: 0,
            in_flight: Vec::new(),
            sends: HashMap::new(),
            arrived: BTreeSet::new(),
            ids: HashMap::new(),
            crashes: 0,
        }
    }

    fn crashes(&mut self) -> bool {
        let crash = self.crashes < 30 && self.dice.roll(12) == 0;
        self.crashes += usize::from(crash);
        crash
    }

    /// Begins again from what is on disk.
    fn restart(&mut self) -> Machine {
        self.in_flight.clear();
        let machine = self.disk.restore(&self.policy, Timestamp(self.now));
        self.read = machine.state().cursor.parse().unwrap();
        machine
    }

    /// What the endpoint sees of an attempt: in order, and under one id.
    fn arrives(&mut self, at: Slot, id: ChangeId) {
        *self.sends.entry(at).or_default() += 1;
        let most = self.policy.delays.len() + self.policy.interrupted_max as usize + 1;
        assert!(self.sends[&at] <= most, "{at:?} was sent too often");
        assert_eq!(*self.ids.entry(at).or_insert(id), id, "one id for ever");
        let context = self.log[at.seq.0 as usize - 1];
        for before in (1..at.seq.0).map(|seq| self.slot(seq)) {
            if self.context(before) == context || context == RESET {
                let settled = self.arrived.contains(&before) || self.disk.dead.contains(&before);
                assert!(settled, "{at:?} came before {before:?}");
            }
        }
    }

    /// One turn of the runner; false where it was killed.
    fn turn(&mut self, machine: &mut Machine) -> bool {
        while machine.room() > 0 && self.read < self.log.len() && self.dice.roll(4) > 0 {
            self.read += 1;
            let (seq, now) = (self.read as u64, Timestamp(self.now));
            let event = match self.log[self.read - 1] {
                RESET => Event {
                    slot: self.slot(seq),
                    context: None,
                    ..event(seq, "task/a", now)
                },
                context => event(seq, context, now),
            };
            machine.offer(event);
            machine.read_to(self.read.to_string());
        }
        if !self.in_flight.is_empty() && self.dice.roll(2) == 0 {
            let at = self.dice.roll(self.in_flight.len() as u64) as usize;
            let slot = self.in_flight.swap_remove(at);
            let end = match self.dice.roll(3) {
                0 => failure(503),
                _ => End::Delivered(200),
            };
            if matches!(end, End::Delivered(_)) {
                self.arrived.insert(slot);
            }
            // It answered, and the node dies before it could take note.
            if self.crashes() {
                return false;
            }
            let roll = self.dice.roll(u64::MAX);
            machine.ended(slot, end, Timestamp(self.now), roll);
        }
        let step = machine.step(Timestamp(self.now));
        if self.crashes() {
            return false;
        }
        self.disk.keep(&step.keep);
        for attempt in step.send {
            if self.crashes() {
                return false;
            }
            self.arrives(attempt.slot, attempt.id);
            self.in_flight.push(attempt.slot);
            let contexts: BTreeSet<_> = self.in_flight.iter().map(|s| self.context(*s)).collect();
            assert_eq!(contexts.len(), self.in_flight.len(), "one a context");
            assert!(self.in_flight.len() <= self.policy.in_flight_max);
        }
        assert!(machine.outstanding() <= self.policy.outstanding_max);
        self.now += self.dice.roll(40) as i64;
        true
    }

    fn slot(&self, seq: u64) -> Slot {
        match self.log[seq as usize - 1] {
            RESET => Slot {
                about: About::Reset(ResetReason::Access),
                ..slot(seq)
            },
            _ => slot(seq),
        }
    }

    fn context(&self, slot: Slot) -> &'static str {
        self.log[slot.seq.0 as usize - 1]
    }

    fn is_done(&self, machine: &Machine) -> bool {
        self.read == self.log.len() && machine.outstanding() == 0
    }
}

#[test]
fn killed_at_any_step_nothing_is_lost_nor_out_of_order_nor_sent_for_ever() {
    let (mut crashes, mut dead) = (0, 0);
    for seed in 0..200 {
        let mut run = Run::new(seed);
        let mut machine = run.restart();
        for _ in 0..20_000 {
            if run.is_done(&machine) {
                break;
            }
            if !run.turn(&mut machine) {
                machine = run.restart();
            }
        }
        assert!(run.is_done(&machine), "seed {seed} comes to its end");
        run.disk.keep(&machine.step(Timestamp(run.now)).keep);
        for seq in 1..=run.log.len() as u64 {
            let slot = run.slot(seq);
            let settled = run.arrived.contains(&slot) || run.disk.dead.contains(&slot);
            assert!(settled, "seed {seed} lost {seq}");
        }
        crashes += run.crashes;
        dead += run.disk.dead.len();
    }
    assert!(crashes > 500 && dead > 10, "{crashes} crashes, {dead} dead");
}
