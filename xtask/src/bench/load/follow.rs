//! Subscribers and one writer in one process, so that both read the same clock.
//!
//! Each change carries, as one of its two fields, when it was sent. A subscriber proves that it
//! got all: its `n` counts 1, 2, 3 …, the log's seq grows by one with each, and at the end it has
//! as many changes as were written.

use std::time::{Duration, Instant};

use memchr::memmem;
use mio::{Events, Poll};

use super::cpu::Cpu;
use super::hist::Hist;
use super::pipe::{Pipe, READ_BYTES};
use super::speak::excerpt;
use super::ws;
use crate::bench::job::{Job, Outcome, Work};

/// How far a writer that stays ahead gets before the slowest subscriber.
const AHEAD_MAX: u64 = 1_024;
/// How many of its updates may be unanswered.
const UNANSWERED_MAX: u64 = 64;
/// How long the last deliveries may take.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Begins each delivery.
const CHANGE: &[u8] = b"{\"type\":\"change\",\"sub\":\"s\",\"n\":";
const SEQ: &[u8] = b"\"seq\":";
const AT: &[u8] = b"\"path\":\"/data/at\",\"value\":";

struct Subscriber {
    pipe: Pipe,
    n: u64,
    seq: u64,
    lost: u64,
}

struct Run<'a> {
    job: &'a Job,
    started: Instant,
    end: Instant,
    is_counting: bool,
    hist: Hist,
    outcome: Outcome,
}

/// Runs the job.
pub fn run(job: &Job) -> Result<Outcome, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut poll = Poll::new().map_err(text)?;
    let mut writer = ws::Writer::new(job);
    let mut stream = ws::open(&job.addr, &job.token).map_err(text)?;
    for number in 0..job.contexts {
        writer.create(&mut stream, number).map_err(text)?;
    }
    let mut subscribers = Vec::with_capacity(job.connections);
    for index in 0..job.connections {
        let mut stream = ws::open(&job.addr, &job.token).map_err(text)?;
        ws::subscribe(&mut stream).map_err(text)?;
        let pipe = Pipe::new(stream, poll.registry(), index).map_err(text)?;
        subscribers.push(Subscriber {
            pipe,
            n: 0,
            seq: 0,
            lost: 0,
        });
    }
    let mut pipe = Pipe::new(stream, poll.registry(), job.connections).map_err(text)?;
    let started = Instant::now();
    let begin = started + Duration::from_secs_f64(job.warm_s);
    let end = begin + Duration::from_secs_f64(job.seconds);
    let outcome = Outcome {
        seconds: job.seconds,
        ..Outcome::default()
    };
    let mut run = Run {
        job,
        started,
        end,
        is_counting: false,
        hist: Hist::new(),
        outcome,
    };
    let mut events = Events::with_capacity(2_048);
    let mut scratch = vec![0; READ_BYTES];
    let (mut written, mut receipts, mut cpu) = (0, 0, None);
    loop {
        let now = Instant::now();
        run.is_counting = now >= begin && now < end;
        if run.is_counting && cpu.is_none() {
            cpu = Some(Cpu::now(job.pid));
        }
        if let (Some(used), false, true) = (&cpu, run.is_counting, run.outcome.load_cores == 0.0) {
            run.outcome.set_cores(&used.cores_since());
        }
        let slowest = subscribers
            .iter()
            .map(|subscriber| subscriber.n)
            .min()
            .unwrap_or(written);
        if now >= end && (slowest == written || now >= end + DRAIN_MAX) {
            break;
        }
        if now < end {
            for _ in 0..run.due(now, written, receipts, slowest) {
                let at = nanos(started.elapsed());
                let document = usize::try_from(written).unwrap_or_default() % job.contexts;
                writer.push_update(document, at, pipe.out());
                written += 1;
                run.outcome.written += u64::from(run.is_counting);
            }
            pipe.flush().map_err(text)?;
        }
        poll.poll(&mut events, Some(run.nap(now, written)))
            .map_err(text)?;
        for event in &events {
            let index = event.token().0;
            match subscribers.get_mut(index) {
                Some(subscriber) => run.take(subscriber, &mut scratch)?,
                None => {
                    pipe.flush().map_err(text)?;
                    pipe.read(&mut scratch, |input| take_receipts(input, &mut receipts))?;
                }
            }
        }
    }
    run.outcome.lost += subscribers
        .iter()
        .map(|subscriber| subscriber.lost + written - subscriber.n)
        .sum::<u64>();
    run.outcome.p50_us = run.hist.quantile_us(0.5);
    run.outcome.p99_us = run.hist.quantile_us(0.99);
    Ok(run.outcome)
}

impl Run<'_> {
    /// Returns how many updates are to be sent now.
    fn due(&self, now: Instant, written: u64, receipts: u64, slowest: u64) -> u64 {
        if self.job.work == Work::Notify {
            let due = nanos(now - self.started) * u64::from(self.job.rate) / 1_000_000_000;
            return due.saturating_sub(written);
        }
        let free = UNANSWERED_MAX.saturating_sub(written - receipts);
        free.min(AHEAD_MAX.saturating_sub(written - slowest))
    }

    /// Returns how long nothing needs to be done if nothing comes.
    fn nap(&self, now: Instant, written: u64) -> Duration {
        let next = match self.job.work {
            Work::Notify if now < self.end => {
                let at = (written + 1) * 1_000_000_000 / u64::from(self.job.rate.max(1));
                self.started + Duration::from_nanos(at)
            }
            _ => now + Duration::from_millis(20),
        };
        next.saturating_duration_since(now)
            .min(Duration::from_millis(20))
    }

    fn take(&mut self, subscriber: &mut Subscriber, scratch: &mut [u8]) -> Result<(), String> {
        let Subscriber { pipe, n, seq, lost } = subscriber;
        pipe.read(scratch, |input| {
            let now = nanos(self.started.elapsed());
            let mut used = 0;
            while let Some(frame) = ws::frame(&input[used..]) {
                let payload = &input[used + frame.start..used + frame.end];
                used += frame.end;
                match frame.opcode {
                    1 => self.take_changes(payload, now, n, seq, lost)?,
                    8 => return Err(format!("the node closed: {}", excerpt(payload))),
                    _ => {}
                }
            }
            self.outcome.bytes += if self.is_counting { used as u64 } else { 0 };
            Ok(used)
        })
    }

    fn take_changes(
        &mut self,
        payload: &[u8],
        now: u64,
        n: &mut u64,
        seq: &mut u64,
        lost: &mut u64,
    ) -> Result<(), String> {
        let mut starts = memmem::find_iter(payload, CHANGE).peekable();
        if starts.peek().is_none() {
            return self.take_other(payload);
        }
        while let Some(start) = starts.next() {
            let message = &payload[start..starts.peek().copied().unwrap_or(payload.len())];
            let number = digits(&message[CHANGE.len()..]);
            let place = memmem::find(message, SEQ).map(|at| digits(&message[at + SEQ.len()..]));
            let place = place.ok_or("a change without a seq")?;
            if number != *n + 1 || (*seq != 0 && place != *seq + 1) {
                *lost += 1;
            }
            (*n, *seq) = (number, place);
            if !self.is_counting {
                continue;
            }
            self.outcome.count += 1;
            if let Some(at) = memmem::find(message, AT) {
                let sent = digits(&message[at + AT.len()..]);
                self.hist
                    .add(Duration::from_nanos(now.saturating_sub(sent)));
            }
        }
        Ok(())
    }

    fn take_other(&mut self, payload: &[u8]) -> Result<(), String> {
        if memmem::find(payload, b"\"type\":\"lagging\"").is_some() {
            self.outcome.lagging += 1;
            return Ok(());
        }
        match memmem::find(payload, b"\"type\":\"heartbeat\"") {
            Some(_) => Ok(()),
            None => Err(format!("a subscriber was told {}", excerpt(payload))),
        }
    }
}

fn take_receipts(input: &[u8], receipts: &mut u64) -> Result<usize, String> {
    let mut used = 0;
    while let Some(frame) = ws::frame(&input[used..]) {
        let payload = &input[used + frame.start..used + frame.end];
        used += frame.end;
        match frame.opcode {
            1 => *receipts += ws::count_receipts(payload)?,
            8 => return Err(format!("the node closed: {}", excerpt(payload))),
            _ => {}
        }
    }
    Ok(used)
}

fn digits(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
