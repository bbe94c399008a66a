//! A histogram of times: 64 steps for each power of two, so within 1.6 %.

use std::time::Duration;

const STEP_BITS: u32 = 6;
const STEPS: u64 = 1 << STEP_BITS;

/// Counts times by their nanoseconds.
pub struct Hist {
    counts: Vec<u64>,
    total: u64,
}

impl Hist {
    pub fn new() -> Hist {
        Hist {
            counts: vec![0; (64 << STEP_BITS) as usize],
            total: 0,
        }
    }

    pub fn add(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[index_of(ns)] += 1;
        self.total += 1;
    }

    /// Returns the time in microseconds that `share` of all did not exceed; 0 if there is none.
    pub fn quantile_us(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "0 to total"
        )]
        let rank = (crate::bench::job::to_f64(self.total) * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return crate::bench::job::to_f64(value_of(index as u64)) / 1_000.0;
            }
        }
        0.0
    }
}

fn index_of(ns: u64) -> usize {
    let power = u64::from(ns.max(STEPS).ilog2() - STEP_BITS);
    let step = ns >> power;
    let index = if ns < STEPS {
        ns
    } else {
        (power << STEP_BITS) + step
    };
    usize::try_from(index).expect("at most 64 × 64")
}

fn value_of(index: u64) -> u64 {
    if index < 2 * STEPS {
        return index;
    }
    let power = (index >> STEP_BITS) - 1;
    (index - (power << STEP_BITS)) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_a_step() {
        for ns in [0, 1, 63, 64, 127, 128, 1_000, 123_456, 98_765_432_100] {
            let back = value_of(index_of(ns) as u64);
            assert!(
                back <= ns && ns - back <= ns / STEPS,
                "{ns} came back as {back}"
            );
        }
    }

    #[test]
    fn quantiles_are_of_all() {
        let mut hist = Hist::new();
        (1..=100).for_each(|us| hist.add(Duration::from_micros(us)));
        assert!((hist.quantile_us(0.5) - 50.0).abs() < 1.0);
        assert!((hist.quantile_us(0.99) - 99.0).abs() < 2.0);
    }
}
