//! Whose turn it is among the subscriptions of one connection.
//!
//! The most urgent goes first. Inside one subscription the log's order stands, so it is as urgent
//! as the most urgent change that waits in it. So that none starves, one that was passed over
//! often enough goes before all.

use syncline_model::proposal::Priority;

/// How often in a row a subscription may be passed over.
const PASSED_MAX: u32 = 8;

/// What is remembered of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    passed: u32,
}

impl Turns {
    /// Chooses among those that have something, each with how urgent that is, and remembers who
    /// was passed over. Returns its number in the list.
    pub fn choose(waiting: &mut [(&mut Turns, Priority)]) -> Option<usize> {
        let rank = |(turns, priority): &(&mut Turns, Priority)| {
            let overdue = turns.passed >= PASSED_MAX;
            // Among equals, whoever was passed over most.
            (
                !overdue,
                if overdue { 0 } else { priority.get() },
                u32::MAX - turns.passed,
            )
        };
        let chosen = (0..waiting.len()).min_by_key(|at| rank(&waiting[*at]))?;
        for (at, (turns, _)) in waiting.iter_mut().enumerate() {
            turns.passed = if at == chosen { 0 } else { turns.passed + 1 };
        }
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use super::*;

    /// Chooses so many times among subscriptions of these priorities that never run dry.
    fn chosen(priorities: &[u64], times: usize) -> Vec<usize> {
        let mut turns = vec![Turns::default(); priorities.len()];
        let choose = |_| {
            let pairs = turns.iter_mut().zip(priorities);
            let mut waiting: Vec<_> = pairs
                .map(|(turns, priority)| (turns, Priority::new(*priority).unwrap()))
                .collect();
            Turns::choose(&mut waiting).unwrap()
        };
        (0..times).map(choose).collect()
    }

    #[test]
    fn the_urgent_go_first_and_equals_take_turns() {
        assert_eq!(chosen(&[3, 1, 4], 3), [1, 1, 1]);
        assert_eq!(chosen(&[3, 3, 3], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(Turns::choose(&mut []), None);
    }

    #[test]
    fn nobody_starves() {
        let order = chosen(&[1, 4, 3, 1], 400);
        for sub in 0..4 {
            let turns = order.iter().filter(|&&at| at == sub).count();
            assert!(turns >= 400 / (PASSED_MAX as usize + 4), "{sub}: {turns}");
        }
        assert!(order.iter().filter(|&&at| at == 0).count() > 100);
    }
}
