//! What an agent knows: the contexts as its own subscription shows them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline_api::{
    Code, ContextView, From, Mode, Problem, Scope, ServerMessage, Subscribe, WireBody, WireChange,
};
use syncline_client::{Event, LiveReader, Submitter};
use syncline_model::change::ChangeType;
use syncline_model::etag::Etag;
use syncline_model::ids::Address;
use syncline_model::json::{Json, Pointer};
use tokio::sync::watch;

/// How long an agent waits for another's work.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// One context as it was last heard of.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its ETag.
    pub etag: Etag,
    /// Its document.
    pub document: Json,
}

/// The contexts as a subscription shows them. Clones share them.
#[derive(Clone)]
pub struct Notebook {
    contexts: Arc<Mutex<HashMap<Address, Seen>>>,
    changed: watch::Receiver<u64>,
}

impl Notebook {
    /// Subscribes to the workspace and keeps the notebook current.
    pub async fn open(submitter: &Submitter, reader: LiveReader) -> Result<Notebook, Problem> {
        let subscribe = Subscribe {
            mode: Mode::Snapshot,
            from: From::Snapshot,
            ..Subscribe::new("notebook", Scope::workspace())
        };
        submitter.subscribe(subscribe).await?;
        let contexts: Arc<Mutex<HashMap<Address, Seen>>> = Arc::default();
        let (rang, changed) = watch::channel(0);
        tokio::spawn(keep(reader, contexts.clone(), rang));
        Ok(Notebook { contexts, changed })
    }

    /// Returns a context as it was last heard of.
    pub fn get(&self, address: &Address) -> Option<Seen> {
        self.contexts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(address)
            .cloned()
    }

    /// Waits until a context is there and, where a value is given, holds it at `pointer`.
    pub async fn wait(
        &mut self,
        address: &Address,
        pointer: &Pointer,
        value: Option<&Json>,
    ) -> Result<Seen, Problem> {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            let seen = self.get(address).filter(|seen| {
                value.is_none_or(|value| seen.document.pointer(pointer) == Some(value))
            });
            if let Some(seen) = seen {
                return Ok(seen);
            }
            match tokio::time::timeout_at(deadline, self.changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Problem::new(Code::Unreachable, "the feed has ended")),
                Err(_) => {
                    let what = format!("{address} did not become what was waited for");
                    return Err(Problem::new(Code::Unreachable, what));
                }
            }
        }
    }
}

async fn keep(
    mut reader: LiveReader,
    contexts: Arc<Mutex<HashMap<Address, Seen>>>,
    rang: watch::Sender<u64>,
) {
    while let Some(event) = reader.next().await {
        let Event::Message { message, .. } = event else {
            continue;
        };
        let mut known = contexts.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            ServerMessage::Snapshot { contexts, .. } => {
                known.extend(
                    contexts
                        .iter()
                        .map(|context| (context.context.clone(), seen(context))),
                );
            }
            ServerMessage::Enter { context, .. } => {
                known.insert(context.context.clone(), seen(&context));
            }
            ServerMessage::Leave {
                address,
                branch: None,
                ..
            } => {
                known.remove(&address);
            }
            ServerMessage::Change { change, .. } => hear(&mut known, &change),
            ServerMessage::Reset { .. } => known.clear(),
            _ => continue,
        }
        drop(known);
        rang.send_modify(|count| *count += 1);
    }
}

fn seen(context: &ContextView) -> Seen {
    Seen {
        etag: context.etag,
        document: context.document.to_json(),
    }
}

fn hear(known: &mut HashMap<Address, Seen>, change: &WireChange) {
    match (&change.body, change.hash) {
        (WireBody::Snapshot(document), Some(hash)) => {
            let etag = Etag::new(change.version, change.id, &[], hash);
            known.insert(
                change.context.clone(),
                Seen {
                    etag,
                    document: document.clone(),
                },
            );
        }
        _ if change.kind == ChangeType::Delete => {
            known.remove(&change.context);
        }
        _ => {}
    }
}
