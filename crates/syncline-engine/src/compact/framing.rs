//! Framing: which lines are framed when.
//!
//! A line that is written often is framed once it has grown by some stretches; what else there is
//! the daily run finds.

use std::time::{Duration, Instant};

use syncline_api::Problem;
use syncline_model::change::Change;
use syncline_model::ids::{Address, Version, WorkspaceId};
use syncline_store::{Framed, STRETCH_VERSIONS, StoreError};

use super::Run;
use crate::Engine;
use crate::load::store_problem;
use crate::workspace::Shared;

/// A line is framed by itself each time it grew by so many versions.
const GROWN_VERSIONS: u64 = 4 * STRETCH_VERSIONS;
/// Bounds the lines that wait to be framed; of more, the daily run frames what is left.
pub(crate) const GROWN_MAX: usize = 256;

/// After each stretch of a line that is written often, framing rests so many times as long as that
/// took: who writes needs the processor and the disk more.
const RESTS: u32 = 30;
/// Bounds one rest: a run that was asked for waits for the line.
const REST_MAX: Duration = Duration::from_secs(1);

/// A line that grew.
pub(crate) struct Grown {
    workspace: WorkspaceId,
    line: Address,
}

impl Shared {
    /// Has a line framed, beside all else, when a change has made it long enough. Costs a writer
    /// next to nothing.
    pub(crate) fn note_grown(&self, change: &Change) {
        if change.version.0 % GROWN_VERSIONS == 1 && change.version > Version(1) {
            let grown = Grown {
                workspace: self.id.clone(),
                line: change.line().into_owned(),
            };
            // Where there is no room, the daily run finds it.
            let _ = self.grown.try_send(grown);
        }
    }

    /// Frames the next stretch of a line.
    async fn frame(
        &self,
        line: &Address,
        after: Version,
        dry_run: bool,
    ) -> Result<Framed, StoreError> {
        let Shared { store, id, .. } = self;
        match store.frame(id, line, after, dry_run).await {
            Err(StoreError::Unknown(why)) => {
                // No write may come for hours that would have the store reopened (P10).
                tracing::error!(workspace = %id, %why, "it is unknown whether records were framed");
                store.recover().await?;
                store.frame(id, line, after, dry_run).await
            }
            framed => framed,
        }
    }

    /// Frames what a line has, one stretch at a time, so that writers get in between, and rests
    /// after each `rests` times as long.
    async fn frame_line(
        &self,
        line: &Address,
        (dry_run, rests): (bool, u32),
        mut tell: impl FnMut(&Framed),
    ) -> Result<(), Problem> {
        let mut after = Version::ZERO;
        loop {
            let begun = Instant::now();
            let framed = match self.frame(line, after, dry_run).await {
                Ok(framed) => framed,
                Err(StoreError::Rot(rot)) => {
                    // The store tells of it; the other lines are sound.
                    tracing::error!(workspace = %self.id, %rot, "a line is not framed");
                    return Ok(());
                }
                Err(error) => return Err(store_problem(error)),
            };
            tell(&framed);
            match framed.next {
                Some(next) if next > after => after = next,
                _ => return Ok(()),
            }
            match rests {
                0 => tokio::task::yield_now().await,
                _ => tokio::time::sleep((rests * begun.elapsed()).min(REST_MAX)).await,
            }
        }
    }
}

impl Run<'_> {
    /// Frames all lines that have something to frame.
    pub(super) async fn frame_all(&mut self) -> Result<(), Problem> {
        let (shared, dry_run) = (self.workspace.shared.clone(), self.dry_run);
        let mut after = None;
        loop {
            let page = shared.store.unframed(&shared.id, after.as_ref()).await;
            let page = page.map_err(store_problem)?;
            for line in &page.lines {
                let tell = |framed: &Framed| self.note_framed(framed);
                shared.frame_line(line, (dry_run, 0), tell).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn note_framed(&mut self, framed: &Framed) {
        self.done.framed += framed.records;
        self.done.framed_bytes_before += framed.bytes_before;
        self.done.framed_bytes_after += framed.bytes_after;
        self.tell(None);
    }
}

/// Frames a line that grew, unless a run is at it.
pub(super) async fn frame_grown(engine: &Engine, grown: Grown) {
    let Ok(workspace) = engine.workspace(&grown.workspace) else {
        return;
    };
    let shared = &workspace.shared;
    let Ok(_alone) = shared.compacting.try_lock() else {
        return;
    };
    if let Err(problem) = shared.frame_line(&grown.line, (false, RESTS), |_| ()).await {
        tracing::warn!(workspace = %shared.id, %problem, "a line that grew was not framed");
    }
}
