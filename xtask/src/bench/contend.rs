//! One context that all write to, beside a context for each: what it costs that they meet.

use super::job::{Job, Outcome, Peer, Work, to_f64};
use super::report::{AimRow, median, short};
use super::{Bench, runner, say, server};
use crate::run::Result;

/// How many write.
const WRITERS: usize = 16;
/// What the rate on one context is to reach of the rate on separate ones.
const RATIO_MIN: f64 = 0.5;

impl Bench {
    /// Measures writers of one context, each with a field of its own and its base named.
    pub(super) fn contend(&mut self) -> Result {
        let name = format!("contend-{WRITERS}");
        if !self.wants(&name) {
            return Ok(());
        }
        let node = server::node(&server::fresh_folder("node")?)?;
        let (mut one, mut apart) = (Vec::new(), Vec::new());
        for round in 0..self.options.rounds {
            // Who begins changes, so that nobody is always measured after the other.
            let turns = if round % 2 == 0 {
                [1, WRITERS]
            } else {
                [WRITERS, 1]
            };
            for contexts in turns {
                let outcome = runner::run(&Job {
                    connections: WRITERS,
                    contexts,
                    prefix: format!("{name}-{contexts}-{round}"),
                    ..self.job(&node, Peer::Ws, Work::Contend)
                })?;
                let rate = short(outcome.rate());
                say(&format!(
                    "{name} round {}: {rate}/s on {contexts}",
                    round + 1
                ));
                match contexts {
                    1 => one.push(outcome),
                    _ => apart.push(outcome),
                }
            }
        }
        self.contended(&name, one, apart);
        Ok(())
    }

    fn contended(&mut self, name: &str, mut one: Vec<Outcome>, mut apart: Vec<Outcome>) {
        let all = || one.iter().chain(&apart);
        let failed: u64 = all().map(|outcome| outcome.refused + outcome.lost).sum();
        let pairs = one.iter().zip(&apart);
        let mut ratios: Vec<f64> = pairs
            .map(|(one, apart)| one.rate() / apart.rate())
            .collect();
        let ratio = median(&mut ratios, |ratio| *ratio).unwrap_or_default();
        let aims = vec![
            AimRow::at_least(format!("at least {RATIO_MIN}"), ratio, RATIO_MIN),
            AimRow::below("none refused or lost".to_owned(), to_f64(failed), 1.0),
        ];
        let one = median(&mut one, Outcome::rate).unwrap_or_default();
        let apart = median(&mut apart, Outcome::rate).unwrap_or_default();
        let merged = to_f64(one.merged) / to_f64(one.written.max(1)) * 100.0;
        let note = format!(
            "{}/s on one context, {merged:.0} % of them merged; {}/s on {WRITERS}",
            short(one.rate()),
            short(apart.rate())
        );
        self.size(name, ratio, "", &note, aims);
    }
}
