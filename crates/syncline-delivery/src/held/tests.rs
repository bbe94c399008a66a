//! Random arrivals, cut at any message and resumed from the cursor that was kept: nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;

use proptest::prelude::*;
use syncline_model::cursor::Tag8;
use syncline_model::ids::Epoch;

use super::*;
use crate::sent::{Form, Passing, Sent};

const WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
enum Event {
    /// A context gets its next version; an urgent one does not wait.
    Write {
        context: usize,
        urgent: bool,
    },
    /// The node reads so many records.
    Read(usize),
    Wait(u64),
    /// So many of the messages that are under way arrive, the rest is lost.
    Cut(usize),
    Arrive(usize),
}

/// One change of the log: which context, which version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    seq: u64,
    context: usize,
    version: u64,
    urgent: bool,
}

#[derive(Debug)]
struct Message {
    written: Written,
    form: Form,
    keep: u64,
}

#[derive(Default)]
struct Run {
    log: Vec<Written>,
    now: Duration,
    // The node's side of the connection.
    at: u64,
    held: Held<Written>,
    sent: Sent,
    under_way: Vec<Message>,
    // The reader's.
    holds: HashMap<usize, u64>,
    kept: u64,
    got: Vec<u64>,
}

fn line(context: usize) -> Address {
    Address::parse(&format!("task/t{context}")).unwrap()
}

fn place(seq: u64) -> Position {
    Position {
        epoch: Epoch(1),
        seq: Seq(seq),
        tag: Tag8::default(),
    }
}

impl Run {
    fn act(&mut self, event: &Event) {
        match event {
            Event::Write { context, urgent } => {
                let of_context = self.log.iter().filter(|w| w.context == *context);
                let version = of_context.count() as u64 + 1;
                let written = Written {
                    seq: self.log.len() as u64 + 1,
                    context: *context,
                    version,
                    urgent: *urgent,
                };
                self.log.push(written);
            }
            Event::Read(count) => (0..*count).for_each(|_| self.read_one()),
            Event::Wait(seconds) => self.now += Duration::from_secs(*seconds),
            Event::Arrive(count) => self.arrive(*count),
            Event::Cut(count) => {
                self.arrive(*count);
                self.connect();
            }
        }
        self.tell_due();
    }

    fn connect(&mut self) {
        self.under_way.clear();
        self.got.clear();
        self.held = Held::default();
        self.sent = Sent::new(false);
        self.sent.goes_back_from(Seq(self.log.len() as u64));
        self.at = self.kept;
    }

    fn read_one(&mut self) {
        let Some(written) = self.log.get(usize::try_from(self.at).unwrap()).copied() else {
            return;
        };
        let before = place(self.at);
        self.at = written.seq;
        // The first version makes the context, and is never held back.
        if written.urgent || written.version == 1 {
            let waiting = self.held.release(&line(written.context));
            return self.tell(written, waiting.as_ref());
        }
        let arrival = Arrival {
            before,
            seq: Seq(written.seq),
            from: Version(written.version - 1),
            weight: 100,
            change: written,
        };
        self.held
            .hold(&line(written.context), arrival, self.now + WAIT);
    }

    fn tell_due(&mut self) {
        while let Some((_, waiting)) = self.held.take_due(self.now) {
            let several = (waiting.count > 1).then_some(&waiting);
            self.tell(waiting.newest, several);
        }
    }

    fn tell(&mut self, written: Written, waited: Option<&Waiting<Written>>) {
        let passing = Passing {
            seq: Seq(written.seq),
            version: Version(written.version),
            from: Version(written.version - 1),
            held: waited.map(|waiting| (waiting.first, waiting.from)),
        };
        let form = self.sent.form(&line(written.context), &passing);
        let keep = self.held.low(place(self.at)).seq.0;
        self.under_way.push(Message {
            written,
            form,
            keep,
        });
    }

    fn arrive(&mut self, count: usize) {
        for message in self.under_way.drain(..count.min(self.under_way.len())) {
            let Written {
                seq,
                context,
                version,
                ..
            } = message.written;
            self.got.push(seq);
            let held = self.holds.get(&context).copied().unwrap_or(0);
            if held < version {
                match message.form {
                    Form::Own if version == 1 => {}
                    Form::Own => assert_eq!(held, version - 1, "{message:?}"),
                    Form::From(from) => assert_eq!(held, from.0, "{message:?}"),
                    Form::Whole => {}
                    Form::Known => panic!("nothing is chosen here"),
                }
                self.holds.insert(context, version);
            }
            assert!(message.keep >= self.kept, "a cursor never goes back");
            self.kept = message.keep;
            // Whoever resumes there has all that came before.
            for written in &self.log[..usize::try_from(self.kept).unwrap()] {
                assert!(self.holds[&written.context] >= written.version);
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..4usize, prop::bool::weighted(0.1))
            .prop_map(|(context, urgent)| Event::Write { context, urgent }),
        4 => (1..6usize).prop_map(Event::Read),
        2 => (1..8u64).prop_map(Event::Wait),
        3 => (0..5usize).prop_map(Event::Arrive),
        1 => (0..5usize).prop_map(Event::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn p5_what_waits_is_never_skipped(events in prop::collection::vec(event(), 1..80)) {
        let mut run = Run::default();
        run.connect();
        events.iter().for_each(|event| run.act(event));
        run.act(&Event::Read(run.log.len()));
        run.act(&Event::Wait(100));
        run.act(&Event::Arrive(usize::MAX));
        let mut heads = HashMap::new();
        for written in &run.log {
            heads.insert(written.context, written.version);
        }
        prop_assert_eq!(&run.holds, &heads);
        prop_assert_eq!(run.kept, run.log.len() as u64);
        prop_assert!(run.held.is_empty());
    }
}

#[test]
fn several_become_one_and_others_pass() {
    let mut run = Run::default();
    run.connect();
    let write = |run: &mut Run, context, urgent| run.act(&Event::Write { context, urgent });
    for context in [0, 1, 0, 0, 1] {
        write(&mut run, context, false);
    }
    write(&mut run, 2, false);
    run.act(&Event::Read(10));
    // The first versions passed; of the others nothing did, and the cursor stays before them.
    let told: Vec<_> = run
        .under_way
        .iter()
        .map(|m| (m.written.seq, m.keep))
        .collect();
    assert_eq!(told, [(1, 1), (2, 2), (6, 2)]);
    run.act(&Event::Wait(10));
    let told: Vec<_> = run.under_way[3..]
        .iter()
        .map(|m| (m.written.seq, m.form, m.keep))
        .collect();
    assert_eq!(told, [(4, Form::From(Version(1)), 4), (5, Form::Own, 6)]);
}

#[test]
fn too_much_does_not_wait() {
    let mut held = Held::default();
    for n in 0..=LINES_MAX {
        let arrival = Arrival {
            before: place(n as u64),
            seq: Seq(n as u64 + 1),
            from: Version(1),
            weight: 1,
            change: n,
        };
        held.hold(&line(n), arrival, WAIT);
    }
    assert_eq!(
        held.take_due(Duration::ZERO).map(|(_, w)| w.newest),
        Some(0)
    );
    assert!(held.take_due(Duration::ZERO).is_none());
}
