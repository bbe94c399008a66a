//! When a webhook tries again, and when it gives up.

use std::time::Duration;

/// The numbers that the state machine goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long each attempt waits after the one before; there are as many attempts.
    pub delays: Vec<Duration>,
    /// How many hundredths of a delay chance adds or takes away, so that what failed at one
    /// moment does not come back at one moment.
    pub jitter_percent: u64,
    /// Bounds the exchanges at once with one endpoint.
    pub in_flight_max: usize,
    /// Bounds the events that were read and are not settled; then the log is read no further.
    pub outstanding_max: usize,
    /// After so many straight failures the circuit opens.
    pub open_after: u32,
    /// How long an open circuit waits for its first probe; each that fails doubles it.
    pub open_for: Duration,
    /// Bounds that wait.
    pub open_for_max: Duration,
    /// After so long without a success an endpoint is disabled.
    pub disable_after: Duration,
    /// Bounds what an endpoint may ask for with `Retry-After`.
    pub retry_after_max: Duration,
    /// Bounds the attempts at one event that a crash or a shutdown cut short, before they count
    /// as failures: else an event that brings the node down would do so for ever.
    pub interrupted_max: u32,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            delays: vec![
                Duration::ZERO,
                Duration::from_secs(5),
                minutes(5),
                minutes(30),
                hours(2),
                hours(5),
                hours(10),
                hours(14),
                hours(20),
                hours(24),
            ],
            jitter_percent: 20,
            in_flight_max: 10,
            outstanding_max: 1_000,
            open_after: 5,
            open_for: Duration::from_secs(30),
            open_for_max: hours(1),
            disable_after: hours(5 * 24),
            retry_after_max: hours(24),
            interrupted_max: 10,
        }
    }
}

impl Policy {
    /// Returns how long the attempt after `attempts` others waits, in milliseconds; `None` where
    /// there is no other.
    pub fn delay_ms(&self, attempts: u32, dice: u64) -> Option<i64> {
        let delay = self.delays.get(usize::try_from(attempts).ok()?)?;
        Some(self.jittered_ms(*delay, dice))
    }

    /// Says whether an endpoint is asked again that failed so many challenges.
    pub fn asks(&self, challenges: u32) -> bool {
        usize::try_from(challenges).is_ok_and(|failed| failed < self.delays.len())
    }

    /// Returns how long a circuit stays open that failed its probe so many times.
    pub fn open_ms(&self, probes_failed: u32, dice: u64) -> i64 {
        let doubled = self.open_for.saturating_mul(1 << probes_failed.min(16));
        self.jittered_ms(doubled.min(self.open_for_max), dice)
    }

    /// Returns the longest that any event may wait for its next attempt.
    pub fn wait_ms_max(&self) -> i64 {
        let longest = self.delays.iter().max().copied().unwrap_or_default();
        let longest = longest.max(self.retry_after_max).max(self.open_for_max);
        self.jittered_ms(longest, 2 * self.jitter_percent)
    }

    fn jittered_ms(&self, delay: Duration, dice: u64) -> i64 {
        let percent = 100 - self.jitter_percent + dice % (2 * self.jitter_percent + 1);
        let ms = delay.as_millis() * u128::from(percent) / 100;
        i64::try_from(ms).unwrap_or(i64::MAX)
    }
}
