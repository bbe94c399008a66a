//! Connections that subscribe and then are silent, held until the bench says that it has looked.

use std::io::{BufRead as _, Write as _};

use super::ws;
use crate::bench::job::{Job, Outcome, Work};

/// Opens the connections, says so, and waits for a line.
pub fn run(job: &Job, input: &mut impl std::io::BufRead) -> Result<Outcome, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut held = Vec::with_capacity(job.connections);
    for index in 0..job.connections {
        let mut stream = ws::open(&job.addr, &job.token).map_err(text)?;
        match job.work {
            Work::IdleFiltered => ws::subscribe_filtered(&mut stream, index),
            _ => ws::subscribe(&mut stream),
        }
        .map_err(text)?;
        held.push(stream);
    }
    let mut out = std::io::stdout();
    writeln!(out, "held")
        .and_then(|()| out.flush())
        .map_err(text)?;
    input.by_ref().lines().next();
    Ok(Outcome {
        count: held.len() as u64,
        ..Outcome::default()
    })
}
