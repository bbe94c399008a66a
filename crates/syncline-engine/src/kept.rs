//! Small values beside the log, and where a change stands in it, for the readers of the log that
//! keep such values.

use syncline_api::Problem;
use syncline_model::ids::{ChangeId, Seq};
use syncline_model::time::Timestamp;
use syncline_store::{Kept, KeptQuery, KeptValue, StoreError};

use crate::load::{rotten, store_problem};
use crate::outcome::Settled;
use crate::workspace::{Shared, Workspace};

impl Workspace {
    /// Keeps or forgets small values beside the log, all of them or none, durably.
    ///
    /// Where the outcome is unknown, the store is reopened and they are kept once more, which
    /// changes nothing if they were. No write may come for hours that would have the store
    /// reopened, so whoever found it stopped sees to it (P10).
    pub async fn keep(&self, values: Vec<Kept>) -> Result<(), Problem> {
        let Shared { store, id, .. } = &*self.shared;
        match store.keep(id, values.clone()).await {
            Err(StoreError::Unknown(why)) => {
                tracing::error!(workspace = %id, %why, "it is unknown whether values were kept");
                store.recover().await.map_err(store_problem)?;
                store.keep(id, values).await.map_err(store_problem)
            }
            kept => kept.map_err(store_problem),
        }
    }

    /// Returns kept values of one space in the order of their keys.
    pub async fn kept(&self, query: &KeptQuery) -> Result<Vec<KeptValue>, Problem> {
        let found = self.shared.store.kept(&self.shared.id, query).await;
        found.map_err(store_problem)
    }

    /// Returns where a change stands in the log; nothing for an id that made no change.
    pub async fn seq_of(&self, id: &ChangeId) -> Result<Option<Seq>, Problem> {
        let shared = &self.shared;
        let rows = shared.store.ids(&shared.id, &[*id]).await;
        let Some(row) = rows.map_err(store_problem)?.into_iter().next().flatten() else {
            return Ok(None);
        };
        let settled = Settled::from_bytes(*id, &row.outcome);
        match settled.map_err(|rot| rotten(&*shared.store, &rot))? {
            // A bulk's own id may be that of a part, and no other's.
            Settled::Accepted(receipt) if receipt.id == *id => Ok(receipt.seq),
            _ => Ok(None),
        }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}
