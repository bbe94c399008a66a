//! How many live subscriptions each principal has, over all its connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use syncline_api::{Code, Problem};
use syncline_model::ids::PrincipalId;

/// Counts subscriptions by principal.
pub(crate) struct Seats {
    max: usize,
    taken: Arc<Mutex<HashMap<PrincipalId, usize>>>,
}

/// One subscription's place; it is free again once this is dropped.
pub(crate) struct Seat {
    principal: PrincipalId,
    taken: Arc<Mutex<HashMap<PrincipalId, usize>>>,
}

impl Seats {
    /// Makes room for so many of each principal.
    pub fn new(max: usize) -> Seats {
        Seats {
            max,
            taken: Arc::default(),
        }
    }

    /// Returns how many are taken.
    pub fn count(&self) -> usize {
        let taken = self.taken.lock();
        let taken = taken.expect("nothing panics while seats are counted");
        taken.values().sum()
    }

    /// Takes a place, if the principal has one left.
    pub fn take(&self, principal: &PrincipalId) -> Result<Seat, Problem> {
        let mut taken = self
            .taken
            .lock()
            .expect("nothing panics while seats are counted");
        let count = taken.entry(principal.clone()).or_default();
        if *count >= self.max {
            let max = self.max;
            let detail = format!("{principal} has {max} live subscriptions, as many as it may");
            return Err(Problem::new(Code::TooMany, detail)
                .hint("end one of them")
                .limit(max as u64, "max_principal_subscriptions"));
        }
        *count += 1;
        Ok(Seat {
            principal: principal.clone(),
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self
            .taken
            .lock()
            .expect("nothing panics while seats are counted");
        if let Some(count) = taken.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.principal);
            }
        }
    }
}
