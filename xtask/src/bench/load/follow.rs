//! Subscribers and one writer in one process, so that both read the same clock.
//!
//! Each change carries, as one of its two fields, when it was sent. A subscriber proves that it
//! got all: its `n` counts 1, 2, 3 …, the log's seq grows by one with each, and at the end it has
//! as many changes as were written.

use std::time::{Duration, Instant};

use memchr::memmem;
use mio::{Events, Poll};

use super::cpu::Cpu;
use super::followed::Followed;
use super::hist::Hist;
use super::material::CHANGE;
use super::pipe::{Pipe, READ_BYTES};
use super::speak::excerpt;
use crate::bench::job::{Job, Outcome, Work};

/// How far a writer that stays ahead gets before the slowest subscriber.
const AHEAD_MAX: u64 = 1_024;
/// How many of its updates may be unanswered.
const UNANSWERED_MAX: u64 = 64;
/// How long the last deliveries may take.
const DRAIN_MAX: Duration = Duration::from_secs(30);
const SEQ: &[u8] = b"\"seq\":";
const AT: &[u8] = b"\"path\":\"/data/at\",\"value\":";

struct Subscriber {
    pipe: Pipe,
    track: Track,
}

/// What a subscriber got so far.
#[derive(Default)]
pub struct Track {
    /// The number of the last change that it got.
    pub n: u64,
    seq: u64,
    /// How often another one came than was to come.
    pub lost: u64,
}

impl Track {
    /// Takes the changes of a message, hands on each, and returns how many there were.
    pub fn take(&mut self, payload: &[u8], mut each: impl FnMut(&[u8])) -> Result<u64, String> {
        let mut starts = memmem::find_iter(payload, CHANGE).peekable();
        let mut count = 0;
        while let Some(start) = starts.next() {
            let message = &payload[start..starts.peek().copied().unwrap_or(payload.len())];
            let number = digits(&message[CHANGE.len()..]);
            let place = memmem::find(message, SEQ).map(|at| digits(&message[at + SEQ.len()..]));
            let place = place.ok_or("a change without a seq")?;
            if number != self.n + 1 || (self.seq != 0 && place != self.seq + 1) {
                self.lost += 1;
            }
            (self.n, self.seq) = (number, place);
            count += 1;
            each(message);
        }
        Ok(count)
    }
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
pub fn run(job: &Job, followed: &mut dyn Followed) -> Result<Outcome, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut poll = Poll::new().map_err(text)?;
    let stream = followed.writer().map_err(text)?;
    let mut subscribers = Vec::with_capacity(job.connections);
    for index in 0..job.connections {
        let stream = followed.subscriber().map_err(text)?;
        let pipe = Pipe::new(stream, poll.registry(), index).map_err(text)?;
        let track = Track::default();
        subscribers.push(Subscriber { pipe, track });
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
            .map(|subscriber| subscriber.track.n)
            .min()
            .unwrap_or(written);
        if now >= end && (slowest == written || now >= end + DRAIN_MAX) {
            break;
        }
        if now < end {
            for _ in 0..run.due(now, written, receipts, slowest) {
                let at = nanos(started.elapsed());
                let document = usize::try_from(written).unwrap_or_default() % job.contexts;
                followed.push_update(document, at, pipe.out());
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
                Some(subscriber) => run.take(followed, subscriber, &mut scratch)?,
                None => {
                    pipe.flush().map_err(text)?;
                    pipe.read(&mut scratch, |input| {
                        take_receipts(followed, input, &mut receipts)
                    })?;
                }
            }
        }
    }
    run.outcome.lost += subscribers
        .iter()
        .map(|subscriber| subscriber.track.lost + written.abs_diff(subscriber.track.n))
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

    fn take(
        &mut self,
        followed: &dyn Followed,
        subscriber: &mut Subscriber,
        scratch: &mut [u8],
    ) -> Result<(), String> {
        let Subscriber { pipe, track } = subscriber;
        pipe.read(scratch, |input| {
            let now = nanos(self.started.elapsed());
            let mut used = 0;
            while let Some(came) = followed.came(&input[used..])? {
                let payload = &input[used + came.start..used + came.end];
                used += came.next;
                self.take_changes(payload, now, track)?;
            }
            self.outcome.bytes += if self.is_counting { used as u64 } else { 0 };
            Ok(used)
        })
    }

    fn take_changes(&mut self, payload: &[u8], now: u64, track: &mut Track) -> Result<(), String> {
        let Run {
            is_counting,
            hist,
            outcome,
            ..
        } = self;
        let count = track.take(payload, |message| {
            if !*is_counting {
                return;
            }
            outcome.count += 1;
            if let Some(at) = memmem::find(message, AT) {
                let sent = digits(&message[at + AT.len()..]);
                hist.add(Duration::from_nanos(now.saturating_sub(sent)));
            }
        })?;
        match count == 0 && !payload.is_empty() {
            true => self.take_other(payload),
            false => Ok(()),
        }
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

fn take_receipts(
    followed: &dyn Followed,
    input: &[u8],
    receipts: &mut u64,
) -> Result<usize, String> {
    let mut used = 0;
    while let Some((next, count)) = followed.receipts(&input[used..])? {
        used += next;
        *receipts += count;
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
