//! The load, in a process of its own: it is told its job on stdin and tells what it measured on
//! stdout.
//!
//! One thread waits for all connections, requests are bytes made by hand, and answers are measured
//! rather than read, so that on a small machine the load leaves the processors to what is measured.

mod catch_up;
mod closed;
mod contend;
mod cpu;
mod follow;
mod followed;
mod hist;
mod http;
mod idle;
mod material;
mod pg;
mod pipe;
mod resp;
mod speak;
mod ws;

use std::io::{BufRead as _, Write as _};

use super::job::{Job, Outcome, Peer, Work};

/// Runs the job that stdin names.
pub fn main() -> Result<(), String> {
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    input
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    let job: Job = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    let outcome = match job.work {
        Work::Write | Work::Read => closed(&job)?,
        Work::Notify | Work::Deliver => follow::run(&job, followed::of(&job)?.as_mut())?,
        Work::CatchUp => catch_up::run(&job)?,
        Work::Contend => contend::run(&job)?,
        Work::Idle | Work::IdleFiltered => idle::run(&job, &mut input)?,
        Work::Fill => {
            http::Http::new(&job).fill()?;
            Outcome {
                count: job.contexts as u64,
                ..Outcome::default()
            }
        }
    };
    let text = serde_json::to_string(&outcome).map_err(|error| error.to_string())?;
    writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string())
}

fn closed(job: &Job) -> Result<Outcome, String> {
    match job.peer {
        Peer::Ws => closed::run(job, &mut ws::Ws::new(job)),
        Peer::Http => closed::run(job, &mut http::Http::new(job)),
        Peer::Redis => closed::run(job, &mut resp::Redis::new(job)),
        Peer::Postgres => closed::run(job, &mut pg::Postgres::new(job)),
        Peer::Nats | Peer::Nchan => Err(format!("{} keeps no documents", job.peer.name())),
    }
}
