//! Connections that ask, wait for the answer, and ask again.

use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::cpu::Cpu;
use super::hist::Hist;
use super::pipe::{Pipe, READ_BYTES};
use super::speak::Speaker;
use crate::bench::job::{Job, Outcome};

/// How long it may take until something is answered.
const SILENCE_MAX: Duration = Duration::from_secs(20);

struct Caller {
    pipe: Pipe,
    asked: Instant,
}

/// Runs the job and counts the answers that come within the time that counts.
pub fn run(job: &Job, speaker: &mut dyn Speaker) -> Result<Outcome, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut poll = Poll::new().map_err(text)?;
    let mut callers = Vec::with_capacity(job.connections);
    for index in 0..job.connections {
        let stream = speaker.open(index).map_err(text)?;
        let pipe = Pipe::new(stream, poll.registry(), index).map_err(text)?;
        callers.push(Caller {
            pipe,
            asked: Instant::now(),
        });
    }
    let begin = Instant::now() + Duration::from_secs_f64(job.warm_s);
    let end = begin + Duration::from_secs_f64(job.seconds);
    for (index, caller) in callers.iter_mut().enumerate() {
        caller.asked = Instant::now();
        speaker.ask(index, caller.pipe.out());
        caller.pipe.flush().map_err(text)?;
    }
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; READ_BYTES];
    let (mut hist, mut cpu) = (Hist::new(), None);
    let mut outcome = Outcome {
        seconds: job.seconds,
        ..Outcome::default()
    };
    loop {
        poll.poll(&mut events, Some(SILENCE_MAX)).map_err(text)?;
        let now = Instant::now();
        if events.is_empty() && now < end {
            return Err("the server has fallen silent".to_owned());
        }
        if now >= end {
            break;
        }
        if now >= begin && cpu.is_none() {
            cpu = Some(Cpu::now(job.pid));
        }
        for event in &events {
            let index = event.token().0;
            let Caller { pipe, asked } = &mut callers[index];
            if event.is_writable() {
                pipe.flush().map_err(text)?;
            }
            let mut answered = 0;
            pipe.read(&mut scratch, |input| {
                let mut used = 0;
                while let Some(length) = speaker.answer(&input[used..])? {
                    used += length;
                    answered += 1;
                }
                outcome.bytes += if cpu.is_some() { used as u64 } else { 0 };
                Ok(used)
            })?;
            if answered == 0 {
                continue;
            }
            let now = Instant::now();
            if now >= begin && now < end {
                outcome.count += 1;
                hist.add(now - *asked);
            }
            *asked = now;
            speaker.ask(index, pipe.out());
            pipe.flush().map_err(text)?;
        }
    }
    if let Some(cpu) = cpu {
        outcome.set_cores(&cpu.cores_since());
    }
    outcome.p50_us = hist.quantile_us(0.5);
    outcome.p99_us = hist.quantile_us(0.99);
    Ok(outcome)
}
